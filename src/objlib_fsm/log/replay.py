"""Replay: the state rebuilt from the events alone, with every link of the chain checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import apsw
import msgspec

from objlib_fsm.core.events import CODEC, LEASE_STREAM, LIBRARY_STREAM, UnreadableEvent
from objlib_fsm.core.fold import HistoryBroken, digest, new_record, step
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.library_record import LibraryRecord, apply_library
from objlib_fsm.core.record import FileRecord
from objlib_fsm.log import chain, projection
from objlib_fsm.log.contract import LogDamaged
from objlib_fsm.log.sqlite import RESTORE_HINT, SqliteReader, explained

PROGRESS_EVERY: Final = 50_000
"""Events between two calls of the progress callback: several a second."""

_QUERY: Final = (
    "SELECT position, stream, version, kind, schema, state, recorded_at_us, body, hash, "
    f"{chain.ROW_TEXT} FROM events WHERE position <= ? ORDER BY position"
)
_OWN: Final = frozenset((LIBRARY_STREAM, LEASE_STREAM))


class Rebuilt(msgspec.Struct):
    """What the events say.  ``mismatches`` are the positions whose recorded state the fold does not agree with."""

    files: dict[str, FileRecord]
    library: LibraryRecord
    events: int
    position: int
    hash: bytes
    mismatches: list[int]

    @property
    def digest(self) -> str:
        """SHA-256 over all file records: equal for equal states of the library."""
        return digest(self.files.values())


def rebuild(reader: SqliteReader, *, upto: int | None = None, progress: Callable[[int], None] | None = None) -> Rebuilt:
    """Fold all events up to position *upto* and check the chain.  Raises `LogDamaged` at the first bad event."""
    with explained(reader.path):
        return _rebuild(reader, upto, progress)


def _rebuild(reader: SqliteReader, upto: int | None, progress: Callable[[int], None] | None) -> Rebuilt:
    files: dict[str, FileRecord] = {}
    versions: dict[str, int] = {}
    library, before, expected, mismatches = LibraryRecord(), chain.GENESIS, 0, []
    decode, sha256 = CODEC.decode, hashlib.sha256
    limit = upto if upto is not None else 1 << 62
    for row in _rows(reader.connection, limit):
        position, stream, version, kind, schema, state, at_us, body, link, text = row
        expected += 1
        if position != expected:
            raise _damaged(reader, expected, "is missing")
        before = sha256(before + text.encode()).digest()
        if before != link:
            raise _damaged(reader, position, "is not what was written: its hash does not fit")
        try:
            event = decode(kind, schema, body)
            if stream in _OWN:
                library = apply_library(library, event, at_us)
                versions[stream] = folded_version = versions.get(stream, 0) + 1
            else:
                record = files.get(stream)
                if record is None:
                    record = files[stream] = new_record(StreamId(stream))
                step(record, event, at_us)
                folded_version = record.version
                if record.state != state:
                    mismatches.append(position)
        except UnreadableEvent as error:
            raise _damaged(reader, position, f"cannot be read: {error}") from None
        except HistoryBroken as error:
            raise _damaged(reader, position, f"cannot be: {error}") from None
        if folded_version != version:
            raise _damaged(reader, position, f"has version {version} where {folded_version} is due")
        if progress is not None and position % PROGRESS_EVERY == 0:
            progress(position)
    return Rebuilt(files, library, expected, expected, before, mismatches)


def _rows(db: apsw.Connection, limit: int) -> Iterator[Any]:
    return db.execute(_QUERY, (limit,))


def _damaged(reader: SqliteReader, position: int, what: str) -> LogDamaged:
    return LogDamaged(f"{reader.path}: event {position} {what}", RESTORE_HINT, position)


def position_at(reader: SqliteReader, at_us: int) -> int:
    """The position of the last event recorded not after *at_us*."""
    return int(reader.rows("SELECT coalesce(max(position), 0) FROM events WHERE recorded_at_us <= ?", (at_us,))[0][0])


def put_in_place(reader: SqliteReader, rebuilt: Rebuilt) -> None:
    """Replace the projection by what was rebuilt, unless somebody appended meanwhile: then what they wrote is folded
    in first.  Raises `LogError`."""
    db = reader.connection
    with explained(reader.path):
        db.execute("BEGIN IMMEDIATE")
        try:
            head = db.execute("SELECT coalesce(max(position), 0) FROM events").get
            current = rebuilt if head == rebuilt.position else _rebuild(reader, None, None)
            projection.write_all(db, current.files, current.library, current.position, current.hash)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def projection_drift(reader: SqliteReader, rebuilt: Rebuilt) -> list[str]:
    """The streams whose projection is not what was rebuilt."""
    with explained(reader.path):
        return projection.drift(reader.connection, rebuilt.files, rebuilt.library)
