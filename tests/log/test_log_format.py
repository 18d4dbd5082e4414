"""What docs/reference/log-format.md tells a person at a shell is true."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from objlib_fsm.log import chain
from objlib_fsm.log.file import LogFile

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "log-format.md"


def test_the_chain_is_what_the_page_says(log: LogFile) -> None:
    db = sqlite3.connect(log.path)
    before = hashlib.sha256(b"objlib-fsm event log 1").digest()
    rows = db.execute("SELECT * FROM events ORDER BY position").fetchall()
    db.close()
    assert rows
    for *columns, digest in rows:
        before = hashlib.sha256(before + "\n".join(map(str, columns)).encode()).digest()
        assert before == digest


def test_the_page_names_every_column_in_its_order(log: LogFile) -> None:
    db = sqlite3.connect(log.path)
    columns = [name for _, name, *_ in db.execute("PRAGMA table_info(events)")]
    db.close()
    told = re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8").partition("## Events")[2], re.MULTILINE)
    assert told == columns == [*chain.COLUMNS, "hash"]


def test_the_file_begins_as_the_page_says(log: LogFile) -> None:
    header = log.path.read_bytes()[:100]
    assert header[68:72] == b"OBLF"
    assert header[60:64] == b"\0\0\0\1"


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the worked example needs the SQLite shell")
def test_the_worked_example_gives_the_same_line_twice(log: LogFile) -> None:
    example = re.search(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert example is not None
    ran = subprocess.run(
        ["bash", "-c", example[1]],
        env={**os.environ, "LOG": str(log.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    mine, stored = ran.stdout.split()
    assert mine == stored
    assert re.fullmatch(r"[0-9a-f]{64}", mine)
