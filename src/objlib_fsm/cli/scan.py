"""``scan``: record what changed in the library, and send nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

NAME: Final = "scan"
SHORT: Final = "Record what changed, and send nothing."
HELP: Final = """Look at a folder and record what is new, changed or gone. Nothing is sent.

\b
Examples:
  objlib-fsm scan docs/        look at a folder; it is remembered
  objlib-fsm scan              look again
  objlib-fsm scan --json | jq .recorded

It may be done while a run is at work: the run takes up what the scan records.
"""


@shared()
def command(
    inv: Invocation,
    library: Annotated[
        Path | None, typer.Argument(metavar="[LIBRARY]", help="The folder; without it the remembered one.")
    ] = None,
) -> ExitCode:
    """Scan."""
    from objlib_fsm.cli.scanning import carry_out

    return carry_out(inv, library)
