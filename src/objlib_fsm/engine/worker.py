"""One file: fold, next effect, perform, append, until it needs nothing now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import EventId, LibraryId, StoreName, StreamId
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.record import Call, FileRecord
from objlib_fsm.engine.errors import Halted, StoreProblem
from objlib_fsm.engine.journal import Journal, Moved
from objlib_fsm.engine.perform import Pace, Performer, Reports
from objlib_fsm.engine.progress import Progress
from objlib_fsm.engine.room import Room
from objlib_fsm.engine.scanning import events_of
from objlib_fsm.library import compare as c
from objlib_fsm.library.describing import hash_and_describe
from objlib_fsm.library.errors import (
    ChangedWhileRead,
    FileProblem,
    FileUnreadable,
    FileVanished,
    NotIndexable,
    NotRegular,
)
from objlib_fsm.library.metadata import Describer
from objlib_fsm.library.payload import Payload, open_payload
from objlib_fsm.library.scan import PLAIN
from objlib_fsm.library.values import Exclusion
from objlib_fsm.log.writer import RunSync
from objlib_fsm.remote.port import CallFailed

_CALLS = {
    fx.Upload: Call.UPLOAD,
    fx.ImportRaw: Call.IMPORT,
    fx.DeleteDocument: Call.DELETE_DOCUMENT,
    fx.DeleteRaw: Call.DELETE_RAW,
}
_DOING = {
    fx.Upload: "uploading",
    fx.LookUpRaw: "looking up its upload",
    fx.AwaitActive: "waiting until its upload is usable",
    fx.ImportRaw: "importing",
    fx.Poll: "waiting for its document",
    fx.LookUpDocument: "checking its document",
    fx.ListDocuments: "looking for its documents",
    fx.DeleteDocument: "deleting a document",
    fx.DeleteRaw: "deleting a raw file",
}

TOKENS_PER_BYTE = 0.25
"""Four bytes of text are about one token; the service bills and limits embedding by tokens."""


class Worker:
    """Works on one file at a time per call of `work`; many calls run at once."""

    def __init__(
        self,
        journal: Journal,
        performer: Performer,
        root: Path,
        temp_dir: Path,
        library: LibraryId,
        store: StoreName,
        slots: anyio.CapacityLimiter,
        pace: Pace,
        progress: Progress,
        run_sync: RunSync,
        stopping: Callable[[], bool],
        room: Room,
        describer: Describer = PLAIN,
    ) -> None:
        self._journal = journal
        self._performer = performer
        self._root = root
        self._temp_dir = temp_dir
        self._library = library
        self._store = store
        self._slots = slots
        self._pace = pace
        self._progress = progress
        self._run_sync = run_sync
        self._stopping = stopping
        self._room = room
        self._describer = describer
        self._look_ups: dict[anyio.CancelScope, None] = {}

    def end_look_ups(self) -> None:
        """The run is to end: what only asks and waits is cut short.  Nothing is lost, the next run asks again."""
        for scope in self._look_ups:
            scope.cancel()

    async def work(self, stream: StreamId, batch: int, waits: Callable[[], None]) -> FileRecord:
        """Do what the file needs until it needs nothing, or nothing now; its record then.

        *waits* is called when the file only waits for the service from here on.  Raises `Halted`, `Fenced`,
        `LogError`.
        """
        record = self._journal.reload(stream)
        try:
            while not self._stopping():
                effect = fx.next_effect(record, self._journal.clock.now_us())
                if effect is None:
                    effect = self._room.effect(record)
                if effect is None or isinstance(effect, fx.Wait):
                    break
                self._progress.doing(record.path, _DOING[type(effect)])
                if isinstance(effect, fx.Poll | fx.AwaitActive | fx.ListDocuments):
                    waits()
                try:
                    after = await self._step(record, effect, batch)
                except Moved:
                    after = self._journal.reload(stream)
                if after is record:
                    break
                record = after
        finally:
            self._progress.left(record.path)
        return record

    async def _step(self, record: FileRecord, effect: fx.Effect, batch: int) -> FileRecord:
        match effect:
            case fx.Upload():
                return await self._upload(record, effect, batch)
            case fx.ImportRaw() | fx.DeleteDocument() | fx.DeleteRaw():
                async with self._pace.mutation():
                    now_us = self._journal.clock.now_us()
                    if isinstance(effect, fx.ImportRaw) and fx.next_effect(record, now_us) != effect:
                        raise Moved("what it needs changed while it waited for its turn")
                    return await self._mutate(record, effect, batch, None)
            case fx.Wait():
                return record
        reports = await self._look_up(record, effect)
        return await self._journal.tell(record, *reports) if reports else record

    async def _look_up(
        self,
        record: FileRecord,
        effect: fx.LookUpRaw | fx.AwaitActive | fx.Poll | fx.LookUpDocument | fx.ListDocuments,
    ) -> Reports:
        """What the service says; nothing when the run ends meanwhile."""
        with anyio.CancelScope() as scope:
            self._look_ups[scope] = None
            try:
                match effect:
                    case fx.LookUpRaw():
                        return await self._performer.look_up_raw(effect)
                    case fx.AwaitActive():
                        return await self._performer.await_active(effect)
                    case fx.Poll():
                        return await self._performer.poll(record, effect)
                    case fx.LookUpDocument():
                        return await self._performer.look_up_document(record, effect)
                    case fx.ListDocuments():
                        return await self._performer.list_documents(record, effect)
            finally:
                del self._look_ups[scope]
        return ()

    async def _upload(self, record: FileRecord, effect: fx.Upload, batch: int) -> FileRecord:
        try:
            payload = await self._run_sync(self._open, record)
        except FileProblem as problem:
            return await self._report_local(record, problem)
        with payload:
            async with self._pace.mutation(round(payload.size_bytes * TOKENS_PER_BYTE)):
                return await self._mutate(record, effect, batch, payload)

    def _open(self, record: FileRecord) -> Payload:
        now_us = self._journal.clock.now_us()
        return open_payload(
            self._root,
            record.path,
            now_us,
            self._temp_dir,
            expected_sha256=record.source_hash,
            header=record.header,
        )

    async def _report_local(self, record: FileRecord, problem: FileProblem) -> FileRecord:
        """The file is not what was scanned: what it is now is recorded, and nothing is sent."""
        events = await self._run_sync(self._look_again, record, problem)
        if not events:
            failure = Failure(Outcome.UNAVAILABLE, Reason.OTHER, problem.why)
            return await self._journal.tell(record, d.LookUpFailed(Call.UPLOAD, failure))
        return await self._journal.tell(record, *map(d.Tell, events))

    def _look_again(self, record: FileRecord, problem: FileProblem) -> tuple[e.Event, ...]:
        now_us = self._journal.clock.now_us()
        try:
            if isinstance(problem, ChangedWhileRead):
                found = hash_and_describe(self._root, record.path, now_us, self._describer, look_for_sidecar=True)
                changed = found[0].sha256 != record.source_hash
                return events_of(c.Changed(record.path, *found), record) if changed else ()
        except FileProblem as newer:
            problem = newer
        match problem:
            case FileVanished():
                return (e.FileVanished(),)
            case NotIndexable(reason=reason, detail=detail, size_bytes=size_bytes, mtime_ns=mtime_ns, basis=basis):
                excluded = c.NowExcluded(record.path, reason, detail, size_bytes, mtime_ns, now_us, basis)
                return events_of(excluded, record)
            case FileUnreadable():
                return (e.FileExcluded(Exclusion.UNREADABLE.value),)
            case NotRegular():
                return (e.FileVanished(),)
            case _:
                return ()

    async def _mutate(
        self,
        record: FileRecord,
        effect: fx.Mutation,
        batch: int,
        payload: Payload | None,
        *before: d.Report,
    ) -> FileRecord:
        """Intent, call, outcome.  A call that is cut short is recorded as uncertain before it is given up.

        A slot is held for the call alone: the commits of some files go on while others are sent.
        """
        if self._stopping():
            return await self._journal.tell(record, *before) if before else record
        call = self._journal.new_id()
        begin = d.Begin(effect, call, self._library, self._store, batch)
        record = await self._journal.begin(record, begin, *before)
        try:
            async with self._slots:
                reports = await self._call(record, effect, call, payload)
        except CallFailed as failed:
            reports = (d.Failed(call, _CALLS[type(effect)], failed.failure),)
        except BaseException as error:
            what = _CALLS[type(effect)]
            failure = Failure(Outcome.UNCERTAIN, Reason.CANCELLED, "cut short")
            if isinstance(error, Halted | StoreProblem):
                failure = Failure(Outcome.HALTED, Reason.OTHER, str(error))
            with anyio.CancelScope(shield=True):
                await self._journal.tell(record, d.Failed(call, what, failure))
            raise
        record = await self._tell_or_go_on(record, reports, batch)
        for report in reports:
            if isinstance(report, d.Uploaded):
                self._room.taken(report.size_bytes, self._journal.clock.now_us())
            if isinstance(report, d.Failed) and report.failure.outcome is Outcome.HALTED and not self._stopping():
                raise Halted(report.failure)
        return record

    async def _tell_or_go_on(self, record: FileRecord, reports: Reports, batch: int) -> FileRecord:
        """Write the outcome; where pacing allows the import at once, its intent goes into the same append."""
        if self._pace.first_poll_at_once and len(reports) == 1 and isinstance(reports[0], d.Uploaded):
            uploaded = reports[0]
            if uploaded.state == "ACTIVE" and uploaded.payload == record.payload_hash:
                try:
                    return await self._mutate(
                        record, fx.ImportRaw(uploaded.raw, uploaded.payload, record.payload), batch, None, uploaded
                    )
                except Moved:
                    record = self._journal.reload(record.stream)
        return await self._journal.tell(record, *reports) if reports else record

    async def _call(
        self,
        record: FileRecord,
        effect: fx.Mutation,
        call: EventId,
        payload: Payload | None,
    ) -> Reports:
        if self._stopping():
            not_sent = Failure(Outcome.HALTED, Reason.CANCELLED, "the run ended before it was sent")
            return (d.Failed(call, _CALLS[type(effect)], not_sent),)
        match effect:
            case fx.Upload():
                assert payload is not None
                return await self._performer.upload(record, effect, call, payload)
            case fx.ImportRaw():
                return await self._performer.import_raw(record, effect, call)
            case fx.DeleteDocument():
                return await self._performer.delete_document(effect, call)
            case fx.DeleteRaw():
                return await self._performer.delete_raw(effect, call)
