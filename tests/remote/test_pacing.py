"""The pacer under virtual time, alone and under the engine."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.engine.runner import Stop
from objlib_fsm.remote import budget as q
from objlib_fsm.remote.budget import TIERS
from objlib_fsm.remote.pacing import Lesson, Pacer
from objlib_fsm.remote.port import CallFailed
from tests.remote.test_pacing_rules import EPSILON_S, most_in_a_window
from tests.support.virtual_time import START_US, VirtualClock, run_virtual

THROTTLED = Failure(Outcome.THROTTLED, Reason.RATE_LIMIT, "Resource has been exhausted (e.g. check quota).", 429)
NETWORK = Failure(Outcome.UNAVAILABLE, Reason.NETWORK, "ConnectError: All connection attempts failed")
ARGUMENT = Failure(Outcome.REJECTED, Reason.INVALID_ARGUMENT, "page_size is invalid", 400, "INVALID_ARGUMENT")


def throttled(retry_after_s: float) -> Failure:
    return Failure(Outcome.THROTTLED, Reason.RATE_LIMIT, "too fast", 429, "RESOURCE_EXHAUSTED", retry_after_s)


def learned_rpm(pacer: Pacer) -> float:
    assert pacer.lesson is not None
    return pacer.lesson.rpm


# ---- the pacer -------------------------------------------------------------------------------------------------------


class Bench:
    """Calls through a pacer, each with its begin and end."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.under_way = self.most_under_way = 0

    async def call(
        self, failure: Failure | None = None, lasts_s: float = 0.1, tokens: int = 0, limit: float = math.inf
    ) -> None:
        """A call that ends so; as one too many when there were *limit* in the last minute."""
        clock = VirtualClock()
        async with self.pacer.mutation(tokens):
            now = clock.monotonic()
            if sum(now - at < 60 for at in self.begun[-1_000:]) >= limit:
                failure = THROTTLED
            self.begun.append(now)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            await clock.sleep(lasts_s)
            self.under_way -= 1
            self.ended.append(clock.monotonic())
            self.pacer.observe(failure)


def with_pacer(main: Callable[[Bench], Any], tier: str = "tier1", **arguments: Any) -> Bench:
    async def body() -> Bench:
        bench = Bench(Pacer(tier, VirtualClock(), **arguments))
        await main(bench)
        return bench

    return run_virtual(body)


@settings(max_examples=60, deadline=None)
@given(
    tier=st.sampled_from(["tier1", "tier2", "tier3"]),
    calls=st.lists(
        st.tuples(st.floats(0, 60), st.floats(0, 30), st.sampled_from([None, None, None, THROTTLED, NETWORK])),
        min_size=1,
        max_size=60,
    ),
)
def test_launches_are_spread_and_calls_in_flight_are_left_alone(
    tier: str, calls: list[tuple[float, float, Failure | None]]
) -> None:
    async def main(bench: Bench) -> None:
        async def one(after_s: float, lasts_s: float, failure: Failure | None) -> None:
            await anyio.sleep(after_s)
            began = len(bench.begun)
            await bench.call(failure, lasts_s)
            assert len(bench.ended) > 0
            assert len(bench.begun) > began

        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(one, *call)

    bench = with_pacer(main, tier, adaptive=False)
    # Every call that began ended by itself.
    assert len(bench.begun) == len(bench.ended) == len(calls)
    assert most_in_a_window(bench.begun) <= TIERS[tier].rpm
    gaps = [after - before for before, after in itertools.pairwise(bench.begun)]
    assert all(gap >= 60 / TIERS[tier].rpm - EPSILON_S for gap in gaps)
    assert bench.most_under_way <= 7
    assert bench.pacer.throttled == sum(call[2] is THROTTLED for call in calls)


@pytest.mark.parametrize("rate", [5, 20, 200, 2_000])
def test_a_queue_is_served_at_the_rate_of_the_tier(rate: int) -> None:
    tier = next(name for name, t in TIERS.items() if t.rpm == rate)

    async def main(bench: Bench) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(bench.call)

    bench = with_pacer(main, tier, adaptive=False, concurrency=10)
    assert bench.begun[-1] == pytest.approx(49 * 60 / rate, rel=0.02 if rate < 2_000 else 1)


def test_while_open_nothing_begins_then_one_probe_then_all() -> None:
    async def main(bench: Bench) -> None:
        slow: list[float] = []

        async def in_flight() -> None:
            await bench.call(None, lasts_s=100)
            slow.append(VirtualClock().monotonic())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_flight)
            await anyio.sleep(1)
            for _ in range(3):
                await bench.call(THROTTLED)
            assert bench.pacer.breaker == "open"
            assert bench.pacer.concurrency == 3
            assert bench.pacer.rate_rpm == pytest.approx(20 / 3)
            opened = VirtualClock().monotonic()
            began = len(bench.begun)
            for _ in range(5):
                tasks.start_soon(bench.call, None, 30.0)
            await anyio.sleep(299)
            assert len(bench.begun) == began
            assert len(slow) == 1  # The call in flight ended, undisturbed, long before, and closed nothing.
            assert bench.pacer.breaker == "open"
            await anyio.sleep(25)
            # Half-open: one probe of 30 s is under way, nobody else.
            assert bench.pacer.breaker == "half-open"
            assert len(bench.begun) == began + 1
            assert bench.begun[-1] >= opened + 300
            assert bench.pacer.rate_rpm == pytest.approx(20 / 1.5)
        assert bench.pacer.breaker == "closed"
        assert len(bench.begun) == began + 5
        assert bench.begun[began + 1] >= bench.ended[-5]

    with_pacer(main, adaptive=False)


def test_a_probe_that_ends_without_a_verdict_makes_room_for_another() -> None:
    async def main(bench: Bench) -> None:
        for _ in range(3):
            await bench.call(THROTTLED)
        await bench.call(NETWORK)
        assert bench.pacer.breaker == "half-open"
        with anyio.move_on_after(10):
            await bench.call(None, lasts_s=100)  # Cancelled: no answer at all.
        assert bench.pacer.breaker == "half-open"
        await bench.call(None)
        assert bench.pacer.breaker == "closed"

    with_pacer(main)


def test_only_the_probe_decides() -> None:
    async def main(bench: Bench) -> None:
        async with anyio.create_task_group() as tasks:
            for lasts_s in (313.0, 316.0):
                tasks.start_soon(bench.call, None, lasts_s)
            await anyio.sleep(6)
            for _ in range(3):
                bench.pacer.observe(THROTTLED, changes=False)
            await anyio.sleep(300)
            tasks.start_soon(bench.call, None, 30.0)
            await anyio.sleep(15)
            # Both calls from before were done while the probe was under way.
            assert len(bench.ended) == 2
            assert bench.pacer.breaker == "half-open"
        assert bench.pacer.breaker == "closed"

    with_pacer(main)


def test_who_asks_first_begins_first_and_look_ups_slow_down_too() -> None:
    async def main(bench: Bench) -> None:
        order: list[int] = []

        async def one(number: int) -> None:
            async with bench.pacer.mutation():
                order.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(one, number)
                await anyio.sleep(0.7)
        assert order == list(range(20))
        times = []
        for number in range(6):
            if number == 3:
                for _ in range(3):
                    bench.pacer.observe(THROTTLED, changes=False)
            async with bench.pacer.read():
                times.append(VirtualClock().monotonic())
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert gaps == pytest.approx([0.3, 0.3, 0.9, 0.9, 0.9])

    with_pacer(main, adaptive=False)


def test_concurrency_comes_back_one_step_per_twenty_successes_and_limits_the_calls_at_once() -> None:
    async def main(bench: Bench) -> None:
        async def many(count: int) -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(count):
                    tasks.start_soon(bench.call, None, 5.0)

        for _ in range(3):
            await bench.call(THROTTLED)
        await many(20)
        assert bench.pacer.concurrency == 4
        assert bench.most_under_way <= 3
        for expected in (5, 6, 7, 7):
            await many(20)
            assert bench.pacer.concurrency == expected
        assert bench.most_under_way == 7

    with_pacer(main, "tier2", adaptive=False)


def test_the_services_own_delay_holds_everybody() -> None:
    async def main(bench: Bench) -> None:
        await bench.call(throttled(42.0))
        await bench.call()
        assert bench.begun[1] - bench.ended[0] == pytest.approx(42, abs=0.01)
        # However long it asks, all files are held for five minutes at most.
        await bench.call(throttled(1e9))
        await bench.call()
        assert bench.begun[3] - bench.ended[2] == pytest.approx(300, abs=0.01)
        # A look-up has a budget of its own.
        bench.pacer.observe(throttled(50.0), changes=False)
        now = VirtualClock().monotonic()
        await bench.call()
        assert VirtualClock().monotonic() - now < 10
        async with bench.pacer.read():
            assert VirtualClock().monotonic() - now == pytest.approx(50, abs=0.01)

    with_pacer(main, adaptive=False)


def test_a_call_of_many_tokens_makes_the_next_wait() -> None:
    async def main(bench: Bench) -> None:
        await bench.call(tokens=400_000)
        await bench.call(tokens=100_000)
        await bench.call(tokens=1)
        await bench.call()

    bench = with_pacer(main, adaptive=False)
    assert bench.begun[1] == pytest.approx(3, abs=0.01)
    assert 60 <= bench.begun[2] <= 62
    assert bench.begun[3] - bench.begun[2] == pytest.approx(3, abs=0.01)


def test_the_rate_climbs_while_nothing_throttles_and_backs_off() -> None:
    async def main(bench: Bench) -> None:
        async def go_on(until_s: float) -> None:
            while VirtualClock().monotonic() < until_s:
                await bench.call()

        async with anyio.create_task_group() as tasks:
            for _ in range(7):
                tasks.start_soon(go_on, 300.0)
        # A minute adds the tier's rate, 20, and five minutes five times that.
        assert bench.pacer.rate_rpm == pytest.approx(120, rel=0.15)
        before = learned_rpm(bench.pacer)
        await bench.call(THROTTLED)
        await bench.call(THROTTLED)
        assert learned_rpm(bench.pacer) == pytest.approx(0.7 * before)  # Once: these began at the same rate.

    with_pacer(main)


def test_a_rate_that_is_not_used_does_not_climb_and_one_that_was_learned_is_kept() -> None:
    async def main(bench: Bench) -> None:
        for _ in range(50):
            await bench.call()
            await anyio.sleep(60)
        assert learned_rpm(bench.pacer) == 90

    with_pacer(main, start=Lesson("tier1", 90))


def test_without_adaptive_the_rate_is_the_tiers() -> None:
    async def main(bench: Bench) -> None:
        for failure in (None, THROTTLED, None, None, None):
            await bench.call(failure)
        assert bench.pacer.rate_rpm == 20

    with_pacer(main, adaptive=False, start=Lesson("tier1", 500))


@settings(max_examples=25, deadline=None)
@given(spent=st.integers(0, 120), jump_h=st.sampled_from([0, 0, 5, 24, 48, -48, 24 * 3650]), calls=st.integers(0, 130))
def test_the_daily_count_is_kept_whatever_the_clock_does(spent: int, jump_h: int, calls: int) -> None:
    async def main() -> None:
        clock = VirtualClock()
        bench = Bench(Pacer("free", clock, spent_today=spent))
        days: list[int] = []
        refused: list[Failure] = []
        for number in range(calls):
            if number == calls // 2:
                clock.jump_us = jump_h * 3_600_000_000
            try:
                await bench.call()
            except CallFailed as failed:
                refused.append(failed.failure)
                break
            days.append(q.quota_day(clock.now_us()))
        first = q.quota_day(START_US)
        if jump_h < 0:  # A clock that goes back does not make a day of yesterday.
            assert len(days) <= max(0, 100 - spent)
        for day in set(days):
            assert days.count(day) + (spent if day == first else 0) <= 100
        assert refused or len(days) == calls
        for failure in refused:
            assert (failure.outcome, failure.reason) == (Outcome.HALTED, Reason.DAILY_QUOTA)
            assert failure == bench.pacer.hopeless

    run_virtual(main)


def test_look_ups_have_a_budget_of_their_own() -> None:
    async def main(bench: Bench) -> None:
        times: list[float] = []

        async def read() -> None:
            async with bench.pacer.read():
                times.append(VirtualClock().monotonic())

        async with anyio.create_task_group() as tasks:
            for _ in range(400):
                tasks.start_soon(read)
            await bench.call()
            await bench.call()
        assert most_in_a_window(times) <= 200
        assert times[-1] == pytest.approx(399 * 0.3, rel=0.01)
        assert bench.begun[1] == pytest.approx(3, abs=0.01)

    with_pacer(main, adaptive=False)


def test_a_run_that_stops_waits_for_no_turn() -> None:
    async def main(bench: Bench) -> None:
        stop = Stop()
        bench.pacer.attach(3, stop, lambda: None)
        entered: list[float] = []

        async def worker() -> None:
            async with bench.pacer.mutation():
                entered.append(VirtualClock().monotonic())

        for _ in range(3):
            bench.pacer.observe(THROTTLED)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(worker)
            await anyio.sleep(100)
            assert entered == []
            stop.draining = True
        assert len(entered) == 20
        assert max(entered) <= 101

    with_pacer(main)


# ---- giving up -------------------------------------------------------------------------------------------------------


def hopeless_after(failures: list[Failure | None], every_s: float) -> tuple[int, Failure] | None:
    """After how many of these calls the pacer gives up, and why."""

    async def main() -> tuple[int, Failure] | None:
        pacer = Pacer("tier3", VirtualClock())
        for number, failure in enumerate(failures, 1):
            pacer.observe(failure)
            if pacer.hopeless is not None:
                return number, pacer.hopeless
            await anyio.sleep(every_s)
        return None

    return run_virtual(main)


def test_a_run_in_which_everything_is_refused_is_given_up_at_once() -> None:
    found = hopeless_after([ARGUMENT] * 100, 0.0)
    assert found is not None
    calls, why = found
    assert calls == 38
    assert (why.outcome, why.reason) == (Outcome.HALTED, Reason.INVALID_ARGUMENT)
    assert why.message == "nearly all of the last 40 calls failed for the same reason: page_size is invalid"


def test_a_passing_cause_must_last() -> None:
    assert hopeless_after([NETWORK] * 230, 0.1) is None
    found = hopeless_after([NETWORK] * 250, 0.1)
    assert found is not None
    assert found[0] == pytest.approx(38 + 200, abs=2)


def test_mixed_fortune_is_not_hopeless() -> None:
    some = [None, *[NETWORK] * 9]
    assert hopeless_after(some * 100, 10.0) is None
    assert hopeless_after([NETWORK, ARGUMENT] * 500, 10.0) is None
    assert hopeless_after([ARGUMENT] * 30, 10.0) is None
    # The 20 s are over just as another failure comes: it is not what the run is given up for.
    assert hopeless_after([*[NETWORK] * 71, ARGUMENT], 0.6) is None
    assert hopeless_after([*[NETWORK] * 72], 0.6) is not None


def test_look_ups_alone_never_end_a_run() -> None:
    async def main(bench: Bench) -> None:
        for _ in range(200):
            bench.pacer.observe(NETWORK, changes=False)
            await anyio.sleep(10)
        assert bench.pacer.hopeless is None

    with_pacer(main)


def test_a_service_that_keeps_throttling_ends_the_run_after_three_probes() -> None:
    async def main(bench: Bench) -> None:
        while bench.pacer.hopeless is None:
            await bench.call(THROTTLED)
        assert len(bench.begun) == 6
        assert 900 <= VirtualClock().monotonic() <= 1_000
        assert bench.pacer.hopeless.reason is Reason.RATE_LIMIT

    with_pacer(main)


@pytest.mark.parametrize("limit_rpm", [15.0, 60.0, 150.0])
def test_the_rate_finds_what_the_service_bears(limit_rpm: float) -> None:
    """The service counts the last minute and refuses what is over its limit; tier1 says 20."""

    async def main(bench: Bench) -> None:
        weather = random.Random(5)

        async def go_on() -> None:
            while VirtualClock().monotonic() < 5_400:
                await bench.call(None, weather.uniform(0.2, 2.0), limit=limit_rpm)

        async with anyio.create_task_group() as tasks:
            for _ in range(7):
                tasks.start_soon(go_on)
        last_hour = sum(at > 1_800 for at in bench.begun)
        assert last_hour >= 0.75 * limit_rpm * 60
        assert bench.pacer.throttled <= 20

    with_pacer(main)
