"""What a fold of one file's events knows.

`FileRecord` is a value: only ``fold.py`` writes its fields, and only on a copy of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

from objlib_fsm.core.ids import DocumentName, EventId, OperationName, RawFileName, StreamId, document_id
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.table import INITIAL, State

SKIPPED_BEFORE: Final = "skipped_before"
"""Why a file is excluded that an earlier tool left out: it may be indexed, and is when somebody tracks it."""


class Call(enum.StrEnum):
    """The calls that change the remote side, and the look-ups that do not."""

    UPLOAD = "upload"
    IMPORT = "import"
    DELETE_DOCUMENT = "delete document"
    DELETE_RAW = "delete raw file"
    LOOK_UP_RAW = "look up raw file"
    POLL = "poll operation"
    LOOK_UP_DOCUMENT = "look up document"
    LIST_DOCUMENTS = "list documents"


class Role(enum.StrEnum):
    """What a document is to its file."""

    CURRENT = "current"
    """The one that stands for the file: ACTIVE, or the old one until its successor is ACTIVE."""
    CANDIDATE = "candidate"
    """Of the current payload and not yet ACTIVE."""
    SUPERSEDED = "superseded"
    """Of an older payload; goes after its successor is ACTIVE."""
    DEAD = "dead"
    """FAILED; goes at once."""
    DUPLICATE = "duplicate"
    """One more of the current payload; goes at once."""
    GONE = "gone"
    """Deleted, or seen to be absent.  Kept for citations and history: an id is never erased."""


class Document(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A document ever known.  ``payload`` is the short id of what it stands for (`ids.document_id`), ``state`` the
    service's word."""

    name: DocumentName
    state: str
    role: Role
    payload: str = ""
    created_at_us: int = 0
    seen_at_us: int = 0
    raw: RawFileName = RawFileName("")
    """The raw file it was made from, where that is none of the record's."""


class Raw(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A raw file ever named.  ``state`` is the service's word, ``GONE``, or empty while nobody has seen it."""

    name: RawFileName
    payload: str
    generation: int
    state: str
    size_bytes: int = 0
    expires_at_us: int | None = None
    seen_at_us: int = 0

    @property
    def gone(self) -> bool:
        """Known to be gone or FAILED."""
        return self.state in ("GONE", "FAILED")

    @property
    def alive(self) -> bool:
        """Seen, and not known to be gone or FAILED."""
        return bool(self.state) and not self.gone


class OpenCall(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An intent whose outcome is not known: in flight, lost in a crash, or said to be uncertain."""

    id: EventId
    what: Call
    target: str
    payload: str
    generation: int
    at_us: int
    uncertain: bool = False


class Import(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An import whose document nobody has seen yet.

    ``payload`` is the short id that the document carries; ``at_us`` the last moment it may have been on its way.
    ``document`` is what its operation named: a claim until a look-up shows it, because an operation may name another's.
    """

    call: EventId
    payload: str
    raw: RawFileName
    at_us: int
    operation: OperationName | None = None
    ended: str = ""
    """How polling ended, empty while the operation may still be polled."""
    document: DocumentName | None = None


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The last thing that went wrong."""

    what: str
    outcome: Outcome
    reason: Reason
    at_us: int
    message: str = ""
    code: int = 0


class FileRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """One file as its events tell it.

    ``source_hash`` is of the bytes on disk, ``payload_hash`` of the bytes sent: ``header`` and then the file.
    ``metadata`` goes with the document; ``basis`` says what header and metadata were made from besides the bytes,
    empty for nothing.  ``resets`` counts how often somebody wanted another document of the same.
    ``adopted`` is what came of an earlier tool's claim, empty when there was none.
    ``version`` counts its events.  ``attempts`` are the failed calls at the present step, ``look_ups`` the look-ups in
    a row that were of no use: they make it wait, never give up.  ``setbacks`` are the imports, documents and raw files
    of this payload that the service itself gave up, ``imports_sent`` how often this payload was imported since all of
    its imports were last accounted for.
    ``failures`` are the runs in a row that gave the file up, ``pruned`` says that what the store holds of it may go.
    ``settled`` is False while the store may hold documents of the file that nobody knows, besides those of ``imports``.
    ``listed_at_us`` is when the last listing began that showed the file's documents.
    ``taken_at_us`` is when a raw file turned up that this log never sent, 0 once a listing has shown what became of it.
    """

    stream: StreamId
    version: int = 0
    state: State = INITIAL
    since_us: int = 0
    path: LibraryPath = LibraryPath("")
    size_bytes: int = 0
    mtime_ns: int = 0
    inode: int = 0
    device: int = 0
    source_hash: str = ""
    payload_hash: str = ""
    header: str = ""
    metadata: Mapping[str, str | int | float | tuple[str, ...]] = {}
    metadata_hash: str = ""
    basis: str = ""
    resets: int = 0
    mime_type: str = ""
    excluded: str = ""
    adopted: str = ""
    wanted: bool = True
    present: bool = True
    missing_since_us: int | None = None
    checked_at_us: int = 0
    generation: int = 0
    raws: tuple[Raw, ...] = ()
    documents: tuple[Document, ...] = ()
    calls: tuple[OpenCall, ...] = ()
    imports: tuple[Import, ...] = ()
    imports_sent: int = 0
    last_import_at_us: int = 0
    settled: bool = True
    listed_at_us: int = 0
    attempts: int = 0
    look_ups: int = 0
    setbacks: int = 0
    due_at_us: int | None = None
    problem: Problem | None = None
    cause: str = ""
    cause_message: str = ""
    batch: int = 0
    failures: int = 0
    pruned: bool = False
    taken_at_us: int = 0
    excluded_since_us: int | None = None

    @property
    def here(self) -> bool:
        """Wanted, on disk, not excluded, and its bytes known: the store should hold it."""
        return self.wanted and self.present and not self.excluded and bool(self.payload_hash)

    @property
    def kept(self) -> bool:
        """The store may go on holding it: it was neither forgotten nor pruned."""
        return self.wanted and not self.pruned

    @property
    def payload(self) -> str:
        """The short id of what its document must stand for, empty while its bytes are not known."""
        return document_id(self.payload_hash, self.metadata_hash, self.resets)

    @property
    def stray(self) -> bool:
        """No file has this history: it began with documents of the library that nothing accounted for."""
        return self.version > 0 and not self.path

    @property
    def terminal(self) -> bool:
        """Nothing more is going to happen to it by itself."""
        return self.state in (State.INDEXED, State.FAILED) or (self.state is State.UNTRACKED and not self.here)

    @property
    def raw(self) -> Raw | None:
        """The living raw file of the current payload and generation, if one is known."""
        for raw in reversed(self.raws):
            if raw.payload == self.payload_hash and raw.generation == self.generation and raw.alive:
                return raw
        return None

    @property
    def document(self) -> Document | None:
        """The document that stands for the file."""
        for document in self.documents:
            if document.role is Role.CURRENT:
                return document
        return None

    @property
    def proof(self) -> Document | None:
        """The document that proves ``indexed``: of the current payload, seen ACTIVE, and not about to be deleted."""
        document = self.document
        if document is None or document.payload != self.payload or self.call_on(document.name) is not None:
            return None
        return document

    @property
    def candidate(self) -> Document | None:
        """A document of the current payload that is not yet ACTIVE."""
        for document in self.documents:
            if document.role is Role.CANDIDATE:
                return document
        return None

    @property
    def live_documents(self) -> tuple[Document, ...]:
        """Every document not known to be gone."""
        return tuple(d for d in self.documents if d.role is not Role.GONE)

    def call_on(self, target: str) -> OpenCall | None:
        """The call on that raw file or document without a known outcome."""
        return next((call for call in self.calls if call.target == target), None)

    def open_call(self, what: Call) -> OpenCall | None:
        """The latest call of that sort without a known outcome."""
        return next((call for call in reversed(self.calls) if call.what is what), None)
