"""What a record knows after an event, besides its state: one small function per kind of event.

They and the pieces in ``changes.py`` alone assign to a `FileRecord`; ``fold.py`` calls them with a copy that nobody
else has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from objlib_fsm.core import changes as change
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import metadata_hash, payload_id
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.policy import EXPIRED_S, SETTLE_S, after_s
from objlib_fsm.core.record import (
    SKIPPED_BEFORE,
    Call,
    Document,
    FileRecord,
    Import,
    OpenCall,
    Problem,
    Raw,
    Role,
)
from objlib_fsm.core.table import LIBRARY_KINDS, Kind, State


def _discovered(r: FileRecord, ev: e.FileDiscovered, at_us: int) -> None:
    r.path = ev.path
    r.size_bytes = ev.size_bytes
    r.mtime_ns = ev.mtime_ns
    r.source_hash = r.payload_hash = ev.source_hash
    r.mime_type = ev.mime_type
    r.excluded = ev.excluded
    r.excluded_since_us = at_us if ev.excluded else None
    r.inode, r.device = ev.inode, ev.device
    r.checked_at_us = ev.taken_at_us
    r.basis = ev.basis


def _content_changed(r: FileRecord, ev: e.ContentChanged, at_us: int) -> None:
    change.stat(r, ev)
    change.included(r)
    change.present(r)
    r.source_hash = ev.source_hash
    r.header = ""
    r.mime_type = ev.mime_type
    change.stand_for(r, ev.source_hash)


def _touched(r: FileRecord, ev: e.FileTouched, at_us: int) -> None:
    change.stat(r, ev)
    if ev.basis is not None:
        r.basis = ev.basis


def _vanished(r: FileRecord, ev: e.FileVanished, at_us: int) -> None:
    r.present = False
    r.missing_since_us = ev.since_us or at_us
    change.withdraw(r)


def _reappeared(r: FileRecord, ev: e.FileReappeared, at_us: int) -> None:
    change.stat(r, ev)
    change.present(r)


def _moved(r: FileRecord, ev: e.FileMoved, at_us: int) -> None:
    r.path = ev.path
    r.mime_type = ev.mime_type or r.mime_type
    change.stat(r, ev)
    change.present(r)


def _excluded(r: FileRecord, ev: e.FileExcluded, at_us: int) -> None:
    r.excluded_since_us = r.excluded_since_us if r.excluded else at_us
    r.excluded = ev.reason
    r.size_bytes = ev.size_bytes
    r.mtime_ns = ev.mtime_ns
    r.checked_at_us = ev.taken_at_us
    r.basis = r.basis if ev.basis is None else ev.basis
    change.present(r)
    change.withdraw(r)


def _included(r: FileRecord, ev: e.FileIncluded, at_us: int) -> None:
    change.included(r)
    change.stat(r, ev)
    change.present(r)


def _described(r: FileRecord, ev: e.FileDescribed, at_us: int) -> None:
    before = r.payload
    r.metadata = ev.metadata
    r.metadata_hash = metadata_hash(ev.metadata)
    r.basis = ev.basis
    r.header = ev.header
    change.stand_for(r, ev.payload_hash or r.source_hash)
    if ev.of_adopted:
        change.relabel(r, before)


def _forgotten(r: FileRecord, ev: e.FileForgotten, at_us: int) -> None:
    r.wanted = False
    change.withdraw(r)


def _tracked(r: FileRecord, ev: e.FileTracked, at_us: int) -> None:
    r.wanted = True
    if r.excluded == SKIPPED_BEFORE:
        r.excluded, r.excluded_since_us = "", None


def _retry(r: FileRecord, ev: e.RetryRequested, at_us: int) -> None:
    r.attempts = r.look_ups = r.setbacks = 0
    r.due_at_us = None
    r.cause = r.cause_message = ""
    if not ev.automatic:
        r.failures = 0


def _pruned(r: FileRecord, ev: e.FilePruned, at_us: int) -> None:
    r.pruned = True
    change.withdraw(r)


def _store_replaced(r: FileRecord, ev: e.StoreReplaced, at_us: int) -> None:
    change.replace_store(r, at_us)


def _reset(r: FileRecord, ev: e.FileReset, at_us: int) -> None:
    r.resets += 1
    change.stand_for(r, r.payload_hash, anew=True)


def _adopted(r: FileRecord, ev: e.FileAdopted, at_us: int) -> None:
    r.adopted = ev.verdict or "adopted"
    if not r.path:
        r.path = ev.path
        r.size_bytes, r.mtime_ns = ev.size_bytes, ev.mtime_ns
        r.source_hash = r.payload_hash = ev.source_hash
        r.mime_type = ev.mime_type
        r.excluded = ev.excluded
        r.excluded_since_us = at_us if ev.excluded else None
    change.adopt(r, ev, at_us)


def _upload_intended(r: FileRecord, ev: e.UploadIntended, at_us: int) -> None:
    r.calls = (
        *[call for call in r.calls if call.what is not Call.UPLOAD],
        OpenCall(ev.call, Call.UPLOAD, ev.raw, ev.payload, ev.generation, at_us),
    )
    if ev.raw not in [raw.name for raw in r.raws]:
        r.raws = (*r.raws, Raw(ev.raw, ev.payload, ev.generation, ""))
    r.due_at_us = None
    r.batch = ev.batch


def _import_intended(r: FileRecord, ev: e.ImportIntended, at_us: int) -> None:
    if r.imports_sent or r.imports:
        r.settled = False
    r.imports = (*r.imports, Import(ev.call, ev.identity or payload_id(ev.payload), ev.raw, at_us))
    r.imports_sent += 1
    change.sent_import(r, ev.call, at_us)
    r.due_at_us = None


def _document_delete_intended(r: FileRecord, ev: e.DocumentDeleteIntended, at_us: int) -> None:
    change.begin_call(r, OpenCall(ev.call, Call.DELETE_DOCUMENT, ev.document, "", 0, at_us))


def _raw_delete_intended(r: FileRecord, ev: e.RawDeleteIntended, at_us: int) -> None:
    change.begin_call(r, OpenCall(ev.call, Call.DELETE_RAW, ev.raw, "", 0, at_us))


def _upload_done(r: FileRecord, ev: e.UploadDone, at_us: int) -> None:
    change.end_call(r, ev.call)
    change.know_raw(r, Raw(ev.raw, ev.payload, ev.generation, ev.state, ev.size_bytes, ev.expires_at_us, at_us))


def _import_accepted(r: FileRecord, ev: e.ImportAccepted, at_us: int) -> None:
    if not change.is_open_import(r, ev.call):
        r.settled = False  # It was counted out too soon: its document is found by a listing.
    r.imports = tuple(
        [msgspec.structs.replace(i, operation=ev.operation) if i.call == ev.call else i for i in r.imports]
    )
    change.sent_import(r, ev.call, at_us)
    change.progress(r)


def _document_deleted(r: FileRecord, ev: e.DocumentDeleted, at_us: int) -> None:
    change.end_call(r, ev.call)
    change.lose_document(r, ev.document, at_us)
    change.progress(r)


def _raw_deleted(r: FileRecord, ev: e.RawDeleted, at_us: int) -> None:
    change.end_call(r, ev.call)
    change.lose_raw(r, ev.raw, "GONE")
    change.progress(r)


def _call_rejected(r: FileRecord, ev: e.CallRejected, at_us: int) -> None:
    if not change.is_open_call(r, ev.call):
        return
    change.end_call(r, ev.call)
    change.undo_import(r, ev.call)
    r.problem = Problem(ev.what, Outcome.REJECTED, ev.reason, at_us, ev.message, ev.code)
    r.attempts += 1


_SENT_NOTHING: Final = frozenset(
    {
        Reason.CREATE_FAILED,
        Reason.NOT_ACTIVE,
        Reason.NETWORK,
        Reason.RATE_LIMIT,
        Reason.DAILY_QUOTA,
        Reason.STORAGE_LIMIT,
        Reason.BAD_KEY,
        Reason.FORBIDDEN,
        Reason.GONE,
    }
)
"""Failures after which the service cannot have begun an import."""


def _call_failed(r: FileRecord, ev: e.CallFailed, at_us: int) -> None:
    if not ev.call:
        r.look_ups += ev.outcome is not Outcome.HALTED
    elif change.is_open_call(r, ev.call):
        if ev.what not in (Call.DELETE_DOCUMENT, Call.DELETE_RAW):  # A deletion stays to be done until it is done.
            change.end_call(r, ev.call)
        if ev.outcome in (Outcome.THROTTLED, Outcome.HALTED) or ev.reason in _SENT_NOTHING:
            change.undo_import(r, ev.call)
        elif change.is_open_import(r, ev.call):
            change.sent_import(r, ev.call, at_us)
            r.imports = tuple([i for i in r.imports if i.call != ev.call])
            r.settled = False
        if ev.reason is Reason.NETWORK:
            r.look_ups += 1  # Nothing was sent: it says nothing about the file, and no number of times makes it fail.
        else:
            r.attempts += ev.outcome is not Outcome.HALTED
    else:
        return
    r.due_at_us = ev.due_at_us
    r.problem = Problem(ev.what, ev.outcome, ev.reason, at_us, ev.message, ev.code)


def _call_uncertain(r: FileRecord, ev: e.CallUncertain, at_us: int) -> None:
    if not change.is_open_call(r, ev.call):
        return
    r.calls = tuple([msgspec.structs.replace(c, uncertain=True) if c.id == ev.call else c for c in r.calls])
    if change.is_open_import(r, ev.call):
        change.sent_import(r, ev.call, at_us)
    r.attempts += 1
    r.due_at_us = ev.due_at_us
    r.problem = Problem(ev.what, Outcome.UNCERTAIN, ev.reason, at_us, ev.message, ev.code)


def _raw_seen(r: FileRecord, ev: e.RawSeen, at_us: int) -> None:
    change.end_upload(r, ev.raw)
    if ev.taken:
        r.taken_at_us = at_us
    change.know_raw(r, Raw(ev.raw, ev.payload, ev.generation, ev.state, ev.size_bytes, ev.expires_at_us, at_us))


def _raw_absent(r: FileRecord, ev: e.RawAbsent, at_us: int) -> None:
    change.end_upload(r, ev.raw)
    r.look_ups += 1
    r.due_at_us = ev.due_at_us


def _raw_gone(r: FileRecord, ev: e.RawGone, at_us: int) -> None:
    change.end_upload(r, ev.raw)
    r.look_ups = 0
    known = next((raw for raw in r.raws if raw.name == ev.raw), Raw(ev.raw, "", ev.generation, ""))
    r.raws = (*[raw for raw in r.raws if raw.name != ev.raw], known)
    due = known.expires_at_us is not None and at_us >= max(known.expires_at_us, after_s(known.seen_at_us, EXPIRED_S))
    r.setbacks += change.lose_raw(r, ev.raw, "FAILED" if ev.why == "failed" else "GONE") and not due


def _operation_ended(r: FileRecord, ev: e.OperationEnded, at_us: int) -> None:
    r.look_ups = 0
    of = next((i for i in r.imports if i.operation == ev.operation), None)
    if of is not None:
        ended = msgspec.structs.replace(of, ended=ev.result, document=ev.document)
        r.imports = tuple([ended if i is of else i for i in r.imports])
    if ev.document is None:
        if of is not None:
            r.problem = Problem(Call.POLL, Outcome.UNCERTAIN, Reason.OTHER, at_us, ev.message or ev.result)
        return
    known = next((d for d in r.documents if d.name == ev.document), None)
    if known is None:
        r.settled = r.settled and of is not None
        change.add_document(r, ev.document, of.payload if of is not None else "", at_us)
    elif known.state:
        change.found_document_of(r, ev.document, "")


def _document_seen(r: FileRecord, ev: e.DocumentSeen, at_us: int) -> None:
    change.know_documents(r, (ev.document,), at_us)


def _document_gone(r: FileRecord, ev: e.DocumentGone, at_us: int) -> None:
    r.look_ups = 0
    change.lose_document(r, ev.document, at_us)


def _documents_listed(r: FileRecord, ev: e.DocumentsListed, at_us: int) -> None:
    """A listing is as old as its beginning: what is known from later stands."""
    change.put_back(r, ev.began_at_us)
    r.listed_at_us = ev.began_at_us
    if r.taken_at_us <= ev.began_at_us:
        r.taken_at_us = 0
    shown = {fact.name for fact in ev.documents}
    for document in r.live_documents:
        if document.name not in shown and after_s(document.seen_at_us, SETTLE_S) <= ev.began_at_us:
            change.lose_document(r, document.name, ev.began_at_us)
    newer = {d.name for d in r.documents if _word_stands_until_us(d) > ev.began_at_us}
    change.know_documents(r, [fact for fact in ev.documents if fact.name not in newer], ev.began_at_us)
    going_on = r.here and r.state in (State.UNTRACKED, State.UPLOADING, State.PROCESSING)
    waiting = tuple(
        i
        for i in r.imports
        if after_s(i.at_us, SETTLE_S) > ev.began_at_us
        or (going_on and i.payload == r.payload and i.operation is not None and not i.ended)
    )
    lost = [i for i in r.imports if i not in waiting and i.operation is not None and i.payload == r.payload]
    r.setbacks += going_on and bool(lost)
    r.imports = waiting
    if not waiting and after_s(r.last_import_at_us, SETTLE_S) <= ev.began_at_us:
        r.settled = True
    r.due_at_us = None


def _stray_found(r: FileRecord, ev: e.StrayFound, at_us: int) -> None:
    """As the first event: no file, so nothing that the store should hold."""
    if r.version == 1:
        r.wanted = r.present = False
    for fact in ev.documents:
        if fact.raw and fact.raw not in [raw.name for raw in r.raws]:
            r.raws = (*r.raws, Raw(fact.raw, "", 0, ""))
    change.know_documents(r, ev.documents, ev.began_at_us)


def _word_stands_until_us(document: Document) -> int:
    """A listing begun earlier says nothing new; a deleted document may be shown for some time."""
    return after_s(document.seen_at_us, SETTLE_S) if document.role is Role.GONE else document.seen_at_us


def _indexed(r: FileRecord, ev: e.FileIndexed, at_us: int) -> None:
    change.progress(r)
    r.setbacks = r.failures = 0
    r.cause = r.cause_message = ""
    r.settled = r.settled and not r.imports
    if r.settled:
        r.imports_sent = 0  # Each is accounted for: the next import is no repetition.


def _claimed(r: FileRecord, ev: e.DocumentClaimed, at_us: int) -> None:
    change.progress(r)
    r.cause = r.cause_message = ""
    if ev.document not in [d.name for d in r.documents]:
        change.add_document(r, ev.document, r.payload, at_us)


def _started_over(r: FileRecord, ev: e.StartedOver, at_us: int) -> None:
    r.due_at_us = None


def _gave_up(r: FileRecord, ev: e.GaveUp, at_us: int) -> None:
    r.cause, r.cause_message = ev.cause, ev.message
    r.due_at_us = None
    r.failures += 1


def _library(r: FileRecord, ev: e.Event, at_us: int) -> None:
    """The library's own streams keep a version and nothing else here; ``library_record.py`` folds them."""


Step = Callable[[FileRecord, Any, int], None]
"""``(record, event, recorded_at_us)``; changes the record in place."""

STEPS: Final[dict[Kind, Step]] = {
    **dict.fromkeys(LIBRARY_KINDS, _library),
    Kind.FILE_DISCOVERED: _discovered,
    Kind.CONTENT_CHANGED: _content_changed,
    Kind.FILE_TOUCHED: _touched,
    Kind.FILE_VANISHED: _vanished,
    Kind.FILE_REAPPEARED: _reappeared,
    Kind.FILE_MOVED: _moved,
    Kind.FILE_EXCLUDED: _excluded,
    Kind.FILE_INCLUDED: _included,
    Kind.FILE_DESCRIBED: _described,
    Kind.FILE_FORGOTTEN: _forgotten,
    Kind.FILE_TRACKED: _tracked,
    Kind.RETRY_REQUESTED: _retry,
    Kind.FILE_PRUNED: _pruned,
    Kind.STORE_REPLACED: _store_replaced,
    Kind.FILE_RESET: _reset,
    Kind.FILE_ADOPTED: _adopted,
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
    Kind.STRAY_FOUND: _stray_found,
    Kind.FILE_INDEXED: _indexed,
    Kind.DOCUMENT_CLAIMED: _claimed,
    Kind.STARTED_OVER: _started_over,
    Kind.GAVE_UP: _gave_up,
}
assert set(STEPS) == set(Kind), "every kind has a step"
