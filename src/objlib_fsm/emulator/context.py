"""What a handler works with: the database, the settings, the clock, the draws."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from objlib_fsm.emulator.draws import Draws
from objlib_fsm.emulator.index import forget
from objlib_fsm.emulator.settings import Settings
from objlib_fsm.emulator.state import Database

Clock = Callable[[], int]
"""Wall clock: microseconds since 1970, UTC."""

PRUNE_EVERY_US: Final = 60_000_000
"""What has expired is invisible at once; its bytes are freed at most a minute of requests later."""

_CLOCK_OFFSET: Final = "clock_offset_us"


def system_clock() -> int:
    """The machine's wall clock."""
    return time.time_ns() // 1_000


class Context:
    """The state that all handlers share."""

    def __init__(self, db: Database, settings: Settings, clock: Clock) -> None:
        self.db = db
        self.settings = settings
        seed = db.meta("seed") if settings.seed is None else b"%d" % settings.seed
        self.draws = Draws(seed)
        self._clock = clock
        self._offset_us: int = db.meta(_CLOCK_OFFSET) or 0
        self._prune_at_us = 0
        self.file_bytes_free = 0
        """At least so much room is left for raw files; see `files.check_storage`."""

    def now_us(self) -> int:
        """The server's time: the injected clock, plus what the side channel advanced it by."""
        return self._clock() + self._offset_us

    def advance_clock(self, by_us: int) -> None:
        """Move the server's time on; kept over a restart."""
        self._offset_us += by_us
        with self.db.write():
            self.db.set_meta(_CLOCK_OFFSET, self._offset_us)

    def prune(self, now_us: int, *, force: bool = False) -> None:
        """Remove what has expired: raw files, old upload sessions, deleted documents no longer cited.

        Call within a transaction.
        """
        if now_us < self._prune_at_us and not force:
            return
        self._prune_at_us = now_us + PRUNE_EVERY_US
        db = self.db
        for (file_id,) in db.run("SELECT id FROM file WHERE expires_at_us <= ?", (now_us,)).fetchall():
            self.remove_file(file_id)
        oldest_us = now_us - round(self.settings.upload_session_ttl_s * 1_000_000)
        for (n,) in db.run("SELECT n FROM upload WHERE started_at_us <= ?", (oldest_us,)).fetchall():
            db.run("DELETE FROM upload WHERE n = ?", (n,))
            db.drop_blob(n)
        for (n,) in db.run("SELECT n FROM document WHERE cited_until_us <= ?", (now_us,)).fetchall():
            self.erase_document(n)

    def remove_file(self, file_id: str) -> None:
        """Remove a raw file and its bytes; documents made from it stay."""
        blob = self.db.value("DELETE FROM file WHERE id = ? RETURNING n", (file_id,))
        if blob is not None:
            self.db.drop_blob(blob)
            if not self.settings.expired_ids_reusable:
                self.db.run("INSERT OR IGNORE INTO retired VALUES (?)", (file_id,))

    def erase_document(self, n: int) -> None:
        """Remove a document's row and its chunks."""
        blob = self.db.value("DELETE FROM document WHERE n = ? RETURNING blob", (n,))
        forget(self.db, n)
        if blob is not None:
            self.db.drop_blob(blob)
