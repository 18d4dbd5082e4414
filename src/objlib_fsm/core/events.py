"""Events: what is written, and how it is read again after years.

Each event is a struct with a kind code and a schema version.  The body is stored as JSON text, so that a log can be
read with nothing but SQLite; a field at its default is left out.  Adding a field with a default needs no new schema
version; anything else raises the version and adds a step to ``codec.UPCASTS``, through which old rows are read.

Times are microseconds since 1970 UTC (``_at_us``), sizes bytes, hashes lower-case hex SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from objlib_fsm.core.event import Event as Event
from objlib_fsm.core.ids import DocumentName, EventId, OperationName, RawFileName, StoreName, StreamId
from objlib_fsm.core.library_events import BatchEnded as BatchEnded
from objlib_fsm.core.library_events import BatchStarted as BatchStarted
from objlib_fsm.core.library_events import LeaseReleased as LeaseReleased
from objlib_fsm.core.library_events import LeaseRenewed as LeaseRenewed
from objlib_fsm.core.library_events import LeaseTaken as LeaseTaken
from objlib_fsm.core.library_events import LibraryCreated as LibraryCreated
from objlib_fsm.core.library_events import LibraryRooted as LibraryRooted
from objlib_fsm.core.library_events import PaceLearned as PaceLearned
from objlib_fsm.core.library_events import RateLimitsSeen as RateLimitsSeen
from objlib_fsm.core.library_events import RunEnded as RunEnded
from objlib_fsm.core.library_events import RunStarted as RunStarted
from objlib_fsm.core.library_events import StoreCompared as StoreCompared
from objlib_fsm.core.library_events import StoreCreateEnded as StoreCreateEnded
from objlib_fsm.core.library_events import StoreCreateIntended as StoreCreateIntended
from objlib_fsm.core.library_events import StoreDeleteEnded as StoreDeleteEnded
from objlib_fsm.core.library_events import StoreDeleteIntended as StoreDeleteIntended
from objlib_fsm.core.library_events import StorePinned as StorePinned
from objlib_fsm.core.local_events import ContentChanged as ContentChanged
from objlib_fsm.core.local_events import FileDescribed as FileDescribed
from objlib_fsm.core.local_events import FileDiscovered as FileDiscovered
from objlib_fsm.core.local_events import FileExcluded as FileExcluded
from objlib_fsm.core.local_events import FileIncluded as FileIncluded
from objlib_fsm.core.local_events import FileMoved as FileMoved
from objlib_fsm.core.local_events import FileReappeared as FileReappeared
from objlib_fsm.core.local_events import FileTouched as FileTouched
from objlib_fsm.core.local_events import FileVanished as FileVanished
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.seen_events import DocumentFact as DocumentFact
from objlib_fsm.core.seen_events import DocumentGone as DocumentGone
from objlib_fsm.core.seen_events import DocumentSeen as DocumentSeen
from objlib_fsm.core.seen_events import DocumentsListed as DocumentsListed
from objlib_fsm.core.seen_events import OperationEnded as OperationEnded
from objlib_fsm.core.seen_events import RawAbsent as RawAbsent
from objlib_fsm.core.seen_events import RawGone as RawGone
from objlib_fsm.core.seen_events import RawSeen as RawSeen
from objlib_fsm.core.seen_events import StrayFound as StrayFound
from objlib_fsm.core.table import Kind


class FileForgotten(Event, frozen=True, omit_defaults=True):
    """Somebody wants it out of the store, and the path left alone."""

    kind = Kind.FILE_FORGOTTEN


class FileTracked(Event, frozen=True, omit_defaults=True):
    """Somebody wants it again."""

    kind = Kind.FILE_TRACKED


class RetryRequested(Event, frozen=True, omit_defaults=True):
    """Somebody wants another attempt now.

    ``automatic`` is one that asks for all failed files at once: it counts on, and does not reach a parked file.
    """

    kind = Kind.RETRY_REQUESTED
    automatic: bool = False


class FilePruned(Event, frozen=True, omit_defaults=True):
    """Nobody wants its documents any longer while the file is missing or left out; back again it counts as ever."""

    kind = Kind.FILE_PRUNED


class StoreReplaced(Event, frozen=True, omit_defaults=True):
    """The library's store is gone and ``store`` takes its place: no document of the old one is left."""

    kind = Kind.STORE_REPLACED
    store: StoreName


class FileReset(Event, frozen=True, omit_defaults=True):
    """Somebody wants its bytes sent anew, and another document in place of the one that is there."""

    kind = Kind.FILE_RESET


class AdoptedRaw(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A raw file that another tool named.  ``state`` is the service's word, empty while nobody asked."""

    name: RawFileName
    state: str = ""
    size_bytes: int = 0
    expires_at_us: int | None = None


class FileAdopted(Event, frozen=True, omit_defaults=True):
    """Another tool's claim about a file, and what the store shows of it.

    ``claim`` is what that tool wrote, in its own words; ``verdict`` what came of it, and ``doubts`` what does not fit.
    ``documents`` were seen in a complete listing begun at ``listed_at_us``, or are only claimed (None).  One that
    carries the short id of ``source_hash`` stands for those bytes, one that carries none for nobody knows which; with
    ``unknown_bytes`` so does whatever else is found of its raw files.
    ``operation`` is an import under way since ``began_at_us``, ``failed`` why that tool gave up.
    """

    kind = Kind.FILE_ADOPTED
    path: LibraryPath
    size_bytes: int = 0
    mtime_ns: int = 0
    source_hash: str = ""
    mime_type: str = ""
    excluded: str = ""
    missing_since_us: int | None = None
    documents: tuple[DocumentFact, ...] = ()
    listed_at_us: int | None = None
    raws: tuple[AdoptedRaw, ...] = ()
    operation: OperationName | None = None
    began_at_us: int = 0
    failed: str = ""
    verdict: str = ""
    doubts: tuple[str, ...] = ()
    claim: Mapping[str, str] = {}
    unknown_bytes: bool = False


class UploadIntended(Event, frozen=True, omit_defaults=True):
    """About to send ``size_bytes`` bytes under ``raw``.  ``call`` is this event's own id."""

    kind = Kind.UPLOAD_INTENDED
    call: EventId
    raw: RawFileName
    payload: str
    generation: int
    size_bytes: int
    mime_type: str
    attempt: int = 1
    batch: int = 0


class ImportIntended(Event, frozen=True, omit_defaults=True):
    """About to import ``raw`` into ``store``.

    ``identity`` is the short id that the document is to carry, empty when it is that of ``payload`` alone.
    """

    kind = Kind.IMPORT_INTENDED
    call: EventId
    raw: RawFileName
    store: StoreName
    payload: str
    attempt: int = 1
    identity: str = ""


class DocumentDeleteIntended(Event, frozen=True, omit_defaults=True):
    """About to delete ``document``; ``why`` is its role."""

    kind = Kind.DOCUMENT_DELETE_INTENDED
    call: EventId
    document: DocumentName
    why: str
    attempt: int = 1


class RawDeleteIntended(Event, frozen=True, omit_defaults=True):
    """About to delete ``raw``."""

    kind = Kind.RAW_DELETE_INTENDED
    call: EventId
    raw: RawFileName
    why: str
    attempt: int = 1


class UploadDone(Event, frozen=True, omit_defaults=True):
    """The service has the bytes as ``raw`` (the name that it really gave)."""

    kind = Kind.UPLOAD_DONE
    call: EventId
    raw: RawFileName
    payload: str
    generation: int
    state: str
    size_bytes: int
    expires_at_us: int | None = None


class ImportAccepted(Event, frozen=True, omit_defaults=True):
    """The service began ``operation``."""

    kind = Kind.IMPORT_ACCEPTED
    call: EventId
    operation: OperationName


class DocumentDeleted(Event, frozen=True, omit_defaults=True):
    """The document is gone; ``found`` is False when it was gone before."""

    kind = Kind.DOCUMENT_DELETED
    call: EventId
    document: DocumentName
    found: bool = True


class RawDeleted(Event, frozen=True, omit_defaults=True):
    """The raw file is gone; ``found`` is False when it was gone before."""

    kind = Kind.RAW_DELETED
    call: EventId
    raw: RawFileName
    found: bool = True


class CallRejected(Event, frozen=True, omit_defaults=True):
    """The service refused.  ``what`` names the call, ``code`` and ``status`` are the service's."""

    kind = Kind.CALL_REJECTED
    call: EventId
    what: str
    reason: Reason
    message: str = ""
    code: int = 0
    status: str = ""


class CallFailed(Event, frozen=True, omit_defaults=True):
    """Nothing was done, for a reason that may pass; the next attempt is not before ``due_at_us``.

    ``call`` is empty for a look-up, which has no intent; it may have been made several times (``polls``).
    """

    kind = Kind.CALL_FAILED
    what: str
    outcome: Outcome
    reason: Reason
    call: EventId = EventId("")
    due_at_us: int | None = None
    message: str = ""
    code: int = 0
    status: str = ""
    polls: int = 1
    first_poll_at_us: int | None = None
    last_poll_at_us: int | None = None


class CallUncertain(Event, frozen=True, omit_defaults=True):
    """Nobody knows what became of the call; it is looked for not before ``due_at_us``."""

    kind = Kind.CALL_UNCERTAIN
    call: EventId
    what: str
    reason: Reason
    due_at_us: int | None = None
    message: str = ""
    code: int = 0
    status: str = ""


class FileIndexed(Event, frozen=True, omit_defaults=True):
    """``document`` was seen ACTIVE."""

    kind = Kind.FILE_INDEXED
    document: DocumentName


class DocumentClaimed(Event, frozen=True, omit_defaults=True):
    """``document`` is of these bytes, by its name or its metadata."""

    kind = Kind.DOCUMENT_CLAIMED
    document: DocumentName


class StartedOver(Event, frozen=True, omit_defaults=True):
    """Back to the beginning; ``why`` says what was lost."""

    kind = Kind.STARTED_OVER
    why: str


class GaveUp(Event, frozen=True, omit_defaults=True):
    """No further attempt as-is.  ``cause`` groups, ``message`` explains."""

    kind = Kind.GAVE_UP
    cause: str
    message: str = ""


# ---- all of them ---------------------------------------------------------------------------------------------------

EVENT_TYPES: Final[dict[Kind, type[Event]]] = {cls.kind: cls for cls in Event.__subclasses__()}
assert set(EVENT_TYPES) == set(Kind), "every kind has exactly one struct"

LIBRARY_STREAM: Final = StreamId("library")
"""Everything that concerns the library as a whole."""

LEASE_STREAM: Final = StreamId("lease")
"""Who may perform effects."""
