"""What a fold of the library's own two streams knows: identity, root, pinned store, lease, runs, batches."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.ids import EventId, LibraryId, RunId, StoreName
from objlib_fsm.core.outcomes import Outcome
from objlib_fsm.core.table import Kind

BATCHES_KEPT: Final = 20
"""Ended batches that the record remembers for `status`; the log has them all."""


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """The store this log belongs to, and the service that holds it; ``deleted`` when this program deleted it."""

    store: StoreName
    display_name: str
    service: str
    deleted: bool = False


class Lease(msgspec.Struct, frozen=True):
    """The latest lease.  ``renewed_at_us`` is the time its last event was recorded."""

    epoch: int
    run: RunId
    host: str
    pid: int
    process_started: int
    boot_id: str
    taken_at_us: int
    renewed_at_us: int
    released: bool = False


class Compared(msgspec.Struct, frozen=True):
    """What the last complete listing of the pinned store showed: documents of ours and of others."""

    began_at_us: int
    ours: int
    foreign: int


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """The latest run.  ``ended_at_us`` is None while it runs, and for ever when it was killed."""

    run: RunId
    host: str
    pid: int
    started_at_us: int
    ended_at_us: int | None = None
    exit_code: int | None = None


class Learned(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rate that a service bore, for one tier: calls that change something, a minute."""

    service: str
    tier: str
    rpm: float
    refused_rpm: float | None = None
    at_us: int = 0


class Limits(msgspec.Struct, frozen=True):
    """What the replies of a service said last about how much may be asked."""

    service: str
    headers: Mapping[str, str]
    at_us: int


class Operations(msgspec.Struct, frozen=True, omit_defaults=True):
    """Import operations that ended, ever.  What is still open is in the records of the files."""

    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    forgotten: int = 0
    """The service did not know them any more."""


class LibraryRecord(msgspec.Struct, omit_defaults=True):
    """The library as its own events tell it."""

    library: LibraryId = LibraryId("")
    root: str = ""
    pin: Pin | None = None
    compared: Compared | None = None
    """None while the pinned store was never listed as a whole."""
    creating: tuple[tuple[EventId, str, int], ...] = ()
    """Store creations whose outcome is not known: call, display name, time."""
    lease: Lease | None = None
    run: Run | None = None
    batches: tuple[e.BatchEnded, ...] = ()
    last_batch: int = 0
    learned: tuple[Learned, ...] = ()
    limits: Limits | None = None
    operations: Operations = Operations()

    def learned_of(self, service: str, tier: str) -> Learned | None:
        """What is known of that service on that tier: a rate learned elsewhere says nothing."""
        return next((known for known in self.learned if (known.service, known.tier) == (service, tier)), None)


COUNTED: Final = frozenset((Kind.OPERATION_ENDED,))
"""Events of files that are counted here as well."""

_COUNTED_AS: Final = {
    "done": "succeeded",
    "listed": "succeeded",
    "error": "failed",
    "timed_out": "timed_out",
    "forgotten": "forgotten",
}


def operation_word(result: str) -> str:
    """How an operation with that result ended, as a field of `Operations`."""
    return _COUNTED_AS.get(result, "failed")


def apply_library(record: LibraryRecord, event: e.Event, at_us: int) -> LibraryRecord:
    """The record after one more event of either stream, or of a file and `COUNTED`; *record* is not changed."""
    r = copy.copy(record)
    match event:
        case e.OperationEnded():
            word = operation_word(event.result)
            r.operations = msgspec.structs.replace(r.operations, **{word: getattr(r.operations, word) + 1})
        case e.LibraryCreated():
            r.library = event.library
        case e.LibraryRooted():
            r.root = event.root
        case e.StoreCreateIntended():
            r.creating = (*r.creating, (event.call, event.display_name, at_us))
        case e.StoreCreateEnded():
            if event.outcome is not Outcome.UNCERTAIN:
                r.creating = tuple(c for c in r.creating if c[0] != event.call)
        case e.StorePinned():
            if r.pin is not None and r.pin.store != event.store:
                r.compared = None
            r.pin = Pin(event.store, event.display_name, event.service)
            r.creating = ()
        case e.StoreCompared():
            if r.pin is not None and r.pin.store == event.store:
                r.compared = Compared(event.began_at_us, event.ours, event.foreign)
        case e.StoreDeleteEnded():
            if event.outcome is Outcome.DONE and r.pin is not None and r.pin.store == event.store:
                r.pin = msgspec.structs.replace(r.pin, deleted=True)
        case e.StoreDeleteIntended():
            pass  # That a store is gone which somebody else deleted, or nobody knows, is found by asking.
        case e.RunStarted():
            r.run = Run(event.run, event.host, event.pid, at_us)
        case e.RunEnded():
            if r.run is not None and r.run.run == event.run:
                r.run = msgspec.structs.replace(r.run, ended_at_us=at_us, exit_code=event.exit_code)
        case e.BatchStarted():
            r.last_batch = max(r.last_batch, event.batch)
        case e.BatchEnded():
            r.batches = (*r.batches, event)[-BATCHES_KEPT:]
        case e.PaceLearned(service, tier, rpm, refused_rpm):
            others = tuple(known for known in r.learned if (known.service, known.tier) != (service, tier))
            r.learned = (*others, Learned(service, tier, rpm, refused_rpm, at_us))
        case e.RateLimitsSeen():
            r.limits = Limits(event.service, event.headers, event.last_at_us)
        case e.LeaseTaken():
            r.lease = Lease(
                event.epoch, event.run, event.host, event.pid, event.process_started, event.boot_id, at_us, at_us
            )
        case e.LeaseRenewed():
            if r.lease is not None and r.lease.epoch == event.epoch:
                r.lease = msgspec.structs.replace(r.lease, renewed_at_us=at_us)
        case e.LeaseReleased():
            if r.lease is not None and r.lease.epoch == event.epoch:
                r.lease = msgspec.structs.replace(r.lease, released=True, renewed_at_us=at_us)
        case _:
            raise AssertionError(f"{event.kind.label} does not belong to the library's own streams")
    return r
