"""The reference of the command line: what ``--help`` of every command really prints."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from generator.text import page as make_page

SOURCES: Final = Path(__file__).resolve().parents[2] / "src"
COLUMNS: Final = 100
PROGRAM: Final = "objlib-fsm"


def help_of(*command: str) -> str:
    """What ``objlib-fsm COMMAND --help`` prints on a terminal of `COLUMNS` columns without colour."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(SOURCES),
        "COLUMNS": str(COLUMNS),
        "TERM": "dumb",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "objlib_fsm", *command, "--help"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} --help: exit code {done.returncode}\n{done.stderr}")
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def names() -> list[str]:
    """The commands in the order of the program's own help."""
    listed = help_of().partition("\nCommands:\n")[2].partition("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines() if line[2:3] not in ("", " ")]


def page() -> str:
    """The page."""
    commands = names()
    with ThreadPoolExecutor(2) as pool:
        helps = list(pool.map(lambda name: help_of(name), commands))
    parts = [
        "What `--help` of every command prints. Options that several commands share may stand before or after the "
        "command. Results go to stdout, everything else to stderr.",
        "See also [exit codes](exit-codes.md), [JSON output](json.md) and [settings](environment.md).",
        f"## {PROGRAM}\n\n```text\n{help_of()}\n```",
    ]
    parts += [f"## {name}\n\n```text\n{text}\n```" for name, text in zip(commands, helps, strict=True)]
    return make_page("Commands", *parts)
