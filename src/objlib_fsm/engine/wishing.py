"""What a person wants, as events: for one file or for a hundred thousand.

Nothing is done here but to append.  The runner performs it, the one at work or the next one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Tell
from objlib_fsm.core.machine import Rejected
from objlib_fsm.core.policy import parked
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import State
from objlib_fsm.engine.journal import Journal, NotAllowed
from objlib_fsm.log.contract import AppendRefused, VersionConflict
from objlib_fsm.log.sqlite import SqliteReader

GROUP: Final = 500
"""Files appended at once: one sync for all, and memory stays small."""


class Wished(msgspec.Struct):
    """The files for which it was recorded, as they are now, and those whose state did not allow it."""

    done: list[FileRecord] = []
    refused: list[Rejected] = []

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """A refusal inside is one of `refused`."""
        try:
            yield
        except NotAllowed as not_allowed:
            self.refused.append(not_allowed.rejected)


async def wish(journal: Journal, records: Sequence[FileRecord], event: e.Event) -> Wished:
    """Record *event* for each file; one about which another process writes meanwhile is decided again by itself.

    Raises `LogError`, `Fenced`, and `VersionConflict` when a file kept changing under every attempt.
    """
    wished = Wished()
    for start in range(0, len(records), GROUP):
        await _wish_group(journal, records[start : start + GROUP], event, wished)
    return wished


async def retry_failed(journal: Journal, log: SqliteReader) -> tuple[int, int]:
    """Ask for another attempt at every failed file that is not parked; how many these are, and how many are parked."""
    failed = list(log.records("state = ?", (State.FAILED.value,)))
    wished = await wish(journal, [record for record in failed if not parked(record)], e.RetryRequested(automatic=True))
    return len(wished.done), sum(map(parked, failed))


async def _wish_group(journal: Journal, group: Sequence[FileRecord], event: e.Event, wished: Wished) -> None:
    prepared = []
    for record in group:
        with wished.collecting():
            append = journal.prepare(record, (Tell(event),))
            assert append is not None
            prepared.append(append)
    for append, outcome in zip(prepared, await journal.log.append_all(prepared), strict=True):
        if isinstance(outcome, VersionConflict):
            with wished.collecting():
                wished.done.append(await journal.tell(journal.reload(append.stream), Tell(event)))
        elif isinstance(outcome, AppendRefused):
            raise outcome
        else:
            wished.done.append(outcome.record or journal.reload(append.stream))
