"""A run from beginning to end: lease, scan, store, work, summary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, TypeVar

import anyio
import msgspec

from objlib_fsm import __version__
from objlib_fsm.core import events as e
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.core.ids import RunId, StoreName, StreamId
from objlib_fsm.core.library_record import Lease
from objlib_fsm.core.paths import part_text
from objlib_fsm.core.policy import SHOWN_S, Waits
from objlib_fsm.core.table import State
from objlib_fsm.engine.clock import Clock, Impatient, Steady, Stopped
from objlib_fsm.engine.errors import Halted, StoreProblem, exit_code_of
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.lessons import Lessons
from objlib_fsm.engine.listing import SharedListing
from objlib_fsm.engine.perform import Performer
from objlib_fsm.engine.progress import Progress, Said
from objlib_fsm.engine.reconcile import Reconciler, known_documents
from objlib_fsm.engine.room import ROOM_BYTES, Room
from objlib_fsm.engine.runner import RECOVERY_LIMIT_S, Ended, Runner, Stop
from objlib_fsm.engine.scanning import Scanned, scan_library
from objlib_fsm.engine.store import check_pin, get_or_create_store
from objlib_fsm.engine.witness import testify, was_replaced
from objlib_fsm.engine.worker import Worker
from objlib_fsm.library.metadata import DEFAULT_RULES, Describer, Rules
from objlib_fsm.library.values import KEPT
from objlib_fsm.log import lease
from objlib_fsm.log.contract import Fenced
from objlib_fsm.log.file import LogFile
from objlib_fsm.log.projection import STRAY
from objlib_fsm.log.sqlite import SqliteReader
from objlib_fsm.log.writer import RunSync
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import CallFailed, Remote, StoreInfo

T = TypeVar("T")

CONCURRENCY: Final = 7
CONCURRENCY_MIN, CONCURRENCY_MAX = 3, 10
"""Uploads at once: what the earlier tool settled on."""

POLLS: Final = 20
"""Look-ups at once."""

BATCH_SIZE: Final = 150
BATCH_SIZE_MIN, BATCH_SIZE_MAX = 100, 200
"""Files of a logical batch."""

LEASE_ASKED_EVERY_S: Final = 1.0
"""A run that waits for another one begins this soon after it."""

FAILED_EXIT: Final = 3
LATER_EXIT: Final = 4


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run."""

    store: str | None = None
    concurrency: int = CONCURRENCY
    polls: int = POLLS
    batch_size: int = BATCH_SIZE
    limit: int | None = None
    max_delete: int | None = None
    """Documents that may be deleted because a comparison says so; None for one in ten, at most a hundred."""
    only: frozenset[StreamId] | None = None
    """Work on these files and no others; None for every file that needs something."""
    waits: Waits = Waits()
    recovery_limit_s: float = RECOVERY_LIMIT_S
    metadata: Rules = DEFAULT_RULES
    room_bytes: int = ROOM_BYTES


class Service(msgspec.Struct, frozen=True):
    """Where the documents are: how to connect, the name that the log pins, and how often calls may be made.

    ``connect`` is used only when there is something to do: a run over an unchanged library makes no call and does
    not even load the SDK.
    """

    connect: Callable[[], AbstractAsyncContextManager[Remote]]
    name: str
    pace: Pace


class Shell(msgspec.Struct, frozen=True):
    """What the engine is given instead of reaching for it."""

    log: LogFile
    clock: Clock
    random_bytes: Callable[[int], bytes]
    run_sync: RunSync
    run: RunId
    process: lease.Process
    temp_dir: Path


class Counts(msgspec.Struct, frozen=True):
    """Files per state; ``excluded``, ``missing`` and ``forgotten`` ones are not counted as untracked."""

    total: int
    indexed: int
    processing: int
    uploading: int
    failed: int
    untracked: int
    excluded: int
    missing: int
    forgotten: int


class Summary(msgspec.Struct, frozen=True):
    """What a run did and what is left."""

    counts: Counts
    exit_code: int
    put_off: int
    next_due_us: int | None
    store: StoreName
    wall_s: float
    unreadable: int
    sync_due: bool = False
    """The store does not count the documents that the log knows."""
    resumed_late: int = 0


def counts(log: SqliteReader) -> Counts:
    """Counted in the projection."""
    by_state = dict.fromkeys(State, 0)
    aside = [0, 0, 0, 0]
    query = "SELECT state, standing, count(*) FROM files WHERE standing <> ? GROUP BY 1, 2"
    for state, standing, files in log.rows(query, (STRAY,)):
        if standing and state == State.UNTRACKED:
            aside[standing] += files
        else:
            by_state[State(state)] += files
    return Counts(
        sum(by_state.values()) + sum(aside),
        by_state[State.INDEXED],
        by_state[State.PROCESSING],
        by_state[State.UPLOADING],
        by_state[State.FAILED],
        by_state[State.UNTRACKED],
        *aside[1:],
    )


class Session:
    """Everything that a run, or a scan alone, does under one lease.  An async context manager.

    While another runner is at work, entering raises `LeaseHeld`; with *held* it tells that once and waits instead.
    """

    def __init__(self, shell: Shell, *, held: Callable[[Lease], None] | None = None) -> None:
        self.shell = shell = msgspec.structs.replace(shell, clock=Steady(shell.clock))
        self._held = held
        self.journal = Journal(shell.log, shell.clock, shell.random_bytes)
        self.epoch = 0
        self._replaced = was_replaced(shell.log)
        """The log is an older copy of itself, and was not compared with the store yet."""

    async def __aenter__(self) -> Session:
        s, told = self.shell, ""
        while not self.epoch:
            try:
                self.epoch = await lease.take(s.log, s.run, s.process, s.clock.now_us(), self.journal.new_id())
            except lease.LeaseHeld as error:
                if self._held is None:
                    raise
                if told != error.lease.run:
                    told = error.lease.run
                    self._held(error.lease)
                await s.clock.sleep(LEASE_ASKED_EVERY_S)
        self.journal.epoch = self.epoch
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await lease.release(self.shell.log, self.epoch, self.shell.clock.now_us(), self.journal.new_id())
            except Fenced:
                return
            if not self._replaced:
                testify(self.shell.log)

    async def run(self, service: Service, options: Options, progress: Progress, stop: Stop, root: Path) -> Summary:
        """Work on every file that needs something.

        Raises `StoreProblem`, `Halted`, `CallFailed` (the store could not be asked), `Fenced`, `LogError`.
        """
        began = self.shell.clock.monotonic()
        pin = self.shell.log.library().pin
        if pin is not None:
            check_pin(pin, service.name, options.store)
            if not self.shell.log.open_files() and not self._replaced:
                summary = self._summary(Ended(0, None), stop, pin.store, 0.0)
                await self.journal.note(LIBRARY_STREAM, self._started(options, service.pace), self._ended(summary))
                return summary
        await self.journal.note(LIBRARY_STREAM, self._started(options, service.pace))
        try:
            async with service.connect() as remote:
                ended, store, due = await self._in_store(remote, service, options, progress, stop, root)
        except (StoreProblem, Halted, CallFailed) as error:
            await self.journal.note(LIBRARY_STREAM, e.RunEnded(self.shell.run, exit_code_of(error)))
            raise
        summary = self._summary(ended, stop, store, self.shell.clock.monotonic() - began, due)
        await self.journal.note(LIBRARY_STREAM, self._ended(summary))
        return summary

    def _ended(self, summary: Summary) -> e.RunEnded:
        tally = msgspec.structs.asdict(summary.counts)
        return e.RunEnded(self.shell.run, summary.exit_code, tally, summary.resumed_late)

    def _started(self, options: Options, pace: Pace) -> e.RunStarted:
        s = self.shell
        chosen: dict[str, str | int | float | bool] = {
            "concurrency": options.concurrency,
            "polls": options.polls,
            "batch_size": options.batch_size,
        }
        if pace.rate_rpm is not None:
            chosen["rpm"] = round(pace.rate_rpm, 3)
        return e.RunStarted(s.run, s.process.host, s.process.pid, __version__, chosen)

    async def _in_store(
        self, remote: Remote, service: Service, options: Options, progress: Progress, stop: Stop, root: Path
    ) -> tuple[Ended, StoreName, bool]:
        """How the work ended, in which store, and whether a sync of it is due."""
        s = self.shell
        before = Journal(s.log, Impatient(s.clock, stop), s.random_bytes, epoch=self.epoch)
        try:
            info = await get_or_create_store(before, remote, service.name, options.store)
            reconciler = self._reconciler(before, remote, service.pace, progress, stop)
            most = options.max_delete
            await _unless_unanswered(reconciler.reconciled(info, replaced=self._replaced, max_delete=most), progress)
            self._replaced = self._replaced and not reconciler.whole
        except Stopped:
            pin = s.log.library().pin
            return Ended(0, None), pin.store if pin is not None else StoreName(""), False
        store = info.name
        reconciler = self._reconciler(self.journal, remote, service.pace, progress, stop)
        ended = await self._work(remote, store, service.name, service.pace, options, progress, stop, root)
        info_after = await self._differing(remote, store, stop, progress)
        if info_after is not None and await _unless_unanswered(
            reconciler.reconciled(info_after, max_delete=options.max_delete), progress
        ):
            ended = await self._work(remote, store, service.name, service.pace, options, progress, stop, root)
            info_after = await self._differing(remote, store, stop, progress)
        return ended, store, info_after is not None and await reconciler.due(info_after)

    def _reconciler(self, journal: Journal, remote: Remote, pace: Pace, progress: Progress, stop: Stop) -> Reconciler:
        def say(text: str) -> None:
            progress.tell(Said(text))

        return Reconciler(journal, self.shell.log, remote, pace, say=say, stopping=stop)

    async def _differing(self, remote: Remote, store: StoreName, stop: Stop, progress: Progress) -> StoreInfo | None:
        """The cheap check: the store, when it does not count what the log knows; its counts may be a moment behind."""
        info = None
        for wait_s in (0.0, SHOWN_S):
            if stop():
                return None
            await self.shell.clock.sleep(wait_s)
            info = await _unless_unanswered(remote.get_store(store), progress)
            if info is None or known_documents(self.shell.log).fits(info, self.shell.log.library().compared):
                return None
        return info

    async def _work(
        self,
        remote: Remote,
        store: StoreName,
        service: str,
        pace: Pace,
        options: Options,
        progress: Progress,
        stop: Stop,
        root: Path,
    ) -> Ended:
        s = self.shell
        library = s.log.library().library
        listing = SharedListing(remote, store, library, s.clock, pace)
        performer = Performer(
            remote,
            store,
            library,
            s.clock,
            listing,
            pace,
            anyio.CapacityLimiter(options.polls),
            stop,
            options.waits,
        )
        _attach(pace, options.concurrency, progress, stop)
        room = Room(s.log, options.room_bytes)
        worker = Worker(
            self.journal,
            performer,
            root,
            s.temp_dir,
            library,
            store,
            anyio.CapacityLimiter(options.concurrency),
            pace,
            progress,
            s.run_sync,
            stop,
            room,
            Describer(options.metadata),
        )
        lessons = Lessons(self.journal, pace, service)
        runner = Runner(
            self.journal,
            s.log,
            worker,
            progress,
            stop,
            lessons,
            room,
            run=s.run,
            epoch=self.epoch,
            concurrency=options.concurrency,
            batch_size=options.batch_size,
            limit=options.limit,
            only=options.only,
            recovery_limit_s=options.recovery_limit_s,
        )
        ended = await runner.run()
        await lessons.note(ending=True)
        return ended

    def _summary(self, ended: Ended, stop: Stop, store: StoreName, wall_s: float, sync_due: bool = False) -> Summary:
        log = self.shell.log
        tally = counts(log)
        query = "SELECT count(*) FROM files WHERE standing = 1 AND json_extract(record, '$.excluded') IN (?, ?)"
        unreadable = int(log.rows(query, tuple(KEPT))[0][0])
        if stop.exit_code is not None:
            code = stop.exit_code
        elif stop.halted is not None:
            code = stop.halted.exit_code
        elif ended.put_off or tally.untracked or tally.uploading or tally.processing:
            code = LATER_EXIT
        else:
            code = FAILED_EXIT if tally.failed or unreadable else 0
        late = ended.resumed_late
        return Summary(tally, code, ended.put_off, ended.next_due_us, store, wall_s, unreadable, sync_due, late)


async def _unless_unanswered(question: Awaitable[T], progress: Progress) -> T | None:
    """The answer; None when there is none: the run goes on, for it claims nothing that was not seen."""
    try:
        return await question
    except CallFailed as failed:
        progress.tell(Said(f"the store could not be compared with the log: {failed}"))
        return None


def _attach(pace: Pace, concurrency: int, progress: Progress, stop: Stop) -> None:
    """Show what the pacing does, and end the run when it says that going on is hopeless."""

    def changed() -> None:
        progress.concurrency, progress.breaker, progress.throttled = pace.concurrency, pace.breaker, pace.throttled
        progress.rate_rpm = pace.rate_rpm
        if pace.hopeless is not None:
            stop.halted = stop.halted or Halted(pace.hopeless)

    pace.attach(concurrency, stop, changed)
    changed()


async def remember_root(journal: Journal, root: Path) -> None:
    """The folder that later commands mean when none is named."""
    text = root_text(root)
    if journal.log.library().root != text:
        await journal.note(LIBRARY_STREAM, e.LibraryRooted(text))


def root_text(root: Path) -> str:
    """The folder's absolute path in the reversible text form of ``core.paths``."""
    return part_text(bytes(root.resolve()))


async def scan(
    journal: Journal,
    shell: Shell,
    root: Path,
    own_paths: Sequence[Path],
    progress: Callable[[int, int], None] = lambda done, total: None,
    ignore: Sequence[str] = (),
    rules: Rules = DEFAULT_RULES,
    *,
    redescribe: bool = False,
) -> Scanned:
    """Remember the folder and record what changed in it.  Raises `ScanRefused`."""
    await remember_root(journal, root)
    describer = Describer(rules)
    return await scan_library(
        journal, shell.log, root, own_paths, shell.run_sync, progress, ignore, describer, redescribe=redescribe
    )
