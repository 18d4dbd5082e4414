"""Which store: found or made once, then pinned in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Tell
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.core.ids import StoreName
from objlib_fsm.core.library_record import Pin
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.core.policy import ATTEMPTS_PER_PASS, SETTLE_S, backoff_s
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import State
from objlib_fsm.engine.answers import answered
from objlib_fsm.engine.clock import Clock
from objlib_fsm.engine.errors import STORE_GONE_EXIT, Halted, StoreProblem
from objlib_fsm.engine.journal import Journal
from objlib_fsm.log.contract import AppendRefused
from objlib_fsm.log.sqlite import SqliteReader
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import CallFailed, Remote, StoreInfo

GROUP: Final = 500
"""Files told of a new store by one commit."""

DEFAULT_DISPLAY_NAME: Final = "objlib"
"""The display name of a library's store when nobody asked for another."""


async def get_or_create_store(journal: Journal, remote: Remote, service: str, display_name: str | None) -> StoreInfo:
    """The store that this log belongs to, with its counts.

    On first use it is found by its display name in a complete listing, or made when that shows none, and pinned: the
    log never belongs to another one afterwards.  Raises `StoreProblem`, `Halted`, or `CallFailed` when the service
    did not answer; nothing is changed then.
    """
    pin = journal.log.library().pin
    if pin is not None:
        check_pin(pin, service, display_name)
        return await check_store(journal.clock, remote, pin.store)
    wanted = display_name or DEFAULT_DISPLAY_NAME
    store = await _found_or_created(journal, remote, wanted)
    await journal.note(LIBRARY_STREAM, e.StorePinned(store.name, wanted, service))
    return store


def _unsettled_s(journal: Journal) -> float:
    """How long a creation whose answer nobody got, in a run that died, may still bring forth a store."""
    now_us = journal.clock.now_us()
    waits_s = [SETTLE_S - (now_us - at_us) / 1e6 for _, _, at_us in journal.log.library().creating]
    return min(max(waits_s, default=0.0), SETTLE_S)  # A wall clock that was set back makes nobody wait for longer.


def check_pin(pin: Pin, service: str, display_name: str | None) -> None:
    """Raises `StoreProblem` when another store or service is asked for than the log belongs to, or it was deleted."""
    if pin.service != service or display_name not in (None, pin.display_name):
        raise StoreProblem(
            f"this log belongs to the store {pin.display_name!r} ({pin.store}) of {pin.service}, "
            f"not to {display_name or pin.display_name!r} of {service}",
            "leave out --store and --backend, here and in objlib.toml, or use another log with --db",
            6,
        )
    if pin.deleted:
        raise _gone(pin.store)


def _gone(store: StoreName) -> StoreProblem:
    return StoreProblem(
        f"the store {store} does not exist any more, or this key may not use it",
        "check the key; if the store was deleted: objlib-fsm store recreate",
        STORE_GONE_EXIT,
    )


async def check_store(clock: Clock, remote: Remote, store: StoreName) -> StoreInfo:
    """The pinned store.  Raises `StoreProblem` when it is not there, `Halted` when nothing can be asked."""
    try:
        return await answered(lambda: remote.get_store(store), clock, Pace())
    except CallFailed as failed:
        if failed.failure.reason in (Reason.GONE, Reason.FORBIDDEN):
            raise _gone(store) from None
        raise


async def _found_or_created(journal: Journal, remote: Remote, display_name: str) -> StoreInfo:
    """A complete listing before each attempt to make it: an attempt whose answer was lost may have made it."""
    attempt, unsettled_s = 0, _unsettled_s(journal)
    while True:
        store = await found_store(journal.clock, remote, display_name)
        if store is None and unsettled_s > 0:
            await journal.clock.sleep(unsettled_s)
            unsettled_s = 0.0
            continue
        if store is not None:
            return store
        attempt += 1
        made = await _create(journal, remote, display_name)
        if not isinstance(made, Failure):
            return made
        if attempt == ATTEMPTS_PER_PASS or made.outcome is Outcome.REJECTED:
            raise CallFailed(made)
        await journal.clock.sleep(max(_before_another_s(made, attempt), made.retry_after_s or 0.0))


def _before_another_s(made: Failure, attempt: int) -> float:
    """Until a listing shows the store that the attempt may have made; no longer where it cannot have made one."""
    unreached = made.outcome is Outcome.UNAVAILABLE and made.reason is Reason.NETWORK
    sent_nothing = made.outcome is Outcome.THROTTLED or unreached
    return backoff_s("store", attempt) if sent_nothing else SETTLE_S


async def found_store(clock: Clock, remote: Remote, display_name: str) -> StoreInfo | None:
    """The one store of that display name, None for none.  Raises `StoreProblem` for several."""
    stores = await answered(lambda: remote.find_stores(display_name), clock, Pace())
    if len(stores) > 1:
        names = " and ".join(store.name for store in stores)
        raise StoreProblem(
            f"there are {len(stores)} stores with the display name {display_name!r}: {names}",
            "delete the one that is not wanted, or choose another name with --store",
            6,
        )
    return stores[0] if stores else None


async def _create(journal: Journal, remote: Remote, display_name: str) -> StoreInfo | Failure:
    """Make the store; or what went wrong: then a listing tells what really became of it."""
    call = journal.new_id()
    await journal.note(LIBRARY_STREAM, e.StoreCreateIntended(call, display_name))
    try:
        store = await remote.create_store(display_name)
    except CallFailed as failed:
        failure = failed.failure
        await journal.note(LIBRARY_STREAM, e.StoreCreateEnded(call, failure.outcome, None, failure.message))
        if failure.outcome is Outcome.HALTED:
            raise Halted(failure) from None
        return failure
    await journal.note(LIBRARY_STREAM, e.StoreCreateEnded(call, Outcome.DONE, store.name))
    return store


async def delete_store(journal: Journal, remote: Remote, store: StoreName) -> None:
    """Delete the store with everything in it; "it is not there" is done.  Raises `Halted`, `CallFailed`.

    Nothing else is recorded: that a store is gone is found by asking.
    """
    call = journal.new_id()
    await journal.note(LIBRARY_STREAM, e.StoreDeleteIntended(call, store))
    outcome, message = Outcome.DONE, ""
    try:
        await remote.delete_store(store)
    except CallFailed as failed:
        failure = failed.failure
        if failure.reason not in (Reason.GONE, Reason.FORBIDDEN):
            ended = e.StoreDeleteEnded(call, store, failure.outcome, failure.message)
            await journal.note(LIBRARY_STREAM, ended)
            if failure.outcome is Outcome.HALTED:
                raise Halted(failure) from None
            raise
        message = "it was not there"
    await journal.note(LIBRARY_STREAM, e.StoreDeleteEnded(call, store, outcome, message))


async def replace_store(journal: Journal, log: SqliteReader, remote: Remote, pin: Pin) -> StoreInfo:
    """Another store takes the place of the pinned one, which is gone, and every file is to go there.

    The pin comes last: a crash before it leaves a log whose store is gone, and the next attempt goes on from there,
    with the store that was made.  Raises `StoreProblem`, `Halted`, `CallFailed`.
    """
    store = await _found_or_created(journal, remote, pin.display_name)
    group: list[FileRecord] = []
    for record in [record for record in log.records() if _stands_on_a_store(record)]:
        group.append(record)
        if len(group) == GROUP:
            await _all_replaced(journal, group, store.name)
            group.clear()
    await _all_replaced(journal, group, store.name)
    await journal.note(LIBRARY_STREAM, e.StorePinned(store.name, pin.display_name, pin.service))
    return store


async def _all_replaced(journal: Journal, records: Sequence[FileRecord], store: StoreName) -> None:
    """One commit for all of them; those to which another process appended meanwhile one by one."""
    replaced = Tell(e.StoreReplaced(store))
    appends = [append for record in records if (append := journal.prepare(record, (replaced,))) is not None]
    outcomes = await journal.log.append_all(appends)
    for record, outcome in zip(records, outcomes, strict=True):
        if isinstance(outcome, AppendRefused):
            await journal.tell(journal.reload(record.stream), replaced)


def _stands_on_a_store(record: FileRecord) -> bool:
    """Whether anything that is known of the file says that a store holds something of it, or is about to."""
    return bool(record.live_documents or record.imports or record.state in (State.PROCESSING, State.INDEXED))
