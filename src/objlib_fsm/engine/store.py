"""Which store: found or made once, then pinned in the log."""

from __future__ import annotations

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.core.ids import StoreName
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.policy import SETTLE_S
from objlib_fsm.engine.errors import STORE_GONE_EXIT, Halted, StoreProblem
from objlib_fsm.engine.journal import Journal
from objlib_fsm.remote.port import CallFailed, Remote

DEFAULT_DISPLAY_NAME = "objlib"
"""The display name of a library's store when nobody asked for another."""


async def get_or_create_store(journal: Journal, remote: Remote, service: str, display_name: str | None) -> StoreName:
    """The store that this log belongs to.

    On first use it is found by its display name in a complete listing, or made when that shows none, and pinned: the
    log never belongs to another one afterwards.  Raises `StoreProblem`, `Halted`, or `CallFailed` when the service
    did not answer; nothing is changed then.
    """
    pin = journal.log.library().pin
    if pin is not None:
        if pin.service != service or display_name not in (None, pin.display_name):
            raise StoreProblem(
                f"this log belongs to the store {pin.display_name!r} ({pin.store}) of {pin.service}, "
                f"not to {display_name or pin.display_name!r} of {service}",
                "leave out --store and --backend, or use another log with --db",
                6,
            )
        await check_store(remote, pin.store)
        return pin.store
    wanted = display_name or DEFAULT_DISPLAY_NAME
    store = await _found(remote, wanted)
    if store is None:
        store = await _made(journal, remote, wanted)
    await journal.note(LIBRARY_STREAM, e.StorePinned(store, wanted, service))
    return store


async def check_store(remote: Remote, store: StoreName) -> None:
    """Raises `StoreProblem` when the pinned store is not there, `Halted` when nothing can be asked."""
    try:
        await remote.get_store(store)
    except CallFailed as failed:
        if failed.failure.reason in (Reason.GONE, Reason.FORBIDDEN):
            raise StoreProblem(
                f"the store {store} does not exist any more, or this key may not use it",
                "check the key; if the store was deleted, a new log (--db) indexes the library again",
                STORE_GONE_EXIT,
            ) from None
        if failed.failure.outcome is Outcome.HALTED:
            raise Halted(failed.failure) from None
        raise


async def _found(remote: Remote, display_name: str) -> StoreName | None:
    try:
        stores = await remote.find_stores(display_name)
    except CallFailed as failed:
        if failed.failure.outcome is Outcome.HALTED:
            raise Halted(failed.failure) from None
        raise
    if len(stores) > 1:
        names = " and ".join(store.name for store in stores)
        raise StoreProblem(
            f"there are {len(stores)} stores with the display name {display_name!r}: {names}",
            "delete the one that is not wanted, or choose another name with --store",
            6,
        )
    return stores[0].name if stores else None


async def _made(journal: Journal, remote: Remote, display_name: str) -> StoreName:
    call = journal.new_id()
    await journal.note(LIBRARY_STREAM, e.StoreCreateIntended(call, display_name))
    try:
        store = (await remote.create_store(display_name)).name
    except CallFailed as failed:
        failure = failed.failure
        await journal.note(LIBRARY_STREAM, e.StoreCreateEnded(call, failure.outcome, None, failure.message))
        if failure.outcome is Outcome.HALTED:
            raise Halted(failure) from None
        if failure.outcome is not Outcome.UNCERTAIN:
            raise
        await journal.clock.sleep(SETTLE_S)
        found = await _found(remote, display_name)
        if found is None:
            raise
        return found
    await journal.note(LIBRARY_STREAM, e.StoreCreateEnded(call, Outcome.DONE, store))
    return store
