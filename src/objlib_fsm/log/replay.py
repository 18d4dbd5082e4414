"""Replay: the state rebuilt from the events alone, with every link of the chain checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from objlib_fsm.core.codec import CODEC, UnreadableEvent
from objlib_fsm.core.fold import HistoryBroken, digest, new_record, step
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.library_record import COUNTED, LibraryRecord, apply_library
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import FIRST_KINDS, LIBRARY_KINDS, Kind
from objlib_fsm.log import chain, projection
from objlib_fsm.log.contract import OWN_STREAMS, LogDamaged, Recorded
from objlib_fsm.log.sqlite import ORIGIN, RESTORE_HINT, SqliteReader, explained, explained_content

PROGRESS_EVERY: Final = 50_000
"""Events between two calls of the progress callback: several a second."""

_LIBRARY_KINDS: Final = int(min(LIBRARY_KINDS))
"""Codes from here on are about the library."""

_QUERY: Final = (
    "SELECT position, stream, origin, version, kind, schema, state, recorded_at_us, body, hash, "  # noqa: S608
    f"CAST({chain.ROW_TEXT} AS BLOB) FROM events WHERE position <= ? ORDER BY position"
)

_LINKS: Final = (
    f"SELECT version, position, hash, CAST({chain.ROW_TEXT} AS BLOB), "  # noqa: S608
    "(SELECT before.hash FROM events AS before WHERE before.position = events.position - 1) "
    f"FROM events WHERE origin = ({ORIGIN}) ORDER BY version"
)
"""A stream's rows, each with the hash of the event before it in the log."""


_FOR_EVER: Final = (1 << 63) - 1


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
    by_origin: dict[int, FileRecord] = {}
    own_versions: dict[int, int] = {}
    library, before, position, mismatches = LibraryRecord(), chain.GENESIS, 0, []
    decode, sha256, library_kinds, counted = CODEC.decode, hashlib.sha256, _LIBRARY_KINDS, COUNTED
    rows = reader.connection.execute(_QUERY, (upto if upto is not None else _FOR_EVER,))
    try:
        for stored, stream, origin, version, kind, schema, state, at_us, body, link, text in rows:
            position += 1
            if stored != position:
                raise _damaged(reader, position, "is missing")
            before = sha256(before + text).digest()
            if before != link:
                raise _damaged(reader, position, "is not what was written: its hash does not fit")
            event = decode(kind, schema, body)
            if kind < library_kinds:
                record = by_origin.get(origin)
                if record is None:
                    record = by_origin[origin] = new_record(stream)
                step(record, event, at_us)
                due = record.version
                if kind in counted:
                    library = apply_library(library, event, at_us)
                if record.state != state:
                    mismatches.append(position)
            else:
                library = apply_library(library, event, at_us)
                due = own_versions[origin] = own_versions.get(origin, 0) + 1
                record = None
            if version != due:
                raise HistoryBroken(f"it has version {version} where {due} is due")
            if version == 1:
                _check_first(stream, origin, kind, position)
            elif record is not None and record.stream != stream:
                raise HistoryBroken(f"it belongs to stream {record.stream}")
            if progress is not None and position % PROGRESS_EVERY == 0:
                progress(position)
    except LogDamaged:
        raise
    except (UnreadableEvent, UnicodeDecodeError) as error:
        at = position + isinstance(error, UnicodeDecodeError)
        raise _damaged(reader, at, f"cannot be read: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
        raise _damaged(reader, position, f"cannot be: {error}") from error
    files = {str(record.stream): record for record in by_origin.values()}
    return Rebuilt(files, library, position, position, before, mismatches)


def _check_first(stream: str, origin: int, kind: int, position: int) -> None:
    if origin != position:
        raise HistoryBroken(f"its stream begins with it, not with event {origin}")
    if (stream in OWN_STREAMS) != (kind >= _LIBRARY_KINDS):
        raise HistoryBroken(f"a {Kind(kind).label} does not belong to stream {stream}")
    if kind < _LIBRARY_KINDS and kind not in FIRST_KINDS:
        raise HistoryBroken("a file's history begins with its discovery")


def _damaged(reader: SqliteReader, position: int, what: str) -> LogDamaged:
    return LogDamaged(f"{reader.path}: event {position} {what}", RESTORE_HINT, position)


def read_checked(reader: SqliteReader, stream: StreamId) -> Sequence[Recorded]:
    """The stream's events, each of which fits the hash before it.  Raises `LogDamaged` at the first that does not.

    Proves less than `rebuild`: whoever made all hashes after a change anew is not seen.
    """
    with explained_content(reader.path):
        rows = reader.connection.execute(_LINKS, (stream,))
        for due, (version, position, stored, text, before) in enumerate(rows, 1):
            if version != due:
                raise _damaged(reader, position, f"has version {version} where {due} is due")
            if hashlib.sha256((before if position > 1 else chain.GENESIS) + text).digest() != stored:
                raise _damaged(reader, position, "is not what was written: its hash does not fit")
    return reader.read(stream)


def position_at(reader: SqliteReader, at_us: int) -> int:
    """The position of the last event recorded not after *at_us*."""
    return int(reader.rows("SELECT coalesce(max(position), 0) FROM events WHERE recorded_at_us <= ?", (at_us,))[0][0])


def put_in_place(reader: SqliteReader, rebuilt: Rebuilt) -> None:
    """Replace the projection by what was rebuilt, unless somebody appended meanwhile: then what they wrote is folded
    in first.  Raises `LogError`."""
    db = reader.connection
    with explained_content(reader.path):
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


def check_pages(reader: SqliteReader) -> None:
    """Have SQLite check every page, and that each index fits its table: what `rebuild` does not read.

    Raises `LogDamaged`.
    """
    with explained_content(reader.path):
        for (found,) in reader.connection.execute("PRAGMA integrity_check(1)"):
            if found != "ok":
                raise LogDamaged(f"{reader.path}: the log is damaged: {found}", RESTORE_HINT)


def projection_drift(reader: SqliteReader, rebuilt: Rebuilt) -> list[str]:
    """The streams whose projection is not what was rebuilt."""
    with explained_content(reader.path):
        return projection.drift(reader.connection, rebuilt.files, rebuilt.library, rebuilt.position, rebuilt.hash)
