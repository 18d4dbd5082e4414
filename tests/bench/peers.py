"""What the log is measured against: `eventsourcing`, and the least that a group commit can be.

Both are given every advantage.  The peer gets ready-made events and is driven by one loop, which is its fastest way
(threads only make it wait for its own lock).  The bare loop gets ready-made rows and writes them with the log's own
statements into the log's own tables; it checks nothing, folds nothing, hashes nothing, and nobody could trust it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import anyio.to_thread
import apsw
import apsw.aio
import msgspec
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate

from objlib_fsm.core.codec import CODEC
from objlib_fsm.core.fold import new_record, step
from objlib_fsm.core.record import FileRecord
from objlib_fsm.log import projection
from objlib_fsm.log.contract import Append
from objlib_fsm.log.projection import Stored
from objlib_fsm.log.sqlite import create, open_for_writing
from objlib_fsm.log.writer import INSERT_EVENT

SCAN_PAGE: Final = 1_000
"""Notifications that the peer reads at a time; larger pages are not faster."""


# ---- eventsourcing -------------------------------------------------------------------------------------------------


class File(Aggregate):
    """The peer's aggregate: events with the same fields as ours."""

    class Fact(Aggregate.Event):
        """One event."""

        kind: int
        causation: str
        body: dict[str, Any]


class Peer:
    """An `eventsourcing` application on SQLite, as its documentation sets it up."""

    def __init__(self, folder: Path) -> None:
        self.application = Application[uuid.UUID](
            env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(folder / "peer.db")}
        )

    def events(self, files: Sequence[Sequence[Append]]) -> list[list[Any]]:
        """One list of domain events for each append, ready to be stored."""
        commands = []
        for appends in files:
            originator, version = uuid.uuid4(), 0
            for append in appends:
                command = []
                for new in append.events:
                    version += 1
                    fact = File.Fact(  # type: ignore[call-arg]
                        originator_id=originator,
                        originator_version=version,
                        timestamp=File.Fact.create_timestamp(),
                        kind=int(new.event.kind),
                        causation=new.causation,
                        body=msgspec.to_builtins(new.event),
                    )
                    command.append(fact)
                commands.append(command)
        return commands

    def put(self, commands: Sequence[Sequence[Any]]) -> None:
        """Store each command's events, one commit each."""
        for command in commands:
            self.application.events.put(command)

    def scan(self) -> int:
        """Read and decode every event; how many there are."""
        recorder, mapper = self.application.recorder, self.application.mapper
        count, start = 0, 1
        while page := recorder.select_notifications(start, SCAN_PAGE):
            for notification in page:
                mapper.to_domain_event(notification)
                count += 1
            start = page[-1].id + 1
        return count

    def close(self) -> None:
        """Close the database."""
        self.application.close()


# ---- the bare loop -------------------------------------------------------------------------------------------------

TIP: Final = (0, b"\0" * 32, 1, "{}")


class Rows(NamedTuple):
    """What one append writes."""

    events: list[tuple[Any, ...]]
    new: list[tuple[Any, ...]]
    changed: list[tuple[Any, ...]]
    moved_on: list[tuple[Any, ...]]
    names: list[tuple[Any, ...]]


def rows_of(files: Sequence[Sequence[Append]]) -> list[list[Rows]]:
    """The rows of each file's appends.  The position is left to SQLite, the hash is 32 bytes of nothing."""
    return [list(_rows_of(number, appends)) for number, appends in enumerate(files, 1)]


def _rows_of(origin: int, appends: Sequence[Append]) -> Iterator[Rows]:
    record, stored = new_record(appends[0].stream), None
    for append in appends:
        rows = Rows([], [], [], [], [])
        for new in append.events:
            step(record, new.event, append.at_us)
            event, body = new.event, CODEC.encode(new.event).decode()
            of_stream = (append.stream, origin, record.version, int(event.kind), event.schema, int(record.state))
            ids = (new.id, "r" * 16, "bench", new.causation)
            rows.events.append((None, *of_stream, append.at_us, *ids, body, b"\0" * 32))
        stored = _sort(rows, record, stored)
        yield rows


def _sort(rows: Rows, record: FileRecord, before: Stored | None) -> Stored:
    now, names = projection.row(record), projection.names(record)
    if before is None:
        rows.new.append(now)
    elif now[2:8] == before.row[2:8]:
        rows.moved_on.append((now[0], now[1], now[8]))
    else:
        rows.changed.append(now)
    if before is None or len(names) != len(projection.names(before.record)):
        rows.names.extend(names)
    return Stored(msgspec.structs.replace(record), now)


class Bare:
    """An anyio queue and one task that commits what waits in it, in a worker thread."""

    def __init__(self, folder: Path) -> None:
        path = folder / "bare" / "log.db"
        create(path)
        self._db = open_for_writing(path)
        self._queue, self._items = anyio.create_memory_object_stream[tuple[Rows, anyio.Event]](1_000)

    async def append(self, rows: Rows) -> None:
        """Write it durably."""
        done = anyio.Event()
        await self._queue.send((rows, done))
        await done.wait()

    async def commit_for_ever(self) -> None:
        """The committing task."""
        async for group in self._groups():
            await anyio.to_thread.run_sync(self._commit, [rows for rows, _ in group])
            for _, done in group:
                done.set()

    async def _groups(self) -> Any:
        async for first in self._items:
            group = [first]
            try:
                while True:
                    group.append(self._items.receive_nowait())
            except anyio.WouldBlock:
                yield group

    def _commit(self, group: Sequence[Rows]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for statement, rows in _statements(group):
            self._db.executemany(statement, rows)
        self._db.execute(projection.TIP, TIP)
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def _statements(group: Sequence[Rows]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    for statement, pick in _PICKS:
        rows = [row for one in group for row in pick(one)]
        if rows:
            yield statement, rows


_PICKS: Final[tuple[tuple[str, Callable[[Rows], list[tuple[Any, ...]]]], ...]] = (
    (INSERT_EVENT, lambda rows: rows.events),
    (projection.INSERT, lambda rows: rows.new),
    (projection.UPDATE, lambda rows: rows.changed),
    (projection.UPDATE_RECORD, lambda rows: rows.moved_on),
    (projection.INSERT_NAME, lambda rows: rows.names),
)


class BareAio(Bare):
    """The same through apsw's own async connection: each statement is awaited."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._path = self._db.filename
        self._db.close()

    async def commit_for_ever(self) -> None:
        """The committing task."""
        db = await apsw.Connection.as_async(self._path, flags=apsw.SQLITE_OPEN_READWRITE)
        await db.pragma("synchronous", "full")
        try:
            async for group in self._groups():
                await db.execute("BEGIN IMMEDIATE")
                for statement, rows in _statements([rows for rows, _ in group]):
                    await db.executemany(statement, rows)
                await db.execute(projection.TIP, TIP)
                await db.execute("COMMIT")
                for _, done in group:
                    done.set()
        finally:
            db.close()

    def close(self) -> None:
        """Nothing is open any more."""
