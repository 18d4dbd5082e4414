"""`run` of small files against the local store, beside a bare loop that makes the same SDK calls and keeps no log.

    python -m tests.bench.bench_run [FILES] [ROUNDS]

Three programs, in turn, in one process:

- *bare*: read, hash, upload, import, get operation, get document; seven at a time; nothing is recorded.
- *floor*: the same with one row committed durably before each call that changes something, and nothing else: what
  durable intents alone cost.
- *run*: the engine as the command line starts it, with scan, event log, chain and projection.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import apsw

from objlib_fsm.core.ids import LibraryId, RunId, StoreName, StreamId, payload_id, raw_file_for, short_id
from objlib_fsm.emulator.inprocess import local_service
from objlib_fsm.engine import session as s
from objlib_fsm.engine.clock import SystemClock
from objlib_fsm.engine.entropy import SystemEntropy
from objlib_fsm.engine.perform import Pace
from objlib_fsm.engine.progress import Progress
from objlib_fsm.engine.runner import Stop
from objlib_fsm.log import lease
from objlib_fsm.log.file import open_log
from objlib_fsm.remote.gemini import GeminiRemote

Intent = Callable[[str], Awaitable[None]]


async def run_sync(function: Callable[..., Any], *arguments: Any) -> Any:
    """A worker thread, as in the product."""
    return await anyio.to_thread.run_sync(functools.partial(function, *arguments))


def make_library(folder: Path, files: int) -> Path:
    """*files* small text files."""
    library = folder / "library"
    library.mkdir()
    for number in range(files):
        (library / f"note-{number:05}.txt").write_text(f"Note {number} says something about the number {number}.\n" * 8)
    return library


@asynccontextmanager
async def fresh_remote(folder: Path) -> AsyncIterator[GeminiRemote]:
    """An empty local store behind the real SDK."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        async with local_service(Path(data) / "store.db") as service:
            remote = GeminiRemote("bench", base_url=service.base_url, transport=service.transport)
            yield remote
            await remote.aclose()


async def no_intent(text: str) -> None:
    """The bare loop records nothing."""


async def one_file(remote: GeminiRemote, store: StoreName, path: Path, data: bytes, intent: Intent) -> None:
    """The calls of one file's life."""
    digest = hashlib.sha256(data).hexdigest()
    name = raw_file_for(LibraryId("bench"), StreamId(path.name), digest, 0)
    await intent(f"upload {name}")
    raw = await remote.upload(
        name, io.BytesIO(data), size_bytes=len(data), mime_type="text/plain", display_name=path.name
    )
    await intent(f"import {raw.name}")
    marks = {"objlib_library": "bench", "objlib_stream": path.name, "objlib_payload": payload_id(digest)}
    operation = await remote.import_raw(store, raw.name, marks)
    status = await remote.get_operation(operation)
    assert status.document is not None
    assert (await remote.get_document(status.document)).state == "STATE_ACTIVE"


async def bare(folder: Path, library: Path, intent: Intent = no_intent) -> float:
    """Seconds for the whole library without a log."""
    paths = sorted(library.iterdir())  # noqa: ASYNC240  (before the clock runs)
    async with fresh_remote(folder) as remote:
        store = (await remote.create_store("bench")).name
        began = time.perf_counter()
        files = ((path, path.read_bytes()) for path in paths)

        async def loop() -> None:
            for path, data in files:
                await one_file(remote, store, path, data, intent)

        async with anyio.create_task_group() as tasks:
            for _ in range(s.CONCURRENCY):
                tasks.start_soon(loop)
        return time.perf_counter() - began


async def floor(folder: Path, library: Path) -> float:
    """Seconds with a durable row before each call that changes something."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        db = apsw.Connection(str(Path(data) / "intents.db"))
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE intent (text TEXT) STRICT")

        def write(text: str) -> None:
            db.execute("INSERT INTO intent VALUES (?)", (text,))

        lock = anyio.Lock()

        async def intent(text: str) -> None:
            async with lock:
                await run_sync(write, text)

        seconds = await bare(folder, library, intent)
        db.close()
        return seconds


async def product(folder: Path, library: Path) -> float:
    """Seconds of a scan and a run as the command line makes them."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        clock, entropy = SystemClock(), SystemEntropy()
        run = RunId(short_id(entropy(10)))
        log = open_log(
            Path(data) / "log.db",
            run=run,
            actor="run",
            run_sync=run_sync,
            random_bytes=entropy,
            now_us=clock.now_us(),
            make=True,
        )
        shell = s.Shell(log, clock, entropy, run_sync, run, lease.this_process(), Path(data))
        began = time.perf_counter()
        async with s.Session(shell) as session:
            await s.scan(session.journal, shell, library, [Path(data)])
            service = s.Service(lambda: fresh_remote(folder), "bench", Pace())
            summary = await session.run(service, s.Options(), Progress(), Stop(), library)
        seconds = time.perf_counter() - began
        log.close()
        assert summary.exit_code == 0, summary
        return seconds


async def measure(files: int, rounds: int) -> dict[str, Any]:
    """Medians over *rounds*, the programs taking turns."""
    seconds: dict[str, list[float]] = {"bare": [], "floor": [], "run": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = make_library(folder, files)
        await bare(folder, library)
        for _ in range(rounds):
            seconds["bare"].append(await bare(folder, library))
            seconds["floor"].append(await floor(folder, library))
            seconds["run"].append(await product(folder, library))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "files": files,
        "rounds": rounds,
        **{f"{name}_s": round(value, 3) for name, value in median.items()},
        "floor_ratio": round(median["floor"] / median["bare"], 2),
        "run_ratio": round(median["run"] / median["bare"], 2),
    }


def main() -> None:
    """Measure and print one JSON object."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    sys.stdout.write(json.dumps(anyio.run(measure, files, rounds)) + "\n")


if __name__ == "__main__":
    main()
