"""What goes over the wire: a call as the handlers see it, a reply, the service's error bodies, its timestamps."""

from __future__ import annotations

import enum
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

JSON: Final = "application/json; charset=UTF-8"
TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=UTF-8"

STATUS_OF_CODE: Final = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}

_EPOCH: Final = datetime(1970, 1, 1)
_encode: Final = msgspec.json.Encoder().encode


class Delivery(enum.Enum):
    """How a reply reaches, or fails to reach, the client.  Both transports can do each of them."""

    NORMAL = "normal"
    DROPPED = "dropped"
    """The connection is closed and nothing was sent."""
    RESET = "reset"
    """The connection is reset and nothing was sent."""
    SILENT = "silent"
    """Nothing is ever sent; the connection stays open."""
    HEADERS_ONLY = "headers_only"
    """Status and headers are sent, the body never."""
    TRUNCATED = "truncated"
    """The connection is closed in the middle of the body."""


class Call(msgspec.Struct, gc=False):
    """A request.  ``headers`` has lower-case names; ``origin`` is ``scheme://host:port`` as the client named it.

    ``args`` are the ids in the path, ``query`` the query parameters; the router fills both in.
    """

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes = b""
    origin: str = ""
    version: str = ""
    args: tuple[str, ...] = ()
    query: Mapping[str, str] = {}


class Reply(msgspec.Struct, gc=False):
    """A reply.  ``headers`` does not hold the content type and length."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()
    delivery: Delivery = Delivery.NORMAL


class ApiError(Exception):
    """A refusal; becomes the service's error body.  Whatever the request changed so far is rolled back."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS_OF_CODE[code] if status is None else status
        self.details = details
        self.headers = headers

    def reply(self) -> Reply:
        """The error as a reply.  An empty status is left out, as the upload front end does."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.status:
            error["status"] = self.status
        if self.details:
            error["details"] = list(self.details)
        return json_reply({"error": error}, code=self.code, headers=self.headers)


def json_reply(value: object, *, code: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Reply:
    """A JSON reply as the service prints it: indented by two, with a final newline."""
    if not value:
        return Reply(code, b"{}\n", JSON, headers)
    return Reply(code, msgspec.json.format(_encode(value)) + b"\n", JSON, headers)


def invalid(message: str, *, headers: Sequence[tuple[str, str]] = ()) -> ApiError:
    """400 INVALID_ARGUMENT."""
    return ApiError(400, message, headers=headers)


def precondition(message: str) -> ApiError:
    """400 FAILED_PRECONDITION."""
    return ApiError(400, message, status="FAILED_PRECONDITION")


def forbidden(kind: str, name: str) -> ApiError:
    """403, the service's answer for what is missing, expired or somebody else's."""
    return ApiError(403, f"You do not have permission to access the {kind} {name} or it may not exist.")


def not_found_page(call: Call) -> Reply:
    """The front end's 404 for an unknown path or method: an HTML page."""
    path = call.path.encode("ascii", "backslashreplace").decode().replace("&", "&amp;").replace("<", "&lt;")
    page = (
        "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>Error 404 (Not Found)!!1</title>\n"
        "  <p><b>404.</b> <ins>That\u2019s an error.</ins>\n"
        f"  <p>The requested URL <code>{path}</code> was not found on this server.  "
        "<ins>That\u2019s all we know.</ins>\n"
    )
    return Reply(404, page.encode(), HTML)


def rfc3339(at_us: int) -> str:
    """Microseconds since 1970, UTC, as the service writes times."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat() + "Z"


def drop_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """proto3 JSON: what has its default value is absent."""
    return {key: value for key, value in fields.items() if value not in ("", "0", None, [], 0)}


def listing_start(newest_first: bool) -> int:
    """The row that a listing's first page comes after: beyond the newest, or before the first."""
    return 2**62 if newest_first else 0


def make_page_token(listing: str, after: int) -> str:
    """An opaque token: the listing goes on after this row."""
    return urlsafe_b64encode(f"{listing}\n{after}".encode()).decode().rstrip("=")


def read_page_token(listing: str, token: str) -> int:
    """The row a token stands for.  Raises `ApiError` for a token of another listing or none at all."""
    try:
        name, _, after = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().rpartition("\n")
        if name == listing:
            return int(after)
    except (Base64Error, ValueError):
        pass
    raise invalid("Invalid page token.")


def page_size(query: Mapping[str, str], *, default: int, most: int, clamp: bool) -> int:
    """The page size asked for.  Raises `ApiError` when it is no number, negative, or too large and not clamped."""
    text = query.get("pageSize", "")
    if not text:
        return default
    try:
        size = int(text)
    except ValueError:
        raise invalid(f"Invalid value at 'page_size' (TYPE_INT32), \"{text}\"") from None
    if size < 0:
        raise invalid("page_size must not be negative.")
    if size > most and not clamp:
        raise invalid(f"The page_size must be at most {most}, was {size}.")
    return min(size, most) or default


def truth(text: str) -> bool:
    """A boolean query parameter: the SDK sends ``True``, others ``true`` or ``1``."""
    return text.lower() in ("true", "1")
