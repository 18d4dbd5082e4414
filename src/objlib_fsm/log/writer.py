"""The one way to append: groups of appends, each group one transaction.

A group is planned in memory first (versions, lease, fold, chain) and then written with one statement per table.  An
append that is refused while it is planned leaves nothing behind.  An event id that is taken shows only when it is
written: then the group is rolled back to its savepoint and its appends are written one at a time, each under a
savepoint of its own, so that only the one concerned is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import apsw
from msgspec import structs

from objlib_fsm.core.codec import CODEC
from objlib_fsm.core.fold import new_record, step
from objlib_fsm.core.ids import RunId, StreamId
from objlib_fsm.core.library_record import COUNTED, Lease, LibraryRecord, apply_library
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import FIRST_KINDS
from objlib_fsm.log import chain, projection
from objlib_fsm.log.contract import (
    OWN_STREAMS,
    Append,
    AppendRefused,
    AppendResult,
    EventIdReuse,
    Expect,
    Fenced,
    IllegalEvent,
    LogDamaged,
    LogUnavailable,
    PathTaken,
    VersionConflict,
)
from objlib_fsm.log.projection import Stored
from objlib_fsm.log.sqlite import ORIGIN, REPLAY_HINT, SqliteReader, decode_library, decode_record, explained

KNOWN_MAX: Final = 4_096
"""Files remembered between two transactions: more than are ever in flight, about 10 MB."""

RunSync = Callable[..., Awaitable[Any]]
"""``await run_sync(function, *arguments)``: a worker thread, or the caller itself in simulation."""

Outcome = AppendResult | AppendRefused

INSERT_EVENT: Final = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OWNER: Final = "SELECT stream FROM files WHERE path = ?"
_LAST_VERSION: Final = "SELECT max(version) FROM events WHERE origin = ?"
_FILE: Final = f"SELECT {projection.COLUMNS} FROM files WHERE stream = ?"  # noqa: S608
_BY_ID: Final = "SELECT * FROM events WHERE event_id = ?"


class _Stream:
    """A stream: the version of its last event is the record's.

    ``now`` is the file as it is to be stored, ``stored`` as the projection has it; both are None for the library's
    own streams.
    """

    __slots__ = ("now", "origin", "record", "stored")

    def __init__(self, origin: int, record: FileRecord, now: Stored | None, stored: Stored | None) -> None:
        self.origin = origin
        self.record = record
        self.now = now
        self.stored = stored


class _Plan:
    """What a group of appends will write, and the tip that it leads to."""

    __slots__ = ("hash", "library", "paths", "position", "rows", "streams")

    def __init__(self, position: int, digest: bytes, library: LibraryRecord) -> None:
        self.position = position
        self.hash = digest
        self.library = library
        self.rows: dict[str, tuple[Any, ...]] = {}
        """By event id."""
        self.streams: dict[StreamId, _Stream] = {}
        self.paths: dict[str, StreamId | None] = {}
        """Paths that were given or left, with who has them now."""


class Committer:
    """Writes groups of appends, one transaction each.  Synchronous; calls from several threads take turns.

    The tip is read again in each transaction.  What is remembered of files is forgotten as soon as another connection
    has written, which SQLite tells under the write lock; so two processes may append to one log.
    """

    def __init__(self, reader: SqliteReader, *, run: RunId, actor: str) -> None:
        assert "\n" not in run + actor, "the chain's row text needs columns without line feeds"
        self._db = reader.connection
        self._path = reader.path
        self._run = run
        self._actor = actor
        self._lock = threading.Lock()
        self._known: dict[StreamId, _Stream] = {}
        self._data_version: int | None = None
        """SQLite's counter of what other connections wrote, None when nothing may be remembered."""

    def commit(self, group: Sequence[Append]) -> list[Outcome]:
        """What became of each append, in order.

        Raises `LogError` when the transaction did not happen: none of them was written then.
        """
        db = self._db
        with self._lock, explained(self._path):
            db.execute("BEGIN IMMEDIATE")
            try:
                before = self._tip()
                outcomes, after = self._write(group, before)
                if after.position == before.position:
                    db.execute("ROLLBACK")
                    return outcomes
                projection.write_tip(db, after.position, after.hash, after.library)
            except BaseException:
                self._undo()
                raise
            try:
                db.execute("COMMIT")
            except apsw.Error as error:
                self._resolve(group, outcomes, error)
        return outcomes

    def _undo(self) -> None:
        self._data_version = None
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _resolve(self, group: Sequence[Append], outcomes: Sequence[Outcome], error: apsw.Error) -> None:
        """After a COMMIT that failed: what the log holds decides, not what the error said.

        Raises `LogUnavailable` when nothing of it was written, and *error* itself for a full disk, which has a
        sentence of its own.
        """
        self._undo()
        for append, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, AppendResult) and self._written_before(append, {}) is None:
                if isinstance(error, apsw.FullError):
                    raise error
                raise LogUnavailable(
                    f"{self._path}: a commit failed, nothing of it was written: {error}", "run it again"
                ) from error

    def _tip(self) -> _Plan:
        db = self._db
        data_version = db.execute("PRAGMA data_version").get
        if data_version != self._data_version or len(self._known) > KNOWN_MAX:
            self._known.clear()
        self._data_version = data_version
        tip = db.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1").fetchone()
        position, digest = tip if tip is not None else (0, chain.GENESIS)
        state = db.execute("SELECT position, library FROM projection").fetchone()
        at, library = state if state is not None else (0, "{}")
        if at != position:
            raise LogUnavailable(f"{self._path}: the projection is not up to date", REPLAY_HINT)
        return _Plan(position, digest, decode_library(library))

    def _write(self, group: Sequence[Append], before: _Plan) -> tuple[list[Outcome], _Plan]:
        """What became of each append, and the tip after them."""
        plan = _Plan(before.position, before.hash, before.library)
        outcomes = [self._planned(append, plan) for append in group]
        self._db.execute("SAVEPOINT one")
        try:
            self._execute(plan)
            self._db.execute("RELEASE one")
        except apsw.ConstraintError as broken:
            self._db.execute("ROLLBACK TO one; RELEASE one")
            if len(group) == 1:
                return [self._refused(group[0], broken)], before
            outcomes = []
            for append in group:
                one, before = self._write((append,), before)
                outcomes += one
            return outcomes, before
        self._known.update(plan.streams)
        return outcomes, plan

    def _planned(self, append: Append, plan: _Plan) -> Outcome:
        """The same events again are no conflict: their old position is the answer."""
        try:
            return self._plan(append, plan)
        except AppendRefused as refused:
            try:
                return self._written_before(append, plan.rows) or refused
            except EventIdReuse as reuse:
                return reuse

    def _plan(self, append: Append, plan: _Plan) -> AppendResult:
        stream, at_us, own = append.stream, append.at_us, append.stream in OWN_STREAMS
        known = plan.streams.get(stream) or self._stream(stream)
        _check_expected(append, known.record.version if known is not None else 0)
        _check_lease(append, plan.library.lease)
        record = structs.replace(known.record) if known is not None else new_record(stream)
        origin = known.origin if known is not None else plan.position + 1
        position, digest, library = plan.position, plan.hash, plan.library
        rows: dict[str, tuple[Any, ...]] = {}
        try:
            for event_id, event, causation in append.events:
                if event_id in plan.rows or event_id in rows:
                    raise EventIdReuse(f"event id {event_id} is given to two events")
                if own or event.kind in COUNTED:
                    library = apply_library(library, event, at_us)
                if not own and record.version == 0 and event.kind not in FIRST_KINDS:
                    raise IllegalEvent(f"stream {stream} does not begin with a discovery")
                step(record, event, at_us)
                position += 1
                columns = (
                    position,
                    stream,
                    origin,
                    record.version,
                    int(event.kind),
                    event.schema,
                    int(record.state),
                    at_us,
                    event_id,
                    self._run,
                    self._actor,
                    causation,
                    CODEC.encode(event).decode(),
                )
                digest = chain.link(digest, chain.row_text(columns))
                rows[event_id] = (*columns, digest)
            now = None if own else Stored(record, projection.row(record))
        except AppendRefused:
            raise
        except Exception as error:
            raise IllegalEvent(str(error)) from error
        left = known.record.path if known is not None else ""
        if record.path != left:
            if self._owner(record.path, plan) is not None:
                raise PathTaken(record.path)
            plan.paths[left], plan.paths[record.path] = None, stream
        first = plan.position + 1
        plan.position, plan.hash, plan.library = position, digest, library
        plan.rows.update(rows)
        plan.streams[stream] = _Stream(origin, record, now, known.stored if known is not None else None)
        return AppendResult(first, position, record.version, record=None if own else record)

    def _owner(self, path: str, plan: _Plan) -> str | None:
        if path in plan.paths:
            return plan.paths[path]
        owner: str | None = self._db.execute(_OWNER, (path,)).get
        return owner

    def _execute(self, plan: _Plan) -> None:
        if plan.rows:
            self._db.executemany(INSERT_EVENT, plan.rows.values())
        streams = plan.streams.values()
        projection.write(self._db, [(stream.now, stream.stored) for stream in streams if stream.now is not None])
        for stream in streams:
            stream.stored = stream.now

    def _refused(self, append: Append, broken: apsw.ConstraintError) -> Outcome:
        try:
            before = self._written_before(append, {})
        except EventIdReuse as reuse:
            return reuse
        if before is not None:
            return before
        raise LogDamaged(f"{self._path}: the projection does not fit the events: {broken}", REPLAY_HINT) from broken

    def _written_before(self, append: Append, planned: dict[str, tuple[Any, ...]]) -> AppendResult | None:
        """Where these events are, among the planned ones too; None when none of them is there.

        Raises `EventIdReuse` when one of the ids belongs to something else.
        """
        found = []
        for new in append.events:
            row = planned.get(new.id) or self._db.execute(_BY_ID, (new.id,)).fetchone()
            if row is None:
                continue
            position, stream, _, version, kind, *_, body, _ = row
            if (stream, kind, body) != (append.stream, new.event.kind, CODEC.encode(new.event).decode()):
                raise EventIdReuse(f"event id {new.id} belongs to event {position}, which is another one")
            found.append((position, version))
        if not found:
            return None
        if len(found) != len(append.events):
            raise EventIdReuse(f"stream {append.stream}: some of the events are there already, some are not")
        return AppendResult(found[0][0], found[-1][0], found[-1][1], duplicate=True)

    def _stream(self, stream: StreamId) -> _Stream | None:
        """The stream as the last transaction left it, None when there is none."""
        known = self._known.get(stream)
        if known is not None:
            return known
        origin = self._db.execute(ORIGIN, (stream,)).get
        if stream in OWN_STREAMS:
            if origin is None:
                return None
            version = self._db.execute(_LAST_VERSION, (origin,)).get
            return _Stream(origin, structs.replace(new_record(stream), version=version), None, None)
        row = self._db.execute(_FILE, (stream,)).fetchone()
        if (row is None) != (origin is None):
            raise LogDamaged(f"{self._path}: the events and the projection differ about {stream}", REPLAY_HINT)
        if row is None:
            return None
        stored = Stored(decode_record(row[-1]), row)
        return _Stream(origin, stored.record, stored, stored)


def _check_expected(append: Append, version: int) -> None:
    expected = append.expected
    if expected == version or expected is Expect.ANY:
        return
    if (expected is Expect.NO_STREAM and version == 0) or (expected is Expect.EXISTS and version > 0):
        return
    raise VersionConflict(append.stream, expected, version)


def _check_lease(append: Append, lease: Lease | None) -> None:
    if append.epoch is not None and (lease is None or lease.released or lease.epoch != append.epoch):
        raise Fenced(append.epoch, lease.epoch if lease is not None else None)


__all__ = ["Committer", "Outcome", "RunSync"]
