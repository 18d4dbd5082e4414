"""The real world, as the engine is given it."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from objlib_fsm.core.ids import SHORT_ID_BYTES, RunId, short_id
from objlib_fsm.engine.clock import SystemClock
from objlib_fsm.engine.entropy import SystemEntropy
from objlib_fsm.engine.session import Shell
from objlib_fsm.log.file import open_log
from objlib_fsm.log.lease import this_process
from objlib_fsm.log.writer import RunSync

READING_THREADS: Final = 4
"""Threads that read files: as many as a scan uses.  Each thread keeps memory of its own in the C library, and with the
usual forty a run over 10,000 files of 276 MB needed 172 MB instead of some 140."""

COMMITTING_THREADS: Final = 1
"""Commits take turns; they do not wait behind a slow disk of the library."""


@contextlib.contextmanager
def opened_shell(log: Path, actor: str) -> Iterator[Shell]:
    """The log at that place, made when there is none, with clock, randomness and threads.  Raises `LogError`."""
    clock, entropy = SystemClock(), SystemEntropy()
    run = RunId(short_id(entropy(SHORT_ID_BYTES)))
    opened = open_log(
        log,
        run=run,
        actor=actor,
        run_sync=_threads(COMMITTING_THREADS),
        random_bytes=entropy,
        now_us=clock.now_us(),
        make=True,
    )
    try:
        reading = _threads(READING_THREADS)
        yield Shell(opened, clock, entropy, reading, run, this_process(), Path(tempfile.gettempdir()))
    finally:
        opened.close()


def _threads(most: int) -> RunSync:
    """At most so many worker threads."""
    return functools.partial(anyio.to_thread.run_sync, limiter=anyio.CapacityLimiter(most))
