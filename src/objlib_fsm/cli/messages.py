"""What ``--json`` writes, as structs: the schemas are generated from them.

Each document has a ``type`` and ``schema`` 1; fields are only ever added.  Times are ISO 8601 in UTC.  File names are
in the reversible form of ``core.paths``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from objlib_fsm.cli.message import Message as Message
from objlib_fsm.cli.message import document as document
from objlib_fsm.cli.messages_of_health import BackedUp as BackedUp
from objlib_fsm.cli.messages_of_health import Diagnosis as Diagnosis
from objlib_fsm.cli.messages_of_health import Health as Health
from objlib_fsm.cli.messages_of_setup import AdoptedFile as AdoptedFile
from objlib_fsm.cli.messages_of_setup import Adoption as Adoption
from objlib_fsm.cli.messages_of_setup import Config as Config
from objlib_fsm.cli.messages_of_setup import Doubt as Doubt
from objlib_fsm.cli.messages_of_setup import Dropped as Dropped
from objlib_fsm.cli.messages_of_setup import Setting as Setting
from objlib_fsm.cli.messages_of_store import Assertion as Assertion
from objlib_fsm.cli.messages_of_store import Check as Check
from objlib_fsm.cli.messages_of_store import Difference as Difference
from objlib_fsm.cli.messages_of_store import Sampled as Sampled
from objlib_fsm.cli.messages_of_store import Store as Store
from objlib_fsm.cli.messages_of_store import StoreDone as StoreDone
from objlib_fsm.cli.messages_of_store import Stores as Stores
from objlib_fsm.cli.messages_of_store import StoreSync as StoreSync


class Error(Message, frozen=True, kw_only=True, tag="error"):
    """The command could not do what it was asked for.  ``position``: the first bad event of a damaged log."""

    message: str
    hint: str
    exit_code: int
    position: int | None = None


class Summary(Message, frozen=True, kw_only=True, tag="summary"):
    """The last line of ``run``: files per state, and how it ended.

    ``excluded``, ``missing`` and ``forgotten`` files are not counted as untracked; ``put_off`` files are due at
    ``next_due_at`` or later.  ``sync_due``: the store does not count the documents that the log knows.
    ``resumed_late`` files of an earlier run were not done in the time that those have.
    """

    total: int
    indexed: int
    processing: int
    uploading: int
    failed: int
    untracked: int
    excluded: int
    missing: int
    forgotten: int
    exit_code: int
    put_off: int = 0
    next_due_at: str | None = None
    store: str = ""
    seconds: float = 0.0
    failures: tuple[Cause, ...] = ()
    sync_due: bool = False
    resumed_late: int = 0


class Cause(msgspec.Struct, frozen=True):
    """Failed files of one cause; ``parked`` of them are tried again only by name.  ``command`` is what helps."""

    cause: str
    files: int
    example: str
    message: str = ""
    parked: int = 0
    command: str = ""


class Started(Message, frozen=True, kw_only=True, tag="run"):
    """The first line of ``run``."""

    library: str
    log: str
    backend: str
    run: str


class Scanned(Message, frozen=True, kw_only=True, tag="scan"):
    """What a scan recorded, per kind of event, and what it left out, per reason."""

    library: str
    recorded: dict[str, int]
    unchanged: int
    excluded: dict[str, int]
    left_out: dict[str, int]
    troubles: list[dict[str, str]]
    twins: list[list[str]]
    exit_code: int = 0


class File(Message, frozen=True, kw_only=True, tag="file"):
    """A file of a run is done, or put off."""

    file: str
    state: str
    cause: str = ""


class BatchStarted(Message, frozen=True, kw_only=True, tag="batch_started"):
    """A logical batch began."""

    batch: int
    files: int


class BatchEnded(Message, frozen=True, kw_only=True, tag="batch_ended"):
    """Every file of the batch is done or put off."""

    batch: int
    files: int
    succeeded: int
    failed: int


class Waiting(Message, frozen=True, kw_only=True, tag="waiting"):
    """Nothing can be done before ``until``."""

    until: str
    files: int


class Watching(Message, frozen=True, kw_only=True, tag="watching"):
    """A round of ``watch`` is over, and it waits for changes; ``put_off`` files are due at ``next_due_at`` or later."""

    library: str
    indexed: int
    failed: int
    put_off: int
    next_due_at: str | None


class Away(msgspec.Struct, frozen=True):
    """A file that is missing or left out, and since when."""

    file: str
    why: str
    since: str


class Prune(Message, frozen=True, kw_only=True, tag="prune"):
    """What ``--prune`` deletes: ``documents`` in all, ``allowed`` without typed consent; ``first`` are the first files.

    With ``--dry-run`` it is only what would be deleted.
    """

    files: int
    documents: int
    allowed: int
    first: list[Away]


class ResumedLate(Message, frozen=True, kw_only=True, tag="resumed_late"):
    """Files of an earlier run that are not done after ``hours``: they come after the rest from here on."""

    files: int
    example: str
    hours: float


class Plan(Message, frozen=True, kw_only=True, tag="plan"):
    """What a run would send: ``--dry-run``.  Price in US dollars; ``first`` are the first files."""

    library: str
    files: int
    size_bytes: int
    tokens: int
    price_usd: float
    hours: float
    tier: str
    backend: str
    first: list[str]
    exit_code: int = 0
    prune: Prune | None = None


class Holder(msgspec.Struct, frozen=True):
    """Who is at work on the log."""

    run: str
    host: str
    pid: int
    since: str
    alive: bool


class LastRun(msgspec.Struct, frozen=True):
    """The latest run; ``ended`` and ``exit_code`` are null while it runs, and for ever when it was killed."""

    run: str
    started: str
    ended: str | None
    exit_code: int | None


class Expiring(msgspec.Struct, frozen=True):
    """A raw file that is not imported yet and expires soon."""

    file: str
    expires_at: str


class Listed(msgspec.Struct, frozen=True):
    """A file of the state asked for; ``cause`` is why it failed or is left out, ``detail`` what exactly is wrong."""

    file: str
    state: str
    since: str
    cause: str = ""
    due_at: str | None = None
    detail: str = ""


class DuplicateGroup(msgspec.Struct, frozen=True):
    """Files of the same content, each of that size."""

    files: list[str]
    size_bytes: int


class Duplicates(msgspec.Struct, frozen=True):
    """What is in the store more than once: ``extra_files`` are all but one of each group, with what they cost."""

    groups: list[DuplicateGroup]
    extra_files: int
    size_bytes: int
    tokens: int
    price_usd: float


class Due(msgspec.Struct, frozen=True):
    """Files that need something: at once, or not before ``next_at``."""

    now: int
    later: int
    next_at: str | None


class Operations(msgspec.Struct, frozen=True):
    """Import operations: under way now, and how the others ended, ever."""

    pending: int
    in_progress: int
    succeeded: int
    failed: int
    timed_out: int
    forgotten: int


class Deadlines(msgspec.Struct, frozen=True):
    """Raw files that are not imported yet, and the first of them to expire."""

    files: int
    first_at: str
    first_file: str


class Learned(msgspec.Struct, frozen=True):
    """The rate that a service bore on a tier, in calls that change something a minute."""

    service: str
    tier: str
    rpm: float
    at: str


class PaceKnown(msgspec.Struct, frozen=True):
    """What was learned of the service's limits; ``limits`` are headers of a reply, empty when none ever had any."""

    learned: list[Learned]
    limits: dict[str, str]
    limits_at: str | None


class Status(Message, frozen=True, kw_only=True, tag="status"):
    """Where the library stands at ``position``.

    ``kept`` of the indexed files are not on disk any more or left out now; their documents are still in the store.
    """

    position: int
    files: int
    states: dict[str, int]
    excluded: int
    missing: int
    forgotten: int
    kept: int
    due: Due
    expiring: list[Expiring]
    expiring_files: int
    failures: list[Cause]
    library: str
    log: str
    store: str | None
    store_name: str | None
    service: str | None
    store_deleted: bool
    compared_at: str | None
    holder: Holder | None
    last_run: LastRun | None
    operations: Operations
    deadlines: Deadlines | None
    pace: PaceKnown
    listed: list[Listed] | None = None
    duplicates: Duplicates | None = None


class Replay(Message, frozen=True, kw_only=True, tag="replay"):
    """What the events say, and whether the projection agrees.

    ``drift`` counts the streams whose stored state differs, null with ``--as-of``; ``mismatches`` are positions whose
    recorded state the fold does not reach.  Files are counted as in `Status`.
    """

    events: int
    position: int
    digest: str
    drift: int | None
    chain: str
    mismatches: list[int]
    files: int
    states: dict[str, int]
    excluded: int
    missing: int
    forgotten: int
    seconds: float
    events_per_second: float
    in_place: bool
    exit_code: int


class AuditEvent(msgspec.Struct, frozen=True, rename={"source": "from", "to": "to"}):
    """One event of the file; ``evidence`` is what it recorded."""

    position: int
    version: int
    type: str
    source: str
    to: str
    at: str
    why: str
    attempt: int | None
    evidence: dict[str, Any]
    run: str
    actor: str
    id: str
    causation: str


class Operation(msgspec.Struct, frozen=True):
    """An import of the file: pending, in progress, succeeded, failed, timed out, forgotten or refused.

    It was asked for ``polls`` times, first and last at these times; null while nothing is known of them.
    """

    call: str
    status: str
    began: str
    name: str | None = None
    polls: int = 0
    first_poll_at: str | None = None
    last_poll_at: str | None = None
    ended: str | None = None
    document: str | None = None
    message: str = ""


class RawFile(msgspec.Struct, frozen=True):
    """A raw file of the file.  ``expires_at`` is the service's word for when it deletes it, null when it gave none."""

    name: str
    state: str
    size_bytes: int
    expires_at: str | None


class Audit(Message, frozen=True, kw_only=True, tag="audit"):
    """The history of one file, and what happens next; ``next_at`` when that is not at once."""

    file: str
    stream: str
    state: str
    since: str
    next: str
    next_at: str | None
    documents: list[dict[str, Any]]
    events: list[AuditEvent]
    operations: list[Operation] = msgspec.field(default_factory=list)
    raw_files: list[RawFile] = msgspec.field(default_factory=list)


class Skipped(msgspec.Struct, frozen=True):
    """A file for which the wish makes no sense, and why."""

    file: str
    why: str


class Wished(Message, frozen=True, kw_only=True, tag="wish"):
    """What ``retry``, ``reset``, ``forget`` or ``track`` recorded.

    ``at_work``: a run takes it up now, else the next one.
    """

    command: str
    files: list[str]
    skipped: list[Skipped]
    at_work: bool
    exit_code: int = 0


class Citation(msgspec.Struct, frozen=True):
    """A passage that the answer rests on; ``file`` is null when the log does not know it."""

    number: int
    file: str | None
    path: str | None
    title: str
    text: str
    note: str = ""


class Supported(msgspec.Struct, frozen=True):
    """Which citations a piece of the answer rests on; byte offsets into the UTF-8 answer."""

    start: int
    end: int
    citations: list[int]


class Ask(Message, frozen=True, kw_only=True, tag="answer"):
    """An answer with its citations."""

    question: str
    answer: str
    model: str
    citations: list[Citation]
    supports: list[Supported]


class Listening(Message, frozen=True, kw_only=True, tag="listening"):
    """The emulator accepts requests."""

    url: str
    data: str


class Version(Message, frozen=True, kw_only=True, tag="version", rename={"objlib_fsm": "objlib-fsm"}):
    """Versions of the program and of what it rests on."""

    objlib_fsm: str
    python: str
    sqlite: str
    apsw: str
    google_genai: str = msgspec.field(name="google-genai")


MESSAGES: Final = (
    Error,
    Summary,
    Started,
    Scanned,
    File,
    BatchStarted,
    BatchEnded,
    Waiting,
    Watching,
    Prune,
    ResumedLate,
    Plan,
    Status,
    Replay,
    Audit,
    Wished,
    Ask,
    StoreSync,
    Check,
    Stores,
    StoreDone,
    BackedUp,
    Diagnosis,
    Listening,
    Adoption,
    Config,
    Version,
)
