"""``check``: whether the library is stable, as one exit code."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from objlib_fsm.cli.ask import DEFAULT_MODEL
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

NAME: Final = "check"
SHORT: Final = "Whether log and store are one, for cron."
HELP: Final = """Check that the store holds what the log says, and that it can be found. Nothing is changed.

\b
Examples:
  objlib-fsm check                      list the store, and ask for five files
  objlib-fsm check --sample 20          ask for twenty
  objlib-fsm check --sample 0           ask nothing: no call that costs
  objlib-fsm check --json | jq '.assertions[] | select(.ok | not)'

Each assertion is named and told: the counts are equal, every indexed file is present and ACTIVE, every document of
ours is known, nothing is superfluous, nothing is stuck, a sample of files is found by a question made from their own
words, every citation resolves. An empty store never passes. Made for cron: right after a run, and 4, 24 and 36 hours
later.

While a run or watch is at work, log and store differ by what is under way: that is no verdict, and the exit code is 4.

Exit codes: 0 stable, 4 the service could not be asked or a run is at work, 5 differences, 10 no store.
"""

SAMPLE: Final = 5
"""A question costs some cents a hundred and five seconds: five show a broken index, not a broken file."""

SAMPLE_MAX: Final = 1_000


@shared(service=True)
def command(
    inv: Invocation,
    sample: Annotated[
        int, typer.Option("--sample", min=0, max=SAMPLE_MAX, metavar="N", help="Files to ask for.")
    ] = SAMPLE,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The model that is asked.")] = DEFAULT_MODEL,
) -> ExitCode:
    """Check."""
    from objlib_fsm.cli.checking import carry_out

    return carry_out(inv, sample, model)
