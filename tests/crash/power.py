"""Power cuts: ``python -m tests.crash.power --images 5000 --seed 1``.

Each workload is carried out once on a disk that remembers.  Then, for every operation of it, images are made of what
a power cut just there may leave (see `disk`), and the product opens them: nothing corrupt, nothing that was
acknowledged lost, no gap, the projection what the events say, and appending goes on.
"""

from __future__ import annotations

import bisect
import itertools
import random
import sys
from pathlib import Path
from typing import Any, Final

from objlib_fsm.log.contract import Expect, LogError
from objlib_fsm.log.file import LogFile
from tests.crash.disk import Medium, Op, recorded
from tests.crash.machine import Found, main, scratch
from tests.crash.workloads import NEXT, WORKLOADS, Adjust, all_ids, inline, leave_alone, step_forward
from tests.log.kit import append, check, discovered, open_at, tamper

GOES_ON: Final = 10
"""One image in so many is also appended to."""

ANOTHER_TURN: Final = 1_000_003
"""Between the seeds of two turns, so that no two turns make the same images."""


class Recording:
    """A workload's operations, and after how many of them each event was acknowledged."""

    def __init__(self, name: str, adjust: Adjust = leave_alone) -> None:
        self.name = name
        self.ops: list[Op] = []
        self.acknowledged_at: list[int] = []
        self.acknowledged: list[str] = []
        with scratch() as folder, recorded(folder) as disk:
            WORKLOADS[name](folder / "log.db", lambda event_id: self._note(event_id, len(disk.ops)), adjust)
            self.ops = disk.ops

    def _note(self, event_id: str, ops: int) -> None:
        self.acknowledged.append(event_id)
        self.acknowledged_at.append(ops)

    def due(self, ops: int) -> list[str]:
        """What had been acknowledged when so many operations were done."""
        return self.acknowledged[: bisect.bisect_right(self.acknowledged_at, ops)]


def write_image(folder: Path, image: dict[str, bytes]) -> Path:
    """The files of an image, in an empty folder."""
    for old in folder.iterdir():
        old.unlink()
    for name, content in image.items():
        (folder / name).write_bytes(content)
    return folder / "log.db"


def look(path: Path, due: list[str], *, migrating: bool, goes_on: bool) -> None:
    """Open what is left as the product does, and hold it against what was promised.  Raises `Found`."""
    try:
        if migrating and path.exists() and path.stat().st_size:
            step_forward(path)
            tamper(path, f"DROP TABLE more; PRAGMA user_version={NEXT.number - 1}")
        log = open_at(path, run_sync=inline)
    except LogError as error:
        raise Found(f"it does not open: {error}") from error
    try:
        _hold(log, due, goes_on=goes_on)
    except (LogError, AssertionError) as error:
        raise error if isinstance(error, Found) else Found(f"it is not sound: {error}") from error
    finally:
        log.close()


def _hold(log: LogFile, due: list[str], *, goes_on: bool) -> None:
    there = set(all_ids(log))
    lost = [number for number, event_id in enumerate(due) if event_id not in there]
    if lost:
        raise Found(f"{len(lost)} of {len(due)} acknowledged events are lost, the first is number {lost[0]}")
    check(log)
    if goes_on:
        log.append_now(append("afterwards", Expect.NO_STREAM, discovered("afterwards")))
        check(log)


def cut(recording: Recording, images: int, seed: int, folder: Path) -> int:
    """*images* images of one workload, spread over its operations; how many there were.  Raises `Found`.

    Fewer where everything is on the disk: every power cut leaves the same then.
    """
    medium, made, operations = Medium({}), 0, len(recording.ops)
    for done, op in enumerate(recording.ops, 1):
        medium.feed(op)
        here = done * images // operations - (done - 1) * images // operations
        for number in range(min(1, here) if medium.certain else here):
            source = random.Random(f"{seed} {recording.name} {done} {number}")
            path = write_image(folder, medium.image(source))
            made += 1
            try:
                look(
                    path,
                    recording.due(done),
                    migrating=recording.name == "migration",
                    goes_on=made % GOES_ON == 0,
                )
            except Found as found:
                raise Found(
                    f"{recording.name}, after operation {done} ({op}), image {number} of seed {seed}: {found}"
                ) from found
    return made


def run(images: int, seed: int, adjust: Adjust = leave_alone) -> str:
    """All workloads until there were *images* images; the report.  Raises `Found`."""
    recordings = [Recording(name, adjust) for name in WORKLOADS]
    made: dict[str, int] = dict.fromkeys(WORKLOADS, 0)
    with scratch() as folder:
        for turn in itertools.count():
            left = images - sum(made.values())
            if left <= 0:
                break
            for recording in recordings:
                share = max(1, left // len(recordings))
                made[recording.name] += cut(recording, share, seed + turn * ANOTHER_TURN, folder)
    spread = ", ".join(f"{number} {name}" for name, number in made.items())
    return f"{sum(made.values())} images ({spread}): 0 corrupt, 0 acknowledged events lost, 0 gaps"


def weakened(level: str) -> Adjust:
    """The seeded defect: the product with another ``synchronous``."""

    def adjust(log: LogFile) -> None:
        log._writer.connection.execute(f"PRAGMA synchronous={level}")

    return adjust


def _main(images: int, seed: int, synchronous: str) -> Any:
    return run(images, seed, leave_alone if synchronous == "FULL" else weakened(synchronous))


if __name__ == "__main__":
    sys.exit(main("power", _main, "Power cuts at every operation.", images=5_000, synchronous="FULL"))
