"""A log that was put back from an old copy: what was sent since is found, whatever the store counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

FILES = 30
LATER_S = (600.0, 72 * 3_600.0)
"""While the raw files live, and when they have expired."""


def keep(w: World) -> Path:
    kept = w.folder / "kept"
    shutil.copytree(w.folder / ".objlib", kept)
    return kept


def put_back(w: World, kept: Path) -> None:
    shutil.rmtree(w.folder / ".objlib")
    shutil.copytree(kept, w.folder / ".objlib")


async def indexed(w: World) -> Path:
    for number in range(FILES):
        w.write(f"{number:02}.txt", f"This is number {number}.\n")
    assert (await w.run()).exit_code == 0
    return keep(w)


@pytest.mark.parametrize("later_s", LATER_S)
def test_changed_files_that_leave_the_count_as_it_was(tmp_path: Path, later_s: float) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            kept = await indexed(w)
            for number in range(10):
                w.write(f"{number:02}.txt", f"This is another {number}.\n")
            assert (await w.run()).exit_code == 0
            await w.clock.sleep(later_s)
            put_back(w, kept)
            summary = await w.run()
            assert (summary.exit_code, summary.sync_due) == (0, False)
            assert await w.check() == {"indexed": FILES}

    run_virtual(main)


def test_what_the_store_has_already_is_not_imported_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            kept = await indexed(w)
            w.write("00.txt", "This is another.\n")
            await w.run()
            put_back(w, kept)
            assert (await w.run()).exit_code == 0
            assert "import_intended" not in w.kinds("00.txt")[w.kinds("00.txt").index("content_changed") :]
            assert await w.check() == {"indexed": FILES}

    run_virtual(main)


@pytest.mark.parametrize("later_s", LATER_S)
def test_added_renamed_and_removed_files(tmp_path: Path, later_s: float) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            kept = await indexed(w)
            w.write("new.txt", "I am new.\n")
            w.write("short.txt", "I will not last.\n")
            (w.library / "00.txt").rename(w.library / "moved.txt")
            assert (await w.run()).exit_code == 0
            (w.library / "short.txt").unlink()
            await w.clock.sleep(later_s)
            put_back(w, kept)
            summary = await w.run()
            assert (summary.exit_code, summary.sync_due) == (0, False)
            live = [document.name for record in w.records().values() for document in record.live_documents]
            assert len(live) == FILES + 1
            assert {document.name for document in await w.documents()} == set(live)  # Some were taken over.

    run_virtual(main)
