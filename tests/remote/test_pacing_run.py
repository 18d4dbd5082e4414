"""The pacer under the engine, against the emulator in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from objlib_fsm.emulator.faults import Rule
from objlib_fsm.engine import session as s
from objlib_fsm.engine.runner import Stop
from objlib_fsm.remote.pacing import Pacer
from tests.support.virtual_time import run_virtual
from tests.support.world import world


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
