"""``adopt``: take over a library that the earlier tool has indexed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

NAME: Final = "adopt"
SHORT: Final = "Take over a library that the earlier tool indexed."
HELP: Final = """Take over a library that the earlier tool indexed, so that nothing of it is sent again.

\b
Examples:
  objlib-fsm adopt library.db --dry-run             what would be adopted, doubted, dropped, and why
  objlib-fsm adopt library.db --root ~/Library      its folder is elsewhere now
  objlib-fsm adopt library.db --json | jq .doubted
  objlib-fsm run                                    confirm the rest, send what is missing

The database is only read. Each of its rows is a claim; what the store really shows is the evidence, and both are
recorded. A file is taken for indexed when its document was seen ACTIVE. Without an API key nothing can be seen: then
files are adopted as processing, and the next run with a key confirms them. Doing it twice adds nothing.

Documents of which the store has more than one for a file, and FAILED ones, are deleted by the next run; more of them
than --max-delete need typed consent. Documents that belong to no row are left alone.

Exit codes: 0 adopted, 2 consent is needed, 4 the store could not be listed, 6 the database or a setting does not
allow it, 10 no such database, folder or store, 11 a run is at work.
"""


@shared(service=True)
def command(
    inv: Invocation,
    legacy: Annotated[
        Path, typer.Argument(metavar="LEGACY.db", help="The earlier tool's database.", show_default=False)
    ],
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="FOLDER", help="The library's folder now; else where the database has it."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be adopted, and record nothing.", show_default=False)
    ] = False,
    max_delete: Annotated[
        int | None,
        typer.Option(
            "--max-delete", min=0, metavar="N", help="Documents that may go without typed consent; default 10 %, 100."
        ),
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="N", help="Consent to more deletions: their number, or the store's name."),
    ] = None,
) -> ExitCode:
    """Adopt."""
    from objlib_fsm.cli.adopting import carry_out

    inv.give(max_delete=max_delete)
    return carry_out(inv, legacy, root, dry_run, confirm)
