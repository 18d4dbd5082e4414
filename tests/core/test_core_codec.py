"""Events as they are stored, and read again after years."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.core import events as e
from objlib_fsm.core.codec import CODEC, Codec, UnreadableEvent, Upcast
from objlib_fsm.core.events import EVENT_TYPES
from objlib_fsm.core.table import Kind
from tests.core.stored_bodies import EXAMPLES, STORED, body_of
from tests.core.strategies import any_event


@pytest.mark.parametrize(("event", "written"), STORED, ids=[event.kind.label for event, _ in STORED])
def test_stored_bodies_are_written_and_read_as_ever(event: e.Event, written: str) -> None:
    assert CODEC.encode(event) == body_of(written)
    assert CODEC.decode(event.kind, 1, body_of(written)) == event


def test_there_is_a_stored_body_of_each_kind() -> None:
    assert set(EXAMPLES) == set(Kind)


def test_every_struct_has_one_kind_and_one_place() -> None:
    assert {cls.kind for cls in EVENT_TYPES.values()} == set(Kind)
    assert all(EVENT_TYPES[kind].kind is kind for kind in Kind)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.label)
@settings(max_examples=15)
@given(data=st.data())
def test_every_event_comes_back_as_it_went(kind: Kind, data: st.DataObject) -> None:
    event = data.draw(any_event(EVENT_TYPES[kind]))
    body = CODEC.encode(event)
    assert CODEC.decode(kind, type(event).schema, body) == event
    assert msgspec.json.decode(body) == msgspec.json.decode(body.decode()), "it is JSON text"


@pytest.mark.parametrize(
    ("kind", "schema", "body", "message"),
    [
        (63, 1, b"{}", "event kind 63 is unknown: the log was written by a newer program"),
        (-1, 1, b"{}", "event kind -1 is unknown: the log was written by a newer program"),
        (4, 2, b"{}", "file_vanished has schema version 2, this program reads up to 1: the log was written by a newer"),
        (4, 0, b"{}", "file_vanished has schema version 0, this program reads up to 1"),
        (4, 1, b"", "the body of a file_vanished event cannot be read: "),
        (4, 1, b"{", "the body of a file_vanished event cannot be read: "),
        (4, 1, b"\xff\xfe", "the body of a file_vanished event cannot be read: "),
        (41, 1, b"{}", "the body of a raw_absent event cannot be read: .*missing required field `raw`"),
        (41, 1, b'{"raw":7}', r"the body of a raw_absent event cannot be read: .*\$\.raw"),
        (41, 1, b'{"raw":"\xff"}', "the body of a raw_absent event cannot be read: "),
    ],
)
def test_what_cannot_be_read_says_what_and_why(kind: int, schema: int, body: bytes, message: str) -> None:
    with pytest.raises(UnreadableEvent, match=message):
        CODEC.decode(kind, schema, body)


@settings(max_examples=300)
@given(kind=st.integers(-1, 130), schema=st.integers(-1, 3), body=st.binary(max_size=40))
def test_no_bytes_make_it_fail_in_another_way(kind: int, schema: int, body: bytes) -> None:
    with contextlib.suppress(UnreadableEvent):
        CODEC.decode(kind, schema, body)


# ---- the upcast chain, proved before it is needed --------------------------------------------------------------------


class Renamed(e.Event, frozen=True, omit_defaults=True):
    """Version 1 had ``name``, version 2 ``names``, version 3 counts them."""

    kind = Kind.FILE_MOVED
    schema: ClassVar[int] = 3
    names: tuple[str, ...]
    count: int


def one_to_two(fields: dict[str, Any]) -> dict[str, Any]:
    return {"names": [fields["name"]]}


def two_to_three(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "count": len(fields["names"])}


STEPS: dict[tuple[Kind, int], Upcast] = {(Kind.FILE_MOVED, 1): one_to_two, (Kind.FILE_MOVED, 2): two_to_three}
CHAIN = Codec({Kind.FILE_MOVED: Renamed}, STEPS)


@pytest.mark.parametrize(
    ("schema", "body", "event"),
    [
        (1, b'{"name":"a"}', Renamed(("a",), 1)),
        (2, b'{"names":["a","b"]}', Renamed(("a", "b"), 2)),
        (3, b'{"names":["a","b"],"count":5}', Renamed(("a", "b"), 5)),
    ],
)
def test_old_bodies_are_read_through_the_chain(schema: int, body: bytes, event: Renamed) -> None:
    assert CHAIN.decode(Kind.FILE_MOVED, schema, body) == event


@pytest.mark.parametrize(
    ("schema", "body", "message"),
    [
        (4, b"{}", "file_moved has schema version 4, this program reads up to 3"),
        (0, b"{}", "file_moved has schema version 0"),
        (1, b'{"nom":"a"}', "the body of a file_moved event of schema version 1 cannot be read: KeyError"),
        (2, b'{"names":7}', "the body of a file_moved event of schema version 2 cannot be read: TypeError"),
        (1, b"[]", "the body of a file_moved event cannot be read: "),
        (1, b'{"name":7}', "the body of a file_moved event cannot be read: .*names"),
    ],
)
def test_a_damaged_old_body_is_no_other_error(schema: int, body: bytes, message: str) -> None:
    with pytest.raises(UnreadableEvent, match=message):
        CHAIN.decode(Kind.FILE_MOVED, schema, body)


def test_a_chain_with_a_missing_step_is_refused_at_once() -> None:
    with pytest.raises(AssertionError, match=r"file_moved: no step from schema version \[2\]"):
        Codec({Kind.FILE_MOVED: Renamed}, {(Kind.FILE_MOVED, 1): one_to_two})


def test_a_new_field_with_a_default_needs_no_new_version() -> None:
    class Longer(e.Event, frozen=True, omit_defaults=True):
        kind = Kind.FILE_MOVED
        path: str
        note: str = ""

    longer = Codec({Kind.FILE_MOVED: Longer}, {})
    assert longer.decode(Kind.FILE_MOVED, 1, b'{"path":"a"}') == Longer("a")
    assert longer.encode(Longer("a")) == b'{"path":"a"}'
    assert longer.decode(Kind.FILE_MOVED, 1, b'{"path":"a","from_the_future":1}') == Longer("a")
