"""Disks that remember or refuse: VFSs under the real SQLite, and what a power cut leaves of what one remembers.

A VFS is made the default one, so the product opens its log as it always does and every byte goes through it.  Only
files below one folder are watched, the shared memory (``-shm``) is not: it does not outlive a crash.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import apsw

BASE: Final = "unix"
SECTOR_BYTES: Final = 512
"""What a disk writes whole or not at all; SQLite assumes no more of it."""

DROPPED: Final = 0.35
TORN: Final = 0.25
"""Of the writes that were not synced: lost, and written in part.  The rest reaches the disk."""

NOT_OURS: Final = apsw.SQLITE_OPEN_TEMP_DB | apsw.SQLITE_OPEN_TRANSIENT_DB | apsw.SQLITE_OPEN_SUBJOURNAL
"""Files that nobody reads after a crash."""


class Op:
    """One operation on a file: ``create``, ``write``, ``truncate``, ``sync``, ``delete``."""

    __slots__ = ("at", "data", "name", "what")

    def __init__(self, what: str, name: str, at: int = 0, data: bytes = b"") -> None:
        self.what = what
        self.name = name
        self.at = at
        self.data = data

    def __repr__(self) -> str:
        return f"{self.what} {self.name} {self.at}+{len(self.data)}"


class Recorder(apsw.VFS):
    """Every operation in its order, whichever file it is on."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.fspath(folder.resolve())
        self.ops: list[Op] = []
        super().__init__("recorder", BASE, True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _RecordedFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.ops.append(Op("delete", os.path.basename(filename), int(syncdir)))

    def excepthook(self, *_: Any) -> bool:
        """Errors are told by the calls that fail."""
        return True


class _RecordedFile(apsw.VFSFile):
    def __init__(self, recorder: Recorder, name: Any, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._ops: list[Op] = recorder.ops if path and not flags[0] & NOT_OURS else []
        self._name = os.path.basename(path) if path else ""
        if path and not os.path.exists(path):
            self._ops.append(Op("create", self._name))
        super().__init__(BASE, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._ops.append(Op("write", self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._ops.append(Op("truncate", self._name, newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._ops.append(Op("sync", self._name))

    def excepthook(self, *_: Any) -> bool:
        """See `Recorder.excepthook`."""
        return True


class Medium:
    """What is on the disk for certain, and what is only under way to it: as far as the operations have been fed."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = {name: _Inode(content) for name, content in files.items()}

    def feed(self, op: Op) -> None:
        """The next operation."""
        file = self._files.get(op.name)
        if op.what == "create" or file is None or (file.gone and op.what != "delete"):
            file = self._files[op.name] = _Inode(None, file)
        if op.what == "sync":
            if file.durable is None:
                self._sync_folder()
            file.sync()
        elif op.what == "delete":
            if op.at:
                del self._files[op.name]
            else:
                file.gone = True
        elif op.what != "create":
            file.pending.append(op)

    def _sync_folder(self) -> None:
        """SQLite syncs the folder of a write-ahead log or journal that it made together with the file's first sync."""
        self._files = {name: file for name, file in self._files.items() if not file.gone}
        for file in self._files.values():
            file.before = None

    @property
    def certain(self) -> bool:
        """Whether everything is on the disk: every power cut leaves the same."""
        return not any(file.pending or file.gone or file.before is not None for file in self._files.values())

    def image(self, source: random.Random) -> dict[str, bytes]:
        """The files that a power cut may leave."""
        left = {name: file.image(source) for name, file in self._files.items()}
        return {name: content for name, content in left.items() if content is not None}


class _Inode:
    """A file's content.  ``before`` is the file that had its name, which may have it again after a power cut."""

    def __init__(self, durable: bytes | None, before: _Inode | None = None) -> None:
        self.durable = durable
        self.before = before
        self.pending: list[Op] = []
        self.gone = False

    def sync(self) -> None:
        """All that was under way is on the disk."""
        content = bytearray(self.durable or b"")
        for op in self.pending:
            _apply(content, op)
        self.durable, self.pending = bytes(content), []

    def image(self, source: random.Random) -> bytes | None:
        if self.gone and source.random() < 0.5:
            return None
        if self.durable is None and source.random() < 0.5:
            return self.before.image(source) if self.before is not None else None
        content = bytearray(self.durable or b"")
        kept = [torn for op in self.pending for torn in _reaching_the_disk(op, source)]
        if source.random() < 0.5:
            source.shuffle(kept)
        for op in kept:
            _apply(content, op)
        return bytes(content)


def _reaching_the_disk(op: Op, source: random.Random) -> list[Op]:
    chance = source.random()
    if chance < DROPPED:
        return []
    if chance >= DROPPED + TORN or op.what == "truncate":
        return [op]
    first = op.at // SECTOR_BYTES * SECTOR_BYTES
    cuts = [op.at, *range(first + SECTOR_BYTES, op.at + len(op.data), SECTOR_BYTES), op.at + len(op.data)]
    pieces = [Op("write", op.name, a, op.data[a - op.at : b - op.at]) for a, b in itertools.pairwise(cuts)]
    return [piece for piece in pieces if source.random() < 0.5]


def _apply(content: bytearray, op: Op) -> None:
    if op.what == "truncate":
        del content[op.at :]
        return
    if len(content) < op.at:
        content.extend(bytes(op.at - len(content)))
    content[op.at : op.at + len(op.data)] = op.data


class Failing(apsw.VFS):
    """A disk whose *n*-th operation fails, once or from then on, with the given error.

    ``done`` counts operations; ``n`` 0 lets all of them through.
    """

    def __init__(self) -> None:
        self.done = 0
        self.n = 0
        self.for_ever = False
        self.error: Callable[[], Exception] = _io_error
        super().__init__("failing", BASE, True)

    def arm(self, n: int, error: str, *, for_ever: bool) -> None:
        """Begin to count again."""
        self.done, self.n, self.for_ever, self.error = 0, n, for_ever, ERRORS[error]

    def disarm(self) -> None:
        """Everything works again."""
        self.n = 0

    def step(self) -> None:
        """One operation.  Raises apsw's errors."""
        self.done += 1
        if self.n and (self.done == self.n or (self.for_ever and self.done > self.n)):
            raise self.error()

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        self.step()
        return _FailingFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.step()
        super().xDelete(filename, syncdir)

    def xAccess(self, pathname: str, flags: int) -> bool:
        self.step()
        return super().xAccess(pathname, flags)

    def excepthook(self, *_: Any) -> bool:
        """The failure is told by the call that failed."""
        return True


class _FailingFile(apsw.VFSFile):
    def __init__(self, disk: Failing, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__(BASE, name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.step()
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.step()
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.step()
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._disk.step()
        super().xSync(flags)

    def xFileSize(self) -> int:
        self._disk.step()
        return super().xFileSize()

    def excepthook(self, *_: Any) -> bool:
        """See `Failing.excepthook`."""
        return True


def _io_error() -> Exception:
    return apsw.IOError("a disk of the tests: input/output error")


ERRORS: Final[dict[str, Callable[[], Exception]]] = {
    "IOERR": _io_error,
    "FULL": lambda: apsw.FullError("a disk of the tests: no space left"),
    "CANTOPEN": lambda: apsw.CantOpenError("a disk of the tests: cannot be opened"),
}


@contextlib.contextmanager
def recorded(folder: Path) -> Iterator[Recorder]:
    """For the length of the block, every file of SQLite is on a disk that remembers."""
    disk = Recorder(folder)
    try:
        yield disk
    finally:
        disk.unregister()


@contextlib.contextmanager
def failing() -> Iterator[Failing]:
    """For the length of the block, every file of SQLite is on a disk that can be made to fail."""
    disk = Failing()
    try:
        yield disk
    finally:
        disk.unregister()
