"""Questions that change nothing, asked again while what prevents an answer may pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from objlib_fsm.core.outcomes import Outcome
from objlib_fsm.core.policy import ATTEMPTS_PER_PASS, backoff_s
from objlib_fsm.engine.clock import Clock
from objlib_fsm.engine.errors import Halted
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import CallFailed

T = TypeVar("T")

PASSING: Final = (Outcome.THROTTLED, Outcome.UNAVAILABLE, Outcome.UNCERTAIN)
"""A look-up that ends so is made again within its own time."""


async def answered(question: Callable[[], Awaitable[T]], clock: Clock, pace: Pace) -> T:
    """The answer, each attempt in its turn among the look-ups, at most `ATTEMPTS_PER_PASS` of them.

    Raises `Halted` when nothing can be asked, `CallFailed` when there is no answer.
    """
    attempt = 1
    while True:
        try:
            async with pace.read():
                return await question()
        except CallFailed as failed:
            failure = failed.failure
            if failure.outcome is Outcome.HALTED:
                raise Halted(failure) from None
            if failure.outcome not in PASSING or attempt == ATTEMPTS_PER_PASS:
                raise
            pace.observe(failure, changes=False)
            await clock.sleep(max(backoff_s("question", attempt), failure.retry_after_s or 0.0))
            attempt += 1
