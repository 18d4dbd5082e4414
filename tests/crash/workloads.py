"""What a log does in its life, through the product's own functions: the machines cut the power in the middle of it.

``files`` says how much: an exhaustive sweep grows with its square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from objlib_fsm.log.contract import AppendRefused, LogError
from objlib_fsm.log.file import LogFile
from objlib_fsm.log.replay import put_in_place, rebuild
from objlib_fsm.log.sqlite import SqliteReader, connect, explained, migrate, open_for_writing
from objlib_fsm.resources import Migration, migrations
from tests.log.kit import append, fill, life, open_at, touched

Acknowledge = Callable[[str], None]
"""Called with the id of an event that the log has said is durable."""

Adjust = Callable[[LogFile], None]
"""Called with each log that a workload opens: the place of seeded defects."""

CHECKPOINT_PAGES: Final = 8
"""SQLite's own bound is 1,000; so small, a checkpoint comes every few appends."""

NEXT: Final = Migration(
    migrations()[-1].number + 1,
    "next",
    "CREATE TABLE more (position INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT; "
    "INSERT INTO more SELECT position, body FROM events; CREATE INDEX more_by_body ON more (body)",
)
"""A step that the next version of the program might bring: it writes as much as the log holds."""


def leave_alone(_: LogFile) -> None:
    """The product as it is."""


async def inline(function: Callable[..., Any], *arguments: Any) -> Any:
    """`run_sync` in the caller's thread: a disk of the tests sees one operation at a time."""
    return function(*arguments)


def opened(path: Path, acknowledge: Acknowledge, adjust: Adjust) -> LogFile:
    """The log, made when it is not there."""
    log = open_at(path, run_sync=inline)
    try:
        adjust(log)
        acknowledge(log.since(0, 1)[0].id)
    except BaseException:
        log.close()
        raise
    return log


def add(log: LogFile, first: int, files: int, acknowledge: Acknowledge) -> None:
    """Lives of files: single appends, and every third file in one group."""
    for number in range(first, first + files):
        appends = life(f"file{number}", f"folder/{number:04}.txt")
        if number % 3 == 0:
            outcomes = log.append_many_now(appends)
        else:
            outcomes = [log.append_now(one) for one in appends]
        for one, outcome in zip(appends, outcomes, strict=True):
            assert not isinstance(outcome, AppendRefused), outcome
            for new in one.events:
                acknowledge(new.id)


def appends(path: Path, acknowledge: Acknowledge, adjust: Adjust, files: int = 2) -> None:
    """A new log, and events until it is closed: nothing but the write-ahead log until then."""
    log = opened(path, acknowledge, adjust)
    try:
        add(log, 0, 3 * files, acknowledge)
    finally:
        log.close()


def checkpoints(path: Path, acknowledge: Acknowledge, adjust: Adjust, files: int = 2) -> None:
    """Events with a checkpoint every few of them, a reader that holds some up, and the log closed in between."""
    for turn in range(files):
        log = opened(path, acknowledge, adjust)
        try:
            log._writer.connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            add(log, 10 * turn, files, acknowledge)
            with log.snapshot():
                log.head()
                add(log, 10 * turn + 3, files, acknowledge)
            with explained(path):
                log._writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            add(log, 10 * turn + 6, files, acknowledge)
        finally:
            log.close()


def rebuilds(path: Path, acknowledge: Acknowledge, adjust: Adjust, files: int = 2) -> None:
    """`replay` beside a program that appends: the whole projection is written anew."""
    log = opened(path, acknowledge, adjust)
    try:
        add(log, 0, 2 * files, acknowledge)
        other = SqliteReader(open_for_writing(path), path)
        try:
            with other.snapshot():
                rebuilt = rebuild(other)
            add(log, 2 * files, files, acknowledge)
            put_in_place(other, rebuilt)
            one = append("file0", 4, touched(9))
            log.append_now(one)
            acknowledge(one.events[0].id)
        finally:
            other.close()
    finally:
        log.close()


def migration(path: Path, acknowledge: Acknowledge, adjust: Adjust, files: int = 2) -> None:
    """A log that a newer program opens, whose format has one step more."""
    log = opened(path, acknowledge, adjust)
    try:
        add(log, 0, 2 * files, acknowledge)
    finally:
        log.close()
    step_forward(path)


def step_forward(path: Path) -> None:
    """Bring the log to the format after the newest.  Raises `LogError`."""
    with explained(path):
        connection = connect(path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            migrate(connection, (*migrations(), NEXT))
        finally:
            connection.close()


WORKLOADS: Final = {"appends": appends, "checkpoints": checkpoints, "rebuilds": rebuilds, "migration": migration}


def all_ids(log: LogFile) -> Iterator[str]:
    """The id of every event."""
    for recorded in log.since(0, 1 << 40):
        yield recorded.id


__all__ = ["WORKLOADS", "LogError", "all_ids", "fill", "inline", "leave_alone", "opened", "step_forward"]
