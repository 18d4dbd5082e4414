"""Ctrl-C, SIGTERM and SIGHUP: the first lets what is in flight end, the second cancels it.

Either leaves a log from which the next run simply goes on.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from objlib_fsm.cli.console import Console
from objlib_fsm.cli.exitcodes import ExitCode

T = TypeVar("T")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ender:
    """Ends the work in ``scope`` when the process is told to.

    ``drain`` asks it to begin nothing new; None while there is nothing to drain: then the first signal cancels.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.scope = anyio.CancelScope()
        self.drain: Callable[[], None] | None = None
        self.code: ExitCode | None = None
        """The exit code of the first signal, None when there was none."""

    async def watch(self) -> None:
        """Wait for signals until cancelled."""
        with anyio.open_signal_receiver(*SIGNALS) as received:
            async for number in received:
                self._end(number)

    def _end(self, number: signal.Signals) -> None:
        again = self.code is not None
        if self.code is None:
            self.code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED
        if self.drain is None or again:
            self._console.say("stopping now; nothing is lost, the next run goes on from here")
            self.scope.cancel()
        else:
            self._console.say(
                "stopping: nothing new is begun, what is under way is let end (again: stop at once; nothing is lost)"
            )
            self.drain()


async def until_told(console: Console, work: Callable[[Ender], Awaitable[T]]) -> T | ExitCode:
    """The result of *work*, or the exit code of the signal that ended it before.  Raises what *work* raises."""
    ender, result, error = Ender(console), None, None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ender.watch)
        with ender.scope:
            try:
                result = await work(ender)
            except Exception as raised:
                error = raised
        tasks.cancel_scope.cancel()
    if error is not None:
        raise error
    return result if result is not None else ender.code or ExitCode.INTERRUPTED
