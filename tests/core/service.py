"""The service as a pure model: what it holds, when it would show it, and what it does late.

Times are microseconds of the world (`Clock.real_us`), which only ever go forward; what the program's wall clock says
is another matter.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Final

from objlib_fsm.core.ids import DocumentName, OperationName, RawFileName, StoreName

SECOND_US: Final = 1_000_000
STORE: Final = StoreName("fileSearchStores/library-abc")
START_US: Final = 1_800_000_000 * SECOND_US
RAW_LIFE_US: Final = 48 * 3600 * SECOND_US


class Clock:
    """The world's time, and what the program's wall clock says.

    The wall clock may be set back; that it is set forward cannot be told from time that passed, so it is not.
    """

    def __init__(self) -> None:
        self.real_us = START_US
        self.behind_us = 0

    @property
    def now_us(self) -> int:
        """What the wall clock says."""
        return self.real_us - self.behind_us

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.real_us += round(seconds * SECOND_US)


def content_hash(content: int) -> str:
    """The hash of one of the contents that a file can have."""
    return hashlib.sha256(b"content %d" % content).hexdigest()


@dataclasses.dataclass
class StoredRaw:
    """A raw file: there from ``arrives_us`` on, in its final state from ``ready_us`` on."""

    name: RawFileName
    payload: str
    arrives_us: int
    ready_us: int
    fate: str = "ACTIVE"
    gone_us: int | None = None
    missed: bool = False
    """Asked for or deleted before it arrived."""

    @property
    def expires_us(self) -> int:
        return self.arrives_us + RAW_LIFE_US

    def there(self, now_us: int) -> bool:
        return self.arrives_us <= now_us < min(self.expires_us, self.gone_us or self.expires_us)

    def state(self, now_us: int) -> str:
        return self.fate if now_us >= self.ready_us else "PROCESSING"


@dataclasses.dataclass
class StoredDocument:
    """A document: there from ``made_us`` on, shown by look-ups from ``shown_us`` on."""

    name: DocumentName
    payload: str
    made_us: int
    shown_us: int
    ready_us: int
    fate: str = "STATE_ACTIVE"
    deleted_us: int | None = None

    def live(self, now_us: int) -> bool:
        return self.made_us <= now_us and (self.deleted_us is None or now_us < self.deleted_us)

    def shown(self, now_us: int, lag_us: int = 0) -> bool:
        return self.shown_us <= now_us and (self.deleted_us is None or now_us < self.deleted_us + lag_us)

    def state(self, now_us: int) -> str:
        return self.fate if now_us >= self.ready_us else "STATE_PENDING"


@dataclasses.dataclass
class StoredOperation:
    """An import operation: says ``result`` from ``ends_us`` on; None is "never done"."""

    name: OperationName
    document: DocumentName | None
    ends_us: int | None
    result: str = "done"


class Service:
    """Everything that one store holds of one file."""

    def __init__(self) -> None:
        self.raws: dict[RawFileName, StoredRaw] = {}
        self.documents: dict[DocumentName, StoredDocument] = {}
        self.operations: dict[OperationName, StoredOperation] = {}
        self._count = 0

    def _number(self) -> int:
        self._count += 1
        return self._count

    def upload(self, name: RawFileName, payload: str, at_us: int, *, own_name: bool) -> StoredRaw | None:
        """The bytes arrive at *at_us*; None when the name is taken.  *own_name*: the service ignores ours."""
        if own_name:
            name = RawFileName(f"files/own-{self._number()}")
        taken = self.raws.get(name)
        if taken is not None and (taken.there(at_us) or taken.arrives_us > at_us):
            return None
        raw = self.raws[name] = StoredRaw(name, payload, at_us, at_us)
        return raw

    def import_raw(self, identity: str, at_us: int, shown_after_us: int) -> tuple[StoredOperation, StoredDocument]:
        """An import arrives at *at_us*; its document carries *identity* and shows *shown_after_us* later."""
        number = self._number()
        document = StoredDocument(
            DocumentName(f"{STORE}/documents/d{number}"), identity, at_us, at_us + shown_after_us, at_us
        )
        operation = StoredOperation(OperationName(f"{STORE}/operations/o{number}"), document.name, at_us)
        self.documents[document.name] = document
        self.operations[operation.name] = operation
        return operation, document

    def delete_document(self, name: DocumentName, at_us: int) -> bool:
        """A deletion arrives at *at_us*; False when there was nothing to delete."""
        document = self.documents.get(name)
        if document is None or not document.live(at_us):
            return False
        document.deleted_us = at_us
        return True

    def delete_raw(self, name: RawFileName, at_us: int) -> bool:
        """A deletion arrives at *at_us*; False when there was nothing to delete."""
        raw = self.look_up_raw(name, at_us)
        if raw is None:
            return False
        raw.gone_us = at_us
        return True

    def look_up_raw(self, name: RawFileName, at_us: int) -> StoredRaw | None:
        """The raw file, if it is there."""
        raw = self.raws.get(name)
        if raw is None or raw.there(at_us):
            return raw
        raw.missed = raw.missed or at_us < raw.arrives_us
        return None

    def listed(self, now_us: int, lag_us: int = 0) -> Iterator[StoredDocument]:
        """What a complete listing begun now would show; deleted documents linger for *lag_us*."""
        return (document for document in self.documents.values() if document.shown(now_us, lag_us))

    def live(self, now_us: int) -> set[DocumentName]:
        """Every document that is there."""
        return {document.name for document in self.documents.values() if document.live(now_us)}

    def lose_everything(self, at_us: int) -> None:
        """The store is gone with its documents, those on their way included; raw files belong to no store."""
        for document in self.documents.values():
            document.deleted_us = min(document.deleted_us or at_us, max(at_us, document.made_us))

    def behave(self, now_us: int) -> None:
        """From now on everything ends well and soon; what is on its way still arrives."""
        for raw in self.raws.values():
            if raw.state(now_us) == "PROCESSING":
                raw.ready_us, raw.fate = min(raw.ready_us, now_us + 20 * SECOND_US), "ACTIVE"
        for document in self.documents.values():
            if document.state(now_us) == "STATE_PENDING":
                document.ready_us, document.fate = min(document.ready_us, now_us + 20 * SECOND_US), "STATE_ACTIVE"
        for operation in self.operations.values():
            if operation.ends_us is None or operation.ends_us > now_us:
                operation.ends_us, operation.result = now_us + 20 * SECOND_US, "done"
