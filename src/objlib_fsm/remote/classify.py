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

    ``says`` is searched in the message, the status and the details.  `Outcome.UNCERTAIN` holds for a call that
    writes; one that reads is `Outcome.UNAVAILABLE` then.
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

_KEY_OFF: Final = (
    r"reported as leaked|API[ _](?i:key)|SERVICE_DISABLED|has not been used|CONSUMER_|been suspended|been denied access"
)
"""What the service says of keys and projects that may do nothing: leaked, restricted, suspended, API not enabled."""

FOREIGN: Final = "\n(not an error of the service)"
"""Stands in the searched text of an answer whose body is not the service's ``{"error": {...}}``: a proxy's page, a
login page, a front end that does not know the method.  What it says of files and documents means nothing."""

_SPEAKS_FOR_ITSELF: Final = frozenset((400, 401, 403, 404, 405, 407, 409))
"""Codes that are believed only when the service itself gave them."""

ANSWERS: Final[tuple[Row, ...]] = (
    Row("another's answer", None, re.escape(FOREIGN), Reason.SERVER_ERROR, _U),
    Row("storage limit", 429, r"(?i)storage limit|storage quota", Reason.STORAGE_LIMIT, _H),
    Row("daily quota", 429, r"PerDay", Reason.DAILY_QUOTA, _H),
    Row("throttled", 429, None, Reason.RATE_LIMIT, _T),
    Row("key unknown", 400, r"API_KEY_INVALID|API key not valid|API key expired", Reason.BAD_KEY, _H),
    Row("place not served", 400, r"User location is not supported|free tier is not available", Reason.FORBIDDEN, _H),
    Row("no key", 403, r"unregistered callers", Reason.BAD_KEY, _H),
    Row("key leaked or off", 403, _KEY_OFF, Reason.BAD_KEY, _H),
    Row("unauthenticated", 401, None, Reason.BAD_KEY, _H),
    Row("not yours or gone", 403, None, Reason.FORBIDDEN, _R),
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
    Raised((httpx2.UnsupportedProtocol, httpx2.InvalidURL), Reason.GARBLED, _U),
    Raised((httpx2.TimeoutException, TimeoutError), Reason.TIMEOUT, _X),
    Raised((httpx2.TransportError, OSError), Reason.NETWORK, _X),
    Raised(
        (ValueError, LookupError, TypeError, AttributeError, RecursionError, httpx2.DecodingError), Reason.GARBLED, _X
    ),
)
"""Exceptions.  Before a connection stands nothing can have been done; afterwards everything may have.

Addresses that are none come from the service: it says where the bytes of an upload go, and they were not sent then.
``ValueError`` is `BadName`, ``JSONDecodeError``, pydantic's ``ValidationError``, `NoAnswer` and the SDK's own;
``LookupError`` is ``KeyError`` too.
"""

RETRY_AFTER_MAX_S: Final = 86_400.0
"""No quota has a longer window than a day; a delay beyond it is a mistake."""

STATUS_CHARS_MAX: Final = 100
"""The service's longest word for a failure has some twenty."""

FIELDS_MAX: Final = 5
FIELD_CHARS_MAX: Final = 200
"""What a message shows of the fields that an answer names: a request has some ten, with short paths."""

_HTML: Final = re.compile(r"<html|<!doctype", re.IGNORECASE)
_RETRY_IN: Final = re.compile(r"retry in (\d+(?:\.\d+)?)\s*s", re.IGNORECASE | re.ASCII)
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)s?", re.ASCII)


def classify(error: BaseException, effect: Effect, key: str = "") -> Failure | None:
    """What *error* means for a call with that effect; None for an error that is not the service's or the network's."""
    if isinstance(error, errors.APIError):
        return _answer(error, effect, key)
    raised = raised_of(error)
    if raised is None:
        return None
    message = redact(f"{type(error).__name__}: {error}".removesuffix(": "), key)
    return Failure(_lost(raised.outcome, effect), raised.reason, message)


def row_of(error: errors.APIError) -> Row:
    """The row that decides about an answer."""
    code, body = error.code or 0, error.details
    said = body if isinstance(body, str) else json.dumps(body, default=str)
    text = f"{error.message or ''}\n{error.status or ''}\n{said}"
    if code in _SPEAKS_FOR_ITSELF and not (isinstance(body, dict) and isinstance(body.get("error"), dict)):
        text += FOREIGN
    return next(r for r in ANSWERS if r.code in (None, code) and (r.says is None or re.search(r.says, text)))


def raised_of(error: BaseException) -> Raised | None:
    """The row that decides about an exception, None for one that is not the service's or the network's."""
    return next((raised for raised in EXCEPTIONS if isinstance(error, raised.types)), None)


def _answer(error: errors.APIError, effect: Effect, key: str) -> Failure:
    code, status, body = error.code or 0, str(error.status or ""), error.details
    message, row = str(error.message or ""), row_of(error)
    shown = message if not _HTML.search(message) else f"{status or 'an HTML page'} instead of an answer"
    named = ", ".join(fields_named(body))
    if named and named not in shown:
        shown = f"{shown} (field {named})"
    return Failure(
        _lost(row.outcome, effect),
        row.reason,
        redact(shown or f"HTTP {code} without a message", key),
        code,
        redact(status, key)[:STATUS_CHARS_MAX],
        retry_after_s(message, body, _header(error)) if code == 429 else None,
    )


def _header(error: errors.APIError) -> str:
    """Retry-After, which the service does not send and a proxy may."""
    return str(getattr(error.response, "headers", {}).get("retry-after", ""))


def _lost(outcome: Outcome, effect: Effect) -> Outcome:
    return Outcome.UNAVAILABLE if outcome is Outcome.UNCERTAIN and effect is Effect.READ else outcome


def retry_after_s(message: str, body: Any, header: str = "") -> float | None:
    """The longest delay that was asked for, in RetryInfo, in the message or in a header; None without any."""
    asked = [_SECONDS.fullmatch(str(detail.get("retryDelay", ""))) for detail in _details(body)]
    asked += [_RETRY_IN.search(message), _SECONDS.fullmatch(header)]
    return max((min(float(match[1]), RETRY_AFTER_MAX_S) for match in asked if match), default=None)


def fields_named(body: Any) -> list[str]:
    """The fields of the request that an answer finds fault with, each with what it says of it."""
    found = []
    for detail in _details(body):
        violations = detail.get("fieldViolations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict) and violation.get("field"):
                said = str(violation.get("description") or "")[:FIELD_CHARS_MAX]
                found.append(str(violation["field"])[:FIELD_CHARS_MAX] + (f": {said}" if said else ""))
    return found[:FIELDS_MAX]


def _details(body: Any) -> list[dict[str, Any]]:
    error = body.get("error", body) if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []
