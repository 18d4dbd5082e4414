"""``watch``: a run that does not end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

NAME: Final = "watch"
SHORT: Final = "Keep a folder indexed: take up changes as they happen."
HELP: Final = """Keep a folder indexed: run once, then take up changes as they happen, until Ctrl-C.

\b
Examples:
  objlib-fsm watch docs/                 index it, and keep it so
  objlib-fsm watch                       the remembered folder
  objlib-fsm watch --json                a JSON line for everything that happens

It holds the log as a run does: another run has to wait, while scan, retry, forget and track are taken up. Files that
wait for the service are taken up when they are due. Where the system tells of no changes, the folder is looked at
every 30 seconds, else every 5 minutes besides.

Ctrl-C lets what is under way end; a second one stops at once. Exit codes: those of run.
"""


@shared(service=True)
def command(
    inv: Invocation,
    library: Annotated[
        Path | None, typer.Argument(metavar="[LIBRARY]", help="The folder; without it the remembered one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Send files without asking.", show_default=False)] = False,
) -> ExitCode:
    """Watch."""
    from objlib_fsm.cli.run import Wish
    from objlib_fsm.cli.watching import carry_out

    return carry_out(inv, Wish(library, None, yes, dry_run=False))
