"""Our mark on a document: three short ids in its metadata, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from objlib_fsm.remote.port import Identity

LIBRARY_KEY: Final = "objlib_library"
STREAM_KEY: Final = "objlib_stream"
PAYLOAD_KEY: Final = "objlib_payload"

Value = str | float | Sequence[str]


def entries(metadata: Mapping[str, Value]) -> list[dict[str, Any]]:
    """The metadata in the wire's form: strings, numbers and lists of strings each have a field of their own."""
    return [{"key": key, **_value(value)} for key, value in metadata.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"string_value": value}
    if isinstance(value, int | float):
        return {"numeric_value": value}
    return {"string_list_value": {"values": list(value)}}


def identity_of(metadata: Iterable[Any] | None) -> Identity | None:
    """The identity in a document's metadata, None when it has none of ours."""
    found = {entry.key: entry.string_value for entry in metadata or ()}
    library, stream, payload = found.get(LIBRARY_KEY), found.get(STREAM_KEY), found.get(PAYLOAD_KEY)
    return Identity(library, stream, payload) if library and stream and payload else None
