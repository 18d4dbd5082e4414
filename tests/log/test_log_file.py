"""The log's file: what it is on disk, who may open it, and what is said when it cannot be used."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from objlib_fsm.log.contract import Expect, LogDamaged, LogError, LogTooNew, LogUnavailable, NoLog
from objlib_fsm.log.file import LogFile
from objlib_fsm.log.sqlite import APPLICATION_ID, SqliteReader, migrate, open_for_reading, open_for_writing
from objlib_fsm.resources import Migration, migrations
from tests.log.kit import append, check, discovered, fill, open_at, settle, tamper, touched

NEWEST = migrations()[-1].number


# ---- on disk -------------------------------------------------------------------------------------------------------


def test_any_sqlite_tool_can_tell_what_it_is(log: LogFile) -> None:
    db = sqlite3.connect(log.path)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert APPLICATION_ID.to_bytes(4, "big") == b"OBLF"
    assert db.execute("PRAGMA user_version").fetchone() == (NEWEST,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA encoding").fetchone() == ("UTF-8",)
    tables = db.execute("PRAGMA table_list").fetchall()
    ours = {name: strict for schema, name, _, _, _, strict in tables if schema == "main" and "sqlite_" not in name}
    assert ours == dict.fromkeys(("events", "files", "names", "projection"), 1)
    db.close()


def test_each_commit_is_synced(log: LogFile) -> None:
    assert log._writer.connection.pragma("synchronous") == 2


def test_it_is_the_owners_business(log_path: Path) -> None:
    before = os.umask(0)
    try:
        log = open_at(log_path)
        fill(log, 2)
        files = sorted(log_path.parent.iterdir())
        assert [file.name for file in files] == ["log.db", "log.db-shm", "log.db-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE(log_path.parent.stat().st_mode) == 0o700
        log.close()
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE events SET body = '{}' WHERE position = 2",
        "UPDATE events SET hash = x'00'",
        "DELETE FROM events WHERE position = 3",
        "DELETE FROM events",
        "REPLACE INTO events SELECT * FROM events WHERE position = 2",
    ],
)
def test_events_are_append_only_even_for_our_own_connection(log: LogFile, sql: str) -> None:
    fill(log, 1)
    with pytest.raises(apsw.ConstraintError, match="append-only"):
        log._writer.connection.execute(sql)
    check(log)


def test_a_column_takes_only_what_belongs_there(log: LogFile) -> None:
    with pytest.raises(apsw.ConstraintError, match="cannot store TEXT"):
        log._writer.connection.execute("UPDATE files SET version = 'x'; INSERT INTO projection VALUES (1,'a',0,0,'')")


def test_a_log_that_another_process_is_just_making_is_waited_for(log_path: Path) -> None:
    """SQLite itself gives up at once here: the file is not a write-ahead log yet."""
    log_path.parent.mkdir()
    other = apsw.Connection(str(log_path))
    other.execute("BEGIN IMMEDIATE; CREATE TABLE half_made (x)")
    opened: list[LogFile] = []
    opening = threading.Thread(target=lambda: opened.append(open_at(log_path)))
    opening.start()
    opening.join(0.2)
    assert opening.is_alive()
    other.execute("ROLLBACK")
    opening.join(20)
    assert not opening.is_alive()
    other.close()
    check(opened[0])
    opened[0].close()


# ---- formats -------------------------------------------------------------------------------------------------------


def test_a_step_that_fails_leaves_the_format_before(log: LogFile) -> None:
    fill(log, 1)
    settle(log)
    steps = [*migrations(), Migration(NEWEST + 1, "broken", "CREATE TABLE half (x) STRICT; CREATE TABLE events (y)")]
    db = apsw.Connection(str(log.path))
    with pytest.raises(apsw.SQLError):
        migrate(db, steps)
    assert not db.in_transaction
    assert db.pragma("user_version") == NEWEST
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").get == 0
    db.close()
    again = open_at(log.path)
    check(again)
    again.close()


def test_steps_only_go_forward_and_each_once(log: LogFile) -> None:
    settle(log)
    step = Migration(NEWEST + 1, "more", "CREATE TABLE more (x INTEGER) STRICT; INSERT INTO more VALUES (1)")
    db = apsw.Connection(str(log.path))
    for _ in range(2):
        migrate(db, [*migrations(), step])
    assert db.execute("SELECT count(*) FROM more").get == 1
    assert db.pragma("user_version") == NEWEST + 1
    migrate(db, migrations())
    assert db.pragma("user_version") == NEWEST + 1
    db.close()


def test_a_log_of_a_newer_program_is_left_alone(log: LogFile) -> None:
    settle(log)
    tamper(log.path, f"PRAGMA user_version = {NEWEST + 1}")
    before = log.path.read_bytes()
    for use in _ways_to_open(log.path):
        with pytest.raises(LogTooNew, match=f"format {NEWEST + 1}.*up to {NEWEST}") as caught:
            use()
        assert "newest version" in caught.value.hint
        assert caught.value.exit_code == 7
    assert log.path.read_bytes() == before


# ---- not a log -----------------------------------------------------------------------------------------------------


def _ways_to_open(path: Path) -> list[Callable[[], object]]:
    return [lambda: open_for_reading(path), lambda: open_for_writing(path), lambda: open_at(path)]


def test_there_is_none(log_path: Path) -> None:
    for use in _ways_to_open(log_path)[:2]:
        with pytest.raises(NoLog, match=r"log\.db: there is no log") as caught:
            use()
        assert "objlib-fsm run" in caught.value.hint
        assert caught.value.exit_code == 10
    assert not log_path.parent.exists()


def _text(path: Path) -> None:
    path.write_text("this is a letter to my aunt, and it is quite long\n" * 100)


def _short_text(path: Path) -> None:
    path.write_text("hello\n")


def _zeros(path: Path) -> None:
    path.write_bytes(b"\0" * 8192)


def _other(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE notes (text)")
    db.commit()
    db.close()


def _other_with_id(path: Path) -> None:
    _other(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA application_id = 252006673")
    db.close()


@pytest.mark.parametrize("make", [_text, _short_text, _zeros, _other, _other_with_id])
def test_a_file_that_is_no_log_is_named_and_left_alone(log_path: Path, make: Callable[[Path], None]) -> None:
    log_path.parent.mkdir()
    make(log_path)
    before = log_path.read_bytes()
    for use in _ways_to_open(log_path):
        with pytest.raises(LogDamaged, match=str(log_path)) as caught:
            use()
        assert caught.value.hint
    assert log_path.read_bytes() == before
    assert [file.name for file in log_path.parent.iterdir()] == ["log.db"]


def test_whoever_only_reads_a_file_with_nothing_in_it_makes_no_log_of_it(log_path: Path) -> None:
    log_path.parent.mkdir()
    log_path.touch()
    with pytest.raises(NoLog, match="nothing in this file"):
        open_for_reading(log_path)
    assert log_path.stat().st_size == 0


def test_an_empty_file_becomes_a_log(log_path: Path) -> None:
    log_path.parent.mkdir()
    log_path.touch()
    log = open_at(log_path)
    assert log.head() == 1
    check(log)
    log.close()


def test_a_directory_is_no_log(log_path: Path) -> None:
    log_path.mkdir(parents=True)
    for use in _ways_to_open(log_path):
        with pytest.raises(LogUnavailable, match=str(log_path)):
            use()


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    with pytest.raises(LogUnavailable, match="cannot be created") as caught:
        open_at(tmp_path / "folder" / "log.db")
    assert caught.value.exit_code == 6


_AS_SOMEBODY = """
    import os, sys
    from tests.log.kit import append, discovered, open_at
    from objlib_fsm.log.contract import Expect, LogError, LogUnavailable
    from objlib_fsm.log.sqlite import open_for_reading, open_for_writing
    from pathlib import Path
    path = Path(sys.argv[1])
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
    for use in (open_for_writing, open_at):
        try:
            use(path)
        except LogUnavailable as error:
            assert error.exit_code == 6 and error.hint and str(path) in str(error), (error, error.hint)
            print(error)
        else:
            raise SystemExit(f"{use} could use it")
"""


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o500, 0o400), (0o500, 0o600), (0o700, 0o400), (0, 0o600)])
def test_without_permission_it_says_so(tmp_path: Path, folder_mode: int, file_mode: int) -> None:
    path = tmp_path / "log.db"
    settle(_filled(path))
    public = Path("/tmp") / f"objlib-fsm-test-{os.getpid()}-{folder_mode:o}-{file_mode:o}"
    public.mkdir()
    try:
        shutil.copy(path, public / "log.db")
        if os.geteuid() == 0:
            os.chown(public, 65534, 65534)
            os.chown(public / "log.db", 65534, 65534)
        os.chmod(public / "log.db", file_mode)
        os.chmod(public, folder_mode)
        command = [sys.executable, "-c", textwrap.dedent(_AS_SOMEBODY), str(public / "log.db")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        os.chmod(public, 0o700)
        shutil.rmtree(public)


def _filled(path: Path) -> LogFile:
    log = open_at(path)
    fill(log, 3)
    return log


def test_a_reader_needs_no_permission_to_write(log: LogFile) -> None:
    fill(log, 1)
    reader = SqliteReader(open_for_reading(log.path), log.path)
    with pytest.raises(apsw.ReadOnlyError):
        reader.connection.execute("DELETE FROM files")
    assert reader.head() == 5
    reader.close()


_READ_AS_SOMEBODY = """
    import os, sys
    from objlib_fsm.log.sqlite import SqliteReader, open_for_reading
    from pathlib import Path
    path = Path(sys.argv[1])
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
    assert not os.access(path.parent, os.W_OK, effective_ids=True)
    print(SqliteReader(open_for_reading(path), path).head())
"""


def test_a_copy_where_nothing_may_be_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    settle(_filled(path))
    public = Path("/tmp") / f"objlib-fsm-test-{os.getpid()}-read"
    public.mkdir()
    try:
        shutil.copy(path, public / "log.db")
        if os.geteuid() == 0:
            os.chown(public, 65534, 65534)
            os.chown(public / "log.db", 65534, 65534)
        os.chmod(public / "log.db", 0o400)
        os.chmod(public, 0o500)
        command = [sys.executable, "-c", textwrap.dedent(_READ_AS_SOMEBODY), str(public / "log.db")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert int(done.stdout) > 0
    finally:
        os.chmod(public, 0o700)
        shutil.rmtree(public)


def test_a_full_disk_is_said_and_harms_nothing(log: LogFile) -> None:
    fill(log, 1)
    db = log._writer.connection
    db.execute(f"PRAGMA max_page_count={db.pragma('page_count') + 2}")
    written = 0

    def append_for_ever() -> None:
        nonlocal written
        while True:
            log.append_now(append(f"more{written}", Expect.NO_STREAM, discovered(f"more/{written}.txt")))
            written += 1

    with pytest.raises(LogUnavailable, match="disk is full") as caught:
        append_for_ever()
    assert caught.value.exit_code == 6
    assert log.head() == 5 + written
    check(log)
    db.execute("PRAGMA max_page_count=1000000")
    log.append_now(append("file0", 4, touched()))
    check(log)


def test_errors_are_of_one_family() -> None:
    assert issubclass(LogDamaged, LogError)
    assert {kind("x").exit_code for kind in (LogDamaged, LogTooNew, NoLog, LogUnavailable)} == {7, 10, 6}
