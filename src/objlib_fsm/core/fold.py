"""The fold: events to records.

The state comes from the compiled table and nothing else.  What else a record knows is written by one small function
per kind of event; they alone assign to a `FileRecord`, and only to a copy that nobody else has.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core import roles
from objlib_fsm.core.ids import DocumentName, EventId, RawFileName, StreamId, payload_id
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.policy import SETTLE_S, after_s
from objlib_fsm.core.record import Call, Document, FileRecord, Import, OpenCall, Problem, Raw, Role
from objlib_fsm.core.table import DESTINATIONS, ILLEGAL, INITIAL, KIND_CODES, Kind, State

FOLD_VERSION: Final = 1
"""Raised whenever the fold of the same events gives another record; a projection of another version is rebuilt."""


class HistoryBroken(ValueError):
    """An event that the table does not allow after the ones before it."""


def new_record(stream: StreamId) -> FileRecord:
    """The record before any event."""
    return FileRecord(stream=stream)


def apply(record: FileRecord, event: e.Event, at_us: int) -> FileRecord:
    """The record after one more event, recorded at *at_us*.  Raises `HistoryBroken`; *record* is not changed."""
    after = copy.copy(record)
    step(after, event, at_us)
    return after


def fold(stream: StreamId, history: Iterable[tuple[e.Event, int]]) -> FileRecord:
    """The record of a stream from its ``(event, recorded_at_us)`` pairs."""
    record = new_record(stream)
    for event, at_us in history:
        step(record, event, at_us)
    return record


def step(record: FileRecord, event: e.Event, at_us: int) -> None:
    """`apply` in place, for a record that only the caller has: replay folds millions of events through this."""
    kind = event.kind
    code = DESTINATIONS[record.state * KIND_CODES + kind]
    if code == ILLEGAL:
        raise HistoryBroken(
            f"stream {record.stream} version {record.version}: {kind.label} cannot follow in state {record.state.label}"
        )
    record.version += 1
    _STEPS[kind](record, event, at_us)
    if code != record.state:
        record.state = _STATES[code]
        record.since_us = at_us
    elif record.version == 1:
        record.since_us = at_us


def fold_states(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    """State codes per stream from ``(stream, kind)`` rows, by table look-up alone."""
    states: dict[str, int] = {}
    get = states.get
    for stream, kind in rows:
        code = DESTINATIONS[get(stream, INITIAL) * KIND_CODES + kind]
        if code == ILLEGAL:
            raise HistoryBroken(f"stream {stream}: kind {kind} cannot follow in state {get(stream, INITIAL)}")
        states[stream] = code
    return states


def digest(records: Iterable[FileRecord]) -> str:
    """SHA-256 over the records in the order of their stream ids, hex: the same for the same state of the library."""
    encode = msgspec.json.Encoder().encode
    total = hashlib.sha256()
    for record in sorted(records, key=_by_stream):
        total.update(encode(record))
        total.update(b"\n")
    return total.hexdigest()


def _by_stream(record: FileRecord) -> str:
    return record.stream


# ---- one function per kind -----------------------------------------------------------------------------------------


def _discovered(r: FileRecord, ev: e.FileDiscovered, at_us: int) -> None:
    r.path = ev.path
    r.size_bytes = ev.size_bytes
    r.mtime_ns = ev.mtime_ns
    r.source_hash = r.payload_hash = ev.source_hash
    r.mime_type = ev.mime_type
    r.excluded = ev.excluded
    r.inode, r.device = ev.inode, ev.device
    r.checked_at_us = ev.taken_at_us


def _content_changed(r: FileRecord, ev: e.ContentChanged, at_us: int) -> None:
    _stat(r, ev)
    _present(r)
    r.excluded = ""
    r.source_hash = r.payload_hash = ev.source_hash
    r.mime_type = ev.mime_type
    known = [raw for raw in r.raws if raw.payload == ev.source_hash]
    r.generation = max((raw.generation + (not raw.alive) for raw in known), default=0)
    r.imports_sent = 0
    r.setbacks = 0
    _withdraw(r)
    _assign(r)


def _touched(r: FileRecord, ev: e.FileTouched, at_us: int) -> None:
    _stat(r, ev)


def _vanished(r: FileRecord, ev: e.FileVanished, at_us: int) -> None:
    r.present = False
    r.missing_since_us = at_us
    _withdraw(r)


def _reappeared(r: FileRecord, ev: e.FileReappeared, at_us: int) -> None:
    _stat(r, ev)
    _present(r)


def _moved(r: FileRecord, ev: e.FileMoved, at_us: int) -> None:
    r.path = ev.path
    r.mime_type = ev.mime_type or r.mime_type
    _stat(r, ev)
    _present(r)


def _excluded(r: FileRecord, ev: e.FileExcluded, at_us: int) -> None:
    r.excluded = ev.reason
    r.size_bytes = ev.size_bytes
    r.mtime_ns = ev.mtime_ns
    r.checked_at_us = ev.taken_at_us
    _present(r)
    _withdraw(r)


def _included(r: FileRecord, ev: e.FileIncluded, at_us: int) -> None:
    r.excluded = ""
    _stat(r, ev)
    _present(r)


def _forgotten(r: FileRecord, ev: e.FileForgotten, at_us: int) -> None:
    r.wanted = False
    _withdraw(r)


def _tracked(r: FileRecord, ev: e.FileTracked, at_us: int) -> None:
    r.wanted = True


def _retry(r: FileRecord, ev: e.RetryRequested, at_us: int) -> None:
    r.attempts = r.setbacks = 0
    r.due_at_us = None
    r.cause = ""


def _upload_intended(r: FileRecord, ev: e.UploadIntended, at_us: int) -> None:
    r.calls = (
        *(call for call in r.calls if call.what is not Call.UPLOAD),
        OpenCall(ev.call, Call.UPLOAD, ev.raw, ev.payload, ev.generation, at_us),
    )
    r.due_at_us = None
    r.batch = ev.batch


def _import_intended(r: FileRecord, ev: e.ImportIntended, at_us: int) -> None:
    if r.imports_sent or r.imports:
        r.settled = False
    r.imports = (*r.imports, Import(ev.call, ev.payload, ev.raw, at_us))
    r.imports_sent += 1
    r.last_import_at_us = at_us
    r.due_at_us = None


def _document_delete_intended(r: FileRecord, ev: e.DocumentDeleteIntended, at_us: int) -> None:
    _open(r, OpenCall(ev.call, Call.DELETE_DOCUMENT, ev.document, "", 0, at_us))


def _raw_delete_intended(r: FileRecord, ev: e.RawDeleteIntended, at_us: int) -> None:
    _open(r, OpenCall(ev.call, Call.DELETE_RAW, ev.raw, "", 0, at_us))


def _upload_done(r: FileRecord, ev: e.UploadDone, at_us: int) -> None:
    _close(r, ev.call)
    _know_raw(r, Raw(ev.raw, ev.payload, ev.generation, ev.state, ev.size_bytes, ev.expires_at_us, at_us))


def _import_accepted(r: FileRecord, ev: e.ImportAccepted, at_us: int) -> None:
    r.imports = tuple(msgspec.structs.replace(i, operation=ev.operation) if i.call == ev.call else i for i in r.imports)
    if r.imports and r.imports[-1].call == ev.call:
        _progress(r)


def _document_deleted(r: FileRecord, ev: e.DocumentDeleted, at_us: int) -> None:
    _close(r, ev.call)
    _lose_document(r, ev.document)
    _progress(r)


def _raw_deleted(r: FileRecord, ev: e.RawDeleted, at_us: int) -> None:
    _close(r, ev.call)
    r.raws = tuple(msgspec.structs.replace(w, state="GONE") if w.name == ev.raw else w for w in r.raws)
    _progress(r)


def _call_rejected(r: FileRecord, ev: e.CallRejected, at_us: int) -> None:
    _close(r, ev.call)
    _undo_import(r, ev.call)
    r.problem = Problem(ev.what, Outcome.REJECTED, ev.reason, at_us, ev.message, ev.code)
    r.attempts += 1


_SENT_NOTHING: Final = frozenset(
    {Reason.CREATE_FAILED, Reason.NOT_ACTIVE, Reason.NETWORK, Reason.RATE_LIMIT, Reason.GONE, Reason.FORBIDDEN}
)
"""Failures after which the service cannot have begun an import."""


def _call_failed(r: FileRecord, ev: e.CallFailed, at_us: int) -> None:
    if ev.call:
        _close(r, ev.call)
        if ev.outcome is Outcome.THROTTLED or ev.reason in _SENT_NOTHING:
            _undo_import(r, ev.call)
        elif any(i.call == ev.call for i in r.imports):
            r.imports = tuple(i for i in r.imports if i.call != ev.call)
            r.settled = False
    if ev.outcome is not Outcome.HALTED:
        r.attempts += 1
    r.due_at_us = ev.due_at_us
    r.problem = Problem(ev.what, ev.outcome, ev.reason, at_us, ev.message, ev.code)


def _call_uncertain(r: FileRecord, ev: e.CallUncertain, at_us: int) -> None:
    r.calls = tuple(msgspec.structs.replace(c, uncertain=True) if c.id == ev.call else c for c in r.calls)
    if any(i.call == ev.call for i in r.imports):
        r.settled = False
    r.attempts += 1
    r.due_at_us = ev.due_at_us
    r.problem = Problem(ev.what, Outcome.UNCERTAIN, ev.reason, at_us, ev.message, ev.code)


def _raw_seen(r: FileRecord, ev: e.RawSeen, at_us: int) -> None:
    _close_upload(r, ev.raw)
    _know_raw(r, Raw(ev.raw, ev.payload, ev.generation, ev.state, ev.size_bytes, ev.expires_at_us, at_us))


def _raw_absent(r: FileRecord, ev: e.RawAbsent, at_us: int) -> None:
    _close_upload(r, ev.raw)


def _raw_gone(r: FileRecord, ev: e.RawGone, at_us: int) -> None:
    _close_upload(r, ev.raw)
    state = "FAILED" if ev.why == "failed" else "GONE"
    known = next((raw for raw in r.raws if raw.name == ev.raw), None)
    raw = Raw(ev.raw, known.payload if known else r.payload_hash, ev.generation, state)
    if known is not None:
        raw = msgspec.structs.replace(known, state=state)
    r.raws = (*(w for w in r.raws if w.name != ev.raw), raw)
    if raw.payload == r.payload_hash and raw.generation == r.generation:
        r.generation += 1
        r.setbacks += ev.why != "expired"


def _operation_ended(r: FileRecord, ev: e.OperationEnded, at_us: int) -> None:
    of = next((i for i in r.imports if i.operation == ev.operation), None)
    if of is None:
        return
    if ev.document is not None:
        r.imports = tuple(i for i in r.imports if i is not of)
        if all(d.name != ev.document for d in r.documents):
            document = Document(ev.document, "", Role.CANDIDATE, payload_id(of.payload), 0, at_us)
            r.documents = (*r.documents, document)
            _assign(r)
    else:
        r.imports = tuple(msgspec.structs.replace(i, ended=ev.result) if i is of else i for i in r.imports)
        r.settled = False
        r.problem = Problem(Call.POLL, Outcome.UNCERTAIN, Reason.OTHER, at_us, ev.message or ev.result)


def _document_seen(r: FileRecord, ev: e.DocumentSeen, at_us: int) -> None:
    _know_documents(r, (ev.document,), at_us)


def _document_gone(r: FileRecord, ev: e.DocumentGone, at_us: int) -> None:
    _lose_document(r, ev.document)


def _documents_listed(r: FileRecord, ev: e.DocumentsListed, at_us: int) -> None:
    shown = {fact.name for fact in ev.documents}
    for document in r.documents:
        if document.name not in shown and after_s(document.seen_at_us, SETTLE_S) <= ev.began_at_us:
            _lose_document(r, document.name)
    _know_documents(r, ev.documents, at_us)
    processing = r.state is State.PROCESSING and r.here
    waiting = tuple(
        i
        for i in r.imports
        if after_s(i.at_us, SETTLE_S) > ev.began_at_us
        or (processing and i.payload == r.payload_hash and i.operation is not None and not i.ended)
    )
    if len(waiting) < len(r.imports) and r.candidate is None and processing:
        r.attempts += 1
    r.imports = waiting
    if not waiting and after_s(r.last_import_at_us, SETTLE_S) <= ev.began_at_us:
        r.settled = True
    r.due_at_us = None


def _indexed(r: FileRecord, ev: e.FileIndexed, at_us: int) -> None:
    _progress(r)
    r.setbacks = 0
    r.cause = ""
    if r.settled:
        r.imports = ()


def _claimed(r: FileRecord, ev: e.DocumentClaimed, at_us: int) -> None:
    _progress(r)
    r.cause = ""
    if all(d.name != ev.document for d in r.documents):
        r.documents = (*r.documents, Document(ev.document, "", Role.CANDIDATE, r.payload, 0, at_us))
        _assign(r)


def _started_over(r: FileRecord, ev: e.StartedOver, at_us: int) -> None:
    r.due_at_us = None


def _gave_up(r: FileRecord, ev: e.GaveUp, at_us: int) -> None:
    r.cause = ev.cause
    r.due_at_us = None


# ---- shared pieces -------------------------------------------------------------------------------------------------


def _stat(
    r: FileRecord, ev: e.ContentChanged | e.FileTouched | e.FileReappeared | e.FileMoved | e.FileIncluded
) -> None:
    r.size_bytes = ev.size_bytes
    r.mtime_ns = ev.mtime_ns
    r.inode, r.device = ev.inode, ev.device
    r.checked_at_us = ev.taken_at_us


def _present(r: FileRecord) -> None:
    r.present = True
    r.missing_since_us = None


def _withdraw(r: FileRecord) -> None:
    """What was begun for the file counts no more; what the store may hold because of it stays to be found."""
    r.attempts = 0
    r.due_at_us = None
    r.problem = None
    r.cause = ""
    r.calls = tuple(call for call in r.calls if call.what is not Call.UPLOAD)
    if r.imports:
        r.settled = False


def _progress(r: FileRecord) -> None:
    r.attempts = 0
    r.due_at_us = None
    r.problem = None


def _open(r: FileRecord, call: OpenCall) -> None:
    r.calls = (*(c for c in r.calls if c.target != call.target), call)
    r.due_at_us = None


def _close(r: FileRecord, call: EventId) -> None:
    r.calls = tuple(c for c in r.calls if c.id != call)


def _close_upload(r: FileRecord, raw: RawFileName) -> None:
    r.calls = tuple(c for c in r.calls if not (c.what is Call.UPLOAD and c.target == raw))


def _undo_import(r: FileRecord, call: EventId) -> None:
    if any(i.call == call for i in r.imports):
        r.imports = tuple(i for i in r.imports if i.call != call)
        r.imports_sent = max(0, r.imports_sent - 1)


def _know_raw(r: FileRecord, raw: Raw) -> None:
    r.raws = (*(w for w in r.raws if w.name != raw.name), raw)
    if raw.payload == r.payload_hash:
        _progress(r)


def _know_documents(r: FileRecord, facts: Iterable[e.DocumentFact], at_us: int) -> None:
    known = {d.name: d for d in r.documents}
    payload = r.payload
    for fact in facts:
        old = known.get(fact.name)
        newly_failed = fact.state == roles.FAILED and (old is None or old.state != roles.FAILED)
        carried = fact.payload or (old.payload if old else "")
        role = old.role if old is not None and old.role is not Role.GONE else Role.CANDIDATE
        created = fact.created_at_us or (old.created_at_us if old else 0)
        known[fact.name] = Document(fact.name, fact.state, role, carried, created, at_us)
        r.setbacks += newly_failed and carried == payload
    r.documents = tuple(known.values())
    names = {fact.name for fact in facts}
    r.imports = tuple(i for i in r.imports if i.document not in names)
    _assign(r)


def _lose_document(r: FileRecord, name: DocumentName) -> None:
    r.documents = tuple(msgspec.structs.replace(d, role=Role.GONE) if d.name == name else d for d in r.documents)
    _assign(r)


def _assign(r: FileRecord) -> None:
    if r.documents:
        r.documents = roles.assign(r.documents, r.payload)


def _library(r: FileRecord, ev: e.Event, at_us: int) -> None:
    """The library's own streams keep a version and nothing else here; ``library_record.py`` folds them."""


_STATES: Final = tuple(State)
_Step = Callable[[FileRecord, Any, int], None]
_STEPS: Final[dict[Kind, _Step]] = {
    **{kind: _library for kind in Kind if kind >= KIND_CODES // 2},
    Kind.FILE_DISCOVERED: _discovered,
    Kind.CONTENT_CHANGED: _content_changed,
    Kind.FILE_TOUCHED: _touched,
    Kind.FILE_VANISHED: _vanished,
    Kind.FILE_REAPPEARED: _reappeared,
    Kind.FILE_MOVED: _moved,
    Kind.FILE_EXCLUDED: _excluded,
    Kind.FILE_INCLUDED: _included,
    Kind.FILE_FORGOTTEN: _forgotten,
    Kind.FILE_TRACKED: _tracked,
    Kind.RETRY_REQUESTED: _retry,
    Kind.UPLOAD_INTENDED: _upload_intended,
    Kind.IMPORT_INTENDED: _import_intended,
    Kind.DOCUMENT_DELETE_INTENDED: _document_delete_intended,
    Kind.RAW_DELETE_INTENDED: _raw_delete_intended,
    Kind.UPLOAD_DONE: _upload_done,
    Kind.IMPORT_ACCEPTED: _import_accepted,
    Kind.DOCUMENT_DELETED: _document_deleted,
    Kind.RAW_DELETED: _raw_deleted,
    Kind.CALL_REJECTED: _call_rejected,
    Kind.CALL_FAILED: _call_failed,
    Kind.CALL_UNCERTAIN: _call_uncertain,
    Kind.RAW_SEEN: _raw_seen,
    Kind.RAW_ABSENT: _raw_absent,
    Kind.RAW_GONE: _raw_gone,
    Kind.OPERATION_ENDED: _operation_ended,
    Kind.DOCUMENT_SEEN: _document_seen,
    Kind.DOCUMENT_GONE: _document_gone,
    Kind.DOCUMENTS_LISTED: _documents_listed,
    Kind.FILE_INDEXED: _indexed,
    Kind.DOCUMENT_CLAIMED: _claimed,
    Kind.STARTED_OVER: _started_over,
    Kind.GAVE_UP: _gave_up,
}
assert set(_STEPS) == set(Kind), "every kind has a step"
