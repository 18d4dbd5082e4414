"""Events of what a look-up showed.  ``events.py`` has them all.

A poll is no event.  Where several were made until one of them showed something, the event says how many (``polls``),
and when the first and the last were.
"""

from __future__ import annotations

import msgspec

from objlib_fsm.core.event import Event
from objlib_fsm.core.ids import DocumentName, OperationName, RawFileName
from objlib_fsm.core.table import Kind


class RawSeen(Event, frozen=True, omit_defaults=True):
    """A look-up showed the raw file.

    ``taken``: its name was taken when the bytes were sent, so somebody whose history this log does not have sent them
    before, and may have imported them.
    """

    kind = Kind.RAW_SEEN
    raw: RawFileName
    payload: str
    generation: int
    state: str
    size_bytes: int
    expires_at_us: int | None = None
    polls: int = 1
    first_poll_at_us: int | None = None
    last_poll_at_us: int | None = None
    taken: bool = False


class RawAbsent(Event, frozen=True, omit_defaults=True):
    """A look-up by name found nothing: the upload did not arrive (yet), and is repeated not before ``due_at_us``."""

    kind = Kind.RAW_ABSENT
    raw: RawFileName
    due_at_us: int | None = None


class RawGone(Event, frozen=True, omit_defaults=True):
    """The raw file expired, failed, or is not what was sent; ``why`` says which."""

    kind = Kind.RAW_GONE
    raw: RawFileName
    generation: int
    why: str
    message: str = ""


class OperationEnded(Event, frozen=True, omit_defaults=True):
    """Polling ended.

    ``result`` is ``done``, ``error``, ``forgotten`` or ``timed_out``, and ``listed`` when a listing showed its document
    ACTIVE before the operation said anything.
    """

    kind = Kind.OPERATION_ENDED
    operation: OperationName
    result: str
    document: DocumentName | None = None
    message: str = ""
    polls: int = 0
    first_poll_at_us: int | None = None
    last_poll_at_us: int | None = None


class DocumentFact(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A document as the service showed it.

    ``payload`` is the short id it carries (`ids.document_id`), empty for none.  ``raw`` is the raw file that it was
    made from, only where the file's history does not know it: without it a citation could not be traced back.
    """

    name: DocumentName
    state: str
    payload: str = ""
    created_at_us: int = 0
    raw: RawFileName = RawFileName("")


class DocumentSeen(Event, frozen=True, omit_defaults=True):
    """A look-up showed the document."""

    kind = Kind.DOCUMENT_SEEN
    document: DocumentFact
    polls: int = 1
    first_poll_at_us: int | None = None
    last_poll_at_us: int | None = None


class DocumentGone(Event, frozen=True, omit_defaults=True):
    """A look-up by full name says that the document is not there."""

    kind = Kind.DOCUMENT_GONE
    document: DocumentName


class DocumentsListed(Event, frozen=True, omit_defaults=True):
    """A complete listing, begun at ``began_at_us``, showed exactly these documents of the file."""

    kind = Kind.DOCUMENTS_LISTED
    began_at_us: int
    documents: tuple[DocumentFact, ...] = ()


class StrayFound(Event, frozen=True, omit_defaults=True):
    """A complete listing, begun at ``began_at_us``, showed documents of this library that nothing accounts for.

    The first event of a stream of its own, which no file has: its documents and raw files are to be deleted.
    """

    kind = Kind.STRAY_FOUND
    began_at_us: int
    documents: tuple[DocumentFact, ...] = ()
