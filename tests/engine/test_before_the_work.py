"""What comes before the first file: the store is found or made, and a run that ends there says so."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from objlib_fsm.core.policy import SETTLE_S
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.engine import session as s
from objlib_fsm.engine.errors import Halted, StoreProblem
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.runner import Stop
from objlib_fsm.engine.store import delete_store
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world


def last_run(w: World) -> tuple[bool, int | None]:
    """Whether the latest run ended, and how."""
    log = w.open()
    try:
        run = log.library().run
        assert run is not None
        return run.ended_at_us is not None, run.exit_code
    finally:
        log.close()


def test_a_store_that_was_refused_as_too_much_is_asked_for_again_when_the_service_said(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, rules=(Rule(fault="F1", endpoint="stores.create", seconds=1, count=1),)) as w:
            w.write("a.txt", "one\n")
            summary = await w.run()
            assert summary.exit_code == 0
            assert summary.wall_s < SETTLE_S / 2

    run_virtual(main)


def test_a_store_whose_creation_is_uncertain_is_looked_for_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, rules=(Rule(fault="F12", endpoint="stores.create", count=1),)) as w:
            w.write("a.txt", "one\n")
            summary = await w.run()
            assert summary.exit_code == 0
            assert summary.wall_s >= SETTLE_S
            async with w.remote() as remote:
                assert len(await remote.find_stores("objlib")) == 1

    run_virtual(main)


@pytest.mark.parametrize("endpoint", ["stores.create", "stores.list"])
def test_a_run_that_is_told_to_end_does_not_wait_for_its_store(tmp_path: Path, endpoint: str) -> None:
    async def main() -> None:
        async with world(tmp_path, rules=(Rule(fault="F1", endpoint=endpoint, seconds=600),)) as w:
            w.write("a.txt", "one\n")
            stop, ended = Stop(), []

            async def run() -> None:
                ended.append(await w.run(stop))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                await w.clock.sleep(10)
                stop.draining, stop.exit_code = True, 130
                told = w.clock.monotonic()
            assert w.clock.monotonic() - told < 3
            assert [summary.exit_code for summary in ended] == [130]
            assert last_run(w) == (True, 130)
            w.faults.clear()
            assert (await w.run()).exit_code == 0
            assert await w.check() == {"indexed": 1}

    run_virtual(main)


def test_a_run_that_ends_before_its_work_is_the_last_run(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            w.write("a.txt", "one\n")
            w.faults.add(Rule(fault="F3", endpoint="stores.create", count=1))
            with pytest.raises(Halted):
                await w.run()
            assert last_run(w) == (True, s.LATER_EXIT)
            await w.run()
            assert last_run(w) == (True, 0)
            log = w.open()
            pin = log.library().pin
            log.close()
            assert pin is not None
            async with w.remote() as remote:
                await remote.delete_store(pin.store)
            w.write("b.txt", "two\n")
            with pytest.raises(StoreProblem):
                await w.run()
            assert last_run(w) == (True, 10)

    run_virtual(main)


def test_a_run_with_nothing_to_do_is_the_last_run_and_makes_no_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            w.write("a.txt", "one\n")
            await w.run()
            log = w.open()
            first = log.library().run
            log.close()
            w.faults.add(Rule(fault="F7", endpoint="*"))
            assert (await w.run()).exit_code == 0
            log = w.open()
            second = log.library().run
            log.close()
            assert first is not None
            assert second is not None
            assert second.run != first.run
            assert last_run(w) == (True, 0)

    run_virtual(main)


def test_a_store_that_this_log_saw_deleted_is_not_claimed_to_hold_anything(tmp_path: Path) -> None:
    """Also by a run that has nothing to send, and so asks nobody."""

    async def main() -> None:
        async with world(tmp_path) as w:
            w.write("a.txt", "one\n")
            await w.run()
            log = w.open()
            pin = log.library().pin
            assert pin is not None
            async with w.remote() as remote:
                await delete_store(Journal(log, w.clock, w.random_bytes), remote, pin.store)
            log.close()
            with pytest.raises(StoreProblem) as caught:
                await w.run()
            assert caught.value.exit_code == 10
            assert "store recreate" in caught.value.hint

    run_virtual(main)
