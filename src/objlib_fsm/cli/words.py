"""Events and effects in words."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from objlib_fsm.cli.render import clock, due, size
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import TRANSITIONS, Kind, State
from objlib_fsm.library.values import KEPT

_WHY: Final = {(row.source.label, row.event): row.why for row in TRANSITIONS}
_DULL: Final = frozenset(("taken_at_us", "inode", "device", "mtime_ns", "attempt"))
"""Fields that say nothing to a person."""


class Upcoming(NamedTuple):
    """What happens next; ``at_us`` when that is not at once."""

    text: str
    at_us: int | None


def why(before: str, kind: Kind) -> str:
    """The table's line for the event in that state."""
    return _WHY.get((before, kind), "")


def next_in_words(record: FileRecord, now_us: int) -> Upcoming:
    """What the file needs next at *now_us*."""
    effect = fx.next_effect(record, now_us)
    if effect is None:
        return Upcoming(_at_rest(record), None)
    if isinstance(effect, fx.Wait):
        after = fx.next_effect(record, effect.until_us)
        text = f"nothing before {due(effect.until_us, now_us)}, then: {_doing(after)}"
        return Upcoming(text, effect.until_us)
    return Upcoming(f"the next run: {_doing(effect)}", None)


def _at_rest(record: FileRecord) -> str:
    if record.state is State.FAILED:
        times = f", {record.failures} times in a row" if record.failures > 1 else ""
        return f"nothing by itself: given up ({record.cause or 'no cause recorded'}{times})"
    if record.state is State.INDEXED:
        gone = "" if record.here else f"; the file is {_away(record)}, its document stays until a prune"
        return f"nothing: its document is in the store{gone}"
    if not record.wanted:
        return "nothing: it was forgotten"
    if record.pruned:
        return "nothing until it is on disk again and not left out: it was pruned"
    if not record.present:
        return "nothing until it is on disk again"
    if record.excluded:
        return f"nothing: left out ({record.excluded}){'; mend it and run again' if record.excluded in KEPT else ''}"
    return "nothing"


def _away(record: FileRecord) -> str:
    return f"left out now ({record.excluded})" if record.present else "not on disk any more"


def _doing(effect: fx.Effect | None) -> str:
    match effect:
        case fx.Upload(_, generation):
            return "upload its bytes" + (f" (generation {generation})" if generation else "")
        case fx.LookUpRaw(raw):
            return f"look whether {raw} is in the store, because it is not known what became of its upload"
        case fx.AwaitActive(raw):
            return f"ask for {raw} until it is ACTIVE"
        case fx.ImportRaw(raw):
            return f"import {raw} into the store"
        case fx.Poll(operation):
            return f"ask for the operation {operation}"
        case fx.LookUpDocument(document):
            return f"look up the document {document}"
        case fx.ListDocuments():
            return "look for its documents in a complete listing of the store"
        case fx.DeleteDocument(document, reason):
            return f"delete the document {document} ({reason})"
        case fx.DeleteRaw(raw, reason):
            return f"delete {raw} ({reason})"
        case _:
            return "nothing"


def evidence_in_words(event: e.Event) -> list[str]:
    """What the event recorded, a line for each thing."""
    lines = []
    for name, value in msgspec.to_builtins(event).items():
        if name in _DULL or value in ("", None, [], 0):
            continue
        lines.append(f"{_label(name)}: {_shown(name, value)}")
    return lines


def _label(name: str) -> str:
    """A field's name without its unit: the value is shown with one."""
    return name.removesuffix("_at_us").removesuffix("_bytes").replace("_", " ")


def _shown(name: str, value: Any) -> str:
    if name.endswith("_at_us"):
        return clock(value)
    if name.endswith("_bytes"):
        return size(value)
    if isinstance(value, dict):
        return ", ".join(f"{_label(key)} {_shown(key, inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_shown("", inner) for inner in value)
    return str(value)
