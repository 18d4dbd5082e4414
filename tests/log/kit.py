"""Logs and events for the tests of the log."""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import apsw

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.core.ids import EventId, LibraryId, RunId, StreamId, new_event_id, raw_file_for, short_id
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.log import chain
from objlib_fsm.log.contract import Append, EventLog, Expect, NewEvent
from objlib_fsm.log.file import LogFile, open_log
from objlib_fsm.log.replay import check_pages, projection_drift, rebuild
from objlib_fsm.log.sqlite import SqliteReader, open_for_reading

NOW_US: Final = 1_790_000_000_000_000
HASH: Final = "ab" * 32


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """`run_sync` as the program has it."""
    return await anyio.to_thread.run_sync(functools.partial(function, *arguments))


def open_at(path: Path, *, run: str = "r" * 16, run_sync: Any = in_thread) -> LogFile:
    """The log at *path*, made when it is not there."""
    return open_log(
        path,
        run=RunId(run),
        actor="test",
        run_sync=run_sync,
        random_bytes=random.Random(7).randbytes,
        now_us=NOW_US,
        make=True,
    )


def new_id() -> EventId:
    """An event id."""
    return new_event_id(os.urandom, NOW_US)


def stream(name: str) -> StreamId:
    """A stream id that a failure's message can be read by."""
    return StreamId(name.ljust(16, "-"))


def append(to: str, expected: int | Expect, *events: e.Event, at_us: int = NOW_US, epoch: int | None = None) -> Append:
    """An append with new ids."""
    return Append(stream(to), expected, tuple(NewEvent(new_id(), event) for event in events), at_us, epoch)


def note(event: e.Event, *, to: StreamId = LIBRARY_STREAM, epoch: int | None = None, at_us: int = NOW_US) -> Append:
    """An append to one of the library's own streams."""
    return Append(to, Expect.ANY, (NewEvent(new_id(), event),), at_us, epoch)


def discovered(path: str) -> e.FileDiscovered:
    """A file that can be indexed."""
    return e.FileDiscovered(LibraryPath(path), 10, 20, HASH, "text/plain", "", 1, 2, NOW_US)


def touched(number: int = 0) -> e.FileTouched:
    """An event that is legal in every state and moves nothing."""
    return e.FileTouched(10, number)


def life(name: str, path: str) -> list[Append]:
    """A file from its discovery to its upload: four events in three appends."""
    at = stream(name)
    raw, call = raw_file_for(LibraryId("l" * 16), at, HASH, 0), new_id()
    upload = e.UploadIntended(call, raw, HASH, 0, 10, "text/plain")
    done = e.UploadDone(call, raw, HASH, 0, "ACTIVE", 10, NOW_US + 172_800_000_000)
    return [
        append(name, Expect.NO_STREAM, discovered(path), touched(1)),
        Append(at, 2, (NewEvent(call, upload),), NOW_US + 1),
        Append(at, 3, (NewEvent(new_id(), done, call),), NOW_US + 2),
    ]


def fill(log: LogFile, files: int) -> None:
    """The lives of so many files."""
    for number in range(files):
        for one in life(f"file{number}", f"folder/{number:04}.txt"):
            log.append_now(one)


def check(log: EventLog | SqliteReader) -> None:
    """Everything that must hold of every log: no gap, a whole chain, versions in order, no drift."""
    assert isinstance(log, SqliteReader)
    reader = SqliteReader(open_for_reading(log.path), log.path)
    try:
        with reader.snapshot():
            rebuilt = rebuild(reader)
            assert rebuilt.position == reader.head()
            assert not rebuilt.mismatches
            assert projection_drift(reader, rebuilt) == []
    finally:
        reader.close()


def tamper(path: Path, sql: str, *arguments: Any) -> None:
    """Change the file behind the program's back."""
    db = apsw.Connection(str(path))
    db.execute("DROP TRIGGER IF EXISTS events_are_never_changed; DROP TRIGGER IF EXISTS events_are_never_removed")
    db.execute(sql, arguments)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def random_stream(source: random.Random) -> StreamId:
    """A stream id as the program makes them."""
    return StreamId(short_id(source.randbytes(10)))


def forge(path: Path, **changes: Any) -> None:
    """Put a row behind the last event whose hash fits, as a newer or a faulty program would."""
    db = apsw.Connection(str(path))
    position, before = next(db.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1"))
    row = {
        "position": position + 1,
        "stream": stream("forged"),
        "origin": position + 1,
        "version": 1,
        "kind": 1,
        "schema": 1,
        "state": 0,
        "recorded_at_us": NOW_US,
        "event_id": new_id(),
        "run": "r" * 16,
        "actor": "test",
        "causation": "",
        "body": '{"path":"forged.txt"}',
    }
    row |= changes
    columns = tuple(row[name] for name in chain.COLUMNS)
    values = (*columns, chain.link(before, chain.row_text(columns)))
    db.execute(f"INSERT INTO events VALUES ({', '.join('?' * len(values))})", values)
    db.close()


def settle(log: LogFile) -> None:
    """Close the log with everything in its main file."""
    path = log.path
    log.close()
    db = apsw.Connection(str(path))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def read_all(path: Path) -> tuple[Any, ...]:
    """All that the log says when it is only read, with everything checked that can be."""
    reader = SqliteReader(open_for_reading(path), path)
    try:
        with reader.snapshot():
            current = reader.projection_is_current()
            check_pages(reader)
            rebuilt = rebuild(reader)
            drift = projection_drift(reader, rebuilt)
            streams = sorted(rebuilt.files)
            told = (
                reader.head(),
                [reader.record(StreamId(name)) for name in streams],
                [reader.read(StreamId(name)) for name in streams],
                [reader.version(StreamId(name)) for name in streams],
                [reader.by_path(file.path) for file in rebuilt.files.values()],
                reader.since(0, 1_000_000),
                list(reader.open_files()),
                sorted(record.stream for record in reader.records()),
                reader.library(),
                rebuilt.digest,
            )
            return current, drift, rebuilt.mismatches, told
    finally:
        reader.close()
