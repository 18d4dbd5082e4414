"""Reproducible randomness: every draw is a function of a secret seed and a stable key, never of the order of calls.

So two runs with one seed give the same latencies and ids whatever PYTHONHASHSEED is, and a restart between two
requests changes nothing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from objlib_fsm.emulator.settings import Latency

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_TWO_64: Final = 2.0**64


class Draws:
    """Draws from one seed."""

    def __init__(self, seed: bytes) -> None:
        self._root = blake2b(seed, digest_size=32)

    def _digest(self, purpose: str, key: str) -> bytes:
        hasher = self._root.copy()
        hasher.update(f"\0{purpose}\0{key}".encode("utf-8", "surrogatepass"))
        return hasher.digest()

    def unit(self, purpose: str, key: str) -> float:
        """A number in [0, 1)."""
        return int.from_bytes(self._digest(purpose, key)[:8]) / _TWO_64

    def happens(self, share: float, purpose: str, key: str) -> bool:
        """True for this share of all keys."""
        return share > 0.0 and (share >= 1.0 or self.unit(purpose, key) < share)

    def seconds(self, latency: Latency, purpose: str, key: str) -> float:
        """A duration in seconds, uniform in the latency's range."""
        spread = latency.high_s - latency.low_s
        if spread <= 0.0:
            return latency.low_s
        return latency.low_s + spread * self.unit(purpose, key)

    def micros(self, latency: Latency, purpose: str, key: str) -> int:
        """As `seconds`, in whole microseconds."""
        if latency.high_s <= 0.0 and latency.low_s <= 0.0:
            return 0
        return round(self.seconds(latency, purpose, key) * 1_000_000)

    def letters(self, purpose: str, key: str, count: int) -> str:
        """``count`` (at most 24) characters of [a-z0-9], the alphabet of the service's generated ids."""
        number = int.from_bytes(self._digest(purpose, key))
        out = []
        for _ in range(count):
            number, index = divmod(number, 36)
            out.append(_LETTERS[index])
        return "".join(out)
