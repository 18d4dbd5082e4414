"""The service on a TCP port of this machine, with uvicorn."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from objlib_fsm.emulator.app import CONNECTION, create_app
from objlib_fsm.emulator.context import Clock, system_clock
from objlib_fsm.emulator.faults import FaultPlan
from objlib_fsm.emulator.service import open_service
from objlib_fsm.emulator.settings import Settings

LOOPBACK: Final = "127.0.0.1"
"""Only this machine: the service asks for no real key."""

GRACE_S: Final = 1
"""Replies under way at a stop have so long."""

BACKLOG: Final = 2_048

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER, on, for no time: closing sends a TCP reset."""


class ServeError(Exception):
    """The server cannot start; the message says why and what to do."""


class _TcpConnection:
    def __init__(self, protocol: H11Protocol) -> None:
        self._protocol = protocol

    def close(self) -> None:
        self._protocol.transport.close()

    def reset(self) -> None:
        transport = self._protocol.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


class _Protocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, which also lets the application drop the connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inner: ASGIApp = self.app
        extensions = {CONNECTION: _TcpConnection(self)}

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = extensions
            await inner(scope, receive, send)

        self.app = with_connection


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens and returns after a signal."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own would raise the signal again after a clean stop.
        self.force_exit = self.should_exit
        self.should_exit = True


def serve(
    data: str | os.PathLike[str],
    *,
    port: int = 0,
    settings: Settings | None = None,
    faults: FaultPlan | None = None,
    control: bool = False,
    clock: Clock = system_clock,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the database at ``data`` on 127.0.0.1 until SIGINT or SIGTERM; returns after a clean stop.

    ``port`` 0 takes a free one.  ``ready`` is called with the base URL once requests are accepted.  ``control`` opens
    the side channel.  Raises `ServeError` (the port is taken) or `state.StateError` (the database cannot be used).
    """
    with open_service(data, settings, faults=faults, clock=clock) as service, _listen(port) as listener:
        config = uvicorn.Config(
            create_app(service, control=control),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        base_url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"

        def announce() -> None:
            if ready is not None:
                ready(base_url)

        _Server(config, announce).run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ServeError(
            f"cannot listen on {LOOPBACK}:{port}: {error.strerror}. Choose another port, or 0 for a free one."
        ) from error
    return listener
