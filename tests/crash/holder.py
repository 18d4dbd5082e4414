"""A process that has a log open, with events in its write-ahead log: ``python -m tests.crash.holder FILE``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.log.kit import fill, open_at

FILES = 5


@contextlib.contextmanager
def holding(path: Path) -> Iterator[None]:
    """For the length of the block; then it closes the log and ends."""
    command = [sys.executable, "-m", "tests.crash.holder", os.fspath(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield
    finally:
        process.communicate(timeout=60)
    assert process.returncode == 0


if __name__ == "__main__":
    log = open_at(Path(sys.argv[1]))
    fill(log, FILES)
    sys.stdout.write("open\n")
    sys.stdout.flush()
    sys.stdin.read()
    log.close()
