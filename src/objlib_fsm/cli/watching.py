"""How a watch is carried out: a run, and then scans and rounds of work side by side under the same lease."""

from __future__ import annotations

from typing import Final

import anyio

from objlib_fsm.cli import messages, problems
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.place import own_paths
from objlib_fsm.cli.render import count, due, iso_or_none
from objlib_fsm.cli.run import Wish
from objlib_fsm.cli.running import Work, prepared, run_work
from objlib_fsm.cli.safe import safe
from objlib_fsm.cli.shell import opened_shell
from objlib_fsm.engine.errors import Halted
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.runner import Stop
from objlib_fsm.engine.session import LATER_EXIT, Service, Session
from objlib_fsm.engine.watching import LOOK_EVERY_BLIND_S, Eyes, Idle
from objlib_fsm.library.errors import ScanRefused
from objlib_fsm.library.watching import changes
from objlib_fsm.remote.port import CallFailed

AGAIN_S: Final = 60.0
"""After a round that could not reach the service."""

AGAIN_LATER_S: Final = 600.0
"""After a round that the service stopped for a reason that passes: a quota of the day, an outage."""


def carry_out(inv: Invocation, wish: Wish) -> ExitCode:
    """Watch until told to stop; the exit code."""
    return anyio.run(run_work, Watching, inv, wish, *prepared(inv, wish))


class Watching(Work):
    """One watch."""

    async def go(self, ask: bool) -> ExitCode:
        """Scan, ask when *ask*, and work; then scan after every change, and work whenever there is something to do."""
        self.started()
        async with Session(self.shell) as session, anyio.create_task_group() as tasks:
            service = self.service()
            eyes = Eyes(changes(self.root, own_paths(self.log)), self._blind)
            await tasks.start(eyes.listen)
            await self.look(session.journal, self.shell)
            code = ExitCode.LATER
            if not ask or await self.agreed():
                idle = Idle(session, lambda: self.stop() or self.console.reader_gone)
                self.ender.drain = lambda: self._end(idle)
                tasks.start_soon(self._keep_looking, eyes)
                code = await self._rounds(session, idle, service)
                self.ender.drain = None
            tasks.cancel_scope.cancel()
        return code

    async def _keep_looking(self, eyes: Eyes) -> None:
        """Scan beside the work, as the command ``scan`` does.

        A library that cannot be trusted now, because its disk is away, is looked at again later.
        """
        with opened_shell(self.log, "scan") as shell:
            journal = Journal(shell.log, shell.clock, shell.random_bytes)
            while True:
                await eyes.time_to_look()
                try:
                    await self.look(journal, shell, quiet=True)
                except ScanRefused as refused:
                    self.console.complain(str(refused), "the watch goes on, and looks again later")

    async def _rounds(self, session: Session, idle: Idle, service: Service) -> ExitCode:
        first, goes_on = True, True
        while goes_on:
            idle.begin_round()
            busy = bool(self.shell.log.rows("SELECT 1 FROM files WHERE open = 1 LIMIT 1"))
            due_us = await self._work_or_complain(session, service)
            if self.stop.halted is not None:
                problem = problems.problem_of(self.stop.halted)
                if problem.code != LATER_EXIT:
                    problems.report(self.console, problem)
                    return ExitCode(problem.code)
                due_us = self._complain(problem.message, AGAIN_LATER_S)
                self.stop, service = Stop(), self.service()
            if first or busy:
                self._tell_idle(due_us)
            first = False
            goes_on = await idle.wait(due_us)
        return ExitCode(self.summary.exit_code) if self.summary is not None else ExitCode.LATER

    async def _work_or_complain(self, session: Session, service: Service) -> int | None:
        """Work; when a file is due next, or when to try again."""
        try:
            await self.work(session, service)
        except Exception as raised:
            match problems.unwrapped(raised):
                case CallFailed() as failed:
                    return self._complain(problems.problem_of(failed).message, AGAIN_S)
                case Halted() as halted:
                    self.stop.halted = self.stop.halted or halted
                    return None
            raise
        return self.summary.next_due_us if self.summary is not None else None

    def _complain(self, message: str, again_s: float) -> int:
        now_us = self.shell.clock.now_us()
        again_us = now_us + round(again_s * 1e6)
        self.console.complain(message, f"the watch goes on, and tries again at {due(again_us, now_us)}")
        return again_us

    def _tell_idle(self, due_us: int | None) -> None:
        summary, now_us = self.summary, self.shell.clock.now_us()
        if summary is None or self.stop():
            return
        indexed, failed = summary.counts.indexed, summary.counts.failed
        told = f", {count(failed, 'file')} failed" if failed else ""
        later = f", the next is due at {due(due_us, now_us)}" if due_us is not None else ""
        self.console.say(f"watching {safe(str(self.root))}: {count(indexed, 'file')} indexed{told}{later}")
        self.tell(
            messages.Watching(
                library=str(self.root),
                indexed=indexed,
                failed=failed,
                put_off=summary.put_off,
                next_due_at=iso_or_none(due_us),
            )
        )

    def _blind(self, why: str) -> None:
        self.console.say(f"no file system events here ({safe(why)}): looking every {LOOK_EVERY_BLIND_S:.0f} s instead")

    def _end(self, idle: Idle) -> None:
        self.drain()
        idle.nudge()
