"""Ignore rules: ``.gitignore`` as git reads it, and ``.objlibignore`` with the same syntax, which wins over it.

A folder's rules decide about everything below it.  For one entry git asks the rules of the deepest folder first, and
in one file the last pattern that matches decides.  A folder that is ignored is not entered, so nothing in it can be
taken back.  Rules of ``.objlibignore``, at whatever depth, are asked before any ``.gitignore``: they are about this
library, those about something else.

Most patterns are a plain name, ``*.ext`` or a plain path; these are table look-ups.  The others are tried as one
regular expression per file of rules.  (The pathspec package answers for a set of finished paths, which is another
question: with its patterns we measured other answers than git's for some, errors for others, and 3.7 us a file.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from objlib_fsm.library.wildmatch import SPECIAL, translate

_BOM: Final = b"\xef\xbb\xbf"
_BRANCHES_MAX: Final = 500
"""Alternatives in one regular expression: more are split, compiling is then linear in their number."""


class _Pattern(NamedTuple):
    body: bytes
    negated: bool
    folders_only: bool


class Rules:
    """The patterns of one file, compiled: what they say of files and of folders."""

    __slots__ = ("_negated", "files", "folders")

    def __init__(self, text: bytes) -> None:
        patterns = list(_patterns(text))
        self._negated = [pattern.negated for pattern in patterns]
        self.files = _Table([None if p.folders_only else p.body for p in patterns], self._negated)
        self.folders = _Table([p.body for p in patterns], self._negated)

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._negated)


class _Table:
    """Patterns by how they are looked up.  A pattern's rank is its place in the file; the highest that matches wins."""

    __slots__ = ("_name_expressions", "_names", "_negated", "_path_expressions", "_paths", "_suffix_ranks", "_suffixes")

    def __init__(self, bodies: list[bytes | None], negated: list[bool]) -> None:
        self._negated = negated
        self._names: dict[bytes, int] = {}
        self._paths: dict[bytes, int] = {}
        self._suffix_ranks: dict[bytes, int] = {}
        names: list[tuple[int, bytes]] = []
        paths: list[tuple[int, bytes]] = []
        for rank, body in enumerate(bodies):
            if body is None:
                continue
            if b"/" in body:
                self._sort_path(rank, body.removeprefix(b"/"), paths)
            else:
                self._sort_name(rank, body, names)
        self._suffixes = tuple(self._suffix_ranks)
        self._name_expressions = _expressions(names)
        self._path_expressions = _expressions(paths)

    def _sort_name(self, rank: int, body: bytes, wild: list[tuple[int, bytes]]) -> None:
        if not SPECIAL.search(body):
            self._names[body] = rank
        elif body[:1] == b"*" and not SPECIAL.search(body, 1):
            self._suffix_ranks[body[1:]] = rank
        elif (expression := translate(body, whole_path=False)) is not None:
            wild.append((rank, expression))

    def _sort_path(self, rank: int, body: bytes, wild: list[tuple[int, bytes]]) -> None:
        special = SPECIAL.search(body)
        if special is None:
            self._paths[body] = rank
            return
        # Git compares the text before the first wildcard and hands only the rest to wildmatch, so a "**" right after
        # that text counts as standing at the beginning.
        literal, rest = body[: special.start()], body[special.start() :]
        expression = translate(rest, whole_path=True)
        if expression is not None:
            wild.append((rank, re.escape(literal) + expression))

    def ignored(self, name: bytes, path: bytes) -> bool | None:
        """Whether the entry is ignored; None: no pattern matches it.  ``path`` is relative to the rules' folder."""
        rank = self._names.get(name, -1)
        if self._suffixes and name.endswith(self._suffixes):
            rank = max(rank, max(self._suffix_ranks[s] for s in self._suffixes if name.endswith(s)))
        if self._paths:
            rank = max(rank, self._paths.get(path, -1))
        for expression, ranks in self._name_expressions:
            if match := expression.fullmatch(name):
                rank = max(rank, ranks[match.lastindex or 0])
        for expression, ranks in self._path_expressions:
            if match := expression.fullmatch(path):
                rank = max(rank, ranks[match.lastindex or 0])
        return None if rank < 0 else not self._negated[rank]


def _expressions(branches: list[tuple[int, bytes]]) -> list[tuple[re.Pattern[bytes], list[int]]]:
    """Regular expressions whose first alternative that matches is the last pattern, with the rank of each group."""
    branches = branches[::-1]
    compiled = []
    for start in range(0, len(branches), _BRANCHES_MAX):
        some = branches[start : start + _BRANCHES_MAX]
        expression = re.compile(b"|".join(b"(" + branch + b")" for _, branch in some), re.DOTALL)
        compiled.append((expression, [-1, *(rank for rank, _ in some)]))
    return compiled


def _patterns(text: bytes) -> Iterator[_Pattern]:
    for line in text.removeprefix(_BOM).split(b"\n"):
        body = _without_trailing_spaces(line.removesuffix(b"\r"))
        if not body or body.startswith(b"#"):
            continue
        negated = body.startswith(b"!")
        body = body[negated:]
        folders_only = body.endswith(b"/")
        body = body[: len(body) - folders_only]
        if body:
            yield _Pattern(body, negated, folders_only)


def _without_trailing_spaces(line: bytes) -> bytes:
    """Git keeps a trailing space that a backslash protects."""
    end = len(line.rstrip(b" "))
    if end == len(line):
        return line
    backslashes = end - len(line[:end].rstrip(b"\\"))
    return line[: end + backslashes % 2]
