"""What an event log promises, whatever holds it.

A second implementation (a server, for a team) proves itself with the same tests; nothing outside ``log/`` knows that
there is SQLite.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from objlib_fsm.core.events import LEASE_STREAM, LIBRARY_STREAM, Event
from objlib_fsm.core.ids import EventId, RunId, StreamId
from objlib_fsm.core.library_record import LibraryRecord
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import Family, Kind, State

OWN_STREAMS: Final = frozenset((LIBRARY_STREAM, LEASE_STREAM))
"""The library's own; every other stream is a file's."""


class Expect(enum.Enum):
    """What a stream must be for an append to be accepted, where it is not an exact version."""

    NO_STREAM = "no stream"
    EXISTS = "exists"
    ANY = "any"
    """Only for events of the library's own streams: notes that decide nothing."""


class NewEvent(NamedTuple):
    """An event to be appended.  ``causation`` is the id of the event it answers, empty for none."""

    id: EventId
    event: Event
    causation: EventId = EventId("")


class Append(msgspec.Struct, frozen=True):
    """Events for one stream: all are written or none.

    ``at_us`` is the time of the decision and becomes the recorded time.  ``epoch`` is the runner's lease epoch, None
    for commands that need no lease.
    """

    stream: StreamId
    expected: int | Expect
    events: tuple[NewEvent, ...]
    at_us: int
    epoch: int | None = None

    def __post_init__(self) -> None:
        own = self.stream in OWN_STREAMS
        assert self.events, "an append without events"
        assert own or self.expected is not Expect.ANY, "only the library's own streams may be appended to blindly"
        assert "\n" not in self.stream
        for new in self.events:
            assert (new.event.kind.family is Family.LIBRARY) is own, f"{new.event.kind.label} on stream {self.stream}"
            assert "\n" not in new.id
            assert "\n" not in new.causation


class AppendResult(NamedTuple):
    """Where the events are.  ``duplicate``: they were there already, by their ids.

    ``record`` is the file's record after them; None for the library's own streams and for duplicates.
    """

    first_position: int
    last_position: int
    version: int
    duplicate: bool = False
    record: FileRecord | None = None


class Recorded(NamedTuple):
    """A stored event."""

    position: int
    stream: StreamId
    version: int
    kind: Kind
    state: State
    recorded_at_us: int
    id: EventId
    run: RunId
    actor: str
    causation: EventId
    event: Event


class OpenFile(NamedTuple):
    """A file that needs something.  ``expires_at_us`` is its raw file's, None when no import waits for one."""

    stream: StreamId
    state: State
    expires_at_us: int | None


class AppendRefused(Exception):
    """An append that was not written.  Abstract: the subclasses say why."""


class VersionConflict(AppendRefused):
    """Somebody else appended to the stream: reload and decide again."""

    def __init__(self, stream: str, expected: int | Expect, actual: int) -> None:
        wanted = expected.value if isinstance(expected, Expect) else f"version {expected}"
        super().__init__(f"stream {stream}: expected {wanted}, found version {actual}")
        self.stream, self.expected, self.actual = stream, expected, actual


class EventIdReuse(AppendRefused):
    """The id belongs to another event."""


class Fenced(AppendRefused):
    """Another runner holds the lease: stop."""

    def __init__(self, epoch: int, current: int | None) -> None:
        super().__init__(f"lease epoch {epoch} is over, the log is at epoch {current}")
        self.epoch, self.current = epoch, current


class PathTaken(AppendRefused):
    """Another stream has that path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: another file's history has this path")
        self.path = path


class IllegalEvent(AppendRefused):
    """An event that the table does not allow after the stream's last one."""


class LogError(Exception):
    """The log cannot be used.  ``hint`` is what to do, ``exit_code`` the process's answer."""

    exit_code = 7

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class LogDamaged(LogError):
    """Content is not what was written.  ``position`` is the first event that is wrong, None when unknown."""

    def __init__(self, message: str, hint: str = "", position: int | None = None) -> None:
        super().__init__(message, hint)
        self.position = position


class LogTooNew(LogError):
    """Written by a newer program."""


class NoLog(LogError):
    """There is none."""

    exit_code = 10


class LogUnavailable(LogError):
    """The log could not be read or written now: permission, disk full, I/O error."""

    exit_code = 6


class LogBusy(LogError):
    """Another process held the write lock for longer than `BUSY_TIMEOUT_S`."""

    exit_code = 11


class LogReader(Protocol):
    """Reading.  Never blocked by the writer, and never blocks it."""

    def head(self) -> int:
        """The position of the last event, 0 when there is none."""

    def version(self, stream: StreamId) -> int:
        """The version of the stream's last event, 0 when there is none."""

    def library(self) -> LibraryRecord:
        """The library's own record."""

    def record(self, stream: StreamId) -> FileRecord | None:
        """The file's record, None when there is no such stream."""

    def by_path(self, path: str) -> FileRecord | None:
        """The record of the file that has this path."""

    def read(self, stream: StreamId, after_version: int = 0) -> Sequence[Recorded]:
        """The stream's events."""

    def since(self, position: int, limit: int) -> Sequence[Recorded]:
        """At most *limit* events after *position*."""

    def open_files(self) -> Sequence[OpenFile]:
        """Files that need something, those whose raw file expires first at the front, new ones last."""


class EventLog(LogReader, Protocol):
    """Reading and appending."""

    async def append(self, append: Append) -> AppendResult:
        """Append durably.  Raises `AppendRefused` or `LogError`; shielded from cancellation."""

    async def append_all(self, appends: Sequence[Append]) -> Sequence[AppendResult | AppendRefused]:
        """Append many; each succeeds or is refused by itself."""
