"""Room for raw files: the service keeps so many bytes a project, and those of indexed documents have done their duty.

They are left to expire as long as there is room, because replacing metadata needs them again.  Beyond `ROOM_BYTES` the
oldest go first, as ordinary deletions that the log explains.
"""

from __future__ import annotations

from typing import Final

from objlib_fsm.core import effects as fx
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import State
from objlib_fsm.log.sqlite import SqliteReader

ROOM_BYTES: Final = 15_000_000_000
"""The service keeps 20 GB of raw files a project; what is under way, and what others have there, needs the rest."""

CHOSEN_MAX: Final = 200
"""Raw files that are chosen at once: at a hundred megabytes each they are all the room there is."""

ASKED_EVERY: Final = 100
"""When what is indexed is not enough, it is looked at again after this part of the room was taken: the question reads
every record."""

_ALIVE: Final = (
    "FROM files, json_each(record, '$.raws') AS r WHERE state > 0 AND json_extract(r.value, '$.state') IN "
    "('ACTIVE', 'PROCESSING') AND coalesce(json_extract(r.value, '$.expires_at_us'), ?1) >= ?1"
)
_BYTES: Final = f"SELECT coalesce(sum(json_extract(r.value, '$.size_bytes')), 0) {_ALIVE}"
_OLDEST: Final = (
    f"SELECT stream, json_extract(r.value, '$.size_bytes') {_ALIVE} AND state = ?2 AND open = 0 "
    "ORDER BY json_extract(r.value, '$.expires_at_us'), files.rowid LIMIT ?3"
)


class Room:
    """How many bytes of our raw files are alive, and which of them go when that is too much."""

    def __init__(self, log: SqliteReader, most_bytes: int = ROOM_BYTES) -> None:
        self._log = log
        self._most_bytes = most_bytes
        self._alive_bytes: int | None = None
        self._enough_until_bytes = most_bytes
        self._chosen: set[StreamId] = set()

    def taken(self, size_bytes: int, now_us: int) -> None:
        """A raw file of that size is there."""
        if self._alive_bytes is None:
            self._alive_bytes = int(self._log.rows(_BYTES, (now_us,))[0][0])  # This one is in the log already.
        else:
            self._alive_bytes += size_bytes

    def choose(self, now_us: int) -> list[StreamId]:
        """The files whose raw file is to go now; nearly always none."""
        if self._alive_bytes is None or self._alive_bytes <= self._enough_until_bytes or self._chosen:
            return []
        self._alive_bytes = int(self._log.rows(_BYTES, (now_us,))[0][0])  # Some may have expired.
        spare_bytes = self._alive_bytes - self._most_bytes
        for stream, size_bytes in self._log.rows(_OLDEST, (now_us, State.INDEXED.value, CHOSEN_MAX)):
            if spare_bytes <= 0:
                break
            self._chosen.add(StreamId(stream))
            spare_bytes -= size_bytes
        step_bytes = self._most_bytes // ASKED_EVERY if spare_bytes > 0 else 0
        self._enough_until_bytes = max(self._most_bytes, self._alive_bytes + step_bytes)
        return sorted(self._chosen)

    def effect(self, record: FileRecord) -> fx.DeleteRaw | None:
        """What a chosen file that needs nothing gives up; it is chosen no more."""
        if record.stream not in self._chosen:
            return None
        self._chosen.discard(record.stream)
        raw = record.raw
        if record.state is not State.INDEXED or raw is None:
            return None
        if self._alive_bytes is not None:
            self._alive_bytes -= raw.size_bytes
        return fx.DeleteRaw(raw.name, "to make room")
