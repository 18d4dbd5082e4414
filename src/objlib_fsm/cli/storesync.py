"""``store-sync``: the log against the store, and the differences put right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, WrongUse
from objlib_fsm.cli.options import command as shared

NAME: Final = "store-sync"
SHORT: Final = "Compare the log with the store; --fix puts it right."
HELP: Final = """List the whole store, and compare it with the log. Nothing is changed without --fix.

\b
Examples:
  objlib-fsm store-sync                    what differs
  objlib-fsm store-sync --fix --dry-run    what would be done about it
  objlib-fsm store-sync --fix              do it
  objlib-fsm store-sync --json | jq .differences

\b
  =  indexed here, active there            -  indexed here, missing there
  +  ours there, unknown here              !  pending or failed there
  ~  superseded, duplicate, not wanted     ?  not ours: never touched

--fix sends what is missing again, confirms what is pending, and deletes what is ours and not needed: at most one
document in ten and never more than 100 without typed consent. Ours is what the log ever knew or what carries this
library's id. A listing that was cut short goes on where it was; one that is not complete changes nothing.

Exit codes: 0 no difference, or all put right, 4 something is due later, 5 differences, 10 no store.
"""


@dataclass(frozen=True)
class Wish:
    """What is to be done about differences."""

    fix: bool
    dry_run: bool
    confirm: str | None


@shared(service=True)
def command(
    inv: Invocation,
    fix: Annotated[bool, typer.Option("--fix", help="Put the differences right.", show_default=False)] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: say what would be done.", show_default=False)
    ] = False,
    max_delete: Annotated[
        int | None,
        typer.Option(
            "--max-delete", min=0, metavar="N", help="Documents that may go without typed consent; default 10 %, 100."
        ),
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="WORD", help="Typed consent: the number of documents, or the store's name."),
    ] = None,
) -> ExitCode:
    """Compare."""
    if dry_run and not fix:
        raise WrongUse("--dry-run belongs to --fix", "without --fix nothing is changed anyway")
    from objlib_fsm.cli.syncing import carry_out

    inv.give(max_delete=max_delete)
    return carry_out(inv, Wish(fix, dry_run, confirm))
