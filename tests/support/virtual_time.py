"""An event loop whose time passes only when nothing else can happen.

A sleep of 48 hours takes as long as the next one of a millisecond, and two runs of the same program see the same
times.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

START_US = 1_790_000_000_000_000
"""2026-09-21, the wall clock's beginning in every simulation."""


class Deadlock(Exception):
    """Everything waits, and nothing will ever happen."""


class Endless(Exception):
    """More turns of the event loop than the program can need: it goes round in a circle."""


class _VirtualSelector(selectors.DefaultSelector):
    def __init__(self, turns_max: int | None) -> None:
        super().__init__()
        self.now = 0.0
        self.turns_left = turns_max if turns_max is not None else -1

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns_left -= 1
        if self.turns_left == 0:
            raise Endless
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock
        if timeout > 0:
            self.now = max(self.now + timeout, math.nextafter(self.now, math.inf))  # After years a float is coarse.
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time."""

    def __init__(self, turns_max: int | None = None) -> None:
        self._virtual = _VirtualSelector(turns_max)
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now


class VirtualClock:
    """The engine's clock on a `VirtualLoop`; ``jump_us`` moves the wall clock alone."""

    def __init__(self) -> None:
        self.jump_us = 0

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970."""
        return self.true_us() + self.jump_us

    def true_us(self) -> int:
        """The time that the service goes by, which no jump of this machine's wall clock moves."""
        return START_US + round(self.monotonic() * 1e6)

    def monotonic(self) -> float:
        """Seconds since the loop was made."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait, in no time."""
        await anyio.sleep(seconds)


def run_virtual(main: Callable[..., Awaitable[T]], *arguments: Any, turns_max: int | None = None) -> T:
    """Run *main* under virtual time.  Raises `Endless` when the event loop turns more than *turns_max* times."""
    return anyio.run(main, *arguments, backend_options={"loop_factory": lambda: VirtualLoop(turns_max)})
