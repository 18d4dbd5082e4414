"""``retry``: another attempt for files that failed or wait."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, NotThere, WrongUse
from objlib_fsm.cli.options import command as shared
from objlib_fsm.core.table import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objlib_fsm.core.record import FileRecord
    from objlib_fsm.log.sqlite import SqliteReader

NAME: Final = "retry"
SHORT: Final = "Ask for another attempt at files that failed."
HELP: Final = """Ask for another attempt: at some files, at all that failed for one cause, or at all that failed.

\b
Examples:
  objlib-fsm retry docs/guide.md              this file; one that waits need not wait any longer
  objlib-fsm retry --cause "rate limit"       every file that failed for this cause
  objlib-fsm retry                            every failed file, those that are parked too
  objlib-fsm status --state failed            what failed, by cause

It only records the wish. A run that is at work takes it up, else the next run. A file that three runs gave up is
parked: `objlib-fsm run --retry-failed` leaves it alone, and this command brings it back.
"""


@shared()
def command(
    inv: Invocation,
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="Files; else all that failed.")] = None,
    cause: Annotated[
        str | None, typer.Option("--cause", metavar="CAUSE", help="Only files that failed for this cause.")
    ] = None,
) -> ExitCode:
    """Take the wish down."""
    if files and cause is not None:
        raise WrongUse("name files or a cause, not both", "objlib-fsm retry FILE..., or objlib-fsm retry --cause CAUSE")
    from objlib_fsm.cli.wishing import carry_out, named
    from objlib_fsm.core.events import RetryRequested

    def choose(log: SqliteReader) -> Sequence[FileRecord]:
        if files:
            return named(log, files)
        failed = _failed(log, cause)
        if not failed:
            inv.console.say("no file failed")
        return failed

    return carry_out(inv, NAME, RetryRequested(), choose, _refusal, lambda _: "is tried again")


def _failed(log: SqliteReader, cause: str | None) -> Sequence[FileRecord]:
    """The failed files, of one cause when it is given.  Raises `NotThere` with the causes that there are."""
    failed = list(log.records("state = ? ORDER BY path", (State.FAILED.value,)))
    if cause is None:
        return failed
    chosen = [record for record in failed if record.cause.lower() == cause.lower()]
    if not chosen:
        causes = sorted({record.cause for record in failed})
        near = difflib.get_close_matches(cause, causes, 3) or causes
        raise NotThere(
            f"no file failed for the cause {cause!r}",
            f"did you mean: {', '.join(map(repr, near))}" if near else "no file has failed; see objlib-fsm status",
        )
    return chosen


def _refusal(record: FileRecord) -> str:
    if not record.wanted:
        return "it was forgotten; objlib-fsm track brings it back"
    if record.state is State.FAILED or not record.terminal:
        return ""
    if record.state is State.INDEXED:
        return "nothing to try again: it is indexed"
    return f"nothing to try: it is {'left out (' + record.excluded + ')' if record.excluded else 'not on disk'}"
