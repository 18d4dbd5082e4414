"""The service as an ASGI application, for uvicorn or any other server.

Handlers and faults are those of the in-process transport; this file reads bodies and delivers replies.  Dropping a
connection needs the server's help: ``serve`` puts a `Connection` into the scope.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import Receive, Scope, Send

from objlib_fsm.emulator.control import control_routes
from objlib_fsm.emulator.service import Service
from objlib_fsm.emulator.wire import Call, Delivery, Reply

CONNECTION: Final = "objlib.connection"
"""The key of the `Connection` in the scope's extensions."""

_COSMETIC: Final = [
    (b"vary", b"Origin"),
    (b"vary", b"X-Origin"),
    (b"vary", b"Referer"),
    (b"server", b"scaffolding on HTTPServer2"),
    (b"x-content-type-options", b"nosniff"),
]
"""Headers of the service that mean nothing to a client; only over a socket."""

_log = logging.getLogger(__name__)


class Connection(Protocol):
    """What a server lets an application do to the connection of a request."""

    def close(self) -> None:
        """Send what was written, then close."""

    def reset(self) -> None:
        """Close at once, with a TCP reset."""


def create_app(service: Service, *, control: bool = False) -> Starlette:
    """The ASGI application of a service.

    ``control`` adds the side channel below ``/_emulator`` (faults, state, clock), which the real service has not and
    which asks for no key: for tests only.
    """
    routes: list[BaseRoute] = list(control_routes(service)) if control else []
    routes.append(Mount("/", app=_Wire(service)))
    return Starlette(routes=routes)


class _Wire:
    """The emulated protocol, everything below /."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        service = self._service
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        call = Call(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            headers,
            origin=f"{scope['scheme']}://{_host(scope, headers)}",
        )
        admission = service.admit(call)
        body = await self._read(receive, service.drain_bytes_per_s(admission))
        if body is None:
            service.abandoned()
            return
        call.body = body
        await _deliver(scope, receive, send, await service.respond_drained(call, admission))

    async def _read(self, receive: Receive, bytes_per_s: float | None) -> bytes | None:
        """The body; None when the client left before its end.  One byte too much is enough to know it is too large."""
        most = self._service.settings.max_body_bytes
        parts = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            part = message.get("body", b"")
            size += len(part)
            parts.append(part)
            if bytes_per_s is not None and part:
                await self._service.sleep(len(part) / bytes_per_s)
            if size > most or not message.get("more_body", False):
                return b"".join(parts)


def _host(scope: Scope, headers: dict[str, str]) -> str:
    if headers.get("host"):
        return headers["host"]
    server = scope.get("server") or ("127.0.0.1", None)
    return f"{server[0]}:{server[1]}" if server[1] else str(server[0])


async def _deliver(scope: Scope, receive: Receive, send: Send, reply: Reply) -> None:
    delivery = reply.delivery
    connection: Connection | None = scope.get("extensions", {}).get(CONNECTION)
    if delivery in (Delivery.DROPPED, Delivery.RESET):
        _connection(connection).close() if delivery is Delivery.DROPPED else _connection(connection).reset()
    elif delivery is not Delivery.SILENT:
        await send({"type": "http.response.start", "status": reply.status, "headers": _raw_headers(reply)})
        if delivery is Delivery.NORMAL:
            await send({"type": "http.response.body", "body": reply.body})
            return
        if delivery is Delivery.TRUNCATED:
            half = reply.body[: len(reply.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            _connection(connection).close()
    # The connection is gone, or stays silent for as long as the client likes.
    while (await receive())["type"] != "http.disconnect":
        pass


def _connection(connection: Connection | None) -> Connection:
    if connection is None:
        raise RuntimeError("this server offers no way to drop a connection; use objlib_fsm.emulator.serve")
    return connection


def _raw_headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", reply.content_type.encode("latin-1")),
        (b"content-length", b"%d" % len(reply.body)),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers),
        *_COSMETIC,
    ]
