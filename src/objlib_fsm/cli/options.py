"""Options that several commands share, accepted before and after the sub-command.

A command is a function of an `Invocation` and its own options; `command` adds the shared ones to its signature.  What
is given after the sub-command wins over what is given before it; before it, an option that the command has no use for
does no harm.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from objlib_fsm.cli.console import Console
from objlib_fsm.cli.exitcodes import ExitCode

if TYPE_CHECKING:
    from objlib_fsm.cli.layers import Bad, Effective
    from objlib_fsm.cli.settings import Settings

Backend = Literal["auto", "gemini", "local"]
Tier = Literal["free", "tier1", "tier2", "tier3"]

DEFAULT_TIER: Final[Tier] = "tier1"

Db = Annotated[
    Path | None,
    typer.Option(
        "--db",
        metavar="FILE",
        help="The event log. Else $OBJLIB_DB, else the nearest .objlib/log.db upward, else a new one here.",
        rich_help_panel="Shared",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="The project's settings. Else $OBJLIB_CONFIG, else the nearest objlib.toml."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for programs to stdout.", show_default=False)]
Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.", show_default=False)]
NoColour = Annotated[
    bool, typer.Option("--no-color", help="No colour; so do $NO_COLOR and TERM=dumb.", show_default=False)
]
Store = Annotated[
    str | None, typer.Option("--store", metavar="NAME", help="Display name of the store; `objlib` for a new log.")
]
BackendOption = Annotated[
    Backend | None,
    typer.Option(
        "--backend",
        metavar="auto|gemini|local",
        help="gemini needs a key; local keeps everything on this machine; auto is gemini when there is a key.",
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="URL", help="Use the service at this address; also $GOOGLE_GEMINI_BASE_URL."),
]
TierOption = Annotated[
    Tier | None,
    typer.Option(
        "--tier",
        metavar="free|tier1|tier2|tier3",
        help=f"The project's tier, which limits requests per minute; default {DEFAULT_TIER}.",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file", metavar="FILE", help="Read the API key there. Else $GEMINI_API_KEY, else $GOOGLE_API_KEY."
    ),
]

COMMON: Final[dict[str, Any]] = {"db": Db, "config": ConfigFile, "json": Json, "debug": Debug, "no_color": NoColour}
SERVICE: Final[dict[str, Any]] = {
    "store": Store,
    "backend": BackendOption,
    "endpoint": Endpoint,
    "tier": TierOption,
    "api_key_file": KeyFile,
}
_OF_CONSOLE: Final = ("debug", "no_color")
_DEFAULTS: Final[dict[str, Any]] = {"json": False, "debug": False, "no_color": False}


@dataclass
class Invocation:
    """What a command is given beside its own options.

    What can also be set in a file is read from `settings`; the fields are what was given as an option.
    """

    console: Console
    db: Path | None = None
    config: Path | None = None
    json: bool = False
    store: str | None = None
    backend: Backend | None = None
    endpoint: str | None = None
    tier: Tier | None = None
    api_key_file: Path | None = None
    own: dict[str, Any] = field(default_factory=dict)
    """The command's own options that can also be set in a file, by the setting's name."""
    _effective: Effective | None = None

    def give(self, **options: Any) -> None:
        """The command's own options, None for one that was not given: they win over files and environment."""
        self.own |= {name: value for name, value in options.items() if value is not None}

    def effective(self, bad: Bad | None = None) -> Effective:
        """The settings in force, each with its origin; read when first asked for.

        Raises `BadSettings` for one that cannot be used, unless *bad* takes it.
        """
        if self._effective is None:
            from objlib_fsm.cli.layers import load, refuse
            from objlib_fsm.cli.place import log_path

            shared = {"store": self.store, "backend": self.backend, "endpoint": self.endpoint, "tier": self.tier}
            given = {name: value for name, value in shared.items() if value is not None}
            self._effective = load(given | self.own, self.config, log_path(self), bad or refuse)
        return self._effective

    @property
    def settings(self) -> Settings:
        """The settings in force.  Raises `BadSettings`."""
        return self.effective().settings


@dataclass
class Before:
    """What was given before the sub-command."""

    console: Console
    given: dict[str, Any] = field(default_factory=dict)


Command = Callable[..., ExitCode]


class WrongUse(Exception):
    """The command line is wrong in a way that only the command can tell; ``hint`` says how it goes."""

    code = ExitCode.USAGE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotThere(WrongUse):
    """The command line names something that does not exist."""

    code = ExitCode.MISSING


class NotNow(WrongUse):
    """Credentials or settings do not allow it."""

    code = ExitCode.REFUSED


def command(*, service: bool = False) -> Callable[[Command], Callable[..., ExitCode]]:
    """Give a command the shared options; *service* for those that call the service."""
    shared = COMMON | (SERVICE if service else {})

    def decorate(function: Command) -> Callable[..., ExitCode]:
        @functools.wraps(function)
        def wrapper(ctx: typer.Context, **values: Any) -> ExitCode:
            before: Before = ctx.find_root().obj
            given = before.given | _given({name: values.pop(name) for name in shared})
            configure(before.console, given)
            given = {name: value for name, value in given.items() if name in shared and name not in _OF_CONSOLE}
            return function(Invocation(before.console, **given), **values)

        _set_signature(wrapper, function, shared)
        return wrapper

    return decorate


def configure(console: Console, given: dict[str, Any]) -> None:
    """Let the console know what was asked for.

    What it knows already stays: an error in what follows is to be told as was asked for there.
    """
    console.json_mode = console.json_mode or bool(given.get("json"))
    console.debug = console.debug or bool(given.get("debug"))
    console.colour = console.colour and not given.get("no_color")


def callback(function: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
    """Give the program itself, before any sub-command, all shared options."""
    shared = COMMON | SERVICE

    @functools.wraps(function)
    def wrapper(ctx: typer.Context, **values: Any) -> ExitCode:
        before: Before = ctx.find_root().obj
        before.given = _given({name: values.pop(name) for name in shared})
        configure(before.console, before.given)
        return function(ctx, **values)

    _set_signature(wrapper, function, shared)
    return wrapper


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value is not False}


def _set_signature(wrapper: Any, function: Callable[..., Any], shared: dict[str, Any]) -> None:
    own = [
        parameter
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
        if name not in ("inv", "ctx")
    ]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=annotation)
        for name, annotation in shared.items()
    ]
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    wrapper.__signature__ = inspect.Signature([context, *own, *more])
    wrapper.__annotations__ = {p.name: p.annotation for p in (context, *own, *more)}
    del wrapper.__wrapped__
