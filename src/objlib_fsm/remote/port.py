"""Gemini File Search as the engine sees it: a small protocol over typed ids.

Each method is one call, one page of documents, or one complete listing of stores.  It returns what the service said
or raises `CallFailed` with the classified `Failure`; nothing else escapes.  There are no retries and no waiting behind
this protocol: when to repeat is decided by ``core.policy`` from what the log knows.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Protocol

import msgspec

from objlib_fsm.core.ids import DocumentName, OperationName, RawFileName, StoreName
from objlib_fsm.core.outcomes import Failure


class CallFailed(Exception):
    """A call that did not end done; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.outcome}: {failure.message or failure.reason}")
        self.failure = failure


class RawState(enum.StrEnum):
    """The service's state of a raw file."""

    PROCESSING = "PROCESSING"
    ACTIVE = "ACTIVE"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class DocumentState(enum.StrEnum):
    """The service's state of a document.  Only ACTIVE can be found by a query."""

    PENDING = "STATE_PENDING"
    ACTIVE = "STATE_ACTIVE"
    FAILED = "STATE_FAILED"
    UNKNOWN = "STATE_UNSPECIFIED"


class RawFile(msgspec.Struct, frozen=True):
    """A raw file as the service reports it.

    ``sha256`` is lower-case hex, empty when the service sent none (it sends base64 of the digest or of its hex text;
    both are understood).  ``expires_at_us`` is UTC in microseconds since 1970, None when the service named no time.
    """

    name: RawFileName
    state: RawState
    size_bytes: int
    sha256: str = ""
    expires_at_us: int | None = None
    mime_type: str = ""
    error: str = ""


class StoreInfo(msgspec.Struct, frozen=True):
    """A store with the service's own counts."""

    name: StoreName
    display_name: str
    active: int = 0
    pending: int = 0
    failed: int = 0
    size_bytes: int = 0

    @property
    def documents(self) -> int:
        """Documents of any state."""
        return self.active + self.pending + self.failed


class Identity(msgspec.Struct, frozen=True):
    """Whose document it is: the three short ids that it carries in its metadata."""

    library: str
    stream: str
    payload: str


class RemoteDocument(msgspec.Struct, frozen=True):
    """A document as the service reports it.

    ``display_name`` of an imported document is the id of the raw file it was made from.  ``identity`` is None when
    the document carries none of ours.  ``created_at_us`` is 0 when unknown.
    """

    name: DocumentName
    state: DocumentState
    display_name: str = ""
    identity: Identity | None = None
    created_at_us: int = 0
    size_bytes: int = 0


class DocumentsPage(msgspec.Struct, frozen=True):
    """A page of a listing; ``next_token`` asks for the one after it, empty after the last."""

    documents: tuple[RemoteDocument, ...]
    next_token: str = ""


class OperationStatus(msgspec.Struct, frozen=True):
    """What the service says of an operation.  Only ``done`` is final; ``error`` is its text when it failed."""

    name: OperationName
    done: bool
    document: DocumentName | None = None
    error: str = ""


class Passage(msgspec.Struct, frozen=True):
    """One passage an answer rests on.  ``title`` is the raw file's id for imported documents."""

    title: str
    text: str
    identity: Identity | None = None


class Support(msgspec.Struct, frozen=True):
    """Which passages (indices) a piece of the answer rests on; byte offsets into the UTF-8 answer."""

    start: int
    end: int
    passages: tuple[int, ...]


class Answer(msgspec.Struct, frozen=True):
    """An answer with the passages it cites."""

    text: str
    passages: tuple[Passage, ...]
    supports: tuple[Support, ...]
    model: str = ""


class Remote(Protocol):
    """The calls that the product makes.  All raise `CallFailed`."""

    async def find_stores(self, display_name: str) -> Sequence[StoreInfo]:
        """All stores of that display name, from one complete listing."""

    async def create_store(self, display_name: str) -> StoreInfo:
        """Make a store.  The service does not refuse a second one of the same name."""

    async def get_store(self, name: StoreName) -> StoreInfo:
        """The store with its counts; `Reason.GONE` or `Reason.FORBIDDEN` when it is not there."""

    async def upload(
        self, name: RawFileName, payload: BinaryIO, *, size_bytes: int, mime_type: str, display_name: str
    ) -> RawFile:
        """Send the bytes under the name we chose.

        The service may ignore the name: use the returned one.  `Reason.EXISTS` when the name is taken.
        """

    async def get_raw(self, name: RawFileName) -> RawFile:
        """The raw file; `Reason.GONE` on 404, `Reason.FORBIDDEN` on 403 (expired, or no permission at all)."""

    async def delete_raw(self, name: RawFileName) -> None:
        """Delete the raw file; the documents made from it stay."""

    async def import_raw(
        self, store: StoreName, name: RawFileName, metadata: Mapping[str, str | float | Sequence[str]]
    ) -> OperationName:
        """Begin to make a document from the raw file.  Every call that arrives makes one more document."""

    async def get_operation(self, name: OperationName) -> OperationStatus:
        """Where an import stands, from its name alone; `Reason.GONE` when the service forgot it."""

    async def get_document(self, name: DocumentName) -> RemoteDocument:
        """The document; `Reason.GONE` when it is not there."""

    async def documents_page(self, store: StoreName, token: str = "") -> DocumentsPage:
        """One page of the store's documents, the first without *token*; `Reason.INVALID_ARGUMENT` for a stale one."""

    async def delete_document(self, name: DocumentName) -> None:
        """Delete the document with its chunks."""

    async def ask(
        self,
        store: StoreName,
        question: str,
        *,
        model: str,
        metadata_filter: str | None = None,
        top_k: int | None = None,
    ) -> Answer:
        """Answer a question from the store's documents."""

    async def list_stores(self) -> Sequence[StoreInfo]:
        """All stores of the project, from one complete listing."""

    async def delete_store(self, name: StoreName) -> None:
        """Delete the store with every document in it; `Reason.GONE` or `Reason.FORBIDDEN` when it is not there."""

    async def aclose(self) -> None:
        """Close the connections."""
