"""What the local side says: plain values, nothing that touches a disk."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import msgspec

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import SKIPPED_BEFORE

FILE_BYTES_MAX: Final = 100_000_000
"""The service takes documents of up to "100 MB".  Read as decimal: what lies between that and 100 MiB would be sent
in full only to be refused, if the service means decimal too."""


class Exclusion(enum.StrEnum):
    """Why a file of the library is not indexed.  The values are stable: they are written to the log."""

    SYMLINK = "symlink"
    PIPE = "pipe"
    SOCKET = "socket"
    DEVICE = "device"
    EMPTY = "empty"
    BLANK = "blank"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    UNSUPPORTED_TYPE = "unsupported_type"
    BINARY = "binary"
    MISNAMED = "misnamed"
    PRIVATE_KEY = "private_key"
    METADATA = "metadata"
    SIDECAR = "sidecar"
    OWN = "own"
    HIDDEN = "hidden"
    INSTALLED = "installed"
    SECRET = "secret"  # noqa: S105  (a word, not a secret)
    IGNORED = "ignored"
    SKIPPED_BEFORE = SKIPPED_BEFORE

    @property
    def text(self) -> str:
        """The reason for a person, to follow "left out:"."""
        return _TEXTS[self]

    @property
    def silent(self) -> bool:
        """Left out by default or by a rule: counted, and reported by name only for files already known."""
        return self in _SILENT

    @property
    def from_content(self) -> bool:
        """Known only from reading the file, so it holds until size or mtime change."""
        return self in _FROM_CONTENT


_TEXTS: Final = {
    Exclusion.SYMLINK: "a symbolic link, and links are not followed",
    Exclusion.PIPE: "a named pipe, not a file",
    Exclusion.SOCKET: "a socket, not a file",
    Exclusion.DEVICE: "a device, not a file",
    Exclusion.EMPTY: "empty",
    Exclusion.BLANK: "nothing but white space",
    Exclusion.TOO_LARGE: f"larger than {FILE_BYTES_MAX // 1_000_000} MB, the service's limit for a document",
    Exclusion.UNREADABLE: "not readable for this user",
    Exclusion.UNSUPPORTED_TYPE: "a type that File Search does not support",
    Exclusion.BINARY: "binary content where text was expected",
    Exclusion.MISNAMED: "content that is not of the type its name says",
    Exclusion.PRIVATE_KEY: "holds a private key",
    Exclusion.METADATA: "metadata that cannot be sent",
    Exclusion.SIDECAR: "metadata of another file (NAME.meta.json)",
    Exclusion.OWN: "a file of this program",
    Exclusion.HIDDEN: "hidden (its name, or that of its folder, begins with a dot)",
    Exclusion.INSTALLED: "a folder that a tool fills (node_modules, __pycache__)",
    Exclusion.SECRET: "looks like a key or a password file",
    Exclusion.IGNORED: "ignored by a rule in .gitignore or .objlibignore",
    Exclusion.SKIPPED_BEFORE: "left out by the earlier tool, until somebody tracks it",
}
KEPT: Final = (Exclusion.UNREADABLE, Exclusion.METADATA)
"""The file is wanted, and something that can be mended prevents it: a run says so with its exit code, and the document
that the store has of it stays."""

_SILENT: Final = frozenset(
    {
        Exclusion.SIDECAR,
        Exclusion.OWN,
        Exclusion.HIDDEN,
        Exclusion.INSTALLED,
        Exclusion.SECRET,
        Exclusion.IGNORED,
    }
)
_FROM_CONTENT: Final = frozenset(
    {Exclusion.BLANK, Exclusion.BINARY, Exclusion.MISNAMED, Exclusion.PRIVATE_KEY, Exclusion.METADATA}
)


class Sidecar(NamedTuple):
    """A sidecar file as it was seen: enough to notice that it is another."""

    size_bytes: int
    mtime_ns: int


class Found(msgspec.Struct, frozen=True, gc=False):
    """A file that may be indexed, as the walk saw it.

    ``mtime_ns`` is UTC in nanoseconds since 1970 and may be negative.  ``mime_type`` is "" when the name does not
    tell and the content must.  ``inode`` and ``device`` can exceed 63 bits on some file systems.  ``sidecar`` is what
    the walk saw of its ``NAME.meta.json``.
    """

    path: LibraryPath
    size_bytes: int
    mtime_ns: int
    inode: int
    device: int
    mime_type: str
    sidecar: Sidecar | None = None


class Excluded(msgspec.Struct, frozen=True, gc=False):
    """A file that will not be indexed, as the walk saw it; ``detail`` is text for a person, without the path."""

    path: LibraryPath
    reason: Exclusion
    detail: str


class Fingerprint(msgspec.Struct, frozen=True, gc=False):
    """A file's bytes, and what the file system said of them while they were read.

    ``sha256`` is lower-case hex.  ``taken_at_us`` is the wall clock *before* the reading began (microseconds since
    1970 UTC): a change that the size and mtime do not show can only have come after it.  It must be kept with the
    rest; the time at which the fingerprint is written down is too late.
    """

    size_bytes: int
    mtime_ns: int
    inode: int
    device: int
    sha256: str
    mime_type: str
    taken_at_us: int


class Known(msgspec.Struct, frozen=True, gc=False):
    """What is known of a file from before.

    Of a file once fingerprinted: the fields of that `Fingerprint`.  ``excluded`` with its reason while the file is
    left out; for a reason from its content ``size_bytes``, ``mtime_ns`` and ``taken_at_us`` are those of that
    reading, and ``sha256`` is "".  ``present`` is whether it was there when last seen.  ``basis``, ``metadata_hash``
    and ``payload_sha256`` (with a header only) are of its description.  ``wanted`` is False of a forgotten file.
    """

    size_bytes: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    taken_at_us: int = 0
    inode: int = 0
    device: int = 0
    excluded: Exclusion | None = None
    present: bool = True
    basis: str = ""
    metadata_hash: str = ""
    payload_sha256: str = ""
    wanted: bool = True


class Trouble(msgspec.Struct, frozen=True, gc=False):
    """Something that could not be seen this time.  It says nothing about the file; the next scan looks again."""

    path: str
    """The `LibraryPath` of a file or folder; "" is the library's own folder."""
    message: str


class Twins(msgspec.Struct, frozen=True, gc=False):
    """Two names in one folder that look the same and differ in bytes (NFC and NFD); both are files here."""

    first: LibraryPath
    second: LibraryPath
