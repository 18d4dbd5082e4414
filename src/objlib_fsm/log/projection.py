"""The projection: the folded state as rows, disposable, written with the events or rebuilt from them."""

from __future__ import annotations

from typing import Any, Final

import apsw
import msgspec

from objlib_fsm.core.effects import next_effect
from objlib_fsm.core.fold import FOLD_VERSION
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.library_record import LibraryRecord
from objlib_fsm.core.record import FileRecord

_encode = msgspec.json.Encoder().encode

UPSERT: Final = (
    "INSERT INTO files (stream, version, path, state, standing, open, due_at_us, expires_at_us, record) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (stream) DO UPDATE SET version = excluded.version, "
    "path = excluded.path, state = excluded.state, standing = excluded.standing, open = excluded.open, "
    "due_at_us = excluded.due_at_us, expires_at_us = excluded.expires_at_us, record = excluded.record"
)
NAME: Final = "INSERT INTO names (name, stream) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
TIP: Final = (
    "INSERT INTO projection (one, position, hash, fold_version, library) VALUES (1, ?, ?, ?, ?) "
    "ON CONFLICT (one) DO UPDATE SET position = excluded.position, hash = excluded.hash, "
    "fold_version = excluded.fold_version, library = excluded.library"
)

HERE, EXCLUDED, MISSING, FORGOTTEN = range(4)
"""Values of ``standing``."""

NO_TIME_US: Final = 0
"""Whether a file needs something does not depend on the time; when it needs it does."""


def standing(record: FileRecord) -> int:
    """Why the store should not hold the file, or `HERE`."""
    if not record.wanted:
        return FORGOTTEN
    if not record.present:
        return MISSING
    return EXCLUDED if record.excluded else HERE


def row(record: FileRecord) -> tuple[Any, ...]:
    """The row of ``files`` for *record*."""
    raw = record.raw
    expires_at_us = raw.expires_at_us if raw is not None and record.here and not record.terminal else None
    return (
        record.stream,
        record.version,
        record.path,
        record.state.value,
        standing(record),
        next_effect(record, NO_TIME_US) is not None,
        record.due_at_us,
        expires_at_us,
        _encode(record).decode(),
    )


def names(record: FileRecord) -> list[tuple[str, StreamId]]:
    """The rows of ``names`` for *record*."""
    stream = record.stream
    return [(raw.name.removeprefix("files/"), stream) for raw in record.raws] + [
        (document.name.rpartition("/")[2], stream) for document in record.documents
    ]


def write_tip(db: apsw.Connection, position: int, digest: bytes, library: LibraryRecord) -> None:
    """Say up to which event the projection goes."""
    db.execute(TIP, (position, digest, FOLD_VERSION, _encode(library).decode()))


def write_all(
    db: apsw.Connection, files: dict[str, FileRecord], library: LibraryRecord, position: int, digest: bytes
) -> None:
    """Replace the whole projection.  In the caller's transaction."""
    db.execute("DELETE FROM files; DELETE FROM names; DELETE FROM projection")
    db.executemany(UPSERT, (row(record) for record in files.values()))
    db.executemany(NAME, (pair for record in files.values() for pair in names(record)))
    if position:
        write_tip(db, position, digest, library)


def drift(db: apsw.Connection, files: dict[str, FileRecord], library: LibraryRecord) -> list[str]:
    """The streams whose stored projection is not what the fold says, sorted; empty is as it should be."""
    wrong: set[str] = set()
    seen = 0
    for stored in db.execute(
        "SELECT stream, version, path, state, standing, open, due_at_us, expires_at_us, record FROM files"
    ):
        seen += 1
        record = files.get(str(stored[0]))
        if record is None or stored != row(record):
            wrong.add(str(stored[0]))
    if seen != len(files):
        known = {str(stream) for (stream,) in db.execute("SELECT stream FROM files")}
        wrong.update(stream for stream in files if stream not in known)
    named = dict(db.execute("SELECT name, stream FROM names"))
    for record in files.values():
        for name, stream in names(record):
            if named.pop(name, None) != stream:
                wrong.add(stream)
    wrong.update(named.values())
    stored_library = db.execute("SELECT library FROM projection").get
    if (stored_library or "{}") != _encode(library).decode():
        wrong.add("library")
    return sorted(wrong)
