"""When: backoff, attempts, deadlines, as arithmetic on (record, now).

Every figure says where it comes from; nothing reads a clock.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec

from objlib_fsm.core.outcomes import Failure, Reason
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import State

SECOND_US: Final = 1_000_000

ATTEMPTS_PER_PASS: Final = 5
"""Attempts at one step before the file steps back: what a backoff of seconds did not get over lasts longer."""

PASSES: Final = 2
"""What a passing cause spoilt gets a second pass, as the earlier tool's retry pass did (36 of 38 then succeeded)."""

SECOND_PASS_DELAY_S: Final = 30.0
"""How long a file steps back before its second pass."""

ATTEMPTS_MAX: Final = ATTEMPTS_PER_PASS * PASSES
"""After this many failed attempts at one step the file has failed."""

BACKOFF_BASE_S: Final = 1.0
"""Upper end of the first full-jitter delay."""

BACKOFF_MAX_S: Final = 60.0
"""Upper end of any full-jitter delay."""

RETRY_AFTER_MAX_S: Final = 86_400.0
"""A day, the longest that a quota of the service lasts: what a server asks for beyond it is taken for a mistake."""

SETBACKS_MAX: Final = 3
"""Documents or raw files of one payload that the service may give up before we do."""

FAILURES_MAX: Final = 3
"""Runs in a row that may give a file up; then it is parked until a person asks for it again."""

SETTLE_S: Final = 60.0
"""An absent document counts only in a complete listing begun at least this long after the call: an
import without an answer may still arrive.  Many times the 1.4-2.5 s after which listings were seen to show one."""

SHOWN_S: Final = 5.0
"""By then a listing shows the document of an import that arrived (1.4-2.5 s were measured); it proves nothing else."""

ACTIVE_WAIT_FIRST_S: Final = 2.0
ACTIVE_WAIT_MAX_S: Final = 30.0
ACTIVE_WAIT_TOTAL_S: Final = 300.0
"""Waiting for a raw file to become ACTIVE: 2 s growing to 30 s, 300 s in all."""

POLL_FIRST_S: Final = 5.0
POLL_MAX_S: Final = 60.0
POLL_TOTAL_S: Final = 3_600.0
"""Polling an operation: 5 s growing to 60 s; 3,600 s end the operation, not the document."""

LISTING_AFTER_S: Final = 60.0
"""From this age on a shared listing may confirm a document."""

LISTING_EVERY_S: Final = 60.0
"""One shared listing a minute serves all who wait."""

GROWTH: Final = 1.5
"""Each wait is this much longer than the one before: the eighth is the first of 30 s from 2 s, and of 60 s from 5 s."""

LATER_S: Final = 600.0
"""A wait that has used up its time in this run is taken up again after this long; a timeout is unknown, not failed."""

DOCUMENT_WAIT_TOTAL_S: Final = 300.0
"""Waiting for a document to leave STATE_PENDING, 5 s growing to 60 s, before the file steps back for `LATER_S`."""

DELETIONS_MAX: Final = 100
DELETIONS_SHARE: Final = 10
"""A tenth of the library's documents, and never more than a hundred, may go without typed consent: a mistake that takes
more than that is noticed before it is made (an earlier tool wiped 818 files by one)."""

EXPIRY_MARGIN_S: Final = 600.0
"""A raw file this near its server's expiration time is looked up before it is relied on."""

WAIT_S_MIN: Final = 0.05
"""Shorter waits would only load the service."""

WAIT_S_MAX: Final = 86_400.0
"""A day: who waits longer than that for one answer wants another run."""

_Seconds = Annotated[float, msgspec.Meta(ge=WAIT_S_MIN, le=WAIT_S_MAX)]


class Waits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a run waits for the service, in seconds; the defaults are the figures above.

    Each wait begins with ``first`` and grows to ``max``; after ``total`` the file steps back.  Raises `ValueError` for
    waits that shrink.
    """

    active_first_s: Annotated[_Seconds, msgspec.Meta(description="First wait for a raw file to become ACTIVE.")] = (
        ACTIVE_WAIT_FIRST_S
    )
    active_max_s: Annotated[_Seconds, msgspec.Meta(description="Longest wait between two looks at a raw file.")] = (
        ACTIVE_WAIT_MAX_S
    )
    active_total_s: Annotated[_Seconds, msgspec.Meta(description="Waiting for a raw file, in all.")] = (
        ACTIVE_WAIT_TOTAL_S
    )
    poll_first_s: Annotated[_Seconds, msgspec.Meta(description="First wait for an operation or a document.")] = (
        POLL_FIRST_S
    )
    poll_max_s: Annotated[_Seconds, msgspec.Meta(description="Longest wait between two polls.")] = POLL_MAX_S
    poll_total_s: Annotated[
        _Seconds, msgspec.Meta(description="Polling an operation, in all; then its document is looked for.")
    ] = POLL_TOTAL_S
    document_total_s: Annotated[_Seconds, msgspec.Meta(description="Waiting for a pending document, in all.")] = (
        DOCUMENT_WAIT_TOTAL_S
    )
    listing_after_s: Annotated[
        _Seconds, msgspec.Meta(description="From this age of an import on a shared listing may answer too.")
    ] = LISTING_AFTER_S
    listing_every_s: Annotated[
        _Seconds, msgspec.Meta(description="How old a shared listing may be to serve one more file.")
    ] = LISTING_EVERY_S

    def __post_init__(self) -> None:
        for what in ("active", "poll"):
            first_s, max_s, total_s = (getattr(self, f"{what}_{part}_s") for part in ("first", "max", "total"))
            if not first_s <= max_s <= total_s:
                raise ValueError(f"{what}_first_s <= {what}_max_s <= {what}_total_s must hold")


CLOCK_SLACK_S: Final = 3_600.0
"""A recorded time further ahead than this is not waited for: an hour is longer than any listing or difference between
well-kept clocks."""


EXPIRED_S: Final = 3_600.0
"""A raw file that was seen so shortly ago was lost and has not expired, whatever the local clock says: they live for 48
hours.  A loss counts as a setback, so that losing again and again has an end."""


def growing_wait_s(polls: int, first_s: float, max_s: float) -> float:
    """The wait before look-up number ``polls + 1``: *first_s*, growing by `GROWTH` up to *max_s*."""
    wait_s = first_s
    for _ in range(polls):
        wait_s *= GROWTH
        if wait_s >= max_s:
            return max_s
    return min(wait_s, max_s)


def jitter(key: str) -> float:
    """A number in [0, 1) that depends on nothing but *key*.

    Spreads files that failed together, and is the same at every replay.
    """
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / (1 << 48)


def backoff_s(key: str, attempt: int) -> float:
    """Full jitter: uniform in [0, min(`BACKOFF_MAX_S`, `BACKOFF_BASE_S` * 2 ** (attempt - 1))]."""
    ceiling: float = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** min(attempt - 1, 10))
    return ceiling * jitter(f"{key}/{attempt}")


def retry_delay_s(record: FileRecord, failure: Failure) -> float:
    """How long after its next failed attempt the file waits: backoff, or the server's delay if that is longer.

    After `ATTEMPTS_PER_PASS` attempts the file steps back for `SECOND_PASS_DELAY_S`, after `ATTEMPTS_MAX`, or when the
    attempt has itself waited in vain, for `LATER_S`.
    """
    attempt = record.attempts + record.look_ups + 1
    if attempt > ATTEMPTS_MAX or failure.reason is Reason.STILL_WAITING:
        delay_s = LATER_S
    elif attempt % ATTEMPTS_PER_PASS == 0:
        delay_s = SECOND_PASS_DELAY_S
    else:
        delay_s = backoff_s(record.stream, attempt % ATTEMPTS_PER_PASS)
    return min(max(delay_s, failure.retry_after_s or 0.0), RETRY_AFTER_MAX_S)


def deletions_max(documents: int, given: int | None = None) -> int:
    """How many of the library's *documents* one command may delete, or send again, without typed consent.

    A tenth, at least one and at most `DELETIONS_MAX`, unless somebody has *given* another number.
    """
    return given if given is not None else max(1, min(DELETIONS_MAX, documents // DELETIONS_SHARE))


def between_passes(record: FileRecord) -> bool:
    """Whether the file has used up the attempts of a pass and waits for its next one."""
    failed = record.attempts + record.look_ups
    return record.due_at_us is not None and 0 < failed < ATTEMPTS_MAX and failed % ATTEMPTS_PER_PASS == 0


def is_ahead(at_us: int, now_us: int) -> bool:
    """Whether that time was recorded by a clock that has been put back since: it says nothing of how long ago it was.

    Another machine's clock may differ by minutes, and a listing is dated by its beginning.
    """
    return at_us > now_us + round(CLOCK_SLACK_S * SECOND_US)


def after_s(at_us: int, delay_s: float) -> int:
    """*at_us* and *delay_s* later, in microseconds."""
    return at_us + round(delay_s * SECOND_US)


def parked(record: FileRecord) -> bool:
    """Whether the file was given up so often that only a person's explicit wish brings it back."""
    return record.state is State.FAILED and record.failures >= FAILURES_MAX
