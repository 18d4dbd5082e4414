"""A log of many files, through the log's own appends: ``python -m tests.bench.make_log FILE COUNT``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import anyio
import anyio.to_thread

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.core.ids import EventId, RunId, short_id
from objlib_fsm.log.contract import Append, AppendRefused, Expect, NewEvent
from objlib_fsm.log.file import LogFile, open_log
from tests.bench.workload import START_US, STORE, Lives

FILES_AT_ONCE = 500
"""Files whose lives are appended side by side."""


async def fill(log: LogFile, files: int, seed: int = 1) -> None:
    """Append the lives of so many files, a store and a library."""
    notes = (e.LibraryRooted("/library"), e.StorePinned(STORE, "objlib", "local"))
    for event in notes:
        new = NewEvent(EventId(short_id(os.urandom(16))), event)
        await log.append(Append(LIBRARY_STREAM, Expect.ANY, (new,), START_US))
    lives = Lives(seed)
    done = 0
    while done < files:
        count = min(FILES_AT_ONCE, files - done)
        waiting = [lives.file(done + number) for number in range(count)]
        done += count
        while waiting:
            for outcome in await log.append_all([life.pop(0) for life in waiting]):
                if isinstance(outcome, AppendRefused):
                    raise outcome
            waiting = [life for life in waiting if life]


def make_log(path: Path, files: int) -> None:
    """A log of *files* files at *path*."""
    log = open_log(
        path,
        run=RunId(short_id(os.urandom(10))),
        actor="bench",
        run_sync=anyio.to_thread.run_sync,
        random_bytes=os.urandom,
        now_us=START_US,
        make=True,
    )
    try:
        anyio.run(fill, log, files)
    finally:
        log.close()


if __name__ == "__main__":
    began = time.perf_counter()
    make_log(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stderr.write(f"{sys.argv[2]} files in {time.perf_counter() - began:.1f} s\n")
