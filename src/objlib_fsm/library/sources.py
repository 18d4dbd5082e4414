"""Where descriptions come from: YAML front matter and sidecar files, read with care into plain values.

Both are written by people and by other programs, so nothing in them is trusted: no alias (a few lines of them unfold
to gigabytes), no tag, no key twice, no deep nesting, and not more than a few kilobytes.  Scalars are read as YAML 1.2
has them: ``no`` is a word, ``08`` a number, ``12:30`` a text, and a date stays the text it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

FRONT_MATTER_BYTES_MAX: Final = 16_384
"""From the file's beginning to the line that ends it; what is longer is no front matter but text between two rules."""

SIDECAR_BYTES_MAX: Final = 65_536
"""A larger one is no description."""

DEPTH_MAX: Final = 8
"""Lists and mappings in each other: more than any description needs, far less than Python's recursion limit."""

VALUES_MAX: Final = 2_000
"""Values in one description, so that one file cannot make the log grow without bound."""

FIELD_SHOWN_CHARS: Final = 60
"""Of a field's name in a message."""

SIDECAR_SUFFIX: Final = b".meta.json"

_FENCED: Final = re.compile(rb"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_UTF8_BOM: Final = b"\xef\xbb\xbf"


class BadMetadata(ValueError):
    """A description that cannot be used.  Says where and which field, for a person; never the value."""

    def __init__(self, where: str, field: str, why: str) -> None:
        super().__init__(f"{where}: {field[:FIELD_SHOWN_CHARS]}: {why}" if field else f"{where}: {why}")


def front_matter(head: bytes) -> Mapping[str, Any]:
    """The mapping at the beginning of a text, given its first bytes; empty when there is none.

    Raises `BadMetadata` when there is one that cannot be read.
    """
    where = "front matter"
    if not head.startswith((b"---", _UTF8_BOM)):
        return {}
    fenced = _FENCED.match(head.removeprefix(_UTF8_BOM)[:FRONT_MATTER_BYTES_MAX])
    if fenced is None:
        return {}
    try:
        text = fenced[1].decode("utf-8")
    except UnicodeDecodeError:
        raise BadMetadata(where, "", "is not UTF-8") from None
    from objlib_fsm.library.yaml_text import read_yaml

    found = read_yaml(text, where)
    return _plain_mapping(where, found) if isinstance(found, dict) else {}


def sidecar(text: bytes, where: str) -> Mapping[str, Any]:
    """What a sidecar file says; *where* is its name.  Raises `BadMetadata`."""
    if len(text) > SIDECAR_BYTES_MAX:
        raise BadMetadata(where, "", f"is larger than {SIDECAR_BYTES_MAX:,} bytes")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            raise BadMetadata(where, next(key for key in keys if keys.count(key) > 1), "is there twice")
        return found

    def no_number(name: str) -> Any:
        raise BadMetadata(where, "", f"{name} is no number")

    try:
        found = json.loads(text.decode("utf-8-sig"), object_pairs_hook=once, parse_constant=no_number)
    except BadMetadata:
        raise
    except UnicodeDecodeError:
        raise BadMetadata(where, "", "is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadMetadata(where, "", f"is not JSON: line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise BadMetadata(where, "", "is nested too deeply, or holds a number that is too long") from None
    if not isinstance(found, dict):
        raise BadMetadata(where, "", "must be one JSON object, {...}")
    return _plain_mapping(where, found)


def _plain_mapping(where: str, found: dict[Any, Any]) -> Mapping[str, Any]:
    """The mapping with nothing in it but text, numbers, truth values, lists and mappings."""
    left = VALUES_MAX

    def plain(field: str, value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise BadMetadata(where, "", f"holds more than {VALUES_MAX:,} values")
        if depth > DEPTH_MAX:
            raise BadMetadata(where, field, f"is nested deeper than {DEPTH_MAX}")
        match value:
            case None | bool():
                return value
            case str():
                return _text(field, value)
            case int():
                if abs(value) > 2**53:
                    raise BadMetadata(where, field, "is a number with too many digits; put it into quotes")
                return value
            case float():
                if not math.isfinite(value):
                    raise BadMetadata(where, field, "is not a finite number")
                return value
            case list():
                return [plain(field, item, depth + 1) for item in value]
            case dict():
                return {_key(field, key): plain(field, item, depth + 1) for key, item in value.items()}
        raise BadMetadata(where, field, "is neither text nor a number, a list or a mapping")

    def _key(field: str, key: Any) -> str:
        if not isinstance(key, str):
            raise BadMetadata(where, field or str(key), "has a key that is not text; put it into quotes")
        return _text(field or key, key)

    def _text(field: str, text: str) -> str:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise BadMetadata(where, field, "holds half a character (a lone surrogate)") from None
        return text

    return {_key("", key): plain(str(key), value, 1) for key, value in found.items()}
