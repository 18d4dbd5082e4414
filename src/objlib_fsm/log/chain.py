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

ROW_TEXT: Final = (
    "position||char(10)||stream||char(10)||version||char(10)||kind||char(10)||schema||char(10)||state||char(10)"
    "||recorded_at_us||char(10)||event_id||char(10)||run||char(10)||actor||char(10)||causation||char(10)||body"
)
"""The same text as `row_text`, as SQLite expression: made in C, replay is a third faster with it."""


def row_text(
    position: int,
    stream: str,
    version: int,
    kind: int,
    schema: int,
    state: int,
    recorded_at_us: int,
    event_id: str,
    run: str,
    actor: str,
    causation: str,
    body: str,
) -> str:
    """The text of a row that its hash covers."""
    return (
        f"{position}\n{stream}\n{version}\n{kind}\n{schema}\n{state}\n{recorded_at_us}\n"
        f"{event_id}\n{run}\n{actor}\n{causation}\n{body}"
    )


def link(before: bytes, text: str) -> bytes:
    """The hash of the row with this text, after the row with hash *before*."""
    return hashlib.sha256(before + text.encode("utf-8")).digest()
