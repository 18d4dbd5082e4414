"""A question made from a file's own words: what must find the file, if anything does."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from pathlib import Path
from typing import Final

from objlib_fsm.core.paths import BadPath, LibraryPath, to_bytes

READ_BYTES_MAX: Final = 262_144
"""Enough to find telling words; a question is made from the beginning of a longer file."""

WORDS: Final = 12
"""Words of a question: fewer meet other files, more are no question any more."""

WORD_CHARS_MIN: Final = 4
WORD_CHARS_MAX: Final = 40
"""Shorter words tell nothing, longer ones are data."""

_WORD: Final = re.compile(r"[^\W_]+")
_MARKUP: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^<>]*>", re.DOTALL | re.IGNORECASE)


def text_of(root: Path, path: LibraryPath, source_hash: str) -> str | None:
    """The beginning of the file as text; None when it is not text, is not there, or is not what was indexed."""
    try:
        data = (root / os.fsdecode(to_bytes(path))).read_bytes()
    except (OSError, BadPath):
        return None
    if hashlib.sha256(data).hexdigest() != source_hash:
        return None
    try:
        text = data[:READ_BYTES_MAX].decode("utf-8", "ignore" if len(data) > READ_BYTES_MAX else "strict")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def questions(text: str) -> list[str]:
    """Questions that should find the text, the most telling one first; none for a text without words."""
    plain = _MARKUP.sub(" ", text)
    counted = Counter(word.lower() for word in _WORD.findall(plain) if len(word) <= WORD_CHARS_MAX)
    telling = {word: number for word, number in counted.items() if len(word) >= WORD_CHARS_MIN} or counted
    rare = sorted(telling, key=lambda word: (telling[word], -len(word), word))[:WORDS]
    often = sorted(telling, key=lambda word: (-telling[word], -len(word), word))[:WORDS]
    lines = sorted((line.strip() for line in plain.splitlines()), key=len, reverse=True)
    line = " ".join(lines[0].split()[: 2 * WORDS]) if lines else ""
    asked = [" ".join(rare), line, " ".join(often)]
    return [question for question in dict.fromkeys(asked) if _WORD.search(question)]
