"""One listing for all who wait: documents of the store, by the file they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import anyio

from objlib_fsm.core.events import DocumentFact
from objlib_fsm.core.ids import LibraryId, StoreName, payload_id
from objlib_fsm.core.record import FileRecord
from objlib_fsm.engine.clock import Clock
from objlib_fsm.remote.port import CallFailed, Remote, RemoteDocument

GATHER_S: Final = 3.0
"""A listing begins this long after it was asked for, so that it also serves the files that are due just after: what a
crash leaves uncertain lies within a second or two."""

LISTING_SPACING_S: Final = 15.0
"""Between the beginnings of two listings: one of 2,000 documents is 100 requests."""


def fact_of(record: FileRecord, document: RemoteDocument) -> DocumentFact:
    """What the service showed, with what it stands for from our metadata or, without it, from the raw file's id."""
    payload = document.identity.payload if document.identity is not None else ""
    if not payload:
        payload = next((known.payload for known in record.documents if known.name == document.name), "")
    if not payload:
        for raw in record.raws:
            if raw.name == f"files/{document.display_name}":
                waiting = (i.payload for i in record.imports if i.raw == raw.name)
                payload = next(waiting, payload_id(raw.payload))
    return DocumentFact(document.name, document.state, payload, document.created_at_us)


class Listing:
    """A complete listing begun at ``began_at_us``."""

    def __init__(self, began_at_us: int, library: LibraryId) -> None:
        self.began_at_us = began_at_us
        self._library = library
        self._by_stream: dict[str, list[RemoteDocument]] = {}
        self._by_display_name: dict[str, list[RemoteDocument]] = {}

    def add(self, document: RemoteDocument) -> None:
        """One document of the listing."""
        identity = document.identity
        if identity is None:
            self._by_display_name.setdefault(document.display_name, []).append(document)
        elif identity.library == self._library:
            self._by_stream.setdefault(identity.stream, []).append(document)

    def of(self, record: FileRecord) -> tuple[DocumentFact, ...]:
        """The file's documents: those that carry its id, and those made from one of its raw files."""
        return tuple(fact_of(record, document) for document in self._documents(record))

    def _documents(self, record: FileRecord) -> Iterator[RemoteDocument]:
        yield from self._by_stream.get(record.stream, ())
        for raw in record.raws:
            yield from self._by_display_name.get(raw.name.removeprefix("files/"), ())


class SharedListing:
    """At most one listing at a time, with a pause between two, whoever asks."""

    def __init__(self, remote: Remote, store: StoreName, library: LibraryId, clock: Clock) -> None:
        self._remote = remote
        self._store = store
        self._library = library
        self._clock = clock
        self._latest: Listing | None = None
        self._lock = anyio.Lock()

    async def begun_after(self, not_before_us: int) -> Listing:
        """A complete listing begun not before that time.  Raises `CallFailed`: a partial listing says nothing."""
        async with self._lock:
            latest = self._latest
            if latest is not None and latest.began_at_us >= not_before_us:
                return latest
            await self._clock.sleep(self._pause_s())
            listing = Listing(self._clock.now_us(), self._library)
            async for document in self._remote.list_documents(self._store):
                listing.add(document)
            self._latest = listing
            return listing

    def _pause_s(self) -> float:
        """How long to wait before a listing: for the files that are due a moment later, and for the service's sake."""
        if self._latest is None:
            return GATHER_S
        since_s = (self._clock.now_us() - self._latest.began_at_us) / 1e6
        return max(GATHER_S, LISTING_SPACING_S - since_s) if since_s >= 0 else LISTING_SPACING_S

    def seen(self, record: FileRecord, payload: str) -> DocumentFact | None:
        """A document of that payload in the latest listing, ACTIVE ones first."""
        if self._latest is None:
            return None
        facts = [fact for fact in self._latest.of(record) if fact.payload == payload]
        return min(facts, key=lambda fact: fact.state != "STATE_ACTIVE", default=None)


__all__ = ["CallFailed", "Listing", "SharedListing", "fact_of"]
