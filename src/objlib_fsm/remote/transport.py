"""The HTTP client under the SDK, and what counts as an answer at all.

The SDK reads a 200 without a body, or with ``null``, ``[]`` or an error in it, as an object that has nothing: a
listing then looks complete and empty, a deletion done.  So every answer is looked at before the SDK sees it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from google import genai
from google.genai import types

CALL_TIMEOUT_S: Final = 60.0
"""A call without much of a body: the service answers in a second or two, and its front end gives up after 60 s."""

CONNECTIONS_MAX: Final = 64
"""More than uploads and polls at their highest settings together."""

OFFICIAL_URL: Final = "https://generativelanguage.googleapis.com/"

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

SHOWN_BYTES_MAX: Final = 200
"""What an error message quotes of an answer that is none."""

SDK_VARIABLES: Final = ("GOOGLE_GENAI_HTTP_CLIENT", "GOOGLE_GENAI_CLIENT_MODE")
"""Variables that the SDK obeys whatever its arguments say: another transport, answers out of a recording."""

_OBJECT: Final = re.compile(rb'\s*+\{\s*+(?!"error"\s*:)')
"""A JSON object that does not begin with an error: in files and operations an error comes after the name."""


class NoAnswer(ValueError):
    """A 200 without the JSON object that every call but those of an upload is answered with."""


class AnswerClient(httpx2.AsyncClient):
    """An ``httpx2.AsyncClient`` whose 200s are answers.  Raises `NoAnswer` instead of returning another one.

    ``heard`` is told the headers of each reply.
    """

    heard: Callable[[list[tuple[bytes, bytes]]], None] | None = None

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request and read the answer."""
        response = await super().send(request, **options)
        if self.heard is not None:
            self.heard(response.headers.raw)
        if response.status_code == 200 and "x-goog-upload-command" not in request.headers:
            body = response.content
            if not _OBJECT.match(body):
                shown = body[:SHOWN_BYTES_MAX].decode("utf-8", "replace")
                raise NoAnswer(f"200 without an answer in it: {shown!r}" if body else "200 without a body")
        return response


def make_http(base_url: str, transport: httpx2.AsyncBaseTransport | None) -> AnswerClient:
    """The one HTTP client.  Proxies of the environment hold, except for this machine itself."""
    return AnswerClient(
        transport=transport,
        timeout=httpx2.Timeout(CALL_TIMEOUT_S),
        limits=httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
        trust_env=urlsplit(base_url).hostname not in LOOPBACK,
        follow_redirects=False,
    )


def make_client(api_key: str, base_url: str, http: httpx2.AsyncClient) -> genai.Client:
    """The SDK, pinned: version ``v1``, one attempt a call, every request (an upload's bytes too) through *http*.

    Its synchronous client and its websockets are never used; the stand-ins for them save the certificates from being
    loaded twice more (45 ms).
    """
    options = types.HttpOptions(
        base_url=base_url,
        api_version="v1",
        timeout=round(CALL_TIMEOUT_S * 1000),
        retry_options=types.HttpRetryOptions(attempts=1),
        httpx_async_client=http,
        httpx_client=httpx2.Client(transport=httpx2.MockTransport(_never)),
        async_client_args={"ssl": False},
    )
    with _without(SDK_VARIABLES):
        return genai.Client(vertexai=False, api_key=api_key, http_options=options)


def _never(request: httpx2.Request) -> httpx2.Response:
    raise AssertionError(f"a synchronous request: {request.method} {request.url}")


@contextlib.contextmanager
def _without(variables: tuple[str, ...]) -> Iterator[None]:
    """The environment without these variables, for a block that does not wait."""
    kept = {name: os.environ.pop(name) for name in variables if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
