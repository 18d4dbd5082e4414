"""The pages as tests see them: links, headings, code blocks, and the sessions in them that can be run.

A fenced block ``console`` is run, in the order of the page, by one shell in an empty folder, with `objlib-fsm` and
`python` on its path and no API key.  Lines that begin with ``$ `` are commands (``> `` continues one); the others are
what they print, compared without regard to numbers and to the width of blanks.  ``...`` stands for anything in a line,
and alone for any lines.  A command must end with 0 unless the next one is ``echo $?``.  A block inside a comment
(``<!--``) is run and not shown.  A block of another language (``sh``, ``text``) is not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"

SESSION_TIMEOUT_S: Final = 90
"""A page's session takes a few seconds; past this it hangs."""

_BLOCK: Final = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_PROGRESS: Final = re.compile(r"^\d+/\d+ files  \d+ %")
_NUMBER: Final = re.compile(r"\d[\d,.:]*")


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    text: str


class Command(NamedTuple):
    """A command of a session and the lines that it is to print."""

    text: str
    expected: list[str]


def pages() -> list[Path]:
    """All Markdown pages that users read."""
    top = [path for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md") if (path := ROOT / name).exists()]
    return top + sorted(DOCS.rglob("*.md"))


def name_of(page: Path) -> str:
    """The page's path in the repository, for messages."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text("utf-8"))]


def links(page: Path) -> list[str]:
    """The targets of all links outside code."""
    return _LINK.findall(_BLOCK.sub("", page.read_text("utf-8")))


def anchors(page: Path) -> set[str]:
    """The anchors that headings get, as GitHub makes them."""
    made: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", _BLOCK.sub("", page.read_text("utf-8")), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower().replace(" ", "-")
        anchor = re.sub(r"[^\w-]", "", plain)
        number, unique = 0, anchor
        while unique in made:
            number += 1
            unique = f"{anchor}-{number}"
        made.add(unique)
    return made


def session(page: Path) -> list[Command]:
    """The commands of all ``console`` blocks, in order."""
    return [c for block in blocks(page) if block.language == "console" for c in commands(block.text)]


def commands(text: str, prompt: str = "$ ") -> Iterator[Command]:
    """The commands of a block, which begin with *prompt*."""
    current: Command | None = None
    for line in text.splitlines():
        if line.startswith(prompt):
            if current:
                yield current
            current = Command(line.removeprefix(prompt), [])
        elif current is not None and (line == ">" or line.startswith("> ")) and not current.expected:
            current = Command(f"{current.text}\n{line[2:]}", [])
        else:
            assert current is not None, f"a console block begins with a command, not with {line!r}"
            current.expected.append(line)
    if current:
        yield current


class Ran(NamedTuple):
    """What a command of a session did."""

    code: int
    printed: list[str]


def run_session(session: list[Command], folder: Path) -> list[Ran]:
    """Run a session in one shell in *folder*; what each printed on both streams."""
    programs = folder.with_name(f"{folder.name}-bin")
    programs.mkdir()
    for program, arguments in (("objlib-fsm", "-m objlib_fsm"), ("python", "")):
        path = programs / program
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        path.chmod(0o755)
    mark = "@@done@@"
    script = ["trap 'kill $(jobs -p) 2>/dev/null' EXIT"]
    for command in session:
        script += [command.text, f"__code=$?; printf '\\n{mark} %d\\n' $__code; (exit $__code)"]
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "HOME": str(folder),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SESSION_TIMEOUT_S,
        check=False,
    )
    pieces = re.split(rf"\n{mark} (\d+)\n", done.stdout)
    ran = []
    for printed, code in zip(pieces[::2], pieces[1::2], strict=False):
        ran.append(Ran(int(code), [line for line in printed.splitlines() if not _PROGRESS.match(line)]))
    return ran


def fits(expected: list[str], printed: list[str]) -> bool:
    """Whether what was printed is what the page shows."""
    if not expected:
        return True
    parts = [r"(?:.*\n)*?" if line.strip() == "..." else _line(line) + r"\n" for line in expected]
    text = "".join(" ".join(line.split()) + "\n" for line in printed)
    return re.fullmatch("".join(parts), text) is not None


def _line(line: str) -> str:
    pieces = " ".join(line.split()).split("...")
    return ".*".join(r"[\d,.:]+".join(map(re.escape, _NUMBER.split(piece))) for piece in pieces)
