"""A shell: performs effects against the model of the service, and reports what became of them as the engine does."""

from __future__ import annotations

from typing import Final

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import DocumentName, EventId, LibraryId, RawFileName, StreamId, raw_file_for
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.policy import POLL_TOTAL_S, after_s
from objlib_fsm.core.record import Call, FileRecord
from tests.core.moves import How, Step
from tests.core.service import SECOND_US, Clock, Service, StoredDocument

LIBRARY: Final = LibraryId("libraryid0000000")
STREAM: Final = StreamId("streamid00000000")

COMMIT_S: Final = 40.0
"""A call that is cut short still takes effect within this time, and ..."""
LAG_S: Final = 15.0
"""... listings show it within this time more: together less than the 60 s the design rests on."""

_CUT: Final = (How.CUT_DONE, How.CUT_LATE, How.CUT_LOST)
CRASH: Final = (How.CRASH_DONE, How.CRASH_LATE, How.CRASH_LOST)
_LATE: Final = (How.CUT_LATE, How.CRASH_LATE)
_NOT_DONE: Final = (How.REJECTED, How.THROTTLED, How.REFUSED_NOW, How.CUT_LOST, How.HALTED, How.CRASH_LOST)
_FAILURES: Final = {
    How.REJECTED: (Failure(Outcome.REJECTED, Reason.INVALID_ARGUMENT, "no", 400, "INVALID_ARGUMENT"),),
    How.THROTTLED: (
        Failure(Outcome.THROTTLED, Reason.RATE_LIMIT, "slow down", 429, retry_after_s=17.0),
        Failure(Outcome.THROTTLED, Reason.RATE_LIMIT, "slow down", 429),
    ),
    How.REFUSED_NOW: (
        Failure(Outcome.UNAVAILABLE, Reason.CREATE_FAILED, "Failed to create file.", 400),
        Failure(Outcome.UNAVAILABLE, Reason.NETWORK, "connection refused"),
        Failure(Outcome.UNAVAILABLE, Reason.SERVER_ERROR, "overloaded", 503),
        Failure(Outcome.UNAVAILABLE, Reason.TIMEOUT, "not in its time"),
    ),
    How.BROKEN: (Failure(Outcome.UNAVAILABLE, Reason.SERVER_ERROR, "internal", 500),),
    How.CUT_DONE: (Failure(Outcome.UNCERTAIN, Reason.TIMEOUT, "no answer"),),
    How.CUT_LATE: (Failure(Outcome.UNCERTAIN, Reason.CANCELLED, "cut short"),),
    How.CUT_LOST: (Failure(Outcome.UNCERTAIN, Reason.NETWORK, "connection lost"),),
    How.HALTED: (
        Failure(Outcome.HALTED, Reason.BAD_KEY, "API key not valid", 400),
        Failure(Outcome.HALTED, Reason.STORAGE_LIMIT, "the store is full", 429),
    ),
}

OUTCOMES: Final = (d.Uploaded, d.Accepted, d.Deleted, d.Failed)
"""Reports of calls; the others are of look-ups."""


class Shell:
    """One process that performs effects."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self.service = service
        self.clock = clock
        self.snapshot: tuple[int, tuple[e.DocumentFact, ...]] | None = None

    def take_snapshot(self) -> None:
        """Take a listing that may be used later."""
        self.snapshot = (self.clock.now_us, self._facts(LAG_S))

    def listing(self) -> d.DocumentsFound:
        """What a complete listing shows now."""
        return d.DocumentsFound(self.clock.now_us, self._facts(0.0))

    def call(self, record: FileRecord, effect: fx.Effect, call: EventId, step: Step) -> tuple[d.Report, ...]:
        """Perform *effect*, whose intent is *call*, with the end that *step* says."""
        how = step.how
        arrives_us = self.clock.real_us + (round((step.n % 8) / 7 * COMMIT_S * SECOND_US) if how in _LATE else 0)
        if how in _LATE:  # ... counted from the moment when the shell gives up.
            arrives_us += round(step.after_s * SECOND_US) if how is How.CUT_LATE else 0
        match effect:
            case fx.Upload():
                return self._upload(effect, call, step, arrives_us)
            case fx.ImportRaw():
                return self._import(record, effect, call, step, arrives_us)
            case fx.DeleteDocument() | fx.DeleteRaw():
                return self._delete(effect, call, step, arrives_us)
            case _ if how in (How.THROTTLED, How.REFUSED_NOW, How.REJECTED, *_CUT):
                what = {
                    fx.LookUpRaw: Call.LOOK_UP_RAW,
                    fx.AwaitActive: Call.LOOK_UP_RAW,
                    fx.ListDocuments: Call.LIST_DOCUMENTS,
                }.get(type(effect), Call.LOOK_UP_DOCUMENT)
                return (d.LookUpFailed(what, self._failure(step)),)
            case fx.LookUpRaw(raw, payload, generation) | fx.AwaitActive(raw, payload, generation):
                return self._raw(raw, payload, generation, wait=isinstance(effect, fx.AwaitActive))
            case fx.Poll():
                return self._poll(effect, how)
            case fx.LookUpDocument(document):
                return self._document(document)
            case fx.ListDocuments(not_before_us):
                if how is How.STALE and self.snapshot is not None and self.snapshot[0] >= not_before_us:
                    return (d.DocumentsFound(*self.snapshot),)
                return (d.DocumentsFound(self.clock.now_us, self._facts(LAG_S if how is How.SLOWLY else 0.0)),)
        raise AssertionError(effect)

    def _failure(self, step: Step) -> Failure:
        choices = _FAILURES[step.how]
        return choices[step.n % len(choices)]

    def _upload(self, effect: fx.Upload, call: EventId, step: Step, arrives_us: int) -> tuple[d.Report, ...]:
        name = raw_file_for(LIBRARY, STREAM, effect.payload, effect.generation)
        raw = None
        ours = name in self.service.raws
        if step.how is How.NAME_TAKEN and not ours:
            return (d.RawLost(name, effect.generation, "conflict", "its SHA-256 is not that of the bytes sent"),)
        if step.how is How.NAME_BLOCKED and not ours:
            return (d.RawMissing(name, effect.generation),)
        if step.how not in _NOT_DONE:
            raw = self.service.upload(name, effect.payload, arrives_us, own_name=step.how is How.OTHER_NAME)
            if raw is None:
                return self._raw(name, effect.payload, effect.generation, wait=False)
            raw.fate = "FAILED" if step.how is How.BADLY else "ACTIVE"
            raw.ready_us += round(step.n * 100 * SECOND_US) if step.how in (How.SLOWLY, How.BADLY) else 0
        if step.how in _FAILURES:
            return (d.Failed(call, Call.UPLOAD, self._failure(step)),)
        if raw is None:
            return ()
        state = raw.state(self.clock.real_us)
        done = d.Uploaded(call, raw.name, effect.payload, effect.generation, state, 8, raw.expires_us)
        if state == "FAILED":
            return (done, d.RawLost(raw.name, effect.generation, "failed", "bad file"))
        return (done,)

    def _import(
        self, record: FileRecord, effect: fx.ImportRaw, call: EventId, step: Step, arrives_us: int
    ) -> tuple[d.Report, ...]:
        raw = self.service.raws.get(effect.raw)
        there = raw is not None and raw.there(self.clock.real_us)
        if not there and step.how not in (How.THROTTLED, How.HALTED, *_CUT, *CRASH):
            generation = next((w.generation for w in record.raws if w.name == effect.raw), 0)
            gone = Failure(Outcome.UNAVAILABLE, Reason.FORBIDDEN, "may not exist", 403)
            return (
                d.Failed(call, Call.IMPORT, gone),
                d.RawLost(effect.raw, generation, "expired", "may not exist"),
            )
        operation = None
        if there and step.how not in _NOT_DONE:
            shown_us = round((step.n % 4) / 3 * LAG_S * SECOND_US)
            operation, document = self.service.import_raw(effect.identity, arrives_us, shown_us)
            slow_us = round(step.n * 60 * SECOND_US)
            if step.how in (How.SLOWLY, How.BADLY):
                document.ready_us += slow_us
                operation.ends_us = arrives_us + slow_us
            if step.how is How.BADLY:
                document.fate = "STATE_FAILED"
            if step.how is How.OPERATION_LIES:
                operation.result = "error"
            if step.how is How.OPERATION_SILENT:
                operation.ends_us = None
        if step.how in _FAILURES:
            return (d.Failed(call, Call.IMPORT, self._failure(step)),)
        return () if operation is None else (d.Accepted(call, operation.name),)

    def _delete(
        self, effect: fx.DeleteDocument | fx.DeleteRaw, call: EventId, step: Step, arrives_us: int
    ) -> tuple[d.Report, ...]:
        document = isinstance(effect, fx.DeleteDocument)
        what = Call.DELETE_DOCUMENT if document else Call.DELETE_RAW
        found = False
        if step.how not in _NOT_DONE:
            if isinstance(effect, fx.DeleteDocument):
                found = self.service.delete_document(effect.document, arrives_us)
            else:
                found = self.service.delete_raw(effect.raw, arrives_us)
        if step.how in _FAILURES:
            return (d.Failed(call, what, self._failure(step)),)
        target = effect.document if isinstance(effect, fx.DeleteDocument) else effect.raw
        return (d.Deleted(call, target, what, found),)

    def _raw(self, name: RawFileName, payload: str, generation: int, *, wait: bool) -> tuple[d.Report, ...]:
        raw = self.service.look_up_raw(name, self.clock.real_us)
        if raw is not None and wait and raw.state(self.clock.real_us) == "PROCESSING":
            self.clock.advance(min(300.0, (raw.ready_us - self.clock.real_us) / SECOND_US))
            raw = self.service.look_up_raw(name, self.clock.real_us)
        if raw is None:
            return (d.RawMissing(name, generation),)
        state = raw.state(self.clock.real_us)
        if state == "FAILED":
            return (d.RawLost(name, generation, "failed", "bad file"),)
        if state == "PROCESSING" and wait:
            return (
                d.LookUpFailed(
                    Call.LOOK_UP_RAW, Failure(Outcome.UNAVAILABLE, Reason.STILL_WAITING, "still PROCESSING")
                ),
            )
        return (d.RawFound(name, payload, generation, state, 8, raw.expires_us),)

    def _poll(self, effect: fx.Poll, how: How) -> tuple[d.Report, ...]:
        operation = self.service.operations[effect.operation]
        times = (1, self.clock.now_us, self.clock.now_us)
        if how is How.STALE:
            for document in self.service.listed(self.clock.real_us):
                if document.payload == effect.identity:
                    return (d.DocumentFound(self._fact(document)),)
        if operation.ends_us is None:
            if how is How.OPERATION_SILENT:
                return (d.OperationFinished(effect.operation, "forgotten", None, "unknown operation", *times),)
            ends_us = after_s(effect.began_at_us, POLL_TOTAL_S)
            self.clock.advance(max(0.0, (ends_us - self.clock.now_us) / SECOND_US))
            return (d.OperationFinished(effect.operation, "timed_out", None, "", *times),)
        self.clock.advance(max(0.0, (operation.ends_us - self.clock.real_us) / SECOND_US))
        if operation.result != "done" or operation.document is None:
            return (d.OperationFinished(effect.operation, operation.result, None, "internal", *times),)
        done = d.OperationFinished(effect.operation, "done", operation.document, "", *times)
        return (done, *self._document(operation.document))

    def _document(self, name: DocumentName) -> tuple[d.Report, ...]:
        document = self.service.documents.get(name)
        if document is None or not document.shown(self.clock.real_us):
            return (d.DocumentMissing(name, self.clock.now_us),)
        if document.state(self.clock.real_us) == "STATE_PENDING":
            self.clock.advance(min(300.0, (document.ready_us - self.clock.real_us) / SECOND_US))
        found = d.DocumentFound(self._fact(document))
        if document.state(self.clock.real_us) == "STATE_PENDING":
            late = Failure(Outcome.UNAVAILABLE, Reason.STILL_WAITING, "still pending")
            return (found, d.LookUpFailed(Call.LOOK_UP_DOCUMENT, late))
        return (found,)

    def _fact(self, document: StoredDocument) -> e.DocumentFact:
        return e.DocumentFact(document.name, document.state(self.clock.real_us), document.payload, document.made_us)

    def _facts(self, lag_s: float) -> tuple[e.DocumentFact, ...]:
        return tuple(map(self._fact, self.service.listed(self.clock.real_us, round(lag_s * SECOND_US))))
