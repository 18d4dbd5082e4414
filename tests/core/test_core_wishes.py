"""What a person asks for: a prune, another attempt, and that nothing old is left behind a replacement."""

from __future__ import annotations

import pytest

from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.policy import FAILURES_MAX, parked
from objlib_fsm.core.table import State
from tests.core.byhand import NEW, OLD, File, importing, indexed
from tests.core.ending import check_end, settle
from tests.core.moves import How

# ---- a prune ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [e.FileVanished(), e.FileExcluded("unreadable")], ids=["missing", "left out"])
def test_a_prune_deletes_the_document_and_then_the_raw_file(away: e.Event) -> None:
    file = indexed()
    (document,) = file.live
    assert file.tell(away)
    assert file.effect() is None, "nothing goes by itself"
    assert file.tell(e.FilePruned())
    assert (file.record.state, file.record.wanted) == (State.UNTRACKED, True)
    assert file.does(fx.DeleteDocument) == fx.DeleteDocument(document, "pruned")
    assert file.does(fx.DeleteRaw).why == "pruned"
    assert file.effect() is None
    assert file.live == set()
    check_end(file)


def test_a_pruned_file_that_is_back_is_sent_again_once() -> None:
    file = indexed()
    assert file.tell(e.FileVanished())
    assert file.tell(e.FilePruned())
    settle(file)
    assert file.tell(e.FileReappeared(8, 2))
    assert file.does(fx.Upload).payload == OLD
    settle(file)
    assert file.at() is State.INDEXED
    assert len(file.live) == 1
    check_end(file)


def test_a_file_that_is_back_before_its_prune_was_done_keeps_its_document() -> None:
    file = indexed()
    kept = file.live
    assert file.tell(e.FileVanished())
    assert file.tell(e.FilePruned())
    assert file.tell(e.FileReappeared(8, 2))
    file.does(fx.LookUpDocument)
    assert file.at() is State.INDEXED
    assert file.effect() is None
    assert file.live == kept


def test_a_deletion_that_a_prune_began_is_ended_before_the_file_is_sent_again() -> None:
    file = indexed()
    assert file.tell(e.FileVanished())
    assert file.tell(e.FilePruned())
    file.cut_off(How.CRASH_DONE)
    assert file.tell(e.FileReappeared(8, 2))
    assert file.does(fx.DeleteDocument).why == "again"
    file.does(fx.ImportRaw)
    settle(file)
    assert len(file.live) == 1
    check_end(file)


def test_a_pruned_file_that_is_there_and_left_out_stays_pruned() -> None:
    file = indexed()
    assert file.tell(e.FileVanished())
    assert file.tell(e.FilePruned())
    assert file.tell(e.FileExcluded("ignored"))
    assert file.record.pruned
    settle(file)
    assert file.live == set()
    assert file.tell(e.FileIncluded(8, 3))
    assert not file.record.pruned
    settle(file)
    check_end(file)


def test_a_document_that_turns_up_after_the_prune_goes_too() -> None:
    file = importing(How.CRASH_LATE, n=0)
    assert file.tell(e.FileVanished())
    assert file.tell(e.FilePruned())
    settle(file)
    assert file.live == set()
    check_end(file)


@pytest.mark.parametrize("away", ["pruned", "forgotten"])
def test_a_file_that_comes_back_is_indexed_without_waiting_for_a_listing(away: str) -> None:
    """Every earlier import is accounted for, so the next one is no repetition."""
    file = indexed()
    if away == "pruned":
        assert file.tell(e.FileVanished())
        assert file.tell(e.FilePruned())
    else:
        assert file.tell(e.FileForgotten())
    settle(file)
    assert file.tell(e.FileReappeared(8, 2) if away == "pruned" else e.FileTracked())
    file.does(fx.Upload)
    file.does(fx.ImportRaw)
    file.does(fx.Poll)
    assert file.at() is State.INDEXED
    assert file.effect() is None
    check_end(file)


def test_since_when_a_file_is_left_out() -> None:
    file = File()
    assert file.tell(e.FileExcluded("unreadable"))
    since_us = file.clock.now_us
    file.clock.advance(60)
    assert file.tell(e.FileExcluded("too large"))
    assert file.record.excluded_since_us == since_us
    assert file.tell(e.FileIncluded(8, 3))
    assert file.record.excluded_since_us is None


# ---- giving up and trying again --------------------------------------------------------------------------------------


def given_up() -> File:
    file = File()
    file.does(fx.Upload, How.REJECTED)
    assert file.at() is State.FAILED
    return file


def test_after_three_runs_a_file_is_parked_until_somebody_asks_for_it() -> None:
    file = given_up()
    for failures in range(1, FAILURES_MAX):
        assert (file.record.failures, parked(file.record)) == (failures, False)
        assert file.tell(e.RetryRequested(automatic=True))
        file.does(fx.Upload, How.REJECTED)
    assert parked(file.record)
    assert not file.tell(e.RetryRequested(automatic=True))
    assert file.effect() is None
    assert file.tell(e.RetryRequested())
    assert file.record.failures == 0
    settle(file)
    check_end(file)


@pytest.mark.parametrize("how", ["indexed", "changed"])
def test_what_ends_the_count(how: str) -> None:
    file = given_up()
    assert file.record.failures == 1
    if how == "indexed":
        assert file.tell(e.RetryRequested(automatic=True))
        settle(file)
    else:
        file.change()
    assert file.record.failures == 0


# ---- a replacement ---------------------------------------------------------------------------------------------------


def test_the_old_raw_file_goes_only_after_its_document() -> None:
    file = indexed()
    old = file.record.raws[0].name
    file.change()
    file.does(fx.Upload)
    file.does(fx.ImportRaw)
    file.does(fx.Poll)
    file.does(fx.DeleteDocument, How.REFUSED_NOW)
    assert file.does(fx.DeleteDocument).why == "again", "anything but `not there` keeps the step open"
    assert file.does(fx.DeleteRaw) == fx.DeleteRaw(old, "superseded")
    assert file.effect() is None
    check_end(file)


def test_an_old_raw_file_that_is_gone_already_ends_the_step() -> None:
    file = indexed()
    raw = file.service.raws[file.record.raws[0].name]
    file.change()
    file.does(fx.Upload)
    file.does(fx.ImportRaw)
    file.does(fx.Poll)
    file.does(fx.DeleteDocument)
    raw.gone_us = file.clock.real_us
    file.does(fx.DeleteRaw)
    assert file.last == e.RawDeleted(file.history[-2][0].call, raw.name, False)  # type: ignore[attr-defined]
    assert file.effect() is None


def test_the_raw_file_of_a_document_that_still_stands_for_the_file_is_left_alone() -> None:
    file = indexed()
    file.change()
    file.does(fx.Upload, How.REJECTED)
    assert file.at() is State.FAILED
    assert file.effect() is None
    assert {raw.payload for raw in file.record.raws if raw.alive} == {OLD}


def test_bytes_that_come_back_after_their_raw_file_went_are_sent_again() -> None:
    file = indexed()
    file.change()
    settle(file)
    assert [raw.payload for raw in file.record.raws if raw.alive] == [NEW]
    assert file.tell(e.ContentChanged(8, 3, OLD, "text/markdown"))
    assert file.does(fx.Upload).generation == 1
    settle(file)
    check_end(file)
