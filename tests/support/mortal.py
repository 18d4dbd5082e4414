"""A simulated process that can be killed: first its log and its connections fail, then it is cancelled.

So nothing that the engine shields from cancellation, an append or the release of the lease, saves what ``kill -9``
would lose.  What the service was already asked to do it still does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
import httpx2

from objlib_fsm.core import events as e
from objlib_fsm.core.table import Family, Kind
from objlib_fsm.emulator.router import route
from objlib_fsm.emulator.wire import Call
from objlib_fsm.log.contract import Append
from objlib_fsm.log.lease import Process

PID_BASE: Final = 1 << 22
"""Linux gives no process a pid from here on, so a killed one is seen to be dead."""

HANDED_OVER_S: Final = 0.001
"""A request is with the service so soon; its answer takes longer wherever the settings name a latency."""

MUTATING: Final = {
    "stores.create": "create store",
    "files.upload.start": "start upload",
    "files.upload.finalize": "upload",
    "stores.import": "import",
    "documents.delete": "delete document",
    "files.delete": "delete raw",
}
"""The emulator's endpoints behind the calls that change something."""

_BEGINS: Final = {
    Kind.STORE_CREATE_INTENDED: "create store",
    Kind.UPLOAD_INTENDED: "upload",
    Kind.IMPORT_INTENDED: "import",
    Kind.DOCUMENT_DELETE_INTENDED: "delete document",
    Kind.RAW_DELETE_INTENDED: "delete raw",
}
_ENDS: Final = {
    Kind.STORE_CREATE_ENDED: "create store",
    Kind.UPLOAD_DONE: "upload",
    Kind.IMPORT_ACCEPTED: "import",
    Kind.DOCUMENT_DELETED: "delete document",
    Kind.RAW_DELETED: "delete raw",
}

Moment = tuple[str, str]
"""A point and the call it belongs to: ``("after intent", "import")``.  Requests that change nothing have points too,
and appends without an intent or an outcome have those of ``"other"``."""

Verdict = Callable[[Moment], bool]
"""Whether the process dies at this moment."""


class Killed(Exception):
    """What a dead process meets at everything it still tries."""


def immortal(moment: Moment) -> bool:
    """A verdict: never."""
    return False


def at(point: str, call: str, nth: int = 1) -> Verdict:
    """A verdict: the *nth* time that *call* reaches *point*."""
    left = nth

    def verdict(moment: Moment) -> bool:
        nonlocal left
        left -= moment == (point, call)
        return left == 0

    return verdict


def at_step(nth: int) -> Verdict:
    """A verdict: the *nth* moment of all."""
    left = nth

    def verdict(moment: Moment) -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return verdict


class Life:
    """One simulated process, from its start to its end."""

    def __init__(self, number: int, verdict: Verdict = immortal) -> None:
        self.process = Process("simulation", PID_BASE + number, 1, "simulated boot")
        self.scope = anyio.CancelScope()
        self.dead = False
        self.died_at: Moment | None = None
        self.verdict = verdict

    def kill(self, moment: Moment = ("at a time", "")) -> None:
        """It dies now."""
        if not self.dead:
            self.dead, self.died_at = True, moment
            self.scope.cancel()

    def reach(self, point: str, call: str) -> None:
        """The process is at this point.  Raises `Killed` when it dies there, or is dead."""
        if not self.dead and self.verdict((point, call)):
            self.kill((point, call))
        self.check()

    def check(self) -> None:
        """Raises `Killed` when it is dead."""
        if self.dead:
            raise Killed(str(self.died_at))

    async def run_sync(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The engine's `RunSync`, inline; a commit of the log has points before and after it."""
        self.check()
        if getattr(function, "__name__", "") != "commit":
            return function(*arguments)
        begins, ends = _calls_in(arguments[0])
        for call in begins:
            self.reach("before intent", call)
        for call in ends:
            self.reach("before commit", call)
        result = function(*arguments)
        for call in begins:
            self.reach("after intent", call)
        for call in ends:
            self.reach("after commit", call)
        return result


def _calls_in(appends: Sequence[Append]) -> tuple[list[str], list[str]]:
    """The calls whose intents, and whose outcomes, are about to be written."""
    begins, ends = [], []
    for append in appends:
        for new in append.events:
            kind = new.event.kind
            if kind.family is Family.INTENT or kind is Kind.STORE_CREATE_INTENDED:
                begins.append(_BEGINS[kind])
            elif isinstance(new.event, e.CallFailed | e.CallRejected | e.CallUncertain):
                ends.append("other")
            else:
                ends.append(_ENDS.get(kind, "other"))
    return begins, ends


class MortalTransport(httpx2.AsyncBaseTransport):
    """A process's connections to the service; they end with it, what was sent goes on."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, life: Life) -> None:
        self._inner = inner
        self._life = life

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises `Killed` besides what the service's transport raises."""
        life = self._life
        life.check()
        call = _call_of(request)
        if life.verdict(("sent", call)):
            with anyio.move_on_after(HANDED_OVER_S):
                await self._inner.handle_async_request(request)
            life.kill(("sent", call))
            life.check()
        response = await self._inner.handle_async_request(request)
        life.reach("answered", call)
        return response


def _call_of(request: httpx2.Request) -> str:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw}
    url = request.url
    endpoint = route(Call(request.method, url.path, url.query.decode("ascii"), headers, b"", ""))
    name = "unknown" if endpoint is None else endpoint.name
    return MUTATING.get(name, name)
