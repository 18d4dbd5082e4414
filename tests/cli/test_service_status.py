"""What ``status`` and ``audit`` say of the service: operations, deadlines, the clock of a raw file."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

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
    report = indexed.ok("audit", "moon.md", "--json").json
    (raw,) = report["raw_files"]
    assert raw["state"] == "ACTIVE"
    assert 47 * 3_600 < raw["expires_in_s"] <= 48 * 3_600
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
