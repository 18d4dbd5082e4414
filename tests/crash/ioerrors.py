"""Every operation on the disk failing: ``python -m tests.crash.ioerrors``.

Each workload is carried out on a disk whose n-th operation fails, once or from then on, for every n and each error.
Whatever the product answers is a `LogError`; when the disk works again nothing that was acknowledged is lost, the log
is sound, and appending goes on.  ``--recovery`` fails the operations of opening what power cuts left, too.
"""

from __future__ import annotations

import itertools
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from objlib_fsm.log.contract import LogError
from objlib_fsm.log.file import LogFile
from tests.crash.disk import ERRORS, Failing, Medium, failing
from tests.crash.machine import Found, main, scratch
from tests.crash.power import GOES_ON, Recording, look, write_image
from tests.crash.workloads import WORKLOADS, Adjust, inline, leave_alone
from tests.log.kit import open_at, settle

RECOVERIES_EACH: Final = 12
"""Images of each workload that are opened on a failing disk."""


def attempt(what: str, use: Callable[[], object]) -> None:
    """*use* ends, or with an error class of the product.  Raises `Found` for anything else."""
    try:
        use()
    except LogError as error:
        if not error.hint:
            raise Found(f"{what}: no hint: {error}") from error
    except Exception as error:
        raise Found(f"{what}: {type(error).__name__}: {error}") from error


def sweep(
    name: str,
    disk: Failing,
    prepare: Callable[[], list[str]],
    use: Callable[[Callable[[str], None]], object],
    after: Callable[[list[str], bool], None],
) -> int:
    """*use*, with the first, the second, … operation failing, until one comes through; how often it was tried.

    *prepare* makes the files, and says what they must still hold; *after* looks at what is left, and now and then
    appends to it.
    """
    tried = 0
    for error, for_ever in itertools.product(ERRORS, (False, True)):
        for n in itertools.count(1):
            acknowledged = prepare()
            disk.arm(n, error, for_ever=for_ever)
            what = f"{name}, operation {n} fails with {error} {'for good' if for_ever else 'once'}"
            attempt(what, lambda: use(acknowledged.append))  # noqa: B023 - used at once
            reached = disk.done >= n
            disk.disarm()
            try:
                after(acknowledged, tried % GOES_ON == 0)
            except Found as found:
                raise Found(f"{what}: {found}") from found
            tried += 1
            if not reached:
                break
    return tried


def working(disk: Failing, name: str, folder: Path, adjust: Adjust) -> int:
    """The sweep over a workload.  One of them makes its log, the others find an empty one."""
    path, empty = folder / "log.db", folder.with_name("empty.db")
    if not empty.exists():
        settle(open_at(empty, run_sync=inline))

    def prepare() -> list[str]:
        shutil.rmtree(folder)
        folder.mkdir()
        if name != "appends":
            shutil.copy(empty, path)
        return []

    def after(acknowledged: list[str], goes_on: bool) -> None:
        look(path, acknowledged, migrating=name == "migration", goes_on=goes_on)

    return sweep(name, disk, prepare, lambda note: WORKLOADS[name](path, note, adjust, 1), after)


def recovering(disk: Failing, recording: Recording, folder: Path, seed: int) -> int:
    """The sweep over opening what power cuts left of a workload."""
    source = random.Random(f"{seed} {recording.name}")
    tried = 0
    wanted = sorted(source.sample(range(1, len(recording.ops)), RECOVERIES_EACH))
    medium = Medium({})
    for done, op in enumerate(recording.ops, 1):
        medium.feed(op)
        if done not in wanted:
            continue
        image, due = medium.image(source), recording.due(done)
        path = folder / "log.db"

        def prepare(image: dict[str, bytes] = image, due: list[str] = due) -> list[str]:
            write_image(folder, image)
            return list(due)

        def use(_: Callable[[str], None], path: Path = path) -> None:
            open_at(path, run_sync=inline).close()

        def after(acknowledged: list[str], goes_on: bool, path: Path = path) -> None:
            look(path, acknowledged, migrating=False, goes_on=goes_on)

        tried += sweep(f"{recording.name}, cut after operation {done} of seed {seed}", disk, prepare, use, after)
    return tried


def run(seed: int, recovery: bool, adjust: Adjust = leave_alone, names: tuple[str, ...] = tuple(WORKLOADS)) -> str:
    """All workloads; the report.  Raises `Found`."""
    tried = dict.fromkeys(names, 0)
    cuts = 0
    recordings = [Recording(name) for name in names if recovery and name != "migration"]
    with scratch() as folder, failing() as disk:
        (folder / "work").mkdir()
        for name in names:
            tried[name] = working(disk, name, folder / "work", adjust)
        for recording in recordings:
            cuts += recovering(disk, recording, folder / "work", seed)
    spread = ", ".join(f"{number} {name}" for name, number in tried.items())
    return (
        f"{sum(tried.values())} failures ({spread})"
        + (f" and {cuts} during recovery" if recovery else "")
        + ": 0 acknowledged events lost, no other error than the product's own"
    )


def acknowledging_failures(log: LogFile) -> None:
    """The seeded defect: a commit that failed is taken for done."""
    log._committer._resolve = lambda *_: None  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main("ioerrors", run, "Every operation on the disk fails once and for good.", recovery=False))
