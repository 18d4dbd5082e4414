"""Lives of files, as the appends of a real run: the same for the log, for the bare loop and for the peer.

Most files go the whole way: discovered, upload intended, uploaded, import intended, accepted, then the operation's
end, the document and the verdict in one append: eight events in six appends.  Some of them are throttled on the way,
some are changed afterwards and go again, and some are left out from the start.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from objlib_fsm.core import events as e
from objlib_fsm.core.ids import (
    EventId,
    LibraryId,
    StoreName,
    StreamId,
    document_name,
    new_event_id,
    operation_name,
    payload_id,
    raw_file_for,
    short_id,
)
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import Call
from objlib_fsm.log.contract import Append, Expect, NewEvent

LIBRARY: Final = LibraryId("l" * 16)
STORE: Final = StoreName("fileSearchStores/objlib-0123456789ab")
START_US: Final = 1_750_000_000_000_000

STEP_US: Final = 100_000
START_EVERY_US: Final = 6_000
"""A file takes six or seven steps, so a hundred are on their way at any time."""

EXCLUDED_EVERY: Final = 25
THROTTLED_EVERY: Final = 10
CHANGED_EVERY: Final = 20
"""One file in so many is left out, told to wait once, or changed after it was indexed."""


class Lives:
    """Files from a seed: each is the list of its appends, in order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def files(self, count: int) -> Iterator[list[Append]]:
        """*count* files."""
        for number in range(count):
            yield self.file(number)

    def file(self, number: int) -> list[Append]:
        """The appends of one file."""
        stream = StreamId(short_id(self._random.randbytes(10)))
        life = _Life(self, stream, START_US + number * START_EVERY_US)
        path = LibraryPath(f"part{number // 2_000:03}/chapter{number // 50:05}/section-{number:07}.html")
        if number % EXCLUDED_EVERY == 7:
            life.append(e.FileDiscovered(path, 0, START_US * 1_000, excluded="empty", inode=number, device=2049))
            return life.appends
        life.append(
            e.FileDiscovered(path, 5_000 + number, START_US * 1_000, life.payload, "text/html", "", number, 2049, 1)
        )
        life.index(throttled=number % THROTTLED_EVERY == 3)
        if number % CHANGED_EVERY == 11:
            life.payload = self.hash()
            life.append(
                e.ContentChanged(6_000 + number, START_US * 1_000 + 5, life.payload, "text/html", number, 2049, 2)
            )
            life.index(throttled=False)
        return life.appends

    def id(self, at_us: int) -> EventId:
        """A new event id."""
        return new_event_id(self._random.randbytes, at_us)

    def hash(self) -> str:
        """A SHA-256, as if of some bytes."""
        return self._random.randbytes(32).hex()


class _Life:
    def __init__(self, lives: Lives, stream: StreamId, at_us: int) -> None:
        self.lives, self.stream, self.at_us = lives, stream, at_us
        self.payload = lives.hash()
        self.version = 0
        self.appends: list[Append] = []

    def append(self, *events: e.Event) -> None:
        self.at_us += STEP_US
        new = tuple(self._new(event) for event in events)
        self.appends.append(Append(self.stream, self.version or Expect.NO_STREAM, new, self.at_us))
        self.version += len(events)

    def index(self, *, throttled: bool) -> None:
        raw = raw_file_for(LIBRARY, self.stream, self.payload, 0)
        size_bytes, mime_type = 5_000, "text/html"
        if throttled:
            call = self.lives.id(self.at_us)
            self.append(e.UploadIntended(call, raw, self.payload, 0, size_bytes, mime_type))
            due_us = self.at_us + 1_000_000
            self.append(
                e.CallFailed(Call.UPLOAD, Outcome.THROTTLED, Reason.RATE_LIMIT, call, due_us, "Too Many Requests", 429)
            )
        call = self.lives.id(self.at_us)
        self.append(e.UploadIntended(call, raw, self.payload, 0, size_bytes, mime_type, 1 + throttled, 1))
        expires_at_us = self.at_us + 172_800_000_000
        self.append(e.UploadDone(call, raw, self.payload, 0, "ACTIVE", size_bytes, expires_at_us))
        call = self.lives.id(self.at_us)
        self.append(e.ImportIntended(call, raw, STORE, self.payload))
        key = self.lives.hash()[:12]
        operation = operation_name(f"{STORE}/operations/{raw[6:]}-{key}")
        self.append(e.ImportAccepted(call, operation))
        document = document_name(STORE, f"{raw[6:]}-{key}")
        self.append(
            e.OperationEnded(operation, "done", document, "", 2, self.at_us, self.at_us + 5_000_000),
            e.DocumentSeen(e.DocumentFact(document, "STATE_ACTIVE", payload_id(self.payload), self.at_us)),
            e.FileIndexed(document),
        )

    def _new(self, event: e.Event) -> NewEvent:
        if isinstance(event, e.UploadIntended | e.ImportIntended):
            return NewEvent(event.call, event)
        return NewEvent(self.lives.id(self.at_us), event, getattr(event, "call", EventId("")))
