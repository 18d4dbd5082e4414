"""The real world, as the engine is given it."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread

from objlib_fsm.core.ids import SHORT_ID_BYTES, RunId, short_id
from objlib_fsm.engine.clock import SystemClock
from objlib_fsm.engine.session import Shell
from objlib_fsm.log.file import open_log
from objlib_fsm.log.lease import this_process


@contextlib.contextmanager
def opened_shell(log: Path, actor: str) -> Iterator[Shell]:
    """The log at that place, made when there is none, with clock, randomness and threads.  Raises `LogError`."""
    clock, run = SystemClock(), RunId(short_id(os.urandom(SHORT_ID_BYTES)))
    run_sync = functools.partial(anyio.to_thread.run_sync)
    opened = open_log(
        log,
        run=run,
        actor=actor,
        run_sync=run_sync,
        random_bytes=os.urandom,
        now_us=clock.now_us(),
        make=True,
    )
    try:
        yield Shell(opened, clock, os.urandom, run_sync, run, this_process(), Path(tempfile.gettempdir()))
    finally:
        opened.close()
