"""Text of documents: decoding, markup, chunks, sentences.  Pure functions."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterator
from typing import Final

# What is opened and never closed reaches to the end, as in a browser; no pattern looks at the same text twice, so that
# hostile input costs no more than any other.
_UNSEEN: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|template)\b.*?(?:</\1\s*>|\Z)|<[!?][^<>]*>", re.DOTALL | re.IGNORECASE
)
_BLOCK: Final = re.compile(
    r"</?(?:p|div|br|hr|li|ul|ol|dl|dt|dd|tr|table|section|article|h[1-6]|pre|blockquote|title|head|body)\b[^<>]*>",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"<[/A-Za-z][^<>]*>")
_BLANKS: Final = re.compile(r"[^\S\n]+")
_LINES: Final = re.compile(r"\s*\n\s*\n\s*")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n(?=\s*[-*#>|]\s)")

MAX_WORD_CHARS: Final = 400
"""A longer run without white space (base64, minified code) counts as several words, so that chunks stay small."""


def decode(data: bytes) -> str:
    """UTF-8, with or without a byte order mark, else Latin-1, in which everything is valid."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def strip_markup(source: str) -> str:
    """The readable part of HTML or XML: no tags, scripts or comments; entities resolved; blocks on their own lines."""
    out = _UNSEEN.sub(" ", source)
    out = _BLOCK.sub("\n\n", out)
    out = html.unescape(_TAG.sub("", out))
    out = _BLANKS.sub(" ", out)
    return _LINES.sub("\n\n", out).strip()


def chunks(source: str, tokens: int, overlap: int) -> Iterator[str]:
    """Pieces of at most ``tokens`` words, each beginning with the last ``overlap`` words of the one before.

    Pieces are parts of the text as it is, white space included.
    """
    chunk, step = _words(tokens), _words(tokens - overlap)
    start = len(source) - len(source.lstrip())
    while start < len(source):
        end = _end(chunk, source, start)
        yield source[start:end].rstrip()
        if end == len(source):
            return
        start = _end(step, source, start)


@functools.lru_cache(maxsize=16)
def _words(count: int) -> re.Pattern[str]:
    """So many words at most, with the white space behind each: the loop over words runs in the regex engine."""
    return re.compile(rf"(?:\S{{1,{MAX_WORD_CHARS}}}\s*){{1,{count}}}")


def _end(words: re.Pattern[str], source: str, start: int) -> int:
    match = words.match(source, start)
    return len(source) if match is None else match.end()


def sentences(source: str) -> list[str]:
    """The sentences of a piece of text, in order, each without white space at its ends."""
    return [stripped for part in _SENTENCE.split(source) if (stripped := part.strip())]
