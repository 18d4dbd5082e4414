"""Keys out of texts: whatever the service or a library says may quote one."""

from __future__ import annotations

import re
from typing import Final

MESSAGE_CHARS_MAX: Final = 2_000
"""What is kept of a message: enough for any real one, and an HTML page does not fill the log."""

HIDDEN: Final = "[key]"

KEY_CHARS_MIN: Final = 8
"""Real keys have some 40; a placeholder such as "none" is a word, and hiding it would spoil messages."""

_KEYS: Final = re.compile(r"AIza[0-9A-Za-z_-]{20,}|AQ\.[0-9A-Za-z_-]{10,}|(?<=[?&]key=)[^&\s\"']+")
"""Old keys, new keys, and a key in a URL."""


def redact(text: str, key: str = "") -> str:
    """*text* without *key* and without what looks like one, cut to `MESSAGE_CHARS_MAX`."""
    if len(key) >= KEY_CHARS_MIN:
        text = text.replace(key, HIDDEN)
    return _KEYS.sub(HIDDEN, text)[:MESSAGE_CHARS_MAX]
