"""Effects performed: one function per call, from an effect to the reports of what the service said.

Waiting loops (raw file ACTIVE, operation, document) are here too: a poll is not an event, so nothing of them is
written until they end.  A loop that is told to stop returns no report, and the next run takes it up again.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
import msgspec

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import policy
from objlib_fsm.core.events import DocumentFact
from objlib_fsm.core.ids import DocumentName, EventId, LibraryId, RawFileName, StoreName, raw_file_for
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.record import Call, FileRecord
from objlib_fsm.engine.answers import PASSING
from objlib_fsm.engine.clock import Clock
from objlib_fsm.engine.errors import Halted
from objlib_fsm.engine.listed import fact_of, is_of
from objlib_fsm.engine.listing import SharedListing
from objlib_fsm.engine.store import check_store
from objlib_fsm.library.names import display_name
from objlib_fsm.library.payload import Payload
from objlib_fsm.remote.identity import LIBRARY_KEY, PAYLOAD_KEY, STREAM_KEY
from objlib_fsm.remote.pacing import Pace as Pace
from objlib_fsm.remote.port import CallFailed, DocumentState, RawFile, RawState, Remote

Reports = tuple[d.Report, ...]


class Performer:
    """Performs effects for one store."""

    def __init__(
        self,
        remote: Remote,
        store: StoreName,
        library: LibraryId,
        clock: Clock,
        listing: SharedListing,
        pace: Pace,
        polls: anyio.CapacityLimiter,
        stopping: Callable[[], bool],
        waits: policy.Waits,
    ) -> None:
        self._remote = remote
        self._store = store
        self._library = library
        self._clock = clock
        self._listing = listing
        self._pace = pace
        self._polls = polls
        self._stopping = stopping
        self._waits = waits

    # ---- calls that change something; the caller wrote the intent --------------------------------------------------

    async def upload(self, record: FileRecord, effect: fx.Upload, call: EventId, payload: Payload) -> Reports:
        """Send the bytes."""
        name = raw_file_for(self._library, record.stream, effect.payload, effect.generation)
        try:
            raw = await self._remote.upload(
                name,
                payload.stream,
                size_bytes=payload.size_bytes,
                mime_type=payload.mime_type,
                display_name=display_name(record.path),
            )
        except CallFailed as failed:
            if failed.failure.reason is Reason.EXISTS:
                self._pace.observe(None, what=Call.UPLOAD)
                found = await self.look_up_raw(fx.LookUpRaw(name, effect.payload, effect.generation))
                if isinstance(found[0], d.RawFound):
                    return (msgspec.structs.replace(found[0], taken=True),)
                if not isinstance(found[0], d.RawMissing):
                    return found
                # The name is taken and shows nothing (an expired file's, or another's): only the next one helps.
                return (d.RawLost(name, effect.generation, "conflict", failed.failure.message),)
            failure = failed.failure
            if failure.reason is Reason.GONE:  # The upload's session: it ended while this machine slept.
                failure = _passing(failure)
            failure = _naming(failure, mime_type=payload.mime_type, display_name=display_name(record.path), name=name)
            return (self._failed(call, Call.UPLOAD, failure),)
        self._pace.observe(None, what=Call.UPLOAD)
        arrived = d.Uploaded(
            call, raw.name, effect.payload, effect.generation, raw.state, raw.size_bytes, raw.expires_at_us
        )
        lost = _unusable(raw, effect.payload, effect.generation, payload.size_bytes)
        return (arrived,) if lost is None else (arrived, lost)

    async def import_raw(self, record: FileRecord, effect: fx.ImportRaw, call: EventId) -> Reports:
        """Begin to make the document."""
        metadata = {
            **record.metadata,
            LIBRARY_KEY: self._library,
            STREAM_KEY: record.stream,
            PAYLOAD_KEY: effect.identity,
        }
        try:
            operation = await self._remote.import_raw(self._store, effect.raw, metadata)
        except CallFailed as failed:
            failure = _naming(failed.failure, file_name=effect.raw, custom_metadata=sorted(metadata))
            report = self._failed(call, Call.IMPORT, failure)
            if failure.reason not in (Reason.GONE, Reason.FORBIDDEN):
                return (report,)
            await check_store(self._clock, self._remote, self._store)
            generation = next((raw.generation for raw in record.raws if raw.name == effect.raw), record.generation)
            passing = d.Failed(call, Call.IMPORT, _passing(failure))
            return (passing, d.RawLost(effect.raw, generation, "expired", failure.message))
        self._pace.observe(None, what=Call.IMPORT)
        return (d.Accepted(call, operation),)

    async def delete_document(self, effect: fx.DeleteDocument, call: EventId) -> Reports:
        """Delete the document; "it is not there" is done."""
        try:
            await self._remote.delete_document(effect.document)
        except CallFailed as failed:
            if failed.failure.reason is Reason.GONE:
                self._pace.observe(None, what=Call.DELETE_DOCUMENT)
                return (d.Deleted(call, effect.document, Call.DELETE_DOCUMENT, False),)
            if await self._absence(effect.document, failed.failure) is not None:
                self._pace.observe(None)
                return (d.Deleted(call, effect.document, Call.DELETE_DOCUMENT, False),)
            return (self._failed(call, Call.DELETE_DOCUMENT, failed.failure),)
        self._pace.observe(None, what=Call.DELETE_DOCUMENT)
        return (d.Deleted(call, effect.document, Call.DELETE_DOCUMENT, True),)

    async def delete_raw(self, effect: fx.DeleteRaw, call: EventId) -> Reports:
        """Delete the raw file; "it is not there" is done, also as the 403 that expired ones answer."""
        try:
            await self._remote.delete_raw(effect.raw)
        except CallFailed as failed:
            if failed.failure.reason in (Reason.GONE, Reason.FORBIDDEN):
                await check_store(self._clock, self._remote, self._store)
                self._pace.observe(None, what=Call.DELETE_RAW)
                return (d.Deleted(call, effect.raw, Call.DELETE_RAW, False),)
            return (self._failed(call, Call.DELETE_RAW, failed.failure),)
        self._pace.observe(None, what=Call.DELETE_RAW)
        return (d.Deleted(call, effect.raw, Call.DELETE_RAW, True),)

    # ---- look-ups ----------------------------------------------------------------------------------------------------

    async def look_up_raw(self, effect: fx.LookUpRaw) -> Reports:
        """Is it there?"""
        try:
            raw = await self._get_raw(effect.raw)
        except CallFailed as failed:
            return (d.LookUpFailed(Call.LOOK_UP_RAW, failed.failure),)
        if raw is None:
            return (d.RawMissing(effect.raw, effect.generation),)
        lost = _unusable(raw, effect.payload, effect.generation)
        return (lost,) if lost is not None else (_found(raw, effect.payload, effect.generation),)

    async def await_active(self, effect: fx.AwaitActive) -> Reports:
        """Ask until it is ACTIVE or FAILED, with growing waits, for as long as it is given."""
        waits, began, polls = self._waits, self._clock.monotonic(), d.NO_POLL
        failure = Failure(Outcome.UNAVAILABLE, Reason.STILL_WAITING, f"{effect.raw} is still PROCESSING")
        while self._clock.monotonic() - began < waits.active_total_s:
            await self._wait(polls.count, waits.active_first_s, waits.active_max_s)
            if self._stopping():
                return ()
            polls = polls.one_more(self._clock.now_us())
            try:
                raw = await self._get_raw(effect.raw)
            except CallFailed as failed:
                if failed.failure.outcome not in PASSING:
                    return (d.LookUpFailed(Call.LOOK_UP_RAW, failed.failure, polls),)
                continue
            if raw is None:
                return (d.RawMissing(effect.raw, effect.generation),)
            lost = _unusable(raw, effect.payload, effect.generation)
            if lost is not None:
                return (lost,)
            if raw.state is RawState.ACTIVE:
                return (_found(raw, effect.payload, effect.generation, polls),)
        return (d.LookUpFailed(Call.LOOK_UP_RAW, failure, polls),)

    async def poll(self, record: FileRecord, effect: fx.Poll) -> Reports:
        """Ask for the operation, with growing waits; after some time a shared listing may answer instead."""
        waits, polls = self._waits, d.NO_POLL
        age_s = min(max((self._clock.now_us() - effect.began_at_us) / 1e6, 0.0), waits.poll_total_s)
        began = self._clock.monotonic() - age_s  # The wall clock may jump meanwhile.
        while True:
            await self._wait(polls.count, waits.poll_first_s, waits.poll_max_s)
            if self._stopping():
                return ()
            now_us = self._clock.now_us()
            if polls.count and self._clock.monotonic() - began >= waits.listing_after_s:
                seen = await self._seen_in_listing(record, effect.identity, now_us)
                if seen is not None:
                    active = seen.state == DocumentState.ACTIVE
                    said = "" if active else "a listing shows its document FAILED"
                    ended = _ended(effect, "listed" if active else "error", polls, seen.name, said)
                    return (ended, d.DocumentFound(seen))
            polls = polls.one_more(now_us)
            try:
                async with self._polls, self._pace.read():
                    status = await self._remote.get_operation(effect.operation)
            except CallFailed as failed:
                if failed.failure.reason is Reason.GONE:
                    return (_ended(effect, "forgotten", polls, None, failed.failure.message),)
                self._raise_halt(failed.failure)
            else:
                if status.done:
                    ended = _ended(effect, "error" if status.error else "done", polls, status.document, status.error)
                    if status.document is None:
                        return (ended,)
                    shown = await self._get_document(record, status.document)
                    if shown is None:
                        said = f"it names {status.document}, which is another file's"
                        return (_ended(effect, "misnamed", polls, None, said),)
                    return (ended, *shown)
            if self._clock.monotonic() - began >= waits.poll_total_s:
                return (_ended(effect, "timed_out", polls),)

    async def look_up_document(self, record: FileRecord, effect: fx.LookUpDocument) -> Reports:
        """Ask for the document until it is ACTIVE, FAILED or gone, with growing waits, for as long as it is given."""
        waits, began, polls = self._waits, self._clock.monotonic(), d.NO_POLL
        while True:
            polls = polls.one_more(self._clock.now_us())
            asked_at_us = self._clock.now_us()
            reports = await self._get_document(record, effect.document)
            if reports is None:
                return (d.DocumentMissing(effect.document, asked_at_us),)
            found = reports[0] if len(reports) == 1 else None
            if not isinstance(found, d.DocumentFound):
                return reports
            if polls.count > 1:
                reports = (d.DocumentFound(found.document, polls),)
            if found.document.state in (DocumentState.ACTIVE, DocumentState.FAILED):
                return reports
            if self._clock.monotonic() - began >= waits.document_total_s:
                failure = Failure(Outcome.UNAVAILABLE, Reason.STILL_WAITING, f"{effect.document} is still pending")
                return (*reports, d.LookUpFailed(Call.LOOK_UP_DOCUMENT, failure, polls))
            await self._clock.sleep(policy.growing_wait_s(polls.count - 1, waits.poll_first_s, waits.poll_max_s))
            if self._stopping():
                return ()

    async def list_documents(self, record: FileRecord, effect: fx.ListDocuments) -> Reports:
        """Find the file's documents in a complete listing."""
        try:
            listing = await self._listing.begun_after(effect.not_before_us)
        except CallFailed as failed:
            self._raise_halt(failed.failure)
            return (d.LookUpFailed(Call.LIST_DOCUMENTS, failed.failure),)
        return (d.DocumentsFound(listing.began_at_us, listing.of(record)),)

    # ---- shared pieces -----------------------------------------------------------------------------------------------

    async def _wait(self, polls: int, first_s: float, max_s: float) -> None:
        if polls or not self._pace.first_poll_at_once:
            await self._clock.sleep(policy.growing_wait_s(polls, first_s, max_s))

    async def _get_raw(self, name: RawFileName) -> RawFile | None:
        """The raw file; None when it is gone: 404, or 403 while the store answers."""
        try:
            async with self._polls, self._pace.read():
                return await self._remote.get_raw(name)
        except CallFailed as failed:
            if failed.failure.reason in (Reason.GONE, Reason.FORBIDDEN):
                await check_store(self._clock, self._remote, self._store)
                return None
            self._raise_halt(failed.failure)
            raise

    async def _get_document(self, record: FileRecord, name: DocumentName) -> Reports | None:
        """What a look-up says of the document; None when it is another file's."""
        asked_at_us = self._clock.now_us()
        try:
            async with self._polls, self._pace.read():
                document = await self._remote.get_document(name)
        except CallFailed as failed:
            if failed.failure.reason is Reason.GONE:
                return (d.DocumentMissing(name, asked_at_us),)
            self._raise_halt(failed.failure)
            absent = await self._absence(name, failed.failure)
            return (absent or d.LookUpFailed(Call.LOOK_UP_DOCUMENT, failed.failure),)
        return (d.DocumentFound(fact_of(record, document)),) if is_of(record, self._library, document) else None

    async def _absence(self, name: DocumentName, failure: Failure) -> d.DocumentMissing | None:
        """Whether a refusal means that the document is not there: the store answers, and a listing does not show it.

        Raw files answer 403 when they are gone; nobody has recorded whether documents do.
        """
        if failure.reason is not Reason.FORBIDDEN:
            return None
        await check_store(self._clock, self._remote, self._store)
        try:
            listing = await self._listing.begun_after(self._clock.now_us())
        except CallFailed as failed:
            self._raise_halt(failed.failure)
            return None
        return d.DocumentMissing(name, listing.began_at_us) if listing.document(name) is None else None

    async def _seen_in_listing(self, record: FileRecord, identity: str, now_us: int) -> DocumentFact | None:
        not_before_us = policy.after_s(now_us, -self._waits.listing_every_s)
        try:
            await self._listing.begun_after(not_before_us)
        except CallFailed as failed:
            self._raise_halt(failed.failure)
            return None
        fact = self._listing.seen(record, identity)
        return fact if fact is not None and fact.state in (DocumentState.ACTIVE, DocumentState.FAILED) else None

    def _failed(self, call: EventId, what: Call, failure: Failure) -> d.Failed:
        self._pace.observe(failure, what=what)
        return d.Failed(call, what, failure)

    def _raise_halt(self, failure: Failure) -> None:
        """After a look-up that failed."""
        self._pace.observe(failure, changes=False)
        if failure.outcome is Outcome.HALTED:
            raise Halted(failure)


def _naming(failure: Failure, **sent: object) -> Failure:
    """A refusal of what was sent, with the field that is meant, or else with all that were sent."""
    if failure.reason is Reason.UNSUPPORTED_TYPE and "mime_type" in sent:
        sent = {"mime_type": sent["mime_type"]}
    elif failure.reason is not Reason.INVALID_ARGUMENT or "(field " in failure.message:
        return failure
    if any(name in failure.message for name in sent):
        return failure
    told = ", ".join(f"{name} {value}" for name, value in sent.items())
    which = "field" if len(sent) == 1 else "one of the fields"
    return msgspec.structs.replace(failure, message=f"{failure.message} ({which} {told})")


def _passing(failure: Failure) -> Failure:
    """The same failure as one that another attempt, with a new raw file, will not meet."""
    return Failure(Outcome.UNAVAILABLE, failure.reason, failure.message, failure.code, failure.status)


def _ended(
    effect: fx.Poll, result: str, polls: d.Polls, document: DocumentName | None = None, message: str = ""
) -> d.OperationFinished:
    first_us, last_us = polls.first_at_us, polls.last_at_us
    return d.OperationFinished(effect.operation, result, document, message, polls.count, first_us, last_us)


def _found(raw: RawFile, payload: str, generation: int, polls: d.Polls = d.ONE_POLL) -> d.RawFound:
    return d.RawFound(raw.name, payload, generation, raw.state, raw.size_bytes, raw.expires_at_us, polls)


def _unusable(raw: RawFile, payload: str, generation: int, size_bytes: int | None = None) -> d.RawLost | None:
    """Why the raw file cannot be used, None when it can: FAILED, or other bytes than were sent."""
    if raw.state is RawState.FAILED:
        return d.RawLost(raw.name, generation, "failed", raw.error)
    if raw.sha256 and raw.sha256 != payload:
        return d.RawLost(raw.name, generation, "conflict", "its SHA-256 is not that of the bytes sent")
    if size_bytes is not None and not raw.sha256 and raw.size_bytes not in (0, size_bytes):
        return d.RawLost(raw.name, generation, "conflict", f"it has {raw.size_bytes} bytes, {size_bytes} were sent")
    return None
