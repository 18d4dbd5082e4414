"""The rules of pacing as values, against plain models."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.remote import breaker as b
from objlib_fsm.remote import budget as q
from objlib_fsm.remote.budget import TIERS

EPSILON_S = 1e-6
DAY_US = 86_400_000_000


def most_in_a_window(times: list[float]) -> int:
    """The most launches in any 60 seconds, the beginning included and the end not."""
    times = sorted(times)
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] >= 60.0 - EPSILON_S:
            first += 1
        most = max(most, last - first + 1)
    return most


# ---- the budget ------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(TIERS)),
    st.lists(st.tuples(st.floats(0, 40), st.integers(0, 2_000_000)), min_size=1, max_size=80),
)
def test_no_window_holds_more_calls_or_tokens_than_the_tier_allows(tier: str, calls: list[tuple[float, int]]) -> None:
    limits, budget, now = TIERS[tier], q.Budget(), 0.0
    launched: list[tuple[float, int]] = []
    for pause_s, tokens in calls:
        now += pause_s
        due = q.due_at(budget, now, 60 / limits.rpm, tokens, limits.tpm)
        assert now <= due <= max(now, budget.last_at + 60 / limits.rpm) + q.WINDOW_S + 1
        now = due
        budget = q.begun(budget, now, tokens, 0)
        launched.append((now, tokens))
        assert len(budget.tokens) <= q.WINDOW_S + 1
    assert most_in_a_window([at for at, _ in launched]) <= limits.rpm
    for at, _ in launched:
        window = [tokens for time, tokens in launched if at <= time < at + 60]
        assert sum(window) <= limits.tpm or len([t for t in window if t]) == 1


@given(st.integers(-(10**17), 10**17))
def test_a_quota_day_begins_and_ends_at_eight_utc(now_us: int) -> None:
    ends_us = q.quota_day_ends_us(now_us)
    assert now_us < ends_us <= now_us + DAY_US
    assert (ends_us // 1_000_000) % q.DAY_S == 8 * 3_600
    assert q.quota_day(ends_us) == q.quota_day(now_us) + 1
    assert q.quota_day(ends_us - 1) == q.quota_day(now_us)


# ---- the breaker -----------------------------------------------------------------------------------------------------

ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["done", "throttled", "error"]),
        st.sampled_from([0.0, 1.0, 60.0, 299.0, 300.0]),
    ),
    max_size=400,
)


@settings(max_examples=200, deadline=None)
@given(ANSWERS, st.integers(1, 10))
def test_the_breaker_does_what_is_written(answers: list[tuple[str, float]], most: int) -> None:
    breaker, concurrency, now = b.Breaker(), b.Concurrency(most, most), 0.0
    history: list[bool] = []
    since_step = 0
    for answer, pause_s in answers:
        now += pause_s
        breaker = b.at(breaker, now)
        assert (breaker.state is b.State.OPEN) <= (now - breaker.opened_at < b.OPEN_S)
        probe = False
        if b.may_begin(breaker):
            probe = breaker.state is b.State.HALF_OPEN
            breaker = b.probe_begun(breaker)
            assert b.may_begin(breaker) == (not probe)
        before = breaker
        is_429 = answer == "throttled"
        breaker = b.answered(breaker, now, throttled=is_429, done=answer == "done", probe=probe)
        if before.state is b.State.CLOSED:
            history.append(is_429)
            opens = sum(history[-100:]) > 5 or history[-3:] == [True] * 3
            assert (breaker.state is b.State.OPEN) == opens
            assert not opens or is_429
        elif probe:
            expected = {"done": b.State.CLOSED, "throttled": b.State.OPEN, "error": b.State.HALF_OPEN}[answer]
            assert breaker.state is expected
            assert answer != "error" or b.may_begin(breaker)
        else:
            assert breaker == before
        was = concurrency.now
        if breaker.state is b.State.OPEN and before.state is not b.State.OPEN:
            concurrency, history, since_step = b.halved(concurrency), [], 0
            assert concurrency.now == max(min(3, most), was // 2)
        if answer == "done":
            concurrency = b.succeeded(concurrency)
            since_step = 0 if was == most else since_step + 1
            assert concurrency.now == was + (since_step == 20)
            since_step %= 20
        assert min(3, most) <= concurrency.now <= most


def test_five_429s_in_a_hundred_are_borne_and_six_are_not() -> None:
    breaker = b.Breaker()
    for number in range(100):
        breaker = b.answered(breaker, 0.0, throttled=number % 20 == 0, done=number % 20 != 0, probe=False)
        assert breaker.state is b.State.CLOSED
    # The first 429 leaves the hundred just as the sixth comes.
    breaker = b.answered(breaker, 0.0, throttled=True, done=False, probe=False)
    assert breaker.state is b.State.CLOSED
    breaker = b.answered(breaker, 0.0, throttled=True, done=False, probe=False)
    assert breaker.state is b.State.OPEN
    breaker = b.Breaker()
    for number in range(100):
        assert breaker.state is b.State.CLOSED
        is_429 = number in (0, 20, 40, 60, 80, 99)
        breaker = b.answered(breaker, 0.0, throttled=is_429, done=not is_429, probe=False)
    assert breaker.state is b.State.OPEN


def test_a_step_of_concurrency_takes_twenty_successes() -> None:
    concurrency = b.halved(b.Concurrency(7, 7))
    for _ in range(19):
        concurrency = b.succeeded(concurrency)
        assert concurrency.now == 3
    assert b.succeeded(concurrency).now == 4
