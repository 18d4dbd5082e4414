"""The live machine with its guards: what it refuses, and how it says so."""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.fold import HistoryBroken, apply, fold, new_record
from objlib_fsm.core.ids import DocumentName, EventId, RawFileName, StreamId
from objlib_fsm.core.machine import GUARDS, Rejected, check, fire
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import FACTS, TRANSITIONS, Kind, State, destination
from tests.core.service import STORE, content_hash
from tests.core.shell import LIBRARY
from tests.core.stored_bodies import EXAMPLES
from tests.core.strategies import EFFECTS, FILE_EVENTS, RECORDS, encoded

FOUND = e.FileDiscovered(LibraryPath("notes/a.md"), 8, 1, content_hash(0), "text/markdown")
NEW = new_record(StreamId("s"))


def after(*events: e.Event) -> FileRecord:
    return fold(StreamId("s"), ((event, 1) for event in (FOUND, *events)))


def refused(record: FileRecord, command: d.Command) -> Rejected:
    before = encoded(record)
    decided = d.decide(record, command, 10)
    assert isinstance(decided, Rejected)
    assert encoded(record) == before
    return decided


def test_a_refusal_names_file_version_state_event_and_what_would_be_allowed() -> None:
    """Incident 23: nothing kept an impossible change of state from being written."""
    refusal = refused(after(e.FileForgotten()), d.Tell(e.FileForgotten()))
    assert refusal == Rejected("s", "notes/a.md", 2, State.UNTRACKED, Kind.FILE_FORGOTTEN, refusal.allowed, "is_wanted")
    assert str(refusal) == (
        "notes/a.md: file_forgotten is not allowed at version 2 in state untracked "
        "(Nobody asked to forget the file. That does not hold.); allowed: content_changed, file_touched, "
        "file_vanished, file_moved, file_excluded, file_described, file_tracked, retry_requested, file_adopted, "
        "store_replaced, upload_intended, import_intended, document_delete_intended, raw_delete_intended, gave_up"
    )


def test_a_refusal_for_want_of_a_row_says_no_guard() -> None:
    refusal = refused(after(), d.Tell(e.FileIndexed(DocumentName("d"))))
    assert refusal.guard == ""
    assert str(refusal).startswith("notes/a.md: file_indexed is not allowed at version 1 in state untracked; allowed: ")
    assert "file_indexed" not in str(refusal).split("allowed: ")[1]


def test_a_refusal_of_a_stream_without_a_path_names_the_stream() -> None:
    refusal = refused(NEW, d.Tell(e.FileTouched(1, 2)))
    assert str(refusal) == (
        "s: file_touched is not allowed at version 0 in state untracked (The stream has events. That does not hold.); "
        "allowed: file_discovered, file_described, file_adopted, upload_intended, import_intended, "
        "document_delete_intended, raw_delete_intended"
    )


def test_a_refusal_of_what_no_state_knows_says_nothing_is_allowed() -> None:
    assert "allowed: nothing" in str(Rejected("s", "", 0, State.UNTRACKED, Kind.RUN_STARTED, ()))


def test_the_librarys_events_are_refused_on_a_file() -> None:
    refusal = refused(after(), d.Tell(e.BatchStarted(1, 2)))
    assert refusal.event is Kind.BATCH_STARTED
    assert fire(after(), e.BatchStarted(1, 2)) is None


def test_a_history_that_cannot_be_names_stream_version_event_and_state() -> None:
    with pytest.raises(HistoryBroken, match="stream s version 1: file_indexed cannot follow in state untracked"):
        apply(after(), e.FileIndexed(DocumentName("d")), 2)


RAW = RawFileName("files/r")
OTHER = RawFileName("files/other")
DOCUMENT = DocumentName(f"{STORE}/documents/d")
HASH, CHANGED = content_hash(0), content_hash(1)
CALL = EventId("c")
UPLOAD = e.UploadIntended(CALL, RAW, HASH, 0, 8, "text/markdown")
UPLOADED = e.UploadDone(CALL, RAW, HASH, 0, "ACTIVE", 8)
IMPORT = e.ImportIntended(CALL, RAW, STORE, HASH)
SEEN = e.DocumentSeen(e.DocumentFact(DOCUMENT, "STATE_ACTIVE", after().payload))
PENDING = e.DocumentSeen(e.DocumentFact(DOCUMENT, "STATE_PENDING", after().payload))
DELETE = e.DocumentDeleteIntended(CALL, DOCUMENT, "superseded")
GIVEN_UP = e.GaveUp("invalid argument")
CHANGE = e.ContentChanged(8, 2, CHANGED, "text/markdown")
DESCRIBED = e.FileDescribed({"year": 2024})
IMPORT_DESCRIBED = e.ImportIntended(CALL, RAW, STORE, HASH, identity=after(DESCRIBED).payload)


@pytest.mark.parametrize(
    ("history", "event", "legal"),
    [
        # once, and only when new
        ((), FOUND, False),
        # present, missing, excluded, wanted
        ((), e.FileVanished(), True),
        ((e.FileVanished(),), e.FileVanished(), False),
        ((), e.FileReappeared(8, 1), False),
        ((e.FileVanished(),), e.FileReappeared(8, 1), True),
        ((), e.FileIncluded(8, 1), False),
        ((e.FileExcluded("unreadable"),), e.FileIncluded(8, 1), True),
        ((), e.FileTracked(), False),
        ((e.FileForgotten(),), e.FileTracked(), True),
        # a prune: only of what is missing or left out, and once
        ((), e.FilePruned(), False),
        ((e.FileVanished(),), e.FilePruned(), True),
        ((e.FileExcluded("unreadable"),), e.FilePruned(), True),
        ((e.FileVanished(), e.FileForgotten()), e.FilePruned(), False),
        ((e.FileVanished(), e.FilePruned()), e.FilePruned(), False),
        ((e.FileVanished(), e.FilePruned(), e.FileExcluded("unreadable")), e.FilePruned(), False),
        ((e.FileVanished(), e.FilePruned(), e.FileReappeared(8, 1), e.FileVanished()), e.FilePruned(), True),
        # another attempt with all that failed: until the file is parked; by name: always
        ((GIVEN_UP,), e.RetryRequested(automatic=True), True),
        (2 * (GIVEN_UP, e.RetryRequested(automatic=True)), GIVEN_UP, True),
        ((*2 * (GIVEN_UP, e.RetryRequested(automatic=True)), GIVEN_UP), e.RetryRequested(automatic=True), False),
        ((*2 * (GIVEN_UP, e.RetryRequested(automatic=True)), GIVEN_UP), e.RetryRequested(), True),
        ((*2 * (GIVEN_UP, e.RetryRequested()), GIVEN_UP), e.RetryRequested(automatic=True), True),
        # described: only as something else than before; reset: only what the store should hold
        ((), DESCRIBED, True),
        ((), e.FileDescribed(), False),
        ((DESCRIBED,), DESCRIBED, False),
        ((DESCRIBED,), e.FileDescribed(DESCRIBED.metadata, header="h", payload_hash=CHANGED), True),
        ((DESCRIBED,), e.FileDescribed(), True),
        ((), e.FileReset(), True),
        ((e.FileVanished(),), e.FileReset(), False),
        ((e.FileForgotten(),), e.FileReset(), False),
        ((e.FileExcluded("unreadable"),), e.FileReset(), False),
        # an upload: only of these bytes, of this generation, and while nothing is open
        ((), UPLOAD, True),
        ((e.FileVanished(),), UPLOAD, False),
        ((e.FileForgotten(),), UPLOAD, False),
        ((e.FileExcluded("unreadable"),), UPLOAD, False),
        ((CHANGE,), UPLOAD, False),
        ((), e.UploadIntended(CALL, RAW, HASH, 1, 8, ""), False),
        ((UPLOAD,), UPLOAD, False),
        ((UPLOAD, e.RawAbsent(RAW)), UPLOAD, True),
        ((UPLOAD, UPLOADED), UPLOAD, False),
        # an import: only of the living ACTIVE raw file of these bytes, and while no document may come
        ((), IMPORT, False),
        ((UPLOAD, UPLOADED), IMPORT, True),
        ((UPLOAD, e.UploadDone(CALL, RAW, HASH, 0, "PROCESSING", 8)), IMPORT, False),
        ((UPLOAD, UPLOADED), e.ImportIntended(CALL, OTHER, STORE, HASH), False),
        ((UPLOAD, UPLOADED), e.ImportIntended(CALL, RAW, STORE, CHANGED), False),
        ((UPLOAD, UPLOADED, CHANGE), IMPORT, False),
        ((UPLOAD, UPLOADED, IMPORT), IMPORT, False),
        ((UPLOAD, UPLOADED, PENDING), IMPORT, False),
        ((UPLOAD, UPLOADED, DESCRIBED), IMPORT, False),
        ((UPLOAD, UPLOADED, DESCRIBED), IMPORT_DESCRIBED, True),
        ((UPLOAD, UPLOADED, IMPORT, DESCRIBED), IMPORT_DESCRIBED, True),
        ((UPLOAD, UPLOADED), IMPORT_DESCRIBED, False),
        ((UPLOAD, UPLOADED, e.FileReset()), IMPORT, False),
        ((UPLOAD, UPLOADED, e.RawGone(RAW, 0, "expired")), IMPORT, False),
        # indexed: only with the proof
        ((UPLOAD, UPLOADED, IMPORT), e.FileIndexed(DOCUMENT), False),
        ((UPLOAD, UPLOADED, IMPORT, PENDING), e.FileIndexed(DOCUMENT), False),
        ((UPLOAD, UPLOADED, IMPORT, SEEN), e.FileIndexed(DOCUMENT), True),
        ((UPLOAD, UPLOADED, IMPORT, SEEN), e.FileIndexed(DocumentName("another")), False),
        ((UPLOAD, UPLOADED, IMPORT, SEEN, e.DocumentGone(DOCUMENT)), e.FileIndexed(DOCUMENT), False),
        # deletions: never of what the store should hold, unless it has begun
        ((SEEN,), DELETE, False),
        ((PENDING,), DELETE, False),
        ((SEEN, e.FileForgotten()), DELETE, True),
        ((SEEN, e.FileVanished()), DELETE, False),
        ((SEEN, e.FileVanished(), e.FilePruned()), DELETE, True),
        ((SEEN, e.FileVanished(), e.FilePruned(), e.FileReappeared(8, 1)), DELETE, False),
        ((SEEN, e.FileVanished(), e.FilePruned(), DELETE, e.FileReappeared(8, 1)), DELETE, True),
        ((SEEN, e.FileForgotten(), DELETE, e.FileTracked()), DELETE, True),
        ((), DELETE, False),
        ((SEEN, e.DocumentGone(DOCUMENT), e.FileForgotten()), DELETE, False),
        ((e.DocumentSeen(e.DocumentFact(DOCUMENT, "STATE_FAILED", "")),), DELETE, True),
        ((), e.RawDeleteIntended(CALL, RAW, "forgotten"), False),
        ((UPLOAD,), e.RawDeleteIntended(CALL, RAW, "forgotten"), True),
        ((UPLOAD, UPLOADED, e.RawDeleted(CALL, RAW)), e.RawDeleteIntended(CALL, RAW, "forgotten"), False),
        (
            (UPLOAD, e.RawDeleteIntended(CALL, RAW, "forgotten"), e.RawGone(RAW, 0, "expired")),
            e.RawDeleteIntended(CALL, RAW, "forgotten"),
            True,
        ),
    ],
)
def test_guards(history: tuple[e.Event, ...], event: e.Event, legal: bool) -> None:
    record = after(*history)
    assert (check(record, event) is None) == legal
    assert fire(record, event) == (destination(record.state, event.kind) if legal else None)


@pytest.mark.parametrize(
    "guard", ["may_retry", "may_upload", "may_import", "is_proven", "may_delete_document", "may_delete_raw"]
)
def test_a_guard_for_one_kind_of_event_refuses_others(guard: str) -> None:
    kinds = {row.event for row in TRANSITIONS if row.guard == guard}
    assert len(kinds) == 1
    assert not any(GUARDS[guard](after(), event) for kind, event in EXAMPLES.items() if kind not in kinds)


@settings(max_examples=400)
@given(record=RECORDS, event=FILE_EVENTS)
def test_what_a_scan_or_a_person_says_is_legal_or_changes_nothing(record: FileRecord, event: e.Event) -> None:
    before = encoded(record)
    decided = d.decide(record, d.Tell(event), 300_000_000)
    assert encoded(record) == before
    dest = destination(record.state, event.kind)
    if isinstance(decided, Rejected):
        assert event.kind not in FACTS
        assert (decided.version, decided.state, decided.event) == (record.version, record.state, event.kind)
        assert (dest is None) == (decided.guard == "")
        assert event.kind in decided.allowed or dest is None or decided.guard
    else:
        assert decided[0] is event
        assert dest is not None
        assert apply(record, event, 300_000_000).state is dest


@settings(max_examples=300)
@given(record=RECORDS, effect=EFFECTS)
def test_an_intent_is_legal_or_changes_nothing(
    record: FileRecord, effect: fx.Upload | fx.ImportRaw | fx.DeleteDocument | fx.DeleteRaw
) -> None:
    before = encoded(record)
    decided = d.decide(record, d.Begin(effect, EventId("new"), LIBRARY, STORE), 300_000_000)
    assert encoded(record) == before
    if not isinstance(decided, Rejected):
        assert check(record, decided[0]) is None
        assert decided[0].kind not in FACTS


def test_threads_do_not_see_each_others_files() -> None:
    """There is one slot for all.  Each line of `fire` gives way to the other threads, so that no luck is needed."""
    gone, here = after(e.FileVanished()), after()
    wrong: list[bool] = []

    def give_way(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code is not fire.__code__:
            return None
        time.sleep(0.000_1)
        return give_way

    def ask(record: FileRecord, legal: bool) -> None:
        sys.settrace(give_way)
        wrong.extend(legal for _ in range(20) if (check(record, e.FileVanished()) is None) != legal)
        sys.settrace(None)

    threads = [threading.Thread(target=ask, args=(record, record is here)) for record in (gone, here, gone, here)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
