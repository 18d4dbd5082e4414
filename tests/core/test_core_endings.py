"""The promise itself: whatever happened, a service that behaves leads every file to its end.

Exactly one live document for a wanted file, none for a forgotten one, none that nobody knows; in few effects and in
little time, with no effect repeated for ever.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.core import effects as fx
from objlib_fsm.core.policy import SETTLE_S
from objlib_fsm.core.table import State
from tests.core.adopted import Left
from tests.core.ending import end_well
from tests.core.moves import How, Op, Step
from tests.core.service import SECOND_US
from tests.core.shell import COMMIT_S, LAG_S
from tests.core.strategies import STEPS
from tests.core.walk import HOUR_S, Walk

MANY = 250


@settings(max_examples=1_200)
@given(steps=STEPS, stray=st.sampled_from([False, False, True]), left=st.none() | st.sampled_from(Left))
def test_every_life_ends_well(steps: list[Step], stray: bool, left: Left | None) -> None:
    walk = Walk(stray=stray, left=left)
    for taken in steps:
        walk.take(taken)
    began_us, audited = walk.clock.real_us, walk.meddled
    end_well(walk)
    took_us = walk.clock.real_us - began_us - walk.clock.behind_us * (2 if audited else 1)
    assert took_us <= HOUR_S * SECOND_US


@pytest.mark.parametrize("how", How, ids=lambda how: how.name.lower())
def test_one_thing_that_goes_wrong_at_each_effect_in_turn(how: How) -> None:
    """Small and complete: the n-th effect of a plain life ends so, the others well."""
    for at in range(6):
        for n in range(24):
            for amid in (Op.PERFORM, Op.PERFORM_AMID):
                walk = Walk()
                for count in range(6):
                    walk.take(Step(amid if count == at else Op.PERFORM, how if count == at else How.WELL, n, 1.0))
                end_well(walk)


def changed(walk: Walk) -> None:
    walk.take(Step(Op.CHANGE, n=1))


def forgotten(walk: Walk) -> None:
    walk.take(Step(Op.FORGET))


def flipped(walk: Walk) -> None:
    walk.take(Step(Op.DOCUMENT_FLIPS))
    walk.take(Step(Op.AUDIT))


ENDS_THE_RUN = (How.HALTED, How.CRASH_DONE, How.CRASH_LATE, How.CRASH_LOST, How.REPORT_LATE)
"""After these the program does not go on by itself."""


@pytest.mark.parametrize("how", [how for how in How if how not in ENDS_THE_RUN], ids=lambda how: how.name.lower())
@pytest.mark.parametrize("start", [None, changed, forgotten, flipped])
def test_a_service_that_never_gets_better_is_not_hammered(how: How, start: Callable[[Walk], None] | None) -> None:
    """Whatever it answers, and for ever: the file ends, or is tried ever more slowly."""
    for n in range(8):
        walk = Walk()
        if start is not None:
            for _ in range(3):
                walk.take(Step(Op.PERFORM))
            assert walk.record.state is State.INDEXED
            start(walk)
        began_us = walk.clock.real_us
        for _ in range(MANY):
            effect = walk.effect()
            if isinstance(effect, fx.Wait):
                walk.clock.advance((effect.until_us - walk.clock.now_us) / SECOND_US)
                effect = walk.effect()
            if effect is None:
                break
            walk.perform(effect, Step(Op.PERFORM, how, n))
        else:
            assert walk.clock.real_us - began_us >= MANY * 20 * SECOND_US, f"n={n}: {walk.effect()}"
        end_well(walk)


def test_the_model_keeps_within_what_the_design_rests_on() -> None:
    """60 s after a call, a complete listing shows what it made: the model is as nasty as that allows, not more."""
    assert COMMIT_S + LAG_S < SETTLE_S
