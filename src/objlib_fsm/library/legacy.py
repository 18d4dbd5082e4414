"""The earlier tool's database, read: one claim a file, and nothing written to its side.

Schema versions 9 to 12 are understood; they differ in the columns of ``files`` and in nothing else that matters here.
What a column holds is taken as it is: whether it is true is for the service to say.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import apsw
import msgspec

from objlib_fsm.library.errors import shown

VERSION_MIN: Final = 9
"""The first schema that has a state of the service's side (`gemini_state`)."""

VERSION_MAX: Final = 12
"""The last schema that the earlier tool had."""

_COLUMNS: Final = (
    *("file_path", "content_hash", "file_size", "mtime", "gemini_state", "gemini_store_doc_id", "gemini_file_id"),
    *("orphaned_gemini_file_id", "upload_timestamp", "remote_expiration_ts", "gemini_state_updated_at", "updated_at"),
    *("is_deleted", "missing_since", "error_message", "intent_type", "intent_api_calls_completed"),
    *("ai_metadata_status", "status"),
)
"""What is read of ``files``; a column that a schema lacks is NULL."""

_TELLING: Final = tuple(
    name for name in _COLUMNS if name not in ("file_path", "file_size", "content_hash", "error_message")
)
"""What goes into the log as it stood; the others have a place of their own there."""

_NEEDED: Final = ("file_path", "content_hash", "gemini_state", "gemini_store_doc_id")

STATES: Final = ("untracked", "uploading", "processing", "indexed", "failed")

_GONE: Final = ("missing", "LOCAL_DELETE")
"""``status`` of a file that is not on disk, before ``is_deleted`` took its place."""

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_LOST_SECONDS: Final = re.compile(r"(.*T\d\d:\d\d:)(\d{6})")
"""Microseconds in the place of the seconds, as one of the tool's formats writes where Python formats it."""


class LegacyProblem(Exception):
    """The database cannot be taken over; nothing was changed.  ``hint`` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class LegacyFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the earlier tool says of one file.

    Empty text, 0 and None where it says nothing.  ``document`` is an id or a full name, ``raws`` are ids of raw files
    without ``files/``, the likeliest first, ``operation`` an import under way.  ``remarks`` are values that make no
    sense.
    """

    path: str
    content_hash: str = ""
    size_bytes: int = 0
    mtime_ns: int = 0
    state: str = "untracked"
    document: str = ""
    raws: tuple[str, ...] = ()
    orphan: bool = False
    """Whether one of ``raws`` was put down as orphaned."""
    operation: str = ""
    uploaded_at_us: int | None = None
    expires_at_us: int | None = None
    state_since_us: int | None = None
    changed_at_us: int | None = None
    missing: bool = False
    missing_since_us: int | None = None
    error: str = ""
    reset_step: int | None = None
    """Calls of a reset that were made: 0 none, 1 the document's deletion, 2 the raw file's too; None for no reset."""
    skipped: bool = False
    """Whether it was left out because it is no text."""
    remarks: tuple[str, ...] = ()
    claim: dict[str, str] = {}
    """The telling columns as they stood."""


class LegacyLibrary(msgspec.Struct, frozen=True):
    """The whole database: its schema's version, what it calls its store, and its files by path."""

    version: int
    store: str
    store_display_name: str
    files: list[LegacyFile]


def read_legacy(path: Path) -> LegacyLibrary:
    """Read the database.  Raises `LegacyProblem`."""
    if not path.is_file():
        raise LegacyProblem(f"{shown(path)}: there is no such database")
    try:
        with _opened(path) as db:
            return _read(path, db)
    except (apsw.Error, OSError, UnicodeDecodeError) as error:
        raise LegacyProblem(f"{shown(path)}: this database cannot be read: {error}") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    """The database, read-only: as it stands when it is whole, else from a copy, since reading a write-ahead log writes
    beside it."""
    with contextlib.ExitStack() as stack:
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="objlib-adopt-")))
            for source in (path, log):
                shutil.copyfile(source, folder / source.name)
            db = apsw.Connection(str(folder / path.name), flags=apsw.SQLITE_OPEN_READWRITE)
        else:
            uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
            db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        stack.callback(db.close)
        yield db


def _read(path: Path, db: apsw.Connection) -> LegacyLibrary:
    version: int = db.execute("PRAGMA user_version").get
    columns = {str(row[1]) for row in db.execute("PRAGMA table_info(files)")}
    if not columns:
        raise LegacyProblem(f"{shown(path)}: this is no database of the earlier tool: it has no table of files")
    if version < VERSION_MIN:
        raise LegacyProblem(
            f"{shown(path)}: its schema has version {version}, from before the tool knew what the service holds "
            f"(gemini_state); versions {VERSION_MIN} to {VERSION_MAX} can be adopted",
            "let the last version of the earlier tool open it once, which brings the schema up to date; or index the "
            "library anew: objlib-fsm run LIBRARY",
        )
    if version > VERSION_MAX:
        raise LegacyProblem(
            f"{shown(path)}: its schema has version {version}; versions {VERSION_MIN} to {VERSION_MAX} are known"
        )
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise LegacyProblem(f"{shown(path)}: its table of files lacks {', '.join(missing)}")
    chosen = ", ".join(name if name in columns else f"NULL AS {name}" for name in _COLUMNS)
    operations = _operations(db)
    files = [
        _file(dict(zip(_COLUMNS, row, strict=True)), operations)
        for row in db.execute(f"SELECT {chosen} FROM files ORDER BY file_path")  # noqa: S608 - names of ours
    ]
    config = dict(db.execute("SELECT key, value FROM library_config")) if _has(db, "library_config") else {}
    return LegacyLibrary(
        version, _text(config.get("gemini_store_name")), _text(config.get("gemini_store_display_name")), files
    )


def _has(db: apsw.Connection, table: str) -> bool:
    found = db.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,)).get
    return found is not None


def _operations(db: apsw.Connection) -> dict[str, str]:
    """The last import of each file that nobody saw end."""
    if not _has(db, "upload_operations"):
        return {}
    query = (
        "SELECT file_path, operation_name FROM upload_operations "
        "WHERE operation_state IN ('pending', 'in_progress', 'timeout') ORDER BY created_at"
    )
    return {_text(path): _text(name) for path, name in db.execute(query)}


def _file(row: dict[str, Any], operations: dict[str, str]) -> LegacyFile:
    remarks: list[str] = []
    content_hash = _text(row["content_hash"]).lower()
    if not _HASH.fullmatch(content_hash):
        remarks.append("its content hash is no SHA-256")
        content_hash = ""
    state = _text(row["gemini_state"])
    if state not in STATES:
        remarks.append(f"its state {state!r} is none")
        state = "untracked"
    times = {}
    for name in (
        *("upload_timestamp", "remote_expiration_ts", "gemini_state_updated_at", "updated_at", "missing_since"),
    ):
        text = _text(row[name])
        times[name] = parse_time(text)
        if text and times[name] is None:
            remarks.append(f"its {name} {text!r} is no time")
    document = _text(row["gemini_store_doc_id"])
    operation = operations.get(_text(row["file_path"]), "")
    return LegacyFile(
        path=row["file_path"] if isinstance(row["file_path"], str) else "",
        content_hash=content_hash,
        size_bytes=max(0, _number(row["file_size"])),
        mtime_ns=round(float(row["mtime"]) * 1e9) if isinstance(row["mtime"], int | float) else 0,
        state=state,
        document=document,
        raws=_raws(document, _text(row["gemini_file_id"]), _text(row["orphaned_gemini_file_id"]), operation),
        orphan=bool(_text(row["orphaned_gemini_file_id"])),
        operation=operation,
        uploaded_at_us=times["upload_timestamp"],
        expires_at_us=times["remote_expiration_ts"],
        state_since_us=times["gemini_state_updated_at"],
        changed_at_us=times["updated_at"],
        missing=bool(row["is_deleted"]) or bool(times["missing_since"]) or _text(row["status"]) in _GONE,
        missing_since_us=times["missing_since"],
        error=_text(row["error_message"]),
        reset_step=_number(row["intent_api_calls_completed"]) if _text(row["intent_type"]) == "reset" else None,
        skipped=_text(row["ai_metadata_status"]) == "skipped",
        remarks=tuple(remarks),
        claim={name: str(row[name]) for name in _TELLING if row[name] not in (None, "")},
    )


def _raws(document: str, raw: str, orphan: str, operation: str) -> tuple[str, ...]:
    """The ids of raw files that the file's documents may have been made from.

    A document's id, and that of the operation that made it, is that of its raw file, a hyphen and twelve characters.
    It comes first: where the two disagree, the column of the raw file was the stale one.
    """
    made = [name.rpartition("/")[2].rpartition("-")[0] for name in (document, operation)]
    named = [name.removeprefix("files/") for name in (raw, orphan)]
    return tuple(dict.fromkeys(name for name in made + named if name))


def parse_time(text: str) -> int | None:
    """Microseconds since 1970 UTC of a time in one of the tool's formats; None when it is in none of them.

    ISO 8601 with a ``T`` or a blank, with or without a fraction, and with an offset or, in UTC, without.
    """
    lost = _LOST_SECONDS.fullmatch(text)
    try:
        moment = datetime.datetime.fromisoformat(f"{lost[1]}00.{lost[2]}" if lost else text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1)


_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
