"""The program: its commands, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer
from typer.main import get_command

from objlib_fsm.cli import (
    adopt,
    ask,
    audit,
    backup,
    check,
    config,
    doctor,
    emulator,
    forget,
    replay,
    reset,
    retry,
    run,
    scan,
    status,
    store,
    storesync,
    track,
    watch,
)
from objlib_fsm.cli.console import Console
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Before, callback
from objlib_fsm.cli.parsing import HELP_NAMES, lighten
from objlib_fsm.cli.problems import explain

PROGRAM: Final = "objlib-fsm"

_HELP: Final = """Index a folder in a Gemini File Search store, reliably, and be able to prove it.

\b
Examples:
  objlib-fsm run docs/                     index a folder (local store when there is no API key)
  objlib-fsm ask "How do I undo a run?"    ask the store, with citations
  objlib-fsm status                        what is where, what is due when
  objlib-fsm audit docs/guide.md           why one file is in its state
  objlib-fsm replay --check                prove that the state follows from the events
"""

_EPILOG: Final = "Every command has --help with examples. Exit codes: 0 done, 3 files failed, 4 run again later."

app = typer.Typer(
    name=PROGRAM,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP_NAMES)},
)


@app.callback(invoke_without_command=True, help=_HELP, epilog=_EPILOG)
@callback
def program(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show versions of the program and of what it rests on.")
    ] = False,
) -> ExitCode:
    """Everything before the sub-command."""
    if version:
        from objlib_fsm.cli.version import show_version

        show_version(ctx.find_root().obj.console)
        raise typer.Exit(ExitCode.OK)
    if ctx.invoked_subcommand is None:
        ctx.find_root().obj.console.say(ctx.get_help())
        raise typer.Exit(ExitCode.USAGE)
    return ExitCode.OK


_ON_FILES = (run, watch, scan, status, audit, retry, reset, forget, track)
_ON_THE_WHOLE = (replay, backup, doctor, storesync, check, store, ask, adopt, config, emulator)

for module in _ON_FILES + _ON_THE_WHOLE:
    app.command(module.NAME, help=module.HELP, short_help=module.SHORT)(module.command)


def main() -> None:
    """The entry point.  Does not return."""
    sys.exit(int(run_program(sys.argv[1:])))


def run_program(arguments: list[str]) -> ExitCode | int:
    """Run one command line; the exit code."""
    console = Console()
    console.json_mode = "--json" in arguments
    console.debug = "--debug" in arguments
    console.colour = "--no-color" not in arguments
    try:
        program_command = get_command(app)
        lighten(program_command)
        code = program_command.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=Before(console))
    except KeyboardInterrupt:
        console.say("stopped")
        return ExitCode.INTERRUPTED
    except BaseException as error:
        return explain(console, error)
    if console.reader_gone:
        return ExitCode.READER_GONE
    return ExitCode.OK if code is None else int(code)
