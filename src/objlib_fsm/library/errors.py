"""What can go wrong with the user's files, each with a type of its own and a message that says what to do."""

from __future__ import annotations

import os
from pathlib import Path

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library.values import Exclusion


def shown(path: Path) -> str:
    """A path outside the library for a message: always valid Unicode."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class ScanRefused(Exception):
    """The library as a whole cannot be trusted now.  The scan stops and nothing is changed."""


class RootMissing(ScanRefused):
    """The library's folder does not exist or is not a folder."""


class RootUnreadable(ScanRefused):
    """The library's folder cannot be listed."""


class RootEmpty(ScanRefused):
    """The folder is empty and on another device than the files known from before: most likely a mount point."""


class VanishedTooMany(ScanRefused):
    """More than half of the files known, and more than a handful, are gone at once: most likely a disk is missing."""


class FileProblem(Exception):
    """One file could not be read as asked.  ``path`` says which; the message says why."""

    def __init__(self, path: LibraryPath, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class FileVanished(FileProblem):
    """It is not there any more."""


class FileUnreadable(FileProblem):
    """This user may not read it."""


class ReadFailed(FileProblem):
    """The disk, or the network it is on, did not give the bytes.  Says nothing about the file; worth another try."""


class ChangedWhileRead(FileProblem):
    """It is not what it was when it was scanned, or it changed while it was read.  Scan again."""


class NotRegular(FileProblem):
    """There is something else by that name: a link, a pipe, a socket, a device, a folder."""


class NotIndexable(FileProblem):
    """It can be read, and its size or content says that it is not to be indexed.

    ``size_bytes`` and ``mtime_ns`` are those of the file that was looked at, ``basis`` that of its description.
    """

    def __init__(
        self, path: LibraryPath, reason: Exclusion, detail: str, size_bytes: int, mtime_ns: int, basis: str = ""
    ) -> None:
        super().__init__(path, detail)
        self.reason = reason
        self.detail = detail
        self.size_bytes = size_bytes
        self.mtime_ns = mtime_ns
        self.basis = basis


class NoRoomForCopy(FileProblem):
    """The private copy of a large file could not be written to the temporary folder."""
