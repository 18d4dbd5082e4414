"""The reference of the emulator: its settings, its faults, its side channel."""

from __future__ import annotations

import inspect
import textwrap
from types import ModuleType

import msgspec

from generator.text import attribute_docs, prose, table
from generator.text import page as make_page
from objlib_fsm.emulator import control, faults, profiles, settings


def page() -> str:
    """The page."""
    rules = [(field.name, _shown(field), told) for field, told in _documented(faults, faults.Rule)]
    catalogue = [
        (
            name,
            fault.what.replace("`", ""),
            ", ".join(f"`{mode}`" for mode in fault.modes if mode),
            ", ".join(f"`{endpoint}`" for endpoint in fault.endpoints),
        )
        for name, fault in faults.CATALOGUE.items()
    ]
    return make_page(
        "Emulator",
        "A server on this machine that speaks the wire protocol of the Gemini Files and File Search API: "
        "[`objlib-fsm emulator`](cli.md#emulator). It is also the local store of `run` and `ask` when there is no API "
        "key. How near it is to the service is in [the local store](../explanation/local-store.md).",
        "## Settings",
        prose(settings.__doc__),
        "`objlib-fsm emulator` runs with the defaults, with those of a profile (below), or with those of a JSON file "
        "(`--settings`). A program in Python passes others to `objlib_fsm.emulator.serve.serve` or "
        "`objlib_fsm.emulator.inprocess.local_service`.",
        table(
            ("Setting", "Default", "Meaning"),
            [(f"`{field.name}`", _shown(field), told) for field, told in _documented(settings, settings.Settings)],
        ),
        "### Latencies",
        prose(settings.Latencies.__doc__) + " " + prose(settings.Latency.__doc__) + " All are 0 by default.",
        table(
            ("Latency", "From and to"),
            [(f"`{field.name}`", told) for field, told in _documented(settings, settings.Latencies)],
        ),
        "### The profile `measured`",
        (inspect.getdoc(profiles) or "").replace("``", "`"),
        "## Faults",
        "A rule names a fault and the requests it is for. Of the requests that it matches it fires on the `nth` and "
        "those after it, or on each with a probability, at most `count` times. The first rule that fires wins. The "
        "first mode of a fault is its default.",
        table(("Fault", "What happens", "Modes", "Requests"), catalogue),
        "### A rule",
        prose(faults.Rule.__doc__)
        + " The schema is [emulator-fault-rule.json](../../schemas/emulator-fault-rule.json).",
        table(("Field", "Default", "Meaning"), [(f"`{name}`", default, told) for name, default, told in rules]),
        "## Side channel",
        "Open only with `objlib-fsm emulator --control`, for tests.",
        f"```text\n{_code_block(control.__doc__)}\n```",
    )


def _documented(module: ModuleType, struct: type[msgspec.Struct]) -> list[tuple[msgspec.structs.FieldInfo, str]]:
    told = attribute_docs(module, struct.__name__)
    return [(field, told[field.name]) for field in msgspec.structs.fields(struct)]


def _shown(field: msgspec.structs.FieldInfo) -> str:
    if field.default is msgspec.NODEFAULT:
        return "required"
    value = field.default
    if isinstance(value, frozenset):
        return f"{len(value)} types" if value else "none"
    if isinstance(value, msgspec.Struct):
        return "see below"
    if isinstance(value, float) and value >= settings.DAY_S:
        return f"{value / settings.DAY_S:g} days"
    return f"`{value:,}`" if isinstance(value, int) and not isinstance(value, bool) else f"`{value!r}`"


def _code_block(docstring: str | None) -> str:
    block = inspect.cleandoc(docstring or "").partition("::\n")[2]
    return textwrap.dedent(block).strip("\n")
