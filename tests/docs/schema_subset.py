"""As much of JSON Schema (draft 2020-12) as our schemas use, so that they are tried on real documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

KNOWN: Final = frozenset(
    (
        *("$schema", "$id", "$defs", "$ref", "title", "description", "default"),
        *("type", "enum", "const", "properties", "required", "items", "anyOf", "oneOf", "additionalProperties"),
        *("minimum", "maximum", "minLength", "maxLength", "maxItems"),
    )
)
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def problems(value: Any, schema: dict[str, Any], whole: dict[str, Any], at: str = "$") -> Iterator[str]:
    """What is wrong with *value*.  Raises `KeyError` for a keyword that this does not know."""
    for keyword in schema:
        if keyword not in KNOWN and not keyword.startswith("x-"):
            raise KeyError(keyword)
    if "$ref" in schema:
        yield from problems(value, whole["$defs"][schema["$ref"].removeprefix("#/$defs/")], whole, at)
    if "const" in schema and value != schema["const"]:
        yield f"{at}: is {value!r}, not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not one of {schema['enum']}"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{at}: {value!r} is no {schema['type']}"
        return
    size = value if isinstance(value, int | float) else len(value or ())
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")):
        if not schema.get(low, size) <= size <= schema.get(high, size):
            yield f"{at}: {size} is not {low} {schema.get(low)}, {high} {schema.get(high)}"
    for keyword, most in (("anyOf", len(schema.get("anyOf", ()))), ("oneOf", 1)):
        if keyword in schema:
            tried = [list(problems(value, choice, whole, at)) for choice in schema[keyword]]
            fitting = tried.count([])
            if not 1 <= fitting <= most:
                yield f"{at}: fits {fitting} of {keyword}: {min(tried, key=len)}"
    if isinstance(value, dict):
        yield from _object(value, schema, whole, at)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from problems(item, schema["items"], whole, f"{at}[{index}]")


def _object(value: dict[str, Any], schema: dict[str, Any], whole: dict[str, Any], at: str) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}: {name} is missing"
    known, more = schema.get("properties", {}), schema.get("additionalProperties")
    for name, item in value.items():
        if name in known:
            yield from problems(item, known[name], whole, f"{at}.{name}")
        elif isinstance(more, dict):
            yield from problems(item, more, whole, f"{at}.{name}")
        elif more is False or (more is None and known):
            # The schemas allow what a later version adds; what this version writes must be in them.
            yield f"{at}: {name} is in no schema"


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
