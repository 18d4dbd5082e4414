"""``reset``: files sent anew, each with another document in place of the one that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objlib_fsm.core.record import FileRecord
    from objlib_fsm.log.sqlite import SqliteReader

NAME: Final = "reset"
SHORT: Final = "Send files anew, in place of the documents that are there."
HELP: Final = """Send files anew: the bytes are uploaded again, and the new document takes the place of the old one.

\b
Examples:
  objlib-fsm reset docs/guide.md            one file, after a question
  objlib-fsm reset docs/                    every file of a folder
  objlib-fsm reset docs/ --limit 20 --yes   the first twenty, without a question
  objlib-fsm audit docs/guide.md            what became of it

The old document stays until the service has shown the new one ACTIVE, so that a question finds the file at all times.
It only records the wish. A run that is at work takes it up, else the next run. Each file costs what a new one costs.
"""


@shared()
def command(
    inv: Invocation,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files or folders.", show_default=False)],
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most N files.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", show_default=False)] = False,
) -> ExitCode:
    """Take the wish down."""
    from objlib_fsm.cli.wishing import carry_out, named_or_below
    from objlib_fsm.core.events import FileReset

    def choose(log: SqliteReader) -> Sequence[FileRecord]:
        found = named_or_below(log, files)
        refused = [record for record in found if _refusal(record)]
        return [*[record for record in found if not _refusal(record)][:limit], *refused]

    agreed = None if yes else lambda records: _agreed(inv, records)
    return carry_out(inv, NAME, FileReset(), choose, _refusal, _meaning, agreed)


def _meaning(record: FileRecord) -> str:
    return "is sent anew" + ("; its document stays until the new one is ACTIVE" if record.live_documents else "")


def _refusal(record: FileRecord) -> str:
    if record.here:
        return ""
    if not record.wanted:
        return "it was forgotten; objlib-fsm track brings it back"
    return f"nothing to send: it is {'left out (' + record.excluded + ')' if record.excluded else 'not on disk'}"


def _agreed(inv: Invocation, records: Sequence[FileRecord]) -> bool:
    """Show what would be sent, and ask.  Raises `WrongUse` when nobody can be asked."""
    from objlib_fsm.cli.consent import yes_or_no
    from objlib_fsm.cli.render import count, size
    from objlib_fsm.cli.safe import safe
    from objlib_fsm.cli.wishing import FILES_SHOWN

    say = inv.console.say
    size_bytes = sum(record.size_bytes for record in records)
    what = f"{count(len(records), 'file')}, {size(size_bytes)}, would be sent anew"
    say(what)
    for record in records[:FILES_SHOWN]:
        say(f"  {safe(record.path)}  {size(record.size_bytes)}")
    if len(records) > FILES_SHOWN:
        say(f"  and {count(len(records) - FILES_SHOWN, 'more file', 'more files')}")
    return yes_or_no(what, "Send them anew? [y/N] ")
