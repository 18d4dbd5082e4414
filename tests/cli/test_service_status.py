"""What ``status`` and ``audit`` say of the service: operations, deadlines, the clock of a raw file."""

from __future__ import annotations

import datetime
import json
import os
import signal
import time
import urllib.request
from pathlib import Path

import anyio.to_thread
import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.core.ids import RunId, new_event_id, short_id
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.record import Call
from objlib_fsm.log.contract import Append, Expect, NewEvent
from objlib_fsm.log.file import LogFile, open_log
from tests.support.command import TIMEOUT_S, Place, serving
from tests.support.terminal import Terminal


def test_operations_of_an_indexed_library(indexed: Place) -> None:
    report = indexed.ok("status", "--json").json
    assert report["operations"] == {
        "pending": 0,
        "in_progress": 0,
        "succeeded": 3,
        "failed": 0,
        "timed_out": 0,
        "forgotten": 0,
    }
    assert report["deadlines"] is None
    assert report["pace"] == {"learned": [], "limits": {}, "limits_at": None}
    assert "imports  3 succeeded" in indexed.ok("status").out


def test_audit_shows_the_clock_of_the_raw_file_and_the_import(indexed: Place) -> None:
    """Incident 20: the time at which a raw file expires was never recorded."""
    report = indexed.ok("audit", "moon.md", "--json").json
    (raw,) = report["raw_files"]
    assert raw["state"] == "ACTIVE"
    left = datetime.datetime.fromisoformat(raw["expires_at"]) - datetime.datetime.now(datetime.UTC)
    assert 47 * 3_600 < left.total_seconds() <= 48 * 3_600
    (operation,) = report["operations"]
    assert (operation["status"], operation["polls"]) == ("succeeded", 1)
    assert operation["first_poll_at"] <= operation["last_poll_at"] <= operation["ended"]
    shown = indexed.ok("audit", "moon.md").out
    assert "(in 47 h 5" in shown
    assert "; its document stays" in shown
    assert "succeeded, asked for 1 time, first " in shown


def test_work_in_progress_has_a_deadline_and_a_pace(place: Place, tmp_path: Path) -> None:
    """A run that is stopped while the service works on its documents."""
    for number in range(3):
        place.write(f"{number}.md", f"number {number}\n")
    slow = tmp_path / "slow.json"
    slow.write_text(json.dumps({"latencies": {"index": {"low_s": 600.0}}, "changes_per_minute": 600}))
    with serving(place, "--settings", str(slow)) as url:
        options = ("--endpoint", url, "--tier", "tier3", "--yes")
        running = Terminal(place, "run", "docs", *options)
        try:
            running.until("waiting for its document")
            running.signal(signal.SIGTERM)
            assert running.end() == 143
        finally:
            running.kill()
        report = place.ok("status", "--json").json
        assert report["operations"]["in_progress"] + report["operations"]["pending"] >= 1
        assert report["deadlines"]["files"] >= 1
        assert report["pace"]["limits"]["x-ratelimit-limit-requests"] == "600"
        shown = place.ok("status").out
        assert " not imported yet, the first expires " in shown
        assert "(in 47 h 5" in shown
        assert "limits   x-ratelimit-limit-requests 600" in shown
        (waiting,) = [
            operation
            for number in range(3)
            for operation in place.ok("audit", f"{number}.md", "--json").json["operations"][:1]
            if operation["status"] == "in progress"
        ][:1]
        assert waiting["ended"] is None
        assert urllib.request.urlopen(f"{url}/v1/files?key=any", timeout=TIMEOUT_S).status == 200


def opened(log: Path) -> LogFile:
    return open_log(
        log,
        run=RunId(short_id(os.urandom(10))),
        actor="test",
        run_sync=anyio.to_thread.run_sync,
        random_bytes=os.urandom,
        now_us=time.time_ns() // 1_000,
    )


@pytest.mark.parametrize(
    ("options", "rpm"), [((), 1_500.0), (("--no-adaptive",), 200.0), (("--tier", "tier3"), 2_000.0)]
)
def test_a_run_starts_at_the_rate_that_was_learned(
    place: Place, emulator: str, options: tuple[str, ...], rpm: float
) -> None:
    """On this service and this tier; and what it does not use it does not change."""
    place.write("a.md")
    place.ok("run", "docs", "--endpoint", emulator, "--tier", "tier2", "--yes")
    log = opened(place.log)
    event = NewEvent(new_event_id(os.urandom), e.PaceLearned(emulator, "tier2", 1_500.0))
    log.append_now(Append(LIBRARY_STREAM, Expect.ANY, (event,), time.time_ns() // 1_000))
    log.close()
    place.write("b.md")
    place.ok("run", "--tier", "tier2", *options)
    log = opened(place.log)
    started = [r.event for r in log.read(LIBRARY_STREAM) if isinstance(r.event, e.RunStarted)]
    log.close()
    assert started[0].options["rpm"] == 200.0
    assert started[1].options["rpm"] == rpm
    assert "pace     1,500 calls a minute on tier2 of http://127.0.0.1:" in place.ok("status").out


def test_what_is_due_in_ten_years_is_due_now(place: Place) -> None:
    """It was dated by a clock that has been put back since."""
    place.write("a.md")
    place.ok("scan", "docs")
    log = opened(place.log)
    record = log.by_path("a.md")
    assert record is not None
    now_us = time.time_ns() // 1_000
    for due_us in (now_us + 3_600_000_000, now_us + 10 * 8_766 * 3_600_000_000):
        record = log.by_path("a.md")
        assert record is not None
        event = e.CallFailed(Call.LOOK_UP_RAW, Outcome.UNAVAILABLE, Reason.NETWORK, due_at_us=due_us)
        log.append_now(Append(record.stream, record.version, (NewEvent(new_event_id(os.urandom), event),), now_us))
        due = place.ok("status", "--json").json["due"]
        assert (due["now"], due["later"]) == ((0, 1) if due_us < now_us + 86_400_000_000 else (1, 0))
    log.close()
