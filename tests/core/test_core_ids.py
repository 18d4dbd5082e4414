"""Names: made in one way, and refused when they have not the form of their kind."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objlib_fsm.core import ids
from objlib_fsm.core.ids import BadName, LibraryId, StoreName, StreamId

STORE = StoreName("fileSearchStores/s-1")
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)


@pytest.mark.parametrize(
    ("make", "good", "bad"),
    [
        (ids.store_name, ["fileSearchStores/s-1"], ["", "s-1", "fileSearchStores/", "fileSearchStores/a/b", "a b"]),
        (ids.raw_file_name, ["files/a-1"], ["", "a-1", "files/", "files/a/b", "files/a b", "file/a"]),
        (
            ids.operation_name,
            ["fileSearchStores/s/operations/o", "fileSearchStores/s/upload/operations/o"],
            ["", "operations/o", "fileSearchStores/s/operations/", "fileSearchStores/s/documents/o"],
        ),
    ],
)
def test_names_are_taken_whole_or_refused(make: Callable[[str], str], good: list[str], bad: list[str]) -> None:
    for name in good:
        assert make(name) == name
    for name in bad:
        with pytest.raises(BadName, match=re.escape(repr(name))):
            make(name)


def test_a_document_is_known_by_its_full_name_whichever_form_the_service_used() -> None:
    full = "fileSearchStores/s-1/documents/d-1"
    assert ids.document_name(STORE, "d-1") == full
    assert ids.document_name(STORE, full) == full


@pytest.mark.parametrize("text", ["", "fileSearchStores/other/documents/d", "fileSearchStores/s-1/documents/", "a/b"])
def test_what_is_no_document_of_the_store_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        ids.document_name(STORE, text)


@given(payload=HASHES, generation=st.integers(0, 50))
def test_a_raw_file_has_one_name_that_the_service_accepts(payload: str, generation: int) -> None:
    library, stream = LibraryId("l"), StreamId("s")
    name = ids.raw_file_for(library, stream, payload, generation)
    assert ids.raw_file_name(name) == name
    assert re.fullmatch(r"files/[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", name)
    assert name == ids.raw_file_for(library, stream, payload, generation)
    others = {
        ids.raw_file_for(LibraryId("m"), stream, payload, generation),
        ids.raw_file_for(library, StreamId("t"), payload, generation),
        ids.raw_file_for(library, stream, payload, generation + 1),
        ids.raw_file_for(library, stream, payload[::-1] + "0", generation),
    }
    assert len(others) == 4
    assert name not in others


def test_names_are_the_same_for_ever() -> None:
    """What is in logs and in stores: a change would lose every document."""
    name = ids.raw_file_for(LibraryId("l"), StreamId("s"), "ab" * 32, 1)
    assert name == "files/obj-uxqxvhm4pqxdfbxa5e64qul2yln4layw"
    assert ids.payload_id("ab" * 32) == "ab" * 10
    assert ids.payload_id("") == ""


@given(payload=HASHES)
def test_payload_ids_are_short_and_plain(payload: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{20}", ids.payload_id(payload))


def test_short_ids_carry_all_their_bits() -> None:
    assert ids.short_id(b"\xff" * 10) == "7" * 16
    assert len({ids.short_id(bytes([n]) * 10) for n in range(256)}) == 256


@given(times=st.lists(st.integers(0, 2**47 * 1_000), min_size=2, max_size=5).map(sorted))
def test_event_ids_are_of_one_form_and_in_the_order_of_their_time(times: list[int]) -> None:
    made = [ids.new_event_id(lambda count: b"\xab" * count, now_us) for now_us in times]
    assert all(re.fullmatch(r"[0-9a-f]{32}", event_id) for event_id in made)
    assert made == sorted(made)
    assert ids.new_event_id(bytes) == "0" * 32
