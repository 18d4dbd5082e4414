"""A world whose store and log have come apart, and the comparison of the two."""

from __future__ import annotations

import io
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from google.genai import types

from objlib_fsm.core.ids import StoreName
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.settings import Settings
from objlib_fsm.engine import sync
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.listed import Listing
from objlib_fsm.engine.reconcile import Reconciler
from objlib_fsm.engine.store import check_store
from objlib_fsm.remote.gemini import GeminiRemote
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world


def in_world(
    tmp_path: Path,
    story: Callable[[World], Awaitable[None]],
    settings: Settings | None = None,
    rules: tuple[Rule, ...] = (),
) -> None:
    """Tell *story* in a world of its own."""

    async def main() -> None:
        async with world(tmp_path, settings, rules) as w:
            await story(w)

    run_virtual(main)


def fill(w: World, files: int, first: int = 0) -> None:
    """So many files, each with words of its own."""
    for number in range(first, first + files):
        w.write(f"file{number:03}.txt", f"File number {number} speaks about the number {number}.\n")


def back_up(w: World) -> Path:
    """A copy of the log as it is now."""
    copy = w.folder / "copy.db"
    log = w.open("backup")
    log.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log.close()
    shutil.copy(w.folder / ".objlib" / "log.db", copy)
    return copy


def restore(w: World, copy: Path) -> None:
    """The log is the copy again."""
    place = w.folder / ".objlib" / "log.db"
    for name in (place.name + "-wal", place.name + "-shm"):
        place.with_name(name).unlink(missing_ok=True)
    shutil.copy(copy, place)


def store_of(w: World) -> StoreName:
    """The pinned store."""
    log = w.open("look")
    pin = log.library().pin
    log.close()
    assert pin is not None
    return pin.store


async def delete(w: World, name: str) -> None:
    """Somebody else deletes the document of that file."""
    document = w.records()[name].document
    assert document is not None
    async with w.remote() as remote:
        await remote.delete_document(document.name)


async def foreign(w: World, display_name: str = "notes") -> None:
    """Somebody else puts a document into the store."""
    async with w.remote() as remote:
        assert isinstance(remote, GeminiRemote)
        config = types.UploadToFileSearchStoreConfig(display_name=display_name, mime_type="text/plain")
        await remote._stores.upload_to_file_search_store(
            file_search_store_name=store_of(w), file=io.BytesIO(b"not ours\n"), config=config
        )
    await w.clock.sleep(120)


class Compared:
    """One comparison, and what it found."""

    def __init__(self, comparison: sync.Comparison, findings: list[sync.Finding]) -> None:
        self.comparison = comparison
        self.findings = findings

    @property
    def signs(self) -> dict[str, int]:
        """Documents per sign, those that are there at all."""
        return {sign.value: number for sign, number in self.comparison.signs.items() if number}


async def compare(
    w: World,
    *,
    mend: bool = False,
    path: Path | None = None,
    after_s: float = 120,
    say: Callable[[str], None] = lambda text: None,
) -> Compared:
    """List and compare, when what was done last has settled; mend when asked."""
    await w.clock.sleep(after_s)
    log = w.open("store-sync")
    shell = w.shell(log, log.run)
    try:
        async with w.remote() as remote:
            reconciler = Reconciler(Journal(log, w.clock, shell.random_bytes), log, remote, w.pace, say=say)
            store = await check_store(w.clock, remote, store_of(w))
            listing = await reconciler.listed(store, path)
            assert isinstance(listing, Listing)
            comparison = await reconciler.compared(listing)
            findings = list(sync.findings(listing))
            if mend:
                await reconciler.mended(listing, comparison)
            listing.discard()
            return Compared(comparison, findings)
    finally:
        log.close()
