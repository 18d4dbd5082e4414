"""Several processes on one log: nothing lost, no gap, a whole chain, and readers that never fail."""

from __future__ import annotations

import collections
import itertools
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from objlib_fsm.core import events as e
from objlib_fsm.log.replay import projection_drift, rebuild
from objlib_fsm.log.sqlite import SqliteReader, open_for_reading
from tests.log.appender import SHARED
from tests.log.kit import check, discovered, open_at, stream

COUNT = 2_000
TIMEOUT_S = 60


def start(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that appends."""
    command = [sys.executable, "-m", "tests.log.appender", str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_until(path: Path, stop: threading.Event, errors: list[BaseException]) -> None:
    """Read, again and again, and hold every answer against the others of its moment."""
    reader = SqliteReader(open_for_reading(path), path)
    try:
        while not stop.is_set():
            with reader.snapshot():
                head = reader.head()
                assert reader.projection_is_current()
                assert [r.position for r in reader.since(max(0, head - 50), 100)] == list(
                    range(max(0, head - 50) + 1, head + 1)
                )
                shared = reader.record(stream(SHARED))
                if shared is not None:
                    assert shared.version == reader.version(stream(SHARED))
                    assert shared.version == len(reader.read(stream(SHARED)))
    except BaseException as error:
        errors.append(error)
    finally:
        reader.close()


def test_two_processes_lose_nothing(log_path: Path) -> None:
    open_at(log_path).close()
    stop, errors = threading.Event(), list[BaseException]()
    reading = threading.Thread(target=read_until, args=(log_path, stop, errors))
    reading.start()
    try:
        processes = [start(log_path, name, COUNT) for name in ("one", "two")]
        ended = [process.communicate(timeout=TIMEOUT_S) for process in processes]
    finally:
        stop.set()
        reading.join(TIMEOUT_S)
    assert [process.returncode for process in processes] == [0, 0], [err for _, err in ended]
    assert not errors
    acknowledged = [line for out, _ in ended for line in out.split()]
    assert len(acknowledged) == 2 * COUNT
    reader = SqliteReader(open_for_reading(log_path), log_path)
    recorded = reader.since(0, 1_000_000)
    assert [r.position for r in recorded] == list(range(1, 2 * COUNT + 3))
    assert sorted(r.id for r in recorded[2:]) == sorted(acknowledged)
    versions = collections.Counter(r.stream for r in recorded)
    assert versions[stream(SHARED)] == 1 + sum(number % 3 != 0 for number in range(COUNT)) * 2
    runs = collections.Counter(r.run[:3] for r in recorded[2:])
    assert runs == {"one": COUNT, "two": COUNT}
    changes = sum(a.run != b.run for a, b in itertools.pairwise(recorded))
    assert changes > 20, "they took turns"
    rebuilt = rebuild(reader)
    assert projection_drift(reader, rebuilt) == []
    reader.close()


def test_what_was_acknowledged_outlives_a_kill(log_path: Path) -> None:
    open_at(log_path).close()
    for name in ("one", "two", "six"):
        process = start(log_path, name, COUNT)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(150)]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
        process.communicate(timeout=TIMEOUT_S)
        acknowledged = {line.strip() for line in lines if line.endswith("\n")}
        assert len(acknowledged) < COUNT, "it was killed too late to show anything"
        log = open_at(log_path)
        assert acknowledged <= {r.id for r in log.since(0, 1_000_000)}
        check(log)
        log.close()


@pytest.mark.parametrize("existing", [False, True])
def test_processes_that_start_at_once_agree_on_one_library(log_path: Path, existing: bool) -> None:
    if existing:
        log_path.parent.mkdir()
        log_path.touch()
    processes = [start(log_path, f"p{number}", 30) for number in range(4)]
    ended = [process.communicate(timeout=TIMEOUT_S) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, [err for _, err in ended]
    log = open_at(log_path)
    recorded = log.since(0, 1_000)
    assert sum(isinstance(r.event, e.LibraryCreated) for r in recorded) == 1
    assert isinstance(recorded[0].event, e.LibraryCreated)
    assert len(recorded) == 1 + 1 + 4 * 30
    assert recorded[1].event == discovered("shared")
    check(log)
    log.close()
