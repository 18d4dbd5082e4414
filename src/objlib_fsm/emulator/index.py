"""The full-text index: FTS5 over the chunks of documents.

Bytes are indexed when a search first needs them, many documents in one transaction: one at a time costs three to five
times as much (measured: 250 against 70 microseconds for a document of 2 kB).  Until then the document holds on to its
bytes, also when the raw file is deleted.
"""

from __future__ import annotations

from typing import Final

from objlib_fsm.emulator import mime, text
from objlib_fsm.emulator.schema import PASSAGE_BITS
from objlib_fsm.emulator.state import Database

SLICE_BYTES: Final = 2 * 1024 * 1024
"""Indexed in one transaction: some 100 ms, after which other requests have their turn."""


def index_slice(db: Database) -> bool:
    """Index some documents that are not yet.  True when there may be more."""
    with db.write():
        taken = 0
        waiting = db.run(
            "SELECT n, blob, mime_type, chunk_tokens, overlap_tokens, size_bytes FROM document"
            " WHERE blob IS NOT NULL ORDER BY blob LIMIT 500"
        ).fetchall()
        for n, blob, mime_type, chunk_tokens, overlap_tokens, size_bytes in waiting:
            _index(db, n, blob, mime_type, chunk_tokens, overlap_tokens)
            taken += size_bytes
            if taken >= SLICE_BYTES:
                return True
    return False


def is_complete(db: Database) -> bool:
    """Nothing waits to be indexed."""
    return db.value("SELECT 1 FROM document WHERE blob IS NOT NULL LIMIT 1") is None


def _index(db: Database, n: int, blob: int, mime_type: str, chunk_tokens: int, overlap_tokens: int) -> None:
    source = text.decode(b"".join(db.pieces(blob)))
    if mime.is_markup(mime_type):
        source = text.strip_markup(source)
    first = n << PASSAGE_BITS
    for number, chunk in enumerate(text.chunks(source, chunk_tokens, overlap_tokens)):
        db.run("INSERT INTO passage(rowid, text) VALUES (?, ?)", (first + number, chunk))
    db.run("UPDATE document SET blob = NULL WHERE n = ?", (n,))
    db.drop_blob(blob)


def forget(db: Database, n: int) -> None:
    """Remove a document's chunks."""
    first = n << PASSAGE_BITS
    db.run("DELETE FROM passage WHERE rowid >= ? AND rowid < ?", (first, first + (1 << PASSAGE_BITS)))
