"""What a record knows after one history that has everything in it, and the finer points of single events."""

from __future__ import annotations

from typing import Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.fold import FOLD_VERSION, apply, digest, new_record
from objlib_fsm.core.ids import DocumentName, EventId, OperationName, RawFileName, StreamId, payload_id
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import Call
from objlib_fsm.core.table import FILE_KINDS
from tests.core.service import SECOND_US, STORE, content_hash

A, B, C = content_hash(0), content_hash(1), content_hash(2)
RAW_A, RAW_A1, RAW_B, RAW_D = (RawFileName(f"files/{name}") for name in ("a0", "a1", "b0", "d"))
DOC_A, DOC_B, DOC_C, DOC_D = (DocumentName(f"{STORE}/documents/{name}") for name in ("a", "b", "c", "d"))
OP_A, OP_B = (OperationName(f"{STORE}/operations/{name}") for name in ("a", "b"))


def call(number: int) -> EventId:
    return EventId(f"call{number}")


def seen(document: DocumentName, state: str, content: str, created: int = 7) -> e.DocumentFact:
    return e.DocumentFact(document, state, payload_id(content), created)


LIFE: Final[list[e.Event]] = [
    e.FileDiscovered(LibraryPath("a.md"), 5, 1, A, "text/markdown", "", 2, 3, 4),
    e.FileTouched(5, 2, 2, 3, 5),
    e.UploadIntended(call(1), RAW_A, A, 0, 5, "text/markdown", 1, 9),
    e.CallUncertain(call(1), Call.UPLOAD, Reason.TIMEOUT, 30, "no answer"),
    e.RawAbsent(RAW_A),
    e.UploadIntended(call(2), RAW_A, A, 0, 5, "text/markdown", 2, 9),
    e.UploadDone(call(2), RAW_A, A, 0, "PROCESSING", 5, 9_000_000_000),
    e.RawSeen(RAW_A, A, 0, "ACTIVE", 5, 9_000_000_000, 3, 8),
    e.ImportIntended(call(3), RAW_A, STORE, A),
    e.CallFailed(Call.IMPORT, Outcome.UNAVAILABLE, Reason.SERVER_ERROR, call(3), 40, "overloaded", 503),
    e.ImportIntended(call(4), RAW_A, STORE, A, 2),
    e.ImportAccepted(call(4), OP_A),
    e.OperationEnded(OP_A, "error", None, "internal", 2, 10, 12),
    e.DocumentsListed(200 * SECOND_US, (seen(DOC_A, "STATE_FAILED", A),)),
    e.DocumentDeleteIntended(call(5), DOC_A, "dead"),
    e.DocumentDeleted(call(5), DOC_A),
    e.RawGone(RAW_A, 0, "expired", "may not exist"),
    e.StartedOver("no document, and the raw file is gone"),
    e.UploadIntended(call(6), RAW_A1, A, 1, 5, "text/markdown", 1, 10),
    e.CallRejected(call(6), Call.UPLOAD, Reason.INVALID_ARGUMENT, "no", 400),
    e.GaveUp("invalid argument", "no"),
    e.RetryRequested(),
    e.FileExcluded("unreadable", 5, 2, 6),
    e.FileIncluded(5, 2, 2, 3, 7),
    e.FileVanished(),
    e.FileReappeared(5, 3, 2, 3, 8),
    e.FileMoved(LibraryPath("b.md"), 5, 4, 2, 3, 9),
    e.ContentChanged(6, 5, B, "text/plain", 2, 3, 10),
    e.UploadIntended(call(7), RAW_B, B, 0, 6, "text/plain", 1, 11),
    e.UploadDone(call(7), RAW_B, B, 0, "ACTIVE", 6),
    e.ImportIntended(call(8), RAW_B, STORE, B),
    e.ImportAccepted(call(8), OP_B),
    e.OperationEnded(OP_B, "done", DOC_B, "", 1, 20, 20),
    e.DocumentSeen(seen(DOC_B, "STATE_ACTIVE", B)),
    e.FileIndexed(DOC_B),
    e.DocumentsListed(400 * SECOND_US, (seen(DOC_B, "STATE_ACTIVE", B), seen(DOC_C, "STATE_PENDING", B, 9))),
    e.DocumentGone(DOC_B),
    e.StartedOver("the store lost its document"),
    e.DocumentClaimed(DOC_C),
    e.FileForgotten(),
    e.RawDeleteIntended(call(9), RAW_B, "forgotten"),
    e.RawDeleted(call(9), RAW_B),
    e.FileTracked(),
    e.FileDescribed({"year": 2024}, {"notes": "x"}, "b1", "Title: b\n", C),
    e.FileReset(),
    e.FileVanished(),
    e.FilePruned(),
    e.FileAdopted(
        LibraryPath("b.md"), 5, 1, A, documents=(seen(DOC_D, "", A),), raws=(e.AdoptedRaw(RAW_D),), missing_since_us=3
    ),
    e.StrayFound(500 * SECOND_US, (msgspec.structs.replace(seen(DOC_A, "STATE_ACTIVE", A), raw=RAW_A),)),
    e.StoreReplaced(STORE),
]


def test_the_life_has_everything_in_it() -> None:
    assert {event.kind for event in LIFE} == set(FILE_KINDS)


def test_the_fold_of_what_is_stored_never_changes_unnoticed() -> None:
    """A projection is only as good as the fold it was written by.

    When this fails because the fold now gives another record, raise `FOLD_VERSION`, so that projections are rebuilt,
    and put the new record here.
    """
    moments = [new_record(StreamId("s"))]
    for at, event in enumerate(LIFE, 1):
        moments.append(apply(moments[-1], event, at * 10 * SECOND_US))
    assert FOLD_VERSION == 2
    assert msgspec.json.decode(msgspec.json.encode(moments[-1])) == EXPECTED
    assert digest(moments) == ON_THE_WAY


ON_THE_WAY: Final = "2b68095392f16c68f9f770231f7b0df2b4dabb76e3001a6e29c8fe9307010ae6"
"""The digest of all moments: two folds may come to the same end on different ways."""

EXPECTED: Final = {
    "stream": "s",
    "version": 50,
    "since_us": 400000000,
    "path": "b.md",
    "size_bytes": 6,
    "mtime_ns": 5,
    "inode": 2,
    "device": 3,
    "source_hash": B,
    "payload_hash": C,
    "header": "Title: b\n",
    "metadata": {"year": 2024},
    "metadata_hash": "cd6015925dbbefe14b4dc4c36503ec36128b69f45e7d3932c243eea503bf1c58",
    "basis": "b1",
    "resets": 1,
    "mime_type": "text/plain",
    "adopted": "adopted",
    "present": False,
    "missing_since_us": 460000000,
    "checked_at_us": 10,
    "raws": [
        {
            "name": "files/a0",
            "payload": A,
            "generation": 0,
            "state": "GONE",
            "size_bytes": 5,
            "expires_at_us": 9000000000,
            "seen_at_us": 80000000,
        },
        {"name": "files/a1", "payload": A, "generation": 1, "state": ""},
        {"name": "files/b0", "payload": B, "generation": 0, "state": "GONE", "size_bytes": 6, "seen_at_us": 300000000},
        {"name": "files/d", "payload": A, "generation": 0, "state": ""},
    ],
    "documents": [
        {
            "name": DOC_A,
            "state": "STATE_ACTIVE",
            "role": "gone",
            "payload": payload_id(A),
            "created_at_us": 7,
            "seen_at_us": 500000000,
            "raw": "files/a0",
        },
        {
            "name": DOC_B,
            "state": "STATE_ACTIVE",
            "role": "gone",
            "payload": payload_id(B),
            "created_at_us": 7,
            "seen_at_us": 370000000,
        },
        {
            "name": DOC_C,
            "state": "STATE_PENDING",
            "role": "gone",
            "payload": payload_id(B),
            "created_at_us": 9,
            "seen_at_us": 500000000,
        },
        {
            "name": DOC_D,
            "state": "",
            "role": "gone",
            "payload": payload_id(A),
            "created_at_us": 7,
            "seen_at_us": 500000000,
        },
    ],
    "last_import_at_us": 320000000,
    "listed_at_us": 400000000,
    "batch": 11,
    "pruned": True,
}
