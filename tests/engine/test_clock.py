"""Clocks that jump: at each state, in both directions, between two runs and during one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from objlib_fsm.cli import render
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from objlib_fsm.engine.clock import Steady
from objlib_fsm.log.contract import Recorded
from tests.support.virtual_time import START_US, VirtualClock, run_virtual
from tests.support.world import World, world

HOUR_US = 3_600_000_000
YEAR_US = 8_766 * HOUR_US

JUMPS = {
    "2 days on": 48 * HOUR_US,
    "2 days back": -48 * HOUR_US,
    "90 min back": -3 * HOUR_US // 2,
    "10 years on": 10 * YEAR_US,
    "10 years back": -10 * YEAR_US,
}

SLOW = Settings(
    latencies=Latencies(
        request=Latency(0.1, 0.1),
        upload=Latency(2.0, 2.0),
        file_processing=Latency(3.0, 3.0),
        index=Latency(10.0, 20.0),
        listing=Latency(1.5, 1.5),
    )
)

MOMENTS = [1.0, 2.5, 4.0, 5.4, 8.0, 14.0]
"""Bytes are sent; the raw file is PROCESSING; it is ACTIVE; the import is sent; it is polled; some are indexed."""

FILES = 8


def in_world(tmp_path: Path, story: Callable[[World], Awaitable[None]], *, service_jumps: bool) -> None:
    async def main() -> None:
        async with world(tmp_path, SLOW, service_jumps=service_jumps) as w:
            for number in range(FILES):
                w.write(f"file{number}.txt", f"File number {number} speaks about the number {number}.\n")
            await story(w)

    run_virtual(main)


async def until_done(w: World, runs: int) -> None:
    """At most so many runs, ten minutes apart by everybody's clock."""
    for _ in range(runs):
        if (await w.run()).exit_code == 0:
            return
        await w.clock.sleep(600)
    raise AssertionError(f"not done after {runs} runs: {w.records()}")


def history(w: World) -> list[Recorded]:
    log = w.open()
    try:
        return list(log.since(0, 1_000_000))
    finally:
        log.close()


async def assert_good_end(w: World) -> None:
    told = history(w)
    assert len(told) < FILES * 40, "a loop"
    imports = [logged for logged in w.service.service.log if logged.endpoint == "stores.import"]
    assert all(logged.status == 200 for logged in imports), "imported after its raw file had expired"
    assert await w.check() == {"indexed": FILES}


@pytest.mark.parametrize("after_s", MOMENTS)
@pytest.mark.parametrize("jump", JUMPS)
def test_the_clock_is_set_between_a_killed_run_and_the_next(tmp_path: Path, after_s: float, jump: str) -> None:
    """The service's time goes on as before: only this machine's clock was wrong, before or after."""

    async def story(w: World) -> None:
        with anyio.move_on_after(after_s):
            await w.run()
        w.clock.jump_us = JUMPS[jump]
        # A clock that was put back a little is waited for; one that was put back far is not believed.
        await until_done(w, 12 if jump == "90 min back" else 3)
        await assert_good_end(w)

    in_world(tmp_path, story, service_jumps=False)


@pytest.mark.parametrize("after_s", MOMENTS)
@pytest.mark.parametrize("jump", JUMPS)
def test_the_clock_is_set_while_a_run_is_at_work(tmp_path: Path, after_s: float, jump: str) -> None:
    async def story(w: World) -> None:
        async def set_clock() -> None:
            await w.clock.sleep(after_s)
            w.clock.jump_us = JUMPS[jump]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(set_clock)
            summary = await w.run()
        assert summary.exit_code == 0, "one run is enough"
        assert summary.wall_s >= 0
        if JUMPS[jump] < 0:
            times = [recorded.recorded_at_us for recorded in history(w)]
            assert times == sorted(times), "time in the log goes back"
        await assert_good_end(w)

    in_world(tmp_path, story, service_jumps=False)


@pytest.mark.parametrize("after_s", MOMENTS)
@pytest.mark.parametrize("days", [1, 3, 400])
def test_a_machine_that_slept(tmp_path: Path, after_s: float, days: int) -> None:
    """Both clocks go on and the program's own does not: raw files expire meanwhile, and nothing is imported after."""

    async def story(w: World) -> None:
        async def sleep() -> None:
            await w.clock.sleep(after_s)
            w.clock.jump_us = days * 24 * HOUR_US

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleep)
            await w.run()
        await until_done(w, 3)
        await assert_good_end(w)

    in_world(tmp_path, story, service_jumps=True)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_library_that_is_done_needs_nothing_whatever_the_clock_says(tmp_path: Path, jump: str) -> None:
    async def story(w: World) -> None:
        assert (await w.run()).exit_code == 0
        w.clock.jump_us = JUMPS[jump]
        before = sum(w.service.service.requests.values())
        assert (await w.run()).exit_code == 0
        assert sum(w.service.service.requests.values()) == before
        await assert_good_end(w)

    in_world(tmp_path, story, service_jumps=False)


def test_a_steady_clock_never_goes_back_and_follows_ahead() -> None:
    async def main() -> None:
        clock = VirtualClock()
        steady = Steady(clock)
        assert steady.now_us() == START_US
        await clock.sleep(10)
        clock.jump_us = -HOUR_US
        assert steady.now_us() == START_US + 10_000_000
        await clock.sleep(5)
        assert steady.now_us() == START_US + 15_000_000
        clock.jump_us = 0
        assert steady.now_us() == START_US + 15_000_000
        clock.jump_us = HOUR_US
        assert steady.now_us() == START_US + 15_000_000 + HOUR_US
        assert steady.monotonic() == clock.monotonic()

    run_virtual(main)


@pytest.mark.parametrize("distance_us", [-10 * YEAR_US, -HOUR_US, -1, 0, 1, 90_000_000, 100 * HOUR_US])
def test_no_duration_is_shown_negative(distance_us: int) -> None:
    now_us = START_US
    for text in (
        render.duration(distance_us / 1e6),
        render.ago(now_us - distance_us, now_us),
        render.due(now_us + distance_us, now_us),
        render.left(now_us + distance_us, now_us),
    ):
        assert not re.search(r"-\d+(\.\d)? (s|min|h|d)\b", text), text
