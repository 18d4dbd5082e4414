"""A process that appends: ``python -m tests.log.appender FILE NAME COUNT``.

A third of its appends go to files of its own, a third to one stream that every process writes to at any version, and
a third to that stream at an exact version, again and again until no other process came first.  Each acknowledged
event id is a line on stdout, written after its append returned.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio

from objlib_fsm.core.ids import RunId
from objlib_fsm.log.contract import Append, Expect, NewEvent, VersionConflict
from objlib_fsm.log.file import LogFile, open_log
from tests.log.kit import NOW_US, append, discovered, in_thread, stream, touched

SHARED = "shared"
TASKS = 20


def acknowledge(one: Append) -> None:
    """Say that it is durable."""
    os.write(1, "".join(f"{new.id}\n" for new in one.events).encode())


async def at_exact_version(log: LogFile, number: int) -> Append:
    """Decide again after every conflict, as the program does."""
    events = append(SHARED, 1, touched(number)).events
    while True:
        one = Append(stream(SHARED), log.version(stream(SHARED)), events, NOW_US)
        try:
            await log.append(one)
        except VersionConflict:
            continue
        return one


async def work(log: LogFile, name: str, numbers: list[int]) -> None:
    """One task's share."""
    while numbers:
        number = numbers.pop()
        if number % 3 == 0:
            one = append(f"{name}{number}", Expect.NO_STREAM, discovered(f"{name}/{number}"))
            await log.append(one)
        elif number % 3 == 1:
            one = append(SHARED, Expect.EXISTS, touched(number))
            await log.append(one)
        else:
            one = await at_exact_version(log, number)
        acknowledge(one)


async def main(path: Path, name: str, count: int) -> None:
    """Append, then end."""
    log = open_log(
        path,
        run=RunId(name.ljust(16, "r")),
        actor="test",
        run_sync=in_thread,
        random_bytes=os.urandom,
        now_us=NOW_US,
        make=True,
    )
    try:
        (outcome,) = await log.append_all(
            [Append(stream(SHARED), Expect.NO_STREAM, (NewEvent(f"{name}0".ljust(32, "0"), discovered("shared")),), 1)]  # type: ignore[arg-type]
        )
        assert outcome is not None
        numbers = list(range(count))
        async with anyio.create_task_group() as tasks:
            for _ in range(TASKS):
                tasks.start_soon(work, log, name, numbers)
    finally:
        log.close()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
