"""Files that an earlier tool has left behind: what it said of each, and what the service really holds."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.ids import DocumentName, RawFileName, payload_id
from objlib_fsm.core.paths import LibraryPath
from tests.core.service import STORE, Clock, Service, content_hash

HASH: Final = content_hash(0)
RAW: Final = RawFileName("files/legacy000001")
PAYLOAD: Final = payload_id(HASH)
CLAIM: Final = {"gemini_state": "indexed", "gemini_file_id": RAW}


class Left(enum.Enum):
    """How the earlier tool left the file."""

    CONFIRMED = "its document was seen ACTIVE, with a duplicate and a FAILED one"
    PENDING = "its document was seen PENDING"
    NAMED = "its document is named, nobody has looked"
    NAMED_WRONGLY = "another document is named than there is, nobody has looked"
    LOST = "its document is named and is not there, nobody has looked"
    UNNAMED = "only its raw file is named, nobody has looked"
    OF_OTHER_BYTES = "its document was seen ACTIVE, of nobody knows which bytes"
    GIVEN_UP = "its raw file is named, of nobody knows which bytes, nobody has looked"
    UNDER_WAY = "an import is under way"
    UPLOADED = "its raw file was seen ACTIVE"
    FAILED = "given up"
    MISSING = "not on disk, its document was seen ACTIVE"
    SKIPPED = "left out"


def adopted(left: Left, service: Service, clock: Clock) -> e.FileAdopted:
    """The event, with a service that holds what it should."""
    now_us = clock.real_us
    event = e.FileAdopted(
        LibraryPath("a.md"), 8, 1, HASH, "text/markdown", raws=(e.AdoptedRaw(RAW),), verdict=left.value, claim=CLAIM
    )
    listed = {"listed_at_us": clock.now_us}

    def document(state: str = "STATE_ACTIVE", payload: str = PAYLOAD) -> e.DocumentFact:
        _, made = service.import_raw(payload, now_us, 0)
        made.fate = state if state != "STATE_PENDING" else "STATE_ACTIVE"
        return e.DocumentFact(made.name, state, payload)

    def named(name: DocumentName) -> e.DocumentFact:
        return e.DocumentFact(name, "", PAYLOAD)

    match left:
        case Left.CONFIRMED:
            more = {"documents": (document(), document(), document("STATE_FAILED")), **listed}
        case Left.PENDING:
            more = {"documents": (document("STATE_PENDING"),), **listed}
        case Left.NAMED:
            more = {"documents": (named(document().name),)}
        case Left.NAMED_WRONGLY:
            document()
            more = {"documents": (named(DocumentName(f"{STORE}/documents/lost")),)}
        case Left.LOST:
            more = {"documents": (named(DocumentName(f"{STORE}/documents/lost")),)}
        case Left.UNNAMED:
            document()
            more = {}
        case Left.OF_OTHER_BYTES:
            more = {"documents": (document(payload=""), document(payload="")), "unknown_bytes": True, **listed}
        case Left.GIVEN_UP:
            document(payload="")
            more = {"unknown_bytes": True}
        case Left.UNDER_WAY:
            operation, _ = service.import_raw(PAYLOAD, now_us, 0)
            more = {"operation": operation.name, "began_at_us": clock.now_us, **listed}
        case Left.UPLOADED:
            raw = service.upload(RAW, HASH, now_us, own_name=False)
            assert raw is not None
            more = {"raws": (e.AdoptedRaw(RAW, "ACTIVE", 8, raw.expires_us),), **listed}
        case Left.FAILED:
            more = {"failed": "400 Failed to create file.", **listed}
        case Left.MISSING:
            more = {"documents": (document(),), "missing_since_us": 7, **listed}
        case Left.SKIPPED:
            more = {"excluded": "adopted", "raws": (), **listed}
    return msgspec.structs.replace(event, **more)
