"""``run``: scan, resume, upload until everything is done or due later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

NAME: Final = "run"
SHORT: Final = "Index a folder, and go on where the last run ended."
HELP: Final = """Index a folder: scan it, go on where the last run ended, send what is new, confirm every document.

\b
Examples:
  objlib-fsm run docs/                  index a folder; it is remembered
  objlib-fsm run                        go on, after a crash as well as after a change
  objlib-fsm run docs/ --dry-run        what would be sent, what it costs, how long it takes
  objlib-fsm run --limit 20 --yes       twenty files, without a question
  objlib-fsm run --retry-failed         another attempt at what failed; after three runs a file is parked
  objlib-fsm run --prune --dry-run      which documents of missing or left out files would go
  objlib-fsm run --no-adaptive          never faster than the tier says
  objlib-fsm run --wait                 start when the run that is at work has ended
  objlib-fsm run --json | tail -1 | jq .failed

Without an API key the files go to a local store, and nothing leaves this machine. Ctrl-C lets what is under way end;
a second one stops at once. Nothing is lost by either, by a crash or by a cut line.

Exit codes: 0 all done, 3 files failed, 4 something is due later, 6 key or settings, 10 no such folder or store,
11 another run is at work.
"""

CONCURRENCY, CONCURRENCY_MIN, CONCURRENCY_MAX = 7, 3, 10
POLLS, POLLS_MAX = 20, 100
BATCH_SIZE, BATCH_SIZE_MIN, BATCH_SIZE_MAX = 150, 100, 200
"""The engine's bounds, without loading it; a test holds them together."""


@dataclass(frozen=True)
class Wish:
    """What this run is to do."""

    library: Path | None
    limit: int | None
    yes: bool
    dry_run: bool
    prune: bool = False
    confirm: str | None = None
    retry_failed: bool = False
    wait: bool = False
    redescribe: bool = False


@shared(service=True)
def command(
    inv: Invocation,
    library: Annotated[
        Path | None, typer.Argument(metavar="[LIBRARY]", help="The folder; without it the remembered one.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", min=CONCURRENCY_MIN, max=CONCURRENCY_MAX, help=f"Uploads at once; default {CONCURRENCY}."
        ),
    ] = None,
    polls: Annotated[
        int | None, typer.Option("--polls", min=1, max=POLLS_MAX, help=f"Look-ups at once; default {POLLS}.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            min=BATCH_SIZE_MIN,
            max=BATCH_SIZE_MAX,
            help=f"Files of a batch in the report; default {BATCH_SIZE}.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most N files.")] = None,
    no_adaptive: Annotated[
        bool,
        typer.Option(
            "--no-adaptive", help="Keep to the tier's rate instead of finding what is borne.", show_default=False
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="When another run is at work, wait until it ends.", show_default=False)
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Send files without asking.", show_default=False)] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, and change nothing.", show_default=False)
    ] = False,
    redescribe: Annotated[
        bool,
        typer.Option(
            "--redescribe", help="Read every file; replace what would be described otherwise now.", show_default=False
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed files again, unless parked.", show_default=False)
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete documents of files long missing or left out.", show_default=False),
    ] = False,
    missing_days: Annotated[
        float | None,
        typer.Option("--missing-days", min=0, metavar="DAYS", help="How long is long, for --prune; default 7."),
    ] = None,
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
    """Run."""
    from objlib_fsm.cli.running import carry_out

    inv.give(
        concurrency=concurrency,
        polls=polls,
        batch_size=batch_size,
        adaptive=False if no_adaptive else None,
        missing_days=missing_days,
        max_delete=max_delete,
    )
    wish = Wish(library, limit, yes, dry_run, prune, confirm, retry_failed, wait, redescribe)
    return carry_out(inv, wish)
