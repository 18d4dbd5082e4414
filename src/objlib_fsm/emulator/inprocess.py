"""The service in this process: an httpx2 transport, and what owns it.

A request that needs no waiting is answered within one step of the event loop: it is done, wholly, or it was not
begun, so a client that gives up cannot undo part of it.  One that waits runs in the service's own task group, where
the client's cancellation does not reach it.  (httpx2's own ASGI transport cancels the server with the client and
ignores timeouts.)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Final

import anyio
import anyio.abc
import anyio.lowlevel
import httpx2

from objlib_fsm.emulator.context import Clock, system_clock
from objlib_fsm.emulator.faults import FaultPlan
from objlib_fsm.emulator.service import Admission, Service, Sleep, open_service
from objlib_fsm.emulator.settings import Settings
from objlib_fsm.emulator.wire import Call, Delivery, Reply

BASE_URL: Final = "http://objlib.localhost"
"""The name under which a client reaches the service in its own process; nothing listens there."""


class InProcessTransport(httpx2.AsyncBaseTransport):
    """Requests of an ``httpx2.AsyncClient`` go to the service without a socket; read timeouts hold."""

    def __init__(self, service: Service, tasks: anyio.abc.TaskGroup) -> None:
        self._service = service
        self._tasks = tasks
        self._closed = False

    def stop(self) -> None:
        """Refuse all further requests: the service is gone."""
        self._closed = True

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises what httpx2 raises over a socket: ReadTimeout, RemoteProtocolError, ReadError, ConnectError."""
        if self._closed:
            raise httpx2.ConnectError("All connection attempts failed", request=request)
        body = await request.aread()
        await anyio.lowlevel.checkpoint()
        call = _call(request, body)
        service = self._service
        admission = service.admit(call)
        if admission.waits:
            reply = await self._respond_apart(request, call, admission)
            if reply.delivery is not Delivery.NORMAL:
                return await _misdeliver(request, reply)
        else:
            reply = service.process(call, admission)
            await anyio.lowlevel.checkpoint()
        return httpx2.Response(reply.status, headers=_headers(reply), content=reply.body, request=request)

    async def _respond_apart(self, request: httpx2.Request, call: Call, admission: Admission) -> Reply:
        answered = anyio.Event()
        replies: list[Reply] = []

        async def respond() -> None:
            replies.append(await self._service.respond(call, admission))
            answered.set()

        self._tasks.start_soon(respond)
        with anyio.move_on_after(_read_timeout_s(request)):
            await answered.wait()
        if not replies:
            raise httpx2.ReadTimeout("The read operation timed out", request=request)
        return replies[0]


def _call(request: httpx2.Request, body: bytes) -> Call:
    url = request.url
    return Call(
        request.method,
        url.path,
        url.query.decode("ascii"),
        {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw},
        body,
        f"{url.scheme}://{url.netloc.decode('ascii')}",
    )


def _headers(reply: Reply) -> list[tuple[str, str]]:
    return [("Content-Type", reply.content_type), *reply.headers]


def _read_timeout_s(request: httpx2.Request) -> float | None:
    timeout: float | None = request.extensions.get("timeout", {}).get("read")
    return timeout


async def _misdeliver(request: httpx2.Request, reply: Reply) -> httpx2.Response:
    match reply.delivery:
        case Delivery.DROPPED:
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        case Delivery.RESET:
            raise httpx2.ReadError("[Errno 104] Connection reset by peer", request=request)
        case Delivery.SILENT:
            await _hang(request)
        case _:
            pass
    headers = [*_headers(reply), ("Content-Length", str(len(reply.body)))]
    return httpx2.Response(reply.status, headers=headers, stream=_BrokenBody(request, reply), request=request)


async def _hang(request: httpx2.Request) -> None:
    with anyio.move_on_after(_read_timeout_s(request)):
        await anyio.sleep_forever()
    raise httpx2.ReadTimeout("The read operation timed out", request=request)


class _BrokenBody(httpx2.AsyncByteStream):
    """A body that never comes, or ends in the middle."""

    def __init__(self, request: httpx2.Request, reply: Reply) -> None:
        self._request = request
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._reply.delivery is Delivery.HEADERS_ONLY:
            await _hang(self._request)
        body = self._reply.body
        half = body[: len(body) // 2]
        yield half
        raise httpx2.RemoteProtocolError(
            "peer closed connection without sending complete message body "
            f"(received {len(half)} bytes, expected {len(body)})",
            request=self._request,
        )


class LocalService:
    """The service in this process: ``transport`` for an ``httpx2.AsyncClient``, ``base_url`` for the SDK."""

    def __init__(self, service: Service, transport: InProcessTransport) -> None:
        self.service = service
        self.transport = transport
        self.base_url = BASE_URL

    def client(self, *, timeout_s: float | None = None) -> httpx2.AsyncClient:
        """A client of its own for the service."""
        return httpx2.AsyncClient(transport=self.transport, base_url=self.base_url, timeout=timeout_s)


@contextlib.asynccontextmanager
async def local_service(
    path: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    faults: FaultPlan | None = None,
    clock: Clock = system_clock,
    sleep: Sleep = anyio.sleep,
) -> AsyncIterator[LocalService]:
    """The service over the database at ``path``, for the duration of the block; see `open_service` for the arguments.

    At its end requests still under way are abandoned, as when a server is killed: each is wholly done or not at all.
    """
    with open_service(path, settings, faults=faults, clock=clock, sleep=sleep) as service:
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            transport = InProcessTransport(service, tasks)
            try:
                yield LocalService(service, transport)
            except Exception as error:
                # The block's own error passes as it is, not in the task group's ExceptionGroup.
                failure = error
            finally:
                transport.stop()
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
