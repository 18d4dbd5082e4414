"""Where text goes: results to stdout, everything else to stderr, keys nowhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

from objlib_fsm.cli.safe import safe
from objlib_fsm.remote.redact import without

KEY_VARIABLES: Final = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
"""Environment variables that hold a key, the one that wins first."""

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def coloured(stream: TextIO) -> bool:
    """Whether to use colour there: no-color.org, ``TERM=dumb``, terminals only; ``FORCE_COLOR`` wins."""
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


class Console:
    """The process's two streams.

    ``json_mode`` makes `result` the only way to stdout.  ``secrets`` are values that must not appear anywhere.
    ``reader_gone`` is set once stdout cannot be written any more.
    """

    def __init__(self) -> None:
        self.json_mode = False
        self.debug = False
        self.colour = True
        self.secrets = {os.environ.get(name, "").strip() for name in KEY_VARIABLES}
        self.reader_gone = False
        self.above: Callable[[str], None] | None = None
        """While something is drawn on stderr: prints a line above it."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    def out(self, text: str = "") -> None:
        """A line of the result.  What is untrusted in it has passed `safe`."""
        self._write(sys.stdout, text)

    def say(self, text: str = "") -> None:
        """A line that is not the result."""
        if self.above is not None:
            self.above(self.redact(text))
        else:
            self._write(sys.stderr, text)

    def result(self, document: dict[str, Any]) -> None:
        """One JSON document on one line, in ASCII: nothing in it is active on a terminal."""
        self._write(sys.stdout, json.dumps(document))

    def redact(self, text: str) -> str:
        """*text* without keys."""
        return without(text, self.secrets)

    def styled(self, text: str, *names: str, stream: TextIO | None = None) -> str:
        """*text* in colour, if colour is wanted there (stdout when no stream is given)."""
        if not self.colour or not coloured(stream or sys.stdout):
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}\x1b[0m"

    def complain(self, message: str, hint: str = "") -> None:
        """What went wrong, and the next command."""
        head = self.styled("error:", "bold", "red", stream=sys.stderr)
        self.say(f"{head} {safe(message, lines=True)}")
        if hint:
            self.say(f"  {safe(hint, lines=True)}")

    def _write(self, stream: TextIO | None, text: str) -> None:
        if stream is None:
            return  # The process was started without it.
        try:
            stream.write(self.redact(text) + "\n")
            stream.flush()
        except OSError as error:
            # What is still buffered goes nowhere, instead of failing again when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if not isinstance(error, BrokenPipeError):
                raise
            if stream is sys.stdout:
                self.reader_gone = True
