"""When the store is to be compared with the log, and what a run does about it by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.library_record import Compared
from objlib_fsm.core.policy import deletions_max
from objlib_fsm.engine.clock import Clock
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.listed import Listing
from objlib_fsm.engine.listing import complete
from objlib_fsm.engine.sync import Comparer, Comparison, mend, remember
from objlib_fsm.log.sqlite import SqliteReader
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import Remote, StoreInfo

SYNC_HINT: Final = "`objlib-fsm store-sync` shows what, with --fix it is put right"

TOLD_EVERY_S: Final = 5.0
"""How often somebody who waits for a listing hears of it."""

_LIVE: Final = (
    "SELECT count(*) FROM files, json_each(files.record, '$.documents') AS d "
    "WHERE json_extract(d.value, '$.role') <> 'gone'"
)
_UNSURE: Final = (
    "SELECT coalesce(sum(json_array_length(record, '$.imports')), 0),"
    " coalesce(sum(iif(json_extract(record, '$.settled') = 0, json_extract(record, '$.imports_sent'), 0)), 0),"
    " (SELECT count(*) FROM files, json_each(files.record, '$.calls') AS c"
    " WHERE json_extract(c.value, '$.what') = 'delete document') FROM files"
)


class Known(msgspec.Struct, frozen=True):
    """Documents of ours that the log knows, and how many the store may count as long as some calls are uncertain."""

    live: int
    fewest: int
    most: int

    def fits(self, store: StoreInfo, compared: Compared | None) -> bool:
        """Whether the store counts what the log knows and, since the last comparison, what is not ours."""
        foreign = compared.foreign if compared is not None else 0
        return self.fewest <= store.documents - foreign <= self.most


def known_documents(log: SqliteReader) -> Known:
    """Counted in the projection."""
    live = int(log.rows(_LIVE)[0][0])
    imports, unsettled, deletions = map(int, log.rows(_UNSURE)[0])
    return Known(live, live - deletions, live + imports + unsettled)


class Reconciler:
    """The comparisons of one process with one store.  ``say`` is told how they go."""

    def __init__(
        self,
        journal: Journal,
        log: SqliteReader,
        remote: Remote,
        pace: Pace,
        *,
        say: Callable[[str], None] = lambda text: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._journal = journal
        self._log = log
        self._remote = remote
        self._pace = pace
        self._say = say
        self._stopping = stopping
        self.whole = False
        """A comparison with a complete listing was made."""

    @property
    def _clock(self) -> Clock:
        return self._journal.clock

    async def listed(self, store: StoreInfo, path: Path | None = None) -> Listing | None:
        """A complete listing; None when told to stop before its end.  Raises `CallFailed`, `Halted`, `LogError`.

        With *path* a later process goes on where this one was cut short.
        """
        listing = Listing(store.name, self._log.library().library, self._clock.now_us(), path)
        if listing.resumed:
            self._say(f"the listing that was cut short goes on: {len(listing):,} documents so far")
        told_at = self._clock.monotonic()

        def progress(documents: int) -> None:
            nonlocal told_at
            if self._clock.monotonic() - told_at >= TOLD_EVERY_S:
                told_at = self._clock.monotonic()
                self._say(f"listing the store: {documents:,} of about {store.documents:,} documents")

        whole = await complete(
            listing, self._remote, self._clock, self._pace, stopping=self._stopping, progress=progress
        )
        if whole:
            return listing
        listing.close()
        return None

    async def compared(self, listing: Listing) -> Comparison:
        """What differs.  Raises `CallFailed`, `Halted`, `LogError`."""
        return await Comparer(self._log, listing, self._remote, self._clock, self._pace).compare()

    async def mended(self, listing: Listing, comparison: Comparison) -> set[StreamId]:
        """Append what was found; the streams that need something now."""
        touched = await mend(self._journal, self._log, listing, self._say)
        await remember(self._journal, listing, comparison)
        return touched

    async def reconciled(self, store: StoreInfo, *, replaced: bool = False, max_delete: int | None = None) -> bool:
        """Whether something was put right.  A log restored from an old copy does not know what was sent since.

        Costs nothing while the store counts what the log knows, unless the log is known to have been *replaced*.
        Deletions count against the guard when the store would
        hold nothing more of the file; others are what a run deletes anyway.  Raises `CallFailed`, `Halted`, `LogError`.
        """
        compared = self._log.library().compared
        if replaced:
            self._say("the log is an older copy of itself: the store is listed first")
        elif known_documents(self._log).fits(store, compared):
            return False
        elif compared is not None and compared.ours + compared.foreign == store.documents:
            return False  # Seen before, and left to whoever was told of it.
        else:
            self._say("the store does not count the documents that the log knows: it is listed first")
        listing = await self.listed(store)
        if listing is None:
            return False
        comparison = await self.compared(listing)
        plan, allowed = comparison.plan, deletions_max(comparison.ours)
        deletable = deletions_max(comparison.ours, max_delete)
        within = plan.last <= deletable and plan.send_again <= allowed
        if not within:
            self._say(
                f"left alone, as it is more than {deletable:,} of {comparison.ours:,} documents of this library: "
                f"{plan.last:,} to delete, {plan.send_again:,} to send again; {SYNC_HINT}"
            )
            await remember(self._journal, listing, comparison)
        else:
            touched = await self.mended(listing, comparison)
            self._say(
                f"compared with the store: {plan.take_over:,} documents taken over, {plan.send_again:,} missing, "
                f"{plan.delete:,} to be deleted; {len(touched):,} files concerned"
            )
        listing.discard()
        self.whole = True
        return within and not comparison.same

    async def due(self, store: StoreInfo) -> bool:
        """Whether the store's counts say that a comparison is due; says so."""
        known, compared = known_documents(self._log), self._log.library().compared
        if known.fits(store, compared):
            return False
        foreign = compared.foreign if compared is not None else 0
        others = f" and {foreign:,} of others" if foreign else ""
        self._say(
            f"the store counts {store.documents:,} documents, the log knows {known.live:,} of this library{others}: "
            f"{SYNC_HINT}"
        )
        return True
