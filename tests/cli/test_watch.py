"""watch: a run that does not end, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Tell
from objlib_fsm.engine import session as s
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.watching import LOOK_EVERY_BLIND_S, LOOK_EVERY_S, Eyes, Idle
from objlib_fsm.library.watching import EventsUnavailable, changes
from objlib_fsm.log.lease import STALE_AFTER_S
from tests.cli.test_wishes import FAST, ask, read_until
from tests.support.command import TIMEOUT_S, Place, serving
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world


@contextlib.contextmanager
def watching(place: Place, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A watch of ``docs``, and surely gone afterwards."""
    process = place.start("watch", "docs", "--json", *options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


def ended(process: subprocess.Popen[bytes], number: signal.Signals) -> dict[str, Any]:
    """The last line of a watch that is told to end."""
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert b"Traceback" not in err
    last: dict[str, Any] = json.loads(out.splitlines()[-1])
    assert (last["type"], last["exit_code"]) == ("summary", process.returncode)
    return last


def test_changes_are_taken_up_as_they_happen(place: Place) -> None:
    place.write("a.md", "one\n")
    with watching(place) as watch:
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["type"] == "run"
        assert read_until(watch, type="watching")["indexed"] == 1
        place.write("b.md", "two\n")
        read_until(watch, type="file", file="b.md", state="indexed")
        read_until(watch, type="watching")
        place.write("a.md", "three\n")
        read_until(watch, type="file", file="a.md", state="indexed")
        (place.library / "b.md").rename(place.library / "c.md")
        assert read_until(watch, type="scan")["recorded"] == {"file_moved": 1}
        (place.library / "c.md").unlink()
        assert read_until(watch, type="scan")["recorded"] == {"file_vanished": 1}
        assert ended(watch, signal.SIGINT)["indexed"] == 2
        assert watch.returncode == 130
    assert "three" in place.ok("ask", "three").out
    assert place.ok("replay", "--check", "--json").json["drift"] == 0
    assert place.ok("status", "--json").json["holder"] is None


def test_it_holds_the_log_and_takes_up_what_others_want(place: Place) -> None:
    place.write("a.md", "one\n")
    with watching(place) as watch:
        read_until(watch, type="watching")
        second = place.run("run")
        assert (second.code, str(watch.pid) in second.err) == (11, True)
        assert f"the run at work (process {watch.pid}" in place.ok("forget", "a.md").err
        read_until(watch, type="file", file="a.md", state="untracked")
        place.ok("track", "a.md")
        read_until(watch, type="file", file="a.md", state="indexed")
        assert ended(watch, signal.SIGTERM)["indexed"] == 1
        assert watch.returncode == 143


def test_a_change_is_taken_up_while_a_slow_file_is_waited_for(place: Place) -> None:
    place.write("slow.md", "one\n")
    with serving(place, "--control") as url:
        ask(url, "faults", {"fault": "F14", "mode": "never_done", "endpoint": "stores.import", "count": 1})
        with watching(place, "--endpoint", url, *FAST) as watch:
            read_until(watch, type="batch_started")
            place.write("b.md", "two\n")
            read_until(watch, type="file", file="b.md", state="indexed")
            assert place.ok("status", "--json").json["states"]["processing"] == 1
            assert ended(watch, signal.SIGINT)["processing"] == 1


def test_the_second_signal_stops_at_once(place: Place) -> None:
    place.write("a.md", "one\n")
    with serving(place, "--control") as url:
        ask(url, "faults", {"fault": "F19", "mode": "accept", "endpoint": "files.upload.start"})
        with watching(place, "--endpoint", url, *FAST) as watch:
            read_until(watch, type="batch_started")
            while not ask(url, "state")["requests"].get("files.upload.start"):
                pass
            watch.send_signal(signal.SIGINT)
            assert watch.stderr is not None
            while b"nothing new is begun" not in watch.stderr.readline():
                pass
            assert watch.poll() is None
            assert ended(watch, signal.SIGINT)["uploading"] == 1
            assert watch.returncode == 130


def test_a_library_that_is_away_for_a_while_changes_nothing(place: Place) -> None:
    for number in range(60):
        place.write(f"{number}.md", f"number {number}\n")
    with watching(place) as watch:
        read_until(watch, type="watching")
        away = place.folder / "away"
        away.mkdir()
        for path in place.library.iterdir():
            path.rename(away / path.name)
        assert watch.stderr is not None
        while b"looks again later" not in watch.stderr.readline():
            pass
        for path in away.iterdir():
            path.rename(place.library / path.name)
        place.write("new.md", "new\n")
        read_until(watch, type="file", file="new.md", state="indexed")
        assert ended(watch, signal.SIGINT)["indexed"] == 61


def test_a_service_that_is_away_for_a_while_is_asked_again(place: Place) -> None:
    place.write("a.md", "one\n")
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(contextlib.ExitStack())
        url = first.enter_context(serving(place))
        watch = stack.enter_context(watching(place, "--endpoint", url, *FAST))
        read_until(watch, type="watching")
        first.close()
        place.write("b.md", "two\n")
        assert watch.stderr is not None
        while b"the watch goes on" not in watch.stderr.readline():
            pass
        stack.enter_context(serving(place, "--port", url.rpartition(":")[2]))
        place.write("c.md", "three\n")
        read_until(watch, type="file", file="b.md", state="indexed")
        read_until(watch, type="watching")
        assert ended(watch, signal.SIGINT)["indexed"] == 3


def test_watch_asks_before_anything_leaves_this_machine(place: Place) -> None:
    place.write("a.md")
    with serving(place) as url:
        done = place.run("watch", "docs", "--endpoint", url)
    assert done.code == 2
    assert "--yes" in done.err


# ---- what it waits for -----------------------------------------------------------------------------------------------


def test_our_own_files_are_no_change(tmp_path: Path) -> None:
    log = tmp_path / ".objlib" / "log.db"
    log.parent.mkdir()

    async def main() -> None:
        seen = changes(tmp_path, [log])
        assert await anext(seen) is False
        (log.parent / "log.db-wal").write_text("x")
        assert await anext(seen) is False
        (tmp_path / "a.md").write_text("x")
        with anyio.fail_after(TIMEOUT_S):
            while not await anext(seen):
                pass
        await seen.aclose()  # type: ignore[attr-defined]

    anyio.run(main)


def test_a_system_that_has_no_watches_left(tmp_path: Path) -> None:
    """Every file descriptor is taken, so the system refuses."""

    async def main() -> None:
        import watchfiles  # noqa: F401

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        first_free = os.dup(0)
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
        try:
            with pytest.raises(EventsUnavailable, match="Too many open files"):
                await anext(changes(tmp_path, []))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    anyio.run(main)


async def _no_events() -> Any:
    raise EventsUnavailable("no watches left")
    yield False


async def _one_change(at_s: float) -> Any:
    yield False
    await anyio.sleep(at_s)
    yield True
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("events", "looks"),
    [
        (_no_events(), [0.0, LOOK_EVERY_BLIND_S, 2 * LOOK_EVERY_BLIND_S]),
        (_one_change(10.0), [10.0, 10.0 + LOOK_EVERY_S, 10.0 + 2 * LOOK_EVERY_S]),
    ],
    ids=["blind", "a change after ten seconds"],
)
def test_when_it_is_time_to_look(events: Any, looks: list[float]) -> None:
    async def main() -> None:
        told: list[str] = []
        eyes = Eyes(events, told.append)
        async with anyio.create_task_group() as tasks:
            await tasks.start(eyes.listen)
            for at_s in looks:
                await eyes.time_to_look()
                assert anyio.current_time() == pytest.approx(at_s, abs=0.01)
            tasks.cancel_scope.cancel()
        assert told == (["no watches left"] if looks[0] == 0.0 else [])

    run_virtual(main)


async def _held(w: World, due_in_s: float | None, *, appends_at_s: float | None = None) -> float:
    """How long an idle watch waits, in a world where somebody may append meanwhile."""
    w.write("a.txt", "one\n")
    await w.run()
    log = w.open()
    shell = w.shell(log, log.run)
    began = w.clock.monotonic()

    async def forget() -> None:
        if appends_at_s is not None:
            await w.clock.sleep(appends_at_s)
            other = w.open("forget")
            record = other.by_path("a.txt")
            assert record is not None
            await Journal(other, w.clock, shell.random_bytes).tell(record, Tell(e.FileForgotten()))
            other.close()

    try:
        async with s.Session(shell) as session, anyio.create_task_group() as tasks:
            idle = Idle(session, lambda: False)
            idle.begin_round()
            tasks.start_soon(forget)
            assert await idle.wait(None if due_in_s is None else w.clock.now_us() + round(due_in_s * 1e6))
            tasks.cancel_scope.cancel()
            lease = log.library().lease
            assert lease is not None
            assert w.clock.now_us() - lease.renewed_at_us < STALE_AFTER_S * 1e6, "the lease was kept alive"
    finally:
        log.close()
    return w.clock.monotonic() - began


@pytest.mark.parametrize(("due_in_s", "appends_at_s", "waits_s"), [(4_000.0, None, 4_000.0), (None, 50.0, 50.0)])
def test_due_files_and_wishes_end_the_wait(
    tmp_path: Path, due_in_s: float | None, appends_at_s: float | None, waits_s: float
) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            assert await _held(w, due_in_s, appends_at_s=appends_at_s) == pytest.approx(waits_s, abs=2)

    run_virtual(main)
