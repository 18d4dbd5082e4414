"""Pacing: when calls may begin, and what their answers teach.

The engine brackets each call: ``mutation()`` around one that changes something, ``read()`` around a look-up, and
says with ``observe()`` what became of it.  The rules are values in ``budget`` and ``breaker``; here they meet time.
A call that has begun is never touched.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final, Protocol

import anyio
import msgspec

from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.remote import breaker as b
from objlib_fsm.remote import budget as q
from objlib_fsm.remote.budget import TIERS
from objlib_fsm.remote.limits import LimitHeaders
from objlib_fsm.remote.port import CallFailed

TURN_S: Final = 1.0
"""The longest sleep: a run that ends, or a breaker that opens meanwhile, is noticed this soon."""

HOLD_MAX_S: Final = 300.0
"""The longest delay asked for by the service that holds all files; the file that met it waits as long as was asked."""

_IS_PROBE: Final[ContextVar[bool]] = ContextVar("is_probe", default=False)


class Clock(Protocol):
    """Time, injected."""

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970 UTC."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Lesson(msgspec.Struct, frozen=True):
    """A rate found by trying, from which the next run may start: calls a minute, and what met the last 429."""

    tier: str
    rpm: float
    refused_rpm: float | None = None


class Pace:
    """No pacing at all, for the store on this machine: also the seam that the engine calls."""

    first_poll_at_once = True
    """Whether the first look at what was begun needs no waiting."""

    breaker: str = "closed"
    throttled: int = 0
    """429s so far."""
    rate_rpm: float | None = None
    """Calls that change something per minute, None for no limit."""
    concurrency: int = 0
    """Such calls at once."""
    hopeless: Failure | None = None
    """Why the run should end: what nearly every call met, or a budget that is used up."""
    lesson: Lesson | None = None
    """The rate of now where it is found by trying, None where it is not."""

    def __init__(self) -> None:
        self.limits = LimitHeaders()

    def attach(self, concurrency: int, stopping: Callable[[], bool], changed: Callable[[], None]) -> None:
        """A run begins: at most so many calls at once; *changed* is called when an attribute above may have changed.

        Once *stopping* says so, nobody waits for a turn any more, and nothing is begun.
        """
        self.concurrency = concurrency

    @asynccontextmanager
    async def mutation(self, tokens: int = 0) -> AsyncIterator[None]:
        """Around a call that changes something and costs so many tokens."""
        yield

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        """Around a look-up."""
        yield

    def observe(self, failure: Failure | None, *, changes: bool = True, what: str = "") -> None:
        """What became of a call that *changes* something, or of a look-up that failed; None for done.

        *what* names the sort of call: uploads that succeed do not hide that every import is refused.
        """


class Pacer(Pace):
    """Keeps to a tier, or finds the rate that the service bears, starting there.

    ``start`` is where an adaptive rate starts instead of at the tier's; ``spent_today`` calls were made in today's
    daily quota before.
    """

    first_poll_at_once = False

    def __init__(
        self,
        tier: str,
        clock: Clock,
        *,
        adaptive: bool = True,
        start: Lesson | None = None,
        spent_today: int = 0,
        concurrency: int = 7,
    ) -> None:
        """Raises `KeyError` for an unknown tier."""
        super().__init__()
        self._tier = TIERS[tier]
        self._tier_name = tier
        self._clock = clock
        self._adaptive = adaptive
        self._rate = b.Rate(self._tier.rpm, self._tier.rpm)
        if adaptive and start is not None and start.tier == tier:
            self._rate = b.starting(start.rpm, self._tier.rpm, start.refused_rpm)
        self._changes = q.Budget(day=q.quota_day(clock.now_us()), spent=spent_today)
        self._reads = q.Budget()
        self._breaker = b.Breaker()
        self._trouble: dict[str, b.Trouble] = {}
        self._changes_hold_until = self._reads_hold_until = 0.0
        self._waited = False
        self._turn = anyio.Lock()
        self._read_turn = anyio.Lock()
        self._stopping: Callable[[], bool] = lambda: False
        self._changed: Callable[[], None] = lambda: None
        self._concurrency = b.Concurrency(concurrency, concurrency)
        self._slots = anyio.CapacityLimiter(concurrency)
        self._show()

    def attach(self, concurrency: int, stopping: Callable[[], bool], changed: Callable[[], None]) -> None:
        """A run begins; why an earlier one ended is forgotten, the rate is not."""
        self.hopeless, self._trouble = None, {}
        self._breaker = msgspec.structs.replace(self._breaker, refused_probes=0)
        self._stopping, self._changed = stopping, changed
        self._concurrency = b.Concurrency(concurrency, concurrency)
        self._slots = anyio.CapacityLimiter(concurrency)
        self._show()

    @asynccontextmanager
    async def mutation(self, tokens: int = 0) -> AsyncIterator[None]:
        """Around a call that changes something: waits for one of the calls at once, then for its turn.

        When the run is stopping it waits for nothing; the caller begins nothing then.  Raises `CallFailed` (halted)
        when the daily budget is used up and nobody is stopping.
        """
        async with self._slots:
            probe = await self._begin(tokens)
            token = _IS_PROBE.set(probe)
            try:
                yield
            finally:
                _IS_PROBE.reset(token)
                if probe:
                    self._breaker = b.probe_ended(self._breaker)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        """Around a look-up: waits for its turn in a budget of its own."""
        async with self._read_turn:
            while True:
                now = self._now()
                slower = b.SLOWER[self._breaker.state]
                interval_s = slower * 60.0 / max(q.READS_PER_MINUTE_MIN, q.READS_PER_CHANGE * self._rate.rpm)
                due = q.due_at(self._reads, now, interval_s, 0, self._tier.tpm)
                wait_s = max(due, self._reads_hold_until) - now
                if wait_s <= 0:
                    break
                await self._clock.sleep(min(wait_s, TURN_S))
            self._reads = q.begun(self._reads, now, 0, 0)
        yield

    def observe(self, failure: Failure | None, *, changes: bool = True, what: str = "") -> None:
        """What became of a call that *changes* something, or of a look-up that failed; None for done."""
        now, done = self._now(), failure is None
        throttled = failure is not None and failure.outcome is Outcome.THROTTLED
        was_open = self._breaker.state is b.State.OPEN
        self._breaker = b.answered(
            self._breaker, now, throttled=throttled, done=done, probe=changes and _IS_PROBE.get()
        )
        if self._breaker.state is b.State.OPEN and not was_open:
            self._concurrency = b.halved(self._concurrency)
        if failure is not None and throttled:
            self.throttled += 1
            hold_until = now + min(failure.retry_after_s or 0.0, HOLD_MAX_S)
            if changes:
                self._changes_hold_until = max(self._changes_hold_until, hold_until)
            else:
                self._reads_hold_until = max(self._reads_hold_until, hold_until)
            if self._adaptive:
                self._rate = b.cut(self._rate, now)
        if done:
            self._concurrency = b.succeeded(self._concurrency)
            if self._adaptive and self._waited:
                self._rate = b.climbed(self._rate)
        self._judge(failure, now, changes, what)
        self._slots.total_tokens = self._concurrency.now
        self._show()

    def _judge(self, failure: Failure | None, now: float, changes: bool, what: str) -> None:
        if failure is not None and failure.outcome is Outcome.HALTED:
            return
        hopeless = False
        if changes:
            self._trouble[what], hopeless = b.judged(self._trouble.get(what, b.Trouble()), now, failure)
        if self.hopeless is not None or failure is None:
            return
        if self._breaker.refused_probes >= b.PROBES_MAX:
            minutes = round(b.PROBES_MAX * b.OPEN_S / 60)
            self._give_up(failure, f"the service has refused calls as too many for {minutes} minutes")
        elif hopeless:
            self._give_up(failure, f"nearly all of the last {b.JUDGED} calls failed for the same reason")

    def _give_up(self, failure: Failure, why: str) -> None:
        message = f"{why}: {failure.message or failure.reason}"
        self.hopeless = Failure(Outcome.HALTED, failure.reason, message, failure.code, failure.status)

    # ---- turns -------------------------------------------------------------------------------------------------------

    async def _begin(self, tokens: int) -> bool:
        """Wait for the turn, first come, first served; whether the call is the breaker's probe."""
        waited = False
        async with self._turn:
            while not self._stopping():
                now = self._now()
                day = self._checked_day()
                wait_s = self._wait_s(now, tokens)
                if day is not None and wait_s <= 0:
                    probe = self._breaker.state is b.State.HALF_OPEN
                    self._breaker = b.probe_begun(self._breaker)
                    self._changes = q.begun(self._changes, now, tokens, day)
                    self._waited = waited
                    return probe
                waited = True
                if day is None:
                    self._show()
                    if not self._stopping():
                        assert self.hopeless is not None
                        raise CallFailed(self.hopeless)
                    break
                await self._clock.sleep(min(wait_s, TURN_S))
        return False

    def _wait_s(self, now: float, tokens: int) -> float:
        """How long until a call may begin; when that depends on an answer, until it is time to look again."""
        if not b.may_begin(self._breaker):
            return TURN_S
        interval_s = b.SLOWER[self._breaker.state] * 60.0 / self._rate.rpm
        due = q.due_at(self._changes, now, interval_s, tokens, self._tpm())
        return max(due, self._changes_hold_until) - now

    def _tpm(self) -> float:
        """Tokens a minute grow with a rate that has climbed."""
        return self._tier.tpm * max(1.0, self._rate.rpm / self._tier.rpm)

    def _checked_day(self) -> int | None:
        """Today; None when today's calls are used up."""
        now_us = self._clock.now_us()
        day = max(q.quota_day(now_us), self._changes.day)
        if self._tier.daily is None or q.spent_on(self._changes, day) < self._tier.daily:
            return day
        hours = (q.quota_day_ends_us(now_us) - now_us) / 3.6e9
        self.hopeless = Failure(
            Outcome.HALTED,
            Reason.DAILY_QUOTA,
            f"the {self._tier.daily} calls a day of tier {self._tier_name} are used up for the next {hours:.1f} hours",
        )
        return None

    def _now(self) -> float:
        now = self._clock.monotonic()
        before = self._breaker
        self._breaker = b.at(before, now)
        if self._breaker is not before:
            self._show()
        return now

    def _show(self) -> None:
        self.breaker = self._breaker.state
        self.rate_rpm = self._rate.rpm / b.SLOWER[self._breaker.state]
        self.concurrency = self._concurrency.now
        if self._adaptive:
            refused = self._rate.refused
            self.lesson = Lesson(self._tier_name, self._rate.rpm, None if refused == math.inf else refused)
        self._changed()
