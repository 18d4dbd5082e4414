"""``config show``: the settings in force, and where each comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.options import command as shared

if TYPE_CHECKING:
    from objlib_fsm.cli.layers import BadSettings, Effective

NAME: Final = "config"
SHORT: Final = "Show the settings, and where each comes from."
HELP: Final = """Show the settings in force, as a settings file would have them.

\b
Examples:
  objlib-fsm config show                 every setting
  objlib-fsm config show --origin        and where it comes from
  objlib-fsm config show > objlib.toml   a file to start from
  objlib-fsm config show --json | jq '.settings[] | select(.origin != "default")'

An option wins over an environment variable (OBJLIB_ and the key in capitals), that over the project's objlib.toml,
that over the user's config.toml, that over the default. The project's file is --config FILE, else $OBJLIB_CONFIG, else
the nearest objlib.toml from the current folder upward, else the one beside the folder of the log.

Exit codes: 0 all settings are right, 6 some are not: the error follows the others.
"""


@shared(service=True)
def command(
    inv: Invocation,
    action: Annotated[Literal["show"], typer.Argument(metavar="show", help="Show the settings.")],
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.", show_default=False)
    ] = False,
) -> ExitCode:
    """Show them, and what cannot be used after what can."""
    bad: list[BadSettings] = []
    effective = inv.effective(bad.append)
    if inv.json:
        _emit(inv, effective)
    else:
        _show(inv, effective, origin)
    for error in bad[:-1]:
        inv.console.complain(str(error), error.hint)
    if bad:
        raise bad[-1]
    return ExitCode.OK


def _emit(inv: Invocation, effective: Effective) -> None:
    from objlib_fsm.cli import messages
    from objlib_fsm.cli.layers import KEYS

    shown = [
        messages.Setting(key=name, value=_value(effective, name), origin=origin.layer, source=origin.source)
        for name, origin in effective.origins.items()
        if name in KEYS
    ]
    files = {layer: str(path) for layer, path in effective.files.items()}
    inv.console.result(messages.document(messages.Config(settings=shown, files=files)))


def _show(inv: Invocation, effective: Effective, with_origin: bool) -> None:
    from objlib_fsm.cli.layers import KEYS
    from objlib_fsm.cli.safe import safe

    out, table = inv.console.out, ""
    for name, origin in effective.origins.items():
        above, _, last = name.rpartition(".")
        if above != table:
            table = above
            out()
            out(f"[{table}]")
        value = _value(effective, name)
        line = f"# {last} is not set" if value is None else f"{last} = {_toml(value)}"
        if value is None and not with_origin:
            line += f": {KEYS[name].meaning[:1].lower()}{KEYS[name].meaning[1:]}"
        if with_origin and value is not None:
            line = f"{line:<40}  # {origin.layer}{': ' if origin.source else ''}{origin.source}"
        out(safe(line))
    if with_origin:
        out()
        for layer, path in effective.files.items():
            out(safe(f"# the {layer}'s file: {path}"))


def _value(effective: Effective, name: str) -> Any:
    import msgspec

    value: Any = effective.settings
    for part in name.split("."):
        value = getattr(value, part)
    return msgspec.to_builtins(value)


def _toml(value: Any) -> str:
    """A value as TOML has it; JSON's strings, numbers and truth values are the same there."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
