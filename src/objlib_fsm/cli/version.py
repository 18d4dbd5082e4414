"""What ``--version`` shows."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from objlib_fsm import __version__
from objlib_fsm.cli.console import Console


def show_version(console: Console) -> None:
    """Versions of the program and of what it rests on."""
    import apsw

    versions = {
        "objlib-fsm": __version__,
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "apsw": apsw.apsw_version(),
        "google-genai": _installed("google-genai"),
    }
    if console.json_mode:
        console.result({"type": "version", "schema": 1, **versions})
        return
    program, *others = versions.items()
    console.out(f"{program[0]} {program[1]} ({', '.join(f'{name} {number}' for name, number in others)})")


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
