"""Filters on metadata, in the syntax of AIP-160, with values that cannot break out of their quotes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from objlib_fsm.cli.options import WrongUse

FILTER_CHARS_MAX: Final = 20_000
"""Longer than anybody writes; the service's own limit is not documented."""

_CLAUSE: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(<=|>=|!=|=|<|>|:)(.*)", re.DOTALL)
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_HINT: Final = "for example: --where 'course=History of Ethics' --where 'year>2019' --where topics:virtue"


def clause(text: str) -> str:
    """One condition from ``KEY=VALUE`` as a person types it: numbers bare, everything else quoted.

    Raises `WrongUse` for what is no condition.
    """
    match = _CLAUSE.fullmatch(text)
    if match is None:
        raise WrongUse(f"--where {text!r} is no condition", _HINT)
    key, operator, value = match[1], match[2], match[3].strip()
    if not value:
        raise WrongUse(f"--where {text!r} has no value", _HINT)
    return f"{key} {operator} {value if _NUMBER.fullmatch(value) else quoted(value)}"


def quoted(value: str) -> str:
    """The text as a value of a filter.  Raises `WrongUse` for control characters, which no metadata of ours has."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise WrongUse(f"{value!r} has a control character in it", _HINT)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def combined(filter_text: str | None, where: Sequence[str]) -> str | None:
    """The filter for the service: what was written, and all conditions.  Raises `WrongUse`."""
    conditions = [clause(text) for text in where]
    if filter_text is not None and filter_text.strip():
        _check(filter_text)
        conditions.insert(0, f"({filter_text})" if conditions else filter_text)
    whole = " AND ".join(conditions)
    if len(whole) > FILTER_CHARS_MAX:
        raise WrongUse(f"the filter has more than {FILTER_CHARS_MAX:,} characters", _HINT)
    return whole or None


def _check(text: str) -> None:
    """Refuse what no reader of this syntax takes: a quote or a parenthesis that is not closed."""
    depth, quote, at = 0, "", 0
    while at < len(text):
        character = text[at]
        if quote:
            if character == "\\":
                at += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
            if depth < 0:
                raise WrongUse(f"--filter: the parenthesis at character {at + 1} closes nothing", _HINT)
        at += 1
    if quote:
        raise WrongUse(
            f"--filter: a quote ({quote}) is not closed", f"a value with quotes in it is safer in --where; {_HINT}"
        )
    if depth:
        raise WrongUse("--filter: a parenthesis is not closed", _HINT)
