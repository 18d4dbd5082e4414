"""``audit FILE``: how the file came to its state, and what happens next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.moment import AsOf, position_of
from objlib_fsm.cli.options import Invocation, NotThere, WrongUse
from objlib_fsm.cli.options import command as shared

if TYPE_CHECKING:
    from objlib_fsm.cli.messages import Audit, AuditEvent
    from objlib_fsm.cli.named import Claim
    from objlib_fsm.core.ids import StreamId
    from objlib_fsm.core.record import FileRecord
    from objlib_fsm.log.contract import Recorded
    from objlib_fsm.log.sqlite import SqliteReader

NAME: Final = "audit"
SHORT: Final = "How a file came to its state, and what is next."
HELP: Final = """Show how a file came to its state, event by event, and what happens next.

\b
Examples:
  objlib-fsm audit docs/guide.md                           its whole history
  objlib-fsm audit guide.md --as-of 2026-11-20T22:15       as it was at that time
  objlib-fsm audit docs/guide.md --json | jq '.events[].type'

FILE is a path as seen from here, a path inside the library, an absolute path, the id of the file's history, or the
name of a raw file or document in the store. A path means the file that had it at that time; a path that a file was
moved from still leads to it. A name that matches nothing lists near ones.

Each event shown was checked against its hash; exit code 7 when one of them is not what was written.
"""


@shared()
def command(
    inv: Invocation,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file.", show_default=False)],
    as_of: AsOf = None,
) -> ExitCode:
    """Print the history."""
    import time

    from objlib_fsm.cli.place import reading
    from objlib_fsm.log.replay import read_checked

    with reading(inv) as log:
        position = log.head() if as_of is None else position_of(log, as_of)
        stream, claim = _named(log, file, None if as_of is None else position)
        history = [recorded for recorded in read_checked(log, stream) if recorded.position <= position]
        now_us = time.time_ns() // 1_000
        if as_of is not None:
            if not history:
                raise WrongUse(f"{file}: nothing was known of it then", "leave out --as-of to see its whole history")
            now_us = _moment(as_of, history)
    if claim is not None:
        _tell_of_move(inv, claim, history)
    record, report = _report(history, now_us)
    if inv.json:
        from objlib_fsm.cli.messages import document

        inv.console.result(document(report))
    else:
        _show(inv, record, history, report, now_us)
    return ExitCode.OK


def _named(log: SqliteReader, file: str, upto: int | None) -> tuple[StreamId, Claim | None]:
    """The history that is meant, and how it had the name where that is a path of then.  Raises `NotThere`."""
    from objlib_fsm.cli.named import find, once_at

    if upto is not None and (claim := once_at(log, file, upto)) is not None:
        return claim.stream, claim
    try:
        return find(log, file).stream, None
    except NotThere:
        claim = once_at(log, file, log.head())
        if claim is None:
            raise
        return claim.stream, claim


def _tell_of_move(inv: Invocation, claim: Claim, history: list[Recorded]) -> None:
    """Say where the file went from the path that it was named by, if it went."""
    from objlib_fsm.cli.render import when
    from objlib_fsm.cli.safe import safe
    from objlib_fsm.core.events import FileMoved

    for recorded in history:
        if recorded.position > claim.position and isinstance(recorded.event, FileMoved):
            at = when(recorded.recorded_at_us)
            inv.console.say(f"{safe(claim.path)} was moved to {safe(recorded.event.path)} at {at}")
            return


def _moment(as_of: str, history: list[Recorded]) -> int:
    """The time of ``--as-of``: that of the last event for a position."""
    import datetime

    last_us = history[-1].recorded_at_us
    if as_of.isascii() and as_of.isdigit():
        return last_us
    return max(last_us, round(datetime.datetime.fromisoformat(as_of).timestamp() * 1_000_000))


def _report(history: list[Recorded], now_us: int) -> tuple[FileRecord, Audit]:
    """The record after *history*, and its story."""
    import msgspec

    from objlib_fsm.cli.audit_story import operations, raw_files
    from objlib_fsm.cli.messages import Audit
    from objlib_fsm.cli.render import iso, iso_or_none
    from objlib_fsm.cli.words import next_in_words
    from objlib_fsm.core.fold import new_record, step

    record = new_record(history[0].stream)
    events = []
    for recorded in history:
        before = record.state
        step(record, recorded.event, recorded.recorded_at_us)
        events.append(_event(recorded, before.label))
    upcoming = next_in_words(record, now_us)
    told = operations(record, history)
    return record, Audit(
        file=record.path,
        stream=record.stream,
        state=record.state.label,
        since=iso(record.since_us),
        next=upcoming.text,
        next_at=iso_or_none(upcoming.at_us),
        documents=[msgspec.to_builtins(document) for document in record.documents],
        events=events,
        operations=told,
        raw_files=raw_files(record),
    )


def _event(recorded: Recorded, before: str) -> AuditEvent:
    import msgspec

    from objlib_fsm.cli.messages import AuditEvent
    from objlib_fsm.cli.render import iso
    from objlib_fsm.cli.words import why

    evidence: dict[str, Any] = msgspec.to_builtins(recorded.event)
    return AuditEvent(
        position=recorded.position,
        version=recorded.version,
        type=recorded.kind.label,
        source=before,
        to=recorded.state.label,
        at=iso(recorded.recorded_at_us),
        why=why(before, recorded.kind),
        attempt=getattr(recorded.event, "attempt", None),
        evidence=evidence,
        run=recorded.run,
        actor=recorded.actor,
        id=recorded.id,
        causation=recorded.causation,
    )


def _show(inv: Invocation, record: FileRecord, history: list[Recorded], report: Audit, now_us: int) -> None:
    from objlib_fsm.cli.audit_story import lines
    from objlib_fsm.cli.render import clock, size, when
    from objlib_fsm.cli.safe import safe
    from objlib_fsm.cli.words import evidence_in_words

    console = inv.console
    out = console.out
    out(f"{console.styled(safe(report.file) or '(no file)', 'bold')}: {report.state} since {when(record.since_us)}")
    out(f"  history {report.stream}, {size(record.size_bytes)}, {record.mime_type or 'type unknown'}")
    for document in record.documents:
        out(f"  document {safe(document.name)}: {document.role.value}")
    for line in lines(record, report.operations, now_us):
        out(f"  {safe(line)}")
    out()
    for recorded, event in zip(history, report.events, strict=True):
        moved = f"{event.source} -> {event.to}" if event.source != event.to else event.to
        attempt = f", attempt {event.attempt}" if event.attempt is not None and event.attempt > 1 else ""
        out(f"{event.position:>7}  {clock(recorded.recorded_at_us)}  {moved:<25}  {event.type}{attempt}")
        for line in evidence_in_words(recorded.event):
            out(f"         {safe(line)}")
        if console.reader_gone:
            return
    out()
    out(f"next: {safe(report.next)}")
