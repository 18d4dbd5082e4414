"""Many processes on one log: ``python -m tests.crash.contention --seconds 5``.

Two processes append and eight readers ask (``status``, ``audit``, ``replay --check``, each a process of its own) for as
long as is said.  No reader fails, no acknowledged event is lost, no gap.  Then two runners: the second one is told who
is at work, exit code 11, and the first goes on undisturbed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

from objlib_fsm.log.replay import projection_drift, rebuild
from objlib_fsm.log.sqlite import SqliteReader, open_for_reading
from tests.crash.machine import Found, main, scratch
from tests.support.command import TIMEOUT_S, Place, environment, serving

READERS: Final = 8
QUESTIONS: Final = (("status", "--json"), ("audit", "docs/a.txt", "--json"), ("replay", "--check", "--json"))
BURST: Final = 400
"""Appends of one life of an appending process; then it starts again, as commands do."""

SLOW: Final = {"latencies": {"upload": {"low_s": 1.5}, "request": {"low_s": 0.05}}}


class _Crowd:
    """Processes that go on until the time is over."""

    def __init__(self, place: Place, seconds: float) -> None:
        self.place = place
        self.until = time.monotonic() + seconds
        self.asked: Counter[str] = Counter()
        self.acknowledged: list[str] = []
        self.troubles: list[str] = []
        self._lock = threading.Lock()

    def read(self, number: int) -> None:
        for words in itertools.islice(itertools.cycle(QUESTIONS), number % len(QUESTIONS), None):
            if time.monotonic() > self.until or self.troubles:
                return
            done = self.place.run(*words)
            with self._lock:
                self.asked[words[0]] += 1
                if done.code != 0 or "Traceback" in done.err:
                    self.troubles.append(f"{' '.join(words)}: exit code {done.code}: {done.err.strip()}")

    def append(self, name: str) -> None:
        for life in itertools.count():
            command = [sys.executable, "-m", "tests.log.appender", str(self.place.log), f"{name}{life}", str(BURST)]
            env = environment(self.place.folder)
            env["PYTHONPATH"] += os.pathsep + str(Path(__file__).resolve().parents[2])
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            with self._lock:
                self.acknowledged += done.stdout.split()
                if done.returncode != 0:
                    self.troubles.append(f"appending: {done.stderr.strip()[-500:]}")
            if time.monotonic() > self.until or self.troubles:
                return


def crowd(place: Place, seconds: float) -> _Crowd:
    """Readers and appenders together.  Raises `Found`."""
    together = _Crowd(place, seconds)
    threads = [threading.Thread(target=together.read, args=(number,)) for number in range(READERS)]
    threads += [threading.Thread(target=together.append, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if together.troubles:
        raise Found(together.troubles[0])
    hold(place.log, together.acknowledged)
    return together


def hold(log: Path, acknowledged: list[str]) -> None:
    """Everything acknowledged is there, once, without a gap.  Raises `Found`."""
    reader = SqliteReader(open_for_reading(log), log)
    with contextlib.closing(reader), reader.snapshot():
        there = Counter(str(recorded.id) for recorded in reader.since(0, 1 << 40))
        lost = [event_id for event_id in acknowledged if there[event_id] != 1]
        if lost:
            raise Found(f"{len(lost)} of {len(acknowledged)} acknowledged events are lost")
        rebuilt = rebuild(reader)
        if rebuilt.mismatches or projection_drift(reader, rebuilt):
            raise Found("the projection is not what the events say")


def two_runners(place: Place, other_log: str = "two.db") -> None:
    """The second one is refused, the first ends well.  Raises `Found`.  With *other_log* they do not meet."""
    settings = place.folder / "slow.json"
    settings.write_text(json.dumps(SLOW))
    with serving(place, "--settings", str(settings)) as url:
        words = ("run", "docs", "--yes", "--json", "--tier", "tier3", "--endpoint", url, "--db")
        first = place.start(*words, "two.db")
        assert first.stdout is not None
        began = [first.stdout.readline(), first.stdout.readline()]  # It holds the lease when it has scanned.
        second = place.run(*words, other_log)
        out, err = first.communicate(timeout=TIMEOUT_S)
        if second.code != 11 or str(first.pid) not in second.err:
            raise Found(f"the second run: exit code {second.code}, process {first.pid} is at work: {second.err}")
        if first.returncode != 0:
            raise Found(f"the first run: exit code {first.returncode}: {err.decode()}{b''.join(began) + out!r}")


def run(seconds: int, seed: int) -> str:
    """The report.  Raises `Found`.  *seed* changes nothing: processes take the turns that the system gives them."""
    with scratch() as folder:
        place = Place(folder)
        for name in "abc":
            place.write(f"{name}.txt", f"The {name} is a letter, {seed}.\n")
        place.ok("run", "docs")
        together = crowd(place, seconds)
        two_runners(place)
    asked = ", ".join(f"{number} {name}" for name, number in sorted(together.asked.items()))
    return f"{len(together.acknowledged)} appends beside {asked}: none failed, none lost; the second run was refused"


if __name__ == "__main__":
    sys.exit(main("contention", run, "Readers and writers, and two runners.", seconds=5))
