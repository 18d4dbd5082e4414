"""A wall clock that was put back: what it had dated is not waited for, and nothing spins."""

from __future__ import annotations

import pytest

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import DocumentName
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.policy import CLOCK_SLACK_S, EXPIRY_MARGIN_S, RETRY_AFTER_MAX_S, SETTLE_S, after_s, is_ahead
from objlib_fsm.core.record import Call, Role
from objlib_fsm.core.table import State
from tests.core.byhand import File, fail, importing, indexed, uploaded
from tests.core.ending import check_end, settle
from tests.core.moves import How
from tests.core.service import SECOND_US

DAYS_US = [2 * 86_400 * SECOND_US, 3_650 * 86_400 * SECOND_US]


def test_what_is_ahead() -> None:
    now_us = 1_000_000_000_000
    assert not is_ahead(after_s(now_us, CLOCK_SLACK_S), now_us)
    assert is_ahead(after_s(now_us, CLOCK_SLACK_S) + 1, now_us)
    assert not is_ahead(0, now_us)


@pytest.mark.parametrize("back_us", DAYS_US)
def test_an_import_dated_after_now_is_listed_at_once_and_once_more_a_minute_later(back_us: int) -> None:
    file = importing(How.CUT_LOST)
    file.clock.behind_us += back_us
    asked_us = file.clock.now_us
    assert file.effect() == fx.ListDocuments(asked_us)
    file.does(fx.ListDocuments)
    assert [waiting.at_us for waiting in file.record.imports] == [asked_us], "not later than now"
    while isinstance(file.effect(), fx.Wait | fx.ListDocuments):
        file.does(fx.ListDocuments)
    assert asked_us + SETTLE_S * SECOND_US <= file.clock.now_us <= asked_us + (SETTLE_S + 60) * SECOND_US
    assert file.record.imports == ()
    settle(file)
    check_end(file)


@pytest.mark.parametrize("back_us", DAYS_US)
def test_a_due_time_that_no_quota_has_is_over(back_us: int) -> None:
    file = uploaded()
    effect = file.effect()
    fail(file, effect, Failure(Outcome.THROTTLED, Reason.RATE_LIMIT, retry_after_s=RETRY_AFTER_MAX_S))
    assert isinstance(file.effect(), fx.Wait)
    file.clock.behind_us += back_us
    assert file.effect() == effect
    settle(file)
    check_end(file)


@pytest.mark.parametrize("back_us", DAYS_US)
def test_a_document_seen_after_now_can_be_gone(back_us: int) -> None:
    file = indexed()
    (name,) = file.live
    file.clock.behind_us += back_us
    file.report(d.DocumentMissing(name, file.clock.now_us))
    assert isinstance(file.history[-2][0], e.DocumentGone)
    assert file.at() is State.UNTRACKED


@pytest.mark.parametrize("back_us", DAYS_US)
def test_a_listing_is_believed_about_what_was_seen_after_it(back_us: int) -> None:
    file = indexed()
    (name,) = file.live
    file.clock.behind_us += back_us
    file.report(d.DocumentsFound(file.clock.now_us, ()))
    assert file.at() is State.INDEXED, "what was seen may be new"
    file.clock.advance(SETTLE_S + 1)
    file.report(d.DocumentsFound(file.clock.now_us, ()))
    assert file.at() is State.UNTRACKED
    assert [document.role for document in file.record.documents] == [Role.GONE]
    assert DocumentName(name) not in {document.name for document in file.record.live_documents}


def test_a_raw_file_that_should_have_expired_is_looked_up_although_it_was_seen_shortly_before() -> None:
    file = uploaded()
    raw = file.record.raw
    assert raw is not None
    assert raw.expires_at_us is not None
    file.clock.advance((raw.expires_at_us - file.clock.now_us) / SECOND_US - EXPIRY_MARGIN_S / 2)
    file.does(fx.LookUpRaw)
    assert isinstance(file.effect(), fx.ImportRaw)
    file.clock.advance(EXPIRY_MARGIN_S)
    file.does(fx.LookUpRaw)
    assert file.at() is State.UNTRACKED
    settle(file)
    check_end(file)


@pytest.mark.parametrize("back_us", DAYS_US)
def test_a_raw_file_seen_after_now_is_no_proof_that_it_lives(back_us: int) -> None:
    """The clock was years ahead when it was seen, and is right again: its expiry, the server's, is near."""
    file = File()
    file.clock.behind_us -= back_us
    file.does(fx.Upload)
    file.clock.behind_us += back_us
    raw = file.record.raw
    assert raw is not None
    assert raw.expires_at_us is not None
    expires_us = raw.expires_at_us
    assert isinstance(fx.next_effect(file.record, after_s(expires_us, -CLOCK_SLACK_S)), fx.ImportRaw)
    doubtful = fx.next_effect(file.record, after_s(expires_us, -60))
    assert isinstance(doubtful, fx.LookUpRaw) == is_ahead(raw.seen_at_us, after_s(expires_us, -60))


def test_a_clock_that_was_put_back_a_little_is_waited_for() -> None:
    file = importing(How.CUT_LOST)
    last_us = file.clock.now_us
    file.clock.behind_us += 1_800 * SECOND_US
    effect = file.effect()
    assert isinstance(effect, fx.Wait)
    assert last_us < effect.until_us <= after_s(last_us, SETTLE_S)
    assert file.record.open_call(Call.UPLOAD) is None
