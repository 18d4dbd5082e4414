r"""The one function that untrusted text passes on its way to a terminal.

File names, messages of the service and answers of a model may hold escape sequences that retitle a window, direction
marks that reverse a name, or characters that nobody sees.  They are shown as ``\xNN`` or ``\uNNNN`` instead.  (rich
strips none of these.)
"""

from __future__ import annotations

import unicodedata
from typing import Final

_HIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Controls, format characters (direction marks, zero width, tags), lone surrogates, line and paragraph separators."""

_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and a symbol by category, and nothing to see."""


def safe(text: str, *, lines: bool = False) -> str:
    """*text* with everything invisible or active made visible; *lines* keeps line feeds and tabs."""
    if text.isascii() and text.isprintable():
        return text
    keep = "\n\t" if lines else ""
    return "".join(character if character in keep else _shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN and character not in _BLANK_LETTERS:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
