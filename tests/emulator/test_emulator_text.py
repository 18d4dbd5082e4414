"""Chunks, sentences, markup: properties of the pure part of the index."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.emulator import mime, text

WORDY = st.text(alphabet="ab. \n\t", max_size=300)


@settings(deadline=None)
@given(source=WORDY, tokens=st.integers(1, 20), overlap=st.integers(0, 19))
def test_chunks_cover_every_word_once_and_overlap(source: str, tokens: int, overlap: int) -> None:
    overlap = min(overlap, tokens - 1)
    words = source.split()
    chunks = [chunk.split() for chunk in text.chunks(source, tokens, overlap)]
    assert all(len(chunk) == tokens for chunk in chunks[:-1])
    rebuilt: list[str] = []
    for number, chunk in enumerate(chunks):
        if number:
            assert chunk[:overlap] == rebuilt[len(rebuilt) - overlap :] if overlap else True
            assert len(chunk) > overlap, "a chunk brings something new"
        rebuilt += chunk[overlap if number else 0 :]
    assert rebuilt == words


@settings(deadline=None)
@given(source=WORDY, tokens=st.integers(1, 20))
def test_chunks_are_parts_of_the_text(source: str, tokens: int) -> None:
    assert all(chunk in source and chunk == chunk.strip() for chunk in text.chunks(source, tokens, 0))


def test_a_word_without_end_is_cut() -> None:
    chunks = list(text.chunks("x" * 10_000, 5, 1))
    assert max(len(chunk) for chunk in chunks) == 5 * text.MAX_WORD_CHARS
    assert list(text.chunks("", 5, 1)) == []
    assert list(text.chunks(" \n ", 5, 1)) == []


@settings(deadline=None)
@given(source=st.text(max_size=200))
def test_sentences_lose_only_white_space(source: str) -> None:
    parts = text.sentences(source)
    assert "".join("".join(parts).split()) == "".join(source.split())
    assert all(part == part.strip() and part for part in parts)


def test_sentences() -> None:
    assert text.sentences("One. Two! Three?\n\nFour\n- five\n- six 3.5 e.g.x") == [
        "One.",
        "Two!",
        "Three?",
        "Four",
        "- five",
        "- six 3.5 e.g.x",
    ]


@settings(deadline=None)
@given(data=st.binary(max_size=100))
def test_any_bytes_can_be_decoded(data: bytes) -> None:
    assert isinstance(text.decode(data), str)


def test_decoding() -> None:
    assert text.decode(b"\xef\xbb\xbfbom") == "bom"
    assert text.decode("naïve".encode()) == "naïve"
    assert text.decode("naïve".encode("latin-1")) == "naïve"


@settings(deadline=None)
@given(source=st.text(alphabet="<>/!-abp &;\n'\"", max_size=100))
def test_any_markup_can_be_stripped(source: str) -> None:
    assert isinstance(text.strip_markup(source), str)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("pattern", ["<", "<a ", "<!--", "<script>", "&lt", "\n \n", "<p", "</script"])
def test_hostile_markup_takes_no_time(pattern: str) -> None:
    text.strip_markup(pattern * (200_000 // len(pattern)))


def test_types() -> None:
    assert {"text/markdown", "application/pdf", "text/yaml", "image/png"} <= mime.DOCUMENT_MIME_TYPES
    assert "text/x-yaml" not in mime.DOCUMENT_MIME_TYPES
    assert len(mime.DOCUMENT_MIME_TYPES) == 30 + 156 + 2
    assert mime.bare(" text/plain ; charset=utf-8") == "text/plain"
    assert mime.is_text("application/json")
    assert not mime.is_text("application/pdf")
