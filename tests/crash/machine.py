"""What the machines have in common: a command line, seeds, a folder in memory, a last line that says how it went."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

MEMORY: Final = Path("/dev/shm")
"""Files here cost no sync.  What the machines vary is what a disk would have kept, not a real disk."""


class Found(AssertionError):
    """A promise that was not kept; the message begins with what reproduces it."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder, in memory where there is one."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="objlib-crash-", dir=place) as folder:
        yield Path(folder)


def main(name: str, run: Callable[..., str], what: str, **options: Any) -> int:
    """``python -m tests.crash.NAME``: each option has an integer default; prints the report of *run*; the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.crash.{name}", description=what, allow_abbrev=False)
    for option, default in {**options, "seed": 1}.items():
        flag = f"--{option.replace('_', '-')}"
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=type(default), default=default, metavar="N", help=f"default {default}")
    wanted = vars(parser.parse_args())
    began = time.monotonic()
    said = " ".join(f"--{option.replace('_', '-')} {value}" for option, value in wanted.items())
    sys.stdout.write(f"{name} {said}\n")
    sys.stdout.flush()
    try:
        report = run(**wanted)
    except Found as found:
        sys.stdout.write(f"FOUND {found}\n")
        return 1
    sys.stdout.write(f"{report}; {time.monotonic() - began:.1f} s\n")
    return 0
