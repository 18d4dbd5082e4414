"""What a watch waits for: changes of the folder on one side, work on the other.

The two sides know nothing of each other.  A scan beside a run appends what it finds, as the command ``scan`` does, and
whoever works follows the log.  So a change is taken up while a slow file is still waited for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
from anyio.abc import TaskStatus

from objlib_fsm.engine.runner import FOLLOW_EVERY_S
from objlib_fsm.engine.session import Session
from objlib_fsm.library.watching import EventsUnavailable
from objlib_fsm.log import lease

LOOK_EVERY_S: Final = 300.0
"""A scan without any event: network file systems do not tell what other machines do."""

LOOK_EVERY_BLIND_S: Final = 30.0
"""The same where there are no events at all."""


class Eyes:
    """When to look at the folder: after a change, and from time to time without one.

    *changes* yields False once events are being collected, and True after a change.  *blind* is told why there are
    none, if so; from then on it is time to look every `LOOK_EVERY_BLIND_S`.
    """

    def __init__(self, changes: AsyncIterator[bool], blind: Callable[[str], None]) -> None:
        self._changes = changes
        self._blind = blind
        self._every_s = LOOK_EVERY_S
        self._changed = anyio.Event()

    async def listen(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Collect events until cancelled; started when they are collected, or when it is known that they are not."""
        started = False
        try:
            async for changed in self._changes:
                if not started:
                    started = True
                    task_status.started()
                if changed:
                    self._changed.set()
        except EventsUnavailable as unavailable:
            self._every_s = LOOK_EVERY_BLIND_S
            self._changed.set()
            self._blind(str(unavailable))
            if not started:
                task_status.started()

    async def time_to_look(self) -> None:
        """Wait for a change, or until it is time to look anyway; what changes from now on is news."""
        with anyio.move_on_after(self._every_s):
            await self._changed.wait()
        self._changed = anyio.Event()


class Idle:
    """Waits between two rounds of work, under the session's lease, which it keeps alive."""

    def __init__(self, session: Session, stopping: Callable[[], bool]) -> None:
        self._session = session
        self._stopping = stopping
        self._bell = anyio.Event()
        self._position = 0
        self._renewed_at = session.shell.clock.monotonic()

    def nudge(self) -> None:
        """Look at once whether the wait is over."""
        self._bell.set()
        self._bell = anyio.Event()

    def begin_round(self) -> None:
        """A round begins: what others append from now on is news."""
        self._position = self._session.shell.log.head()

    async def wait(self, due_us: int | None) -> bool:
        """Wait until another process wrote about a file, or for ``due_us``; False when the watch is to end.

        Raises `Fenced` and `LogError`.
        """
        shell = self._session.shell
        while not self._stopping():
            if shell.log.touched_by_others(self._position, shell.run):
                return True
            if due_us is not None and shell.clock.now_us() >= due_us:
                return True
            with anyio.move_on_after(FOLLOW_EVERY_S):
                await self._bell.wait()
            await self._keep_lease()
        return False

    async def _keep_lease(self) -> None:
        s, now = self._session, self._session.shell.clock.monotonic()
        if now - self._renewed_at >= lease.RENEW_EVERY_S:
            self._renewed_at = now
            await lease.renew(s.journal.log, s.epoch, s.shell.clock.now_us(), s.journal.new_id())
