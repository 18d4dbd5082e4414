"""``ask``: an answer from the store, with citations that lead to local files."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, WrongUse
from objlib_fsm.cli.options import command as shared

NAME: Final = "ask"
SHORT: Final = "Ask the store, with citations of local files."
HELP: Final = """Ask the store a question. The answer's citations lead to local files.

\b
Examples:
  objlib-fsm ask "How do I undo a run?"
  objlib-fsm ask "What changed in 3.11?" --top-k 10
  objlib-fsm ask "What is virtue?" --where "course=History of Ethics" --where "year>2019"
  objlib-fsm ask "What is virtue?" --filter 'course = "Ethics" AND (year > 2019 OR topics:"virtue")'
  objlib-fsm ask "retry policy" --json | jq -r '.citations[].file'

A value in --where is quoted, whatever is in it; --filter goes to the service as it is.

The model gets no tool but the file search, and what it says is shown as plain text. A citation that the log does not
know is shown as unresolved.
"""

DEFAULT_MODEL: Final = "gemini-2.5-flash"
"""The cheapest model that can search files."""

TOP_K_MAX: Final = 100


@shared(service=True)
def command(
    inv: Invocation,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question.", show_default=False)],
    metadata_filter: Annotated[
        str | None,
        typer.Option("--filter", metavar="EXPRESSION", help="Only documents whose metadata fits, in AIP-160 syntax."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where", metavar="KEY=VALUE", help="Only documents for which this holds; also < <= > >= != and :."
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=1, max=TOP_K_MAX, metavar="N", help="Passages to rest the answer on.")
    ] = None,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The model that answers.")] = DEFAULT_MODEL,
) -> ExitCode:
    """Ask."""
    if not question.strip():
        raise WrongUse("the question is empty", 'for example: objlib-fsm ask "How do I undo a run?"')
    from objlib_fsm.cli.asking import carry_out
    from objlib_fsm.cli.filters import combined

    return carry_out(inv, question, combined(metadata_filter, where or ()), top_k, model)
