"""Taking over a library from the earlier tool: its rows, the evidence, and the appends.

The database is only read.  Under the lease of a run, so that nothing else works on the library meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Adopt
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.core.fold import apply, new_record
from objlib_fsm.core.ids import (
    SHORT_ID_BYTES,
    BadName,
    LibraryId,
    StoreName,
    StreamId,
    raw_file_name,
    short_id,
    store_name,
)
from objlib_fsm.core.machine import check
from objlib_fsm.core.outcomes import Reason
from objlib_fsm.core.paths import BadPath, LibraryPath, from_bytes
from objlib_fsm.core.record import Role
from objlib_fsm.engine.answers import answered
from objlib_fsm.engine.clock import Clock
from objlib_fsm.engine.errors import StoreProblem
from objlib_fsm.engine.journal import Journal, NotAllowed
from objlib_fsm.engine.legacy_verdicts import Evidence, Judged, Verdict, judge
from objlib_fsm.engine.listed import Listing
from objlib_fsm.engine.listing import complete
from objlib_fsm.engine.session import remember_root
from objlib_fsm.engine.store import check_pin, check_store, found_store
from objlib_fsm.library.legacy import LegacyLibrary
from objlib_fsm.library.placing import below, spelled
from objlib_fsm.log.contract import AppendRefused, PathTaken, VersionConflict
from objlib_fsm.log.sqlite import SqliteReader
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import CallFailed, RawFile, RawState, Remote

GROUP_FILES: Final = 500
"""Files appended at once: one sync for all, and memory stays small."""

_GOING: Final = (Role.DEAD, Role.DUPLICATE, Role.SUPERSEDED)


class Store(msgspec.Struct, frozen=True):
    """The store that the log is to belong to."""

    name: StoreName
    display_name: str


class Plan(msgspec.Struct, frozen=True):
    """What an adoption would record.

    ``known`` files were adopted or begun before; ``deletions`` is how many documents go in the next run because they
    are duplicates or FAILED; ``unclaimed`` documents belong to no row and are left alone.
    """

    store: Store
    judged: list[Judged]
    known: list[LibraryPath]
    deletions: int
    unclaimed: int
    verified: bool


def named_store(legacy: LegacyLibrary, asked: str | None) -> tuple[StoreName | None, str]:
    """The store's resource name, as far as the database tells it, and its display name.

    *asked* is what the caller wants instead of the database's word.
    """
    for text in (asked, legacy.store) if asked is None else (asked,):
        try:
            return store_name(text or ""), legacy.store_display_name or (text or "")
        except BadName:
            continue
    display_name = asked or legacy.store or legacy.store_display_name
    if asked is None:
        stores = {file.document.partition("/documents/")[0] for file in legacy.files if "/documents/" in file.document}
        if len(stores) == 1:
            return StoreName(stores.pop()), legacy.store_display_name or display_name
    return None, display_name


async def find_store(clock: Clock, remote: Remote, legacy: LegacyLibrary, asked: str | None) -> Store:
    """The store, asked of the service.  Raises `StoreProblem`, `Halted`, `CallFailed`."""
    name, display_name = named_store(legacy, asked)
    if name is not None:
        return Store(name, (await check_store(clock, remote, name)).display_name or display_name)
    if not display_name:
        raise StoreProblem("the database does not say which store it filled", "name it: --store NAME", 6)
    found = await found_store(clock, remote, display_name)
    if found is None:
        raise StoreProblem(
            f"there is no store with the display name {display_name!r}", "name another: --store NAME", 10
        )
    return Store(found.name, display_name)


async def look(
    clock: Clock,
    remote: Remote,
    pace: Pace,
    store: StoreName,
    library: LibraryId,
    legacy: LegacyLibrary,
    progress: Callable[[int], None] = lambda documents: None,
) -> tuple[Evidence, dict[str, RawFile]]:
    """Everything the store shows, and the raw files that may still be imported, by the path of their row.

    Raises `CallFailed`: a partial listing says nothing, and nothing is adopted on it.
    """
    listing = Listing(store, library, clock.now_us())
    await complete(listing, remote, clock, pace, progress=progress)
    evidence = Evidence(listing, legacy.files)
    raws: dict[str, RawFile] = {}
    for file in legacy.files:
        if file.state == "uploading" and file.raws:
            raw = await _raw(clock, remote, pace, file.raws[0])
            if raw is not None:
                raws[file.path] = raw
    return evidence, raws


async def _raw(clock: Clock, remote: Remote, pace: Pace, title: str) -> RawFile | None:
    """The raw file while it can be imported; None when it is gone."""
    try:
        name = raw_file_name(f"files/{title}")
        raw = await answered(lambda: remote.get_raw(name), clock, pace)
    except BadName:
        return None
    except CallFailed as failed:
        if failed.failure.reason in (Reason.GONE, Reason.FORBIDDEN):
            return None
        raise
    return raw if raw.state in (RawState.ACTIVE, RawState.PROCESSING) else None


def plan(
    log: SqliteReader | None,
    legacy: LegacyLibrary,
    root: Path,
    base: str,
    store: Store,
    evidence: Evidence | None,
    raws: dict[str, RawFile],
    now_us: int,
) -> Plan:
    """Judge every row.  *base* is the folder of old that *root* stands for; *log* is None when there is none yet."""
    judged: list[Judged] = []
    known: list[LibraryPath] = []
    deletions, placed = 0, set()
    for file in legacy.files:
        path = place(file.path, root, base)
        if path is None or path in placed:
            why = f"not below {base}" if path is None else "another row has the same path"
            judged.append(Judged(LibraryPath(file.path), Verdict.DROPPED, why))
            continue
        placed.add(path)
        one = judge(file, path, store.name, evidence, raws.get(file.path), now_us)
        record = log.by_path(path) if log is not None else None
        if record is not None and one.event is not None and check(record, one.event) is not None:
            known.append(path)
            continue
        judged.append(one)
        if one.event is not None:
            after = apply(record or new_record(StreamId("")), one.event, now_us)
            deletions += sum(document.role in _GOING for document in after.documents)
    return Plan(store, judged, known, deletions, evidence.unclaimed if evidence else 0, evidence is not None)


def place(path: str, root: Path, base: str) -> LibraryPath | None:
    """Where in the library the file is; None when it lies elsewhere."""
    relative = below(base, path)
    if relative is None:
        return None
    try:
        return from_bytes(os.fsencode(spelled(root, relative)))
    except (BadPath, UnicodeEncodeError):
        return None


async def adopt(journal: Journal, log: SqliteReader, planned: Plan, service: str, root: Path) -> list[LibraryPath]:
    """Bind the log to library and store, and append what was planned; the files that another process was quicker with.

    Doing it again adds nothing.  Raises `StoreProblem` when the log belongs to another store.
    """
    pin = log.library().pin
    if pin is None:
        pinned = e.StorePinned(planned.store.name, planned.store.display_name, service)
        await journal.note(LIBRARY_STREAM, pinned)
    await remember_root(journal, root)
    late: list[LibraryPath] = []
    group: list[e.FileAdopted] = []
    for one in planned.judged:
        if one.event is not None:
            group.append(one.event)
        if len(group) == GROUP_FILES:
            late += await _append(journal, log, group)
            group.clear()
    return late + await _append(journal, log, group)


def check_binding(log: SqliteReader, store: Store, service: str) -> None:
    """Raises `StoreProblem` when the log belongs to another store or service."""
    pin = log.library().pin
    if pin is None:
        return
    check_pin(pin, service, None)
    if pin.store != store.name:
        raise StoreProblem(
            f"this log belongs to the store {pin.display_name!r} ({pin.store}), the database filled {store.name}",
            "adopt it into a log of its own: --db FILE",
            6,
        )


async def _append(journal: Journal, log: SqliteReader, events: Sequence[e.FileAdopted]) -> list[LibraryPath]:
    appends, late = [], []
    for event in events:
        record = log.by_path(event.path)
        if record is None:
            record = new_record(StreamId(short_id(journal.random_bytes(SHORT_ID_BYTES))))
        try:
            append = journal.prepare(record, (Adopt(event),))
        except NotAllowed:
            late.append(event.path)
            continue
        assert append is not None
        appends.append((append, event.path))
    outcomes = await journal.log.append_all([append for append, _ in appends])
    for outcome, (_, path) in zip(outcomes, appends, strict=True):
        if isinstance(outcome, VersionConflict | PathTaken):
            late.append(path)
        elif isinstance(outcome, AppendRefused):
            raise outcome
    return late
