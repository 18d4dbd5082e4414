"""Request bodies: both casings at every depth, unknown keys, types."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.emulator import shapes
from objlib_fsm.emulator.shapes import ANY, BOOL, INT, NUMBER, STRING, parse, snake
from objlib_fsm.emulator.wire import ApiError

SHAPES = {
    "file": shapes.FILE_START,
    "store": shapes.STORE,
    "import": shapes.IMPORT,
    "direct": shapes.DIRECT_START,
    "generate": shapes.GENERATE,
}
LEAVES = {
    STRING: st.text(max_size=5),
    INT: st.integers(-(2**63), 2**63 - 1),
    NUMBER: st.floats(allow_nan=False, allow_infinity=False),
    BOOL: st.booleans(),
    ANY: st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
}


@st.composite
def bodies(draw: st.DrawFn, shape: Any) -> tuple[Any, Any]:
    """A body in mixed casing, and what it must be parsed as."""
    if isinstance(shape, str):
        value = draw(LEAVES[shape])
        return value, value
    if isinstance(shape, list):
        items = draw(st.lists(bodies(shape[0]), max_size=2))
        return [sent for sent, _ in items], [meant for _, meant in items]
    sent, meant = {}, {}
    names = sorted({name for name, _ in shape.values()})
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=4)):
        inner_sent, inner_meant = draw(bodies(shape[name][1]))
        sent[draw(st.sampled_from([name, snake(name)]))] = inner_sent
        if inner_sent is not None:
            meant[name] = inner_meant
    return sent, meant


@settings(deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(SHAPES)))
def test_both_casings_at_every_depth(data: st.DataObject, name: str) -> None:
    sent, meant = data.draw(bodies(SHAPES[name]))
    assert parse(msgspec.json.encode(sent), SHAPES[name], strict=True) == meant


@settings(deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(SHAPES)))
def test_an_unknown_key_anywhere_is_refused_or_dropped(data: st.DataObject, name: str) -> None:
    sent, meant = data.draw(bodies(SHAPES[name]))
    places = list(_known_places(sent, SHAPES[name]))
    data.draw(st.sampled_from(places))["unknownKey"] = 1
    encoded = msgspec.json.encode(sent)
    assert parse(encoded, SHAPES[name], strict=False) == meant
    with pytest.raises(ApiError, match='Unknown name "unknownKey"') as caught:
        parse(encoded, SHAPES[name], strict=True)
    assert caught.value.code == 400
    assert caught.value.details[0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"


def _known_places(value: Any, shape: Any) -> Any:
    if isinstance(shape, list) and isinstance(value, list):
        for item in value:
            yield from _known_places(item, shape[0])
    elif not isinstance(shape, (str, list)) and isinstance(value, dict):
        yield value
        for key in list(value):
            if key in shape:
                yield from _known_places(value[key], shape[key][1])


def test_the_path_of_an_unknown_key_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        parse(b'{"tools": [{"fileSearch": {"nope": 1}}]}', shapes.GENERATE, strict=True)
    assert caught.value.message == (
        "Invalid JSON payload received. Unknown name \"nope\" at 'tools[0].file_search': Cannot find field."
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"fileName": 5}',
        b'{"fileName": ["a"]}',
        b'{"customMetadata": {}}',
        b'{"customMetadata": [5]}',
        b'{"customMetadata": [{"key": "k", "numericValue": "x"}]}',
        b'{"customMetadata": [{"key": "k", "numericValue": true}]}',
        b'{"customMetadata": [{"key": "k", "numericValue": "1e999"}]}',
        b'{"customMetadata": [{"key": "k", "stringListValue": ["a"]}]}',
        b'{"chunkingConfig": {"whiteSpaceConfig": {"maxTokensPerChunk": 1.5}}}',
        b'{"chunkingConfig": {"whiteSpaceConfig": {"maxTokensPerChunk": 1e30}}}',
        b'{"chunkingConfig": "x"}',
        b"[]",
        b"null",
        b"{",
        b'{"fileName": "\xff"}',
    ],
)
def test_wrong_types_are_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse(body, shapes.IMPORT, strict=True)
    assert caught.value.code == 400
    assert caught.value.status == "INVALID_ARGUMENT"


def test_numbers_as_text_and_null_as_absent() -> None:
    body = b'{"chunkingConfig": {"whiteSpaceConfig": {"maxTokensPerChunk": "200", "max_overlap_tokens": 2e1}},'
    body += b' "customMetadata": null}'
    parsed = parse(body, shapes.IMPORT, strict=True)
    assert parsed == {"chunkingConfig": {"whiteSpaceConfig": {"maxTokensPerChunk": 200, "maxOverlapTokens": 20}}}


def test_int64_keeps_every_digit() -> None:
    for sent in (b"9007199254740993", b'"9007199254740993"', b"9223372036854775807", b"-9223372036854775808"):
        parsed = parse(b'{"sizeBytes": ' + sent + b"}", shapes.STORE, strict=True)
        assert parsed == {"sizeBytes": int(sent.strip(b'"'))}
    for sent in (b"9223372036854775808", b'"9223372036854775808"', b'"1_000"', '"\u0663"'.encode(), b"1e400"):
        with pytest.raises(ApiError):
            parse(b'{"sizeBytes": ' + sent + b"}", shapes.STORE, strict=True)


def test_an_empty_body_is_an_empty_message() -> None:
    assert parse(b"", shapes.STORE, strict=True) == {}
    assert parse(b" \n", shapes.STORE, strict=True) == {}
