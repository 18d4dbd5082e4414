"""Files of an earlier tool: what follows from its claim and from what the store shows, and how each ends."""

from __future__ import annotations

import pytest

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.effects import next_effect
from objlib_fsm.core.fold import fold
from objlib_fsm.core.machine import Rejected
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import FileRecord, Role
from objlib_fsm.core.table import Kind, State
from tests.core.adopted import HASH, RAW, Left, adopted
from tests.core.byhand import File
from tests.core.ending import check_end, end_well
from tests.core.service import Clock, Service

AT_FIRST = {
    Left.CONFIRMED: (State.INDEXED, fx.DeleteDocument),
    Left.PENDING: (State.PROCESSING, fx.LookUpDocument),
    Left.NAMED: (State.PROCESSING, fx.LookUpDocument),
    Left.NAMED_WRONGLY: (State.PROCESSING, fx.LookUpDocument),
    Left.LOST: (State.PROCESSING, fx.LookUpDocument),
    Left.UNNAMED: (State.UNTRACKED, fx.ListDocuments),
    Left.OF_OTHER_BYTES: (State.UNTRACKED, fx.DeleteDocument),
    Left.GIVEN_UP: (State.UNTRACKED, fx.Upload),
    Left.UNDER_WAY: (State.UNTRACKED, fx.Poll),
    Left.UPLOADED: (State.UNTRACKED, fx.ImportRaw),
    Left.FAILED: (State.FAILED, None),
    Left.MISSING: (State.INDEXED, None),
    Left.SKIPPED: (State.UNTRACKED, None),
}
"""The state right after the adoption, and what is done next."""

SENT_ANEW = (Left.LOST, Left.OF_OTHER_BYTES, Left.GIVEN_UP)


def effects(file: File) -> list[type]:
    """Performs everything that is to be done; what that was."""
    done: list[type] = []
    while (effect := file.effect()) is not None:
        assert len(done) < 20, done
        file.does(type(effect) if not isinstance(effect, fx.Wait) else object)
        done.append(type(effect))
    return [kind for kind in done if kind is not fx.Wait]


@pytest.mark.parametrize("left", Left, ids=lambda left: left.name.lower())
def test_what_follows_from_a_claim(left: Left) -> None:
    file = File(left=left)
    state, first = AT_FIRST[left]
    assert file.at() is state
    effect = file.effect()
    assert (effect is None) if first is None else isinstance(effect, first)
    done = effects(file)
    assert file.at() is {Left.FAILED: State.FAILED}.get(
        left, State.UNTRACKED if left is Left.SKIPPED else State.INDEXED
    )
    assert (fx.Upload in done) is (left in SENT_ANEW)
    assert len(file.live) == (0 if left in (Left.FAILED, Left.SKIPPED) else 1)
    end_well(file)


def test_every_way_is_told() -> None:
    assert set(AT_FIRST) == set(Left)


def test_an_unseen_document_is_processing_and_never_indexed() -> None:
    file = File(left=Left.NAMED)
    kinds = [event.kind for event, _ in file.history]
    assert kinds == [Kind.FILE_ADOPTED, Kind.DOCUMENT_CLAIMED]
    file.does(fx.LookUpDocument)
    assert file.at() is State.INDEXED
    file.does(fx.ListDocuments)
    assert file.effect() is None
    assert file.record.raws[0].name == RAW, "a citation shows the raw file's id"


def test_a_document_of_unknown_bytes_stands_until_its_successor_does() -> None:
    file = File(left=Left.OF_OTHER_BYTES)
    kept = file.record.document
    assert kept is not None
    file.does(fx.DeleteDocument)
    assert file.live == {kept.name}
    file.does(fx.Upload)
    while file.at() is not State.INDEXED:
        assert kept.name in file.live
        file.does(object)
    assert file.does(fx.DeleteDocument).document == kept.name
    check_end(file)


def test_a_file_that_a_scan_found_changed_keeps_its_adopted_document_until_then() -> None:
    """The content hash of the earlier tool is of other bytes than those on disk."""
    file = File()
    file.change()
    assert file.take_over(Left.CONFIRMED)
    assert file.at() is State.UNTRACKED
    document = file.record.document
    assert document is not None
    assert document.role is Role.CURRENT
    assert document.payload != file.record.payload
    end_well(file)


def test_a_file_that_a_scan_found_as_it_was_is_indexed_with_its_adopted_document() -> None:
    file = File()
    assert file.take_over(Left.CONFIRMED)
    assert file.at() is State.INDEXED
    assert effects(file) == [fx.DeleteDocument, fx.DeleteDocument]
    check_end(file)


def test_changed_later_it_is_replaced_like_any_other() -> None:
    file = File(left=Left.CONFIRMED)
    effects(file)
    (before,) = file.live
    file.change()
    effects(file)
    assert file.at() is State.INDEXED
    assert before not in file.live
    check_end(file)


def test_missing_it_comes_back_without_being_sent() -> None:
    file = File(left=Left.MISSING)
    assert (file.record.present, file.record.missing_since_us) == (False, 7)
    assert file.tell(e.FileReappeared(8, 2))
    assert effects(file) == []
    assert file.at() is State.INDEXED
    check_end(file)


@pytest.mark.parametrize("left", Left, ids=lambda left: left.name.lower())
def test_it_is_adopted_once(left: Left) -> None:
    file = File(left=left)
    again = d.Adopt(adopted(left, Service(), Clock()))
    decided = d.decide(file.record, again, file.clock.now_us)
    assert isinstance(decided, Rejected)


def test_a_file_at_work_or_of_another_path_or_forgotten_is_not_adopted() -> None:
    working = File()
    working.does(fx.Upload)
    assert not working.take_over(Left.CONFIRMED)
    elsewhere = File()
    assert elsewhere.tell(e.FileMoved(LibraryPath("b.md"), 8, 2))
    assert not elsewhere.take_over(Left.CONFIRMED)
    forgotten = File()
    assert forgotten.tell(e.FileForgotten())
    assert not forgotten.take_over(Left.CONFIRMED)


def test_what_failed_says_why() -> None:
    file = File(left=Left.FAILED)
    assert (file.record.cause, file.record.cause_message) == (
        "failed in the earlier tool",
        "400 Failed to create file.",
    )
    assert file.tell(e.RetryRequested())
    file.does(fx.Upload)
    end_well(file)


def test_the_claim_stays_in_the_event() -> None:
    file = File()
    event = adopted(Left.CONFIRMED, file.service, file.clock)
    assert event.claim["gemini_state"] == "indexed"
    assert event.source_hash == HASH


def described(left: Left, *, of_adopted: bool) -> FileRecord:
    """A record of what was left, and is then described by a scan."""
    file = File(left=left)
    decided = d.decide(file.record, d.Tell(e.FileDescribed({"year": 2024}, basis="b", of_adopted=of_adopted)), 9)
    assert not isinstance(decided, Rejected)
    return fold(file.record.stream, [*file.history, *((event, 9) for event in decided)])


def test_what_is_said_of_it_first_makes_no_other_document() -> None:
    record = described(Left.CONFIRMED, of_adopted=True)
    assert record.state is State.INDEXED
    assert record.proof is not None
    assert record.metadata == {"year": 2024}
    assert sorted(document.role for document in record.documents) == [Role.CURRENT, Role.DEAD, Role.DUPLICATE]
    later = described(Left.CONFIRMED, of_adopted=False)
    assert later.state is State.UNTRACKED
    assert later.proof is None, "what is said of it later takes another document"


def test_what_is_said_of_it_before_anybody_looked_leaves_it_processing() -> None:
    record = described(Left.NAMED, of_adopted=True)
    assert record.state is State.PROCESSING
    assert isinstance(next_effect(record, 10), fx.LookUpDocument)
    assert not record.settled, "a listing looks for others of it"
