"""Paths as text: nothing lost, nothing ambiguous, nothing outside the library."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objlib_fsm.core.paths import BadPath, LibraryPath, from_bytes, to_bytes

PARTS = st.binary(min_size=1, max_size=40).filter(lambda b: b"/" not in b and b"\0" not in b and b not in (b".", b".."))
TRICKY = st.lists(
    st.sampled_from(
        [b"\\", b"x", b"4", b"1", b"\xff", b"\xc3", b"\xa9", b"\xe2\x82\xac", b"\xed\xa0\x80", b"e\xcc\x81"]
    ),
    min_size=1,
    max_size=12,
).map(b"".join)
PATHS = st.lists(PARTS | TRICKY, min_size=1, max_size=6).map(b"/".join)


@given(PATHS)
def test_bytes_come_back_from_text_that_any_json_reader_takes(raw: bytes) -> None:
    path = from_bytes(raw)
    assert to_bytes(path) == raw
    assert json.loads(json.dumps(path).encode("utf-8")) == path
    path.encode("utf-8")


@given(PATHS, PATHS)
def test_different_bytes_are_different_text(first: bytes, second: bytes) -> None:
    assert (from_bytes(first) == from_bytes(second)) == (first == second)


@given(st.text(max_size=30))
def test_text_from_outside_is_refused_or_names_exactly_one_file(text: str) -> None:
    try:
        raw = to_bytes(LibraryPath(text))
    except BadPath:
        return
    assert from_bytes(raw) == text


def test_the_written_form() -> None:
    assert from_bytes("docs/Überblick €.md".encode()) == "docs/Überblick €.md"
    assert from_bytes(b"caf\xe9.txt") == r"caf\xe9.txt"
    assert from_bytes(rb"a\b.txt") == r"a\\b.txt"
    assert from_bytes(b"new\nline\x1b") == "new\nline\x1b"


def test_composed_and_decomposed_spellings_stay_two() -> None:
    assert from_bytes("é".encode()) != from_bytes("e\u0301".encode())


@pytest.mark.parametrize(
    "raw", [b"", b"/", b"/etc/passwd", b"..", b"../x", b"a/../b", b"a/..", b".", b"./a", b"a//b", b"a/", b"a\0b"]
)
def test_what_is_not_a_plain_relative_path_is_refused(raw: bytes) -> None:
    with pytest.raises(BadPath):
        from_bytes(raw)
    with pytest.raises(BadPath):
        to_bytes(LibraryPath(os.fsdecode(raw)))


@pytest.mark.parametrize("text", [r"\x41", r"\xC3", r"\xc3\xa9", "a\\", r"\q", "a\udce9b", r"a\x2fb", r"\x2e\x2e/a"])
def test_a_second_spelling_of_a_path_is_refused(text: str) -> None:
    with pytest.raises(BadPath):
        to_bytes(LibraryPath(text))
