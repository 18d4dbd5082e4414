"""Every document of a store, through the engine's own listing."""

from __future__ import annotations

import time

from objlib_fsm.core.ids import LibraryId, StoreName
from objlib_fsm.engine.listed import Listing
from objlib_fsm.engine.listing import complete
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import Remote, RemoteDocument


class Hurried:
    """A clock on which no wait takes time."""

    def now_us(self) -> int:
        """Wall clock."""
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """At once."""


async def every_document(remote: Remote, store: StoreName) -> list[RemoteDocument]:
    """All of them.  Raises `CallFailed`."""
    listing = Listing(store, LibraryId(""), 0)
    try:
        assert await complete(listing, remote, Hurried(), Pace())
        return list(listing.documents("1 ORDER BY created_at_us, name"))
    finally:
        listing.close()
