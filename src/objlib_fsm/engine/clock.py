"""Time, as something that is handed in."""

from __future__ import annotations

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Wall time for what is recorded, monotonic time for what is measured, and sleep."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC.  May jump, in both directions."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Steady:
    """A clock whose wall time never goes back while a run is at work.

    When the machine's is put back, time goes on from where it was, by the monotonic clock, until the machine's has
    caught up.  When that jumps ahead, as after a sleep, so does this.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_us = clock.now_us()
        self._last = clock.monotonic()

    def now_us(self) -> int:
        """Microseconds since 1970 UTC.  Only grows."""
        wall_us, now = self._clock.now_us(), self._clock.monotonic()
        if wall_us < self._last_us:
            wall_us = self._last_us + round((now - self._last) * 1e6)
        self._last_us, self._last = wall_us, now
        return wall_us

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._clock.sleep(seconds)


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)
