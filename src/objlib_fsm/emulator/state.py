"""The emulator's own SQLite file: opening it, transactions, and the bytes that are kept in it.

WAL with ``synchronous=NORMAL``: what a request committed survives the death of the process at any instant.  Several
processes may use one file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from objlib_fsm.emulator import schema

BUSY_TIMEOUT_MS: Final = 10_000
"""Wait this long for another process's transaction; each takes milliseconds."""

WAL_PAGES: Final = 1_000
"""Checkpoint every 4 MB: measured no slower than rarer ones, and a short log keeps reads quick."""

BLOCK: Final = 1_000
"""Ordinals that a process takes at once, so that not every request writes the counter; a killed one leaves a gap."""

CACHE_KIB: Final = 16_384
"""Page cache: the b-trees of some ten thousand documents."""


class StateError(Exception):
    """The database cannot be used; the message says which file, why, and what to do."""


class Database:
    """One connection.  Not for use from several threads at once."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open or create.  ``":memory:"`` keeps everything in memory.  Raises `StateError`."""
        self.path = os.fspath(path)
        try:
            self._connection = _connect(self.path)
        except (apsw.Error, OSError) as error:
            raise StateError(
                f"{self.path}: cannot open the local store's database: {error}. "
                "Check the file's permissions, or name another file."
            ) from error
        self.run: Callable[..., Any] = self._connection.execute
        self._in_write = False
        self._ordinals = iter(range(0))

    def close(self) -> None:
        """Close the file; further use is an error."""
        self._connection.close()

    def row(self, sql: str, args: Sequence[Any] = ()) -> Any:
        """The first row of a query, or None."""
        return self.run(sql, args).fetchone()

    def value(self, sql: str, args: Sequence[Any] = ()) -> Any:
        """The first value of a query, or None."""
        row = self.run(sql, args).fetchone()
        return None if row is None else row[0]

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """One transaction; rolled back when the block raises.  Within another it is part of that one."""
        if self._in_write:
            yield
            return
        self.begin()
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def begin(self) -> None:
        """Begin a write transaction."""
        self.run("BEGIN IMMEDIATE")
        self._in_write = True

    def commit(self) -> None:
        """Make the transaction's changes last."""
        try:
            self.run("COMMIT")
        except BaseException:
            self.rollback()
            raise
        self._in_write = False

    def rollback(self) -> None:
        """Undo the transaction."""
        self._in_write = False
        # The block of ordinals may have been taken in this transaction.
        self._ordinals = iter(range(0))
        if self._connection.in_transaction:
            self.run("ROLLBACK")

    def next_ordinal(self) -> int:
        """A number never given before, also after a restart or by another process.  Call within a transaction."""
        for ordinal in self._ordinals:
            return ordinal
        taken = int(self.value("UPDATE meta SET value = value + ? WHERE name = 'ordinal' RETURNING value", (BLOCK,)))
        self._ordinals = iter(range(taken - BLOCK + 2, taken + 1))
        return taken - BLOCK + 1

    def meta(self, name: str) -> Any:
        """A value kept with the database, or None."""
        return self.value("SELECT value FROM meta WHERE name = ?", (name,))

    def set_meta(self, name: str, value: int | bytes | str) -> None:
        """Keep a value with the database."""
        self.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value))

    def add_piece(self, blob: int, index: int, data: bytes) -> None:
        """Append a piece to a blob."""
        self.run("INSERT INTO piece(id, data) VALUES (?, ?)", (blob * schema.PIECES_PER_BLOB + index, data))

    def pieces(self, blob: int) -> Iterator[bytes]:
        """The bytes of a blob, piece by piece."""
        first = blob * schema.PIECES_PER_BLOB
        for (data,) in self.run(
            "SELECT data FROM piece WHERE id >= ? AND id < ? ORDER BY id", (first, first + schema.PIECES_PER_BLOB)
        ):
            yield data

    def drop_blob(self, blob: int) -> None:
        """Forget a blob's bytes, unless a raw file or a document that is not indexed yet still needs them."""
        needed = self.value(
            "SELECT 1 FROM file WHERE n = ?1 UNION ALL SELECT 1 FROM document WHERE blob = ?1 LIMIT 1", (blob,)
        )
        if needed is None:
            first = blob * schema.PIECES_PER_BLOB
            self.run("DELETE FROM piece WHERE id >= ? AND id < ?", (first, first + schema.PIECES_PER_BLOB))


def _connect(path: str) -> apsw.Connection:
    if path != ":memory:":
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the mode of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(path)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = NORMAL",
            f"wal_autocheckpoint = {WAL_PAGES}",
            f"cache_size = -{CACHE_KIB}",
            "recursive_triggers = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("BEGIN IMMEDIATE")
        try:
            _prepare(connection, path)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: apsw.Connection, path: str) -> None:
    """Create the tables in an empty file; refuse a file that is something else."""
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    if application == schema.APPLICATION_ID:
        if version != schema.VERSION:
            raise StateError(
                f"{path}: the local store's database has format {version}, this program understands "
                f"{schema.VERSION}. Use the program that wrote it, or name another file."
            )
        return
    if application or version or connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
        raise StateError(f"{path}: this is a database of something else, not a local store. Name another file.")
    connection.execute(schema.CREATE)
    connection.execute("INSERT INTO meta VALUES ('seed', ?)", (secrets.token_bytes(32),))
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")
