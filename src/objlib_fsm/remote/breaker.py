"""What answers teach: whether to call at all, how many at once, how fast, and when to give up.

Each is a value; each answer makes the next one.  Times are monotonic seconds.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from typing import Final

import msgspec

from objlib_fsm.core.outcomes import Failure, Outcome, Reason

# ---- the breaker -----------------------------------------------------------------------------------------------------

REMEMBERED: Final = 100
"""Requests that the share of 429s is taken of; also while there were fewer."""

THROTTLED_MAX: Final = 5
"""429s among them that are borne; one more opens the breaker."""

IN_A_ROW: Final = 3
"""As many 429s without anything else between them open it at once."""

OPEN_S: Final = 300.0
"""How long nothing is begun then."""

PROBES_MAX: Final = 3
"""Refused probes after which the run ends: a quarter of an hour, and the service's longest short window is ten
minutes (spending)."""

_MASK: Final = (1 << REMEMBERED) - 1


class State(enum.StrEnum):
    """Of the breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


SLOWER: Final = {State.CLOSED: 1.0, State.HALF_OPEN: 1.5, State.OPEN: 3.0}
"""What intervals are multiplied by."""


class Breaker(msgspec.Struct, frozen=True):
    """Stops calls that change something while the service refuses them as too many.

    ``recent`` has a bit for each of the last requests, 1 for a 429.  It is forgotten when the breaker opens: an old
    429 does not open it twice.
    """

    state: State = State.CLOSED
    recent: int = 0
    row: int = 0
    opened_at: float = 0.0
    probing: bool = False
    refused_probes: int = 0


def at(breaker: Breaker, now: float) -> Breaker:
    """The breaker at that time: open ones become half-open."""
    if breaker.state is State.OPEN and now - breaker.opened_at >= OPEN_S:
        return msgspec.structs.replace(breaker, state=State.HALF_OPEN, probing=False)
    return breaker


def may_begin(breaker: Breaker) -> bool:
    """Whether a call may begin: always when closed, one at a time when half-open."""
    return breaker.state is State.CLOSED or (breaker.state is State.HALF_OPEN and not breaker.probing)


def probe_begun(breaker: Breaker) -> Breaker:
    """After a call began; when half-open it is the probe."""
    return msgspec.structs.replace(breaker, probing=breaker.state is State.HALF_OPEN)


def probe_ended(breaker: Breaker) -> Breaker:
    """After the probe's call, answered or not: another may begin."""
    return msgspec.structs.replace(breaker, probing=False)


def answered(breaker: Breaker, now: float, *, throttled: bool, done: bool, probe: bool) -> Breaker:
    """After an answer.  Errors other than 429 count as requests and change nothing else."""
    if probe and breaker.state is State.HALF_OPEN:
        if throttled:
            return Breaker(State.OPEN, opened_at=now, refused_probes=breaker.refused_probes + 1)
        return Breaker() if done else msgspec.structs.replace(breaker, probing=False)
    if breaker.state is not State.CLOSED:
        return breaker
    recent = (breaker.recent << 1 | throttled) & _MASK
    row = breaker.row + 1 if throttled else 0
    if recent.bit_count() > THROTTLED_MAX or row >= IN_A_ROW:
        return Breaker(State.OPEN, opened_at=now)
    return Breaker(recent=recent, row=row)


# ---- how many at once ------------------------------------------------------------------------------------------------

CONCURRENCY_MIN: Final = 3
"""The breaker does not halve below this."""

SUCCESSES_PER_STEP: Final = 20
"""Successes after which one more call at once is tried again."""


class Concurrency(msgspec.Struct, frozen=True):
    """Calls at once: ``now`` of ``most``."""

    now: int
    most: int
    successes: int = 0


def halved(concurrency: Concurrency) -> Concurrency:
    """When the breaker opens."""
    least = min(CONCURRENCY_MIN, concurrency.most)
    return Concurrency(max(least, concurrency.now // 2), concurrency.most)


def succeeded(concurrency: Concurrency) -> Concurrency:
    """After a call that was done."""
    if concurrency.now >= concurrency.most:
        return concurrency
    if concurrency.successes + 1 < SUCCESSES_PER_STEP:
        return msgspec.structs.replace(concurrency, successes=concurrency.successes + 1)
    return Concurrency(concurrency.now + 1, concurrency.most)


# ---- how fast --------------------------------------------------------------------------------------------------------

SLOWED: Final = 0.7
"""A 429 leaves this share of the rate: what TCP's CUBIC leaves of its window."""

SLOWED_EVERY_S: Final = 10.0
"""Answers to calls that began before the rate was cut still come in for so long; they cut it once."""

RPM_MIN: Final = 1.0
RPM_MAX: Final = 6_000.0
"""A hundred calls a second: ten uploads at once, of 0.1 s each, are no faster."""


BACK: Final = 0.1
"""On the way back to the rate that was last refused, a minute adds at most so much of it."""

NEAR: Final = 0.9
CAREFUL: Final = 0.005
"""From this share of the rate that was last refused up to it, a minute adds only so much of it: a refusal costs the
breaker's five minutes, so it is met every twenty minutes and not every two."""


class Rate(msgspec.Struct, frozen=True):
    """Calls per minute.  ``step`` is what a minute without a 429 adds, the tier's own rate; ``refused`` is the rate
    that met the last 429."""

    rpm: float
    step: float
    refused: float = math.inf
    cut_at: float | None = None


def starting(rpm: float, step: float, refused: float | None) -> Rate:
    """The rate that an earlier run learned."""
    return Rate(min(RPM_MAX, max(RPM_MIN, rpm)), step, math.inf if refused is None else refused)


def climbed(rate: Rate) -> Rate:
    """After a call that was done and had waited for its turn; as many as a minute has add ``step``."""
    step = rate.step
    if rate.rpm <= rate.refused < math.inf:
        step = min(step, rate.refused * (CAREFUL if rate.rpm >= NEAR * rate.refused else BACK))
    return msgspec.structs.replace(rate, rpm=min(RPM_MAX, rate.rpm + step / rate.rpm))


def cut(rate: Rate, now: float) -> Rate:
    """After a 429."""
    if rate.cut_at is not None and now - rate.cut_at < SLOWED_EVERY_S:
        return rate
    return Rate(max(RPM_MIN, rate.rpm * SLOWED), rate.step, rate.rpm, now)


# ---- when to give up -------------------------------------------------------------------------------------------------

JUDGED: Final = 40
"""Calls that a judgement on the whole run is made from: five full attempts of eight files."""

SAME_MIN: Final = 38
"""As many failures of them for the same reason are "nearly everything"."""

PASSING_S: Final = 20.0
"""A passing cause (network, 5xx) must last this long, and less than the two passes of one file, some 45 s: the run ends
before it has used up the attempts of its files."""


class Trouble(msgspec.Struct, frozen=True):
    """The last calls that changed something: the reason each failed for, None for done; ``since`` when nearly all
    failed for the same one."""

    recent: tuple[tuple[Reason, Outcome] | None, ...] = ()
    since: float | None = None


def judged(trouble: Trouble, now: float, failure: Failure | None) -> tuple[Trouble, bool]:
    """After a call, and whether the run is hopeless because of what it met."""
    met = None if failure is None else (failure.reason, failure.outcome)
    recent = (*trouble.recent, met)[-JUDGED:]
    common, count = Counter(recent).most_common(1)[0]
    if common is None or count < SAME_MIN:
        return Trouble(recent), False
    since = now if trouble.since is None else trouble.since
    lasts_s = 0.0 if common[1] is Outcome.REJECTED else PASSING_S
    return Trouble(recent, since), met == common and now - since >= lasts_s
