"""An event loop whose time passes only when nothing else can happen.

A sleep of 48 hours takes as long as the next one of a millisecond, and two runs of the same program see the same
times.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

START_US = 1_790_000_000_000_000
"""2026-09-21, the wall clock's beginning in every simulation."""


class Deadlock(Exception):
    """Everything waits, and nothing will ever happen."""


class _VirtualSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock
        if timeout > 0:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time."""

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
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
        return START_US + round(self.monotonic() * 1e6) + self.jump_us

    def true_us(self) -> int:
        """The wall clock of everybody else."""
        return START_US + round(self.monotonic() * 1e6)

    def monotonic(self) -> float:
        """Seconds since the loop was made."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait, in no time."""
        await anyio.sleep(seconds)


def run_virtual(main: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Run *main* under virtual time."""
    return anyio.run(main, *arguments, backend_options={"loop_factory": VirtualLoop})
