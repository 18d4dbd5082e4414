"""Answer or exception to outcome: one table, and nothing else looks at a status code.

What escapes the SDK was found by running it (3.4) against a server that misbehaves: its own ``APIError``, the
transport's errors, the builtin ``TimeoutError``, and what breaks while an answer is read (``JSONDecodeError``,
``KeyError``, ``ValueError``, pydantic's ``ValidationError``).  A code alone decides little: 400 is permanent for a
bad argument and transient for "Failed to create file.", 403 is what an expired raw file answers.

The first row that fits decides.
"""

from __future__ import annotations

import enum
import json
import re
from typing import Any, Final, NamedTuple

import httpx2
from google.genai import errors

from objlib_fsm.core.ids import BadName
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.remote.redact import redact


class Effect(enum.Enum):
    """What a call may have done when its answer was lost."""

    READ = "read"
    """Nothing."""
    WRITE = "write"
    """Perhaps everything."""


class Row(NamedTuple):
    """What fits, and what it means.  None fits anything.

    ``says`` is searched in the message, the status and the details.  ``lost`` is the outcome for a call that writes;
    a call that reads is `Outcome.UNAVAILABLE` then.
    """

    name: str
    code: int | None
    says: str | None
    reason: Reason
    outcome: Outcome


_R, _T, _U, _X, _H = (
    Outcome.REJECTED,
    Outcome.THROTTLED,
    Outcome.UNAVAILABLE,
    Outcome.UNCERTAIN,
    Outcome.HALTED,
)

ANSWERS: Final[tuple[Row, ...]] = (
    Row("storage limit", 429, r"storage limit|storage quota", Reason.STORAGE_LIMIT, _H),
    Row("daily quota", 429, r"PerDay", Reason.DAILY_QUOTA, _H),
    Row("throttled", 429, None, Reason.RATE_LIMIT, _T),
    Row("key unknown", 400, r"API_KEY_INVALID|API key not valid|API key expired", Reason.BAD_KEY, _H),
    Row("place not served", 400, r"User location is not supported", Reason.FORBIDDEN, _H),
    Row("no key", 403, r"unregistered callers", Reason.BAD_KEY, _H),
    Row("key leaked or off", 403, r"reported as leaked|API key|SERVICE_DISABLED|has not been used", Reason.BAD_KEY, _H),
    Row("unauthenticated", 401, None, Reason.BAD_KEY, _H),
    Row("not yours or gone", 403, None, Reason.FORBIDDEN, _R),
    Row("method gone", 404, r"<html|<!DOCTYPE", Reason.SERVER_ERROR, _U),
    Row("not there", 404, None, Reason.GONE, _R),
    Row("id taken", 409, None, Reason.EXISTS, _R),
    Row("create failed", 400, r"Failed to create file", Reason.CREATE_FAILED, _U),
    Row("not active", 400, r"not in an ACTIVE state", Reason.NOT_ACTIVE, _U),
    Row("session over", 400, r"already been terminated", Reason.OTHER, _X),
    Row("type", 400, r"[Uu]nsupported MIME", Reason.UNSUPPORTED_TYPE, _R),
    Row("argument", 400, None, Reason.INVALID_ARGUMENT, _R),
    Row("too large", 413, None, Reason.TOO_LARGE, _R),
    Row("server timeout", 408, None, Reason.TIMEOUT, _X),
    Row("cancelled", 499, None, Reason.CANCELLED, _X),
    Row("internal", 500, None, Reason.SERVER_ERROR, _U),
    Row("unavailable", 503, None, Reason.SERVER_ERROR, _U),
    Row("gateway", 502, None, Reason.SERVER_ERROR, _X),
    Row("gateway timeout", 504, None, Reason.SERVER_ERROR, _X),
    Row("any other answer", None, None, Reason.GARBLED, _X),
)
"""HTTP answers.  500 and 503 count as "nothing was done": if that is wrong the file's documents are listed before the
run ends and the extra one is deleted."""


class Raised(NamedTuple):
    """An exception that is no answer, and what it means."""

    types: tuple[type[BaseException], ...]
    reason: Reason
    outcome: Outcome


EXCEPTIONS: Final[tuple[Raised, ...]] = (
    Raised((httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError), Reason.NETWORK, _U),
    Raised((httpx2.UnsupportedProtocol, httpx2.InvalidURL), Reason.INVALID_ARGUMENT, _H),
    Raised((httpx2.TimeoutException, TimeoutError), Reason.TIMEOUT, _X),
    Raised((httpx2.TransportError, ConnectionError, EOFError), Reason.NETWORK, _X),
    Raised((OSError,), Reason.NETWORK, _X),
    Raised(
        (json.JSONDecodeError, KeyError, IndexError, BadName, ValueError, TypeError, AttributeError), Reason.GARBLED, _X
    ),
)
"""Exceptions.  Before a connection stands nothing can have been done; afterwards everything may have."""

_RETRY_IN: Final = re.compile(r"retry in ([0-9.]+)\s*s", re.IGNORECASE)
_SECONDS: Final = re.compile(r"([0-9.]+)s")


def classify(error: BaseException, effect: Effect, key: str = "") -> Failure | None:
    """What *error* means for a call with that effect; None for an error that is not the service's or the network's."""
    if isinstance(error, errors.APIError):
        return _answer(error, effect, key)
    for raised in EXCEPTIONS:
        if isinstance(error, raised.types):
            message = redact(f"{type(error).__name__}: {error}".removesuffix(": "), key)
            return Failure(_lost(raised.outcome, effect), raised.reason, message)
    return None


def _answer(error: errors.APIError, effect: Effect, key: str) -> Failure:
    code, status, body = error.code or 0, str(error.status or ""), error.details
    message = str(error.message or "")
    text = f"{message}\n{status}\n{body if isinstance(body, str) else json.dumps(body, default=str)}"
    row = next(r for r in ANSWERS if r.code in (None, code) and (r.says is None or re.search(r.says, text)))
    shown = message if "<html" not in message else f"{status or 'an HTML page'} instead of an answer"
    return Failure(
        _lost(row.outcome, effect),
        row.reason,
        redact(shown or f"HTTP {code} without a message", key),
        code,
        status,
        retry_after_s(message, body) if code == 429 else None,
    )


def _lost(outcome: Outcome, effect: Effect) -> Outcome:
    return Outcome.UNAVAILABLE if outcome is Outcome.UNCERTAIN and effect is Effect.READ else outcome


def retry_after_s(message: str, body: Any) -> float | None:
    """The delay that the service asked for: RetryInfo, else the number in the message; there is no header."""
    found: list[float] = []
    for detail in _details(body):
        match = _SECONDS.fullmatch(str(detail.get("retryDelay", "")))
        if match:
            found.append(float(match[1]))
    match = _RETRY_IN.search(message)
    if match:
        found.append(float(match[1].rstrip(".")))
    return max(found, default=None)


def _details(body: Any) -> list[dict[str, Any]]:
    error = body.get("error", body) if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []
