"""Which log, which library, and what of ours lies beside them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from objlib_fsm.cli.options import Invocation, WrongUse

if TYPE_CHECKING:
    from objlib_fsm.log.sqlite import SqliteReader

FOLDER: Final = ".objlib"
LOG_NAME: Final = "log.db"
LOCAL_STORE: Final = "local-store.db"
EMULATOR: Final = "emulator.db"


def log_path(inv: Invocation) -> Path:
    """``--db``, else ``$OBJLIB_DB``, else the nearest ``.objlib/log.db`` upward, else a new one in this folder."""
    if inv.db is not None:
        return inv.db
    named = os.environ.get("OBJLIB_DB", "")
    if named:
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        candidate = folder / FOLDER / LOG_NAME
        if candidate.exists():
            return candidate
    return here / FOLDER / LOG_NAME


def there_is_a_log(path: Path) -> bool:
    """Whether a log was begun there.

    A program that was killed while it made one leaves a file with nothing in it.  Raises `LogError`.
    """
    from objlib_fsm.log.contract import NoLog
    from objlib_fsm.log.sqlite import open_for_reading, shut

    try:
        shut(open_for_reading(path))
    except NoLog:
        return False
    return True


def local_store_for(log: Path) -> Path:
    """The local store's file of a log: beside it, and its own for each log."""
    return log.with_name(LOCAL_STORE if log.name == LOG_NAME else f"{log.stem}.{LOCAL_STORE}")


def own_paths(log: Path) -> list[Path]:
    """What of ours may lie inside the library."""
    listing = listing_for(log)
    journal = listing.with_name(f"{listing.name}-journal")
    return [log, local_store_for(log), log.with_name(EMULATOR), listing, journal, log.with_name(f"{log.name}.head")]


def listing_for(log: Path) -> Path:
    """Where a listing of the store that is cut short is kept until it goes on."""
    return log.with_name(f"{log.name}.listing")


@contextlib.contextmanager
def reading(inv: Invocation) -> Iterator[SqliteReader]:
    """The log, opened for reading, at one moment; its projection is brought up to date if it is not.

    Raises `LogError`.
    """
    from objlib_fsm.log.sqlite import SqliteReader, open_for_reading

    path = log_path(inv)
    reader = SqliteReader(open_for_reading(path), path)
    try:
        with reader.snapshot():
            current = reader.projection_is_current()
        if not current:
            inv.console.say("the stored state is not up to date; it is made anew from the events")
            _renew(path)
        with reader.snapshot():
            yield reader
    finally:
        reader.close()


def _renew(path: Path) -> None:
    from objlib_fsm.log.replay import put_in_place, rebuild
    from objlib_fsm.log.sqlite import SqliteReader, open_for_writing

    writer = SqliteReader(open_for_writing(path), path)
    try:
        put_in_place(writer, rebuild(writer))
    finally:
        writer.close()


def remembered_root(reader: SqliteReader) -> Path | None:
    """The library's folder as the log remembers it."""
    from objlib_fsm.core.paths import LibraryPath, to_bytes

    below = reader.library().root.removeprefix("/")
    if not reader.library().root:
        return None
    return Path(os.fsdecode(b"/" + to_bytes(LibraryPath(below)))) if below else Path("/")


def library_root(named: Path | None, remembered: Path | None, log: Path) -> Path:
    """The folder to work on.

    Raises `WrongUse` when there is none, and when the log belongs to another one.
    """
    if named is None:
        if remembered is None:
            raise WrongUse(
                "which folder is to be indexed? The log does not know one yet", "for example: objlib-fsm run docs/"
            )
        return remembered
    if remembered is not None and not _same(named, remembered):
        raise WrongUse(
            f"this log ({log}) belongs to the library {remembered}, not to {named.resolve()}",
            "leave LIBRARY out to go on with it, or name another log: --db FILE",
        )
    return named.resolve()


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return one.resolve() == other
