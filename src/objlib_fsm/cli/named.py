"""From what a person calls a file to its history."""

from __future__ import annotations

import difflib
import heapq
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from objlib_fsm.cli.options import NotThere
from objlib_fsm.cli.place import remembered_root
from objlib_fsm.cli.safe import safe
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.paths import BadPath, LibraryPath, from_bytes, part_text
from objlib_fsm.core.table import Kind

if TYPE_CHECKING:
    from objlib_fsm.core.record import FileRecord
    from objlib_fsm.log.sqlite import SqliteReader

NEAR_MATCHES: Final = 5

CANDIDATES_MAX: Final = 200_000
"""Paths looked at for near matches: about a second."""

LIKELY: Final = 50
"""Names compared letter by letter, which takes 20 µs each."""


def find(log: SqliteReader, text: str) -> FileRecord:
    """The file that *text* means.  Raises `NotThere` with near names."""
    for path in _candidates(log, text):
        record = log.by_path(path)
        if record is not None:
            return record
    plain = part_text(os.fsencode(text))
    record = log.record(StreamId(plain)) or log.by_name(plain.rpartition("/")[2])
    if record is not None:
        return record
    paths = [str(path) for (path,) in log.rows("SELECT path FROM files LIMIT ?", (CANDIDATES_MAX,))]
    for known in paths:
        if safe(known) == text:
            record = log.by_path(known)
            if record is not None:
                return record
    near = [safe(path) for path in _near(paths, text)]
    raise NotThere(
        f"{text}: the log knows no such file",
        f"did you mean: {', '.join(near)}" if near else "`objlib-fsm status --state indexed` lists files",
    )


_NAMING: Final = (Kind.FILE_DISCOVERED, Kind.FILE_MOVED, Kind.FILE_ADOPTED)
"""The events that give a file its path."""

_CLAIMS: Final = (
    "SELECT json_extract(body, '$.path') AS path, stream, max(position) FROM events "
    "WHERE kind IN (?, ?, ?) AND position <= ? AND path IN ({}) GROUP BY path"
)
"""The last event that gave each of some paths to a file."""


class Claim(NamedTuple):
    """A file's history had ``path`` from the event at ``position`` on."""

    path: str
    stream: StreamId
    position: int


def once_at(log: SqliteReader, text: str, position: int) -> Claim | None:
    """The file that had the path that *text* means, the last one up to *position*, wherever it is now.

    Reads all events that far: a path's past is in no index, because few ask for it.
    """
    paths = _candidates(log, text)
    query = _CLAIMS.format(", ".join("?" * len(paths)))
    found = {
        path: Claim(path, StreamId(stream), at) for path, stream, at in log.rows(query, (*_NAMING, position, *paths))
    }
    return next((found[path] for path in paths if path in found), None)


def folders(log: SqliteReader, text: str) -> list[str]:
    """The folders of the library that *text* may mean; the empty text is the library's own."""
    root = remembered_root(log)
    if root is not None and os.path.realpath(os.fsencode(text)) == os.path.realpath(os.fsencode(root)):
        return [""]
    return list(_candidates(log, text))


def _candidates(log: SqliteReader, text: str) -> list[LibraryPath]:
    """The paths inside the library that *text* may mean.

    As seen from here, the same with links in its folder resolved, as seen from the library's folder, and as the log
    writes it.
    """
    raw = os.fsencode(text)
    wanted = [os.path.normpath(raw)]
    root = remembered_root(log)
    if root is not None:
        here = os.path.normpath(os.path.join(os.getcwdb(), raw))
        real = os.path.join(os.path.realpath(os.path.dirname(here)), os.path.basename(here))
        folder = os.fsencode(root)
        wanted = [os.path.relpath(here, folder), os.path.relpath(real, os.path.realpath(folder)), *wanted]
    paths: list[LibraryPath] = []
    for candidate in wanted:
        try:
            paths.append(from_bytes(candidate))
        except BadPath:
            continue
    if text.isprintable():
        paths.append(LibraryPath(text))
    return paths


def _near(paths: list[str], text: str) -> list[str]:
    """Paths that *text* may be a slip for: the same last part, *text* inside the path, or a few letters apart."""
    last = text.rstrip("/").rpartition("/")[2].lower()
    by_last: dict[str, list[str]] = {}
    for path in paths:
        by_last.setdefault(path.rpartition("/")[2].lower(), []).append(path)
    near = sorted(by_last.get(last, []), key=lambda path: (len(path), path))
    if len(near) < NEAR_MATCHES and last:
        near += sorted((path for path in paths if text.lower() in path.lower() and path not in near), key=len)
    if len(near) < NEAR_MATCHES:
        names = [name for name in by_last if abs(len(name) - len(last)) <= 1 + len(last) // 4]
        likely = heapq.nlargest(LIKELY, names, key=lambda name: _overlap(name, last))
        for match in difflib.get_close_matches(last, likely, NEAR_MATCHES):
            near += [path for path in by_last[match] if path not in near]
    return near[:NEAR_MATCHES]


def _overlap(one: str, other: str) -> int:
    """How many characters agree from the beginning, and from the end: a slip leaves most of both."""
    ahead = _common(one, other)
    return ahead + _common(one[:ahead:-1], other[:ahead:-1])


def _common(one: str, other: str) -> int:
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return index
    return min(len(one), len(other))
