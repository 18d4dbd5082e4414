"""The arithmetic of waiting."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.core import policy
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.record import FileRecord

KEYS = st.text(max_size=30)
PASSING = st.sampled_from([Outcome.THROTTLED, Outcome.UNAVAILABLE, Outcome.UNCERTAIN])


def waits(first_s: float, max_s: float) -> list[float]:
    return [policy.growing_wait_s(polls, first_s, max_s) for polls in range(12)]


def test_waits_for_a_raw_file_grow_from_2_to_30_seconds() -> None:
    found = waits(policy.ACTIVE_WAIT_FIRST_S, policy.ACTIVE_WAIT_MAX_S)
    assert found[:4] == [2.0, 3.0, 4.5, 6.75]
    assert found[6] < 30.0
    assert found[7:] == [30.0] * 5


def test_waits_for_an_operation_grow_from_5_to_60_seconds() -> None:
    found = waits(policy.POLL_FIRST_S, policy.POLL_MAX_S)
    assert found[:3] == [5.0, 7.5, 11.25]
    assert found[6] < 60.0
    assert found[7:] == [60.0] * 5


def test_a_first_wait_longer_than_the_longest_is_the_longest() -> None:
    assert policy.growing_wait_s(0, 9.0, 4.0) == 4.0


@given(polls=st.integers(0, 100_000), first_s=st.floats(0.001, 100), max_s=st.floats(0.001, 100))
def test_growing_waits_never_shrink_and_stay_in_bounds(polls: int, first_s: float, max_s: float) -> None:
    wait_s = policy.growing_wait_s(polls, first_s, max_s)
    assert min(first_s, max_s) <= wait_s <= max_s
    assert wait_s <= policy.growing_wait_s(polls + 1, first_s, max_s)


@given(key=KEYS)
def test_jitter_is_a_fraction_that_depends_on_the_key_alone(key: str) -> None:
    assert 0.0 <= policy.jitter(key) < 1.0
    assert policy.jitter(key) == policy.jitter(key)


def test_jitter_is_the_same_on_every_machine_and_for_ever() -> None:
    assert policy.jitter("a") == pytest.approx(0.791374270522379, abs=1e-12)


def test_jitter_spreads() -> None:
    drawn = sorted(policy.jitter(f"stream{n}/1") for n in range(2_000))
    assert all(abs(value - n / 2_000) < 0.05 for n, value in enumerate(drawn))


@given(key=KEYS, attempt=st.integers(1, 10_000))
def test_backoff_is_full_jitter_under_a_doubling_ceiling(key: str, attempt: int) -> None:
    ceiling_s = min(60.0, 2.0 ** (min(attempt, 10) - 1))
    assert policy.backoff_s(key, attempt) == ceiling_s * policy.jitter(f"{key}/{attempt}")


# ---- when a failed call is tried again -------------------------------------------------------------------------------


def failed(attempts: int, look_ups: int = 0) -> FileRecord:
    return FileRecord(StreamId("stream"), attempts=attempts, look_ups=look_ups)


BUSY = Failure(Outcome.UNAVAILABLE, Reason.SERVER_ERROR)


def test_two_passes_of_five_attempts_then_later() -> None:
    delays = [policy.retry_delay_s(failed(attempts), BUSY) for attempts in range(12)]
    for attempt, ceiling_s in enumerate((1.0, 2.0, 4.0, 8.0)):
        assert 0.0 <= delays[attempt] <= ceiling_s
        assert delays[attempt + 5] == delays[attempt], "the second pass waits as the first did"
    assert delays[4] == delays[9] == policy.SECOND_PASS_DELAY_S
    assert delays[10:] == [policy.LATER_S] * 2
    assert policy.ATTEMPTS_MAX == 10


def test_look_ups_that_were_of_no_use_lengthen_the_wait_as_attempts_do() -> None:
    for attempts in range(12):
        for look_ups in range(12 - attempts):
            together = policy.retry_delay_s(failed(attempts + look_ups), BUSY)
            assert policy.retry_delay_s(failed(attempts, look_ups), BUSY) == together


def test_what_has_waited_in_vain_already_waits_long() -> None:
    assert policy.retry_delay_s(failed(0), Failure(Outcome.UNAVAILABLE, Reason.STILL_WAITING)) == policy.LATER_S
    assert policy.retry_delay_s(failed(0), Failure(Outcome.UNCERTAIN, Reason.TIMEOUT)) <= 1.0


@given(attempts=st.integers(0, 20), outcome=PASSING, asked_s=st.floats(0, policy.RETRY_AFTER_MAX_S))
def test_the_server_may_ask_for_more_patience_not_for_less(attempts: int, outcome: Outcome, asked_s: float) -> None:
    own_s = policy.retry_delay_s(failed(attempts), Failure(outcome, Reason.RATE_LIMIT))
    asked = Failure(outcome, Reason.RATE_LIMIT, retry_after_s=asked_s)
    assert policy.retry_delay_s(failed(attempts), asked) == max(own_s, asked_s)


@settings(max_examples=200)
@given(attempts=st.integers(0, 20), asked_s=st.floats())
def test_no_delay_that_a_server_can_ask_for_breaks_the_clock(attempts: int, asked_s: float) -> None:
    delay_s = policy.retry_delay_s(
        failed(attempts), Failure(Outcome.THROTTLED, Reason.RATE_LIMIT, retry_after_s=asked_s)
    )
    assert 0.0 <= delay_s <= policy.RETRY_AFTER_MAX_S
    assert policy.after_s(1_800_000_000_000_000, delay_s) >= 1_800_000_000_000_000


def test_after_s_rounds_to_microseconds() -> None:
    assert policy.after_s(10, 1.5) == 1_500_010
    assert policy.after_s(10, -0.000_001) == 9
