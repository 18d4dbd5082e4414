r"""Where a file is, relative to the library's folder, as text that loses nothing.

On Linux a file name is bytes; JSON, SQLite text and terminals want Unicode.  A `LibraryPath` is the path's bytes read
as UTF-8, where each byte that is no UTF-8 is written ``\xNN`` and each backslash ``\\``.  So it is always valid UTF-8,
two different names are never the same text (an NFC and an NFD spelling stay two), and the bytes can be had back.
"""

from __future__ import annotations

import re
from typing import Final, NewType

LibraryPath = NewType("LibraryPath", str)
"""Relative to the library's root, parts separated by ``/``, in the reversible form this module describes."""

_ESCAPE: Final = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")
_NOT_A_PART: Final = (b"", b".", b"..")
"""A path with such a part is absolute, leaves the library, or is a second spelling of another path."""


class BadPath(ValueError):
    """Not the path of a file inside the library, or not in the reversible form."""


def part_text(raw: bytes) -> str:
    """One part of a path in the reversible form, without any check: for names that the file system just gave."""
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def from_bytes(raw: bytes) -> LibraryPath:
    """The text of a relative path.

    Raises `BadPath` for an absolute or empty path, a NUL, and for parts that are empty, ``.`` or ``..``.
    """
    if b"\0" in raw:
        raise BadPath(f"{raw!r} has a NUL byte, no file can have this name")
    for part in raw.split(b"/"):
        if part in _NOT_A_PART:
            raise BadPath(f"{raw!r} is not a plain relative path inside the library")
    return LibraryPath(part_text(raw))


def to_bytes(path: LibraryPath) -> bytes:
    """The path's bytes for the file system.

    Raises `BadPath` when the text is not what `from_bytes` gives for those bytes, so a text from outside (a log, a
    command line) that passes here names exactly one file inside the library.
    """
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadPath(f"{path!r} is not valid Unicode text") from error
    raw = _ESCAPE.sub(_unescaped, encoded) if b"\\" in encoded else encoded
    if from_bytes(raw) != path:
        raise BadPath(f"{path!r} is not in the reversible form of a path")
    return raw


def _unescaped(match: re.Match[bytes]) -> bytes:
    digits = match.group(1)
    return b"\\" if digits is None else bytes.fromhex(digits.decode("ascii"))
