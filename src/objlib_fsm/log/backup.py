"""A backup that was proved: a copy of the log at one moment, folded again before it gets its name.

SQLite's online backup copies the pages in one step under one read transaction, so a run may be at work meanwhile: it
is not held up, and what it appends after that moment is not in the copy.  (A copy in several steps begins anew with
every commit of another process, and would not end while a run is busy.)
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec

from objlib_fsm.log.contract import LogDamaged, LogUnavailable
from objlib_fsm.log.replay import check_pages, projection_drift, rebuild
from objlib_fsm.log.sqlite import FILE_MODE, REPLAY_HINT, SqliteReader, explained, open_for_reading, shut, sync_folder


class Backup(msgspec.Struct, frozen=True):
    """What was copied.  ``digest`` is over all file records, ``hash`` the chain's link at ``position``."""

    path: Path
    position: int
    files: int
    digest: str
    hash: str
    size_bytes: int


class BackupExists(Exception):
    """There is a file of that name already: a backup is never written over another."""


def back_up(log: Path, to: Path) -> Backup:
    """Copy *log* to the new file *to*, 0600, and prove the copy.

    Raises `BackupExists`, and `LogError`: nothing of that name is there then.
    """
    if os.path.lexists(to):
        raise BackupExists(str(to))
    source = SqliteReader(open_for_reading(log), log)
    try:
        with _new_file_beside(to) as copy:
            with source.snapshot():
                said = rebuild(source)
                _copy(source.connection, copy, to)
            proved = _prove(copy, to)
            if (proved.position, proved.hash, proved.digest) != (said.position, said.hash.hex(), said.digest):
                raise LogDamaged(f"{to}: the copy does not say what the log says", "check the disk it is on")
            _publish(copy, to)
            return msgspec.structs.replace(proved, path=to, size_bytes=to.stat().st_size)
    finally:
        source.close()


@contextlib.contextmanager
def _new_file_beside(to: Path) -> Iterator[Path]:
    """An empty file for the copy, which is gone afterwards, whatever SQLite made beside it too."""
    copy = to.with_name(f".{to.name}.{secrets.token_hex(4)}.partial")
    try:
        os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    except OSError as error:
        raise LogUnavailable(f"{to}: cannot be written: {error.strerror}", "choose another place") from error
    try:
        yield copy
    finally:
        for left in (copy, *(copy.with_name(copy.name + end) for end in ("-wal", "-shm", "-journal"))):
            left.unlink(missing_ok=True)


def _copy(source: apsw.Connection, copy: Path, to: Path) -> None:
    with explained(to):
        target = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            with target.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(-1)
            target.pragma("journal_mode", "delete")  # One file, with nothing beside it.
        finally:
            shut(target)


def _prove(copy: Path, to: Path) -> Backup:
    """Fold the copy.  Raises `LogDamaged` in the name of the file it is to become."""
    reader = SqliteReader(open_for_reading(copy), to)
    try:
        with reader.snapshot():
            check_pages(reader)
            rebuilt = rebuild(reader)
            drift = projection_drift(reader, rebuilt)
    finally:
        reader.close()
    if drift:
        raise LogDamaged(f"{to}: the stored state of {len(drift)} files does not follow from the events", REPLAY_HINT)
    return Backup(to, rebuilt.position, len(rebuilt.files), rebuilt.digest, rebuilt.hash.hex(), 0)


def _publish(copy: Path, to: Path) -> None:
    """Give the copy its name, unless somebody took it meanwhile.  Raises `BackupExists` and `LogUnavailable`."""
    try:
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        try:
            os.link(copy, to)
        except FileExistsError:
            raise
        except OSError:  # A file system without hard links.
            if os.path.lexists(to):
                raise FileExistsError(to) from None
            copy.rename(to)
        sync_folder(to.parent)
    except FileExistsError:
        raise BackupExists(str(to)) from None
    except OSError as error:
        raise LogUnavailable(f"{to}: cannot be written: {error.strerror}", "choose another place") from error
