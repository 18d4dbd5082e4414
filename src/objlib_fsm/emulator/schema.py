"""The tables of the emulator's own database.

Times are microseconds since 1970, UTC.  States are not stored: a row holds the times from which it is ACTIVE, FAILED,
listed, searchable, and the clock decides.  NULL in such a column means never.

There are few indexes on purpose: each page that a commit changes costs some ten microseconds, and a request changes
only a few.  What is asked once a minute (what has expired) scans.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x6F6C656D
"""'olem' in SQLite's header: a database of this emulator."""

VERSION: Final = 1
"""PRAGMA user_version.  A change of the tables raises it."""

CREATE: Final = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

-- Ordinals are given out in blocks; up to here they are taken.
INSERT INTO meta VALUES ('ordinal', 0);

-- Bytes, in pieces: piece i of blob b has id b * 65536 + i.
CREATE TABLE piece(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;

-- Uploads under way.  n is also the number of the blob, and of the raw file that the upload becomes.
CREATE TABLE upload(
  n INTEGER PRIMARY KEY,
  store INTEGER,                    -- NULL: for a raw file; else straight into this store
  start BLOB NOT NULL,              -- JSON: the body of the start request
  declared INTEGER,
  mime_type TEXT NOT NULL,
  file_name TEXT NOT NULL,
  received INTEGER NOT NULL DEFAULT 0,
  pieces INTEGER NOT NULL DEFAULT 0,
  started_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE file(
  n INTEGER PRIMARY KEY,            -- also the number of its blob
  id TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  mime_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  created_at_us INTEGER NOT NULL,
  active_at_us INTEGER,
  failed_at_us INTEGER,
  expires_at_us INTEGER NOT NULL
) STRICT;

-- Ids of files that are gone, kept only when ids may not be used again.
CREATE TABLE retired(id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE store(
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  embedding_model TEXT NOT NULL,
  created_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE document(
  n INTEGER PRIMARY KEY,
  store INTEGER NOT NULL,
  id TEXT NOT NULL,
  display_name TEXT NOT NULL,
  metadata BLOB NOT NULL,           -- JSON, as the service prints it
  mime_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  chunk_tokens INTEGER NOT NULL,
  overlap_tokens INTEGER NOT NULL,
  created_at_us INTEGER NOT NULL,
  active_at_us INTEGER,
  failed_at_us INTEGER,
  listed_at_us INTEGER NOT NULL,
  searchable_at_us INTEGER,
  fails_once_seen INTEGER NOT NULL DEFAULT 0,
  cited_until_us INTEGER,           -- deleted, and still cited until then
  blob INTEGER,                     -- bytes that are not in the index yet
  UNIQUE (store, id)
) STRICT;
CREATE INDEX document_to_index ON document(blob) WHERE blob IS NOT NULL;
CREATE INDEX document_deleted ON document(cited_until_us) WHERE cited_until_us IS NOT NULL;

-- n and id are those of the document that the operation makes; it outlives the document.
CREATE TABLE operation(
  n INTEGER PRIMARY KEY,
  store INTEGER NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,               -- import, upload
  mime_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  done_at_us INTEGER,
  gone_at_us INTEGER,
  error TEXT,
  style TEXT NOT NULL,              -- full, never_done, name_only, misnamed, raw_named
  UNIQUE (store, id)
) STRICT;

-- A chunk of document d, number i, has rowid d * 2^28 + i.
CREATE VIRTUAL TABLE passage USING fts5(text, tokenize = "porter unicode61 remove_diacritics 2");
"""

PIECES_PER_BLOB: Final = 1 << 16
PASSAGE_BITS: Final = 28
"""Chunks of a document: at most 2^28, more than the words of the largest document."""
