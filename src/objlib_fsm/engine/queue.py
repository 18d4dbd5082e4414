"""Which file comes next: begun work before new, what expires first at the front."""

from __future__ import annotations

import enum
import heapq
from typing import Final, NamedTuple

from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import State

NEVER_US: Final = 1 << 62
"""Stands for a file without a raw file that could expire."""


class Turn(enum.IntEnum):
    """Whose turn it is; a smaller one comes first."""

    BEGUN = 0
    """Something of the file is on its way: new files never make it wait."""
    NEW = 1
    SET_BACK = 2
    """Resumed work that has had its time: it comes after everything else."""


class Place(NamedTuple):
    """A file's place: its turn, then when its raw file expires."""

    turn: Turn
    expires_at_us: int = NEVER_US


def place_of(record: FileRecord) -> Place:
    """Where the file stands by its record."""
    if record.state is State.UNTRACKED and record.here:
        return Place(Turn.NEW)
    raw = record.raw
    return Place(Turn.BEGUN, raw.expires_at_us if raw is not None and raw.expires_at_us is not None else NEVER_US)


class Queue:
    """Files that may be worked on now, in the order of their places; among equals the first to come."""

    def __init__(self) -> None:
        self._heap: list[tuple[Place, int, StreamId]] = []
        self._entry: dict[StreamId, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._entry)

    def __contains__(self, stream: StreamId) -> bool:
        return stream in self._entry

    def push(self, stream: StreamId, place: Place) -> None:
        """Put a file in; one that is there gets the new place."""
        self._count += 1
        self._entry[stream] = self._count
        heapq.heappush(self._heap, (place, self._count, stream))

    def pop(self) -> StreamId:
        """Take the next file out.  Raises `IndexError` when there is none."""
        while True:
            _, number, stream = heapq.heappop(self._heap)
            if self._entry.get(stream) == number:
                del self._entry[stream]
                return stream
