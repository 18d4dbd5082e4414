"""The run: one task group, every open file through the same loop, no barrier between them."""

from __future__ import annotations

import heapq
from typing import Final, NamedTuple

import anyio
import msgspec
from anyio.abc import TaskGroup

from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core import policy
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.outcomes import Reason
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import State
from objlib_fsm.engine.clock import TURN_S
from objlib_fsm.engine.errors import Halted
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.lessons import Lessons
from objlib_fsm.engine.progress import BatchBegan, BatchDone, FileChanged, Progress, ResumedLate, Waiting
from objlib_fsm.engine.queue import NEVER_US, Place, Queue, Turn, place_of
from objlib_fsm.engine.room import Room
from objlib_fsm.engine.worker import Worker
from objlib_fsm.log import lease
from objlib_fsm.log.contract import Fenced, VersionConflict
from objlib_fsm.log.sqlite import SqliteReader

RECOVERY_LIMIT_S: Final = 14_400.0
"""Resumed work comes before new work for four hours, as the earlier tool's recovery did; what is left then is reported
and comes after the rest."""

SECOND_PASS_HELD_MAX_S: Final = 3_600.0
"""A first pass of days does not keep a file from its second one: its raw file would expire meanwhile."""

WAIT_MAX_S: Final = 300.0
"""What is due within this time is waited for; past it the run ends and says when to come back."""

IN_FLIGHT_MAX: Final = 1_000
"""Files that may wait for the service at once: 30 s of documents at 33 uploads a second, and a few MB of memory."""

WAIT_TOLD_S: Final = 5.0
"""A shorter wait is over before anybody has read of it; while every call fails there are several in a second."""

FOLLOW_EVERY_S: Final = 1.0
"""How often the run looks for what other processes appended."""


class Stop:
    """Asks a run to end: ``draining`` begins nothing new and lets calls in flight reach a recorded state."""

    def __init__(self) -> None:
        self.draining = False
        self.exit_code: int | None = None
        """What the process will answer when it was told to stop; None while it was not."""
        self.halted: Halted | None = None
        self.error: Exception | None = None

    def __call__(self) -> bool:
        return self.draining or self.halted is not None or self.error is not None


class _Batch:
    def __init__(self, number: int, files: int, started_at_us: int) -> None:
        self.number, self.files, self.started_at_us = number, files, started_at_us
        self.open: set[StreamId] = set()
        self.succeeded = self.failed = self.ended = 0


class Ended(msgspec.Struct, frozen=True):
    """How the run ended: files put off and the earliest time one of them is due, None when none is.

    ``resumed_late`` files of an earlier run were not done within the time that resumed work has.
    """

    put_off: int
    next_due_us: int | None
    resumed_late: int = 0


class _Parked(NamedTuple):
    """A file that waits until ``due_us``; ``place`` is its place in the queue then."""

    due_us: int
    place: Place


class Runner:
    """Works on every file that needs something, until nothing is due within `WAIT_MAX_S`."""

    def __init__(
        self,
        journal: Journal,
        log: SqliteReader,
        worker: Worker,
        progress: Progress,
        stop: Stop,
        lessons: Lessons,
        room: Room,
        *,
        run: str,
        epoch: int,
        concurrency: int,
        batch_size: int,
        limit: int | None = None,
        only: frozenset[StreamId] | None = None,
        recovery_limit_s: float = RECOVERY_LIMIT_S,
    ) -> None:
        self._journal = journal
        self._log = log
        self._worker = worker
        self._progress = progress
        self._stop = stop
        self._lessons = lessons
        self._room = room
        self._run = run
        self._epoch = epoch
        self._launching_max = 2 * concurrency
        self._batch_size = batch_size
        self._limit = limit
        self._only = only
        self._recovery_limit_s = recovery_limit_s
        self._ready = Queue()
        self._parked: dict[StreamId, _Parked] = {}
        self._due: list[tuple[int, StreamId]] = []
        self._patient: set[StreamId] = set()
        self._held: dict[StreamId, tuple[float, Place]] = {}
        """Files between their passes, with the monotonic time since when."""
        self._resumed: set[StreamId] = set()
        self._late: set[StreamId] = set()
        self._active: set[StreamId] = set()
        self._again: set[StreamId] = set()
        self._launching = 0
        self._changed = anyio.Event()
        self._batch: _Batch | None = None
        self._batch_of: dict[StreamId, _Batch] = {}
        self._admitted: set[StreamId] = set()
        self._position = 0

    async def run(self) -> Ended:
        """Raises `Fenced` and `LogError`; a `Halted` is left in the `Stop`."""
        self._position = self._log.head()
        files = [file for file in self._log.open_files() if self._only is None or file.stream in self._only]
        for file in files[: self._limit]:
            new = file.state is State.UNTRACKED
            expires_at_us = NEVER_US if file.expires_at_us is None else file.expires_at_us
            self._ready.push(file.stream, Place(Turn.NEW if new else Turn.BEGUN, expires_at_us))
            self._admitted.add(file.stream)
            if file.state in (State.UPLOADING, State.PROCESSING):
                self._resumed.add(file.stream)
        self._progress.total = len(self._ready)
        self._began = self._journal.clock.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renew)
            tasks.start_soon(self._follow)
            await self._dispatch(tasks)
            tasks.cancel_scope.cancel()
        if self._stop.error is not None:
            raise self._stop.error
        while self._batch_of:
            await self._leave_batch(next(iter(self._batch_of)), None)
        next_due_us = min((parked.due_us for parked in self._parked.values()), default=None)
        return Ended(len(self._parked) + len(self._held), next_due_us, len(self._late))

    async def _dispatch(self, tasks: TaskGroup) -> None:
        while True:
            self._changed = anyio.Event()
            self._unpark()
            self._set_back()
            for stream in self._room.choose(self._journal.clock.now_us()):
                self._take_up(stream)
            while self._may_launch():
                stream = self._ready.pop()
                self._active.add(stream)
                self._launching += 1
                tasks.start_soon(self._work, stream, await self._batch_for(stream))
            if self._stop():
                self._worker.end_look_ups()
            if not self._active and (self._stop() or (not self._ready and not self._wait_s())):
                return
            await self._turn()

    def _may_launch(self) -> bool:
        return (
            bool(self._ready)
            and not self._stop()
            and self._launching < self._launching_max
            and len(self._active) < IN_FLIGHT_MAX
        )

    def _unpark(self) -> None:
        now_us = self._journal.clock.now_us()
        while self._due and self._due[0][0] <= now_us:
            due_us, stream = heapq.heappop(self._due)
            parked = self._parked.get(stream)
            if parked is not None and parked.due_us == due_us and self._may_look_again(stream):
                del self._parked[stream]
                self._push(stream, parked.place)
        self._begin_second_pass(now_us)

    def _may_look_again(self, stream: StreamId) -> bool:
        """A file that the service kept waiting in vain gets another look beside other work, and is no work by itself.

        Else a few documents that stay pending, each due at another time, would keep a run from ever ending.
        """
        return stream not in self._patient or bool(self._ready) or not self._active <= self._patient

    def _push(self, stream: StreamId, place: Place) -> None:
        self._ready.push(stream, Place(Turn.SET_BACK) if stream in self._late else place)

    def _park(self, stream: StreamId, due_us: int, place: Place) -> None:
        self._parked[stream] = _Parked(due_us, place)
        heapq.heappush(self._due, (due_us, stream))

    def _begin_second_pass(self, now_us: int) -> None:
        """When no file of the first pass can go on, those that wait for their second one get it a little later."""
        if not self._held:
            return
        now = self._journal.clock.monotonic()
        through = not self._ready and not self._launching and not self._wait_s()
        while self._held:
            stream, (since, place) = next(iter(self._held.items()))  # The one that has waited longest.
            if not through and now - since < SECOND_PASS_HELD_MAX_S:
                break
            del self._held[stream]
            self._park(stream, policy.after_s(now_us, policy.SECOND_PASS_DELAY_S), place)

    def _set_back(self) -> None:
        """Resumed work that is not done in its time comes after the rest from here on."""
        if not self._resumed or self._journal.clock.monotonic() - self._began < self._recovery_limit_s:
            return
        self._late, self._resumed = self._resumed, set()
        for stream in self._late:
            if stream in self._ready:
                self._ready.push(stream, Place(Turn.SET_BACK))
        example = self._journal.reload(min(self._late)).path
        self._progress.tell(ResumedLate(len(self._late), example, self._recovery_limit_s))

    def _wait_s(self) -> float:
        """How long until a parked file is due; 0 when none is within `WAIT_MAX_S`."""
        earliest_us = self._earliest_us()
        if earliest_us is None:
            return 0.0
        wait_s = (earliest_us - self._journal.clock.now_us()) / 1e6
        return max(wait_s, 0.001) if wait_s <= WAIT_MAX_S else 0.0

    def _earliest_us(self) -> int | None:
        """When the next parked file is due; entries of files that were taken up meanwhile are dropped on the way."""
        while self._due:
            due_us, stream = self._due[0]
            parked = self._parked.get(stream)
            if parked is not None and parked.due_us == due_us:
                return due_us
            heapq.heappop(self._due)
        return None

    async def _turn(self) -> None:
        """Sleep until something changed, a file is due, or a turn is over."""
        wait_s = self._wait_s()
        if wait_s >= WAIT_TOLD_S and not self._active:
            self._progress.tell(Waiting(self._earliest_us() or 0, len(self._parked)))
        with anyio.move_on_after(min(wait_s or TURN_S, TURN_S)):
            await self._changed.wait()

    async def _work(self, stream: StreamId, batch: _Batch) -> None:
        waiting = False

        def waits() -> None:
            nonlocal waiting
            if not waiting:
                waiting = True
                self._launching -= 1
                self._changed.set()

        record: FileRecord | None = None
        try:
            record = await self._worker.work(stream, batch.number, waits)
        except Halted as halted:
            self._stop.halted = self._stop.halted or halted
        except VersionConflict:
            self._again.add(stream)  # Another process keeps writing about this file; the others go on.
            record = self._journal.reload(stream)
        except Exception as error:
            self._stop.error = self._stop.error or error
        finally:
            waits()
            self._active.discard(stream)
        await self._settled(stream, record)
        self._changed.set()

    async def _settled(self, stream: StreamId, record: FileRecord | None) -> None:
        if record is None or self._stop():
            return
        if stream in self._again:
            self._again.discard(stream)
            self._push(stream, place_of(record))
            return
        now_us = self._journal.clock.now_us()
        effect = fx.next_effect(record, now_us)
        if isinstance(effect, fx.Wait):
            soon = effect.until_us - now_us <= WAIT_MAX_S * 1e6
            if soon and policy.between_passes(record):
                self._held[stream] = (self._journal.clock.monotonic(), place_of(record))
                return
            self._park(stream, effect.until_us, place_of(record))
            if soon:
                return
            if record.problem is not None and record.problem.reason is Reason.STILL_WAITING:
                self._patient.add(stream)
        elif effect is not None:
            self._push(stream, place_of(record))
            return
        else:
            self._resumed.discard(stream)
        self._progress.tell(FileChanged(record.path, record.state.label, record.cause))
        await self._leave_batch(stream, record)

    # ---- batches: for reporting only -------------------------------------------------------------------------------

    async def _batch_for(self, stream: StreamId) -> _Batch:
        known = self._batch_of.get(stream)
        if known is not None:
            return known
        if self._batch is None or len(self._batch.open) + self._batch.ended >= self._batch.files:
            number = self._log.library().last_batch + 1
            files = min(self._batch_size, len(self._ready) + 1)
            self._batch = _Batch(number, files, self._journal.clock.now_us())
            await self._journal.note(LIBRARY_STREAM, e.BatchStarted(number, files))
            self._progress.batch, self._progress.batch_files, self._progress.batch_done = number, files, 0
            self._progress.tell(BatchBegan(number, files))
        self._batch.open.add(stream)
        self._batch_of[stream] = self._batch
        return self._batch

    async def _leave_batch(self, stream: StreamId, record: FileRecord | None) -> None:
        batch = self._batch_of.pop(stream, None)
        if batch is None:
            return
        batch.open.discard(stream)
        batch.ended += 1
        if record is not None:
            self._progress.done += 1
            self._progress.ended[record.state] += 1
            batch.succeeded += record.state is State.INDEXED
            batch.failed += record.state is State.FAILED
        if batch is self._batch:
            self._progress.batch_done = batch.ended
        if batch.ended == batch.files or (batch is not self._batch and not batch.open) or not self._batch_of:
            if batch is self._batch:
                self._batch = None
            ended = e.BatchEnded(batch.number, batch.ended, batch.succeeded, batch.failed, batch.started_at_us)
            await self._journal.note(LIBRARY_STREAM, ended)
            self._progress.tell(BatchDone(batch.number, batch.ended, batch.succeeded, batch.failed))

    # ---- beside the work -------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Say that this run is alive and what it learned; find out when it is not the holder any more."""
        while True:
            await self._journal.clock.sleep(lease.RENEW_EVERY_S)
            try:
                await lease.renew(self._journal.log, self._epoch, self._journal.clock.now_us(), self._journal.new_id())
                await self._lessons.note()
            except Fenced as fenced:
                self._stop.error = fenced
                self._changed.set()
                return

    async def _follow(self) -> None:
        """Take up files to which another process appended."""
        while True:
            await self._journal.clock.sleep(FOLLOW_EVERY_S)
            head = self._log.head()
            if head == self._position:
                continue
            for stream in self._log.touched_by_others(self._position, self._run):
                self._take_up(stream)
            self._position = head
            self._changed.set()

    def _take_up(self, stream: StreamId) -> None:
        """Something new is known of the file, or wanted from it: look at it again."""
        self._parked.pop(stream, None)
        self._held.pop(stream, None)
        if stream in self._active:
            self._again.add(stream)
        elif stream not in self._ready:
            known = stream in self._admitted
            if not known:
                self._admitted.add(stream)
                self._progress.total += 1
            self._push(stream, Place(Turn.BEGUN if known else Turn.NEW))
