"""How far the log once went, beside the log: a log that was restored from an old copy does not know it.

Disposable and never believed for more than a doubt: without it, or with one that cannot be read, nothing is doubted.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from objlib_fsm.log.sqlite import SqliteReader

POSITION_MAX: Final = (1 << 63) - 1
"""The largest number that SQLite stores."""


def witness_for(log: Path) -> Path:
    """Its place."""
    return log.with_name(f"{log.name}.head")


def testify(log: SqliteReader) -> None:
    """Write down the last event's position and hash."""
    last = log.rows("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1")
    with contextlib.suppress(OSError):
        file = os.open(witness_for(log.path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as out:
            out.writelines(f"{position} {digest.hex()}\n" for position, digest in last)


def was_replaced(log: SqliteReader) -> bool:
    """Whether the log is not the one that went so far: it was restored from a copy, or cut."""
    try:
        position, digest = witness_for(log.path).read_text("ascii").split()
        known = int(position)
    except (OSError, ValueError):
        return False
    if not 0 < known <= POSITION_MAX:
        return False
    rows = log.rows("SELECT hash FROM events WHERE position = ?", (known,))
    return not rows or rows[0][0].hex() != digest
