"""The service behind both transports: a request in, a reply out.

The handlers are synchronous: what a request does to the database happens at one instant of the event loop and in one
transaction.  What takes time (latencies, slow bodies, late replies) is waited for before and after.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import anyio
import anyio.lowlevel
import apsw
import msgspec

from objlib_fsm.emulator import documents, fault_effects, files, router
from objlib_fsm.emulator.context import Clock, Context, system_clock
from objlib_fsm.emulator.faults import FaultPlan, Rule
from objlib_fsm.emulator.index import index_slice, is_complete
from objlib_fsm.emulator.quota import Quota
from objlib_fsm.emulator.router import Endpoint
from objlib_fsm.emulator.settings import Latency, Settings
from objlib_fsm.emulator.state import Database
from objlib_fsm.emulator.wire import ApiError, Call, Reply, not_found_page

Sleep = Callable[[float], Awaitable[None]]

LOGGED_REQUESTS: Final = 1_000
"""The last requests that the side channel can tell; older ones are only counted."""

_CREATE_FAILED: Final = Rule(fault="F8")
_INTERNAL: Final = Rule(fault="F7")
_UNAVAILABLE: Final = Rule(fault="F5", mode="unavailable")

_log = logging.getLogger(__name__)


class Logged(msgspec.Struct, frozen=True, gc=False):
    """A request that was answered.  ``fault`` is the fault it fell under, or empty."""

    ordinal: int
    at_us: int
    method: str
    path: str
    endpoint: str
    status: int
    fault: str


class Admission(msgspec.Struct, frozen=True, gc=False):
    """What is decided about a request when its head is there: where it goes, what befalls it, how long it takes."""

    ordinal: int
    endpoint: Endpoint | None
    rule: Rule | None
    delay_s: float
    """The latency of the reply."""

    @property
    def waits(self) -> bool:
        """Whether answering takes more than one instant."""
        return (
            self.delay_s > 0.0
            or self.rule is not None
            or (self.endpoint is not None and self.endpoint.kind == "answer")
        )


class Service:
    """The emulated service over one database.  Open it with `open_service`."""

    def __init__(self, context: Context, faults: FaultPlan, sleep: Sleep) -> None:
        self.context = context
        self.settings = context.settings
        self.faults = faults
        self.requests: Counter[str] = Counter()
        """Requests per endpoint; "unknown" for the others, "abandoned" for those whose body never came whole."""
        self.log: deque[Logged] = deque(maxlen=LOGGED_REQUESTS)
        self.sleep = sleep
        self._ordinal = 0
        most = self.settings.changes_per_minute
        self._quota = Quota(most) if most is not None else None
        latencies = self.settings.latencies
        self._latencies = {"request": latencies.request, "upload": latencies.upload, "answer": latencies.answer}

    def admit(self, call: Call) -> Admission:
        """Route a request and decide its faults; its body need not be there yet."""
        self._ordinal += 1
        endpoint = router.route(call)
        if endpoint is None:
            return Admission(self._ordinal, None, None, 0.0)
        rule = None
        if not self.faults.is_empty:
            rule = self.faults.fire(
                endpoint.name, call.method, call.path, has_page_token=bool(call.query.get("pageToken"))
            )
        if rule is None:
            rule = self._trouble(endpoint)
        latency: Latency = self._latencies[endpoint.kind]
        delay_s = self.context.draws.seconds(latency, endpoint.kind, str(self._ordinal)) if latency.high_s else 0.0
        return Admission(self._ordinal, endpoint, rule, max(delay_s, latency.low_s))

    def _trouble(self, endpoint: Endpoint) -> Rule | None:
        """What befalls a request by itself, as often as the settings say."""
        draws, settings, ordinal = self.context.draws, self.settings, str(self._ordinal)
        if endpoint.name == "stores.import" and draws.happens(settings.create_failed_share, "create failed", ordinal):
            return _CREATE_FAILED
        if endpoint.writes and draws.happens(settings.unavailable_share, "unavailable", ordinal):
            return _INTERNAL if draws.happens(0.5, "internal", ordinal) else _UNAVAILABLE
        return None

    async def respond(self, call: Call, admission: Admission) -> Reply:
        """Answer a request whose body is there, with all the waiting that belongs to it."""
        rule = admission.rule
        if rule is not None and (drain_s := fault_effects.delay_before_s(rule, len(call.body))):
            await self.sleep(drain_s)
        return await self.respond_drained(call, admission)

    async def respond_drained(self, call: Call, admission: Admission) -> Reply:
        """As `respond`, for a body that was already read as slowly as a fault wants it."""
        if admission.delay_s > 0.0:
            await self.sleep(admission.delay_s)
        if admission.endpoint is not None and admission.endpoint.kind == "answer":
            await self.index()
        reply = self.process(call, admission)
        if admission.rule is not None and (late_s := fault_effects.delay_after_s(admission.rule)):
            await self.sleep(late_s)
        return reply

    def drain_bytes_per_s(self, admission: Admission) -> float | None:
        """How fast the body of this request is read; None: as fast as it comes."""
        if admission.rule is None or not (seconds := fault_effects.delay_before_s(admission.rule, 1)):
            return None
        return 1.0 / seconds

    async def index(self) -> None:
        """Bring the full-text index up to date, giving way to other requests between slices."""
        if not is_complete(self.context.db):
            while index_slice(self.context.db):
                await anyio.lowlevel.checkpoint()

    def process(self, call: Call, admission: Admission) -> Reply:
        """Do what the request wants, at this instant.  Never raises."""
        endpoint, rule = admission.endpoint, admission.rule
        if endpoint is None:
            reply = not_found_page(call)
            name = "unknown"
        else:
            name = endpoint.name
            try:
                reply = self._perform(endpoint, call, rule)
            except ApiError as error:
                reply = error.reply()
            except (apsw.Error, OSError) as error:
                # A full disk, a database that another process holds: the service is unavailable, nothing is lost.
                _log.warning("%s: %s", self.context.db.path, error)
                reply = ApiError(503, f"The local store's database cannot be used: {error}").reply()
            except Exception:
                _log.exception("unexpected error in %s", name)
                reply = ApiError(500, "Internal error encountered.").reply()
        if self._quota is not None:
            reply.headers = (*reply.headers, *self._quota.headers(self.context.now_us()))
        self.requests[name] += 1
        self.log.append(
            Logged(
                admission.ordinal,
                self.context.now_us(),
                call.method,
                call.path,
                name,
                reply.status,
                "" if rule is None else rule.fault,
            )
        )
        return reply

    def abandoned(self) -> None:
        """Count a request whose client left before its body was there; it is not processed."""
        self.requests["abandoned"] += 1

    def _perform(self, endpoint: Endpoint, call: Call, rule: Rule | None) -> Reply:
        context = self.context
        if len(call.body) > self.settings.max_body_bytes:
            raise ApiError(413, f"The request's body is larger than {self.settings.max_body_bytes} bytes.")
        self._check_key(endpoint, call)
        router.check_query(endpoint, call, strict=self.settings.reject_unknown_keys)
        if self._quota is not None:
            self._quota.admit(endpoint.name, context.now_us())
        if rule is None:
            if not endpoint.writes:
                return endpoint.handler(context, call)
            with context.db.write():
                return endpoint.handler(context, call)
        refused = fault_effects.instead(context, rule, endpoint.name, call)
        if refused is not None:
            return refused
        try:
            with context.db.write():
                return fault_effects.afterwards(context, rule, endpoint.name, call, endpoint.handler(context, call))
        except ApiError as error:
            return fault_effects.afterwards(context, rule, endpoint.name, call, error.reply())

    def _check_key(self, endpoint: Endpoint, call: Call) -> None:
        """The upload URL is a capability and needs no key."""
        settings = self.settings
        if not settings.key_required or "upload_id" in call.query:
            return
        key = call.headers.get("x-goog-api-key") or call.query.get("key")
        if not key:
            message = (
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key "
                "or other form of API consumer identity to call this API."
            )
            raise ApiError(403, message)
        if settings.api_keys is not None and key not in settings.api_keys:
            raise ApiError(
                400,
                "API key not valid. Please pass a valid API key.",
                details=[
                    {
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "API_KEY_INVALID",
                        "domain": "googleapis.com",
                        "metadata": {"service": "generativelanguage.googleapis.com"},
                    },
                    {
                        "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
                        "locale": "en-US",
                        "message": "API key not valid. Please pass a valid API key.",
                    },
                ],
            )

    def counts(self) -> dict[str, int]:
        """How much there is: files, uploads under way, stores, documents (by state), operations, chunks indexed."""
        db, now_us = self.context.db, self.context.now_us()
        states = Counter(document["state"] for document in self.documents())
        return {
            "files": db.value("SELECT count(*) FROM file WHERE expires_at_us > ?", (now_us,)),
            "file_bytes": db.value("SELECT ifnull(sum(size_bytes), 0) FROM file WHERE expires_at_us > ?", (now_us,)),
            "uploads": db.value("SELECT count(*) FROM upload"),
            "stores": db.value("SELECT count(*) FROM store"),
            "documents": sum(states.values()),
            "documents_active": states["STATE_ACTIVE"],
            "documents_pending": states["STATE_PENDING"],
            "documents_failed": states["STATE_FAILED"],
            "operations": db.value("SELECT count(*) FROM operation"),
            "passages": db.value("SELECT count(*) FROM passage"),
        }

    def documents(self) -> list[dict[str, Any]]:
        """Every document there is, listed yet or not, with its metadata as a mapping; oldest first."""
        return documents.all_documents(self.context)

    def raw_files(self) -> list[dict[str, Any]]:
        """Every raw file that has not expired, as File resources; oldest first."""
        return files.all_files(self.context)


@contextlib.contextmanager
def open_service(
    path: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    faults: FaultPlan | None = None,
    clock: Clock = system_clock,
    sleep: Sleep = anyio.sleep,
) -> Iterator[Service]:
    """The service over the database at ``path`` (made when missing; ``":memory:"`` keeps nothing).

    ``clock`` is the wall clock in microseconds since 1970, ``sleep`` waits so many seconds of it.  Raises
    `state.StateError` when the database cannot be used.
    """
    db = Database(path)
    try:
        yield Service(Context(db, settings or Settings(), clock), FaultPlan() if faults is None else faults, sleep)
    finally:
        db.close()
