"""How a walk must end, whatever came before, once the service behaves well."""

from __future__ import annotations

from typing import Final

from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import RawFileName
from objlib_fsm.core.policy import SETTLE_S
from objlib_fsm.core.record import Role
from objlib_fsm.core.table import State
from tests.core.moves import Op, Step
from tests.core.service import SECOND_US
from tests.core.shell import COMMIT_S, LAG_S
from tests.core.walk import Walk

WELL: Final = Step(Op.PERFORM)

SETTLE_EFFECTS_MAX: Final = 60
"""Effects within which a file ends when everything goes well: a few deletions, an upload, an import, listings."""


def settle(walk: Walk) -> int:
    """Follow the next effects, performed well, to the end; how many there were."""
    for count in range(SETTLE_EFFECTS_MAX):
        effect = walk.effect()
        while isinstance(effect, fx.Wait):
            walk.clock.advance((effect.until_us - walk.clock.now_us) / SECOND_US)
            effect = walk.effect()
        if effect is None:
            return count
        walk.perform(effect, WELL)
    raise AssertionError(f"no end after {SETTLE_EFFECTS_MAX} effects, the next one is {walk.effect()}")


def end_well(walk: Walk) -> int:
    """From here on the service behaves: the file must end as the promises say.  The number of effects it took."""
    walk.service.behave(walk.clock.real_us)
    taken = _settle_with_retry(walk)
    walk.clock.advance(COMMIT_S + LAG_S)  # Whatever was on its way has arrived.
    assert walk.effect() is None
    if walk.meddled:
        walk.clock.advance(
            SETTLE_S + walk.clock.behind_us / SECOND_US
        )  # A listing is believed once the wall clock has caught up.
        walk.report(walk.shell.listing())
        taken += _settle_with_retry(walk)
    check_end(walk)
    return taken


def _settle_with_retry(walk: Walk) -> int:
    taken = settle(walk)
    if walk.record.state is State.FAILED:
        # Given up for what happened before; one wish of a person must be enough.
        assert walk.tell(e.RetryRequested())
        taken += settle(walk)
    return taken


def _raws_left(walk: Walk, *, but: str = "") -> set[RawFileName]:
    """Raw files still there that the record knows, without those of *but*.

    A raw file that arrived after somebody had asked for it is left to expire; with *but*, so is one nobody has seen.
    """
    known = {raw.name for raw in walk.record.raws if not but or (raw.alive and raw.payload != but)}
    return {
        raw.name
        for raw in walk.service.raws.values()
        if raw.name in known and raw.there(walk.clock.real_us) and not raw.missed
    }


def check_end(walk: Walk) -> None:
    """Exactly one live document for a wanted file, none for a forgotten one, none that nobody knows."""
    record, live = walk.record, walk.service.live(walk.clock.real_us)
    assert record.terminal, record.state
    assert live <= {document.name for document in record.live_documents}, "a document that nobody knows"
    if record.here:
        document = record.document
        assert record.state is State.INDEXED, (record.state, record.cause)
        assert document is not None
        assert live == {document.name}, f"{len(live)} documents"
        stored = walk.service.documents[document.name]
        assert stored.state(walk.clock.real_us) == "STATE_ACTIVE"
        assert stored.payload == record.payload
        assert not _raws_left(walk, but=record.payload_hash), "raw files of older bytes"
    elif not record.kept:
        assert not live, "a forgotten or pruned file has documents"
        assert not _raws_left(walk), "a forgotten or pruned file has raw files"
    else:
        dead = {document.name for document in record.documents if document.role in (Role.DEAD, Role.DUPLICATE)}
        assert not live & dead, "a document that must go at once is still there"
