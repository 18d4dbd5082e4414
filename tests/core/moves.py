"""What can happen in a walk: steps that can be taken in any situation, so that lists of them shrink well."""

from __future__ import annotations

import enum

import msgspec


class How(enum.Enum):
    """What becomes of one performed effect."""

    WELL = "done"
    SLOWLY = "done, the document or the raw file later"
    BADLY = "done, then the service gives up what it made"
    OPERATION_LIES = "done, the operation says error"
    OPERATION_SILENT = "done, the operation never says anything"
    OTHER_NAME = "done, under a name of the service's own"
    NAME_TAKEN = "the raw file's name holds other bytes"
    NAME_BLOCKED = "the raw file's name is taken, and nothing is to be seen under it"
    REJECTED = "refused"
    THROTTLED = "too fast"
    REFUSED_NOW = "nothing was done"
    BROKEN = "answered with a fault, done all the same"
    CUT_DONE = "no answer, done"
    CUT_LATE = "no answer, done later"
    CUT_LOST = "no answer, not done"
    HALTED = "the key does not work"
    CRASH_DONE = "done, the program dies before it writes so"
    CRASH_LATE = "the program dies, done later"
    CRASH_LOST = "the program dies, not done"
    REPORT_LATE = "done, the report comes much later"
    STALE = "answered from the last listing that was taken"


class Op(enum.Enum):
    """What happens next."""

    PERFORM = "the shell performs the next effect"
    PERFORM_AMID = "the same, and something else happens before it is answered"
    STORM = "the shell performs effect after effect, and all end so"
    REPORT = "a report that was late arrives, perhaps again"
    PASS = "time passes"
    BACK = "the wall clock is set back"
    SNAPSHOT = "somebody takes a listing that others may use"
    CHANGE = "other bytes"
    VANISH = "gone from disk"
    REAPPEAR = "back"
    EXCLUDE = "left out"
    INCLUDE = "no longer left out"
    DESCRIBE = "other metadata, sometimes with a header before the bytes"
    MOVE = "moved"
    TOUCH = "touched"
    FORGET = "forgotten"
    TRACK = "tracked"
    RETRY = "retried"
    RETRY_FAILED = "retried with all that failed"
    PRUNE = "what is missing or left out is to leave the store"
    REPLACE = "the store is gone, another one takes its place"
    RESET = "reset"
    RAW_DIES = "a raw file expires early"
    AUDIT = "somebody compares the file with a complete listing"
    DOCUMENT_LOST = "somebody else deletes a document"
    DOCUMENT_FLIPS = "a document that was ACTIVE becomes FAILED"


class Step(msgspec.Struct, frozen=True):
    """One step; ``n`` picks among what there is, ``after_s`` is how long it takes."""

    op: Op
    how: How = How.WELL
    n: int = 0
    after_s: float = 0.0
