"""``store``: the stores of the service, and the one that this log belongs to."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

NAME: Final = "store"
SHORT: Final = "List, create, recreate or delete stores."
HELP: Final = """List the stores of the service, and create, recreate or delete one.

\b
Examples:
  objlib-fsm store list                       every store, with its counts; * is the log's own
  objlib-fsm store create --store notes       make the store of a new log, without sending anything
  objlib-fsm store recreate                   after the store is gone: a new one, and every file is to go there
  objlib-fsm store delete notes               with every document in it, after its name was typed
  objlib-fsm store delete notes --confirm notes

recreate deletes the store first if it is still there. Raw files that are alive are imported again without sending a
byte; `objlib-fsm run` does it. NAME is a display name, or a full name where two stores share one.

Exit codes: 0 done, 2 typed consent is needed, 6 key or settings, 10 no such store, 11 a run is at work.
"""

Action = Literal["list", "create", "recreate", "delete"]


@shared(service=True)
def command(
    inv: Invocation,
    action: Annotated[
        Action, typer.Argument(metavar="list|create|recreate|delete", help="What to do.", show_default=False)
    ],
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The store to delete; without it the log's own.")
    ] = None,
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="NAME", help="Typed consent: the store's display name.")
    ] = None,
) -> ExitCode:
    """Do it."""
    from objlib_fsm.cli.storing import carry_out

    return carry_out(inv, action, name, confirm)
