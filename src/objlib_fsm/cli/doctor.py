"""``doctor``: what is wrong, and the command that mends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, WrongUse
from objlib_fsm.cli.options import command as shared

if TYPE_CHECKING:
    from objlib_fsm.cli.messages import Health

NAME: Final = "doctor"
SHORT: Final = "Say what is wrong, and what mends it."
HELP: Final = """Look at everything that a run needs, say what is wrong, and what mends it. Nothing is changed.

\b
Examples:
  objlib-fsm doctor                          log, permissions, disk, clock, other runs, key, service
  objlib-fsm doctor --offline                and ask no service
  objlib-fsm doctor --bundle report.zip      also what to attach to a report of a defect
  objlib-fsm doctor --json | jq '.checks[] | select(.result == "problem")'

The bundle holds versions, these findings and the skeleton of the log: kinds, states, times and outcomes of events. No
keys, no content, no file names, and no messages of the service: a name stands there as a hash.

Exit codes: 0 no problem, else what other commands would end with: 4 the service cannot be reached, 5 the stored state
differs, 6 key, permissions or disk, 7 the log is damaged, 10 library or store is not there.
"""

MARKS: Final = {"ok": "ok", "note": "note", "warning": "warning", "problem": "PROBLEM"}
_STYLES: Final = {"warning": ("yellow",), "problem": ("bold", "red")}


@shared(service=True)
def command(
    inv: Invocation,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the service.", show_default=False)] = False,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE", help="Write a redacted bundle for a report there.")
    ] = None,
) -> ExitCode:
    """Look at everything."""
    from objlib_fsm.cli.health import checks

    found = []
    if bundle is not None and bundle.exists():
        raise WrongUse(f"{bundle}: there is a file of this name", "choose another name")
    for one in checks(inv, offline=offline):
        found.append(one)
        if not inv.json:
            _show(inv, one)
    problems = [one for one in found if one.result == "problem"]
    warnings = sum(one.result == "warning" for one in found)
    code = ExitCode(problems[0].exit_code) if problems else ExitCode.OK
    if bundle is not None:
        from objlib_fsm.cli.bundle import write_bundle

        write_bundle(inv, bundle, found)
    if inv.json:
        from objlib_fsm.cli.messages import Diagnosis, document

        report = Diagnosis(
            checks=found,
            problems=len(problems),
            warnings=warnings,
            exit_code=code,
            bundle=str(bundle) if bundle is not None else None,
        )
        inv.console.result(document(report))
    else:
        _sum_up(inv, len(problems), warnings, bundle)
    return code


def _show(inv: Invocation, one: Health) -> None:
    from objlib_fsm.cli.safe import safe

    mark = inv.console.styled(f"{MARKS[one.result]:8}", *_STYLES.get(one.result, ()))
    inv.console.out(f"{mark} {one.check}: {safe(one.message)}")
    if one.hint:
        inv.console.out(f"         {safe(one.hint)}")


def _sum_up(inv: Invocation, problems: int, warnings: int, bundle: Path | None) -> None:
    from objlib_fsm.cli.render import count
    from objlib_fsm.cli.safe import safe

    if bundle is not None:
        inv.console.say(f"{safe(str(bundle))}: look into it before you send it to anybody")
    if problems:
        inv.console.say(f"{count(problems, 'problem')}; the first one first")
    elif warnings:
        inv.console.say(f"nothing stands in the way of a run; {count(warnings, 'warning')}")
    else:
        inv.console.say("nothing stands in the way of a run")
