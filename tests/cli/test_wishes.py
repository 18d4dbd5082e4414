"""forget, track and retry: before the next run, and while a run is at work in another process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.command import TIMEOUT_S, Place, give_up, serving

FAST = ("--tier", "tier3", "--yes")
"""Two thousand calls a minute."""

INVALID = "Request contains an invalid argument."


def ask(url: str, path: str, body: Any = None) -> Any:
    """The emulator's side channel."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_emulator/{path}", data), timeout=TIMEOUT_S) as reply:
        return json.load(reply)


def read_until(process: subprocess.Popen[bytes], **wanted: str) -> dict[str, Any]:
    """The next JSON line of a run that has these values."""
    assert process.stdout is not None
    for line in process.stdout:
        said: dict[str, Any] = json.loads(line)
        if wanted.items() <= said.items():
            return said
    raise AssertionError(f"the run ended without {wanted}")


@pytest.fixture
def emulator(place: Place) -> Iterator[str]:
    """The address of an emulator with its side channel open."""
    with serving(place, "--control") as url:
        yield url


@contextlib.contextmanager
def a_run_at_work(place: Place, emulator: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has indexed every file but the first, whose operation never says done: it goes on for a minute."""
    ask(emulator, "faults", {"fault": "F14", "mode": "never_done", "endpoint": "stores.import", "count": 1})
    process = place.start("run", "docs", "--json", "--endpoint", emulator, *FAST)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


def test_forget_and_track_before_the_next_run(own: Place) -> None:
    done = own.ok("forget", "docs/moon.md", "tea.txt")
    assert "moon.md: is forgotten" in done.out
    assert "next: objlib-fsm run" in done.err
    assert own.ok("status", "--json").json["due"]["now"] == 2
    own.ok("run")
    status = own.ok("status", "--json").json
    assert (status["forgotten"], status["states"]["indexed"]) == (2, 1)
    kinds = [event["type"] for event in own.ok("audit", "moon.md", "--json").json["events"]]
    assert kinds[-4:] == ["document_delete_intended", "document_deleted", "raw_delete_intended", "raw_deleted"]
    assert "rock" not in own.ok("ask", "What is the moon made of?").out

    own.write("moon.md", "The moon is made of cheese.\n")
    summary = own.ok("run", "--json").lines[-1]
    assert (summary["indexed"], summary["forgotten"]) == (1, 2), "changed, and still left alone"

    assert own.ok("track", "moon.md", "--json").json["files"] == ["moon.md"]
    assert own.ok("run", "--json").lines[-1]["indexed"] == 2
    assert "cheese" in own.ok("ask", "What is the moon made of?").out


def test_forget_while_a_run_is_at_work(place: Place, emulator: str) -> None:
    for name in ("a.md", "b.md", "c.md"):
        place.write(name, f"{name} speaks.\n")
    with a_run_at_work(place, emulator) as run:
        forgotten = read_until(run, type="file", state="indexed")["file"]
        stream = place.ok("audit", forgotten, "--json").json["stream"]
        done = place.ok("forget", forgotten)
        assert f"the run at work (process {run.pid}" in done.err
        read_until(run, type="file", file=forgotten, state="untracked")
        left = ask(emulator, "state")
        assert not [d for d in left["documents"] if stream in json.dumps(d)]
        assert len(left["files"]) == 2


def test_retry_while_a_run_is_at_work(place: Place, emulator: str) -> None:
    for name in ("a.md", "b.md", "c.md"):
        place.write(name, f"{name} speaks.\n")
    refusal = {"fault": "F8", "endpoint": "stores.import", "count": 1, "message": INVALID}
    ask(emulator, "faults", refusal)
    with a_run_at_work(place, emulator) as run:
        failed = read_until(run, type="file", state="failed")["file"]
        assert place.ok("retry", failed, "--json").json == {
            "type": "wish",
            "schema": 1,
            "command": "retry",
            "files": [failed],
            "skipped": [],
            "at_work": True,
            "exit_code": 0,
        }
        read_until(run, type="file", file=failed, state="indexed")


def test_track_while_a_run_is_at_work(place: Place, emulator: str) -> None:
    for name in ("a.md", "b.md", "c.md"):
        place.write(name, f"{name} speaks.\n")
    place.ok("scan", "docs")
    place.ok("forget", "c.md")
    with a_run_at_work(place, emulator) as run:
        read_until(run, type="file", state="indexed")
        place.ok("track", "c.md")
        read_until(run, type="file", file="c.md", state="indexed")


def failed_place(place: Place) -> Place:
    for name in ("a.md", "b.md", "c.md", "d.md"):
        place.write(name, f"{name} speaks.\n")
    place.ok("scan", "docs")
    give_up(place.log, "a.md", "invalid argument", "no")
    give_up(place.log, "b.md", "invalid argument", "no")
    give_up(place.log, "c.md", "server error", "overloaded")
    return place


def test_retry_by_cause_and_all(place: Place) -> None:
    """Complaint 2: nobody can tell which file of a batch failed, so all are sent again."""
    failed_place(place)
    assert place.ok("retry", "--cause", "Invalid argument", "--json").json["files"] == ["a.md", "b.md"]
    assert place.ok("retry", "--json").json["files"] == ["c.md"]
    assert place.ok("retry", "--json").json["files"] == []
    assert "no file failed" in place.ok("retry").err
    assert place.ok("run", "--json").lines[-1]["indexed"] == 4


def test_a_cause_that_nothing_failed_for_lists_the_causes(place: Place) -> None:
    failed_place(place)
    done = place.run("retry", "--cause", "serer error")
    assert done.code == 10
    assert "did you mean: 'server error'" in done.err
    assert "'invalid argument', 'server error'" in place.run("retry", "--cause", "x").err


@pytest.mark.parametrize("command", ["forget", "track", "retry"])
def test_a_name_that_matches_nothing_lists_near_ones_and_changes_nothing(own: Place, command: str) -> None:
    position = own.ok("status", "--json").json["position"]
    done = own.run(command, "tea.txt", "mon.md")
    assert done.code == 10
    assert "moon.md" in done.err
    assert own.ok("status", "--json").json["position"] == position


@pytest.mark.parametrize("command", ["forget", "track", "retry"])
def test_without_a_log_there_is_nothing_to_wish_for(place: Place, command: str) -> None:
    assert place.run(command, "a.md").code == 10
    assert not place.log.exists()


def test_what_makes_no_sense_is_said_and_nothing_recorded(own: Place) -> None:
    position = own.ok("status", "--json").json["position"]
    assert "is not forgotten" in own.ok("track", "moon.md").out
    assert "it is indexed" in own.ok("retry", "moon.md").out
    assert own.ok("status", "--json").json["position"] == position
    own.ok("forget", "moon.md")
    assert "is forgotten already" in own.ok("forget", "moon.md").out
    assert "objlib-fsm track" in own.ok("retry", "moon.md").out
    assert own.run("retry", "moon.md", "--cause", "x").code == 2


def test_three_runs_may_give_a_file_up_then_it_is_parked(place: Place, emulator: str) -> None:
    for name in ("a.md", "b.md"):
        place.write(name, f"{name} speaks.\n")
    rule = {"fault": "F8", "endpoint": "stores.import", "message": INVALID, "count": 3}
    send = ("run", "--endpoint", emulator, *FAST)
    assert place.run(*send, "docs", "--limit", "1").code == 4
    ask(emulator, "faults", rule)
    assert place.run(*send).code == 3
    assert place.run(*send).code == 3, "a plain run leaves it alone"
    dry = place.ok(*send, "--retry-failed", "--dry-run", "--json").json
    assert dry["files"] == 1
    for failures in (1, 2):
        again = place.run(*send, "--retry-failed")
        assert (again.code, "1 failed file to be tried again" in again.err) == (3, True), failures
    parked = place.run(*send, "--retry-failed")
    assert parked.code == 3
    assert "1 file parked after three runs; objlib-fsm retry" in parked.err
    assert place.ok(*send, "--retry-failed", "--dry-run", "--json").json["files"] == 0
    place.ok("retry")
    assert place.ok(*send, "--json").lines[-1]["indexed"] == 2


def test_what_failed_is_grouped_by_cause_with_the_command_that_helps(place: Place) -> None:
    """Complaint 24: there is no list of what failed."""
    failed_place(place)
    for _ in range(2):
        place.ok("retry", "c.md")
        give_up(place.log, "c.md", "server error", "overloaded")
    out = place.ok("status", "--state", "failed").out.splitlines()
    assert out[:8] == [
        "2 files: invalid argument",
        "  said: no",
        "  for example: a.md",
        "  it lies in the file; change it, or leave it out: objlib-fsm audit a.md",
        "1 file: server error",
        "  said: overloaded",
        "  for example: c.md",
        "  to try again: objlib-fsm retry --cause 'server error'",
    ]
    assert [line.split("  ")[1] for line in out[9:]] == ["a.md", "b.md", "c.md"]
    by_cause = {cause["cause"]: cause for cause in place.ok("status", "--json").json["failures"]}
    assert by_cause["invalid argument"]["command"] == "objlib-fsm audit a.md"
    assert (by_cause["server error"]["files"], by_cause["server error"]["parked"]) == (1, 0)


def test_the_same_content_under_two_paths_is_two_documents_and_listed_with_what_it_costs(place: Place) -> None:
    """Complaint 22: thousands of files are the same under other names, and nobody can say which."""
    place.write("a.md", "x" * 4_000)
    place.write("b.md", "x" * 4_000)
    place.write("c/a.md", "x" * 4_000)
    place.write("d.md", "short\n")
    place.write("e.md", "short\n")
    place.write("f.md", "alone\n")
    assert place.ok("run", "docs", "--json").lines[-1]["indexed"] == 6
    found = place.ok("status", "--duplicates", "--json").json["duplicates"]
    assert [group["files"] for group in found["groups"]] == [["a.md", "b.md", "c/a.md"], ["d.md", "e.md"]]
    assert (found["extra_files"], found["size_bytes"], found["tokens"]) == (3, 8_006, 2_001)
    assert found["price_usd"] == pytest.approx(2_001 / 1e6 * 0.15, abs=1e-6)
    told = place.ok("status", "--duplicates").out
    assert "3 files of 4.0 KB, the same content:\n  a.md\n  b.md\n  c/a.md\n" in told
    assert "3 documents more than there are contents: 8.0 KB, about 2,001 tokens, about $0.00" in told
    (place.library / "e.md").unlink()
    place.write("d.md", "other\n")
    place.ok("run")
    left = place.ok("status", "--duplicates", "--json").json["duplicates"]
    assert [group["files"] for group in left["groups"]] == [["a.md", "b.md", "c/a.md"]]
    assert place.run("status", "--duplicates", "--state", "failed").code == 2
