"""How stores are listed, made, replaced and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio

from objlib_fsm.cli import messages
from objlib_fsm.cli.backend import Choice, choose, service_for
from objlib_fsm.cli.consent import typed_consent
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, NotNow, NotThere, WrongUse
from objlib_fsm.cli.pinned import Bound, bound
from objlib_fsm.cli.place import local_store_for, log_path, reading, there_is_a_log
from objlib_fsm.cli.render import count, size, table
from objlib_fsm.cli.safe import safe
from objlib_fsm.cli.shell import opened_shell
from objlib_fsm.cli.signals import Ender, until_told
from objlib_fsm.cli.store import Action
from objlib_fsm.core.library_record import Pin
from objlib_fsm.core.outcomes import Reason
from objlib_fsm.engine.answers import answered
from objlib_fsm.engine.clock import SystemClock
from objlib_fsm.engine.session import Service, Session, counts
from objlib_fsm.engine.store import delete_store, get_or_create_store, replace_store
from objlib_fsm.remote.port import CallFailed, Remote, StoreInfo


def carry_out(inv: Invocation, action: Action, name: str | None, confirm: str | None) -> ExitCode:
    """Do it; the exit code."""
    if name is not None and action != "delete":
        raise WrongUse(f"`store {action}` takes no NAME", "the store of the log is meant; --store NAME for a new log")
    match action:
        case "list":
            return anyio.run(_list, inv)
        case "create":
            return anyio.run(_create, inv)
        case "recreate":
            return anyio.run(_recreate, inv, bound(inv), confirm)
        case "delete":
            return anyio.run(_delete, inv, name, confirm)


def _chosen(inv: Invocation) -> tuple[Choice, Pin | None, Path]:
    """The service, the store that the log belongs to if there is a log, and the log's place."""
    log, pin = log_path(inv), None
    if there_is_a_log(log):
        with reading(inv) as reader:
            pin = reader.library().pin
    return choose(inv, pin), pin, log


# ---- list ------------------------------------------------------------------------------------------------------------


async def _list(inv: Invocation) -> ExitCode:
    choice, pin, log = _chosen(inv)

    async def work(ender: Ender) -> Sequence[StoreInfo]:
        if choice.local and not local_store_for(log).exists():
            return ()
        service = service_for(inv.console, choice, log)
        async with service.connect() as remote:
            return await answered(remote.list_stores, SystemClock(), service.pace)

    stores = await until_told(inv.console, work)
    if isinstance(stores, ExitCode):
        return stores
    own = pin.store if pin is not None and pin.service == choice.name else ""
    if inv.json:
        listed = [
            messages.Store(
                store=store.name,
                store_name=store.display_name,
                documents=store.documents,
                active=store.active,
                pending=store.pending,
                failed=store.failed,
                size_bytes=store.size_bytes,
                own=store.name == own,
            )
            for store in stores
        ]
        inv.console.result(messages.document(messages.Stores(service=choice.name, stores=listed)))
        return ExitCode.OK
    rows = [
        (
            "*" if store.name == own else "",
            safe(store.display_name) or "(no name)",
            count(store.documents, "document"),
            size(store.size_bytes),
            safe(store.name),
        )
        for store in stores
    ]
    for line in table(rows, indent=""):
        inv.console.out(line)
    if not stores:
        inv.console.say("there is no store")
    return ExitCode.OK


# ---- create and recreate ---------------------------------------------------------------------------------------------


async def _create(inv: Invocation) -> ExitCode:
    choice, pin, log = _chosen(inv)
    if pin is not None and (choice.name != pin.service or inv.settings.store not in (None, pin.display_name)):
        raise NotNow(
            f"this log belongs to the store {pin.display_name!r} of {pin.service}",
            "another store needs another log: --db FILE",
        )
    with opened_shell(log, "store") as shell:

        async def work(ender: Ender) -> StoreInfo:
            service = service_for(inv.console, choice, log)
            async with Session(shell) as session, service.connect() as remote:
                return await get_or_create_store(session.journal, remote, service.name, inv.settings.store)

        store = await until_told(inv.console, work)
    return store if isinstance(store, ExitCode) else _done(inv, "create", store, 0)


async def _recreate(inv: Invocation, place: Bound, confirm: str | None) -> ExitCode:
    with opened_shell(place.log, "store") as shell:

        async def work(ender: Ender) -> tuple[StoreInfo, int] | ExitCode:
            service = service_for(inv.console, place.choice, place.log)
            async with Session(shell) as session, service.connect() as remote:
                old = await _there(remote, place.pin, service)
                if old is not None:
                    if not await _consent(inv, old, "is deleted, and an empty one takes its place", confirm):
                        return ExitCode.USAGE
                    await delete_store(session.journal, remote, old.name)
                store = await replace_store(session.journal, shell.log, remote, place.pin)
                tally = counts(shell.log)
                return store, tally.untracked + tally.uploading + tally.processing

        done = await until_told(inv.console, work)
    if isinstance(done, ExitCode):
        return done
    return _done(inv, "recreate", *done)


async def _there(remote: Remote, pin: Pin, service: Service) -> StoreInfo | None:
    try:
        return await answered(lambda: remote.get_store(pin.store), SystemClock(), service.pace)
    except CallFailed as failed:
        if failed.failure.reason in (Reason.GONE, Reason.FORBIDDEN):
            return None
        raise


# ---- delete ----------------------------------------------------------------------------------------------------------


async def _delete(inv: Invocation, name: str | None, confirm: str | None) -> ExitCode:
    choice, pin, log = _chosen(inv)
    if not there_is_a_log(log):
        raise NotThere(f"{log}: there is no log, and what is deleted is recorded in one", "name it: --db FILE")
    wanted = name if name is not None else pin.store if pin is not None else None
    if wanted is None:
        raise WrongUse("which store?", "objlib-fsm store list names them")
    with opened_shell(log, "store") as shell:

        async def work(ender: Ender) -> StoreInfo | ExitCode:
            service = service_for(inv.console, choice, log)
            async with Session(shell) as session, service.connect() as remote:
                store = await _named(remote, service, wanted)
                if not await _consent(inv, store, "is deleted with every document in it", confirm):
                    return ExitCode.USAGE
                await delete_store(session.journal, remote, store.name)
                return store

        store = await until_told(inv.console, work)
    if isinstance(store, ExitCode):
        return store
    if pin is not None and store.name == pin.store:
        inv.console.say("next: objlib-fsm store recreate, and objlib-fsm run sends the library again")
    return _done(inv, "delete", store, 0)


async def _named(remote: Remote, service: Service, name: str) -> StoreInfo:
    stores = await answered(remote.list_stores, SystemClock(), service.pace)
    found = [store for store in stores if name in (store.name, store.display_name)]
    if not found:
        raise NotThere(f"there is no store {name!r}", "objlib-fsm store list names those that are there")
    if len(found) > 1:
        full = ", ".join(store.name for store in found)
        raise WrongUse(f"{len(found)} stores have the display name {name!r}", f"name one in full: {full}")
    return found[0]


# ---- shared ----------------------------------------------------------------------------------------------------------


async def _consent(inv: Invocation, store: StoreInfo, what: str, confirm: str | None) -> bool:
    word = store.display_name or store.name
    told = f"the store {word!r} ({store.name}) with {count(store.documents, 'document')} {what}"
    if await typed_consent(inv.console, told, [word], confirm, look="objlib-fsm store list"):
        return True
    inv.console.say("nothing was changed")
    return False


def _done(inv: Invocation, action: Action, store: StoreInfo, files: int) -> ExitCode:
    if inv.json:
        message = messages.StoreDone(action=action, store=store.name, store_name=store.display_name, files=files)
        inv.console.result(messages.document(message))
        return ExitCode.OK
    verb = {"create": "is there", "recreate": "takes its place", "delete": "is deleted"}.get(action, "")
    inv.console.out(f"the store {safe(store.display_name)} ({safe(store.name)}) {verb}")
    if action == "recreate":
        inv.console.out(f"{count(files, 'file')} to go there: objlib-fsm run")
    return ExitCode.OK
