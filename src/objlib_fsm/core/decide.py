"""Decisions: (record, command, now) to events.

A command from a person or a scan, and an intent, may be rejected; then nothing changes.  A report of what the
service said is never rejected: it becomes facts, and the verdicts that follow from them in the same append.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core import policy
from objlib_fsm.core.effects import DeleteDocument, ImportRaw, Mutation, Upload
from objlib_fsm.core.fold import apply
from objlib_fsm.core.ids import (
    DocumentName,
    EventId,
    LibraryId,
    OperationName,
    RawFileName,
    StoreName,
    payload_id,
    raw_file_for,
)
from objlib_fsm.core.machine import Rejected, check
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.record import Call, FileRecord
from objlib_fsm.core.table import State

FAILED_BEFORE: Final = "failed in the earlier tool"
"""The cause of a file that was adopted as failed."""


class Tell(msgspec.Struct, frozen=True, tag=True):
    """What a scan found or a person wants: the event itself, of the local or the wish family."""

    event: e.Event


class Adopt(msgspec.Struct, frozen=True, tag=True):
    """Take over a file that another tool indexed: its claim, the evidence, and what follows from both."""

    event: e.FileAdopted


class Begin(msgspec.Struct, frozen=True, tag=True):
    """About to perform *effect*, a call that changes the remote side.  ``call`` becomes the intent's event id."""

    effect: Mutation
    call: EventId
    library: LibraryId
    store: StoreName
    batch: int = 0


class Polls(msgspec.Struct, frozen=True):
    """Look-ups until something was shown: how many, and when the first and the last began."""

    count: int = 1
    first_at_us: int | None = None
    last_at_us: int | None = None

    def one_more(self, at_us: int) -> Polls:
        """After another one, begun at *at_us*."""
        return Polls(self.count + 1, at_us if self.first_at_us is None else self.first_at_us, at_us)


NO_POLL = Polls(0)
ONE_POLL = Polls()
"""One look-up without a time: when its outcome is recorded says when it was."""


class Uploaded(msgspec.Struct, frozen=True, tag=True):
    """The upload was answered."""

    call: EventId
    raw: RawFileName
    payload: str
    generation: int
    state: str
    size_bytes: int
    expires_at_us: int | None


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """The import was answered."""

    call: EventId
    operation: OperationName


class Deleted(msgspec.Struct, frozen=True, tag=True):
    """The deletion was answered; ``found`` is False for "it is not there"."""

    call: EventId
    target: DocumentName | RawFileName
    what: Call
    found: bool


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A call that has an intent did not end done."""

    call: EventId
    what: Call
    failure: Failure


class RawFound(msgspec.Struct, frozen=True, tag=True):
    """A look-up showed the raw file, and it is what was sent; ``taken`` when it was there before that."""

    raw: RawFileName
    payload: str
    generation: int
    state: str
    size_bytes: int
    expires_at_us: int | None
    polls: Polls = ONE_POLL
    taken: bool = False


class RawMissing(msgspec.Struct, frozen=True, tag=True):
    """A look-up says that the raw file is not there."""

    raw: RawFileName
    generation: int


class RawLost(msgspec.Struct, frozen=True, tag=True):
    """The raw file cannot be used: ``expired``, ``failed``, or ``conflict`` (the name holds other bytes)."""

    raw: RawFileName
    generation: int
    why: str
    message: str = ""


class OperationFinished(msgspec.Struct, frozen=True, tag=True):
    """Polling ended."""

    operation: OperationName
    result: str
    document: DocumentName | None
    message: str
    polls: int
    first_poll_at_us: int | None
    last_poll_at_us: int | None


class DocumentFound(msgspec.Struct, frozen=True, tag=True):
    """A look-up showed the document."""

    document: e.DocumentFact
    polls: Polls = ONE_POLL


class DocumentMissing(msgspec.Struct, frozen=True, tag=True):
    """A look-up by full name, begun at ``asked_at_us`` (None: just now), says that the document is not there."""

    document: DocumentName
    asked_at_us: int | None = None


class DocumentsFound(msgspec.Struct, frozen=True, tag=True):
    """A complete listing showed exactly these documents of the file."""

    began_at_us: int
    documents: tuple[e.DocumentFact, ...]


class StrayShown(msgspec.Struct, frozen=True, tag=True):
    """A complete listing showed documents of this library that no stream accounts for."""

    began_at_us: int
    documents: tuple[e.DocumentFact, ...]


class LookUpFailed(msgspec.Struct, frozen=True, tag=True):
    """A look-up was not answered, or was not conclusive in its time."""

    what: Call
    failure: Failure
    polls: Polls = ONE_POLL


Report = (
    Uploaded
    | Accepted
    | Deleted
    | Failed
    | RawFound
    | RawMissing
    | RawLost
    | OperationFinished
    | DocumentFound
    | DocumentMissing
    | DocumentsFound
    | StrayShown
    | LookUpFailed
)
Command = Tell | Adopt | Begin | Report


def decide(record: FileRecord, command: Command, now_us: int) -> tuple[e.Event, ...] | Rejected:
    """The events that *command* leads to.  A `Report` is never rejected."""
    if isinstance(command, Tell):
        event = command.event
        decided = _checked(record, event, now_us)
        if isinstance(decided, Rejected) or not (isinstance(event, e.FileDescribed) and event.of_adopted):
            return decided
        return (*decided, *_adopted(apply(record, event, now_us), ""))
    if isinstance(command, Adopt):
        decided = _checked(record, command.event, now_us)
        if isinstance(decided, Rejected):
            return decided
        event = command.event
        verdict = _adopted(apply(record, event, now_us), event.failed)
        gone = () if event.missing_since_us is None else (e.FileVanished(event.missing_since_us),)
        return (*decided, *verdict, *gone)
    if isinstance(command, Begin):
        return _checked(record, _intent(record, command), now_us)
    fact = _fact(record, command, now_us)
    refused = isinstance(command, Failed) and _refused(record, command)
    return (fact, *_verdict(apply(record, fact, now_us), command, refused))


def decide_all(record: FileRecord, commands: Sequence[Command], now_us: int) -> tuple[e.Event, ...] | Rejected:
    """The events of several commands, each decided on what the ones before it led to; all or none."""
    events: list[e.Event] = []
    for command in commands:
        decided = decide(record, command, now_us)
        if isinstance(decided, Rejected):
            return decided
        for event in decided:
            record = apply(record, event, now_us)
        events.extend(decided)
    return tuple(events)


def _checked(record: FileRecord, event: e.Event, now_us: int) -> tuple[e.Event, ...] | Rejected:
    rejected = check(record, event)
    if rejected is not None:
        return rejected
    return (event, *_verdict(apply(record, event, now_us), None, False))


def _intent(record: FileRecord, command: Begin) -> e.Event:
    effect, call, attempt = command.effect, command.call, record.attempts + 1
    if isinstance(effect, Upload):
        raw = raw_file_for(command.library, record.stream, effect.payload, effect.generation)
        return e.UploadIntended(
            call,
            raw,
            effect.payload,
            effect.generation,
            record.size_bytes + len(record.header.encode()),
            record.mime_type,
            attempt,
            command.batch or record.batch,
        )
    if isinstance(effect, ImportRaw):
        identity = "" if effect.identity == payload_id(effect.payload) else effect.identity
        return e.ImportIntended(call, effect.raw, command.store, effect.payload, attempt, identity)
    if isinstance(effect, DeleteDocument):
        return e.DocumentDeleteIntended(call, effect.document, effect.why, attempt)
    return e.RawDeleteIntended(call, effect.raw, effect.why, attempt)


def _fact(record: FileRecord, report: Report, now_us: int) -> e.Event:
    match report:
        case Uploaded(call, raw, payload, generation, state, size_bytes, expires_at_us):
            return e.UploadDone(call, raw, payload, generation, state, size_bytes, expires_at_us)
        case Accepted(call, operation):
            return e.ImportAccepted(call, operation)
        case Deleted(call, target, Call.DELETE_DOCUMENT, found):
            return e.DocumentDeleted(call, DocumentName(target), found)
        case Deleted(call, target, _, found):
            return e.RawDeleted(call, RawFileName(target), found)
        case Failed(call, what, failure):
            return _failure(record, call, what, failure, now_us)
        case LookUpFailed(what, failure, polls):
            return _failed(record, EventId(""), what, failure, now_us, polls)
        case RawFound(raw, payload, generation, state, size_bytes, expires_at_us, polls, taken):
            return e.RawSeen(
                raw,
                payload,
                generation,
                state,
                size_bytes,
                expires_at_us,
                polls.count,
                polls.first_at_us,
                polls.last_at_us,
                taken,
            )
        case RawMissing(raw, generation):
            return _missing_raw(record, raw, generation, now_us)
        case RawLost(raw, generation, why, message):
            return e.RawGone(raw, generation, why, message)
        case OperationFinished(operation, result, document, message, polls, first_us, last_us):
            return e.OperationEnded(operation, result, document, message, polls, first_us, last_us)
        case DocumentFound(document, polls):
            return e.DocumentSeen(document, polls.count, polls.first_at_us, polls.last_at_us)
        case DocumentMissing(document, asked_at_us):
            return _missing_document(record, document, now_us if asked_at_us is None else asked_at_us, now_us)
        case DocumentsFound(began_at_us, documents):
            return e.DocumentsListed(began_at_us, documents)
        case StrayShown(began_at_us, documents):
            return e.StrayFound(began_at_us, documents)


def _missing_raw(record: FileRecord, name: RawFileName, generation: int, now_us: int) -> e.Event:
    """Gone; but while its upload is open, not arrived: sent again at once the first time, later with growing waits."""
    if all(call.what is not Call.UPLOAD or call.target != name for call in record.calls):
        return e.RawGone(name, generation, "expired")
    if record.look_ups == 0:
        return e.RawAbsent(name)
    return e.RawAbsent(name, policy.after_s(now_us, policy.backoff_s(record.stream, record.look_ups)))


def _missing_document(record: FileRecord, name: DocumentName, asked_at_us: int, now_us: int) -> e.Event:
    """Gone, unless it had been named so recently that the service may not have shown it yet."""
    known = next((d for d in record.documents if d.name == name), None)
    fresh = known is not None and not policy.is_ahead(known.seen_at_us, now_us)
    if fresh and known is not None and asked_at_us < policy.after_s(known.seen_at_us, policy.SETTLE_S):
        failure = Failure(Outcome.UNAVAILABLE, Reason.GONE, f"{name} is not shown yet")
        return _failed(record, EventId(""), Call.LOOK_UP_DOCUMENT, failure, now_us)
    return e.DocumentGone(name)


def _failure(record: FileRecord, call: EventId, what: Call, failure: Failure, now_us: int) -> e.Event:
    """The outcome event of a call with an intent.

    A deletion that is refused stays to be done: only "it is not there" ends it.
    """
    deletes = what in (Call.DELETE_DOCUMENT, Call.DELETE_RAW)
    if failure.outcome is Outcome.UNCERTAIN:
        due_us = policy.after_s(now_us, policy.retry_delay_s(record, failure))
        return e.CallUncertain(call, what, failure.reason, due_us, failure.message, failure.code, failure.status)
    if failure.outcome is Outcome.REJECTED and not deletes:
        return e.CallRejected(call, what, failure.reason, failure.message, failure.code, failure.status)
    return _failed(record, call, what, failure, now_us)


def _failed(
    record: FileRecord, call: EventId, what: Call, failure: Failure, now_us: int, polls: Polls = ONE_POLL
) -> e.CallFailed:
    delay_s = policy.retry_delay_s(record, failure)
    if failure.outcome is Outcome.REJECTED:
        delay_s = policy.LATER_S
    due_us = None if failure.outcome is Outcome.HALTED else policy.after_s(now_us, delay_s)
    return e.CallFailed(
        what,
        failure.outcome,
        failure.reason,
        call,
        due_us,
        failure.message,
        failure.code,
        failure.status,
        polls.count,
        polls.first_at_us,
        polls.last_at_us,
    )


def _refused(record: FileRecord, report: Failed) -> bool:
    """Whether the service refused what the file waits for; an outcome that comes later than that decides nothing."""
    if report.failure.outcome is not Outcome.REJECTED:
        return False
    calls = [call.id for call in record.calls if call.payload == record.payload_hash]
    return report.call in calls or any(i.call == report.call and i.payload == record.payload for i in record.imports)


def _verdict(r: FileRecord, report: Report | None, refused: bool) -> tuple[e.Event, ...]:
    """What follows from the facts that *r* now holds."""
    if not r.here:
        lost = r.state is State.INDEXED and r.document is None
        return (e.StartedOver("the store lost its document"),) if lost else ()
    proof = r.proof
    if r.state is State.INDEXED:
        return () if proof is not None else (e.StartedOver("the store lost its document"),)
    if report is None:
        return ()
    if proof is not None:
        indexed = e.FileIndexed(proof.name)
        return (indexed,) if r.state is State.PROCESSING else (e.DocumentClaimed(proof.name), indexed)
    if r.state is State.FAILED:
        return ()
    if isinstance(report, Failed) and refused:
        return (e.GaveUp(report.failure.reason, report.failure.message),)
    if _undecided(r):
        return ()
    if r.setbacks >= policy.SETBACKS_MAX:
        return (e.GaveUp("given up by the service", _told(r, f"it failed {r.setbacks} times")),)
    if r.attempts >= policy.ATTEMPTS_MAX:
        return (e.GaveUp(r.problem.reason if r.problem else "attempts used up", _told(r, f"{r.attempts} attempts")),)
    if r.state is State.PROCESSING and r.raw is None:
        return (e.StartedOver("no document, and the raw file is gone"),)
    if r.state is State.UPLOADING and isinstance(report, RawLost | RawMissing) and _lost(report, r):
        why = report.why if isinstance(report, RawLost) else "expired"
        return (e.StartedOver(f"the raw file is gone: {why}"),)
    return ()


def _adopted(r: FileRecord, failed: str) -> tuple[e.Event, ...]:
    """What follows from a claim: indexed when its document was seen ACTIVE, processing when it is only named."""
    if not r.here:
        return ()
    if r.proof is not None:
        return (e.DocumentClaimed(r.proof.name), e.FileIndexed(r.proof.name))
    if r.candidate is not None:
        return (e.DocumentClaimed(r.candidate.name),)
    return (e.GaveUp(FAILED_BEFORE, failed),) if failed else ()


def _undecided(r: FileRecord) -> bool:
    """While the service may still hold what was begun, nothing is given up and nothing started over."""
    if r.calls or r.candidate is not None:
        return True
    return any(i.payload == r.payload for i in r.imports)


def _lost(report: RawLost | RawMissing, r: FileRecord) -> bool:
    """Whether that raw file was the one to import."""
    return r.raw is None and any(raw.name == report.raw and raw.gone for raw in r.raws)


def _told(r: FileRecord, count: str) -> str:
    return f"{count}; last: {r.problem.message or r.problem.reason}" if r.problem else count
