"""A timeout means unknown, never failed; a listing says only what was true when it began."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import EventId, OperationName, payload_id
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.policy import ATTEMPTS_MAX, LATER_S, SETTLE_S, after_s
from objlib_fsm.core.record import Call
from objlib_fsm.core.table import State
from tests.core.byhand import OLD, File, importing, indexed, uploaded
from tests.core.ending import check_end, settle
from tests.core.moves import How
from tests.core.service import SECOND_US, STORE
from tests.core.strategies import encoded


@pytest.mark.parametrize("begin", [uploaded, importing])
def test_failed_look_ups_never_make_a_file_failed(begin: Any) -> None:
    file: File = begin()
    state, documents = file.record.state, file.record.documents
    for _ in range(40):
        for what in (Call.LOOK_UP_RAW, Call.POLL, Call.LOOK_UP_DOCUMENT, Call.LIST_DOCUMENTS):
            file.report(d.LookUpFailed(what, Failure(Outcome.UNAVAILABLE, Reason.NETWORK, "unreachable")))
    assert (file.record.state, file.record.documents, file.record.attempts) == (state, documents, 0)
    assert file.record.due_at_us == after_s(file.clock.now_us, LATER_S)
    settle(file)
    check_end(file)


def test_an_outage_during_look_ups_does_not_use_up_the_uploads_attempts() -> None:
    file = File()
    file.does(fx.Upload, How.CUT_LOST)
    for _ in range(20):
        file.does(fx.LookUpRaw, How.REFUSED_NOW, n=1)
    file.does(fx.LookUpRaw)
    assert file.at() is State.UPLOADING
    file.does(fx.Upload)
    settle(file)
    check_end(file)


def test_a_listing_older_than_what_is_known_says_nothing() -> None:
    file = importing(How.SLOWLY, n=1)
    file.shell.take_snapshot()  # It shows the document PENDING.
    file.does(fx.Poll)
    assert file.at() is State.INDEXED
    before = encoded(file.record)
    assert file.shell.snapshot is not None
    file.report(d.DocumentsFound(*file.shell.snapshot))
    assert file.at() is State.INDEXED
    after = msgspec.structs.replace(file.record, version=file.record.version - 1, listed_at_us=0)
    assert encoded(after) == before


def test_a_listing_that_still_shows_a_deleted_document_does_not_bring_it_back() -> None:
    file = indexed()
    assert file.tell(e.FileForgotten())
    file.does(fx.DeleteDocument)
    assert file.tell(e.FileTracked())
    file.clock.advance(1.0)
    shown = tuple(e.DocumentFact(s.name, "STATE_ACTIVE", s.payload) for s in file.service.documents.values())
    file.report(d.DocumentsFound(file.clock.now_us, shown))
    assert file.at() is State.UNTRACKED
    assert file.record.live_documents == ()


def test_a_raw_file_whose_end_the_service_did_not_name_is_imported_without_another_look() -> None:
    file = uploaded()
    raw = file.record.raw
    assert raw is not None
    file.report(d.RawFound(raw.name, raw.payload, raw.generation, "ACTIVE", raw.size_bytes, None))
    file.clock.advance(40 * 3600)
    file.does(fx.ImportRaw)
    settle(file)
    check_end(file)


def test_an_answer_for_an_import_that_was_counted_out_makes_it_look_again() -> None:
    file = indexed()
    file.report(d.Accepted(EventId("counted-out"), OperationName(f"{STORE}/operations/late")))
    _, document = file.service.import_raw(payload_id(OLD), file.clock.real_us, 0)
    file.does(fx.ListDocuments)
    assert file.does(fx.DeleteDocument).document == document.name
    check_end(file)


def test_an_operation_that_nobody_waits_for_any_more_still_names_its_document() -> None:
    file = indexed()
    operation, document = file.service.import_raw(payload_id(OLD), file.clock.real_us, 0)
    file.report(d.OperationFinished(operation.name, "done", document.name, "", 1, None, None))
    assert not file.record.settled
    settle(file)
    check_end(file)


def test_a_document_that_a_look_up_missed_is_known_again_when_a_listing_shows_it() -> None:
    file = indexed()
    (name,) = file.live
    file.clock.advance(SETTLE_S)
    file.report(d.DocumentMissing(name))
    assert file.at() is State.UNTRACKED
    file.clock.advance(SETTLE_S)
    file.report(file.shell.listing())
    assert file.at() is State.INDEXED
    check_end(file)


def test_a_document_that_was_named_just_now_is_not_missing_yet() -> None:
    file = indexed()
    (name,) = file.live
    asked_us = file.clock.now_us
    file.clock.advance(10 * SETTLE_S)  # The machine slept between the answer and this.
    file.report(d.DocumentMissing(name, asked_us))
    assert isinstance(file.last, e.CallFailed)
    assert file.at() is State.INDEXED


@pytest.mark.parametrize("how", [How.BROKEN, How.REFUSED_NOW, How.CUT_DONE, How.CRASH_DONE, How.REJECTED])
def test_a_deletion_that_began_is_finished_before_its_document_counts_again(how: How) -> None:
    file = indexed()
    (name,) = file.live
    assert file.tell(e.FileForgotten())
    file.does(fx.DeleteDocument, how)
    assert file.tell(e.FileTracked())
    file.report(d.LookUpFailed(Call.LOOK_UP_RAW, Failure(Outcome.THROTTLED, Reason.RATE_LIMIT)))
    assert file.at() is State.UNTRACKED, "not claimed while it may be gone"
    assert file.does(fx.DeleteDocument) == fx.DeleteDocument(name, "again")
    settle(file)
    check_end(file)


def test_a_document_of_older_bytes_that_was_never_active_waits_for_its_successor_too() -> None:
    file = importing(How.SLOWLY, n=20)
    file.report(file.shell.listing())
    assert [document.state for document in file.record.documents] == ["STATE_PENDING"]
    file.change()
    file.does(fx.Upload)
    file.does(fx.ImportRaw)
    assert len(file.live) == 2
    file.does(fx.Poll)
    assert file.does(fx.DeleteDocument).why == "superseded"
    settle(file)
    check_end(file)


def test_bytes_whose_raw_file_was_lost_before_come_back_under_a_new_name() -> None:
    file = uploaded()
    raw = file.record.raw
    assert raw is not None
    file.report(d.RawMissing(raw.name, 0))
    file.change()
    assert file.tell(e.ContentChanged(8, 3, OLD, "text/markdown"))
    assert file.does(fx.Upload).generation == 1


def test_a_raw_file_near_its_end_is_looked_up_once_and_then_relied_on() -> None:
    file = uploaded()
    file.clock.advance(47.9 * 3600)
    file.does(fx.LookUpRaw)
    file.does(fx.ImportRaw)
    settle(file)
    check_end(file)


def test_a_file_given_up_whose_document_turns_up_after_all_is_indexed() -> None:
    """Incidents 8 and 9: files were taken for failed and sent again, though their documents were there."""
    file = importing(How.CUT_LATE, n=0)
    for stored in file.service.documents.values():
        stored.ready_us += 200 * SECOND_US
    file.record.attempts = ATTEMPTS_MAX  # As after so many lost answers.
    file.report(d.DocumentsFound(after_s(file.clock.now_us, SETTLE_S), ()))
    assert file.at() is State.FAILED
    file.clock.advance(2 * SETTLE_S)
    file.report(file.shell.listing())
    assert file.at() is State.FAILED, "its document is PENDING"
    file.does(fx.LookUpDocument)
    assert file.at() is State.INDEXED
    check_end(file)


def test_a_clock_that_was_set_back_makes_it_wait_not_spin() -> None:
    """The import before the jump seems to lie in the future: a listing counts only when the clock has passed it."""
    file = importing(How.CUT_LOST)
    last_us = file.clock.now_us
    file.clock.behind_us += 3_600 * SECOND_US
    file.change()
    file.does(fx.Upload)
    file.does(fx.ImportRaw)
    file.does(fx.Poll)
    assert file.at() is State.INDEXED
    assert file.does(fx.ListDocuments).not_before_us == after_s(last_us, SETTLE_S)
    file.does(fx.DeleteRaw)
    assert file.effect() is None
    check_end(file)


def test_a_raw_file_that_is_not_active_any_more_is_waited_for_and_not_imported() -> None:
    file = importing(How.BADLY)
    file.does(fx.Poll)
    file.does(fx.DeleteDocument)
    raw = file.record.raw
    assert raw is not None
    file.report(d.RawFound(raw.name, raw.payload, raw.generation, "PROCESSING", raw.size_bytes, None))
    assert file.at() is State.PROCESSING
    file.does(fx.AwaitActive)
    file.does(fx.ImportRaw)
    settle(file)
    check_end(file)
