"""``status``: where every file stands, what is due when, who is at work."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, WrongUse
from objlib_fsm.cli.options import command as shared
from objlib_fsm.core.table import State

if TYPE_CHECKING:
    from objlib_fsm.cli import messages
    from objlib_fsm.core.library_record import LibraryRecord
    from objlib_fsm.core.record import FileRecord
    from objlib_fsm.log.sqlite import SqliteReader

NAME: Final = "status"
SHORT: Final = "What is where, what is due when, who is at work."
HELP: Final = """Show where every file stands, what is due when, and who is at work.

\b
Examples:
  objlib-fsm status                      counts per state
  objlib-fsm status --state failed       what failed, by cause, and the command that helps
  objlib-fsm status --duplicates         files of the same content, and what they cost
  objlib-fsm status --json | jq .states

Reads the log only: the service is not asked, and a run at work is not disturbed.
"""

STATES: Final = tuple(state.label for state in State)
"""By their codes."""

ASIDE: Final = ("excluded", "missing", "forgotten")
"""Untracked files that the store is not to hold, by the log's ``standing`` 1, 2, 3."""

NEAR_EXPIRY_S: Final = 6 * 3_600
"""Raw files live 48 hours; the last 6 are when somebody should look."""

EXPIRING_SHOWN: Final = 5


@shared()
def command(
    inv: Invocation,
    state: Annotated[
        str | None, typer.Option("--state", metavar="STATE", help=f"List the files in it: {', '.join(STATES + ASIDE)}.")
    ] = None,
    duplicates: Annotated[
        bool,
        typer.Option("--duplicates", help="List files of the same content, and what they cost.", show_default=False),
    ] = False,
) -> ExitCode:
    """Print the report."""
    if duplicates and state is not None:
        raise WrongUse("--state and --duplicates are two reports", "ask for one of them")
    if state is not None and state not in STATES + ASIDE:
        near = difflib.get_close_matches(state, STATES + ASIDE, 1)
        raise WrongUse(
            f"there is no state {state!r}" + (f", did you mean {near[0]!r}?" if near else ""),
            f"the states are {', '.join(STATES + ASIDE)}",
        )
    import time

    from objlib_fsm.cli.place import reading

    with reading(inv) as log:
        now_us = time.time_ns() // 1_000
        report = _report(log, now_us)
        if duplicates:
            _duplicates(inv, log, report)
        elif state is not None:
            _list(inv, log, report, state)
        elif inv.json:
            _emit(inv, report)
        else:
            _show(inv, log, report, now_us)
    return ExitCode.OK


def _report(log: SqliteReader, now_us: int) -> messages.Status:
    from objlib_fsm.cli import failures, messages, service_status
    from objlib_fsm.cli.render import iso
    from objlib_fsm.log.projection import STRAY

    states, aside = dict.fromkeys(STATES, 0), dict.fromkeys(ASIDE, 0)
    kept = 0
    query = "SELECT state, standing, count(*) FROM files WHERE standing <> ? GROUP BY 1, 2"
    for code, standing, files in log.rows(query, (STRAY,)):
        kept += files if standing and code else 0
        if code == 0 and standing:
            aside[ASIDE[standing - 1]] += files
        else:
            states[STATES[code]] += files
    library = log.library()
    soon_us = now_us + NEAR_EXPIRY_S * 1_000_000
    expiring = log.rows(
        "SELECT path, expires_at_us FROM files WHERE expires_at_us < ? ORDER BY expires_at_us LIMIT ?",
        (soon_us, EXPIRING_SHOWN),
    )
    expiring_files = log.rows("SELECT count(*) FROM files WHERE expires_at_us < ?", (soon_us,))[0][0]
    return messages.Status(
        position=log.head(),
        files=sum(states.values()) + sum(aside.values()),
        states=states,
        excluded=aside["excluded"],
        missing=aside["missing"],
        forgotten=aside["forgotten"],
        kept=kept,
        due=_due(log, now_us),
        expiring=[messages.Expiring(path, iso(at_us)) for path, at_us in expiring],
        expiring_files=expiring_files,
        failures=failures.causes(log),
        library=library.root,
        log=str(log.path),
        store=library.pin.store if library.pin else None,
        store_name=library.pin.display_name if library.pin else None,
        service=library.pin.service if library.pin else None,
        store_deleted=library.pin is not None and library.pin.deleted,
        compared_at=iso(library.compared.began_at_us) if library.compared else None,
        holder=_holder(library, now_us),
        last_run=_last_run(library),
        operations=service_status.operations(log, library),
        deadlines=service_status.deadlines(log),
        pace=service_status.pace(library),
    )


def _due(log: SqliteReader, now_us: int) -> messages.Due:
    from objlib_fsm.cli.messages import Due
    from objlib_fsm.cli.render import iso_or_none

    later, next_us = _later(log, now_us)
    everything = log.rows("SELECT count(*) FROM files WHERE open = 1")[0][0]
    return Due(everything - later, later, iso_or_none(next_us))


def _holder(library: LibraryRecord, now_us: int) -> messages.Holder | None:
    from objlib_fsm.cli.messages import Holder
    from objlib_fsm.cli.render import iso
    from objlib_fsm.log.lease import holder_is_dead, this_process

    lease = library.lease
    if lease is None or lease.released:
        return None
    alive = not holder_is_dead(lease, this_process(), now_us)
    return Holder(lease.run, lease.host, lease.pid, iso(lease.taken_at_us), alive)


def _last_run(library: LibraryRecord) -> messages.LastRun | None:
    from objlib_fsm.cli.messages import LastRun
    from objlib_fsm.cli.render import iso, iso_or_none

    run = library.run
    if run is None:
        return None
    return LastRun(run.run, iso(run.started_at_us), iso_or_none(run.ended_at_us), run.exit_code)


def _emit(inv: Invocation, report: messages.Status) -> None:
    from objlib_fsm.cli.messages import document

    inv.console.result(document(report))


def _duplicates(inv: Invocation, log: SqliteReader, report: messages.Status) -> None:
    from objlib_fsm.cli.duplicates import duplicates, show

    found = duplicates(log, inv.settings)
    if inv.json:
        import msgspec

        _emit(inv, msgspec.structs.replace(report, duplicates=found))
    else:
        show(inv.console, found)


def _list(inv: Invocation, log: SqliteReader, report: messages.Status, state: str) -> None:
    """The files of one state."""
    from objlib_fsm.cli import failures, messages
    from objlib_fsm.cli.render import due, iso, iso_or_none, when
    from objlib_fsm.cli.report import reason_in_words
    from objlib_fsm.cli.safe import safe
    from objlib_fsm.library.values import Exclusion

    if state in ASIDE:
        where, arguments = "state = 0 AND standing = ? ORDER BY path", (ASIDE.index(state) + 1,)
    elif state == "untracked":
        where, arguments = "state = ? AND standing = 0 ORDER BY path", (0,)
    else:
        where, arguments = "state = ? ORDER BY path", (STATES.index(state),)
    if state == State.FAILED.label and not inv.json:
        for group in report.failures:
            for line in failures.lines(group):
                inv.console.out(line)
        if report.failures:
            inv.console.out()
    listed: list[messages.Listed] = []
    empty = True
    for record in log.records(where, arguments):
        empty = False
        cause = record.excluded if state == "excluded" else record.cause
        detail = _detail(log, record) if cause == Exclusion.METADATA else ""
        if inv.json:
            since, due_at = iso(record.since_us), iso_or_none(record.due_at_us)
            listed.append(messages.Listed(record.path, record.state.label, since, cause, due_at, detail))
            continue
        words = reason_in_words(cause) if state == "excluded" else cause
        told = f"  {words}" + (f": {detail}" if detail else "") if words else ""
        if record.due_at_us is not None and not record.terminal:
            told += f"  due {due(record.due_at_us, 0)}"
        inv.console.out(f"{when(record.since_us)}  {safe(record.path)}{safe(told)}")
        if inv.console.reader_gone:
            return
    if inv.json:
        import msgspec

        _emit(inv, msgspec.structs.replace(report, listed=listed))
    elif empty:
        inv.console.say("no file failed" if state == State.FAILED.label else f"no file is {state}")


def _detail(log: SqliteReader, record: FileRecord) -> str:
    """What is wrong with the file's metadata: it is in the file's history, and the record keeps the reason only."""
    details = [getattr(recorded.event, "detail", "") for recorded in log.read(record.stream)]
    return next((detail for detail in reversed(details) if detail), "")


def _show(inv: Invocation, log: SqliteReader, report: messages.Status, now_us: int) -> None:
    from objlib_fsm.cli import service_status
    from objlib_fsm.cli.render import ago, count, due, table, when
    from objlib_fsm.cli.safe import safe

    out, library = inv.console.out, log.library()
    out(f"library  {safe(report.library) or '(none yet)'}")
    out(f"log      {safe(report.log)}, {count(report.position, 'event')}")
    if library.pin is not None:
        pin = library.pin
        out(f"store    {safe(pin.display_name)} ({safe(pin.store)}) of {safe(pin.service)}")
        if pin.deleted:
            out("         was deleted: objlib-fsm store recreate")
        elif library.compared is not None:
            out(f"         compared with the log {ago(library.compared.began_at_us, now_us)}")
    out()
    rows = [(f"{report.states[name]:,}", name) for name in STATES]
    aside = {"excluded": report.excluded, "missing": report.missing, "forgotten": report.forgotten}
    rows += [(f"{number:,}", name) for name, number in aside.items() if number]
    rows.append((f"{report.files:,}", "files in all"))
    for line in table(rows, right=(0,)):
        out(line)
    if report.kept:
        out(f"  of the indexed, {count(report.kept, 'file')} not on disk or left out now; the documents stay")
        out("  until a prune: objlib-fsm run --prune --dry-run")
    for cause in report.failures:
        out(f"  failed: {count(cause.files, 'file')}: {safe(cause.cause)}, for example {safe(cause.example)}")
    out()
    waiting, next_us = _later(log, now_us)
    if report.due.now:
        out(f"due now  {count(report.due.now, 'file')}: objlib-fsm run")
    if waiting and next_us is not None:
        out(f"later    {count(waiting, 'file')}, the first at {due(next_us, now_us)}")
    if not report.due.now and not waiting:
        out("nothing is due")
    for line in service_status.lines(log, report, now_us):
        out(line)
    if report.expiring_files:
        out(f"expiring {count(report.expiring_files, 'raw file')} within 6 hours, the first:")
        for item, (at_us,) in zip(report.expiring, _expiry_times(log), strict=False):
            out(f"  {when(at_us)}  {safe(item.file)}")
    lease, run = library.lease, library.run
    if report.holder is not None and lease is not None:
        state = "at work" if report.holder.alive else "not alive any more; the next run takes over"
        out(f"running  process {lease.pid} on {safe(lease.host)} since {when(lease.taken_at_us)}, {state}")
    if run is not None and run.ended_at_us is not None:
        out(f"last run {ago(run.ended_at_us, now_us)}, exit code {run.exit_code}")
    elif run is not None and report.holder is None:
        out(f"last run {ago(run.started_at_us, now_us)}, ended early; the next one goes on from there")


def _later(log: SqliteReader, now_us: int) -> tuple[int, int | None]:
    """Files that wait for a time, and the first such time; what a clock that was put back has dated is due now."""
    from objlib_fsm.core.policy import CLOCK_SLACK_S, RETRY_AFTER_MAX_S, after_s

    query = "SELECT count(*), min(due_at_us) FROM files WHERE open = 1 AND due_at_us > ? AND due_at_us <= ?"
    files, next_us = log.rows(query, (now_us, after_s(now_us, RETRY_AFTER_MAX_S + CLOCK_SLACK_S)))[0]
    return files, next_us


def _expiry_times(log: SqliteReader) -> list[tuple[int]]:
    query = "SELECT expires_at_us FROM files WHERE expires_at_us IS NOT NULL ORDER BY expires_at_us LIMIT ?"
    return [(int(at_us),) for (at_us,) in log.rows(query, (EXPIRING_SHOWN,))]
