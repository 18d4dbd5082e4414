-- The event log: the only truth.  The format is described in docs/reference/log-format.md.

CREATE TABLE events (
  position       INTEGER PRIMARY KEY,   -- global, from 1, without gaps, in commit order
  stream         TEXT    NOT NULL,
  origin         INTEGER NOT NULL,      -- the position of the stream's first event
  version        INTEGER NOT NULL,      -- within the stream, from 1, without gaps
  kind           INTEGER NOT NULL,      -- what happened; the codes are in docs/reference/log-format.md
  schema         INTEGER NOT NULL,      -- version of the body's form
  state          INTEGER NOT NULL,      -- the state that the event led to
  recorded_at_us INTEGER NOT NULL,      -- microseconds since 1970 UTC
  event_id       TEXT    NOT NULL,
  run            TEXT    NOT NULL,      -- the process that appended it
  actor          TEXT    NOT NULL,      -- the part of the program, or the command
  causation      TEXT    NOT NULL,      -- the event it answers, or empty
  body           TEXT    NOT NULL,      -- JSON
  hash           BLOB    NOT NULL       -- SHA-256 over the hash before and this row
) STRICT;

-- Stream ids are random, so an index by stream would write a page of its own for every event.  Files that are worked
-- on at one time were discovered together: by origin their events are neighbours.
CREATE UNIQUE INDEX events_by_stream ON events (stream) WHERE version = 1;
CREATE UNIQUE INDEX events_by_origin ON events (origin, version);
CREATE UNIQUE INDEX events_by_id ON events (event_id);

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE (ABORT, 'events are append-only'); END;

CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN SELECT RAISE (ABORT, 'events are append-only'); END;

-- The projection: what the fold of the events knows, written in the same transaction as the events.  Disposable:
-- `objlib-fsm replay` makes it anew.

CREATE TABLE files (
  stream        TEXT    PRIMARY KEY,
  version       INTEGER NOT NULL,
  path          TEXT    NOT NULL,
  state         INTEGER NOT NULL,
  standing      INTEGER NOT NULL,       -- 0 here, 1 excluded, 2 missing, 3 forgotten
  open          INTEGER NOT NULL,       -- 1 while it needs something
  due_at_us     INTEGER,
  expires_at_us INTEGER,                -- of a raw file that is not imported yet
  record        TEXT    NOT NULL        -- JSON
) STRICT;

CREATE UNIQUE INDEX files_by_path ON files (path);
CREATE INDEX files_by_state ON files (state, standing);
CREATE INDEX files_open ON files (due_at_us) WHERE open = 1;
CREATE INDEX files_expiring ON files (expires_at_us) WHERE expires_at_us IS NOT NULL;

CREATE TABLE names (                    -- every raw file and document ever known
  name   TEXT NOT NULL,
  stream TEXT NOT NULL,
  PRIMARY KEY (name, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE projection (
  one          INTEGER PRIMARY KEY CHECK (one = 1),
  position     INTEGER NOT NULL,        -- of the last event in it
  hash         BLOB    NOT NULL,        -- of that event
  fold_version INTEGER NOT NULL,
  library      TEXT    NOT NULL         -- JSON: the library's own record
) STRICT;
