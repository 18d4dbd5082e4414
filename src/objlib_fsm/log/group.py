"""Group commit: the appends of many tasks in one transaction.

Whoever appends puts the append into the group that is gathering; the first one in a group leads it.  When the group
before it is committed, the leader has it written, in one transaction in a worker thread, and wakes the others.  So a
lone append is committed at once, and a hundred concurrent ones share one sync.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import anyio

from objlib_fsm.log.contract import Append, AppendRefused, AppendResult
from objlib_fsm.log.writer import Committer, Outcome, RunSync

GROUP_MAX: Final = 1_000
"""Appends in one transaction: past a few hundred the sync costs nothing per append, and nobody should wait longer."""


class GroupCommit:
    """`Committer` for many concurrent tasks."""

    def __init__(self, committer: Committer, run_sync: RunSync) -> None:
        self._committer = committer
        self._run_sync = run_sync
        self._turn = anyio.Lock()
        self._gathering: _Group | None = None

    async def append(self, append: Append) -> AppendResult:
        """Append durably.

        Raises `AppendRefused` when it was refused and `LogError` when the log cannot be written.  Shielded: a
        cancelled caller still learns what became of it, and the cancellation is raised at its next await.
        """
        (outcome,) = await self._submit((append,))
        if isinstance(outcome, AppendRefused):
            raise outcome
        return outcome

    async def append_all(self, appends: Sequence[Append]) -> list[Outcome]:
        """Append many, in transactions of at most `GROUP_MAX`; each succeeds or is refused by itself."""
        outcomes: list[Outcome] = []
        for start in range(0, len(appends), GROUP_MAX):
            outcomes.extend(await self._submit(appends[start : start + GROUP_MAX]))
        return outcomes

    async def _submit(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        while True:
            group = self._gathering
            leads = group is None or len(group.appends) + len(appends) > GROUP_MAX
            if group is None or leads:
                group = self._gathering = _Group()
            start = len(group.appends)
            group.appends.extend(appends)
            if leads:
                with anyio.CancelScope(shield=True):
                    await self._commit(group)
            else:
                await _shielded_wait(group.done)
            if group.error is not None:
                raise group.error
            if group.outcomes is not None:
                return group.outcomes[start : start + len(appends)]

    async def _commit(self, group: _Group) -> None:
        try:
            async with self._turn:
                self._close(group)
                group.outcomes = await self._run_sync(self._committer.commit, group.appends)
        except Exception as error:
            group.error = error
        finally:
            self._close(group)
            group.done.set()

    def _close(self, group: _Group) -> None:
        """Nobody joins it any more."""
        if self._gathering is group:
            self._gathering = None


async def _shielded_wait(event: anyio.Event) -> None:
    """Wait even when cancelled.

    As a cancel scope that shields does, but that costs half as much as the whole append and is needed once in a
    thousand times.
    """
    try:
        await event.wait()
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await event.wait()
        if anyio.current_effective_deadline() > -math.inf:
            raise  # Not by a cancel scope: nobody would raise it again.


class _Group:
    """Appends that are committed together.

    Without outcomes and without an error its leader was torn away (a signal, an event loop that is closed); whoever
    is left appends again, which the event ids make harmless.
    """

    def __init__(self) -> None:
        self.appends: list[Append] = []
        self.done = anyio.Event()
        self.outcomes: Sequence[Outcome] | None = None
        self.error: Exception | None = None


__all__ = ["GROUP_MAX", "GroupCommit"]
