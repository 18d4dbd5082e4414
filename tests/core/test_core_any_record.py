"""Records of any make, also such as no history leads to: what must hold even then."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.fold import apply, new_record
from objlib_fsm.core.ids import EventId
from objlib_fsm.core.machine import Rejected, check
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import FACTS
from tests.core.service import STORE
from tests.core.shell import LIBRARY, STREAM
from tests.core.strategies import RECORDS, REPORTS, encoded

NOW = st.integers(0, 400).map(lambda seconds: seconds * 1_000_000)


@settings(max_examples=1_500)
@given(record=RECORDS, report=REPORTS, now_us=NOW)
def test_a_report_is_never_rejected_and_leads_only_to_legal_events(
    record: FileRecord, report: d.Report, now_us: int
) -> None:
    before = encoded(record)
    decided = d.decide(record, report, now_us)
    assert encoded(record) == before
    assert not isinstance(decided, Rejected)
    assert decided[0].kind in FACTS
    assert all(event.kind not in FACTS for event in decided[1:])
    after = record
    for event in decided:
        assert event.kind in FACTS or check(after, event) is None, event
        after = apply(after, event, now_us)
    assert after.version == record.version + len(decided)


@settings(max_examples=600)
@given(record=RECORDS, reports=st.lists(REPORTS, max_size=4), now_us=NOW)
def test_several_reports_at_once_are_as_one_after_the_other(
    record: FileRecord, reports: list[d.Report], now_us: int
) -> None:
    together = d.decide_all(record, reports, now_us)
    one_by_one: list[e.Event] = []
    for report in reports:
        decided = d.decide(record, report, now_us)
        assert not isinstance(decided, Rejected)
        for event in decided:
            record = apply(record, event, now_us)
        one_by_one.extend(decided)
    assert together == tuple(one_by_one)


@settings(max_examples=3_000)
@given(record=RECORDS, now_us=NOW)
def test_a_call_that_the_core_wants_is_always_legal(record: FileRecord, now_us: int) -> None:
    before = encoded(record)
    effect = fx.next_effect(record, now_us)
    assert encoded(record) == before
    if isinstance(effect, fx.Mutation):
        decided = d.decide(record, d.Begin(effect, EventId("new"), LIBRARY, STORE), now_us)
        assert not isinstance(decided, Rejected), str(decided)
    elif isinstance(effect, fx.Wait):
        assert effect.until_us > now_us
        later = fx.next_effect(record, effect.until_us)
        assert later is not None
        assert not isinstance(later, fx.Wait)


@settings(max_examples=300)
@given(record=RECORDS, now_us=NOW)
def test_whether_a_file_needs_something_does_not_depend_on_the_time(record: FileRecord, now_us: int) -> None:
    assert (fx.next_effect(record, now_us) is None) == (fx.next_effect(record, 0) is None)


def test_the_first_refusal_of_several_commands_refuses_all() -> None:
    found = d.Tell(e.FileDiscovered(LibraryPath("a.md"), 8, 1, "ab" * 32, "text/plain"))
    decided = d.decide_all(new_record(STREAM), (found, d.Tell(e.FileTracked()), d.Tell(e.FileForgotten())), 1)
    assert isinstance(decided, Rejected)
    assert decided.version == 1
