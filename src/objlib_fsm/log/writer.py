"""The one way to append: group commit.

Whoever appends puts the append in a queue.  The first one there becomes the committer: it takes everything that
waits, writes it in one transaction in a worker thread, tells each what became of it, and hands over to the first of
those who came meanwhile.  So a lone append is committed at once, and a hundred concurrent ones share one sync.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import anyio
import apsw
import msgspec

from objlib_fsm.core.events import CODEC, LEASE_STREAM, LIBRARY_STREAM
from objlib_fsm.core.fold import HistoryBroken, new_record, step
from objlib_fsm.core.ids import RunId
from objlib_fsm.core.library_record import LibraryRecord, apply_library
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import INITIAL, Family
from objlib_fsm.log import chain, projection
from objlib_fsm.log.contract import (
    Append,
    AppendRefused,
    AppendResult,
    EventIdReuse,
    Expect,
    Fenced,
    IllegalEvent,
    LogUnavailable,
    PathTaken,
    VersionConflict,
)
from objlib_fsm.log.sqlite import REPLAY_HINT, SqliteReader, explained

GROUP_MAX: Final = 1_000
"""Appends in one transaction: past a few hundred the sync costs nothing per append, and nobody should wait longer."""

T = TypeVar("T")
RunSync = Callable[..., Awaitable[Any]]
"""``await run_sync(function, *arguments)``: a worker thread, or the caller itself in simulation."""

Outcome = AppendResult | AppendRefused

_INSERT: Final = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_decode_record = msgspec.json.Decoder(FileRecord).decode
_decode_library = msgspec.json.Decoder(LibraryRecord).decode
_OWN_STREAMS: Final = frozenset((LIBRARY_STREAM, LEASE_STREAM))


class Committer:
    """Writes groups of appends, one transaction each.  Synchronous; one call at a time.

    Nothing is remembered from one transaction to the next: the tip, versions and records are read again under the
    write lock, so two processes may append to one log.
    """

    def __init__(self, reader: SqliteReader, *, run: RunId, actor: str) -> None:
        assert "\n" not in actor, "the chain's row text needs columns without line feeds"
        self._db = reader.connection
        self._path = reader.path
        self._run = run
        self._actor = actor
        self._position = 0
        self._hash = chain.GENESIS
        self._library = LibraryRecord()
        self._library_text = ""

    def commit(self, group: Sequence[Append]) -> list[Outcome]:
        """What became of each append, in order.

        Raises `LogError` when the transaction did not happen: none of them was written then.
        """
        db = self._db
        with explained(self._path):
            db.execute("BEGIN IMMEDIATE")
            try:
                self._read_tip()
                outcomes = [self._try(append) for append in group]
                projection.write_tip(db, self._position, self._hash, self._library)
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            try:
                db.execute("COMMIT")
            except apsw.Error:
                return self._resolve(group)
        return outcomes

    def _resolve(self, group: Sequence[Append]) -> list[Outcome]:
        """After a COMMIT that failed: what the log holds decides, not what the error said."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        outcomes: list[Outcome] = []
        for append in group:
            found = self._written_before(append)
            if found is None:
                raise LogUnavailable(f"{self._path}: a commit failed; nothing of it was written", "run it again")
            outcomes.append(found)
        return outcomes

    def _read_tip(self) -> None:
        db = self._db
        tip = db.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1").fetchone()
        self._position, self._hash = tip if tip is not None else (0, chain.GENESIS)
        state = db.execute("SELECT position, library FROM projection").fetchone()
        at, text = state if state is not None else (0, "{}")
        if at != self._position:
            raise LogUnavailable(f"{self._path}: the projection is not up to date", REPLAY_HINT)
        if text != self._library_text:
            self._library, self._library_text = _decode_library(text), text

    def _try(self, append: Append) -> Outcome:
        db, position, digest, library = self._db, self._position, self._hash, self._library
        db.execute("SAVEPOINT one")
        try:
            outcome: Outcome = self._append(append)
        except (AppendRefused, apsw.ConstraintError) as refused:
            db.execute("ROLLBACK TO one")
            self._position, self._hash, self._library = position, digest, library
            outcome = self._refusal(append, refused)
        db.execute("RELEASE one")
        return outcome

    def _refusal(self, append: Append, refused: AppendRefused | apsw.ConstraintError) -> Outcome:
        """The same events again are no conflict: their old position is the answer."""
        if isinstance(refused, Fenced | IllegalEvent):
            return refused
        try:
            before = self._written_before(append)
        except EventIdReuse as reuse:
            return reuse
        if before is not None:
            return before
        if isinstance(refused, AppendRefused):
            return refused
        if "files.path" in str(refused):
            path = next((getattr(new.event, "path", "") for new in append.events if hasattr(new.event, "path")), "")
            return PathTaken(path)
        raise refused

    def _written_before(self, append: Append) -> AppendResult | None:
        """Where these events are, None when none of them is there.

        Raises `EventIdReuse` when one of the ids belongs to something else.
        """
        found = []
        for new in append.events:
            query = "SELECT position, stream, version, kind, body FROM events WHERE event_id = ?"
            row = self._db.execute(query, (new.id,)).fetchone()
            if row is None:
                continue
            position, stream, version, kind, body = row
            if (stream, kind, body) != (append.stream, new.event.kind, CODEC.encode(new.event).decode()):
                raise EventIdReuse(f"event id {new.id} belongs to event {position}, which is another one")
            found.append((position, version))
        if not found:
            return None
        if len(found) != len(append.events):
            raise EventIdReuse(f"stream {append.stream}: some of the events are there already, some are not")
        return AppendResult(found[0][0], found[-1][0], found[-1][1], duplicate=True)

    def _append(self, append: Append) -> AppendResult:
        own = append.stream in _OWN_STREAMS
        record = self._current(append.stream, own)
        _check_expected(append, record.version if record is not None else 0, own)
        lease = self._library.lease
        if append.epoch is not None and (lease is None or lease.released or lease.epoch != append.epoch):
            raise Fenced(append.epoch, lease.epoch if lease is not None else None)
        if record is None:
            record = new_record(append.stream)
        named = len(record.raws) + len(record.documents)
        first = self._position + 1
        for new in append.events:
            event = new.event
            if own:
                self._library = apply_library(self._library, event, append.at_us)
                self._library_text = ""
                record.version += 1
            else:
                try:
                    step(record, event, append.at_us)
                except HistoryBroken as broken:
                    raise IllegalEvent(str(broken)) from None
            self._insert(append, record, new.id, new.causation, event.kind, event.schema, CODEC.encode(event).decode())
        if not own:
            self._db.execute(projection.UPSERT, projection.row(record))
            if len(record.raws) + len(record.documents) != named:
                self._db.executemany(projection.NAME, projection.names(record))
        return AppendResult(first, self._position, record.version, record=None if own else record)

    def _current(self, stream: str, own: bool) -> FileRecord | None:
        if own:
            version = self._db.execute("SELECT max(version) FROM events WHERE stream = ?", (stream,)).get
            record = new_record(stream)  # type: ignore[arg-type]
            record.version = version or 0
            return record if version else None
        text = self._db.execute("SELECT record FROM files WHERE stream = ?", (stream,)).get
        return _decode_record(text) if text else None

    def _insert(
        self, append: Append, record: FileRecord, event_id: str, causation: str, kind: int, schema: int, body: str
    ) -> None:
        position = self._position + 1
        state = record.state.value if record is not None else INITIAL.value
        columns = (
            position,
            append.stream,
            record.version,
            int(kind),
            schema,
            state,
            append.at_us,
            event_id,
            self._run,
            self._actor,
            causation,
            body,
        )
        digest = chain.link(self._hash, chain.row_text(*columns))
        self._db.execute(_INSERT, (*columns, digest))
        self._position, self._hash = position, digest


def _check_expected(append: Append, version: int, own: bool) -> None:
    expected = append.expected
    if isinstance(expected, int):
        met = version == expected
    elif expected is Expect.NO_STREAM:
        met = version == 0
    elif expected is Expect.EXISTS:
        met = version > 0
    else:
        assert own, "only events of the library's own streams may be appended to any version"
        met = True
    if not met:
        raise VersionConflict(append.stream, expected, version)


class GroupCommit:
    """`Committer` for many concurrent tasks."""

    def __init__(self, committer: Committer, run_sync: RunSync) -> None:
        self._committer = committer
        self._run_sync = run_sync
        self._waiting: list[_Slot] = []
        self._busy = False

    async def append(self, append: Append) -> AppendResult:
        """Append durably.

        Raises `AppendRefused` when it was refused and `LogError` when the log cannot be written.  Shielded: a
        cancelled caller still learns what became of it, and the cancellation is raised at its next await.
        """
        slot = await self._submit((append,))
        outcome = slot.outcomes[0]
        if isinstance(outcome, AppendRefused):
            raise outcome
        return outcome

    async def append_all(self, appends: Sequence[Append]) -> list[Outcome]:
        """Append many, in transactions of at most `GROUP_MAX`; each succeeds or is refused by itself."""
        outcomes: list[Outcome] = []
        for start in range(0, len(appends), GROUP_MAX):
            slot = await self._submit(appends[start : start + GROUP_MAX])
            outcomes.extend(slot.outcomes)
        return outcomes

    async def _submit(self, appends: Sequence[Append]) -> _Slot:
        slot = _Slot(appends)
        self._waiting.append(slot)
        with anyio.CancelScope(shield=True):
            if self._busy:
                slot.turn = anyio.Event()
                await slot.turn.wait()
            if not slot.done:
                await self._commit()
        if slot.error is not None:
            raise slot.error
        return slot

    async def _commit(self) -> None:
        self._busy = True
        group: list[_Slot] = []
        size = 0
        while self._waiting and (not group or size + len(self._waiting[0].appends) <= GROUP_MAX):
            group.append(self._waiting.pop(0))
            size += len(group[-1].appends)
        try:
            outcomes = await self._run_sync(self._committer.commit, [a for slot in group for a in slot.appends])
        except BaseException as error:
            for slot in group:
                slot.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            start = 0
            for slot in group:
                slot.finish(outcomes[start : start + len(slot.appends)])
                start += len(slot.appends)
        finally:
            self._busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].wake()


class _Slot:
    """Appends that wait for their transaction."""

    def __init__(self, appends: Sequence[Append]) -> None:
        self.appends = appends
        self.turn: anyio.Event | None = None
        self.done = False
        self.outcomes: Sequence[Outcome] = ()
        self.error: BaseException | None = None

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes, self.done = outcomes, True
        self.wake()

    def fail(self, error: BaseException) -> None:
        self.error, self.done = error, True
        self.wake()

    def wake(self) -> None:
        if self.turn is not None:
            self.turn.set()


__all__ = ["GROUP_MAX", "Committer", "Family", "GroupCommit", "RunSync"]
