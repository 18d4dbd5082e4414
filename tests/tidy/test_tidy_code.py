"""The code keeps the rules of the house, and each rule finds what breaks it."""

from __future__ import annotations

import ast

import pytest

from objlib_fsm.core.record import FileRecord
from tests.tidy import checks
from tests.tidy.repository import ROOT, python_files

RECORD_FIELDS = frozenset(FileRecord.__struct_fields__)

CHECKS: dict[str, checks.Check] = {
    "direction": checks.import_direction,
    "pure": checks.core_is_pure,
    "anyio": checks.anyio_only,
    "records": checks.only_the_fold_writes_records(RECORD_FIELDS),
    "documented": checks.documented,
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_package_keeps_the_rule(name: str) -> None:
    """Incidents 26 and 27: ten places wrote the state, each in its own way."""
    found = []
    for path in python_files("src"):
        where = path.relative_to(ROOT / "src").as_posix()
        found += CHECKS[name](ast.parse(path.read_text("utf-8")), where)
    assert not found, "\n" + "\n".join(found)


def test_no_file_is_too_long() -> None:
    found = []
    for path in python_files("src", "tests", "docs"):
        found += checks.short_enough(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
    assert not found, "\n" + "\n".join(found)


def test_a_file_too_long_is_found() -> None:
    assert checks.short_enough("x\n" * checks.FILE_LINES_MAX, "a.py") == []
    assert checks.short_enough("x\n" * (checks.FILE_LINES_MAX + 1), "a.py") == ["a.py: 501 lines, 500 are the limit"]


BREAKS = [
    # direction
    ("direction", "core/a.py", "from objlib_fsm.log.chain import link", "core must not import objlib_fsm.log.chain"),
    ("direction", "core/a.py", "from ..log import chain", "core must not import objlib_fsm.log.chain"),
    ("direction", "core/a.py", "from objlib_fsm import resources", "core must not import objlib_fsm.resources"),
    ("direction", "log/a.py", "import objlib_fsm.remote.port", "log must not import objlib_fsm.remote.port"),
    ("direction", "log/a.py", "from objlib_fsm import engine", "log must not import objlib_fsm.engine"),
    ("direction", "library/a.py", "def f():\n    from objlib_fsm.log import chain", ":2: library must not import"),
    ("direction", "remote/a.py", "from objlib_fsm.library.walk import walk", "remote must not import"),
    ("direction", "engine/a.py", "from objlib_fsm.cli import main", "engine must not import"),
    ("direction", "engine/a.py", "from objlib_fsm.emulator import app", "engine must not import"),
    ("direction", "emulator/a.py", "from objlib_fsm.core import ids", "emulator must not import objlib_fsm.core.ids"),
    ("direction", "emulator/a.py", "from objlib_fsm import __version__", "emulator must not import"),
    ("direction", "resources.py", "from objlib_fsm.core import ids", "the root must not import objlib_fsm.core.ids"),
    # pure
    ("pure", "core/a.py", "import time", "core must not import time, a module that is not known to be pure"),
    ("pure", "core/a.py", "from random import random", "core must not import random.random"),
    ("pure", "core/a.py", "import asyncio", "core must not import asyncio"),
    ("pure", "core/a.py", "from pathlib import Path", "core must not import pathlib.Path"),
    ("pure", "core/a.py", "import apsw", "core must not import apsw, a package"),
    ("pure", "core/a.py", "def f():\n    return open('x').read()", ":2: core must not call open()"),
    # anyio
    ("anyio", "engine/a.py", "import asyncio", "imports asyncio"),
    ("anyio", "engine/a.py", "def f():\n    from asyncio import sleep", ":2: imports asyncio"),
    # records
    ("records", "engine/a.py", "record.state = 1", "only the fold may assign record.state"),
    ("records", "engine/a.py", "self.record.due_at_us += 1", "only the fold may assign record.due_at_us"),
    ("records", "log/a.py", "def f(r: FileRecord) -> None:\n    r.wanted = False", ":2: only the fold"),
    ("records", "log/a.py", "def f(r: 'FileRecord | None'):\n    r.path = p", "only the fold may assign r.path"),
    ("records", "log/a.py", "r = FileRecord(stream)\nr.attempts, x = 1, 2", "only the fold may assign r.attempts"),
    ("records", "core/decide.py", "for record.version in x: pass", "only the fold may assign record.version"),
    ("records", "engine/a.py", "from objlib_fsm.core.steps import STEPS", "only the fold may use"),
    ("records", "engine/a.py", "from objlib_fsm.core import changes", "only the fold may use"),
    # documented
    ("documented", "a.py", "x = 1", "the module has no docstring"),
    ("documented", "a.py", "'''A.'''\ndef f(): ...", "f has no docstring"),
    ("documented", "a.py", "'''A.'''\nasync def f(): ...", "f has no docstring"),
    ("documented", "a.py", "'''A.'''\nclass C: ...", "C has no docstring"),
    ("documented", "a.py", "'''A.'''\nclass C:\n    '''C.'''\n    def f(self): ...", "C.f has no docstring"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "place", "source", "finding"), BREAKS)
def test_what_breaks_a_rule_is_found(name: str, place: str, source: str, finding: str) -> None:
    found = CHECKS[name](ast.parse(source), f"objlib_fsm/{place}")
    assert any(finding in line for line in found), found


KEEPS = [
    ("direction", "cli/a.py", "from objlib_fsm.engine import run\nfrom objlib_fsm.emulator import app"),
    ("direction", "engine/a.py", "from objlib_fsm import __version__\nfrom objlib_fsm.log import chain"),
    ("direction", "log/a.py", "from objlib_fsm.resources import migrations\nfrom . import chain\nimport apsw"),
    ("direction", "core/a.py", "from .ids import EventId"),
    ("pure", "core/a.py", "import msgspec, re\nfrom objlib_fsm.core import ids\nfrom transitions import Machine"),
    ("pure", "log/a.py", "import time"),
    ("anyio", "engine/a.py", "import anyio"),
    ("records", "core/steps.py", "record.state = 1"),
    ("records", "engine/a.py", "record.other = 1\nx.state = record.state"),
    ("records", "engine/a.py", "def f(rows: list[FileRecord]): rows.path = 1"),
    ("documented", "a.py", "'''A.'''\ndef _f(): ...\nclass _C:\n    def f(self): ..."),
    ("documented", "a.py", "'''A.'''\n@overload\ndef f(x: int) -> int: ..."),
]


@pytest.mark.parametrize(("name", "place", "source"), KEEPS)
def test_what_keeps_a_rule_is_left_alone(name: str, place: str, source: str) -> None:
    assert CHECKS[name](ast.parse(source), f"objlib_fsm/{place}") == []


def test_reading_a_record_in_a_loop_is_no_writing() -> None:
    source = "def f(r: FileRecord):\n    return [d for d in r.documents if d.state == r.state]"
    assert CHECKS["records"](ast.parse(source), "objlib_fsm/engine/a.py") == []
