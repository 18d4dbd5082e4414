"""What goes wrong below the commands: damaged files and full disks end with a message and their exit code."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.support.command import COMMAND, TIMEOUT_S, Place, environment


@pytest.fixture
def indexed(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.write("a.txt")
    place.ok("run", "docs")
    return place


def test_replay_finds_a_page_that_no_event_is_on(indexed: Place) -> None:
    with contextlib.closing(sqlite3.connect(indexed.log)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        page_bytes = db.execute("PRAGMA page_size").fetchone()[0]
        root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events_by_id'").fetchone()[0]
    sound = indexed.log.read_bytes()
    indexed.log.write_bytes(sound[: (root - 1) * page_bytes] + bytes(page_bytes) + sound[root * page_bytes :])
    assert indexed.run("replay", "--check").code == 7
    indexed.log.write_bytes(sound)
    assert indexed.run("replay", "--check").code == 0


@pytest.mark.parametrize("command", ["run", "scan", "status", "replay"])
def test_a_record_that_cannot_be_read_is_damage_and_no_defect(indexed: Place, command: str) -> None:
    with contextlib.closing(sqlite3.connect(indexed.log)) as db, db:
        db.execute("UPDATE files SET record = '{'")
    done = indexed.run(command)
    assert done.code in ((0,) if command in ("status", "replay") else (7,)), done.err
    assert "Traceback" not in done.err
    assert "defect" not in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [("status",), ("status", "--json"), ("run", "--json")], ids=" ".join)
def test_a_full_disk_behind_stdout_is_an_error_and_no_traceback(indexed: Place, words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=indexed.folder,
            env=environment(indexed.folder),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 6, done.stderr
    assert b"Traceback" not in done.stderr


def test_json_without_a_stdout_ends_like_any_run(indexed: Place) -> None:
    words = " ".join((*COMMAND, "run", "--json", ">&-"))
    done = subprocess.run(
        ["sh", "-c", words], cwd=indexed.folder, env=environment(indexed.folder), capture_output=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("pages", [0, 1])
def test_a_program_that_was_killed_while_it_made_the_log_is_followed_by_one_that_makes_it(
    tmp_path: Path, pages: int
) -> None:
    place = Place(tmp_path)
    place.write("a.txt")
    place.log.parent.mkdir()
    with contextlib.closing(sqlite3.connect(place.log)) as db:
        if pages:
            db.execute("PRAGMA journal_mode=WAL").fetchall()
    place.log.touch()
    assert place.run("status").code == 10
    assert place.ok("run", "docs", "--dry-run").code == 0
    assert place.ok("run", "docs", "--json").lines[-1]["indexed"] == 1
