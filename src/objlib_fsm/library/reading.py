"""Reads a file of the library once, and with care: what was hashed is what was read.

The file is reached folder by folder from the library's own folder without following a link, so a folder that was
replaced by a link after the scan cannot lead outside.  Only regular files are opened, a pipe can never block us.  If
size or times differ after the last byte from what they were before the first, the bytes are of no use.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from objlib_fsm.core.paths import LibraryPath, to_bytes
from objlib_fsm.library import mime
from objlib_fsm.library.errors import (
    ChangedWhileRead,
    FileUnreadable,
    FileVanished,
    NotIndexable,
    NotRegular,
    ReadFailed,
    RootMissing,
    shown,
)
from objlib_fsm.library.values import FILE_BYTES_MAX, Exclusion, Fingerprint

BLOCK_BYTES: Final = 1_048_576
"""Read at a time: large enough that a system call and a hash call cost nothing beside it, small enough for memory."""

_FOLDER: Final = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

Sink = Callable[[bytes], object]
"""Takes the file's bytes block by block, in order."""


def read_once(root: Path, path: LibraryPath, now_us: int, sink_for: Callable[[int], Sink | None]) -> Fingerprint:
    """The file's fingerprint, taken at ``now_us`` (the wall clock now or earlier): from the first byte to the last,
    each block handed to the sink.  Memory does not grow with the file.

    ``sink_for`` is given the size in bytes and makes the sink, or None when the bytes themselves are not wanted.  A
    file that is not to be indexed is refused before anything reaches the sink.  Raises `FileVanished`,
    `FileUnreadable`, `NotRegular`, `NotIndexable`, `ChangedWhileRead`, `ReadFailed`, and `RootMissing` when the
    library's own folder is not there.
    """
    with _opened(root, path) as descriptor:
        try:
            return _read(descriptor, path, now_us, sink_for)
        except OSError as error:
            raise ReadFailed(path, f"reading failed: {error.strerror}; run again when the disk answers") from error


def _read(descriptor: int, path: LibraryPath, now_us: int, sink_for: Callable[[int], Sink | None]) -> Fingerprint:
    before = os.fstat(descriptor)

    def refused(reason: Exclusion, detail: str) -> NotIndexable:
        return NotIndexable(path, reason, detail, before.st_size, before.st_mtime_ns)

    if before.st_size == 0:
        raise refused(Exclusion.EMPTY, Exclusion.EMPTY.text)
    if before.st_size > FILE_BYTES_MAX:
        raise refused(Exclusion.TOO_LARGE, Exclusion.TOO_LARGE.text)
    extension = mime.extension_of(to_bytes(path).rpartition(b"/")[2])
    named_type = mime.by_extension(extension)
    if named_type is None:
        raise refused(*mime.unsupported(extension))

    digest = hashlib.sha256()
    sink: Sink | None = None
    mime_type = ""
    size = 0
    while block := os.read(descriptor, min(BLOCK_BYTES, max(before.st_size - size, mime.SAMPLE_BYTES))):
        if size == 0:
            sample = block[: mime.SAMPLE_BYTES]
            verdict = mime.by_content(named_type, sample, whole=len(sample) == before.st_size)
            if isinstance(verdict, mime.Refusal):
                raise refused(*verdict)
            mime_type = verdict
            sink = sink_for(before.st_size)
        size += len(block)
        if size > before.st_size:
            break
        digest.update(block)
        if sink is not None:
            sink(block)

    after = os.fstat(descriptor)
    if size != before.st_size or _identity(before) != _identity(after):
        raise ChangedWhileRead(path, "changed while it was being read; it is looked at again by the next scan")
    return Fingerprint(
        size_bytes=size,
        mtime_ns=after.st_mtime_ns,
        inode=after.st_ino,
        device=after.st_dev,
        sha256=digest.hexdigest(),
        mime_type=mime_type,
        taken_at_us=now_us,
    )


def read_small(root: Path, path: LibraryPath, bytes_max: int) -> tuple[bytes, os.stat_result]:
    """The first *bytes_max* bytes of a file of this program's own making or reading, and its status.

    Raises as `read_once`, but refuses no content.
    """
    with _opened(root, path) as descriptor:
        try:
            before = os.fstat(descriptor)
            text = b""
            while len(text) < bytes_max and (block := os.read(descriptor, bytes_max - len(text))):
                text += block
            after = os.fstat(descriptor)
        except OSError as error:
            raise ReadFailed(path, f"reading failed: {error.strerror}; run again when the disk answers") from error
    if _identity(before) != _identity(after):
        raise ChangedWhileRead(path, "changed while it was being read; it is looked at again by the next scan")
    return text, after


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """What must not change while a file is read.  The change time also catches a writer that puts the mtime back."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def _opened(root: Path, path: LibraryPath) -> Iterator[int]:
    """The descriptor of a regular file below *root*, reached without following any link below *root*."""
    *folders, name = to_bytes(path).split(b"/")
    try:
        folder = os.open(root, _FOLDER)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise _problem(path, error) from error
        raise RootMissing(f"{shown(root)}: the library's folder is not there; is its disk mounted?") from error
    try:
        for part in folders:
            below = _entered(folder, part, path)
            os.close(folder)
            folder = below
        descriptor = _opened_here(folder, name, path)
    finally:
        os.close(folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _entered(folder: int, part: bytes, path: LibraryPath) -> int:
    try:
        return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP) and _is_link(folder, part):
            raise NotRegular(path, "a folder on its way is a symbolic link now, and links are not followed") from error
        raise _problem(path, error) from error


def _opened_here(folder: int, name: bytes, path: LibraryPath) -> int:
    # Looked at before it is opened: opening a device can already do something.  And again after: it may have changed.
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode):
            raise NotRegular(path, f"is {_kind(mode)} now, not a regular file")
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        raise _problem(path, error) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise NotRegular(path, f"is {_kind(mode)} now, not a regular file")


def _is_link(folder: int, part: bytes) -> bool:
    try:
        return stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _problem(path: LibraryPath, error: OSError) -> FileVanished | FileUnreadable | NotRegular | ReadFailed:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return FileVanished(path, "is not there any more; the next scan records it")
        case errno.EACCES | errno.EPERM:
            return FileUnreadable(path, "this user may not read it; change its permissions and run again")
        case errno.ELOOP | errno.ENXIO:
            return NotRegular(path, "is not a regular file any more")
        case _:
            return ReadFailed(path, f"cannot be opened: {error.strerror}; run again when the disk answers")


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"
