"""What a file needs next, as data.

`next_effect` is all of recovery: it gives the same answer after a crash, after a 429, for a fresh file and near the
48-hour deadline, because it knows nothing but the record and the time.  Whoever calls it has nothing in flight for
the file, so a call without an outcome is one that nobody will hear of again.
"""

from __future__ import annotations

import msgspec

from objlib_fsm.core.ids import DocumentName, OperationName, RawFileName
from objlib_fsm.core.policy import EXPIRY_MARGIN_S, RETRY_AFTER_MAX_S, SETTLE_S, SHOWN_S, after_s, is_ahead
from objlib_fsm.core.record import Call, Document, FileRecord, Import, Raw, Role
from objlib_fsm.core.roles import ACTIVE
from objlib_fsm.core.table import State


class Upload(msgspec.Struct, frozen=True, tag=True):
    """Send the bytes; the name follows from library, stream, payload and generation."""

    payload: str
    generation: int


class LookUpRaw(msgspec.Struct, frozen=True, tag=True):
    """Ask for the raw file by name: did it arrive, is it still there?"""

    raw: RawFileName
    payload: str
    generation: int


class AwaitActive(msgspec.Struct, frozen=True, tag=True):
    """Ask for the raw file until it is ACTIVE or has FAILED."""

    raw: RawFileName
    payload: str
    generation: int


class ImportRaw(msgspec.Struct, frozen=True, tag=True):
    """Make a document from the raw file of the bytes ``payload``; it is to carry the short id ``identity``."""

    raw: RawFileName
    payload: str
    identity: str


class Poll(msgspec.Struct, frozen=True, tag=True):
    """Ask for the operation until it says done or error, or the time for it, from ``began_at_us`` on, is over.

    ``identity`` is the short id that its document carries.
    """

    operation: OperationName
    identity: str
    began_at_us: int


class LookUpDocument(msgspec.Struct, frozen=True, tag=True):
    """Ask for a document by its full name."""

    document: DocumentName


class ListDocuments(msgspec.Struct, frozen=True, tag=True):
    """Find the file's documents in a complete listing begun not before ``not_before_us``."""

    not_before_us: int


class DeleteDocument(msgspec.Struct, frozen=True, tag=True):
    """Delete a document that must go; ``why`` is its role."""

    document: DocumentName
    why: str


class DeleteRaw(msgspec.Struct, frozen=True, tag=True):
    """Delete a raw file that must go."""

    raw: RawFileName
    why: str


class Wait(msgspec.Struct, frozen=True, tag=True):
    """Nothing before ``until_us``."""

    until_us: int


Mutation = Upload | ImportRaw | DeleteDocument | DeleteRaw
"""The effects that need an intent."""

Effect = Mutation | LookUpRaw | AwaitActive | Poll | LookUpDocument | ListDocuments | Wait


def next_effect(record: FileRecord, now_us: int) -> Effect | None:
    """What the file needs next at *now_us*; None when it needs nothing until an event says otherwise.

    What is due later than anything can be is due now: the clock was put back.
    """
    effect = _wanted_effect(record, now_us)
    if effect is None:
        return None
    due_us = record.due_at_us or 0
    if is_ahead(due_us, after_s(now_us, RETRY_AFTER_MAX_S)):
        due_us = 0
    if isinstance(effect, ListDocuments):
        if is_ahead(effect.not_before_us, after_s(now_us, SETTLE_S)):
            effect = ListDocuments(now_us)
        due_us = max(due_us, effect.not_before_us)
    return Wait(due_us) if due_us > now_us else effect


def _wanted_effect(r: FileRecord, now_us: int) -> Effect | None:
    if r.version == 0:
        return None
    for call in r.calls:
        if call.what is Call.DELETE_DOCUMENT:
            return DeleteDocument(DocumentName(call.target), "again")
        if call.what is Call.DELETE_RAW:
            return DeleteRaw(RawFileName(call.target), "again")
    for doomed in doomed_documents(r):
        return DeleteDocument(doomed.name, doomed.role.value if r.kept else _unwanted(r))
    if not r.kept:
        for raw in r.raws:
            if raw.state != "GONE":
                return DeleteRaw(raw.name, _unwanted(r))
    if r.here and not r.terminal:
        return _onward(r, now_us)
    if r.here and r.candidate is not None:
        return LookUpDocument(r.candidate.name)
    if not r.settled:
        return ListDocuments(after_s(r.last_import_at_us, SETTLE_S))
    undecided = _undecided_document(r)
    if undecided is not None:
        return LookUpDocument(undecided.name)
    outlived = _outlived_raw(r)
    return DeleteRaw(outlived.name, "superseded") if outlived is not None else None


def _undecided_document(r: FileRecord) -> Document | None:
    """Of several documents of a file that was withdrawn, one not yet ACTIVE: once it is, the others can go."""
    live = r.live_documents
    if r.here or len(live) < 2:
        return None
    return next((document for document in live if document.state != ACTIVE), None)


def _unwanted(r: FileRecord) -> str:
    return "pruned" if r.wanted else "forgotten"


def _outlived_raw(r: FileRecord) -> Raw | None:
    """A raw file of older bytes or from before a reset, once the present document is proven, the older ones gone.

    One that nobody saw is left to expire: its name may hold nothing.
    """
    if r.state is not State.INDEXED or not r.here:
        return None
    needed = (r.payload_hash, r.generation)
    return next((raw for raw in r.raws if raw.alive and (raw.payload, raw.generation) != needed), None)


def doomed_documents(r: FileRecord) -> tuple[Document, ...]:
    """The documents that must go, the next one first.

    A superseded one goes only when another one stands for the file; all go when it was forgotten or pruned.
    """
    current = r.document
    return tuple(
        [
            document
            for document in r.live_documents
            if not r.kept
            or document.role in (Role.DEAD, Role.DUPLICATE)
            or (document.role is Role.SUPERSEDED and current is not None)
        ]
    )


def _onward(r: FileRecord, now_us: int) -> Effect:
    """The next step of a file that the store should hold; what may have been done already is looked for first."""
    claimed = _of_payload(r)
    if claimed is not None:
        return LookUpDocument(claimed.name)
    call = r.open_call(Call.UPLOAD)
    if call is not None:
        return LookUpRaw(RawFileName(call.target), call.payload, call.generation)
    for waiting in r.imports:
        if waiting.payload == r.payload:
            return _resolve(waiting, r.listed_at_us)
    raw = r.raw
    if raw is None:
        if r.state is State.PROCESSING:
            return ListDocuments(after_s(r.last_import_at_us, SETTLE_S))
        return Upload(r.payload_hash, r.generation)
    if raw.state != "ACTIVE":
        return AwaitActive(raw.name, raw.payload, raw.generation)
    if r.taken_at_us:
        return ListDocuments(r.taken_at_us)
    return _import(raw, r.payload, now_us)


def _resolve(waiting: Import, listed_at_us: int) -> Effect:
    """The way to the document of an import: its operation while that may still answer, else a listing.

    A first one soon, because a document that is there can be claimed at once; only its absence needs time.
    """
    if waiting.operation is not None and not waiting.ended:
        return Poll(waiting.operation, waiting.payload, waiting.at_us)
    shown_us = after_s(waiting.at_us, SHOWN_S)
    return ListDocuments(shown_us if listed_at_us < shown_us else after_s(waiting.at_us, SETTLE_S))


def _of_payload(r: FileRecord) -> Document | None:
    """A living document of the current payload: not yet ACTIVE, or ACTIVE while the file is not indexed."""
    if r.candidate is not None:
        return r.candidate
    current = r.document
    return current if current is not None and current.payload == r.payload else None


def _import(raw: Raw, identity: str, now_us: int) -> Effect:
    """Import it, but look first when the local clock says that it is about to expire, and again when it should have.

    The local clock may only cause a look-up: a raw file that the service showed after that moment is there.
    """
    if raw.expires_at_us is not None:
        doubt_us = after_s(raw.expires_at_us, -EXPIRY_MARGIN_S)
        if now_us >= raw.expires_at_us:
            doubt_us = raw.expires_at_us
        if now_us >= doubt_us and (raw.seen_at_us < doubt_us or is_ahead(raw.seen_at_us, now_us)):
            return LookUpRaw(raw.name, raw.payload, raw.generation)
    return ImportRaw(raw.name, raw.payload, identity)
