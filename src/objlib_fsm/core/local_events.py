"""The events of a scan: what it found on disk of a file, and what is said of the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from objlib_fsm.core.event import Event
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.table import Kind

# What a scan saw of a file is in each local event: ``taken_at_us`` is the wall clock before the bytes were read, so
# that a change which size and time do not show can only have come after it; ``inode`` and ``device`` tell a rename.


class FileDiscovered(Event, frozen=True, omit_defaults=True):
    """A path seen for the first time.

    ``excluded`` is the reason when it cannot be indexed; it has no hash then.  ``detail`` and ``basis`` as in
    `FileExcluded`.
    """

    kind = Kind.FILE_DISCOVERED
    path: LibraryPath
    size_bytes: int = 0
    mtime_ns: int = 0
    source_hash: str = ""
    mime_type: str = ""
    excluded: str = ""
    inode: int = 0
    device: int = 0
    taken_at_us: int = 0
    detail: str = ""
    basis: str = ""


class ContentChanged(Event, frozen=True, omit_defaults=True):
    """The bytes on disk are others.  Also ends "missing" and "excluded": the file is there and can be sent."""

    kind = Kind.CONTENT_CHANGED
    size_bytes: int
    mtime_ns: int
    source_hash: str
    mime_type: str
    inode: int = 0
    device: int = 0
    taken_at_us: int = 0


class FileTouched(Event, frozen=True, omit_defaults=True):
    """Size or time differ from what was recorded, the bytes do not.

    ``basis`` when it is another and led to the same metadata (None: as it was); ``archive`` as in `FileDescribed`.
    """

    kind = Kind.FILE_TOUCHED
    size_bytes: int
    mtime_ns: int
    inode: int = 0
    device: int = 0
    taken_at_us: int = 0
    basis: str | None = None
    archive: Mapping[str, Any] = {}


class FileVanished(Event, frozen=True, omit_defaults=True):
    """Not on disk any more.  ``since_us`` where another tool noticed it, 0 for just now."""

    kind = Kind.FILE_VANISHED
    since_us: int = 0


class FileReappeared(Event, frozen=True, omit_defaults=True):
    """On disk again with the bytes it had."""

    kind = Kind.FILE_REAPPEARED
    size_bytes: int
    mtime_ns: int
    inode: int = 0
    device: int = 0
    taken_at_us: int = 0


class FileMoved(Event, frozen=True, omit_defaults=True):
    """The same file under another path."""

    kind = Kind.FILE_MOVED
    path: LibraryPath
    size_bytes: int
    mtime_ns: int
    inode: int = 0
    device: int = 0
    taken_at_us: int = 0
    mime_type: str = ""


class FileExcluded(Event, frozen=True, omit_defaults=True):
    """It cannot or must not be indexed; ``reason`` says why.

    Where what is said of the file is the reason, ``detail`` names the field, and ``basis`` what it was said by.
    """

    kind = Kind.FILE_EXCLUDED
    reason: str
    size_bytes: int = 0
    mtime_ns: int = 0
    taken_at_us: int = 0
    detail: str = ""
    basis: str | None = None


class FileIncluded(Event, frozen=True, omit_defaults=True):
    """The reason for leaving it out is gone, and the bytes are those recorded."""

    kind = Kind.FILE_INCLUDED
    size_bytes: int
    mtime_ns: int
    inode: int = 0
    device: int = 0
    taken_at_us: int = 0


class FileDescribed(Event, frozen=True, omit_defaults=True):
    """The document is to carry ``metadata``, and the bytes sent are ``header`` and then the file.

    ``payload_hash`` is of both together, empty without a header.  ``archive`` is what else was said of the file: it
    stays here and is not sent.  ``basis`` says what all this was made from besides the bytes.  ``of_adopted``: the
    first that is said of a file since it was adopted; the documents that the other tool made count as described so.
    """

    kind = Kind.FILE_DESCRIBED
    metadata: Mapping[str, str | int | float | tuple[str, ...]] = {}
    archive: Mapping[str, Any] = {}
    basis: str = ""
    header: str = ""
    payload_hash: str = ""
    of_adopted: bool = False
