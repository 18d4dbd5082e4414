"""One event of each kind, with the body that is stored for it.

What is stored never changes its meaning: a body here may be added, and an example may get further fields with a body
of its own; a body that is here is not edited.
"""

from __future__ import annotations

from typing import Final

from objlib_fsm.core import events as e
from objlib_fsm.core.ids import DocumentName, EventId, LibraryId, OperationName, RawFileName, RunId, StoreName
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import Call
from objlib_fsm.core.table import Kind

_CALL = EventId("c1")
_RAW = RawFileName("files/r1")
_STORE = StoreName("fileSearchStores/s1")
_DOCUMENT = DocumentName("fileSearchStores/s1/documents/d1")
_OPERATION = OperationName("fileSearchStores/s1/operations/o1")
_HASH = "ab" * 32

STORED: Final[list[tuple[e.Event, str]]] = [
    (
        e.FileDiscovered(LibraryPath("a/é.md"), 5, 1_700_000_000_000_000_000, _HASH, "text/markdown", "", 7, 8, 9),
        '{"path":"a/é.md","size_bytes":5,"mtime_ns":1700000000000000000,"source_hash":"HASH",'
        '"mime_type":"text/markdown","inode":7,"device":8,"taken_at_us":9}',
    ),
    (
        e.FileDiscovered(LibraryPath("big.bin"), excluded="too large"),
        '{"path":"big.bin","excluded":"too large"}',
    ),
    (
        e.ContentChanged(6, 2, _HASH, "text/plain", 7, 8, 9),
        '{"size_bytes":6,"mtime_ns":2,"source_hash":"HASH","mime_type":"text/plain","inode":7,"device":8,'
        '"taken_at_us":9}',
    ),
    (
        e.FileTouched(6, 3, 7, 8, 9),
        '{"size_bytes":6,"mtime_ns":3,"inode":7,"device":8,"taken_at_us":9}',
    ),
    (
        e.FileTouched(6, 3, basis="", archive={"notes": "x"}),
        '{"size_bytes":6,"mtime_ns":3,"basis":"","archive":{"notes":"x"}}',
    ),
    (
        e.FileVanished(),
        "{}",
    ),
    (
        e.FileVanished(7),
        '{"since_us":7}',
    ),
    (
        e.FileReappeared(6, 3, 7, 8, 9),
        '{"size_bytes":6,"mtime_ns":3,"inode":7,"device":8,"taken_at_us":9}',
    ),
    (
        e.FileMoved(LibraryPath("b.md"), 6, 3, 7, 8, 9),
        '{"path":"b.md","size_bytes":6,"mtime_ns":3,"inode":7,"device":8,"taken_at_us":9}',
    ),
    (
        e.FileExcluded("unreadable", 6, 3, 9),
        '{"reason":"unreadable","size_bytes":6,"mtime_ns":3,"taken_at_us":9}',
    ),
    (
        e.FileIncluded(6, 3, 7, 8, 9),
        '{"size_bytes":6,"mtime_ns":3,"inode":7,"device":8,"taken_at_us":9}',
    ),
    (
        e.FileDescribed({"course": "Ethics", "year": 2024, "topics": ("a", "b")}, {"notes": [1, None]}, "b1"),
        '{"metadata":{"course":"Ethics","year":2024,"topics":["a","b"]},"archive":{"notes":[1,null]},"basis":"b1"}',
    ),
    (
        e.FileDescribed({"year": 2024}, of_adopted=True),
        '{"metadata":{"year":2024},"of_adopted":true}',
    ),
    (
        e.FileDescribed(header="Title: a\n\n", payload_hash=_HASH),
        '{"header":"Title: a\\n\\n","payload_hash":"HASH"}',
    ),
    (
        e.FileForgotten(),
        "{}",
    ),
    (
        e.FileTracked(),
        "{}",
    ),
    (
        e.RetryRequested(),
        "{}",
    ),
    (
        e.RetryRequested(automatic=True),
        '{"automatic":true}',
    ),
    (
        e.FileReset(),
        "{}",
    ),
    (
        e.FileAdopted(LibraryPath("a.md")),
        '{"path":"a.md"}',
    ),
    (
        e.FileAdopted(
            LibraryPath("a.md"),
            6,
            3,
            _HASH,
            "text/plain",
            "adopted",
            7,
            (e.DocumentFact(_DOCUMENT, "STATE_ACTIVE", "0123"),),
            8,
            (e.AdoptedRaw(_RAW, "ACTIVE", 6, 9),),
            _OPERATION,
            10,
            "no",
            "indexed",
            ("stale?",),
            {"gemini_state": "indexed"},
            True,
        ),
        '{"path":"a.md","size_bytes":6,"mtime_ns":3,"source_hash":"HASH","mime_type":"text/plain",'
        '"excluded":"adopted","missing_since_us":7,"documents":[{"name":"fileSearchStores/s1/documents/d1",'
        '"state":"STATE_ACTIVE","payload":"0123"}],"listed_at_us":8,"raws":[{"name":"files/r1","state":"ACTIVE",'
        '"size_bytes":6,"expires_at_us":9}],"operation":"fileSearchStores/s1/operations/o1","began_at_us":10,'
        '"failed":"no","verdict":"indexed","doubts":["stale?"],"claim":{"gemini_state":"indexed"},"unknown_bytes":true}',
    ),
    (
        e.FilePruned(),
        "{}",
    ),
    (
        e.StoreReplaced(_STORE),
        '{"store":"fileSearchStores/s1"}',
    ),
    (
        e.UploadIntended(_CALL, _RAW, _HASH, 1, 6, "text/plain", 2, 3),
        '{"call":"c1","raw":"files/r1","payload":"HASH","generation":1,"size_bytes":6,'
        '"mime_type":"text/plain","attempt":2,"batch":3}',
    ),
    (
        e.ImportIntended(_CALL, _RAW, _STORE, _HASH, 2),
        '{"call":"c1","raw":"files/r1","store":"fileSearchStores/s1","payload":"HASH","attempt":2}',
    ),
    (
        e.ImportIntended(_CALL, _RAW, _STORE, _HASH, identity="0123456789abcdef0123"),
        '{"call":"c1","raw":"files/r1","store":"fileSearchStores/s1","payload":"HASH",'
        '"identity":"0123456789abcdef0123"}',
    ),
    (
        e.DocumentDeleteIntended(_CALL, _DOCUMENT, "superseded", 2),
        '{"call":"c1","document":"fileSearchStores/s1/documents/d1","why":"superseded","attempt":2}',
    ),
    (
        e.RawDeleteIntended(_CALL, _RAW, "forgotten", 2),
        '{"call":"c1","raw":"files/r1","why":"forgotten","attempt":2}',
    ),
    (
        e.UploadDone(_CALL, _RAW, _HASH, 1, "ACTIVE", 6, 1_700_000_000_000_000),
        '{"call":"c1","raw":"files/r1","payload":"HASH","generation":1,"state":"ACTIVE","size_bytes":6,'
        '"expires_at_us":1700000000000000}',
    ),
    (
        e.ImportAccepted(_CALL, _OPERATION),
        '{"call":"c1","operation":"fileSearchStores/s1/operations/o1"}',
    ),
    (
        e.DocumentDeleted(_CALL, _DOCUMENT),
        '{"call":"c1","document":"fileSearchStores/s1/documents/d1"}',
    ),
    (
        e.DocumentDeleted(_CALL, _DOCUMENT, False),
        '{"call":"c1","document":"fileSearchStores/s1/documents/d1","found":false}',
    ),
    (
        e.RawDeleted(_CALL, _RAW, False),
        '{"call":"c1","raw":"files/r1","found":false}',
    ),
    (
        e.CallRejected(_CALL, Call.UPLOAD, Reason.INVALID_ARGUMENT, "no", 400, "INVALID_ARGUMENT"),
        '{"call":"c1","what":"upload","reason":"invalid argument","message":"no","code":400,'
        '"status":"INVALID_ARGUMENT"}',
    ),
    (
        e.CallFailed(
            Call.POLL, Outcome.THROTTLED, Reason.RATE_LIMIT, _CALL, 10, "slow down", 429, "RESOURCE_EXHAUSTED"
        ),
        '{"what":"poll operation","outcome":"throttled","reason":"rate limit","call":"c1","due_at_us":10,'
        '"message":"slow down","code":429,"status":"RESOURCE_EXHAUSTED"}',
    ),
    (
        e.CallUncertain(_CALL, Call.IMPORT, Reason.TIMEOUT, 10, "no answer"),
        '{"call":"c1","what":"import","reason":"timeout","due_at_us":10,"message":"no answer"}',
    ),
    (
        e.RawSeen(_RAW, _HASH, 1, "PROCESSING", 6, 11, 2, 10),
        '{"raw":"files/r1","payload":"HASH","generation":1,"state":"PROCESSING","size_bytes":6,'
        '"expires_at_us":11,"polls":2,"first_poll_at_us":10}',
    ),
    (
        e.RawAbsent(_RAW),
        '{"raw":"files/r1"}',
    ),
    (
        e.RawAbsent(_RAW, 10),
        '{"raw":"files/r1","due_at_us":10}',
    ),
    (
        e.RawGone(_RAW, 1, "expired", "may not exist"),
        '{"raw":"files/r1","generation":1,"why":"expired","message":"may not exist"}',
    ),
    (
        e.OperationEnded(_OPERATION, "done", _DOCUMENT, "", 3, 10, 12),
        '{"operation":"fileSearchStores/s1/operations/o1","result":"done",'
        '"document":"fileSearchStores/s1/documents/d1","polls":3,"first_poll_at_us":10,"last_poll_at_us":12}',
    ),
    (
        e.OperationEnded(_OPERATION, "error", message="internal"),
        '{"operation":"fileSearchStores/s1/operations/o1","result":"error","message":"internal"}',
    ),
    (
        e.DocumentSeen(e.DocumentFact(_DOCUMENT, "STATE_ACTIVE", "vov2xk5lvov2xk5l", 10)),
        '{"document":{"name":"fileSearchStores/s1/documents/d1","state":"STATE_ACTIVE",'
        '"payload":"vov2xk5lvov2xk5l","created_at_us":10}}',
    ),
    (
        e.DocumentGone(_DOCUMENT),
        '{"document":"fileSearchStores/s1/documents/d1"}',
    ),
    (
        e.DocumentsListed(10, (e.DocumentFact(_DOCUMENT, "STATE_PENDING"),)),
        '{"began_at_us":10,"documents":[{"name":"fileSearchStores/s1/documents/d1","state":"STATE_PENDING"}]}',
    ),
    (
        e.DocumentsListed(10),
        '{"began_at_us":10}',
    ),
    (
        e.StrayFound(9, (e.DocumentFact(_DOCUMENT, "STATE_ACTIVE", "ab" * 10, 5, _RAW),)),
        '{"began_at_us":9,"documents":[{"name":"fileSearchStores/s1/documents/d1","state":"STATE_ACTIVE",'
        '"payload":"abababababababababab","created_at_us":5,"raw":"files/r1"}]}',
    ),
    (
        e.FileIndexed(_DOCUMENT),
        '{"document":"fileSearchStores/s1/documents/d1"}',
    ),
    (
        e.DocumentClaimed(_DOCUMENT),
        '{"document":"fileSearchStores/s1/documents/d1"}',
    ),
    (
        e.StartedOver("the raw file is gone"),
        '{"why":"the raw file is gone"}',
    ),
    (
        e.GaveUp("invalid argument", "no"),
        '{"cause":"invalid argument","message":"no"}',
    ),
    (
        e.LibraryCreated(LibraryId("l1")),
        '{"library":"l1"}',
    ),
    (
        e.LibraryRooted("/home/me/notes"),
        '{"root":"/home/me/notes"}',
    ),
    (
        e.StoreCreateIntended(_CALL, "objlib"),
        '{"call":"c1","display_name":"objlib"}',
    ),
    (
        e.StoreCreateEnded(_CALL, Outcome.DONE, _STORE),
        '{"call":"c1","outcome":"done","store":"fileSearchStores/s1"}',
    ),
    (
        e.StorePinned(_STORE, "objlib", "gemini"),
        '{"store":"fileSearchStores/s1","display_name":"objlib","service":"gemini"}',
    ),
    (
        e.StoreCompared(_STORE, 9, 3, 2),
        '{"store":"fileSearchStores/s1","began_at_us":9,"ours":3,"foreign":2}',
    ),
    (
        e.StoreDeleteIntended(_CALL, _STORE),
        '{"call":"c1","store":"fileSearchStores/s1"}',
    ),
    (
        e.StoreDeleteEnded(_CALL, _STORE, Outcome.DONE),
        '{"call":"c1","store":"fileSearchStores/s1","outcome":"done"}',
    ),
    (
        e.RunStarted(RunId("r1"), "host", 42, "0.1.0", {"concurrency": 7, "yes": True}),
        '{"run":"r1","host":"host","pid":42,"version":"0.1.0","options":{"concurrency":7,"yes":true}}',
    ),
    (
        e.RunEnded(RunId("r1"), 0, {"indexed": 3}),
        '{"run":"r1","exit_code":0,"counts":{"indexed":3}}',
    ),
    (
        e.BatchStarted(1, 150),
        '{"batch":1,"files":150}',
    ),
    (
        e.BatchEnded(1, 150, 149, 1, 10),
        '{"batch":1,"files":150,"succeeded":149,"failed":1,"started_at_us":10}',
    ),
    (
        e.PaceLearned("gemini", "tier1", 42.5, 60.0),
        '{"service":"gemini","tier":"tier1","rpm":42.5,"refused_rpm":60.0}',
    ),
    (
        e.RateLimitsSeen("gemini", {"x-ratelimit-limit": "60"}, 3, 10, 20),
        '{"service":"gemini","headers":{"x-ratelimit-limit":"60"},"replies":3,"first_at_us":10,"last_at_us":20}',
    ),
    (
        e.LeaseTaken(1, RunId("r1"), "host", 42, 1234, "boot"),
        '{"epoch":1,"run":"r1","host":"host","pid":42,"process_started":1234,"boot_id":"boot"}',
    ),
    (
        e.LeaseRenewed(1),
        '{"epoch":1}',
    ),
    (
        e.LeaseReleased(1),
        '{"epoch":1}',
    ),
]

EXAMPLES: Final[dict[Kind, e.Event]] = {event.kind: event for event, _ in reversed(STORED)}
"""One event of each kind."""


def body_of(written: str) -> bytes:
    """A body of `STORED` as bytes; there ``HASH`` stands for a hash of 64 digits."""
    return written.replace("HASH", _HASH).encode()
