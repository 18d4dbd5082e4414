"""How a run is carried out: the parts put together, signals, progress, and the summary."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio

from objlib_fsm.cli import messages, problems
from objlib_fsm.cli.backend import Choice, choose, service_for
from objlib_fsm.cli.console import Console
from objlib_fsm.cli.dryrun import dry_run
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.failures import causes
from objlib_fsm.cli.live import shown
from objlib_fsm.cli.options import Invocation, NotThere, WrongUse
from objlib_fsm.cli.place import library_root, log_path, own_paths, reading, remembered_root, there_is_a_log
from objlib_fsm.cli.plan import consent, nothing_sent_yet, spent_today, to_send
from objlib_fsm.cli.prune import prune
from objlib_fsm.cli.render import count, duration, holder, iso
from objlib_fsm.cli.report import scan_lines, scan_message, show_summary, summary_message, waiting_line
from objlib_fsm.cli.run import Wish
from objlib_fsm.cli.safe import safe
from objlib_fsm.cli.shell import opened_shell
from objlib_fsm.cli.signals import Ender
from objlib_fsm.core.library_record import Lease
from objlib_fsm.engine import progress as notices
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.runner import Stop
from objlib_fsm.engine.session import Options, Service, Session, Shell, Summary, counts, scan
from objlib_fsm.engine.store import DEFAULT_DISPLAY_NAME
from objlib_fsm.engine.wishing import retry_failed

SCAN_TOLD_EVERY_S = 5.0


def carry_out(inv: Invocation, wish: Wish) -> ExitCode:
    """Run as wished; the exit code."""
    choice, root, log, ask = prepared(inv, wish)
    if wish.dry_run:
        return dry_run(inv, wish, choice, root, log)
    return anyio.run(run_work, Work, inv, wish, choice, root, log, ask)


def prepared(inv: Invocation, wish: Wish) -> tuple[Choice, Path, Path, bool]:
    """Where the files go, the folder, the log, and whether somebody must be asked before the first file is sent.

    Raises `WrongUse`, `LogError`.
    """
    log = log_path(inv)
    remembered, pin, first = None, None, True
    if there_is_a_log(log):
        with reading(inv) as reader:
            remembered, pin, first = remembered_root(reader), reader.library().pin, nothing_sent_yet(reader)
    root = library_root(wish.library, remembered, log)
    if not root.is_dir():
        raise NotThere(
            f"{root}: there is no such folder",
            "is its disk mounted? Otherwise name the library: objlib-fsm run LIBRARY",
        )
    choice = choose(inv, pin)
    ask = first and not choice.local and not wish.yes and not wish.dry_run
    if ask and (sys.stdin is None or not sys.stdin.isatty()):
        raise WrongUse(
            "files of this library were never sent anywhere, and nobody can be asked here",
            "add --yes to send them, or look first: objlib-fsm run --dry-run",
        )
    return choice, root, log, ask


async def run_work(
    work_of: type[Work], inv: Invocation, wish: Wish, choice: Choice, root: Path, log: Path, ask: bool
) -> ExitCode:
    """Do it, with signals and a summary."""
    console = inv.console
    ender = Ender(console)
    code: ExitCode | None = None
    with opened_shell(log, "run") as shell:
        work = work_of(inv, wish, choice, root, log, shell, ender)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ender.watch)
            with ender.scope:
                try:
                    code = await work.go(ask)
                except Exception as error:
                    code = ExitCode(problems.explain(console, error))
            tasks.cancel_scope.cancel()
        code = ender.code if ender.code is not None else code
        assert code is not None
        work.sum_up(code)
    return code


class Work:
    """One run, in the order of what happens."""

    def __init__(
        self, inv: Invocation, wish: Wish, choice: Choice, root: Path, log: Path, shell: Shell, ender: Ender
    ) -> None:
        self.inv, self.wish, self.choice = inv, wish, choice
        self.settings = inv.settings
        self.console: Console = inv.console
        self.root, self.log, self.shell, self.ender = root, log, shell, ender
        self.stop = Stop()
        self.summary: Summary | None = None
        self._waiting_us = 0

    async def go(self, ask: bool) -> ExitCode:
        """Scan, ask when *ask*, and work."""
        self.started()
        async with Session(self.shell, held=self.held if self.wish.wait else None) as session:
            service = self.service()
            await self.look(session.journal, self.shell)
            if not await self._take_down(session):
                self.console.say("nothing was deleted and nothing was sent")
                return ExitCode.LATER
            if ask and not await self.agreed():
                return ExitCode.LATER
            self.ender.drain = self.drain
            await self.work(session, service)
            self.ender.drain = None
        if self.stop.halted is not None:
            problems.report(self.console, problems.problem_of(self.stop.halted))
        assert self.summary is not None
        return ExitCode(self.summary.exit_code)

    def started(self) -> None:
        """The first line for a program."""
        self.tell(
            messages.Started(library=str(self.root), log=str(self.log), backend=self.choice.name, run=self.shell.run)
        )

    def service(self) -> Service:
        """Where the files go, and how fast: what earlier runs spent and learned is in the log."""
        log, choice = self.shell.log, self.choice
        return service_for(
            self.console,
            choice,
            self.log,
            learned=log.library().learned_of(choice.name, choice.tier),
            spent_today=spent_today(log, choice.tier, self.shell.clock.now_us()),
        )

    async def look(self, journal: Journal, shell: Shell, *, quiet: bool = False) -> None:
        """Scan; *quiet* tells nothing of a scan that found nothing.  Raises `ScanRefused`."""
        with self._scan_progress() as told:
            scanned = await scan(
                journal,
                shell,
                self.root,
                own_paths(self.log),
                told,
                self.settings.ignore,
                self.settings.metadata,
                redescribe=self.wish.redescribe,
            )
        if quiet and not scanned.recorded:
            return
        if self.inv.json:
            self.tell(scan_message(scanned, self.root, 0))
        for line in scan_lines(scanned):
            self.console.say(line)

    async def agreed(self) -> bool:
        """Ask before anything leaves this machine for the first time."""
        price = self.settings.prices.usd_per_million_tokens
        estimate = to_send(self.shell.log, self.wish.limit, self.choice.tier, price)
        store = self.settings.store or DEFAULT_DISPLAY_NAME
        if estimate.files and not await consent(self.console, self.choice, store, estimate):
            self.console.say("nothing was sent")
            return False
        return True

    async def work(self, session: Session, service: Service) -> None:
        """Work on every file that needs something, until all is done or due later."""
        progress = notices.Progress(self._notice)
        options = Options(
            store=self.settings.store,
            concurrency=self.settings.concurrency,
            polls=self.settings.polls,
            batch_size=self.settings.batch_size,
            limit=self.wish.limit,
            max_delete=self.settings.max_delete,
            waits=self.settings.waits,
            metadata=self.settings.metadata,
            recovery_limit_s=self.settings.recovery_limit_s,
        )
        async with shown(self.console, progress, self.shell.clock.monotonic):
            self.summary = await session.run(service, options, progress, self.stop, self.root)

    async def _take_down(self, session: Session) -> bool:
        """Record what this run is to do besides; False when the consent to it was refused."""
        shell, wish = self.shell, self.wish
        if wish.prune and not await prune(self.inv, session.journal, shell.log, shell.clock.now_us(), wish.confirm):
            return False
        if wish.retry_failed:
            tried, parked = await retry_failed(session.journal, shell.log)
            self.console.say(f"{count(tried, 'failed file')} to be tried again")
            if parked:
                self.console.say(f"{count(parked, 'file')} parked after three runs; objlib-fsm retry brings them back")
        return True

    def held(self, lease: Lease) -> None:
        """Say who is at work while this waits for it."""
        self.console.say(f"waiting: {holder(lease)}")

    def drain(self) -> None:
        """Begin nothing new."""
        self.stop.draining = True
        self.stop.exit_code = self.ender.code

    @contextlib.contextmanager
    def _scan_progress(self) -> Iterator[Callable[[int, int], None]]:
        told_at = time.monotonic()

        def told(done: int, total: int) -> None:
            nonlocal told_at
            if time.monotonic() - told_at >= SCAN_TOLD_EVERY_S:
                told_at = time.monotonic()
                self.console.say(f"reading: {done:,} of {total:,} files")

        yield told

    def _notice(self, notice: notices.Notice) -> None:
        if self.console.reader_gone:
            self.stop.draining = True
        match notice:
            case notices.FileChanged(path, state, cause):
                self.tell(messages.File(file=path, state=state, cause=cause))
            case notices.BatchBegan(batch, files):
                self.tell(messages.BatchStarted(batch=batch, files=files))
            case notices.BatchDone(batch, files, succeeded, failed):
                self.tell(messages.BatchEnded(batch=batch, files=files, succeeded=succeeded, failed=failed))
            case notices.Said(text):
                self.console.say(safe(text))
            case notices.Waiting(until_us, files) if until_us != self._waiting_us:
                self._waiting_us = until_us
                self.console.say(waiting_line(until_us, files))
                self.tell(messages.Waiting(until=iso(until_us), files=files))
            case notices.ResumedLate(files, example, limit_s):
                self.console.say(
                    f"{count(files, 'file')} of an earlier run not done after {duration(limit_s)}, for example "
                    f"{safe(example)}: the run goes on, and comes back to them after the rest"
                )
                self.tell(messages.ResumedLate(files=files, example=example, hours=limit_s / 3_600))

    def tell(self, message: messages.Message) -> None:
        """A JSON line for a program that asked for them."""
        if self.inv.json:
            self.console.result(messages.document(message))

    def sum_up(self, code: ExitCode) -> None:
        """The summary, after an error too, as long as the log can be read."""
        log, summary = self.shell.log, self.summary
        ended = summary is not None or code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
        if not ended and not self.inv.json:
            return
        try:
            tally, failures = counts(log), causes(log)
        except Exception as error:
            if ended:
                problems.explain(self.console, error)
            return
        message = summary_message(
            tally,
            code,
            failures,
            put_off=summary.put_off if summary else 0,
            next_due_us=summary.next_due_us if summary else None,
            store=summary.store if summary else "",
            seconds=summary.wall_s if summary else 0.0,
            sync_due=summary.sync_due if summary else False,
            resumed_late=summary.resumed_late if summary else 0,
        )
        if self.inv.json:
            self.tell(message)
            return
        next_due_us = summary.next_due_us if summary else None
        show_summary(self.console, message, next_due_us, self.shell.clock.now_us())
        self._say_next(message)

    def _say_next(self, message: messages.Summary) -> None:
        left = message.untracked + message.uploading + message.processing
        if left and not message.put_off:
            self.console.say("next: objlib-fsm run goes on from here")
        elif message.exit_code == ExitCode.FAILED and not message.failed:
            self.console.say("next: objlib-fsm status --state excluded")
        elif message.indexed and not message.failed and not left:
            self.console.say('next: objlib-fsm ask "QUESTION"')
