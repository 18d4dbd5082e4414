"""Git's wildcard patterns as regular expressions over bytes.

The meaning is that of git's ``wildmatch.c``: ``*`` and ``?`` stop at a slash, ``**`` between slashes crosses them,
``[...]`` is a set with ranges, escapes, ``[:classes:]`` and ``!`` or ``^`` for its opposite, a backslash takes the
next byte literally.  A pattern that git can never match (an open bracket, a lone backslash at the end) is None.

The expressions do not backtrack without bound.  What stands between two stars may be matched at its first place for
good, because the second star can take in whatever a later place would have left out; so it is put in an atomic group.
"""

from __future__ import annotations

import re
import string
from typing import Final

SPECIAL: Final = re.compile(rb"[*?\[\\]")
"""The bytes from which on a pattern is more than literal text."""

_SLASH: Final = ord("/")
_CLASSES: Final[dict[bytes, frozenset[int]]] = {
    b"alnum": frozenset((string.ascii_letters + string.digits).encode()),
    b"alpha": frozenset(string.ascii_letters.encode()),
    b"blank": frozenset(b" \t"),
    b"cntrl": frozenset([*range(32), 127]),
    b"digit": frozenset(string.digits.encode()),
    b"graph": frozenset(range(33, 127)),
    b"lower": frozenset(string.ascii_lowercase.encode()),
    b"print": frozenset(range(32, 127)),
    b"punct": frozenset(string.punctuation.encode()),
    b"space": frozenset(b" \t\n\r\v\f"),
    b"upper": frozenset(string.ascii_uppercase.encode()),
    b"xdigit": frozenset(string.hexdigits.encode()),
}


class _NeverMatches(Exception):
    """The pattern is malformed; git matches nothing with it."""


def translate(pattern: bytes, *, whole_path: bool) -> bytes | None:
    """A regular expression for ``fullmatch`` (with ``re.DOTALL``), without capturing groups; None: matches nothing.

    With ``whole_path`` the subject is a path and wildcards respect its slashes; else it is a single name, in which
    ``*`` takes everything.
    """
    try:
        return _Translation(pattern, whole_path).result()
    except _NeverMatches:
        return None


class _Translation:
    """The pattern as sections that begin at each ``**``, a section as runs that begin at each ``*``."""

    def __init__(self, pattern: bytes, whole_path: bool) -> None:
        self._pattern = pattern
        self._whole_path = whole_path
        self._star = rb"[^/]*?" if whole_path else rb".*?"
        self._any = frozenset(range(256)) - {_SLASH} if whole_path else frozenset(range(256))
        self._sections: list[tuple[bytes, list[bytes]]] = [(b"", [b""])]

    def result(self) -> bytes:
        at = 0
        while at < len(self._pattern):
            at = self._token(at)
        parts = [start + _joined(runs, self._star) for start, runs in self._sections]
        return b"".join(b"(?>" + part + b")" for part in parts[:-1]) + parts[-1]

    def _token(self, at: int) -> int:
        byte = self._pattern[at : at + 1]
        if byte == b"*":
            return self._stars(at)
        if byte == b"[":
            allowed, at = _set(self._pattern, at + 1)
            self._literal(_class(allowed & self._any))
            return at
        if byte == b"?":
            self._literal(rb"[^/]" if self._whole_path else rb".")
            return at + 1
        if byte == b"\\":
            at += 1
            if at == len(self._pattern):
                raise _NeverMatches
        self._literal(re.escape(self._pattern[at : at + 1]))
        return at + 1

    def _stars(self, at: int) -> int:
        end = at
        while self._pattern[end : end + 1] == b"*":
            end += 1
        alone = at == 0 or self._pattern[at - 1] == _SLASH
        rest = self._pattern[end : end + 2]
        if self._whole_path and end - at > 1 and alone and (not rest or rest[:1] == b"/" or rest == rb"\/"):
            if rest[:1] == b"/":
                self._sections.append((rb"(?:.*?/)??", [b""]))
                return end + 1
            self._sections.append((rb".*?", [b""]))
        else:
            self._sections[-1][1].append(b"")
        return end

    def _literal(self, expression: bytes) -> None:
        self._sections[-1][1][-1] += expression


def _joined(runs: list[bytes], star: bytes) -> bytes:
    """The runs of one section; all but the first follow a star, and all of these but the last are atomic."""
    first, *after = runs
    if not after:
        return first
    return first + b"".join(b"(?>" + star + run + b")" for run in after[:-1]) + star + after[-1]


def _set(pattern: bytes, at: int) -> tuple[frozenset[int], int]:
    """The bytes that the set beginning after a ``[`` stands for, and where the pattern goes on.

    Follows the loop of git's ``dowild`` step by step: a ``]`` that comes first is literal, a ``-`` after nothing or
    before the closing bracket is literal.
    """

    def byte(index: int) -> int:
        if index >= len(pattern):
            raise _NeverMatches
        return pattern[index]

    negated = byte(at) in b"!^"
    at += negated
    found: set[int] = set()
    previous = 0
    while True:
        current = byte(at)
        if current == ord("\\"):
            at += 1
            current = byte(at)
            found.add(current)
        elif current == ord("-") and previous and byte(at + 1) != ord("]"):
            at += 1
            if byte(at) == ord("\\"):
                at += 1
            found.update(range(previous, byte(at) + 1))
            current = 0
        elif current == ord("[") and byte(at + 1) == ord(":"):
            end = pattern.find(b"]", at + 2)
            if end < 0:
                raise _NeverMatches
            if end > at + 2 and pattern[end - 1] == ord(":"):
                name = pattern[at + 2 : end - 1]
                if name not in _CLASSES:
                    raise _NeverMatches
                found |= _CLASSES[name]
                at, current = end, 0
            else:
                found.add(current)
        else:
            found.add(current)
        previous = current
        at += 1
        if byte(at) == ord("]"):
            break
    everything = frozenset(range(256))
    return (everything - found if negated else frozenset(found)), at + 1


def _class(allowed: frozenset[int]) -> bytes:
    if not allowed:
        raise _NeverMatches
    return b"[" + b"".join(b"\\x%02x" % byte for byte in sorted(allowed)) + b"]"
