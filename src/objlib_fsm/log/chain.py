"""The hash chain: no event can be changed, removed or put in without its being seen.

Each event's hash is SHA-256 over the 32 bytes of the hash before it and the row's text: the columns in their order,
each followed by a line feed, the body last and without one.  No column but the body can hold a line feed, so no two
rows have the same text.  Anybody can check it with a SQLite shell and ``sha256sum``.
"""

from __future__ import annotations

import hashlib
from typing import Final

GENESIS: Final = hashlib.sha256(b"objlib-fsm event log 1").digest()
"""The hash before the first event."""

COLUMNS: Final = (
    "position",
    "stream",
    "origin",
    "version",
    "kind",
    "schema",
    "state",
    "recorded_at_us",
    "event_id",
    "run",
    "actor",
    "causation",
    "body",
)

ROW_TEXT: Final = f"concat_ws(char(10), {', '.join(COLUMNS)})"
"""The text that a row's hash covers, as SQLite expression."""

_FORMAT: Final = "\n".join(["%s"] * len(COLUMNS))


def row_text(columns: tuple[int | str, ...]) -> str:
    """The same text from the values of `COLUMNS`."""
    return _FORMAT % columns


def link(before: bytes, text: str) -> bytes:
    """The hash of the row with this text, after the row with hash *before*."""
    return hashlib.sha256(before + text.encode("utf-8")).digest()
