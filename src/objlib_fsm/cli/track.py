"""``track``: a forgotten file is wanted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

if TYPE_CHECKING:
    from objlib_fsm.core.record import FileRecord

NAME: Final = "track"
SHORT: Final = "Want forgotten files again."
HELP: Final = """Want files again that were forgotten: they are sent and indexed as any other.

\b
Examples:
  objlib-fsm track docs/diary.md              wanted again
  objlib-fsm status --state forgotten         what was forgotten

It only records the wish. A run that is at work takes it up, else the next run.
"""


@shared()
def command(
    inv: Invocation,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="The files.", show_default=False)],
) -> ExitCode:
    """Take the wish down."""
    from objlib_fsm.cli.wishing import carry_out, named
    from objlib_fsm.core.events import FileTracked

    return carry_out(inv, NAME, FileTracked(), lambda log: named(log, files), _refusal, lambda _: "is wanted again")


def _refusal(record: FileRecord) -> str:
    from objlib_fsm.core.record import SKIPPED_BEFORE

    left_out = record.excluded == SKIPPED_BEFORE
    return "" if left_out or not record.wanted else "is not forgotten: nothing to do"
