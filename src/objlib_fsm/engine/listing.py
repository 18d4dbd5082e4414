"""Complete listings: page by page at the pace of look-ups, and one for all who wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from objlib_fsm.core.events import DocumentFact
from objlib_fsm.core.ids import LibraryId, StoreName
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.record import FileRecord
from objlib_fsm.engine.answers import answered
from objlib_fsm.engine.clock import Clock
from objlib_fsm.engine.listed import Listing
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import CallFailed, DocumentsPage, Remote

GATHER_S: Final = 3.0
"""A listing begins this long after it was asked for, so that it also serves the files that are due just after: what a
crash leaves uncertain lies within a second or two."""

LISTING_SPACING_S: Final = 15.0
"""Between the beginnings of two listings: one of 2,000 documents is 100 requests."""

PAGES_MAX: Final = 1_000_000
"""A listing that does not end: twenty million documents are ten times the largest library."""


async def complete(
    listing: Listing,
    remote: Remote,
    clock: Clock,
    pace: Pace,
    *,
    stopping: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda documents: None,
) -> bool:
    """Bring *listing* to its end from where it is; False when it was told to stop before.

    Raises `CallFailed` or `Halted` when a page cannot be had: what was listed stays in *listing* and the next call goes
    on there, but says nothing as long as it is not complete.  A token that an earlier process left and the service
    refuses begins it anew.
    """
    resumed = listing.resumed
    tokens = {listing.token}
    while not listing.complete:
        if stopping():
            return False
        try:
            page = await _page(listing, remote, clock, pace, tokens)
        except CallFailed as failed:
            if not resumed or failed.failure.outcome is not Outcome.REJECTED:
                raise
            resumed = False
            listing.start_over(clock.now_us())
            tokens = {""}
            continue
        resumed = False
        tokens.add(page.next_token)
        listing.add(page.documents, page.next_token)
        progress(len(listing))
    return True


async def _page(listing: Listing, remote: Remote, clock: Clock, pace: Pace, tokens: set[str]) -> DocumentsPage:
    """The next page; an empty one with a successor is one like any other, one whose successor was there before none.

    An answer that says nothing at all reads like the empty last page: it is believed when the store counts no more.
    """

    async def ask() -> DocumentsPage:
        page = await remote.documents_page(listing.store, listing.token)
        if not page.documents and not page.next_token:
            store = await remote.get_store(listing.store)
            if store.documents > len(listing):
                why = f"a listing ends after {len(listing)} of {store.documents} documents"
                raise CallFailed(Failure(Outcome.UNAVAILABLE, Reason.GARBLED, why))
        if page.next_token and (page.next_token in tokens or len(tokens) >= PAGES_MAX):
            why = "a listing repeats a page and does not end"
            raise CallFailed(Failure(Outcome.UNAVAILABLE, Reason.GARBLED, why))
        return page

    return await answered(ask, clock, pace)


class SharedListing:
    """At most one listing at a time, with a pause between two, whoever asks."""

    def __init__(self, remote: Remote, store: StoreName, library: LibraryId, clock: Clock, pace: Pace) -> None:
        self._remote = remote
        self._store = store
        self._library = library
        self._clock = clock
        self._pace = pace
        self._latest: Listing | None = None
        self._partial: Listing | None = None
        self._lock = anyio.Lock()

    async def begun_after(self, not_before_us: int) -> Listing:
        """A complete listing begun not before that time.  Raises `CallFailed`: a partial listing says nothing."""
        async with self._lock:
            latest = self._latest
            if latest is not None and latest.began_at_us >= not_before_us:
                return latest
            listing, self._partial = self._partial, None
            if listing is None or listing.began_at_us < not_before_us:
                await self._clock.sleep(self._pause_s())
                listing = Listing(self._store, self._library, self._clock.now_us())
            self._partial = listing
            await complete(listing, self._remote, self._clock, self._pace)
            self._latest, self._partial = listing, None
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
