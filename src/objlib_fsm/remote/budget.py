"""How often calls may begin: tiers, and a budget as a value.

A budget answers "when may the next call begin?" and "what is left after one began?", from itself and the time alone.
Calls are spread by an interval; there is no burst, whatever was left unused before.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec


class Tier(msgspec.Struct, frozen=True):
    """What a project may do: calls that change something per minute and per day, tokens per minute."""

    rpm: float
    tpm: float
    daily: int | None = None


TIERS: Final[dict[str, Tier]] = {
    "free": Tier(5, 125_000, 100),
    "tier1": Tier(20, 500_000),
    "tier2": Tier(200, 5_000_000),
    "tier3": Tier(2_000, 50_000_000),
}
"""The service publishes no figures for these calls; these are what the earlier tool's users settled on."""

READS_PER_CHANGE: Final = 10.0
"""Look-ups per call that changes something: a file is uploaded and imported, and polled some eight times."""

READS_PER_MINUTE_MIN: Final = 60.0
"""One look-up a second is never too many."""

WINDOW_S: Final = 60
"""What "per minute" means: any 60 seconds."""

DAY_S: Final = 86_400
DAY_BEGINS_S: Final = 8 * 3_600
"""Daily quotas begin anew at midnight Pacific time: 08:00 UTC in winter.  In summer this is an hour late."""


class Budget(msgspec.Struct, frozen=True):
    """Calls of one kind.  Times are monotonic seconds, ``day`` is a number of days.

    ``tokens`` holds what was spent in each of the last seconds, as (second, tokens).
    """

    last_at: float = -math.inf
    tokens: tuple[tuple[int, int], ...] = ()
    day: int = 0
    spent: int = 0


def due_at(budget: Budget, now: float, interval_s: float, tokens: int, tpm: float) -> float:
    """When a call of that many tokens may begin, not before *now*.

    In any 60 seconds at most ``60 / interval_s`` calls begin, and at most *tpm* tokens are spent; a call that alone
    is larger than that waits for 60 empty seconds and has the next 60 for itself.
    """
    due = max(now, budget.last_at + interval_s)
    if not tokens:
        return due
    live = [entry for entry in budget.tokens if _over_at(entry) > due]
    spent = sum(amount for _, amount in live)
    for entry in live:
        if spent + tokens <= tpm:
            break
        due = _over_at(entry)
        spent -= entry[1]
    return due


def begun(budget: Budget, now: float, tokens: int, day: int) -> Budget:
    """The budget after a call of that many tokens began."""
    kept = [entry for entry in budget.tokens if _over_at(entry) > now]
    if tokens:
        second = math.floor(now)
        if kept and kept[-1][0] == second:
            tokens += kept.pop()[1]
        kept.append((second, tokens))
    return Budget(now, tuple(kept), day, spent_on(budget, day) + 1)


def _over_at(entry: tuple[int, int]) -> float:
    """When no window of 60 seconds holds any moment of that second."""
    return float(entry[0] + 1 + WINDOW_S)


def spent_on(budget: Budget, day: int) -> int:
    """Calls begun on that day."""
    return budget.spent if budget.day == day else 0


def quota_day(now_us: int) -> int:
    """The number of the day in which a daily quota counts, from wall-clock microseconds since 1970 UTC."""
    return (now_us // 1_000_000 - DAY_BEGINS_S) // DAY_S


def quota_day_ends_us(now_us: int) -> int:
    """When the next such day begins, wall-clock microseconds since 1970 UTC."""
    return ((quota_day(now_us) + 1) * DAY_S + DAY_BEGINS_S) * 1_000_000
