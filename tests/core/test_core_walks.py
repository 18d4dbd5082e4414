"""Random walks: what holds at every step of any life.  Most of it is checked by `Walk` itself."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.core.events import Event
from objlib_fsm.core.fold import apply, digest, fold, new_record, step
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import FACTS, Family
from tests.core.adopted import Left
from tests.core.moves import Step
from tests.core.shell import STREAM
from tests.core.strategies import STEPS, encoded
from tests.core.walk import Walk, check_always


def walked(steps: list[Step]) -> Walk:
    walk = Walk()
    for taken in steps:
        walk.take(taken)
    return walk


@settings(max_examples=500)
@given(steps=STEPS, excluded=st.booleans(), stray=st.booleans(), left=st.none() | st.sampled_from(Left))
def test_at_every_step(steps: list[Step], excluded: bool, stray: bool, left: Left | None) -> None:
    """Nothing illegal is decided, no report is rejected, no id is lost, nothing is claimed that was not seen."""
    walk = Walk(excluded=excluded, stray=stray, left=left)
    for taken in steps:
        walk.take(taken)


@settings(max_examples=200)
@given(steps=STEPS, cut=st.integers(0, 200))
def test_a_fold_does_not_depend_on_how_the_events_were_batched(steps: list[Step], cut: int) -> None:
    walk = walked(steps)
    whole = fold(STREAM, walk.history)
    assert encoded(whole) == encoded(walk.record), "as decided live"

    one_by_one = new_record(STREAM)
    for event, at_us in walk.history:
        one_by_one = apply(one_by_one, event, at_us)
    assert encoded(one_by_one) == encoded(whole)

    in_pieces = fold(STREAM, walk.history[:cut])
    kept = encoded(in_pieces)
    rest = apply_all(in_pieces, walk.history[cut:])
    assert encoded(rest) == encoded(whole)
    assert encoded(in_pieces) == kept, "apply changed the record it was given"

    in_place = new_record(STREAM)
    for event, at_us in walk.history:
        step(in_place, event, at_us)
    assert encoded(in_place) == encoded(whole)


def apply_all(record: FileRecord, history: list[tuple[Event, int]]) -> FileRecord:
    for event, at_us in history:
        record = apply(record, event, at_us)
    return record


@settings(max_examples=100)
@given(steps=STEPS)
def test_every_moment_of_a_life_is_a_life(steps: list[Step]) -> None:
    """Whatever was cut off by a crash: what is in the log up to there has a next effect or is terminal."""
    walk = walked(steps)
    record = new_record(STREAM)
    for index, (event, at_us) in enumerate(walk.history):
        record = apply(record, event, at_us)
        verdicts_follow = index + 1 < len(walk.history) and walk.history[index + 1][0].kind.family is Family.VERDICT
        if not verdicts_follow:  # Facts and their verdicts are one append.
            check_always(record, at_us)
            assert record.version == index + 1


@settings(max_examples=200)
@given(steps=STEPS)
def test_since_is_when_the_state_began(steps: list[Step]) -> None:
    walk = walked(steps)
    state, since_us = None, None
    record = new_record(STREAM)
    for event, at_us in walk.history:
        record = apply(record, event, at_us)
        if record.state is not state:
            state, since_us = record.state, at_us
        assert record.since_us == since_us
        assert event.kind not in FACTS or record.state is state


@settings(max_examples=60)
@given(lives=st.lists(STEPS, min_size=2, max_size=3), data=st.data())
def test_the_digest_is_that_of_the_records_in_any_order(lives: list[list[Step]], data: st.DataObject) -> None:
    records = []
    for n, steps in enumerate(lives):
        record = walked(steps).record
        record.stream = StreamId(f"s{n}")
        records.append(record)
    before = digest(records)
    assert digest(data.draw(st.permutations(records))) == before
    assert digest(iter(records)) == before
    changed = data.draw(st.sampled_from(records))
    changed.batch += 1
    assert digest(records) != before
    assert digest(records[1:]) != before
