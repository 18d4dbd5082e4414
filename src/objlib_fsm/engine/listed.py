"""What a listing has shown so far, in a scratch database: any number of documents in little memory.

It is disposable.  Beside the log it lets a listing that was cut short go on where it was, also in another process; with
no place of its own SQLite keeps it in memory, and in a file that nobody sees when it grows.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from objlib_fsm.core.events import DocumentFact
from objlib_fsm.core.ids import DocumentName, LibraryId, RawFileName, StoreName, payload_id
from objlib_fsm.core.policy import after_s
from objlib_fsm.core.record import FileRecord
from objlib_fsm.log.sqlite import explained
from objlib_fsm.remote.port import DocumentState, Identity, RemoteDocument

RESUME_S: Final = 3_600.0
"""An older listing is begun anew: what it says is as old as its beginning, and nobody knows how long a token lives."""

SCRATCH_FORMAT: Final = 1
"""In ``user_version``: a scratch of another format is thrown away."""

_TABLES: Final = f"""
PRAGMA user_version = {SCRATCH_FORMAT};
CREATE TABLE document (
  name TEXT PRIMARY KEY, state TEXT NOT NULL, display_name TEXT NOT NULL, library TEXT NOT NULL, stream TEXT NOT NULL,
  payload TEXT NOT NULL, created_at_us INTEGER NOT NULL, size_bytes INTEGER NOT NULL, owner TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX document_by_stream ON document (stream);
CREATE INDEX document_by_display_name ON document (display_name);
CREATE INDEX document_by_owner ON document (owner);
CREATE TABLE progress (
  one INTEGER PRIMARY KEY CHECK (one = 1), store TEXT NOT NULL, library TEXT NOT NULL, began_at_us INTEGER NOT NULL,
  token TEXT NOT NULL, complete INTEGER NOT NULL, documents INTEGER NOT NULL
) STRICT;
CREATE TABLE finding (
  n INTEGER PRIMARY KEY, sign TEXT NOT NULL, stream TEXT NOT NULL, document TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX finding_by_stream ON finding (stream);
"""
_ALONE: Final = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF"
"""One process at a time, and a transaction that a kill cuts short is undone.  After a power cut the number of documents
does not fit, or the check of the pages fails: then the listing begins anew."""

_COLUMNS: Final = "name, state, display_name, library, stream, payload, created_at_us, size_bytes"


class Listing:
    """A listing of *store*, begun at ``began_at_us``.  Raises `LogError` when its place cannot be written."""

    def __init__(self, store: StoreName, library: LibraryId, now_us: int, path: Path | None = None) -> None:
        self.store = store
        self.library = library
        self.path = path
        self._db = self._opened(now_us)
        (progress,) = self.rows("SELECT began_at_us, token, complete, documents FROM progress")
        self.began_at_us, self.token = int(progress[0]), str(progress[1])
        self.complete, self._seen = bool(progress[2]), int(progress[3])

    # ---- filled page by page -----------------------------------------------------------------------------------------

    @property
    def resumed(self) -> bool:
        """Whether an earlier process began it."""
        return bool(self.token)

    def add(self, documents: Sequence[RemoteDocument], next_token: str) -> None:
        """One page, and the token of the next: empty after the last.  A document that comes again counts once."""
        before = self._db.total_changes()
        with self._transaction():
            self._db.executemany(
                "INSERT INTO document VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING",
                [_row(document) for document in documents],
            )
            seen: int = self._seen + self._db.total_changes() - before
            progress = (next_token, int(not next_token), seen)
            self._db.execute("UPDATE progress SET token = ?, complete = ?, documents = ?", progress)
        self._seen = seen
        self.token, self.complete = next_token, not next_token

    def start_over(self, now_us: int) -> None:
        """Forget all of it: a new listing begins now."""
        with self._transaction():
            self._db.execute("DELETE FROM document; DELETE FROM finding")
            self._db.execute("UPDATE progress SET began_at_us = ?, token = '', complete = 0, documents = 0", (now_us,))
        self.began_at_us, self.token, self.complete, self._seen = now_us, "", False, 0

    # ---- what it shows -----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._seen

    def of(self, record: FileRecord) -> tuple[DocumentFact, ...]:
        """The file's documents: those known by name, those that carry its id, and those made from its raw files."""
        found = {d.name: d for d in self._documents(record) if is_of(record, self.library, d)}
        return tuple(fact_of(record, document) for document in found.values())

    def document(self, name: DocumentName) -> RemoteDocument | None:
        """The document of that name."""
        return next(self.documents("name = ?", (name,)), None)

    def documents(self, where: str = "1", arguments: Sequence[Any] = ()) -> Iterator[RemoteDocument]:
        """Documents by a condition on the columns."""
        with explained(self._place):
            for row in self._db.execute(f"SELECT {_COLUMNS} FROM document WHERE {where}", arguments):  # noqa: S608
                yield _document(row)

    def _documents(self, record: FileRecord) -> Iterator[RemoteDocument]:
        yield from self.documents("stream = ? AND library = ?", (record.stream, self.library))
        for raw in record.raws:
            yield from self.documents("display_name = ? AND library = ''", (raw.name.removeprefix("files/"),))
        for known in record.live_documents:
            document = self.document(known.name)
            if document is not None:
                yield document

    # ---- for whoever compares ----------------------------------------------------------------------------------------

    def rows(self, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query over the scratch."""
        return list(self.each(sql, arguments))

    def each(self, sql: str, arguments: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The same one by one: they may be as many as the store has documents."""
        with explained(self._place):
            yield from self._db.execute(sql, arguments)

    def write(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write to the scratch."""
        with self._transaction():
            self._db.executemany(sql, rows)

    def close(self) -> None:
        """Close it; its file stays for the next time unless `discard` was called."""
        self._db.close()

    def discard(self) -> None:
        """Close it and remove its file: it has served."""
        self.close()
        if self.path is not None:
            _remove(self.path)

    # ---- its place ---------------------------------------------------------------------------------------------------

    @property
    def _place(self) -> Path:
        return self.path or Path("(temporary listing)")

    def _opened(self, now_us: int) -> apsw.Connection:
        if self.path is not None:
            with contextlib.suppress(apsw.Error):
                db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
                list(db.execute(_ALONE))
                if self._goes_on(db, now_us):
                    db.execute("UPDATE progress SET complete = 0")  # From here on nobody else may read it.
                    return db
                db.close()
            _remove(self.path)
        with explained(self._place):
            db = apsw.Connection(str(self.path) if self.path is not None else "")
            if self.path is not None:
                self.path.chmod(0o600)
            list(db.execute(_ALONE))  # Each statement that answers waits to be read.
            list(db.execute(_TABLES))
            progress = (1, self.store, self.library, now_us, "", 0, 0)
            db.execute("INSERT INTO progress VALUES (?, ?, ?, ?, ?, ?, ?)", progress)
            return db

    def _goes_on(self, db: apsw.Connection, now_us: int) -> bool:
        """Whether what an earlier process left is the beginning of this listing."""
        if db.pragma("user_version") != SCRATCH_FORMAT or db.pragma("quick_check") != "ok":
            return False
        row = db.execute("SELECT store, library, began_at_us, token, complete, documents FROM progress").fetchone()
        if row is None:
            return False
        store, library, began_at_us, token, complete, documents = row
        whole = documents == db.execute("SELECT count(*) FROM document").get
        young = began_at_us <= now_us < after_s(began_at_us, RESUME_S)
        return bool((store, library) == (self.store, self.library) and whole and young and token and not complete)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with explained(self._place), self._db:
            yield


def is_of(record: FileRecord, library: LibraryId, document: RemoteDocument) -> bool:
    """Whether the document is the file's.

    An operation may name another's document, and what is taken for the file's may be deleted one day.  So what carries
    another id, or was made from a raw file that is none of the file's, is not its, unless it was taken over before.
    """
    if any(d.name == document.name and d.state for d in record.live_documents):
        return True
    if document.identity is not None:
        return (document.identity.library, document.identity.stream) == (library, record.stream)
    if not document.display_name:
        return True
    return any(raw.name == f"files/{document.display_name}" for raw in record.raws)


def fact_of(record: FileRecord, document: RemoteDocument) -> DocumentFact:
    """What the service showed, with what it stands for from our metadata or, without it, from the raw file's id."""
    payload = document.identity.payload if document.identity is not None else ""
    made_from = RawFileName(f"files/{document.display_name}") if document.display_name else RawFileName("")
    if not payload:
        payload = next((known.payload for known in record.documents if known.name == document.name), "")
    unknown = made_from if document.identity is not None else RawFileName("")
    for raw in record.raws:
        if raw.name == made_from:
            waiting = (i.payload for i in record.imports if i.raw == raw.name)
            payload, unknown = payload or next(waiting, payload_id(raw.payload)), RawFileName("")
    return DocumentFact(document.name, document.state, payload, document.created_at_us, unknown)


def _row(d: RemoteDocument) -> tuple[Any, ...]:
    identity = d.identity or Identity("", "", "")
    mark = (identity.library, identity.stream, identity.payload)
    return (d.name, d.state.value, d.display_name, *mark, d.created_at_us, d.size_bytes)


def _document(row: tuple[Any, ...]) -> RemoteDocument:
    name, state, display_name, library, stream, payload, created_at_us, size_bytes = row
    identity = Identity(library, stream, payload) if library else None
    return RemoteDocument(DocumentName(name), DocumentState(state), display_name, identity, created_at_us, size_bytes)


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-journal")):
        with contextlib.suppress(OSError):
            os.unlink(name)
