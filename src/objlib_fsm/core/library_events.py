"""Events of the library as a whole: the store, runs, batches, and the lease.  ``events.py`` has them all."""

from __future__ import annotations

from collections.abc import Mapping

from objlib_fsm.core.event import Event
from objlib_fsm.core.ids import EventId, LibraryId, RunId, StoreName
from objlib_fsm.core.outcomes import Outcome
from objlib_fsm.core.table import Kind


class LibraryCreated(Event, frozen=True, omit_defaults=True):
    """The log's first event: who this library is."""

    kind = Kind.LIBRARY_CREATED
    library: LibraryId


class LibraryRooted(Event, frozen=True, omit_defaults=True):
    """The folder that is indexed; absolute, in the text form of ``core.paths``."""

    kind = Kind.LIBRARY_ROOTED
    root: str


class StoreCreateIntended(Event, frozen=True, omit_defaults=True):
    """About to create a store."""

    kind = Kind.STORE_CREATE_INTENDED
    call: EventId
    display_name: str


class StoreCreateEnded(Event, frozen=True, omit_defaults=True):
    """What became of that call; ``store`` when it is known."""

    kind = Kind.STORE_CREATE_ENDED
    call: EventId
    outcome: Outcome
    store: StoreName | None = None
    message: str = ""


class StorePinned(Event, frozen=True, omit_defaults=True):
    """From now on this log belongs to this store of this service (``gemini``, ``local`` or an endpoint)."""

    kind = Kind.STORE_PINNED
    store: StoreName
    display_name: str
    service: str


class StoreCompared(Event, frozen=True, omit_defaults=True):
    """What a complete listing of ``store``, begun at ``began_at_us``, showed: documents of ours and of others."""

    kind = Kind.STORE_COMPARED
    store: StoreName
    began_at_us: int
    ours: int
    foreign: int


class StoreDeleteIntended(Event, frozen=True, omit_defaults=True):
    """About to delete ``store`` with everything in it."""

    kind = Kind.STORE_DELETE_INTENDED
    call: EventId
    store: StoreName


class StoreDeleteEnded(Event, frozen=True, omit_defaults=True):
    """What became of that call."""

    kind = Kind.STORE_DELETE_ENDED
    call: EventId
    store: StoreName
    outcome: Outcome
    message: str = ""


class RunStarted(Event, frozen=True, omit_defaults=True):
    """A run began to work."""

    kind = Kind.RUN_STARTED
    run: RunId
    host: str
    pid: int
    version: str
    options: Mapping[str, str | int | float | bool] = {}


class RunEnded(Event, frozen=True, omit_defaults=True):
    """A run ended in good order; counts per state of the files in scope.

    ``resumed_late`` files of an earlier run were not done in the time that resumed work has.
    """

    kind = Kind.RUN_ENDED
    run: RunId
    exit_code: int
    counts: Mapping[str, int] = {}
    resumed_late: int = 0


class BatchStarted(Event, frozen=True, omit_defaults=True):
    """A logical batch for progress and reporting; it holds nothing back."""

    kind = Kind.BATCH_STARTED
    batch: int
    files: int


class BatchEnded(Event, frozen=True, omit_defaults=True):
    """Every file of the batch is terminal or due later."""

    kind = Kind.BATCH_ENDED
    batch: int
    files: int
    succeeded: int
    failed: int
    started_at_us: int


class PaceLearned(Event, frozen=True, omit_defaults=True):
    """How many calls a minute ``service`` bore, starting from ``tier``: the next such run starts there.

    ``refused_rpm`` is the rate that met the last 429, None while none did.
    """

    kind = Kind.PACE_LEARNED
    service: str
    tier: str
    rpm: float
    refused_rpm: float | None = None


class RateLimitsSeen(Event, frozen=True, omit_defaults=True):
    """Replies said how much may be asked: the headers of the last of ``replies`` such ones since the event before."""

    kind = Kind.RATE_LIMITS_SEEN
    service: str
    headers: Mapping[str, str]
    replies: int
    first_at_us: int
    last_at_us: int


class LeaseTaken(Event, frozen=True, omit_defaults=True):
    """From now on only appends with this ``epoch`` are accepted from runners.

    ``process_started`` (clock ticks since boot) and ``boot_id`` tell a living holder from a re-used pid.
    """

    kind = Kind.LEASE_TAKEN
    epoch: int
    run: RunId
    host: str
    pid: int
    process_started: int
    boot_id: str


class LeaseRenewed(Event, frozen=True, omit_defaults=True):
    """The holder is alive."""

    kind = Kind.LEASE_RENEWED
    epoch: int


class LeaseReleased(Event, frozen=True, omit_defaults=True):
    """The holder is done."""

    kind = Kind.LEASE_RELEASED
    epoch: int
