"""How fast the log is, against its peers, in one run: ``python -m tests.bench.bench_log``.

Absolute figures depend on the machine and on who else uses it; the ratios are what counts.  Each round measures every
contender once, one after the other, so that what disturbs one disturbs its neighbours; the ratio is the median over
the rounds.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
import apsw

from objlib_fsm.core.codec import CODEC
from objlib_fsm.core.ids import RunId
from objlib_fsm.log import chain, replay
from objlib_fsm.log.contract import Append
from objlib_fsm.log.file import LogFile, open_log
from objlib_fsm.log.sqlite import SqliteReader, open_for_reading
from tests.bench.peers import Bare, BareAio, Peer, rows_of
from tests.bench.workload import START_US, Lives

TASKS: Final = 100
"""Concurrent tasks that append."""

PEER_APPENDS: Final = 4_000
"""Appends of the peer: a second's worth; its rate does not depend on the number."""

LOAD: Final = 1_000
"""Appends in one transaction while a log is filled for the replay."""

TARGETS: Final = {"append / eventsourcing": 8.0, "append / bare loop": 0.6, "replay / eventsourcing": 5.0}
"""The project's own targets (ratios)."""

Item = TypeVar("Item")


async def _in_threads(function: Callable[..., Any], *arguments: Any) -> Any:
    return await anyio.to_thread.run_sync(functools.partial(function, *arguments))


def _open(folder: Path) -> LogFile:
    return open_log(
        folder / "log" / "log.db",
        run=RunId("r" * 16),
        actor="bench",
        run_sync=_in_threads,
        random_bytes=os.urandom,
        now_us=START_US,
        make=True,
    )


async def _drive(files: Sequence[Iterable[Item]], append: Callable[[Item], Awaitable[Any]]) -> float:
    """Seconds that `TASKS` tasks take to append all files, each task one file after the other."""
    waiting = iter(files)

    async def task() -> None:
        for appends in waiting:
            for one in appends:
                await append(one)

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(TASKS):
            group.start_soon(task)
    return time.perf_counter() - began


def append_ours(folder: Path, files: Sequence[Sequence[Append]]) -> float:
    """Appends per second of the log."""
    log = _open(folder)
    try:
        return sum(map(len, files)) / anyio.run(_drive, files, log.append)
    finally:
        log.close()


def append_bare(folder: Path, files: Sequence[Sequence[Any]], kind: type[Bare] = Bare) -> float:
    """Appends per second of the bare loop."""

    async def run() -> float:
        bare = kind(folder)
        async with anyio.create_task_group() as group:
            group.start_soon(bare.commit_for_ever)
            seconds = await _drive(files, bare.append)
            group.cancel_scope.cancel()
        bare.close()
        return seconds

    return sum(map(len, files)) / anyio.run(run)


def append_peer(folder: Path, files: Sequence[Sequence[Append]]) -> float:
    """Commands per second of `eventsourcing`."""
    peer = Peer(folder)
    commands = peer.events(files)[:PEER_APPENDS]
    began = time.perf_counter()
    peer.put(commands)
    seconds = time.perf_counter() - began
    peer.close()
    return len(commands) / seconds


class ReplayBench:
    """A log and a peer's store of the same events."""

    def __init__(self, folder: Path, files: Sequence[Sequence[Append]]) -> None:
        appends = [append for file in files for append in file]
        log = _open(folder)
        for start in range(0, len(appends), LOAD):
            log.append_many_now(appends[start : start + LOAD])
        self._path = log.path
        log.close()
        self._peer = Peer(folder)
        commands = self._peer.events(files)
        for start in range(0, len(commands), LOAD):
            self._peer.put([[event for command in commands[start : start + LOAD] for event in command]])

    def ours(self) -> float:
        """Events per second of a replay: read, chain, decode, fold."""
        reader = SqliteReader(open_for_reading(self._path), self._path)
        began = time.perf_counter()
        rebuilt = replay.rebuild(reader)
        seconds = time.perf_counter() - began
        assert not replay.projection_drift(reader, rebuilt)
        assert not rebuilt.mismatches
        reader.close()
        return rebuilt.events / seconds

    def chain_alone(self) -> float:
        """Events per second of checking the chain and nothing else: a part of every replay."""
        query = f"SELECT CAST({chain.ROW_TEXT} AS BLOB), hash FROM events ORDER BY position"
        db = open_for_reading(self._path)
        before, count, began = chain.GENESIS, 0, time.perf_counter()
        for text, link in db.execute(query):
            before = hashlib.sha256(before + text).digest()
            assert before == link
            count += 1
        return count / (time.perf_counter() - began)

    def decode_alone(self) -> float:
        """Events per second of reading and decoding, which is all that the peer's scan does."""
        db, decode = open_for_reading(self._path), CODEC.decode
        count, began = 0, time.perf_counter()
        for kind, schema, body in db.execute("SELECT kind, schema, body FROM events ORDER BY position"):
            decode(kind, schema, body)
            count += 1
        return count / (time.perf_counter() - began)

    def peer(self) -> float:
        """Events per second of the peer's scan with decode."""
        began = time.perf_counter()
        count = self._peer.scan()
        return count / (time.perf_counter() - began)

    def close(self) -> None:
        """Close the peer's store."""
        self._peer.close()


def measure(files: int, replay_files: int, rounds: int, folder: Path) -> dict[str, list[float]]:
    """The rates of each contender in each round."""
    rates: dict[str, list[float]] = {}
    lives = list(Lives(seed=1).files(files))
    rows = rows_of(lives)
    contenders: dict[str, Callable[[Path], float]] = {
        "append: eventsourcing": lambda place: append_peer(place, lives),
        "append: bare loop": lambda place: append_bare(place, rows),
        "append: objlib-fsm": lambda place: append_ours(place, lives),
        "append: bare loop, apsw.aio": lambda place: append_bare(place, rows, BareAio),
    }
    for _ in range(rounds):
        for name, contender in contenders.items():
            place = Path(tempfile.mkdtemp(dir=folder))
            rates.setdefault(name, []).append(contender(place))
            shutil.rmtree(place)
    replays = ReplayBench(folder, list(Lives(seed=2).files(replay_files)))
    for _ in range(rounds):
        rates.setdefault("replay: eventsourcing", []).append(replays.peer())
        rates.setdefault("replay: objlib-fsm", []).append(replays.ours())
        rates.setdefault("replay: chain alone", []).append(replays.chain_alone())
        rates.setdefault("replay: decode alone", []).append(replays.decode_alone())
    replays.close()
    return rates


def ratios(rates: dict[str, list[float]]) -> dict[str, float]:
    """The median over the rounds of ours by theirs."""

    def ratio(ours: str, theirs: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[ours], rates[theirs], strict=True))

    return {
        "append / eventsourcing": ratio("append: objlib-fsm", "append: eventsourcing"),
        "append / bare loop": ratio("append: objlib-fsm", "append: bare loop"),
        "replay / eventsourcing": ratio("replay: objlib-fsm", "replay: eventsourcing"),
        "chain alone / eventsourcing": ratio("replay: chain alone", "replay: eventsourcing"),
        "decode alone / eventsourcing": ratio("replay: decode alone", "replay: eventsourcing"),
        "apsw.aio / worker thread": ratio("append: bare loop, apsw.aio", "append: bare loop"),
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=3_000, help="files whose life is appended (six appends each)")
    parser.add_argument("--replay-files", type=int, default=12_000, help="files in the log that is replayed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--folder", type=Path, help="where to put the databases (default: the temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rates = measure(options.files, options.replay_files, options.rounds, Path(folder))
    found = ratios(rates)
    write = sys.stdout.write
    write(f"{'per second':32} {'median':>10}   rounds\n")
    for name, values in rates.items():
        each = " ".join(f"{value:,.0f}" for value in values)
        write(f"{name:32} {statistics.median(values):10,.0f}   {each}\n")
    write("\n")
    for name, value in found.items():
        target = TARGETS.get(name)
        write(f"{name:32} {value:10.2f}" + (f"   target {target:g}\n" if target else "\n"))
    if options.json:
        about = {"python": platform.python_version(), "sqlite": apsw.sqlite_lib_version(), "cores": os.cpu_count()}
        report = {"about": about, "rates": rates, "ratios": found, "targets": TARGETS}
        options.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
