"""The side channel: tests set faults, read the state and move the clock of a server in another process.

::

    GET    /_emulator/state      counts, documents with their metadata, raw files, requests per endpoint, the last ones
    GET    /_emulator/faults     the rules, with how often each matched and fired
    POST   /_emulator/faults     add rules: one object or a list of them, see `faults.Rule`
    DELETE /_emulator/faults     forget all rules
    POST   /_emulator/clock      {"advance_s": seconds}; answers {"now_us": ...}
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from objlib_fsm.emulator.faults import FaultError, Rule
from objlib_fsm.emulator.service import Service

PREFIX: Final = "/_emulator"


class _Advance(msgspec.Struct, forbid_unknown_fields=True):
    advance_s: float


def control_routes(service: Service) -> list[Route]:
    """The routes of the side channel."""

    async def state(_request: Request) -> Response:
        return _json(
            {
                "now_us": service.context.now_us(),
                "counts": service.counts(),
                "documents": service.documents(),
                "files": service.raw_files(),
                "requests": dict(service.requests),
                "log": msgspec.to_builtins(list(service.log)),
            }
        )

    async def faults(request: Request) -> Response:
        if request.method == "DELETE":
            service.faults.clear()
        elif request.method == "POST":
            try:
                wanted = msgspec.json.decode(await request.body(), type=Rule | list[Rule])
                for rule in wanted if isinstance(wanted, list) else [wanted]:
                    service.faults.add(rule)
            except (msgspec.DecodeError, FaultError) as error:
                return _json({"error": str(error)}, 400)
        return _json({"rules": service.faults.report()})

    async def clock(request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.body(), type=_Advance)
        except msgspec.DecodeError as error:
            return _json({"error": str(error)}, 400)
        service.context.advance_clock(round(wanted.advance_s * 1_000_000))
        return _json({"now_us": service.context.now_us()})

    return [
        Route(f"{PREFIX}/state", state, methods=["GET"]),
        Route(f"{PREFIX}/faults", faults, methods=["GET", "POST", "DELETE"]),
        Route(f"{PREFIX}/clock", clock, methods=["POST"]),
    ]


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
