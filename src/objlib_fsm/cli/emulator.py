"""``emulator``: the local store for any program, on a port of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, NotNow, WrongUse
from objlib_fsm.cli.options import command as shared
from objlib_fsm.cli.place import EMULATOR, log_path

NAME: Final = "emulator"
SHORT: Final = "Serve a local store to other programs."
HELP: Final = """Serve the wire protocol of the Gemini Files and File Search API from a file on this machine.

\b
Examples:
  objlib-fsm emulator --port 8080                       until Ctrl-C; the address is printed
  objlib-fsm emulator --port 0 --data /tmp/store.db     on a free port
  objlib-fsm emulator --profile measured                as slow and unreliable as the service was seen to be
  objlib-fsm emulator --settings slow.json              as slow or as odd as the file says
  GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8080 GEMINI_API_KEY=any python your_program.py

Any key is accepted, and only this machine can connect. What is uploaded stays in the data file, which a kill does not
harm. `objlib-fsm run` needs no emulator: without a key it has one inside.
"""

DEFAULT_PORT: Final = 8080


@shared()
def command(
    inv: Invocation,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, metavar="N", help="The port; 0 takes a free one.")
    ] = DEFAULT_PORT,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="Its data; else emulator.db beside the log.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Ready-made settings: instant (the default) or measured."),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE", help="JSON with the settings of docs/reference/emulator.md."),
    ] = None,
    control: Annotated[
        bool,
        typer.Option("--control", help="Open a side channel for tests below /_emulator.", show_default=False),
    ] = False,
) -> ExitCode:
    """Serve until a signal."""
    import msgspec

    from objlib_fsm.emulator.profiles import PROFILES
    from objlib_fsm.emulator.serve import ServeError, serve
    from objlib_fsm.emulator.settings import Settings

    file = data if data is not None else log_path(inv).with_name(EMULATOR)

    chosen = Settings()
    if profile is not None:
        if settings is not None:
            raise WrongUse("--profile and --settings both say how the emulator behaves", "leave out one of them")
        if profile not in PROFILES:
            raise WrongUse(f"--profile {profile}: there is no such profile", f"name one of: {', '.join(PROFILES)}")
        chosen = PROFILES[profile]
    if settings is not None:
        try:
            chosen = msgspec.json.decode(settings.read_bytes(), type=Settings)
        except (OSError, msgspec.MsgspecError) as error:
            raise WrongUse(
                f"{settings}: not the settings of an emulator: {error}", "see docs/reference/emulator.md"
            ) from error

    def ready(url: str) -> None:
        if inv.json:
            inv.console.result({"type": "listening", "schema": 1, "url": url, "data": str(file)})
        else:
            inv.console.out(url)
        inv.console.say(f"GOOGLE_GEMINI_BASE_URL={url} GEMINI_API_KEY=any leads a program here; Ctrl-C ends")

    try:
        serve(file, port=port, settings=chosen, control=control, ready=ready)
    except ServeError as error:
        raise NotNow(str(error)) from error
    return ExitCode.OK
