"""Documents that the log does not know, and a store that is gone: played by hand against the model of the service."""

from __future__ import annotations

import msgspec
import pytest

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import RawFileName, payload_id
from objlib_fsm.core.record import Role
from objlib_fsm.core.table import State
from tests.core.byhand import OLD, File, importing, indexed, uploaded
from tests.core.ending import check_end, settle
from tests.core.moves import How
from tests.core.service import STORE

# ---- documents of this library that its log does not know ------------------------------------------------------------


def test_a_stray_is_deleted_with_its_raw_files_and_can_explain_itself() -> None:
    stray = File(stray=True)
    assert stray.record.stray
    assert (stray.at(), stray.record.terminal, stray.record.here) == (State.UNTRACKED, True, False)
    assert len(stray.live) == 3
    for _ in range(3):
        assert stray.does(fx.DeleteDocument).why == "forgotten"
    for _ in range(3):
        stray.does(fx.DeleteRaw)
    assert stray.effect() is None
    check_end(stray)
    assert all(document.raw for document in stray.record.documents), "a citation of it leads back here"


def test_a_document_that_another_history_made_is_adopted_by_a_file_of_the_same_bytes() -> None:
    file = File()
    stored = file.service.import_raw(payload_id(OLD), file.clock.real_us, 0)[1]
    (fact,) = file.shell.listing().documents
    file.report(d.DocumentFound(msgspec.structs.replace(fact, raw=RawFileName("files/before"))))
    assert file.at() is State.INDEXED
    assert file.record.document is not None
    assert (file.record.document.name, file.record.document.raw) == (stored.name, "files/before")
    assert file.effect() is None, "nothing is sent"
    check_end(file)


# ---- the store is gone, and another one takes its place --------------------------------------------------------------


def replaced(file: File) -> File:
    file.service.lose_everything(file.clock.real_us)
    assert file.tell(e.StoreReplaced(STORE))
    return file


def test_a_file_of_a_lost_store_is_imported_again_from_its_living_raw_file() -> None:
    file = replaced(indexed())
    assert file.at() is State.UNTRACKED
    assert {document.role for document in file.record.documents} == {Role.GONE}, "no id is erased"
    file.does(fx.ImportRaw)
    settle(file)
    check_end(file)
    assert len(file.record.documents) == 2


def test_a_file_of_a_lost_store_whose_raw_file_has_expired_is_sent_again() -> None:
    file = indexed()
    file.clock.advance(49 * 3_600)
    replaced(file).does(fx.LookUpRaw)
    file.does(fx.Upload)
    settle(file)
    check_end(file)


@pytest.mark.parametrize("how", [How.WELL, How.SLOWLY, How.CUT_LATE, How.REPORT_LATE, How.CRASH_LATE])
def test_an_import_into_a_lost_store_is_not_waited_for(how: How) -> None:
    file = replaced(importing(how, n=3))
    assert (file.at(), file.record.imports) == (State.UNTRACKED, ())
    file.does(fx.ImportRaw)
    file.report(*file.late)
    settle(file)
    check_end(file)


def test_an_upload_under_way_goes_on_into_the_new_store() -> None:
    file = replaced(uploaded())
    assert file.at() is State.UPLOADING
    file.does(fx.ImportRaw)
    settle(file)
    check_end(file)
