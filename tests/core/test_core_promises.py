"""A timeout means unknown, never failed; a listing says only what was true when it began."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.policy import LATER_S, after_s
from objlib_fsm.core.record import Call
from objlib_fsm.core.table import State
from tests.core.byhand import File, importing, indexed, uploaded
from tests.core.ending import check_end, settle
from tests.core.moves import How
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
