"""Terminals, pipes and signals: progress, questions, Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.command import COMMAND, TIMEOUT_S, Place, environment, serving
from tests.support.terminal import Terminal

CURSOR = re.compile(r"\x1b\[\?25[lh]|\x1b\[\d*[AK]|\x1b\[2K")
COLOUR = re.compile(r"\x1b\[[\d;]*m")

SLOW = ("--tier", "tier1", "--yes")
"""Twenty calls a minute: a run that is always in the middle of something."""


@contextlib.contextmanager
def terminal(place: Place, *arguments: str, **options: object) -> Iterator[Terminal]:
    """The command on a terminal, and surely gone afterwards."""
    opened = Terminal(place, *arguments, **options)  # type: ignore[arg-type]
    try:
        yield opened
    finally:
        opened.kill()


@pytest.fixture
def many(place: Place) -> Place:
    for number in range(40):
        place.write(f"{number:02}.md", f"number {number}\n")
    return place


def test_a_terminal_shows_three_levels(many: Place, emulator: str) -> None:
    """Complaint 17: a long upload shows nothing of how far it is."""
    with terminal(many, "run", "docs", "--endpoint", emulator, *SLOW) as shown:
        shown.until("/40 files")
        shown.until("batch 1: ")
        shown.until("uploads at once  breaker closed  throttled 0  20 calls/min")
        shown.until("uploading")
        assert "ETA" in shown.text
        assert CURSOR.search(shown.text)
        shown.signal(signal.SIGTERM)
        assert shown.end() == 143


def test_a_pipe_gets_sparse_lines_without_control_characters(many: Place) -> None:
    """Complaint 18: the progress bar floods the log of a job."""
    done = many.ok("run", "docs")
    assert b"\x1b" not in done.raw + done.err.encode()
    lines = [line for line in done.err.splitlines() if "/40 files" in line]
    assert 1 <= len(lines) <= 21


def test_stdout_has_the_result_and_stderr_the_rest(many: Place) -> None:
    done = many.ok("run", "docs")
    assert "LOCAL STORE: nothing leaves this machine" in done.err
    assert "LOCAL STORE" not in done.out
    assert re.search(r"40\s+indexed", done.out)
    with terminal(many, "run", piped_out=True) as shown:
        assert shown.end() == 0
        assert "LOCAL STORE" in shown.text


@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colour(indexed: Place, env: dict[str, str], coloured: bool) -> None:
    with terminal(indexed, "audit", "moon.md", **env) as shown:
        assert shown.end() == 0
    assert bool(COLOUR.search(shown.text)) is coloured


def test_colour_in_a_pipe_only_when_forced(indexed: Place) -> None:
    assert b"\x1b" not in indexed.ok("audit", "moon.md").raw
    assert b"\x1b" in indexed.ok("audit", "moon.md", FORCE_COLOR="1").raw
    assert b"\x1b" not in indexed.ok("--no-color", "audit", "moon.md", FORCE_COLOR="1").raw


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_progress_without_colour(many: Place, env: dict[str, str]) -> None:
    with terminal(many, "run", "docs", **env) as shown:
        assert shown.end() == 0
    assert not COLOUR.search(shown.text)
    if "TERM" in env:
        assert "\x1b" not in shown.text


def test_the_first_ctrl_c_lets_what_is_under_way_end(many: Place, emulator: str) -> None:
    """Complaint 24: there is no way to pause."""
    with terminal(many, "run", "docs", "--endpoint", emulator, *SLOW) as shown:
        shown.until("uploading")
        shown.text = ""
        began = time.monotonic()
        shown.type("\x03")
        shown.signal(signal.SIGINT)
        shown.until("nothing new is begun", 5)
        assert time.monotonic() - began < 1  # 100 ms on an idle machine
        assert shown.end() == 130
    status = many.ok("status", "--json").json
    assert status["holder"] is None
    assert status["last_run"]["ended"] is not None
    assert many.ok("replay", "--check", "--json").json["drift"] == 0


def test_waiting_for_the_service_does_not_hold_up_the_end(place: Place) -> None:
    """A look-up that sleeps between its questions has nothing to lose: the next run asks again."""
    place.write("a.md")
    with serving(place) as url, terminal(place, "run", "docs", "--endpoint", url, *SLOW, "--tier", "tier3") as shown:
        shown.until("waiting for its document")
        began = time.monotonic()
        shown.signal(signal.SIGINT)
        assert shown.end() == 130
        assert time.monotonic() - began < 3  # the first question would come after 5 s
    assert place.ok("status", "--json").json["states"]["processing"] == 1


def test_the_second_ctrl_c_stops_at_once(many: Place) -> None:
    """The service never answers the upload, so only a cancellation ends it."""
    with serving(many, "--control") as url:
        rule = {"fault": "F19", "mode": "accept", "endpoint": "files.upload.start"}
        request = urllib.request.Request(f"{url}/_emulator/faults", json.dumps(rule).encode())
        urllib.request.urlopen(request, timeout=10).read()
        with terminal(many, "run", "docs", "--endpoint", url, *SLOW) as shown:
            shown.until("uploading")
            time.sleep(0.5)
            shown.signal(signal.SIGINT)
            shown.until("nothing new is begun", 5)
            assert shown.process.poll() is None
            began = time.monotonic()
            shown.signal(signal.SIGINT)
            shown.until("stopping now", 5)
            assert shown.end() == 130
            assert time.monotonic() - began < 5
    states = many.ok("status", "--json").json
    assert states["holder"] is None
    assert states["states"]["uploading"] >= 1
    sent = many.ok("status", "--state", "uploading", "--json").json["listed"][0]
    events = many.ok("audit", sent["file"], "--json").json["events"]
    assert [event["type"] for event in events] == ["file_discovered", "upload_intended", "call_uncertain"]
    assert events[-1]["evidence"]["reason"] == "cancelled"
    assert many.ok("replay", "--check", "--json").json["drift"] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130)])
def test_signals_end_a_run_whose_json_still_ends_with_a_summary(
    many: Place, emulator: str, number: signal.Signals, code: int
) -> None:
    process = many.start("run", "docs", "--endpoint", emulator, *SLOW, "--json")
    assert process.stdout is not None
    while b"batch_started" not in process.stdout.readline():
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code, err
    last = out.splitlines()[-1]
    assert b'"summary"' in last
    assert f'"exit_code": {code}'.encode() in last


def test_two_runs_at_once(many: Place, emulator: str) -> None:
    process = many.start("run", "docs", "--endpoint", emulator, *SLOW, "--json")
    assert process.stdout is not None
    while b"batch_started" not in process.stdout.readline():
        pass
    second = many.run("run", "--endpoint", emulator, *SLOW)
    assert second.code == 11
    assert re.search(rf"process {process.pid} on .* is at work on this log since \d\d\d\d-", second.err)
    assert "--wait" in second.err
    assert f"process {process.pid}" in many.ok("status").out
    many.write("new.md", "new\n")
    assert many.ok("scan", "--json").json["recorded"] == {"file_discovered": 1}
    assert many.ok("replay", "--json").json["in_place"]
    process.terminate()
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 143


def test_a_run_that_waits_says_for_whom_and_goes_on_afterwards(many: Place, emulator: str) -> None:
    first = many.start("run", "docs", "--endpoint", emulator, *SLOW, "--json")
    assert first.stdout is not None
    while b"batch_started" not in first.stdout.readline():
        pass
    second = many.start("run", "--endpoint", emulator, "--tier", "tier3", "--yes", "--wait")
    assert second.stderr is not None
    assert re.match(rf"waiting: process {first.pid} on .* since \d\d\d\d-".encode(), second.stderr.readline())
    first.terminate()
    first.communicate(timeout=TIMEOUT_S)
    out, err = second.communicate(timeout=TIMEOUT_S)
    assert second.returncode == 0, err
    assert re.search(rb"40\s+indexed", out)


def test_before_anything_leaves_this_machine_a_terminal_is_asked(place: Place, emulator: str) -> None:
    """Complaint 20: embedding is billed, and nobody said the number first."""
    place.write("a.md", "x" * 4_000)
    options = ("--endpoint", emulator, "--tier", "tier3")
    with terminal(place, "run", "docs", *options) as shown:
        shown.until("Send them? [y/N]")
        assert "1 file, 4.0 KB, about 1,000 tokens" in shown.text
        assert re.search(r"about \$\d", shown.text)
        assert emulator in shown.text
        shown.type("n\n")
        assert shown.end() == 4
    assert place.ok("status", "--json").json["states"]["untracked"] == 1
    with terminal(place, "run", *options) as shown:
        shown.until("Send them? [y/N]")
        shown.signal(signal.SIGINT)
        assert shown.end() == 130
    with terminal(place, "run", *options) as shown:
        shown.until("Send them? [y/N]")
        shown.type("y\n")
        assert shown.end() == 0
    place.ok("run", *options)  # asked once, and nobody could be asked here


def test_without_a_terminal_and_without_yes_nothing_is_sent(place: Place, emulator: str) -> None:
    place.write("a.md")
    done = place.run("run", "docs", "--endpoint", emulator)
    assert done.code == 2
    assert "--yes" in done.err
    assert not place.log.exists()


@pytest.mark.parametrize("arguments", [("status", "--state", "indexed"), ("audit", "moon.md"), ("--help",)])
def test_a_reader_that_leaves_is_no_error(indexed: Place, arguments: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=indexed.folder,
        env=environment(indexed.folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(TIMEOUT_S) == 141
    assert err == b""


def test_a_run_whose_reader_leaves_begins_nothing_new(many: Place) -> None:
    process = many.start("run", "docs", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(TIMEOUT_S) == 141
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert many.ok("run", "--json").lines[-1]["indexed"] == 40


def test_closed_streams(indexed: Place) -> None:
    env = environment(indexed.folder)
    shell = " ".join(COMMAND)
    for line in (f"{shell} status >&-", f"{shell} status 2>&-", f"{shell} run <&-"):
        done = subprocess.run(["sh", "-c", line], cwd=indexed.folder, env=env, capture_output=True, timeout=TIMEOUT_S)
        assert (line, done.returncode) == (line, 0)
