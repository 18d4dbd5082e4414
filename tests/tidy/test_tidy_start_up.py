"""Starting the program loads nothing that only some commands need."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("google.genai", "starlette", "uvicorn", "rich", "httpx2", "pydantic", "transitions")
"""Each takes 10 to 350 ms to import; `--help` has 150 ms for all."""


def loaded_by(statement: str) -> set[str]:
    """Which of the heavy modules a fresh interpreter has after *statement*."""
    program = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(HEAVY) & set(done.stdout.split())


def test_the_command_line_loads_no_heavy_module() -> None:
    assert loaded_by("import objlib_fsm.cli.main") == set()


def test_the_core_alone_loads_no_heavy_module_but_its_own() -> None:
    assert loaded_by("import objlib_fsm.core.decide, objlib_fsm.core.effects, objlib_fsm.core.fold") <= {"transitions"}


@pytest.mark.parametrize("module", HEAVY)
def test_a_heavy_module_is_seen(module: str) -> None:
    assert module in loaded_by(f"import {module}")
