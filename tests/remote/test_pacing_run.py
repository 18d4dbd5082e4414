"""The pacer under the engine, against the emulator in virtual time."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from objlib_fsm.cli.plan import spent_today
from objlib_fsm.core import events as e
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.settings import Settings
from objlib_fsm.engine import session as s
from objlib_fsm.engine.runner import Stop
from objlib_fsm.remote.pacing import Lesson, Pacer
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world


def test_a_hopeless_run_ends_early_and_no_file_has_failed(tmp_path: Path) -> None:
    async def main() -> None:
        rule = Rule(fault="F7", endpoint="files.upload.*")
        async with world(tmp_path, rules=(rule,)) as w:
            for number in range(30):
                w.write(f"file{number}.txt", f"words {number}")
            w.pace = Pacer("tier3", w.clock)
            stop = Stop()
            summary = await w.run(stop)
            assert summary.exit_code == s.LATER_EXIT
            assert stop.halted is not None
            assert str(stop.halted).startswith("nearly all of the last 40 calls failed for the same reason: Internal")
            assert summary.counts.failed == 0
            w.faults.clear()
            assert (await w.run_until_done()).exit_code == 0
            assert await w.check() == {"indexed": 30}

    run_virtual(main)


def test_a_run_in_which_everything_is_refused_ends_early_with_exit_code_6(tmp_path: Path) -> None:
    async def main() -> None:
        rule = Rule(fault="F8", endpoint="stores.import", message="Request contains an invalid argument.")
        async with world(tmp_path, rules=(rule,)) as w:
            for number in range(80):
                w.write(f"file{number}.txt", f"words {number}")
            w.pace = Pacer("tier3", w.clock)
            stop = Stop()
            summary = await w.run(stop)
            assert summary.exit_code == 6
            assert str(stop.halted).startswith("nearly all of the last 40 calls failed for the same reason: Request")
            assert stop.halted is not None
            assert "objlib-fsm audit" in stop.halted.hint
            assert summary.counts.failed < 80

    run_virtual(main)


@pytest.mark.parametrize("fault", ["F1", "F4"])
def test_a_library_is_indexed_through_a_service_that_throttles(tmp_path: Path, fault: str) -> None:
    async def main() -> None:
        rule = Rule(fault=fault, probability=0.1, count=40)
        async with world(tmp_path, rules=(rule,), seed=3) as w:
            for number in range(30):
                w.write(f"file{number}.txt", f"words {number}")
            w.pace = Pacer("tier2", w.clock, adaptive=False)
            summary = await w.run_until_done()
            assert summary.exit_code == 0
            assert w.pace.throttled > 0
            assert await w.check() == {"indexed": 30}

    run_virtual(main)


def test_a_daily_budget_stops_the_run_and_the_next_day_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            for number in range(8):
                w.write(f"file{number}.txt", f"words {number}")
            w.pace = Pacer("free", w.clock, spent_today=90)
            stop = Stop()
            summary = await w.run(stop)
            assert summary.exit_code == s.LATER_EXIT
            assert stop.halted is not None
            assert "the 100 calls a day of tier free are used up" in str(stop.halted)
            assert summary.counts.failed == 0
            await w.clock.sleep(86_400)
            assert (await w.run()).exit_code == 0
            assert await w.check() == {"indexed": 8}

    run_virtual(main)


def test_the_days_count_survives_a_restart(tmp_path: Path) -> None:
    """Interrupted after some forty of its hundred calls, the next run has the rest of them; the next day all again."""

    def calls(w: World) -> int:
        log = w.open()
        try:
            return int(log.rows("SELECT count(*) FROM events WHERE kind BETWEEN 20 AND 23")[0][0])
        finally:
            log.close()

    def pacer(w: World) -> Pacer:
        log = w.open()
        try:
            return Pacer("free", w.clock, spent_today=spent_today(log, "free", w.clock.now_us()))
        finally:
            log.close()

    async def main() -> None:
        async with world(tmp_path) as w:
            for number in range(60):
                w.write(f"file{number:02}.txt", f"words {number}")
            w.pace, stop = pacer(w), Stop()

            async def interrupt() -> None:
                await w.clock.sleep(180)
                stop.draining = True

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(interrupt)
                await w.run(stop)
            assert 20 <= calls(w) < 60
            for _ in range(2):
                w.pace, stop = pacer(w), Stop()
                assert (await w.run(stop)).exit_code == s.LATER_EXIT
                assert stop.halted is not None
                assert calls(w) == 100
            await w.clock.sleep(86_400)
            w.pace = pacer(w)
            assert (await w.run()).exit_code == 0
            assert await w.check() == {"indexed": 60}

    run_virtual(main)


def learned(w: World) -> list[e.PaceLearned]:
    log = w.open()
    try:
        return [r.event for r in log.read(LIBRARY_STREAM) if isinstance(r.event, e.PaceLearned)]
    finally:
        log.close()


def limits(w: World) -> list[e.RateLimitsSeen]:
    log = w.open()
    try:
        return [r.event for r in log.read(LIBRARY_STREAM) if isinstance(r.event, e.RateLimitsSeen)]
    finally:
        log.close()


def test_what_a_run_learned_is_an_event_and_few_of_them(tmp_path: Path) -> None:
    """At tier1 an upload and an import take 6 s; the rate climbs by 20 a minute for each minute it is used."""

    async def main() -> None:
        async with world(tmp_path) as w:
            for number in range(100):
                w.write(f"file{number}.txt", f"words {number}")
            w.pace = Pacer("tier1", w.clock)
            began = w.clock.monotonic()
            assert (await w.run()).exit_code == 0
            took_s = w.clock.monotonic() - began
            assert took_s < 200 * 3 * 0.6  # Without learning: 200 calls, 3 s apart.
            told = learned(w)
            rates = [event.rpm for event in told]
            assert rates == sorted(rates)
            assert rates[-1] > 60
            assert len(rates) <= took_s / 30 + 1
            assert {(event.service, event.tier, event.refused_rpm) for event in told} == {("test", "tier1", None)}
            log = w.open()
            known = log.library().learned_of("test", "tier1")
            log.close()
            assert known is not None
            assert known.rpm == rates[-1]

    run_virtual(main)


def test_a_run_that_keeps_to_its_tier_learns_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            for number in range(30):
                w.write(f"file{number}.txt", f"words {number}")
            w.pace = Pacer("tier1", w.clock, adaptive=False, start=Lesson("tier1", 600))
            began = w.clock.monotonic()
            assert (await w.run()).exit_code == 0
            assert w.clock.monotonic() - began >= 59 * 3
            assert learned(w) == []

    run_virtual(main)


def test_a_rate_learned_on_another_tier_is_no_start() -> None:
    async def main() -> None:
        from tests.support.virtual_time import VirtualClock

        assert Pacer("tier1", VirtualClock(), start=Lesson("tier2", 300)).rate_rpm == 20
        assert Pacer("tier2", VirtualClock(), start=Lesson("tier2", 300)).rate_rpm == 300

    run_virtual(main)


def test_a_service_that_counts_teaches_its_limit_and_its_headers_are_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, Settings(changes_per_minute=60)) as w:
            for number in range(200):
                w.write(f"file{number:03}.txt", f"words {number}")
            w.pace = Pacer("tier2", w.clock)
            began = w.clock.monotonic()
            summary = await w.run_until_done()
            took_s = w.clock.monotonic() - began
            assert summary.exit_code == 0
            assert await w.check() == {"indexed": 200}
            last = learned(w)[-1]
            assert last.refused_rpm is not None
            assert 20 <= last.rpm <= 90
            seen = limits(w)
            assert seen[0].headers["x-ratelimit-limit-requests"] == "60"
            assert sum(event.replies for event in seen) > 800
            assert len(seen) <= took_s / 600 + 2
            for event in seen:
                assert event.first_at_us <= event.last_at_us

    run_virtual(main)


def test_a_run_that_keeps_to_its_tier_is_never_refused_by_a_service_that_counts(tmp_path: Path) -> None:
    """Twenty changes in any minute, and the store that is made before them."""

    async def main() -> None:
        async with world(tmp_path, Settings(changes_per_minute=21)) as w:
            for number in range(40):
                w.write(f"file{number}.txt", f"words {number}")
            w.pace = Pacer("tier1", w.clock, adaptive=False)
            assert (await w.run()).exit_code == 0
            (w.library / "file3.txt").write_text("other words")
            await w.clock.sleep(10)
            assert (await w.run()).exit_code == 0
            assert w.pace.throttled == 0
            assert all(logged.status == 200 for logged in w.service.service.log)

    run_virtual(main)
