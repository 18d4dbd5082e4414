"""``backup``: a copy of the log that was proved before it got its name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, NotThere, WrongUse
from objlib_fsm.cli.options import command as shared

NAME: Final = "backup"
SHORT: Final = "Copy the log, and prove the copy."
HELP: Final = """Copy the log, also while a run is at work, and prove the copy.

Every page, every link of the chain and the state folded anew are checked; only then the copy gets its name. A file
that is there is never written over.

\b
Examples:
  objlib-fsm backup                          to .objlib/backups/, named by the time
  objlib-fsm backup /mnt/safe/               into that folder, named by the time
  objlib-fsm backup /mnt/safe/library.db     to that file
  objlib-fsm backup --json | jq .position

The copy is a log: `objlib-fsm --db COPY status` reads it. How to restore one: docs/how-to/back-up-and-restore.md.

Exit codes: 2 there is a file of that name, 6 it cannot be written (folder, disk full), 7 the log is damaged, 10 there
is no log, or no such folder.
"""

FOLDER: Final = "backups"


@shared()
def command(
    inv: Invocation,
    dest: Annotated[
        Path | None, typer.Argument(metavar="[DEST]", help="A new file, or a folder; else backups/ beside the log.")
    ] = None,
) -> ExitCode:
    """Back up."""
    from objlib_fsm.cli.place import log_path
    from objlib_fsm.log.backup import BackupExists, back_up
    from objlib_fsm.log.sqlite import open_for_reading, shut

    log = log_path(inv)
    shut(open_for_reading(log))  # No log, no folder for its backups.
    to = _destination(log, dest)
    try:
        made = back_up(log, to)
    except BackupExists:
        raise WrongUse(f"{to}: there is a file of this name", "choose another name, or name a folder") from None
    if inv.json:
        from objlib_fsm.cli.messages import BackedUp, document

        inv.console.result(
            document(
                BackedUp(
                    log=str(log),
                    file=str(made.path),
                    position=made.position,
                    files=made.files,
                    digest=made.digest,
                    hash=made.hash,
                    size_bytes=made.size_bytes,
                )
            )
        )
    else:
        from objlib_fsm.cli.render import count
        from objlib_fsm.cli.safe import safe

        inv.console.out(f"{safe(str(made.path))}: {count(made.position, 'event')}, {count(made.files, 'file')}, proved")
    return ExitCode.OK


def _destination(log: Path, dest: Path | None) -> Path:
    """The new file's place.  Raises `NotThere`."""
    from datetime import UTC, datetime

    from objlib_fsm.log.sqlite import FOLDER_MODE

    name = f"{log.stem}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.db"
    if dest is None:
        folder = log.parent / FOLDER
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        return folder / name
    if dest.is_dir():
        return dest / name
    if not dest.parent.is_dir():
        raise NotThere(f"{dest.parent}: there is no such folder", "make it first, or choose another place")
    return dest
