"""What replies say about how much may be asked: their rate-limit headers, when they have any.

The service documents none and a gateway before it may send some.  They are kept as they came: their names differ from
gateway to gateway, so nothing is concluded from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

NAMES: Final = (b"ratelimit", b"rate-limit", b"quota", b"retry-after")
"""Parts of the names of such headers: ``X-RateLimit-Remaining``, ``RateLimit-Policy``, ``X-Goog-Quota-…``."""

HEADERS_MAX: Final = 20
CHARS_MAX: Final = 200
"""What is kept of one reply: a gateway sends three to nine short ones."""


class Heard(msgspec.Struct, frozen=True):
    """The headers of the last of ``replies`` replies that had any."""

    headers: dict[str, str]
    replies: int
    first_at_us: int
    last_at_us: int


class LimitHeaders:
    """Collects them."""

    def __init__(self) -> None:
        self._heard: Heard | None = None

    def hear(self, raw: Iterable[tuple[bytes, bytes]], at_us: int) -> None:
        """The headers of a reply."""
        found = [(name, value) for name, value in raw if any(part in name.lower() for part in NAMES)]
        if not found:
            return
        headers = {_text(name).lower(): _text(value) for name, value in found[:HEADERS_MAX]}
        before = self._heard
        self._heard = Heard(
            headers,
            before.replies + 1 if before is not None else 1,
            before.first_at_us if before is not None else at_us,
            at_us,
        )

    def take(self) -> Heard | None:
        """What was heard since the last time; None for nothing."""
        heard, self._heard = self._heard, None
        return heard


def _text(value: bytes) -> str:
    return value.decode("latin-1")[:CHARS_MAX]
