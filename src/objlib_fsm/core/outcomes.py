"""What became of a call: six outcomes, and why.

Every answer and every exception of the remote side is one of these six, decided in one table
(``remote/classify.py``).  The engine never looks at a status code.
"""

from __future__ import annotations

import enum

import msgspec


class Outcome(enum.StrEnum):
    """The six things that can become of a call."""

    DONE = "done"
    """The service did it and said so."""
    REJECTED = "rejected"
    """The service refused, and the same call would be refused again."""
    THROTTLED = "throttled"
    """Too fast: nothing was done, repeat after a while."""
    UNAVAILABLE = "unavailable"
    """Nothing was done because of a passing fault: repeat."""
    UNCERTAIN = "uncertain"
    """Perhaps done, perhaps not: look before repeating."""
    HALTED = "halted"
    """No call of this run can succeed (key, permission, quota, storage limit): the run stops, no file changes."""


class Reason(enum.StrEnum):
    """Why, in words that code can compare and a person can read."""

    INVALID_ARGUMENT = "invalid argument"
    UNSUPPORTED_TYPE = "unsupported type"
    TOO_LARGE = "too large"
    NOT_ACTIVE = "raw file not active yet"
    GONE = "gone"
    """404, or 403 where the service uses it for what expired or never existed."""
    EXISTS = "already exists"
    RATE_LIMIT = "rate limit"
    DAILY_QUOTA = "daily quota"
    STORAGE_LIMIT = "storage limit"
    CREATE_FAILED = "transient create failure"
    """400 "Failed to create file.": 2-5 % of uploads, and a plain repeat succeeds."""
    SERVER_ERROR = "server error"
    STILL_WAITING = "still waiting"
    """The service answers, and what was waited for has not happened in the time given to it."""
    NETWORK = "network"
    TIMEOUT = "timeout"
    GARBLED = "unreadable answer"
    CANCELLED = "cancelled"
    BAD_KEY = "key refused"
    FORBIDDEN = "permission denied"
    OTHER = "other"


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call that did not end `Outcome.DONE`.

    ``code`` is the HTTP status (0: none arrived), ``status`` the service's word for it.  ``retry_after_s`` is the
    delay the service asked for, None when it named none.  ``message`` is the service's text with keys redacted.
    """

    outcome: Outcome
    reason: Reason
    message: str = ""
    code: int = 0
    status: str = ""
    retry_after_s: float | None = None
