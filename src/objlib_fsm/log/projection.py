"""The projection: the folded state as rows, disposable, written with the events or rebuilt from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from objlib_fsm.core.effects import next_effect
from objlib_fsm.core.fold import FOLD_VERSION
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.library_record import LibraryRecord
from objlib_fsm.core.record import FileRecord

_encode = msgspec.json.Encoder().encode

COLUMNS: Final = "stream, version, path, state, standing, open, due_at_us, expires_at_us, record"

INSERT: Final = f"INSERT INTO files ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
UPDATE: Final = (
    "UPDATE files SET version = ?2, path = ?3, state = ?4, standing = ?5, open = ?6, due_at_us = ?7, "
    "expires_at_us = ?8, record = ?9 WHERE stream = ?1"
)
UPDATE_RECORD: Final = "UPDATE files SET version = ?2, record = ?3 WHERE stream = ?1"
INSERT_NAME: Final = "INSERT INTO names (name, stream) VALUES (?, ?) ON CONFLICT DO NOTHING"
TIP: Final = (
    "INSERT INTO projection (one, position, hash, fold_version, library) VALUES (1, ?, ?, ?, ?) "
    "ON CONFLICT (one) DO UPDATE SET position = excluded.position, hash = excluded.hash, "
    "fold_version = excluded.fold_version, library = excluded.library"
)

HERE, EXCLUDED, MISSING, FORGOTTEN, STRAY = range(5)
"""Values of ``standing``.  A stray is no file: a history of documents that nothing else accounts for."""

STRAY_PATH: Final = "\\stray/"
"""Stands before the stream's id in ``path`` where no file has the history: text that is no file's path."""

NO_TIME_US: Final = 0
"""Whether a file needs something does not depend on the time; when it needs it does."""


def standing(record: FileRecord) -> int:
    """Why the store should not hold the file, or `HERE`."""
    if record.stray:
        return STRAY
    if not record.wanted:
        return FORGOTTEN
    if not record.present:
        return MISSING
    return EXCLUDED if record.excluded else HERE


def row(record: FileRecord) -> tuple[Any, ...]:
    """The row of ``files`` for *record*, as `COLUMNS`."""
    waits = not record.terminal
    raw = record.raw if waits and record.here else None
    return (
        record.stream,
        record.version,
        record.path or f"{STRAY_PATH}{record.stream}",
        record.state.value,
        standing(record),
        int(waits or next_effect(record, NO_TIME_US) is not None),
        record.due_at_us,
        raw.expires_at_us if raw is not None else None,
        _encode(record).decode(),
    )


def names(record: FileRecord) -> list[tuple[str, StreamId]]:
    """The rows of ``names`` for *record*."""
    stream = record.stream
    return [(raw.name.removeprefix("files/"), stream) for raw in record.raws] + [
        (name, stream)
        for document in record.documents
        for name in (document.name.rpartition("/")[2], document.raw.removeprefix("files/"))
        if name
    ]


class Stored(NamedTuple):
    """A file as the projection has it: its record and the row made from it."""

    record: FileRecord
    row: tuple[Any, ...]


def write(db: apsw.Connection, files: Iterable[tuple[Stored, Stored | None]]) -> None:
    """Write what files are now, given what is stored of each.

    Most events change nothing but the record; the columns with an index are left alone then.
    """
    new, changed, moved_on, named = [], [], [], []
    for now, before in files:
        record, columns = now
        if before is None:
            new.append(columns)
            named.extend(names(record))
            continue
        if columns[2:8] == before.row[2:8]:
            moved_on.append((columns[0], columns[1], columns[8]))
        else:
            changed.append(columns)
        known = before.record
        if len(record.raws) != len(known.raws) or len(record.documents) != len(known.documents):
            named.extend(names(record))
    for statement, rows in (INSERT, new), (UPDATE, changed), (UPDATE_RECORD, moved_on), (INSERT_NAME, named):
        if rows:
            db.executemany(statement, rows)


def write_tip(db: apsw.Connection, position: int, digest: bytes, library: LibraryRecord) -> None:
    """Say up to which event the projection goes."""
    db.execute(TIP, (position, digest, FOLD_VERSION, _encode(library).decode()))


def write_all(
    db: apsw.Connection, files: dict[str, FileRecord], library: LibraryRecord, position: int, digest: bytes
) -> None:
    """Replace the whole projection.  In the caller's transaction."""
    db.execute("DELETE FROM files; DELETE FROM names; DELETE FROM projection")
    db.executemany(INSERT, (row(record) for record in files.values()))
    db.executemany(INSERT_NAME, (pair for record in files.values() for pair in names(record)))
    if position:
        write_tip(db, position, digest, library)


def drift(
    db: apsw.Connection, files: dict[str, FileRecord], library: LibraryRecord, position: int, digest: bytes
) -> list[str]:
    """The streams whose stored projection is not what the fold says, sorted; empty is as it should be.

    ``library`` stands for the library's own record and the tip.
    """
    wrong: set[str] = set()
    missing = set(files)
    for stored in db.execute(f"SELECT {COLUMNS} FROM files"):  # noqa: S608
        stream = str(stored[0])
        missing.discard(stream)
        record = files.get(stream)
        if record is None or stored != row(record):
            wrong.add(stream)
    wrong |= missing
    named = {(str(name), str(stream)) for name, stream in db.execute("SELECT name, stream FROM names")}
    due = {pair for record in files.values() for pair in names(record)}
    wrong.update(stream for _, stream in named ^ due)
    tip = db.execute("SELECT position, hash, fold_version, library FROM projection").fetchone()
    if tip != ((position, digest, FOLD_VERSION, _encode(library).decode()) if position else None):
        wrong.add("library")
    return sorted(wrong)
