"""Decide and append: how the engine writes, and the only way it does.

A conflict means that another process appended to the file's stream: the record is read again and decided again, as
often as `CONFLICTS_MAX` times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Begin, Command, Report, decide_all
from objlib_fsm.core.fold import new_record
from objlib_fsm.core.ids import EventId, StreamId, new_event_id
from objlib_fsm.core.machine import Rejected
from objlib_fsm.core.policy import jitter
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import Family
from objlib_fsm.engine.clock import Clock
from objlib_fsm.log.contract import Append, EventLog, Expect, NewEvent, VersionConflict

CONFLICTS_MAX: Final = 5
"""How often one decision is made again after a conflict."""

CONFLICT_WAIT_S: Final = 0.1
"""The first wait after a conflict; doubled each time, with jitter."""


class NotAllowed(Exception):
    """A command that the file's state does not allow; nothing was changed."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(str(rejected))
        self.rejected = rejected


class Moved(Exception):
    """Somebody else appended to the stream before an intent: look again at what the file needs."""


class Journal:
    """Appends for one process.  ``epoch`` is the lease's while it runs effects, None for commands."""

    def __init__(
        self, log: EventLog, clock: Clock, random_bytes: Callable[[int], bytes], *, epoch: int | None = None
    ) -> None:
        self.log = log
        self.clock = clock
        self.random_bytes = random_bytes
        self.epoch = epoch

    def new_id(self) -> EventId:
        """An id for an event."""
        return new_event_id(self.random_bytes, self.clock.now_us())

    def prepare(self, record: FileRecord, commands: Sequence[Command]) -> Append | None:
        """The append that *commands* lead to, None when they lead to nothing.  Raises `NotAllowed`."""
        now_us = self.clock.now_us()
        decided = decide_all(record, commands, now_us)
        if isinstance(decided, Rejected):
            raise NotAllowed(decided)
        if not decided:
            return None
        expected = record.version or Expect.NO_STREAM
        return Append(record.stream, expected, tuple(self._new(event) for event in decided), now_us, self.epoch)

    async def begin(self, record: FileRecord, command: Begin, *reports: Report) -> FileRecord:
        """Write an intent, after the reports that come before it.

        Raises `Moved` when it is not what the file needs any more.
        """
        try:
            append = self.prepare(record, (*reports, command))
            assert append is not None
            result = await self.log.append(append)
        except (VersionConflict, NotAllowed) as error:
            raise Moved(str(error)) from None
        assert result.record is not None
        return result.record

    async def tell(self, record: FileRecord, *commands: Command) -> FileRecord:
        """Write what was found or reported.

        Raises `NotAllowed` for commands that may be rejected, and `VersionConflict` when the stream changed under
        each of `CONFLICTS_MAX` attempts.
        """
        for attempt in range(CONFLICTS_MAX + 1):
            append = self.prepare(record, commands)
            if append is None:
                return record
            try:
                result = await self.log.append(append)
            except VersionConflict:
                if attempt == CONFLICTS_MAX:
                    raise
                await self.clock.sleep(CONFLICT_WAIT_S * 2**attempt * jitter(f"{record.stream}/{attempt}"))
                record = self.reload(record.stream)
            else:
                return result.record if result.record is not None else self.reload(record.stream)
        raise AssertionError("unreachable")

    async def note(self, stream: StreamId, *events: e.Event) -> None:
        """Write events of the library's own streams."""
        new = tuple(self._new(event) for event in events)
        await self.log.append(Append(stream, Expect.ANY, new, self.clock.now_us(), self.epoch))

    def reload(self, stream: StreamId) -> FileRecord:
        """The file's record as the log has it now."""
        return self.log.record(stream) or new_record(stream)

    def _new(self, event: e.Event) -> NewEvent:
        call = getattr(event, "call", EventId(""))
        if event.kind.family is Family.INTENT or isinstance(event, e.StoreCreateIntended):
            return NewEvent(call, event)
        return NewEvent(self.new_id(), event, call)
