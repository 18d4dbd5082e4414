"""``replay``: the state made anew from the events, and the proof that it is the stored one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.moment import AsOf, position_of
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

if TYPE_CHECKING:
    from objlib_fsm.cli.messages import Replay
    from objlib_fsm.log.replay import Rebuilt
    from objlib_fsm.log.sqlite import SqliteReader

NAME: Final = "replay"
SHORT: Final = "Rebuild the state from the events, and compare."
HELP: Final = """Rebuild the state from the events, check every link of the hash chain, and compare.

\b
Examples:
  objlib-fsm replay --check                    prove that the stored state follows from the events
  objlib-fsm replay                            and put the rebuilt state in place
  objlib-fsm replay --as-of 2026-11-20T22:15   the state at that time
  objlib-fsm replay --check --json | jq .digest

The stored state is disposable: nothing but the events decides. Putting it in place needs no lease and may be done
while a run is at work: what the run appends meanwhile is folded in, in the same transaction.

Exit codes: 5 when something differs (without --check: when it could not be put right), 7 when the chain is broken.
"""

STREAMS_SHOWN: Final = 10
TOLD_EVERY_S: Final = 5.0


@shared()
def command(
    inv: Invocation,
    check: Annotated[bool, typer.Option("--check", help="Change nothing.", show_default=False)] = False,
    as_of: AsOf = None,
) -> ExitCode:
    """Rebuild, compare, and put in place."""
    from objlib_fsm.cli.place import log_path
    from objlib_fsm.log.removed import go_on_without_wal
    from objlib_fsm.log.replay import check_pages, projection_drift, put_in_place, rebuild
    from objlib_fsm.log.sqlite import SqliteReader, open_for_reading, open_for_writing

    path = log_path(inv)
    check = check or as_of is not None
    if not check and go_on_without_wal(path):
        inv.console.say(f"{path}-wal was removed: what was recorded last is lost, the events that are left go on")
        inv.console.say("next: objlib-fsm run finds in the store what they do not know")
    log = SqliteReader(open_for_reading(path) if check else open_for_writing(path), path)
    try:
        with log.snapshot():
            upto = None if as_of is None else position_of(log, as_of)
            began = time.perf_counter()
            rebuilt = rebuild(log, upto=upto, progress=_told(inv, log.head() if upto is None else upto))
            seconds = time.perf_counter() - began
            drift = projection_drift(log, rebuilt) if upto is None else None
        if not check:
            put_in_place(log, rebuilt)
        if as_of is None:
            check_pages(log)
        report = _report(rebuilt, drift, seconds, in_place=not check)
        if inv.json:
            from objlib_fsm.cli.messages import document

            inv.console.result(document(report))
        else:
            _show(inv, log, report, drift)
    finally:
        log.close()
    return ExitCode(report.exit_code)


def _told(inv: Invocation, events: int) -> Callable[[int], None]:
    told_at = time.monotonic()

    def progress(position: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TOLD_EVERY_S:
            told_at = time.monotonic()
            inv.console.say(f"{position:,} of {events:,} events")

    return progress


def _report(rebuilt: Rebuilt, drift: list[str] | None, seconds: float, *, in_place: bool) -> Replay:
    from objlib_fsm.cli.messages import Replay
    from objlib_fsm.cli.status import ASIDE
    from objlib_fsm.core.table import INITIAL, State
    from objlib_fsm.log.projection import STRAY, standing

    states, aside = dict.fromkeys((state.label for state in State), 0), dict.fromkeys(ASIDE, 0)
    for record in rebuilt.files.values():
        where = standing(record)
        if where == STRAY:  # No file has that history.
            continue
        if where and record.state is INITIAL:
            aside[ASIDE[where - 1]] += 1
        else:
            states[record.state.label] += 1
    differs = bool(rebuilt.mismatches) or (bool(drift) and not in_place)
    return Replay(
        events=rebuilt.events,
        position=rebuilt.position,
        digest=rebuilt.digest,
        drift=None if drift is None else len(drift),
        chain="ok",
        mismatches=rebuilt.mismatches,
        files=sum(states.values()) + sum(aside.values()),
        states=states,
        excluded=aside["excluded"],
        missing=aside["missing"],
        forgotten=aside["forgotten"],
        seconds=round(seconds, 6),
        events_per_second=round(rebuilt.events / max(seconds, 1e-9), 1),
        in_place=in_place,
        exit_code=ExitCode.DIFFERENCES if differs else ExitCode.OK,
    )


def _show(inv: Invocation, log: SqliteReader, report: Replay, drift: list[str] | None) -> None:
    from objlib_fsm.cli.render import count, duration, table

    out = inv.console.out
    speed = f"{count(report.events, 'event')} in {duration(report.seconds)} ({report.events_per_second:,.0f} a second)"
    rows = [("events", speed), ("position", str(report.position)), ("chain", report.chain), ("digest", report.digest)]
    if drift is not None:
        rows.append(("drift", f"{len(drift)}" + (", put right" if drift and report.in_place else "")))
    aside = {"excluded": report.excluded, "missing": report.missing, "forgotten": report.forgotten}
    states = ", ".join(f"{number:,} {name}" for name, number in (report.states | aside).items() if number)
    rows.append(("files", f"{report.files:,}" + (f": {states}" if states else "")))
    for line in table(rows, indent=""):
        out(line)
    for stream in (drift or [])[:STREAMS_SHOWN]:
        out(f"  differs: {_name(log, stream)}")
    if drift and not report.in_place:
        inv.console.say("the stored state does not follow from the events; `objlib-fsm replay` puts it right")
    for position in report.mismatches[:STREAMS_SHOWN]:
        out(f"  event {position} recorded another state than its history leads to")
    if report.in_place:
        out("the rebuilt state is in place")


def _name(log: SqliteReader, stream: str) -> str:
    from objlib_fsm.cli.safe import safe
    from objlib_fsm.core.ids import StreamId

    record = log.record(StreamId(stream))
    return safe(record.path) if record is not None else stream
