"""``forget``: out of the store, and left alone from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

if TYPE_CHECKING:
    from objlib_fsm.core.record import FileRecord

NAME: Final = "forget"
SHORT: Final = "Take files out of the store, and leave them alone."
HELP: Final = """Take files out of the store: document and raw file are deleted, and the path is never picked up again.

\b
Examples:
  objlib-fsm forget docs/diary.md             out of the store; the file on disk is not touched
  objlib-fsm forget docs/a.md docs/b.md       several
  objlib-fsm track docs/diary.md              wanted again
  objlib-fsm status --state forgotten         what was forgotten

It only records the wish. A run that is at work takes it up, else the next run. To leave many files out by a rule, use
.objlibignore and `objlib-fsm run --prune`.
"""


@shared()
def command(
    inv: Invocation,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="The files.", show_default=False)],
) -> ExitCode:
    """Take the wish down."""
    from objlib_fsm.cli.wishing import carry_out, named
    from objlib_fsm.core.events import FileForgotten

    return carry_out(inv, NAME, FileForgotten(), lambda log: named(log, files), _refusal, _meaning)


def _meaning(record: FileRecord) -> str:
    gone = "its document and raw file go, " if record.live_documents else ""
    return f"is forgotten: {gone}the path is left alone"


def _refusal(record: FileRecord) -> str:
    return "" if record.wanted else "is forgotten already"
