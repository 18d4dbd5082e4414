"""`doctor`: each thing that can be wrong is told apart from the others, with what mends it, and no key is shown."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LEASE_STREAM
from objlib_fsm.core.ids import RunId
from objlib_fsm.log.contract import Append, Expect, NewEvent
from objlib_fsm.log.lease import this_process
from tests.log.kit import new_id, open_at, tamper
from tests.support.command import CANARY, Done, Place, serving


def findings(done: Done) -> dict[str, dict[str, Any]]:
    """The findings by what was looked at; a problem before anything else."""
    found: dict[str, dict[str, Any]] = {}
    for one in done.json["checks"]:
        if one["check"] not in found or one["result"] == "problem":
            found[one["check"]] = one
    return found


def problem(done: Done, check: str, code: int) -> str:
    """The message and hint of the only problem, which must be that one."""
    problems = [one for one in done.json["checks"] if one["result"] == "problem"]
    assert [one["check"] for one in problems] == [check], done.out
    assert done.code == code == problems[0]["exit_code"] == done.json["exit_code"]
    assert problems[0]["hint"]
    return f"{problems[0]['message']} {problems[0]['hint']}"


def test_nothing_is_wrong_and_nothing_is_changed(own: Place) -> None:
    before = own.log.read_bytes()
    done = own.ok("doctor", "--json")
    assert done.json["problems"] == done.json["warnings"] == 0
    assert set(findings(done)) >= {
        "log",
        "chain",
        "state",
        "permissions",
        "disk",
        "clock",
        "lease",
        "library",
        "service",
    }
    assert own.log.read_bytes() == before
    assert own.ok("doctor").out.count("\n") == len(done.json["checks"])


def test_before_the_first_run_nothing_is_wrong_either(place: Place) -> None:
    done = place.ok("doctor", "--json")
    assert findings(done)["log"]["result"] == "note"
    assert not place.log.parent.exists()


# ---- the log and this machine --------------------------------------------------------------------------------------


def test_a_damaged_log(own: Place) -> None:
    tamper(own.log, "UPDATE events SET body = '{}' WHERE position = 4")
    assert "event 4" in problem(own.run("doctor", "--json"), "chain", 7)


def test_a_removed_write_ahead_log(own: Place) -> None:
    own.log.with_name("log.db-shm").touch()
    own.log.with_name("log.db-wal").unlink(missing_ok=True)
    assert "objlib-fsm replay" in problem(own.run("doctor", "--json"), "log", 7)
    own.ok("replay")
    own.ok("run")


def test_a_state_that_does_not_follow(own: Place) -> None:
    tamper(own.log, "UPDATE files SET due_at_us = 77")
    assert "objlib-fsm replay" in problem(own.run("doctor", "--json"), "state", 5)
    own.ok("replay")
    own.ok("doctor")


def test_a_library_that_is_not_there(own: Place) -> None:
    own.library.rename(own.folder / "elsewhere")
    assert "mounted" in problem(own.run("doctor", "--json"), "library", 10)


def test_files_that_others_may_read(own: Place) -> None:
    own.log.chmod(0o644)
    own.log.parent.chmod(0o777)
    done = own.ok("doctor", "--json")
    (hint,) = [one["hint"] for one in done.json["checks"] if one["result"] == "warning"]
    assert hint.startswith(f"chmod go-rwx {own.log.parent} {own.log}")
    subprocess.run(hint.split(), check=True)
    assert own.ok("doctor", "--json").json["warnings"] == 0


@pytest.mark.parametrize(("pid", "said"), [(None, "is at work"), (999_999_999, "ended without saying so")])
def test_a_run_that_is_at_work_and_one_that_was_killed(own: Place, pid: int | None, said: str) -> None:
    log, me = open_at(own.log), this_process()
    taken = e.LeaseTaken(9, RunId("r" * 16), me.host, pid or me.pid, me.started if pid is None else 1, me.boot_id)
    log.append_now(Append(LEASE_STREAM, Expect.ANY, (NewEvent(new_id(), taken),), 1))
    log.close()
    found = findings(own.run("doctor", "--json"))["lease"]
    assert said in found["message"]
    assert "run" in found["hint"]


# ---- the service ---------------------------------------------------------------------------------------------------


@contextmanager
def answering(code: int, body: str, kind: str = "application/json") -> Iterator[str]:
    """A server that answers everything alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def error(code: int, status: str, message: str) -> str:
    """The body of the service's errors."""
    return json.dumps({"error": {"code": code, "status": status, "message": message}})


ANSWERS = [
    (
        400,
        error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        "key",
        6,
        "--api-key-file",
    ),
    (403, error(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), "key", 6, "aistudio"),
    (
        400,
        error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        "region",
        6,
        "country",
    ),
    (503, error(503, "UNAVAILABLE", "The model is overloaded."), "service", 4, "status"),
    (502, "<html>Bad gateway</html>", "service", 4, "status"),
    (407, "<html>Proxy Authentication Required</html>", "proxy", 4, "log in"),
    (200, "<html>Welcome to the hotel</html>", "proxy", 4, "log in"),
    (404, "<html>Not found</html>", "proxy", 4, "--endpoint"),
]


@pytest.mark.parametrize(("code", "body", "check", "exit_code", "hint"), ANSWERS)
def test_what_the_service_answers_is_told_apart(
    place: Place, code: int, body: str, check: str, exit_code: int, hint: str
) -> None:
    """Complaint 11: key, region, proxy and service all look alike when something is wrong."""
    kind = "text/html" if body.startswith("<") else "application/json"
    with answering(code, body, kind) as url:
        done = place.run("doctor", "--json", "--endpoint", url, GEMINI_API_KEY=CANARY)
    assert hint in problem(done, check, exit_code)
    assert CANARY not in done.out + done.err


def test_a_new_key_that_is_answered_with_500_is_named(place: Place) -> None:
    """Complaint 11: keys of the new form are answered with 500, and people look for the fault at home."""
    with answering(500, error(500, "INTERNAL", "Internal error encountered.")) as url:
        new = place.run("doctor", "--json", "--endpoint", url, GEMINI_API_KEY=CANARY)
        old = place.run("doctor", "--json", "--endpoint", url, GEMINI_API_KEY="AIzaSyCanary0123456789")
    assert "begins with AQ." in problem(new, "service", 4)
    assert "AQ." not in problem(old, "service", 4)


def test_nobody_listens_and_a_proxy_that_does_not(place: Place) -> None:
    words = ("doctor", "--json", "--endpoint")
    assert "--endpoint" in problem(place.run(*words, "http://127.0.0.1:9"), "network", 4)
    through = place.run(*words, "http://192.0.2.1", GEMINI_API_KEY=CANARY, HTTP_PROXY="http://127.0.0.1:9")
    assert "$HTTP_PROXY" in problem(through, "proxy", 4)


def test_no_key_and_a_key_file_that_is_none(own: Place) -> None:
    assert "belongs to the store" in problem(own.run("doctor", "--json", "--backend", "gemini"), "key", 6)
    unbound = own.run("doctor", "--json", "--backend", "gemini", "--db", "other.db")
    assert "GEMINI_API_KEY" in problem(unbound, "key", unbound.code)
    done = own.run("doctor", "--json", "--backend", "gemini", "--api-key-file", "nowhere")
    assert "nowhere" in problem(done, "key", 6)


def test_the_store_is_gone(place: Place) -> None:
    place.write("a.txt")
    with serving(place, "--control") as url:
        place.ok("run", "docs", "--yes", "--tier", "tier3", "--endpoint", url)
        well = place.ok("doctor", "--json")
        assert findings(well)["store"]["result"] == "ok"
        assert findings(well)["key"]["message"].startswith("none")
        with urllib.request.urlopen(f"{url}/_emulator/state", timeout=30) as answer:
            store = json.load(answer)["documents"][0]["name"].partition("/documents/")[0]
        gone = urllib.request.Request(f"{url}/v1/{store}?force=true", method="DELETE", headers={"x-goog-api-key": "x"})
        urllib.request.urlopen(gone, timeout=30).close()
        assert "store recreate" in problem(place.run("doctor", "--json"), "store", 10)
        assert findings(place.ok("doctor", "--json", "--offline"))["service"]["message"] == "not asked (--offline)"


# ---- the bundle ----------------------------------------------------------------------------------------------------

SECRET_NAME = "zebra-diagnosis"


def test_the_bundle_holds_neither_keys_nor_names_nor_content(place: Place) -> None:
    place.write(f"{SECRET_NAME}.md", "The quagga is extinct.\n")
    place.write(f"sub-{SECRET_NAME}/b.txt", "The quagga was striped.\n")
    place.ok("run", "docs")
    done = place.ok("doctor", "--bundle", "report.zip", GEMINI_API_KEY=CANARY, OBJLIB_BACKEND="local")
    assert "report.zip" in done.err
    assert os.stat(place.folder / "report.zip").st_mode & 0o777 == 0o600
    with zipfile.ZipFile(place.folder / "report.zip") as bundle:
        held = {name: bundle.read(name).decode() for name in bundle.namelist()}
    for name, text in held.items():
        for secret in (CANARY, SECRET_NAME, "quagga", str(place.folder), os.uname().nodename):
            assert secret not in text, f"{secret} in {name}"
    events = [json.loads(line) for line in held["events.jsonl"].splitlines()]
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert "file_indexed" in {event["kind"] for event in events}
    assert len({event["stream"] for event in events}) == 4, "two files, the library, the lease"
    assert place.run("doctor", "--bundle", "report.zip").code == 2


def test_a_bundle_of_a_damaged_log_can_be_made(own: Place) -> None:
    own.log.write_bytes(b"not a log" * 1000)
    assert own.run("doctor", "--bundle", "report.zip").code == 7
    with zipfile.ZipFile(own.folder / "report.zip") as bundle:
        assert json.loads(bundle.read("counts.json"))["log"] == "LogDamaged"


def test_a_bundle_that_cannot_be_written(own: Place) -> None:
    assert own.run("doctor", "--bundle", Path("none") / "report.zip").code == 6
