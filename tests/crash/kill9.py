"""``kill -9`` of the command: ``python -m tests.crash.kill9 --kills 100 --seed 1``.

Several libraries, each with an emulator in a process of its own, which is the oracle.  A run is begun, killed in the
middle of its work, and begun again, while files are added and changed.  After the kills and one undisturbed run the
service holds exactly one live document per file, of its last content, and none that nobody knows; and it was sent at
most one upload more per kill where it honours the ids that we choose, else at most the concurrency.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from objlib_fsm.log.replay import projection_drift, rebuild
from objlib_fsm.log.sqlite import SqliteReader, open_for_reading
from tests.crash.machine import Found, main, scratch
from tests.support.command import Place, serving

KILLS_EACH: Final = 20
"""Kills of one library: then it has some 30 files."""

AT_ONCE: Final = 5
"""Libraries at a time: they mostly wait for their services."""

CONCURRENCY: Final = 7
REQUESTS: Final = 30
"""A run is killed at a moment after at most so many answers: six files' work."""

DELAY_S: Final = 0.3
"""And at most so long after that answer: about as long as a call takes here."""

EARLY: Final = 0.1
"""Share of the kills that come while the program is still starting."""

IDLE_S: Final = 1.0
"""When the service was not asked for so long, the run waits for something, and is killed in its sleep."""

LOOK_EVERY_S: Final = 0.02

LAST_RUN_S: Final = 400
"""The undisturbed run waits a minute where an import's answer was lost."""

SERVICES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"latencies": {"upload": [0.05, 0.4], "request": [0.0, 0.1]}},
    {"latencies": {"upload": [0.0, 0.2], "file_processing": [0.2, 1.0], "index": [0.2, 1.5], "operation": [0.0, 1.0]}},
    {"latencies": {"request": [0.1, 0.3], "listing": [0.5, 1.5], "index": [0.0, 0.5]}, "documents_newest_first": True},
    {"latencies": {"upload": [0.05, 0.3], "request": [0.0, 0.1]}, "honours_chosen_ids": False},
    {"latencies": {"upload": [0.05, 0.3], "request": [0.0, 0.1]}, "honours_chosen_ids": "refuse"},
)
"""Settings of the emulator, each with its own moments at which a kill hurts."""

Sabotage = Callable[[Place], None]
"""Called after each kill: the place of seeded defects."""


def nothing(_: Place) -> None:
    """The product as it is."""


def forget_the_write_ahead_log(place: Place) -> None:
    """The seeded defect: a commit that does not outlive the process."""
    for beside in ("log.db-wal", "log.db-shm"):
        (place.log.parent / beside).unlink(missing_ok=True)


class Library:
    """Files, their log, and the service that says what became of them."""

    def __init__(self, folder: Path, number: int, seed: int) -> None:
        folder.mkdir()
        self.place = Place(folder)
        self.number = number
        self.source = random.Random(f"{seed} {number}")
        self.settings = SERVICES[number % len(SERVICES)]
        self.versions: dict[str, list[bytes]] = {}
        self.kills = 0
        self.hit: Counter[str] = Counter()
        for _ in range(CONCURRENCY):
            self.write(f"first{len(self.versions)}.txt")

    def write(self, name: str) -> None:
        """A new file, or new content of one."""
        text = f"{name}: {self.source.getrandbits(64):016x}\n" * self.source.randrange(1, 20)
        self.place.write(name, text)
        self.versions.setdefault(name, []).append(text.encode())

    def change(self) -> None:
        """What happens to a library between two runs: a new file, another content, or nothing."""
        chance = self.source.random()
        if chance < 0.4:
            self.write(f"new{self.kills}.txt")
        if chance > 0.3 and chance < 0.7:
            self.write(self.source.choice(sorted(self.versions)))

    def settings_file(self) -> Path:
        """The emulator's settings, spelt out."""
        spelt = dict(self.settings, seed=self.number)
        if "latencies" in spelt:
            spelt["latencies"] = {
                name: {"low_s": low, "high_s": high} for name, (low, high) in spelt["latencies"].items()
            }
        path = self.place.folder / "settings.json"
        path.write_text(json.dumps(spelt))
        return path

    def words(self, url: str) -> tuple[str, ...]:
        """The command line of a run."""
        return ("run", "docs", "--yes", "--json", "--tier", "tier3", "--endpoint", url)

    def kill_one(self, url: str, sabotage: Sabotage) -> None:
        """Begin a run, and kill it.  It may have ended before; then the kill was none."""
        before = requests(url)
        process = self.place.start(*self.words(url))
        if self.source.random() < EARLY:
            time.sleep(self.source.uniform(0.05, 0.5))
        else:
            self._wait(process, url, before.total() + self.source.randint(1, REQUESTS))
        process.kill()
        _, err = process.communicate()
        if process.returncode == -9:
            self.kills += 1
            log = asked(url)["log"]
            self.hit[log[-1]["endpoint"] if requests(url) != before else "start"] += 1
            sabotage(self.place)
        elif process.returncode != 0:
            raise Found(f"a run ended by itself with exit code {process.returncode}: {err.decode()}")

    def _wait(self, process: subprocess.Popen[bytes], url: str, wanted: int) -> None:
        """Until the service has answered so many requests, or none for a while, or the run ended."""
        seen, since, began = requests(url).total(), time.monotonic(), False
        while process.poll() is None and seen < wanted and not (began and time.monotonic() - since > IDLE_S):
            time.sleep(LOOK_EVERY_S)
            now = requests(url).total()
            if now != seen:
                seen, since, began = now, time.monotonic(), True
        time.sleep(self.source.uniform(0.0, DELAY_S))

    def go(self, kills: int, sabotage: Sabotage) -> None:
        """Kills, then one undisturbed run, then the oracle.  Raises `Found`."""
        with serving(self.place, "--control", "--settings", str(self.settings_file())) as url:
            attempts = 0
            while self.kills < kills:
                self.kill_one(url, sabotage)
                self.change()
                attempts += 1
                if attempts > 3 * kills:
                    raise Found(f"only {self.kills} of {attempts} runs were at work when they were to be killed")
            process = self.place.start(*self.words(url))
            out, err = process.communicate(timeout=LAST_RUN_S)
            if process.returncode != 0:
                raise Found(f"the undisturbed run: exit code {process.returncode}: {err.decode()}{out.decode()[-300:]}")
            self.judge(asked(url))

    def judge(self, state: dict[str, Any]) -> None:
        """What the service holds.  Raises `Found`."""
        paths = self.streams()
        held: dict[str, list[dict[str, Any]]] = {}
        for document in state["documents"]:
            metadata = document["customMetadata"]
            path = paths.get(metadata.get("objlib_stream", ""))
            if path is None:
                raise Found(f"a document that nobody knows: {document}")
            held.setdefault(path, []).append(document)
        for name, versions in self.versions.items():
            payloads = [document["customMetadata"]["objlib_payload"] for document in held.get(name, [])]
            due = hashlib.sha256(versions[-1]).hexdigest()
            if len(payloads) != 1 or not due.startswith(payloads[0]):
                raise Found(f"{name}: {len(payloads)} documents, with payloads {payloads}; one with {due[:20]} is due")
            if held[name][0]["state"] != "STATE_ACTIVE":
                raise Found(f"{name}: its document is {held[name][0]['state']}")
        uploads = state["requests"].get("files.upload.finalize", 0)
        each = 1 if self.settings.get("honours_chosen_ids", True) is True else CONCURRENCY
        most = sum(map(len, self.versions.values())) + each * self.kills
        if uploads > most:
            raise Found(f"{uploads} uploads where {most} are the most")

    def streams(self) -> dict[str, str]:
        """The paths by stream, from a log that is sound.  Raises `Found`."""
        reader = SqliteReader(open_for_reading(self.place.log), self.place.log)
        with contextlib.closing(reader), reader.snapshot():
            rebuilt = rebuild(reader)
            if rebuilt.mismatches or projection_drift(reader, rebuilt):
                raise Found("the projection is not what the events say")
            wrong = [r.path for r in rebuilt.files.values() if r.state.label != "indexed"]
            if wrong:
                raise Found(f"not indexed: {wrong}")
            return {stream: record.path for stream, record in rebuilt.files.items()}


def asked(url: str) -> dict[str, Any]:
    """The emulator's side channel."""
    with urllib.request.urlopen(f"{url}/_emulator/state", timeout=30) as answer:
        state: dict[str, Any] = json.load(answer)
    return state


def requests(url: str) -> Counter[str]:
    """How often each endpoint was asked."""
    return Counter(asked(url)["requests"])


def run(kills: int, seed: int, sabotage: Sabotage = nothing) -> str:
    """So many kills over several libraries; the report.  Raises `Found`."""
    libraries = [min(KILLS_EACH, kills - done) for done in range(0, kills, KILLS_EACH)]
    troubles: list[str] = []
    hit: Counter[str] = Counter()
    turns = threading.Semaphore(AT_ONCE)
    with scratch() as folder:

        def one(number: int, share: int) -> None:
            with turns:
                if troubles:
                    return
                library = Library(folder / str(number), number, seed)
                try:
                    library.go(share, sabotage)
                except Found as found:
                    troubles.append(f"library {number} of seed {seed}, {library.settings}: {found}")
                except Exception as error:
                    troubles.append(f"library {number} of seed {seed}: {error!r}")
                hit.update(library.hit)

        threads = [threading.Thread(target=one, args=arguments) for arguments in enumerate(libraries)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if troubles:
        raise Found(troubles[0])
    where = ", ".join(f"{number} {name}" for name, number in hit.most_common())
    return f"{kills} kills ({where}): one live document per file, no unknown one, no upload too many"


if __name__ == "__main__":
    sys.exit(main("kill9", run, "kill -9 of the command, judged by the service.", kills=100))
