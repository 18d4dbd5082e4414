"""The log's file: opening, checking, migrating and reading it through apsw."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import msgspec

from objlib_fsm.core.codec import CODEC, UnreadableEvent
from objlib_fsm.core.events import LEASE_STREAM, LIBRARY_STREAM
from objlib_fsm.core.fold import FOLD_VERSION
from objlib_fsm.core.ids import EventId, RunId, StreamId
from objlib_fsm.core.library_record import LibraryRecord
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import Kind, State
from objlib_fsm.log.contract import LogBusy, LogDamaged, LogError, LogTooNew, LogUnavailable, NoLog, OpenFile, Recorded
from objlib_fsm.log.removed import nothing_was_removed
from objlib_fsm.resources import Migration, migrations

APPLICATION_ID: Final = 0x4F424C46
"""``OBLF``: what ``file`` and SQLite tools see in the file's header."""

BUSY_TIMEOUT_S: Final = 30.0
"""How long to wait for another process's commit.  A commit takes milliseconds; "database is locked" after a short
wait is the most frequent complaint about programs that use SQLite."""

_WAL_RETRY_S: Final = 0.01
"""Between two attempts to make a new log a write-ahead log; the other process needs milliseconds."""

_INDEX_BYTES: Final = 32_768
"""The size of a piece of ``-shm``."""

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
"""A library's names and history are the owner's business."""

REPLAY_HINT: Final = "run `objlib-fsm replay`"
_PERMISSION_HINT: Final = "check the folder's permissions and the disk"
RESTORE_HINT: Final = (
    "keep the file as it is, restore a copy of the log, and run `objlib-fsm replay --check` on it; "
    "the documents in the store are not affected"
)

_T = TypeVar("_T")
_EVENT_COLUMNS: Final = (
    "position, stream, version, kind, schema, state, recorded_at_us, event_id, run, actor, causation, body"
)
ORIGIN: Final = "SELECT position FROM events WHERE stream = ? AND version = 1"
"""Where a stream begins: its events are found by this, not by the stream's id."""

_MISSING_FILES: Final = (
    "SELECT (SELECT count(*) FROM events INDEXED BY events_by_stream WHERE version = 1 AND stream NOT IN (?, ?))"
    " - (SELECT count(*) FROM files)"
)
"""Both are counted in an index: a millisecond for 100,000 files."""

decode_record = msgspec.json.Decoder(FileRecord).decode
decode_library = msgspec.json.Decoder(LibraryRecord).decode


_ELSE: Final = (
    apsw.AbortError,
    apsw.AuthError,
    apsw.EmptyError,
    apsw.InterruptError,
    apsw.LockedError,
    apsw.NoLFSError,
    apsw.NotFoundError,
    apsw.ProtocolError,
    apsw.RangeError,
    apsw.SchemaChangeError,
)
_CUT_SHORT: Final = frozenset((apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS, apsw.SQLITE_IOERR_DATA))
"""I/O errors that say something of the file's content, not of the disk or the permissions."""


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what SQLite and damaged content raise into `LogError`, with the file and what to do."""
    try:
        yield
    except UnreadableEvent as error:
        raise LogDamaged(
            f"{path}: {error}", "use the program's newest version, or restore a copy of the log"
        ) from error
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise LogDamaged(f"{path}: the log is damaged: {error}", RESTORE_HINT) from error
    except apsw.NotADBError as error:
        raise LogDamaged(f"{path}: this is not a log, or its first page is damaged", RESTORE_HINT) from error
    except apsw.BusyError as error:
        raise LogBusy(f"{path}: another process has kept it locked for {BUSY_TIMEOUT_S:.0f} s", "try again") from error
    except apsw.FullError as error:
        raise _full(path) from error
    except apsw.IOError as error:
        if _is_full(path):
            raise _full(path) from error
        if getattr(error, "extendedresult", None) in _CUT_SHORT:
            raise LogDamaged(f"{path}: the log is damaged: {error}", RESTORE_HINT) from error
        raise LogUnavailable(f"{path}: {error}", _PERMISSION_HINT) from error
    except (apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError) as error:
        raise LogUnavailable(f"{path}: {error}", _PERMISSION_HINT) from error
    except (apsw.CorruptError, apsw.FormatError, apsw.InternalError, apsw.TooBigError, apsw.NoMemError) as error:
        raise LogDamaged(f"{path}: the log is damaged: {error}", RESTORE_HINT) from error
    except apsw.SQLError as error:
        raise LogDamaged(f"{path}: the log lacks what this program needs: {error}", RESTORE_HINT) from error
    except (apsw.ConstraintError, apsw.MismatchError) as error:
        raise LogDamaged(f"{path}: the log contradicts itself: {error}", RESTORE_HINT) from error
    except _ELSE as error:
        raise LogUnavailable(f"{path}: {error}", "try again") from error


def _full(path: Path) -> LogUnavailable:
    return LogUnavailable(f"{path}: the disk is full", "free some space and run the command again; nothing is lost")


def _is_full(path: Path) -> bool:
    """For what SQLite calls an I/O error: it cannot make the log's index in memory without a file for it."""
    try:
        return shutil.disk_usage(path.parent).free < _INDEX_BYTES
    except OSError:
        return False


@contextlib.contextmanager
def explained_content(path: Path) -> Iterator[None]:
    """`explained`, for code that takes stored values for what they should be.

    SQLite does not check the types of what it reads: from a damaged page anything may come, in any column.
    """
    with explained(path):
        try:
            yield
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError) as error:
            if isinstance(error, UnreadableEvent | UnicodeDecodeError | msgspec.MsgspecError):
                raise
            raise LogDamaged(f"{path}: the log is damaged: {error}", RESTORE_HINT) from error


def connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """A connection with our settings.  Raises apsw's errors; wrap in `explained`."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    name = str(path)
    if read_only and _is_at_rest(path):
        name, flags = f"{path.resolve().as_uri()}?immutable=1", flags | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(name, flags=flags)
    with _closed_on_error(connection):
        connection.set_busy_timeout(round(BUSY_TIMEOUT_S * 1000))
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    return connection


def shut(connection: apsw.Connection) -> None:
    """Close it.

    What was acknowledged is synced already: when the last checkpoint fails, whoever opens next makes it.
    """
    with contextlib.suppress(apsw.Error):
        connection.close()


@contextlib.contextmanager
def _closed_on_error(connection: apsw.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shut(connection)
        raise


def _is_at_rest(path: Path) -> bool:
    """Whether nobody can be writing: a copy on a medium, or in a folder, that may not be written.

    A reader of a write-ahead log otherwise needs to make files beside it.
    """
    if os.access(path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        return False
    beside = path.with_name(path.name + "-wal")
    return not beside.exists() or beside.stat().st_size == 0


def create(path: Path) -> None:
    """An empty log at *path*, 0600 in a folder 0700; nothing when the file is there.  Raises `LogError`.

    The folders are synced: a power cut must not take a log away with the folder that it is in.
    """
    try:
        if path.exists():
            return
        missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        for folder in (path.parent, *(folder.parent for folder in missing)):
            with contextlib.suppress(PermissionError):  # May be entered, not read.
                sync_folder(folder)
    except OSError as error:
        raise LogUnavailable(
            f"{path}: cannot be created: {error.strerror}", "choose another place with --db"
        ) from error


def sync_folder(folder: Path) -> None:
    """Have the names in a folder outlive a power cut.  Raises `OSError`."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_for_writing(path: Path) -> apsw.Connection:
    """A connection that may append: WAL, ``synchronous=FULL``, migrated to this program's version.

    Raises `LogError`.
    """
    _must_be_there(path)
    nothing_was_removed(path)
    with explained(path):
        connection = connect(path)
        with _closed_on_error(connection):
            _check_identity(connection, path)
            if connection.readonly("main"):
                raise LogUnavailable(f"{path}: may not be written", _PERMISSION_HINT)
            _use_write_ahead_log(connection, path)
            connection.execute("PRAGMA synchronous=FULL")
            migrate(connection, migrations())
        return connection


def _use_write_ahead_log(connection: apsw.Connection, path: Path) -> None:
    """For this SQLite needs the file for itself, and does not wait for it as it waits for other locks."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            mode = connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY_S)
        else:
            break
    if mode != "wal":
        raise LogUnavailable(f"{path}: this file system cannot hold a write-ahead log", "choose another with --db")


def open_for_reading(path: Path) -> apsw.Connection:
    """A connection that cannot write.  Raises `LogError`."""
    _must_be_there(path)
    nothing_was_removed(path)
    with explained(path):
        connection = connect(path, read_only=True)
        with _closed_on_error(connection):
            if not _check_identity(connection, path):
                raise NoLog(f"{path}: there is nothing in this file", "run `objlib-fsm run LIBRARY` to begin a log")
            if connection.pragma("user_version") >= migrations()[-1].number:
                return connection
        shut(connection)
        shut(open_for_writing(path))
        return connect(path, read_only=True)


def _must_be_there(path: Path) -> None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise NoLog(f"{path}: there is no log", "run `objlib-fsm run LIBRARY` to make one") from None
    except OSError as error:
        raise LogUnavailable(f"{path}: {error.strerror}", _PERMISSION_HINT) from error


def _check_identity(connection: apsw.Connection, path: Path) -> bool:
    """Whether it is a log; False for an empty file.  Raises `LogError` for anything else."""
    connection.execute("BEGIN")  # One moment: another process may be making the log just now.
    try:
        application_id, version = connection.pragma("application_id"), connection.pragma("user_version")
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    finally:
        if connection.in_transaction:  # An error may have ended it.
            connection.execute("COMMIT")
    newest = migrations()[-1].number
    if application_id == 0 and version == 0 and tables == 0:
        return False
    if application_id != APPLICATION_ID:
        raise LogDamaged(f"{path}: this is a database of another program", "choose another file with --db")
    if version > newest:
        raise LogTooNew(
            f"{path}: the log has format {version}, this program knows up to {newest}",
            "use the program's newest version",
        )
    return True


def migrate(connection: apsw.Connection, steps: Sequence[Migration]) -> None:
    """Bring the file to the newest format, each step in one transaction: a step that fails leaves the one before."""
    if connection.pragma("user_version") >= steps[-1].number:
        return
    for step in steps:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.pragma("user_version") < step.number:
                connection.execute(step.sql)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={step.number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


class SqliteReader:
    """`LogReader` on a connection.  Not for use by two threads at once."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    def head(self) -> int:
        """The position of the last event, 0 when there is none."""
        return self._get(lambda db: db.execute("SELECT max(position) FROM events").get or 0)

    def version(self, stream: StreamId) -> int:
        """The version of the stream's last event, 0 when there is none."""
        query = f"SELECT max(version) FROM events WHERE origin = ({ORIGIN})"  # noqa: S608
        return self._get(lambda db: db.execute(query, (stream,)).get or 0)

    def library(self) -> LibraryRecord:
        """The library's own record."""
        text = self._get(lambda db: db.execute("SELECT library FROM projection").get)
        return self._decoded(decode_library, text) if text else LibraryRecord()

    def record(self, stream: StreamId) -> FileRecord | None:
        """The file's record, None when there is no such stream."""
        text = self._get(lambda db: db.execute("SELECT record FROM files WHERE stream = ?", (stream,)).get)
        return self._decoded(decode_record, text) if text else None

    def by_path(self, path: str) -> FileRecord | None:
        """The record of the file that has this path."""
        text = self._get(lambda db: db.execute("SELECT record FROM files WHERE path = ?", (path,)).get)
        return self._decoded(decode_record, text) if text else None

    def by_name(self, name: str) -> FileRecord | None:
        """The record of the file that a raw file or document of this name was ever made from."""
        stream = self._get(lambda db: db.execute("SELECT min(stream) FROM names WHERE name = ?", (name,)).get)
        return self.record(StreamId(stream)) if stream else None

    def read(self, stream: StreamId, after_version: int = 0) -> Sequence[Recorded]:
        """The stream's events."""
        return self._events(f"origin = ({ORIGIN}) AND version > ? ORDER BY version", (stream, after_version))

    def since(self, position: int, limit: int) -> Sequence[Recorded]:
        """At most *limit* events after *position*."""
        return self._events("position > ? ORDER BY position LIMIT ?", (position, limit))

    def records(self, where: str = "1", arguments: Sequence[Any] = ()) -> Iterator[FileRecord]:
        """Records by a condition on the columns of ``files``."""
        with explained_content(self.path):
            for (text,) in self.connection.execute(f"SELECT record FROM files WHERE {where}", arguments):  # noqa: S608
                yield decode_record(text)

    def decoded_records(self, decode: Callable[[str], _T]) -> Iterator[_T]:
        """Every stored record through *decode*, for a caller that needs a part of it."""
        with explained_content(self.path):
            for (text,) in self.connection.execute("SELECT record FROM files"):
                yield decode(text)

    def open_files(self) -> Sequence[OpenFile]:
        """Files that need something, those whose raw file expires first at the front, new ones last."""
        order = "expires_at_us IS NULL, expires_at_us, state = 0, rowid"
        query = f"SELECT stream, state, expires_at_us FROM files WHERE open = 1 ORDER BY {order}"  # noqa: S608
        return [OpenFile(StreamId(s), State(state), expires_at_us) for s, state, expires_at_us in self.rows(query)]

    def touched_by_others(self, position: int, run: str) -> Sequence[StreamId]:
        """The files to which another run appended after *position*."""
        query = "SELECT DISTINCT stream FROM events WHERE position > ? AND run <> ? AND kind < 64"
        return [StreamId(stream) for (stream,) in self.rows(query, (position, run))]

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see the log at one moment, whatever is appended meanwhile."""
        self._get(lambda db: db.execute("BEGIN"))
        try:
            yield
        finally:
            if self.connection.in_transaction:
                with contextlib.suppress(apsw.Error):  # Of a damaged file; whoever read it was told.
                    self.connection.execute("ROLLBACK")

    def rows(self, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query over the projection."""
        return self._get(lambda db: list(db.execute(sql, arguments)))

    def projection_is_current(self) -> bool:
        """Whether the projection goes up to the last event, has every file, and was made by this program's fold.

        Raises `LogDamaged` when it remembers an event that the log does not have: the log was cut.
        """
        with explained_content(self.path):
            state = self.connection.execute("SELECT position, hash, fold_version FROM projection").fetchone()
            tip = self.connection.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1").fetchone()
            missing = self.connection.execute(_MISSING_FILES, (LIBRARY_STREAM, LEASE_STREAM)).get
            if state is None:
                return tip is None
            position, digest, fold_version = int(state[0]), bytes(state[1]), int(state[2])
            tip_position, tip_digest = tip if tip is not None else (0, None)
        if position > tip_position or (position == tip_position and tip is not None and digest != tip_digest):
            raise LogDamaged(
                f"{self.path}: event {position} was recorded and is not there any more", RESTORE_HINT, position
            )
        return bool(position == tip_position and fold_version == FOLD_VERSION and not missing)

    def close(self) -> None:
        """Close the connection."""
        shut(self.connection)

    def _events(self, where: str, arguments: Sequence[Any]) -> list[Recorded]:
        with explained_content(self.path):
            query = f"SELECT {_EVENT_COLUMNS} FROM events WHERE {where}"  # noqa: S608
            return [recorded(row) for row in self.connection.execute(query, arguments)]

    def _get(self, query: Callable[[apsw.Connection], _T]) -> _T:
        with explained_content(self.path):
            return query(self.connection)

    def _decoded(self, decode: Callable[[str], _T], text: str) -> _T:
        try:
            return decode(text)
        except (msgspec.MsgspecError, TypeError, UnicodeError) as error:
            raise LogDamaged(f"{self.path}: the projection is damaged: {error}", REPLAY_HINT) from error


def recorded(row: Iterable[Any]) -> Recorded:
    """A stored row as an event.  Raises `UnreadableEvent`."""
    position, stream, version, kind, schema, state, at_us, event_id, run, actor, causation, body = row
    event = CODEC.decode(kind, schema, body)
    return Recorded(
        position,
        StreamId(stream),
        version,
        Kind(kind),
        State(state),
        at_us,
        EventId(event_id),
        RunId(run),
        actor,
        EventId(causation),
        event,
    )


__all__ = ["LogError", "SqliteReader", "connect", "create", "explained", "open_for_reading", "open_for_writing"]
