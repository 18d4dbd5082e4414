"""Random bytes, drawn from the system in blocks."""

from __future__ import annotations

import os
from typing import Final

BLOCK_BYTES: Final = 4_096
"""A call of the system costs 10 µs, and eight ids are made for every file."""


class SystemEntropy:
    """``entropy(n)`` gives *n* fresh random bytes.  Not for use by two threads at once."""

    def __init__(self) -> None:
        self._block = b""
        self._used = 0

    def __call__(self, size: int) -> bytes:
        """*size* bytes that nobody was given before."""
        if self._used + size > len(self._block):
            self._block, self._used = os.urandom(max(BLOCK_BYTES, size)), 0
        start, self._used = self._used, self._used + size
        return self._block[start : self._used]
