"""Keys out of texts: whatever the service or a library says may quote one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MESSAGE_CHARS_MAX: Final = 2_000
"""What is kept of a message: enough for any real one, and an HTML page does not fill the log."""

HIDDEN: Final = "[key]"

KEY_CHARS_MIN: Final = 8
"""Real keys have some 40; a placeholder such as "none" is a word, and hiding it would spoil messages."""

_KEYS: Final = re.compile(r"AIza[0-9A-Za-z_-]{20,}|AQ\.[0-9A-Za-z_-]{10,}|(?<=[?&]key=)[^&\s\"']+")
"""Old keys, new keys, and a key in a URL."""


def without(text: str, keys: Iterable[str]) -> str:
    """*text* without these keys; those shorter than `KEY_CHARS_MIN` are words."""
    for key in keys:
        if len(key) >= KEY_CHARS_MIN:
            text = text.replace(key, HIDDEN)
    return text


def redact(text: str, key: str = "") -> str:
    """*text* without *key* and without what looks like one, cut to `MESSAGE_CHARS_MAX`."""
    return _KEYS.sub(HIDDEN, without(text, (key,)))[:MESSAGE_CHARS_MAX]
