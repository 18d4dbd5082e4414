"""Time, as something that is handed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

import anyio

TURN_S: Final = 1.0
"""The longest sleep of whoever looks at something else meanwhile: a signal is noticed this soon."""


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


class Stopped(Exception):
    """A wait was cut short because the run is to end."""


class Impatient:
    """A clock for what comes before the work: its waits end soon after *stopping* says so, with `Stopped`."""

    def __init__(self, clock: Clock, stopping: Callable[[], bool]) -> None:
        self._clock = clock
        self._stopping = stopping

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return self._clock.now_us()

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait.  Raises `Stopped`."""
        ends = self._clock.monotonic() + seconds
        while True:
            if self._stopping():
                raise Stopped
            left_s = ends - self._clock.monotonic()
            if left_s <= 0:
                return
            await self._clock.sleep(min(left_s, TURN_S))


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
