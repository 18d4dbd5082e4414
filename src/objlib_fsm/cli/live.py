"""A run while it runs: three levels on stderr, drawn on a terminal and as sparse lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

import anyio

from objlib_fsm.cli.console import Console, coloured
from objlib_fsm.cli.render import count, duration, shortened
from objlib_fsm.cli.safe import safe
from objlib_fsm.core.table import State

if TYPE_CHECKING:
    from objlib_fsm.engine.progress import Progress

FRAME_S: Final = 0.125
"""Eight drawings a second look continuous."""

LINE_EVERY_S: Final = 30.0
LINE_EVERY_SHARE: Final = 0.05
"""Without a terminal: a line when 5 % more are done, or after 30 s."""

RATE_WINDOW_S: Final = 30.0
"""The rate is that of the last half minute: what it will be next."""

FILES_SHOWN: Final = 7
"""As many as are uploaded at once by default."""

BAR_COLUMNS: Final = 24


class Rate:
    """Files done per second, over the last `RATE_WINDOW_S`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._samples: deque[tuple[float, int]] = deque()

    def update(self, done: int) -> float:
        """Take a sample; the rate, 0 while nothing is known."""
        now = self._monotonic()
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()
        then, before = self._samples[0]
        return (done - before) / (now - then) if now > then else 0.0


class View:
    """What both ways of showing have in common."""

    def __init__(self, console: Console, progress: Progress, monotonic: Callable[[], float]) -> None:
        self.console = console
        self.progress = progress
        self._monotonic = monotonic
        self._rate = Rate(monotonic)
        self.rate = 0.0

    async def show(self) -> None:
        """Show until cancelled."""
        try:
            self.begin()
            while True:
                self.rate = self._rate.update(self.progress.done)
                self.update()
                await anyio.sleep(FRAME_S)
        finally:
            self.end()

    def begin(self) -> None:
        """Before the first `update`."""

    def update(self) -> None:
        """Show the state of now."""
        raise NotImplementedError

    def end(self) -> None:
        """After the last `update`."""

    def levels(self) -> tuple[str, str, str]:
        """The run, its batch, and how calls are made, one line each."""
        p = self.progress
        left = max(p.total - p.done, 0)
        share = f"{100 * p.done // p.total} %" if p.total else "-"
        eta = duration(left / self.rate) if self.rate > 0 and left else "-"
        ended = ", ".join(
            f"{p.ended[state]:,} {state.label}" for state in (State.INDEXED, State.FAILED) if p.ended[state]
        )
        run = f"{p.done:,}/{p.total:,} files  {share}  {self.rate:.1f}/s  ETA {eta}" + (f"  {ended}" if ended else "")
        batch = f"batch {p.batch}: {p.batch_done}/{p.batch_files} files"
        calls = f"{p.concurrency} uploads at once  breaker {safe(p.breaker)}  throttled {p.throttled}"
        if p.rate_rpm is not None:
            calls += f"  {p.rate_rpm:,.0f} calls/min"
        return run, batch, calls


class Lines(View):
    """Sparse lines, without any control sequence."""

    def begin(self) -> None:
        """Start counting."""
        self._shown_at = self._monotonic()
        self._shown_done = 0

    def update(self) -> None:
        """A line, if one is due."""
        p, now = self.progress, self._monotonic()
        step = max(p.total * LINE_EVERY_SHARE, 1)
        if p.done - self._shown_done < step and now - self._shown_at < LINE_EVERY_S:
            return
        self._say_line(now)

    def end(self) -> None:
        """What the last line did not tell yet: a short run is over between two looks."""
        if self.progress.done > self._shown_done:
            self._say_line(self._monotonic())

    def _say_line(self, now: float) -> None:
        p = self.progress
        self._shown_at, self._shown_done = now, p.done
        run, batch, calls = self.levels()
        self.console.say(f"{run}  ({batch}, {calls}, {count(len(p.in_flight), 'file')} in flight)")


class Drawn(View):
    """Redrawn in place with rich; gone when the run ends."""

    def begin(self) -> None:
        """Take over the terminal's last lines."""
        from rich.console import Console as RichConsole
        from rich.live import Live

        self._styled = self.console.colour and coloured(sys.stderr)
        self._terminal = RichConsole(
            file=sys.stderr, markup=False, emoji=False, highlight=False, no_color=not self._styled
        )
        self._live = Live(
            console=self._terminal, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        self.console.above = self._say

    def update(self) -> None:
        """Draw."""
        self._live.update(self._picture(), refresh=True)

    def end(self) -> None:
        """Give the terminal back."""
        self.console.above = None
        self._live.stop()

    def _say(self, text: str) -> None:
        from rich.text import Text

        self._terminal.print(Text.from_ansi(text) if "\x1b" in text else Text(text), soft_wrap=True)

    def _picture(self) -> Any:
        from rich.text import Text

        run, batch, calls = self.levels()
        p, columns = self.progress, self._terminal.width
        filled = BAR_COLUMNS * p.done // p.total if p.total else 0
        bar = "█" * filled + "░" * (BAR_COLUMNS - filled)
        lines = [(f"{bar}  {run}", "bold"), (f"{batch}  {calls}", "dim")]
        flying = list(p.in_flight.items())
        for path, doing in flying[:FILES_SHOWN]:
            lines.append((f"  {shortened(safe(path), max(columns - len(doing) - 6, 10))}  {doing}", ""))
        if len(flying) > FILES_SHOWN:
            lines.append((f"  and {count(len(flying) - FILES_SHOWN, 'file')} more in flight", "dim"))
        picture = Text(no_wrap=True, overflow="ellipsis")
        for number, (line, style) in enumerate(lines):
            picture.append(("\n" if number else "") + line[: columns - 1], style if self._styled else None)
        return picture


def view_for(console: Console, progress: Progress, monotonic: Callable[[], float]) -> View:
    """Drawn on a terminal, unless JSON lines go to the same one; lines elsewhere."""
    terminal = _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
    mixed = console.json_mode and _is_terminal(sys.stdout)
    return (Drawn if terminal and not mixed else Lines)(console, progress, monotonic)


@contextlib.asynccontextmanager
async def shown(console: Console, progress: Progress, monotonic: Callable[[], float]) -> AsyncIterator[None]:
    """Shows the progress for the duration of the block."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(view_for(console, progress, monotonic).show)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


def _is_terminal(stream: TextIO | None) -> bool:
    """A process may be started without the stream."""
    return stream is not None and stream.isatty()
