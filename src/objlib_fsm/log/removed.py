"""A write-ahead log that somebody removed: SQLite takes what is left for a log that was closed, so it is looked for.

After a crash the events recorded last are in ``-wal`` alone.  The index ``-shm``, which a crash leaves too, tells that
there was one.
"""

from __future__ import annotations

import contextlib
import fcntl
import struct
from pathlib import Path
from typing import Final

from objlib_fsm.log.contract import LogBusy, LogDamaged

_IN_USE_BYTE: Final = 128
"""``UNIX_SHM_DMS`` of SQLite's os_unix.c."""

_MX_FRAME: Final = 16
_N_BACKFILL: Final = 96
_HEAD_BYTES: Final = 100
"""``WalIndexHdr.mxFrame`` and ``WalCkptInfo.nBackfill`` of SQLite's wal.c, in the machine's byte order."""


def wal_is_missing(path: Path) -> bool:
    """Whether the write-ahead log was removed from a log that was not closed in good order.

    SQLite makes ``-wal`` before ``-shm`` and removes it after, so the second never stands alone by itself.  Looked at
    twice, because another process may be closing or opening the log just now.
    """
    index, beside = (path.with_name(path.name + end) for end in ("-shm", "-wal"))
    return all(index.exists() and not beside.exists() for _ in range(2))


def _all_written(path: Path) -> bool:
    """Whether the log itself holds all that was in the write-ahead log, by the index's own count of frames.

    So it is after a command that only read: it leaves both files, the write-ahead log without anything in it.
    """
    try:
        head = path.with_name(path.name + "-shm").read_bytes()[:_HEAD_BYTES]
    except OSError:
        return False
    if len(head) < _HEAD_BYTES:
        return False
    (frames,), (written,) = (struct.unpack_from("=I", head, offset) for offset in (_MX_FRAME, _N_BACKFILL))
    return bool(written >= frames)


def nothing_was_removed(path: Path) -> None:
    """See to it that the write-ahead log is where it belongs.

    Raises `LogBusy` when a process still has the removed one open, else `LogDamaged`.
    """
    if not wal_is_missing(path):
        return
    if _in_use(path):
        raise LogBusy(
            f"{path}-wal was removed while a process is using the log",
            "end that process with Ctrl-C: it still has these events, and writes them into the log when it ends",
        )
    if _all_written(path):
        return
    raise LogDamaged(
        f"{path}-wal was removed: the events recorded last are missing",
        "put that file back; if it is lost, `objlib-fsm replay` goes on with the events that are left, and the next "
        "run finds in the store what they do not know",
    )


def _in_use(path: Path) -> bool:
    """Whether a process has the log open: each connection holds a shared lock on a byte of ``-shm``."""
    with open(path.with_name(path.name + "-shm"), "r+b") as index:
        try:
            fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _IN_USE_BYTE)
        except OSError:
            return True
    return False


def go_on_without_wal(path: Path) -> bool:
    """Accept that a removed write-ahead log is lost; whether there was one.  Raises `LogBusy` while it is not."""
    if not wal_is_missing(path):
        return False
    with contextlib.suppress(LogDamaged):
        nothing_was_removed(path)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    return True
