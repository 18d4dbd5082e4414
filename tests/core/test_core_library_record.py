"""What the library's own events tell."""

from __future__ import annotations

import msgspec
import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.ids import EventId, LibraryId, OperationName, RunId, StoreName
from objlib_fsm.core.library_record import (
    BATCHES_KEPT,
    Compared,
    Learned,
    Lease,
    LibraryRecord,
    Limits,
    Operations,
    Pin,
    Run,
    apply_library,
)
from objlib_fsm.core.outcomes import Outcome
from objlib_fsm.core.table import LIBRARY_KINDS
from tests.core.stored_bodies import EXAMPLES

STORE = StoreName("fileSearchStores/s")
TAKEN = e.LeaseTaken(2, RunId("r"), "host", 42, 99, "boot")
CREATING = e.StoreCreateIntended(EventId("c1"), "objlib")


def told(*events: e.Event) -> LibraryRecord:
    """The events recorded at 1, 2, 3, …"""
    record = LibraryRecord()
    for at_us, event in enumerate(events, 1):
        before = msgspec.json.encode(record)
        after = apply_library(record, event, at_us)
        assert msgspec.json.encode(record) == before, "apply changed the record it was given"
        record = after
    return record


def test_who_and_where() -> None:
    record = told(e.LibraryCreated(LibraryId("l")), e.LibraryRooted("/a"), e.LibraryRooted("/b"))
    assert (record.library, record.root) == ("l", "/b")


def test_a_store_being_created_is_remembered_until_it_is_known_what_became_of_it() -> None:
    assert told(CREATING).creating == (("c1", "objlib", 1),)
    assert told(CREATING, e.StoreCreateEnded(EventId("c1"), Outcome.UNCERTAIN)).creating == (("c1", "objlib", 1),)
    assert told(CREATING, e.StoreCreateEnded(EventId("other"), Outcome.DONE)).creating == (("c1", "objlib", 1),)
    for outcome in set(Outcome) - {Outcome.UNCERTAIN}:
        assert told(CREATING, e.StoreCreateEnded(EventId("c1"), outcome)).creating == ()


def test_a_pin_ends_all_doubt_about_stores() -> None:
    record = told(CREATING, e.StorePinned(STORE, "objlib", "gemini"))
    assert record.pin == Pin(STORE, "objlib", "gemini")
    assert record.creating == ()


def test_what_a_comparison_showed_is_remembered_for_its_store_only() -> None:
    pinned = e.StorePinned(STORE, "objlib", "gemini")
    compared = e.StoreCompared(STORE, 7, 3, 2)
    assert told(compared).compared is None, "no store is pinned"
    assert told(pinned, compared).compared == Compared(7, 3, 2)
    assert told(pinned, compared, pinned).compared == Compared(7, 3, 2)
    other = e.StorePinned(StoreName("fileSearchStores/t"), "objlib", "gemini")
    assert told(pinned, compared, other).compared is None
    assert told(pinned, other, compared).compared is None


def test_a_store_that_was_deleted_stays_pinned_and_is_known_to_be_gone() -> None:
    gone = (e.StoreDeleteIntended(EventId("c2"), STORE), e.StoreDeleteEnded(EventId("c2"), STORE, Outcome.DONE))
    assert told(e.StorePinned(STORE, "objlib", "gemini"), *gone).pin == Pin(STORE, "objlib", "gemini", deleted=True)
    refused = (gone[0], e.StoreDeleteEnded(EventId("c2"), STORE, Outcome.REJECTED))
    assert told(e.StorePinned(STORE, "objlib", "gemini"), *refused).pin == Pin(STORE, "objlib", "gemini")


def test_a_run_is_over_only_when_its_own_end_is_recorded() -> None:
    started = e.RunStarted(RunId("r"), "host", 42, "0.1.0")
    assert told(started).run == Run(RunId("r"), "host", 42, 1)
    assert told(started, e.RunEnded(RunId("r"), 4)).run == Run(RunId("r"), "host", 42, 1, 2, 4)
    assert told(started, e.RunEnded(RunId("earlier"), 0)).run == Run(RunId("r"), "host", 42, 1)
    assert told(e.RunEnded(RunId("r"), 0)).run is None


def test_batches() -> None:
    ended = [e.BatchEnded(number, 150, 149, 1, 5) for number in range(1, BATCHES_KEPT + 3)]
    record = told(e.BatchStarted(7, 150), e.BatchStarted(3, 150), *ended)
    assert record.last_batch == 7
    assert record.batches == tuple(ended[2:])


def test_what_was_learned_is_of_one_service_and_one_tier() -> None:
    record = told(
        e.PaceLearned("gemini", "tier1", 30.0),
        e.PaceLearned("gemini", "tier2", 300.0),
        e.PaceLearned("gemini", "tier1", 42.0, 60.0),
    )
    assert record.learned_of("gemini", "tier1") == Learned("gemini", "tier1", 42.0, 60.0, 3)
    assert record.learned_of("gemini", "tier2") == Learned("gemini", "tier2", 300.0, None, 2)
    assert record.learned_of("http://127.0.0.1:8080", "tier1") is None
    assert record.learned_of("gemini", "tier3") is None


def test_the_last_rate_limits_are_kept() -> None:
    seen = [e.RateLimitsSeen("gemini", {"x-ratelimit-remaining": str(left)}, 5, 1, left) for left in (9, 7)]
    assert told(*seen).limits == Limits("gemini", {"x-ratelimit-remaining": "7"}, 7)


def test_operations_that_ended_are_counted() -> None:
    results = ["done", "listed", "error", "timed_out", "forgotten", "done"]
    ended = [e.OperationEnded(OperationName("o"), result) for result in results]
    assert told(*ended).operations == Operations(succeeded=3, failed=1, timed_out=1, forgotten=1)


def test_the_lease() -> None:
    lease = Lease(2, RunId("r"), "host", 42, 99, "boot", 1, 1)
    assert told(TAKEN).lease == lease
    assert told(TAKEN, e.LeaseRenewed(2)).lease == msgspec.structs.replace(lease, renewed_at_us=2)
    released = told(TAKEN, e.LeaseReleased(2)).lease
    assert released == msgspec.structs.replace(lease, renewed_at_us=2, released=True)


@pytest.mark.parametrize("event", [e.LeaseRenewed(1), e.LeaseReleased(1)])
def test_a_stale_holder_changes_nothing(event: e.Event) -> None:
    assert told(TAKEN, event).lease == told(TAKEN).lease
    assert told(event).lease is None


def test_every_kind_of_the_librarys_is_understood_and_no_other() -> None:
    for kind in LIBRARY_KINDS:
        apply_library(LibraryRecord(), EXAMPLES[kind], 1)
    with pytest.raises(AssertionError, match="file_vanished does not belong to the library's own streams"):
        apply_library(LibraryRecord(), e.FileVanished(), 1)
