"""The projection: it says what the fold says, it is noticed when it does not, and it can be thrown away."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import apsw
import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.ids import StreamId
from objlib_fsm.log import projection
from objlib_fsm.log.contract import Append, AppendResult, Expect, LogError
from objlib_fsm.log.file import LogFile
from objlib_fsm.log.replay import projection_drift, put_in_place, rebuild
from objlib_fsm.log.sqlite import SqliteReader, open_for_reading, open_for_writing
from tests.bench.workload import Lives
from tests.log.kit import append, check, discovered, fill, open_at, read_all, settle, stream, tamper, touched


@pytest.fixture
def filled(log: LogFile) -> Path:
    """A closed log of files in every stage of their life."""
    for appends in Lives(seed=3).files(45):
        outcomes = log.append_many_now(appends)
        assert all(isinstance(outcome, AppendResult) for outcome in outcomes)
    log.append_now(append("gone", Expect.NO_STREAM, discovered("gone.txt"), e.FileVanished()))
    log.append_now(append("unwanted", Expect.NO_STREAM, discovered("unwanted.txt"), e.FileForgotten()))
    settle(log)
    return log.path


def drift_of(path: Path) -> list[str]:
    """What differs."""
    reader = SqliteReader(open_for_reading(path), path)
    try:
        return projection_drift(reader, rebuild(reader))
    finally:
        reader.close()


def test_it_says_what_the_fold_says(filled: Path) -> None:
    assert drift_of(filled) == []


FIRST = "(SELECT min(stream) FROM files)"

TAMPERED: dict[str, str] = {
    "version": f"UPDATE files SET version = version + 1 WHERE stream = {FIRST}",
    "path": f"UPDATE files SET path = 'elsewhere' WHERE stream = {FIRST}",
    "state": f"UPDATE files SET state = (state + 1) % 5 WHERE stream = {FIRST}",
    "standing": f"UPDATE files SET standing = standing + 1 WHERE stream = {FIRST}",
    "open": f"UPDATE files SET open = 1 - open WHERE stream = {FIRST}",
    "due": f"UPDATE files SET due_at_us = 5 WHERE stream = {FIRST}",
    "expires": f"UPDATE files SET expires_at_us = 5 WHERE stream = {FIRST}",
    "record": f"UPDATE files SET record = replace(record, '\"state\":', '\"state\": ') WHERE stream = {FIRST}",
    "record is nonsense": f"UPDATE files SET record = '{{' WHERE stream = {FIRST}",
    "name of another": "UPDATE names SET stream = 'other' WHERE name = (SELECT min(name) FROM names)",
    "name lost": "DELETE FROM names WHERE name = (SELECT min(name) FROM names)",
    "name added": f"INSERT INTO names VALUES ('new', {FIRST})",
    "library": "UPDATE projection SET library = replace(library, 'library', 'librarx')",
    "library is nonsense": "UPDATE projection SET library = ''",
}
NOTICED_ON_OPEN: dict[str, str] = {
    "stream": f"UPDATE files SET stream = 'other' WHERE stream = {FIRST}; DELETE FROM files WHERE path = 'gone.txt'",
    "file lost": f"DELETE FROM files WHERE stream = {FIRST}",
    "file added": "INSERT INTO files SELECT 'new', 1, 'new', 0, 0, 0, NULL, NULL, record FROM files LIMIT 1",
    "behind": "UPDATE projection SET position = position - 1",
    "of another fold": "UPDATE projection SET fold_version = fold_version + 1",
    "no tip": "DELETE FROM projection",
    "nothing left": "DELETE FROM files; DELETE FROM names; DELETE FROM projection",
}


@pytest.mark.parametrize("what", [*TAMPERED, *NOTICED_ON_OPEN])
def test_whatever_was_changed_in_it_is_drift_and_can_be_put_right(filled: Path, what: str) -> None:
    sound = read_all(filled)
    tamper(filled, (TAMPERED | NOTICED_ON_OPEN)[what])
    assert drift_of(filled)
    writer = SqliteReader(open_for_writing(filled), filled)
    put_in_place(writer, rebuild(writer))
    writer.close()
    assert drift_of(filled) == []
    assert read_all(filled) == sound


@pytest.mark.parametrize("what", NOTICED_ON_OPEN)
def test_a_projection_that_is_not_current_is_rebuilt_when_the_log_is_opened(filled: Path, what: str) -> None:
    sound = read_all(filled)
    tamper(filled, NOTICED_ON_OPEN[what])
    reader = SqliteReader(open_for_reading(filled), filled)
    assert not reader.projection_is_current()
    reader.close()
    log = open_at(filled)
    assert log.projection_is_current()
    log.close()
    assert read_all(filled) == sound


def test_a_current_one_is_not_rebuilt(filled: Path) -> None:
    tamper(filled, f"UPDATE files SET due_at_us = 77 WHERE stream = {FIRST}")
    open_at(filled).close()
    assert len(drift_of(filled)) == 1


def test_it_is_written_in_the_events_transaction(log: LogFile) -> None:
    """A reader sees both or neither, at every moment of a commit."""
    fill(log, 1)
    seen: list[tuple[int, int, bool]] = []

    def look(*_: Any) -> None:
        reader = SqliteReader(open_for_reading(log.path), log.path)
        with reader.snapshot():
            record = reader.record(stream("file0"))
            assert record is not None
            seen.append((reader.head(), record.version, reader.projection_is_current()))
        reader.close()

    db = log._writer.connection
    db.set_update_hook(look)
    log.append_now(append("file0", 4, touched(1), touched(2)))
    db.set_update_hook(None)
    assert len(seen) > 3
    assert set(seen) == {(5, 4, True)}
    look()
    assert seen[-1] == (7, 6, True)


def test_what_is_appended_during_a_replay_is_folded_in(filled: Path) -> None:
    writer = SqliteReader(open_for_writing(filled), filled)
    rebuilt = rebuild(writer)
    log = open_at(filled)
    log.append_now(append("late", Expect.NO_STREAM, discovered("late.txt")))
    put_in_place(writer, rebuilt)
    assert log.by_path("late.txt") is not None
    log.append_now(append("late", 1, touched()))
    check(log)
    log.close()
    writer.close()


def test_putting_it_in_place_is_all_or_nothing(filled: Path) -> None:
    sound = read_all(filled)
    writer = SqliteReader(open_for_writing(filled), filled)
    rebuilt = rebuild(writer)
    writer.connection.set_commit_hook(lambda: True)
    with pytest.raises(LogError):
        put_in_place(writer, rebuilt)
    writer.close()
    assert read_all(filled) == sound


def test_an_empty_log_has_an_empty_projection(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.touch()
    writer = SqliteReader(open_for_writing(path), path)
    assert writer.projection_is_current()
    rebuilt = rebuild(writer)
    put_in_place(writer, rebuilt)
    assert writer.projection_is_current()
    assert (rebuilt.events, rebuilt.position, projection_drift(writer, rebuilt)) == (0, 0, [])
    assert (writer.head(), writer.library().library, writer.open_files()) == (0, "", [])
    writer.close()


def test_every_name_finds_its_file(filled: Path) -> None:
    reader = SqliteReader(open_for_reading(filled), filled)
    found = 0
    for record in reader.records():
        for name, _ in projection.names(record):
            assert reader.by_name(name) == record
            found += 1
    assert found > 80
    assert reader.by_name("nobody's") is None
    reader.close()


def test_a_name_that_two_files_claim_is_no_drift(log: LogFile) -> None:
    """A service that gives one document to two files: both histories say so, and replay agrees."""
    document = e.DocumentSeen(e.DocumentFact("fileSearchStores/s/documents/d", "STATE_ACTIVE"))  # type: ignore[arg-type]
    for name in "ba":
        log.append_now(append(name, Expect.NO_STREAM, discovered(f"{name}.txt"), document))
    check(log)
    found = log.by_name("d")
    assert found is not None
    assert found.stream == stream("a")


def test_records_can_be_asked_for_by_column(filled: Path) -> None:
    reader = SqliteReader(open_for_reading(filled), filled)
    excluded = list(reader.records("standing = ?", (projection.EXCLUDED,)))
    assert excluded
    assert all(record.excluded for record in excluded)
    assert [r.path for r in reader.records("standing = ?", (projection.MISSING,))] == ["gone.txt"]
    assert [r.path for r in reader.records("standing = ?", (projection.FORGOTTEN,))] == ["unwanted.txt"]
    reader.close()


def test_open_streams_are_those_with_a_next_effect(filled: Path) -> None:
    from objlib_fsm.core.effects import next_effect

    reader = SqliteReader(open_for_reading(filled), filled)
    due = {record.stream for record in reader.records() if next_effect(record, 0) is not None}
    assert {file.stream for file in reader.open_files()} == due
    reader.close()


def test_only_what_changed_is_written(log: LogFile) -> None:
    """An append that changes nothing but the record leaves the indexes alone."""
    source = random.Random(1)
    for number in range(300):
        path = f"{source.random()}.txt"
        log.append_now(append(f"f{number}", Expect.NO_STREAM, discovered(path)))
    db = log._writer.connection

    def pages_of(one: Append) -> int:
        before = db.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]
        log.append_now(one)
        return db.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0] - before

    assert pages_of(append("f7", 1, touched())) <= 8
    assert pages_of(append("f7", 2, e.FileForgotten())) <= 12


def test_many_files_in_one_go(log: LogFile) -> None:
    appends = [append(f"f{number}", Expect.NO_STREAM, discovered(f"{number}")) for number in range(1_000)]
    appends += [append(f"f{number}", 1, touched(number)) for number in range(0, 1_000, 3)]
    outcomes = log.append_many_now(appends)
    assert all(isinstance(outcome, AppendResult) for outcome in outcomes)
    check(log)
    assert log.record(StreamId(stream("f3"))) is not None
