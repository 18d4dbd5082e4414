"""How an adoption is carried out: the database, the folder, the evidence, consent, the report."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import anyio
import msgspec

from objlib_fsm.cli import messages
from objlib_fsm.cli.backend import GEMINI, Choice, choose, reachable, service_for
from objlib_fsm.cli.consent import deletion_consent
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, NotNow, NotThere, WrongUse
from objlib_fsm.cli.place import log_path, reading, remembered_root, there_is_a_log
from objlib_fsm.cli.render import count
from objlib_fsm.cli.safe import safe
from objlib_fsm.cli.shell import opened_shell
from objlib_fsm.cli.signals import Ender
from objlib_fsm.core.ids import LibraryId
from objlib_fsm.core.library_record import Pin
from objlib_fsm.core.policy import deletions_max
from objlib_fsm.engine import adopting as a
from objlib_fsm.engine.clock import Clock, SystemClock
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.legacy_verdicts import Evidence, Judged, Verdict, tally
from objlib_fsm.engine.session import Session, Shell
from objlib_fsm.library.legacy import LegacyLibrary, read_legacy
from objlib_fsm.library.placing import base_for, common_folder
from objlib_fsm.log.sqlite import SqliteReader
from objlib_fsm.remote.port import RawFile

FILES_SHOWN: Final = 20


class _Place(NamedTuple):
    """The folder of the library now, and the one that it had in the database."""

    root: Path
    base: str


def carry_out(inv: Invocation, legacy: Path, root: Path | None, dry_run: bool, confirm: str | None) -> ExitCode:
    """Adopt the database; the exit code."""
    log = log_path(inv)
    remembered, pin = None, None
    if there_is_a_log(log):
        with reading(inv) as reader:
            remembered, pin = remembered_root(reader), reader.library().pin
    if not legacy.is_file():
        raise NotThere(f"{legacy}: there is no such database", "name the earlier tool's: objlib-fsm adopt LEGACY.db")
    choice = _choice(inv, pin)
    library = read_legacy(legacy)
    task = _Task(library, _place(library, root, remembered), choice, confirm)
    return anyio.run(_preview if dry_run else _adopt, inv, task)


def _choice(inv: Invocation, pin: Pin | None) -> Choice | None:
    """The service, None when there is no way to ask it."""
    if inv.settings.backend == "local" or (pin is not None and pin.service == "local"):
        raise WrongUse(
            "the local store has nothing of the earlier tool", "leave out --backend local, or use another log with --db"
        )
    if reachable(inv, pin):
        return choose(inv, pin)
    inv.console.say("no API key: what is adopted is confirmed by the next run that has one")
    return None


def _place(library: LegacyLibrary, root: Path | None, remembered: Path | None) -> _Place:
    """Which folder the rows are in now.  Raises `NotThere` when none of them is found."""
    paths = [file.path for file in library.files if file.path.startswith("/")]
    if not paths:
        raise NotNow("the database has no file with an absolute path: there is nothing to adopt")
    common = common_folder(paths)
    if root is None and remembered is None and not Path(common).is_dir():
        raise NotThere(
            f"{safe(common)}: the folder of the database is not on this machine", "say where it is now: --root FOLDER"
        )
    now = (root or remembered or Path(common)).resolve()
    if root is not None and remembered is not None and now != remembered.resolve():
        raise WrongUse(f"this log belongs to the library {remembered}, not to {now}", "use another log: --db FILE")
    if not now.is_dir():
        raise NotThere(f"{now}: there is no such folder", "is its disk mounted?")
    base = base_for(paths, now)
    if base is None:
        raise NotThere(
            f"{now}: the files of the database ({safe(common)}) are not found in this folder",
            "name the folder that the database calls so: --root FOLDER",
        )
    return _Place(now, base)


class _Task(msgspec.Struct, frozen=True):
    """What is to be adopted, and how."""

    legacy: LegacyLibrary
    place: _Place
    choice: Choice | None
    confirm: str | None


async def _preview(inv: Invocation, task: _Task) -> ExitCode:
    """Say what would be adopted: no log is made, nothing is recorded."""
    clock = SystemClock()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(reading(inv)) if there_is_a_log(log_path(inv)) else None
        library = log.library().library if log is not None else LibraryId("")
        gathered = await _gather(inv, task, clock, library)
        if log is not None:
            a.check_binding(log, gathered.store, gathered.service)
        planned = _plan(log, task, gathered, clock.now_us())
    _tell(inv, _message(planned, task, gathered.service, dry_run=True))
    return ExitCode.OK


async def _adopt(inv: Invocation, task: _Task) -> ExitCode:
    """Adopt it; the exit code, or that of the signal that came first."""
    ender, code, error = Ender(inv.console), None, None
    with opened_shell(log_path(inv), "adopt") as shell:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ender.watch)
            with ender.scope:
                try:
                    async with Session(shell) as session:
                        code = await _record(inv, task, shell, session.journal)
                except Exception as raised:
                    error = raised
            tasks.cancel_scope.cancel()
    if error is not None:
        raise error
    return code if code is not None else ender.code or ExitCode.INTERRUPTED


async def _record(inv: Invocation, task: _Task, shell: Shell, journal: Journal) -> ExitCode:
    gathered = await _gather(inv, task, shell.clock, shell.log.library().library)
    a.check_binding(shell.log, gathered.store, gathered.service)
    planned = _plan(shell.log, task, gathered, shell.clock.now_us())
    allowed = deletions_max(tally(planned.judged).get(Verdict.INDEXED, 0), inv.settings.max_delete)
    store_name = gathered.store.display_name
    if not await deletion_consent(inv.console, planned.deletions, allowed, store_name, task.confirm):
        inv.console.say("nothing was adopted")
        return ExitCode.LATER
    late = await a.adopt(journal, shell.log, planned, gathered.service, task.place.root)
    planned.known.extend(late)
    _tell(inv, _message(planned, task, gathered.service, dry_run=False))
    return ExitCode.OK


class _Gathered(NamedTuple):
    """The store, the service that holds it, and what was seen of it."""

    store: a.Store
    service: str
    evidence: Evidence | None
    raws: dict[str, RawFile]


async def _gather(inv: Invocation, task: _Task, clock: Clock, library: LibraryId) -> _Gathered:
    """Ask the service, where it can be asked.  Raises `NotNow`, `StoreProblem`, `Halted`, `CallFailed`."""
    asked, legacy = inv.settings.store, task.legacy
    if task.choice is None:
        name, display_name = a.named_store(legacy, asked)
        if name is None:
            raise NotNow(
                f"the database calls its store {display_name!r}, and only the service knows its resource name",
                "give an API key: $GEMINI_API_KEY or --api-key-file FILE",
            )
        return _Gathered(a.Store(name, display_name), inv.settings.endpoint or GEMINI, None, {})
    service = service_for(inv.console, task.choice, log_path(inv))
    async with service.connect() as remote:
        store = await a.find_store(clock, remote, legacy, asked)
        evidence, raws = await a.look(clock, remote, service.pace, store.name, library, legacy)
    return _Gathered(store, service.name, evidence, raws)


def _plan(log: SqliteReader | None, task: _Task, gathered: _Gathered, now_us: int) -> a.Plan:
    place, store = task.place, gathered.store
    return a.plan(log, task.legacy, place.root, place.base, store, gathered.evidence, gathered.raws, now_us)


def _message(planned: a.Plan, task: _Task, service: str, *, dry_run: bool) -> messages.Adoption:
    place = task.place
    return messages.Adoption(
        library=str(place.root),
        was=place.base,
        store=planned.store.name,
        store_name=planned.store.display_name,
        service=service,
        schema_version=task.legacy.version,
        verified=planned.verified,
        dry_run=dry_run,
        rows=len(task.legacy.files),
        adopted={verdict.value: number for verdict, number in tally(_kept(planned.judged)).items()},
        known=len(planned.known),
        deletions=planned.deletions,
        unclaimed=planned.unclaimed,
        doubted=[messages.Doubt(one.path, one.verdict.value, list(one.doubts)) for one in planned.judged if one.doubts],
        dropped=[messages.Dropped(one.path, one.why) for one in planned.judged if one.event is None],
        files=[messages.AdoptedFile(one.path, one.verdict.value, one.why) for one in _kept(planned.judged)],
    )


def _kept(judged: Sequence[Judged]) -> list[Judged]:
    return [one for one in judged if one.event is not None]


_MEANINGS = {
    Verdict.INDEXED: "their documents were seen ACTIVE",
    Verdict.PROCESSING: "known by name, the next run confirms them",
    Verdict.UPLOADED: "their raw files still live, the next run imports them",
    Verdict.FAILED: "given up by the earlier tool; objlib-fsm run --retry-failed tries them again",
    Verdict.REPLACED: "a document is there, of nobody knows which bytes; it goes when its successor is ACTIVE",
    Verdict.UNTRACKED: "the store holds nothing of them, the next run sends them",
    Verdict.MISSING: "not on disk, what the store holds of them stays until a prune",
    Verdict.EXCLUDED: "left out by the earlier tool, until somebody tracks them",
}


def _tell(inv: Invocation, told: messages.Adoption) -> None:
    if inv.json:
        inv.console.result(messages.document(told))
        return
    out = inv.console.out
    out(f"library  {safe(told.library)}" + (f", was {safe(told.was)}" if told.was != told.library else ""))
    out(f"store    {safe(told.store_name)} ({safe(told.store)}) of {safe(told.service)}")
    out(f"{count(told.rows, 'row')} of the earlier tool, schema version {told.schema_version}:")
    for verdict, meaning in _MEANINGS.items():
        number = told.adopted.get(verdict.value, 0)
        if number:
            out(f"  {number:>7,}  {verdict.value}: {meaning}")
    if told.known:
        out(f"  {told.known:>7,}  known to the log already, left as they are")
    if told.dropped:
        out(f"  {len(told.dropped):>7,}  not adopted:")
        _list(inv, [(skipped.file, skipped.why) for skipped in told.dropped])
    if told.doubted:
        out(f"{count(len(told.doubted), 'file')} with something that does not fit:")
        _list(inv, [(doubt.file, "; ".join(doubt.doubts)) for doubt in told.doubted])
    if told.deletions:
        out(f"{count(told.deletions, 'document')} will be deleted by the next run: duplicates and FAILED ones")
    if told.unclaimed:
        out(f"{count(told.unclaimed, 'document')} of the store belong to no row and are left alone")
    if told.dry_run:
        out("nothing was recorded")
        return
    out("adopted" if told.files else "there was nothing new to adopt")
    inv.console.say("next: objlib-fsm run")


def _list(inv: Invocation, lines: Sequence[tuple[str, str]]) -> None:
    for path, why in lines[:FILES_SHOWN]:
        inv.console.out(f"           {safe(path)}: {safe(why)}")
    if len(lines) > FILES_SHOWN:
        inv.console.out(f"           and {count(len(lines) - FILES_SHOWN, 'more file', 'more files')} (--json has all)")
