"""The schemas say what the program really writes: every document of ``--json`` and every event of a real log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from objlib_fsm.cli.messages import MESSAGES
from objlib_fsm.core.table import Kind
from objlib_fsm.resources import schema_dir
from tests.adopt.schema import SCHEMA_12
from tests.docs.kit import ROOT
from tests.docs.schema_subset import problems

SCHEMAS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(schema_dir().glob("*.json"))}
BY_TYPE = {str(message.__struct_config__.tag): message for message in MESSAGES}


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8", **more}


def run(folder: Path, *arguments: str, **more: str) -> list[dict[str, Any]]:
    """The documents that a command wrote."""
    command = [sys.executable, "-m", "objlib_fsm", *arguments, "--json"]
    done = subprocess.run(
        command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=60, check=False
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def legacy_database(folder: Path) -> Path:
    """A database of the earlier tool that knows one of the files."""
    path = folder / "legacy.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA_12)
        db.execute("INSERT INTO library_config VALUES ('gemini_store_name', 'fileSearchStores/old')")
        row = ("/old/undo.md", "ab" * 32, "undo.md", 7, "indexed", "aaaaaaaaaaaa-bbbbbbbbbbbb", "no time")
        columns = "file_path, content_hash, filename, file_size, gemini_state, gemini_store_doc_id, upload_timestamp"
        db.execute(f"INSERT INTO files ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("INSERT INTO files (file_path, content_hash, filename, file_size) VALUES ('/old/x', '', 'x', 1)")
        db.commit()
    return path


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each command writes, in a small library with a file that is left out."""
    folder = tmp_path_factory.mktemp("library")
    notes = folder / "notes"
    notes.mkdir()
    (notes / "undo.md").write_text("# Undo\n\nTo undo a run, delete the store.\n")
    (notes / "empty.txt").write_text("")
    found = run(folder, "run", "notes", "--dry-run")
    found += run(folder, "run", "notes")
    (notes / "backup.txt").write_text("Backups are kept for 30 days.\n")
    for arguments in (
        ("run", "--prune"),
        ("scan",),
        ("run",),
        ("status",),
        ("status", "--state", "excluded"),
        ("status", "--duplicates"),
        ("replay", "--check"),
        ("replay", "--as-of", "5"),
        ("audit", "notes/undo.md"),
        ("ask", "How do I undo a run?"),
        ("forget", "notes/backup.txt", "notes/undo.md"),
        ("forget", "notes/backup.txt"),
        ("track", "notes/undo.md"),
        ("store-sync",),
        ("check",),
        ("store", "list"),
        ("store", "create", "--db", "another.db", "--store", "another"),
        ("backup",),
        ("doctor", "--offline"),
        ("config", "show"),
        ("adopt", str(legacy_database(folder)), "--root", "notes", "--db", "adopted.db"),
        ("--version",),
        ("audit", "nothing-like-it"),
        ("status", "--state", "lost"),
    ):
        found += run(folder, *arguments)
    found += until(folder, "watching", "watch")
    found += until(folder, "listening", "emulator", "--port", "0")
    found.append({"$log": str(folder / ".objlib" / "log.db")})
    return found


def until(folder: Path, last: str, *arguments: str) -> list[dict[str, Any]]:
    """What a command that does not end by itself says, up to a document of that type."""
    command = [sys.executable, "-m", "objlib_fsm", *arguments, "--json"]
    said: list[dict[str, Any]] = []
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        while not said or said[-1]["type"] != last:
            said.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    return said


def test_documents_fit_their_schemas(documents: list[dict[str, Any]]) -> None:
    for document in documents[:-1]:
        schema = SCHEMAS[f"message-{document['type']}"]
        assert list(problems(document, schema, schema)) == [], document


def test_documents_are_what_the_structs_say(documents: list[dict[str, Any]]) -> None:
    for document in documents[:-1]:
        struct = BY_TYPE[document["type"]]
        read = msgspec.json.decode(json.dumps(document), type=struct)
        again = msgspec.to_builtins(read, str_keys=True, builtin_types=())
        lost = set(document) - set(json.loads(json.dumps(again)))
        assert not lost, f"{document['type']}: {lost} is in no struct"


def test_every_document_was_tried(documents: list[dict[str, Any]]) -> None:
    # A short run on the local store never waits, and resumed work is never late.
    assert set(BY_TYPE) - {document.get("type") for document in documents} == {"waiting", "resumed_late"}


def test_the_events_of_a_real_log_fit_their_schema(documents: list[dict[str, Any]]) -> None:
    schema = SCHEMAS["events"]
    log = apsw.Connection(
        f"file:{documents[-1]['$log']}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    seen = set()
    for kind, version, body in log.execute("SELECT kind, schema, body FROM events"):
        seen.add(Kind(kind))
        row = {"kind": kind, "schema": version, "body": json.loads(body)}
        assert list(problems(row, schema, schema)) == [], Kind(kind).label
    log.close()
    assert {Kind.FILE_DISCOVERED, Kind.FILE_INDEXED, Kind.STORE_PINNED, Kind.LEASE_TAKEN} <= seen


def test_every_kind_has_a_schema_with_its_code() -> None:
    defs = SCHEMAS["events"]["$defs"].values()
    assert {d["x-code"]: d["x-kind"] for d in defs if "x-code" in d} == {int(k): k.label for k in Kind}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"exit_code": "0"}, "$.exit_code: '0' is no integer"),
        ({"schema": 2}, "$.schema: is 2, not 1"),
        ({"type": "sum"}, "$.type: 'sum' is not one of ['summary']"),
        ({"surprise": 1}, "$: surprise is in no schema"),
        ({"failures": [{"cause": "x", "files": 1}]}, "$.failures[0]: example is missing"),
        ({"next_due_at": 5}, "$.next_due_at: fits 0 of anyOf"),
    ],
)
def test_a_wrong_document_is_noticed(documents: list[dict[str, Any]], change: dict[str, Any], wrong: str) -> None:
    summary = next(document for document in documents if document.get("type") == "summary")
    schema = SCHEMAS["message-summary"]
    assert [problem for problem in problems(summary | change, schema, schema) if problem.startswith(wrong)]
