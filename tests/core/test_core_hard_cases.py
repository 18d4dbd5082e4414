"""The design's table of hard cases, row by row, as far as they are the core's.

Each is played by hand against the model of the service: what the core wants next is asserted at each turn, and
`check_end` says how it must have ended.
"""

from __future__ import annotations

from typing import Any

import pytest

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import RawFileName, payload_id
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.policy import SETTLE_S, SHOWN_S, after_s
from objlib_fsm.core.record import Call, Role
from objlib_fsm.core.table import State
from tests.core.byhand import NEW, OLD, File, fail, importing, indexed, uploaded
from tests.core.ending import check_end, settle
from tests.core.moves import How

# ---- content changes while uploading or processing -----------------------------------------------------------------


def test_content_changes_while_uploading() -> None:
    file = File()
    file.cut_off(How.REPORT_LATE)
    file.change()
    file.report(*file.late)
    assert isinstance(file.last, e.UploadDone), "recorded as a fact"
    assert (file.record.state, file.record.raw) == (State.UNTRACKED, None)
    assert [raw.payload for raw in file.record.raws] == [OLD]
    assert file.does(fx.Upload).payload == NEW
    settle(file)
    check_end(file)


def test_content_changes_while_processing() -> None:
    file = importing()
    file.change()
    assert file.at() is State.UNTRACKED
    assert file.does(fx.Upload).payload == NEW
    settle(file)
    assert [document.payload for document in file.record.live_documents] == [payload_id(NEW)]
    check_end(file)


def test_an_old_active_document_stays_until_its_successor_is_active() -> None:
    file = indexed()
    (old,) = file.live
    file.change()
    assert file.at() is State.UNTRACKED
    file.does(fx.Upload)
    file.does(fx.ImportRaw, How.SLOWLY, n=1)
    assert file.record.document is not None
    assert file.record.document.name == old
    assert old in file.live
    file.does(fx.Poll)
    assert file.at() is State.INDEXED
    effect = file.does(fx.DeleteDocument)
    assert (effect.document, effect.why) == (old, "superseded")
    assert old not in file.live
    effect = file.does(fx.DeleteRaw)
    assert (effect.raw, effect.why) == (file.record.raws[0].name, "superseded"), "then its raw file"
    assert file.effect() is None
    check_end(file)


def test_content_that_changes_back_needs_no_upload() -> None:
    file = indexed()
    file.change()
    assert file.tell(e.ContentChanged(8, 3, OLD, "text/markdown"))
    file.does(fx.LookUpDocument)
    assert [event.kind.label for event, _ in file.history[-3:]] == ["document_seen", "document_claimed", "file_indexed"]
    check_end(file)


# ---- new payload is rejected -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [fx.Upload, fx.ImportRaw])
def test_new_payload_is_rejected(at: type[fx.Effect]) -> None:
    file = indexed()
    old = file.live
    file.change()
    if at is fx.ImportRaw:
        file.does(fx.Upload)
    file.does(at, How.REJECTED)
    assert file.at() is State.FAILED
    assert file.last == e.GaveUp("invalid argument", "no")
    assert (file.record.cause, file.effect()) == ("invalid argument", None)
    assert file.record.document is not None
    assert {file.record.document.name} == old == file.live, "the old document is kept as current"


def test_a_rejection_that_comes_after_the_file_moved_on_decides_nothing() -> None:
    file = File()
    file.cut_off(How.CRASH_LOST)
    assert isinstance(file.history[-1][0], e.UploadIntended)
    late = d.Failed(file.history[-1][0].call, Call.UPLOAD, Failure(Outcome.REJECTED, Reason.INVALID_ARGUMENT))
    file.does(fx.LookUpRaw)
    file.does(fx.Upload)
    file.report(late)
    assert file.at() is State.UPLOADING
    assert (file.record.attempts, file.record.problem) == (0, None)


# ---- file deleted on disk while uploading or processing --------------------------------------------------------------


@pytest.mark.parametrize("begin", [uploaded, importing])
def test_file_deleted_on_disk_while_uploading_or_processing(begin: Any) -> None:
    file: File = begin()
    assert file.tell(e.FileVanished())
    assert file.at() is State.UNTRACKED
    assert file.record.terminal
    known = len(file.history)
    settle(file)
    begun = [event for event, _ in file.history[known:] if event.kind.family == "intent"]
    assert begun == [], "nothing new is begun"
    assert len(file.live) == (begin is importing), "an existing document stays"
    check_end(file)
    assert file.tell(e.FileReappeared(8, 1))
    settle(file)
    assert sum(isinstance(event, e.UploadIntended) for event, _ in file.history) == 1, "its raw file is still there"
    assert file.at() is State.INDEXED
    check_end(file)


def test_a_file_that_is_missing_is_not_indexed_when_the_store_lost_its_document() -> None:
    file = indexed()
    (name,) = file.live
    file.tell(e.FileVanished())
    assert file.at() is State.INDEXED
    file.service.documents[name].deleted_us = file.clock.real_us
    file.meddled = True
    file.clock.advance(SETTLE_S + 1)
    file.report(d.DocumentMissing(name))
    assert (file.at(), file.record.live_documents) == (State.UNTRACKED, ())
    assert file.effect() is None
    check_end(file)


def test_an_indexed_file_that_vanishes_keeps_its_document() -> None:
    file = indexed()
    assert file.tell(e.FileVanished())
    assert (file.record.state, file.effect()) == (State.INDEXED, None)
    assert len(file.live) == 1


# ---- document FAILED -------------------------------------------------------------------------------------------------


def test_document_failed() -> None:
    file = importing(How.BADLY)
    (bad,) = file.live
    file.does(fx.Poll)
    assert (file.record.state, file.record.setbacks) == (State.PROCESSING, 1), "counted"
    assert file.record.documents[0].role is Role.DEAD
    assert file.does(fx.DeleteDocument) == fx.DeleteDocument(bad, "dead"), "deleted at once"
    file.does(fx.ImportRaw)
    settle(file)
    assert sum(isinstance(event, e.UploadIntended) for event, _ in file.history) == 1, "from the same raw file"
    check_end(file)


def test_documents_that_fail_again_and_again_end_the_attempts() -> None:
    file = uploaded()
    for _ in range(3):
        file.does(fx.ImportRaw, How.BADLY)
        file.does(fx.Poll)
        file.does(fx.DeleteDocument)
    assert file.at() is State.FAILED
    assert file.record.cause == "given up by the service"
    settle(file)
    assert file.live == set()


# ---- operation says error, or never says done ------------------------------------------------------------------------


@pytest.mark.parametrize("how", [How.OPERATION_LIES, How.OPERATION_SILENT])
def test_operation_says_error_or_never_says_done(how: How) -> None:
    file = importing(how)
    file.does(fx.Poll)
    assert isinstance(file.last, e.OperationEnded)
    assert file.at() is State.PROCESSING, "only schedules a look-up"
    file.does(fx.ListDocuments)
    assert file.at() is State.INDEXED, "the document's state decides"
    check_end(file)


def test_operation_says_error_and_there_is_no_document() -> None:
    file = importing(How.OPERATION_LIES)
    for stored in file.service.documents.values():
        stored.deleted_us = file.clock.real_us
    file.does(fx.Poll)
    file.does(fx.ListDocuments)  # Too soon to say that it is absent.
    file.does(fx.ListDocuments)
    assert (file.record.state, file.record.setbacks) == (State.PROCESSING, 1)
    file.does(fx.ImportRaw)
    settle(file)
    check_end(file)


# ---- raw file gone while an import runs ------------------------------------------------------------------------------


def gone_while_importing(how: How) -> tuple[File, RawFileName]:
    file = importing(how, n=1)
    assert file.record.raw is not None
    raw = file.record.raw
    file.service.raws[raw.name].gone_us = file.clock.real_us
    file.report(d.RawLost(raw.name, raw.generation, "expired"))
    assert file.at() is State.PROCESSING, "goes on"
    return file, raw.name


def test_raw_file_gone_while_an_import_runs_that_ends_well() -> None:
    file, _ = gone_while_importing(How.SLOWLY)
    file.does(fx.Poll)
    assert file.at() is State.INDEXED
    check_end(file)


def test_raw_file_gone_while_an_import_runs_that_fails() -> None:
    file, raw = gone_while_importing(How.BADLY)
    file.does(fx.Poll)
    assert (file.record.state, file.record.generation) == (State.UNTRACKED, 1), "next generation"
    file.does(fx.DeleteDocument)
    file.does(fx.Upload)
    assert file.record.raw is not None
    assert file.record.raw.name != raw
    settle(file)
    check_end(file)


def test_raw_file_that_expires_before_its_import_is_no_setback() -> None:
    file = uploaded()
    file.clock.advance(48 * 3600)
    assert isinstance(file.does(fx.LookUpRaw), fx.LookUpRaw), "the local clock may only cause a look-up"
    assert (file.record.state, file.record.generation, file.record.setbacks) == (State.UNTRACKED, 1, 0)
    settle(file)
    check_end(file)


# ---- several documents for one file ----------------------------------------------------------------------------------


def test_several_documents_for_one_file_the_known_one_stays() -> None:
    file = indexed()
    (known,) = file.live
    _, older = file.service.import_raw(payload_id(OLD), file.clock.real_us - 10, 0)
    file.report(file.shell.listing())
    assert {document.name: document.role for document in file.record.documents} == {
        known: Role.CURRENT,
        older.name: Role.DUPLICATE,
    }
    settle(file)
    check_end(file)


def test_several_documents_for_one_file_of_unknown_ones_the_oldest_stays() -> None:
    file = importing(How.CRASH_DONE)
    (ours,) = file.live
    _, younger = file.service.import_raw(payload_id(OLD), file.clock.real_us + 5, 0)
    file.does(fx.ListDocuments)
    assert file.record.document is not None
    assert file.record.document.name == ours
    assert file.does(fx.DeleteDocument).document == younger.name
    settle(file)
    check_end(file)


# ---- import answer lost ----------------------------------------------------------------------------------------------


def test_import_answer_lost_absent_counts_only_60_s_after_the_call() -> None:
    file = importing(How.CUT_LOST)
    called_us = file.clock.now_us
    assert file.record.imports
    file.report(d.DocumentsFound(after_s(called_us, SETTLE_S) - 1, ()))
    assert len(file.record.imports) == 1, "a listing begun too early says nothing"
    effect = file.does(fx.ListDocuments)
    assert effect.not_before_us == after_s(called_us, SETTLE_S)
    file.does(fx.ImportRaw)
    settle(file)
    check_end(file)


def test_import_answer_lost_the_60_s_begin_when_the_call_was_given_up() -> None:
    file = uploaded()
    file.does(fx.ImportRaw, How.CUT_LOST, takes_s=90.0)
    given_up_us = file.clock.now_us
    assert file.does(fx.ListDocuments).not_before_us == after_s(given_up_us, SHOWN_S)
    assert file.does(fx.ListDocuments).not_before_us == after_s(given_up_us, SETTLE_S)
    settle(file)
    assert file.at() is State.INDEXED
    check_end(file)


def test_a_file_imported_more_than_once_is_listed_again_and_extra_documents_are_deleted() -> None:
    file = importing(How.CUT_LOST)
    file.does(fx.ListDocuments)
    file.does(fx.ListDocuments)
    file.does(fx.ImportRaw)
    file.does(fx.Poll)
    assert file.at() is State.INDEXED
    file.service.import_raw(payload_id(OLD), file.clock.real_us, 0)  # The lost one, after all.
    assert len(file.live) == 2
    file.does(fx.ListDocuments)
    file.does(fx.DeleteDocument)
    assert file.effect() is None
    check_end(file)


# ---- forget during a run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [File, uploaded, importing, indexed])
def test_forget_during_a_run(begin: Any) -> None:
    file: File = begin()
    assert file.tell(e.FileForgotten())
    assert file.at() is State.UNTRACKED
    settle(file)
    assert file.live == set()
    assert not any(raw.there(file.clock.real_us) for raw in file.service.raws.values())
    check_end(file)


def test_forget_while_an_upload_is_on_its_way_deletes_the_raw_file_by_the_name_we_chose() -> None:
    file = File()
    file.cut_off(How.CRASH_DONE)
    assert file.tell(e.FileForgotten())
    file.does(fx.DeleteRaw)
    assert not any(raw.there(file.clock.real_us) for raw in file.service.raws.values())


def test_forgotten_while_its_document_is_deleted_and_wanted_again_is_not_claimed_to_be_there() -> None:
    file = indexed()
    assert file.tell(e.FileForgotten())
    file.does(fx.DeleteDocument, How.CUT_DONE)
    assert file.tell(e.FileTracked())
    file.report(d.LookUpFailed(Call.LOOK_UP_RAW, Failure(Outcome.THROTTLED, Reason.RATE_LIMIT)))
    assert file.at() is State.UNTRACKED
    assert file.does(fx.DeleteDocument).why == "again"
    settle(file)
    check_end(file)


# ---- store gone, key revoked, storage limit, quota of the day --------------------------------------------------------

HALTS = [
    Failure(Outcome.HALTED, Reason.FORBIDDEN, "the store is gone", 403),
    Failure(Outcome.HALTED, Reason.BAD_KEY, "API key not valid", 400),
    Failure(Outcome.HALTED, Reason.STORAGE_LIMIT, "the store is full", 429),
    Failure(Outcome.HALTED, Reason.DAILY_QUOTA, "quota for the day", 429),
    Failure(Outcome.HALTED, Reason.OTHER, "a defect of this program"),
]


@pytest.mark.parametrize("failure", HALTS, ids=lambda failure: str(failure.reason))
@pytest.mark.parametrize("begin", [File, uploaded, indexed])
def test_a_halted_outcome_changes_no_file(begin: Any, failure: Failure) -> None:
    file: File = begin()
    if begin is indexed:
        file.change()
    before, wanted = file.record, file.effect()
    assert wanted is not None
    fail(file, wanted, failure)
    after = file.record
    intended = State.PROCESSING if begin is uploaded else State.UPLOADING
    assert file.at() is intended, "where the intent led, and no further"
    assert (after.attempts, after.setbacks, after.due_at_us) == (0, 0, None)
    assert (after.documents, after.generation) == (before.documents, before.generation)
    assert after.problem is not None
    assert after.problem.message == failure.message
    assert type(file.effect()) is type(wanted), "the next run goes on where this one stopped"
    settle(file)
    check_end(file)


@pytest.mark.parametrize("failure", HALTS, ids=lambda failure: str(failure.reason))
def test_a_halted_look_up_changes_nothing_but_the_record(failure: Failure) -> None:
    file = importing()
    wanted = file.effect()
    file.report(d.LookUpFailed(Call.POLL, failure))
    assert (file.record.state, file.effect()) == (State.PROCESSING, wanted)


# ---- 403 on a raw file -----------------------------------------------------------------------------------------------


def test_403_on_a_raw_file_while_the_store_answers_is_gone() -> None:
    """Incident 12: an expired raw file is answered with 403, and the step was tried again for ever.

    The shell reports "missing" only when the pinned store has answered right after; else the run is halted.
    """
    file = uploaded()
    assert file.record.raw is not None
    file.report(d.RawMissing(file.record.raw.name, 0))
    assert file.last == e.StartedOver("the raw file is gone: expired")
    assert (file.record.state, file.record.generation) == (State.UNTRACKED, 1)
    file.does(fx.Upload)
    settle(file)
    check_end(file)


def test_a_raw_file_that_is_gone_again_and_again_ends_the_attempts() -> None:
    file = File()
    for _ in range(3):
        file.does(fx.Upload)
        assert file.record.raw is not None
        file.report(d.RawMissing(file.record.raw.name, file.record.generation))
    assert (file.record.state, file.record.cause) == (State.FAILED, "given up by the service")


# ---- 409 on upload ---------------------------------------------------------------------------------------------------


def test_409_on_upload_with_our_bytes_is_adopted() -> None:
    file = File()
    file.does(fx.Upload, How.CRASH_DONE)
    file.does(fx.LookUpRaw, How.THROTTLED)
    assert file.tell(e.FileVanished())
    assert file.tell(e.FileReappeared(8, 1))
    file.does(fx.Upload)
    assert isinstance(file.last, e.RawSeen)
    assert file.record.generation == 0
    file.does(fx.ImportRaw)
    settle(file)
    check_end(file)


def test_409_on_upload_with_other_bytes_takes_the_next_generation() -> None:
    file = File()
    first = file.does(fx.Upload, How.NAME_TAKEN)
    second = file.does(fx.Upload)
    assert (first.generation, second.generation) == (0, 1)
    settle(file)
    check_end(file)
