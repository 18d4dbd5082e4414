"""Whose turn it is: resumed work, raw files that expire, second passes, and new work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.policy import SECOND_PASS_DELAY_S
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from objlib_fsm.engine.progress import ResumedLate
from objlib_fsm.engine.queue import NEVER_US, Place, Queue, Turn
from objlib_fsm.engine.runner import Stop
from objlib_fsm.log.contract import Recorded
from objlib_fsm.remote.pacing import Pacer
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

SLOW_UPLOADS = Settings(latencies=Latencies(upload=Latency(2.0, 2.0)))


def in_world(
    tmp_path: Path,
    story: Callable[[World], Awaitable[None]],
    settings: Settings | None = None,
    rules: tuple[Rule, ...] = (),
) -> None:
    async def main() -> None:
        async with world(tmp_path, settings, rules) as w:
            await story(w)

    run_virtual(main)


def fill(w: World, files: int, name: str = "file") -> None:
    for number in range(files):
        w.write(f"{name}{number:03}.txt", f"File number {number} of {name} speaks about the number {number}.\n")


def history(w: World) -> list[Recorded]:
    log = w.open()
    try:
        return list(log.since(0, 1_000_000))
    finally:
        log.close()


async def interrupted(w: World, after_s: float) -> None:
    """A run that is told to stop then."""
    stop = Stop()

    async def interrupt() -> None:
        await w.clock.sleep(after_s)
        stop.draining = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(interrupt)
        await w.run(stop)


def test_the_queue() -> None:
    queue = Queue()
    places = {
        "late": Place(Turn.SET_BACK),
        "new": Place(Turn.NEW),
        "begun": Place(Turn.BEGUN),
        "tomorrow": Place(Turn.BEGUN, 2),
        "today": Place(Turn.BEGUN, 1),
        "newer": Place(Turn.NEW),
    }
    for name, place in places.items():
        queue.push(StreamId(name), place)
    queue.push(StreamId("newer"), Place(Turn.BEGUN, NEVER_US - 1))  # It was touched meanwhile.
    assert len(queue) == 6
    assert StreamId("late") in queue
    assert [queue.pop() for _ in range(6)] == ["today", "tomorrow", "newer", "begun", "new", "late"]
    assert len(queue) == 0
    assert StreamId("late") not in queue
    with pytest.raises(IndexError):
        queue.pop()


def test_a_file_that_must_try_again_does_not_wait_for_the_new_ones(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 60)
        w.pace = Pacer("tier1", w.clock, adaptive=False)
        assert (await w.run()).exit_code == 0
        told = history(w)
        failed = next(r for r in told if r.kind.label == "call_failed")
        again = next(
            r.position
            for r in told
            if r.stream == failed.stream and r.position > failed.position and r.kind.label == "import_intended"
        )
        between = {r.stream for r in told if failed.position < r.position < again and r.kind.label == "upload_intended"}
        assert len(between) <= 14, "only those that were launched already"
        assert await w.check() == {"indexed": 60}

    in_world(tmp_path, story, None, (Rule(fault="F8", endpoint="stores.import", count=1),))


def test_resumed_work_comes_before_new_work(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 30)
        await interrupted(w, 4.5)
        resumed = {path for path, record in w.records().items() if record.state.label == "uploading"}
        assert len(resumed) >= 7
        fill(w, 30, "anew")
        w.pace = Pacer("tier1", w.clock, adaptive=False)
        before = len(history(w))
        assert (await w.run()).exit_code == 0
        paths = {record.stream: path for path, record in w.records().items()}
        order = [
            paths[r.stream]
            for r in history(w)[before:]
            if r.kind.label in ("import_intended", "upload_intended") and r.stream in paths
        ]
        assert set(order[: len(resumed)]) == resumed
        assert await w.check() == {"indexed": 60}

    in_world(tmp_path, story, SLOW_UPLOADS)


def test_what_resumed_work_leaves_after_its_time_is_reported_and_the_run_goes_on(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 40)
        await interrupted(w, 20)
        w.faults.clear()
        await w.clock.sleep(60)
        resumed = {path for path, record in w.records().items() if record.state.label == "processing"}
        assert len(resumed) == 40
        fill(w, 5, "anew")
        w.pace = Pacer("tier1", w.clock, adaptive=False)
        before = len(history(w))
        summary = await w.run(recovery_limit_s=25.0)
        assert summary.exit_code == 0
        assert 20 <= summary.resumed_late < 40
        late = [notice for notice in w.notices if isinstance(notice, ResumedLate)]
        assert [(notice.files, notice.limit_s) for notice in late] == [(summary.resumed_late, 25.0)]
        assert late[0].example in resumed
        told = history(w)[before:]
        paths = {record.stream: path for path, record in w.records().items()}
        imports = [r for r in told if r.kind.label == "import_intended"]
        first_new = next(n for n, r in enumerate(imports) if paths[r.stream].startswith("anew"))
        assert any(paths[r.stream] in resumed for r in imports[first_new:]), "new work went on meanwhile"
        assert next(r.event.resumed_late for r in told if isinstance(r.event, e.RunEnded)) == summary.resumed_late
        assert await w.check() == {"indexed": 45}

    in_world(tmp_path, story, None, (Rule(fault="F8", endpoint="stores.import"),))


def test_the_second_pass_comes_when_the_first_is_through(tmp_path: Path) -> None:
    """Each import fails five times; nobody's sixth attempt comes before 30 s after the last of the fifth ones."""

    async def story(w: World) -> None:
        fill(w, 40)
        summary = await w.run()
        assert summary.exit_code == 0, "one run is enough"
        told = history(w)
        failures = [r.recorded_at_us for r in told if r.kind.label == "call_failed"]
        assert len(failures) == 200
        sixth = [r.recorded_at_us for r in told if isinstance(r.event, e.ImportIntended) and r.event.attempt == 6]
        assert len(sixth) == 40
        assert min(sixth) >= max(failures) + SECOND_PASS_DELAY_S * 1_000_000
        assert min(sixth) <= max(failures) + (SECOND_PASS_DELAY_S + 10) * 1_000_000
        assert await w.check() == {"indexed": 40}

    in_world(tmp_path, story, None, (Rule(fault="F8", endpoint="stores.import", count=200),))


def test_a_first_pass_of_hours_does_not_keep_a_file_from_its_second(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 230)
        assert (await w.run(concurrency=3)).exit_code == 0
        told = history(w)
        attempts: dict[tuple[str, int], Recorded] = {}
        for recorded in told:
            if isinstance(recorded.event, e.ImportIntended):
                attempts.setdefault((recorded.stream, recorded.event.attempt), recorded)
        sixth = next(recorded for (_, attempt), recorded in attempts.items() if attempt == 6)
        fifth = attempts[sixth.stream, 5]
        waited_s = (sixth.recorded_at_us - fifth.recorded_at_us) / 1e6
        assert 3_600 <= waited_s <= 4_000
        assert any(r.kind.label == "upload_intended" for r in told[sixth.position :]), "the first pass still went on"

    rule = Rule(fault="F8", endpoint="stores.import", probability=0.7, count=200)
    in_world(tmp_path, story, Settings(latencies=Latencies(upload=Latency(90.0, 90.0))), (rule,))
