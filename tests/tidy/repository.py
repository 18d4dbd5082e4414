"""The files of the repository as the checks read them."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


def python_files(*folders: str) -> list[Path]:
    """All Python files below *folders*, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@functools.cache
def text_files() -> dict[str, str]:
    """Text by path of every file that git tracks or would track, binary files left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    found = {}
    for name in filter(None, names):
        path = ROOT / name
        if not path.is_file():  # removed, and the removal not committed yet
            continue
        content = path.read_bytes()
        if b"\0" not in content:
            found[name] = content.decode("utf-8", "replace")
    return found
