"""What a run learns about the service's limits, kept in the log for the next one."""

from __future__ import annotations

from typing import Final

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.engine.journal import Journal
from objlib_fsm.remote.pacing import Lesson, Pace

WORTH_NOTING: Final = 0.1
"""A rate that differs by less from the one in the log is noted only at the end of the run."""

LIMITS_EVERY_S: Final = 600.0
"""Rate-limit headers come with every reply or with none: six events an hour show how they change."""


class Lessons:
    """Notes the learned rate and the rate-limit headers; never an event a reply."""

    def __init__(self, journal: Journal, pace: Pace, service: str) -> None:
        self._journal = journal
        self._pace = pace
        self._service = service
        self._noted: Lesson | None = pace.lesson
        self._limits_due = journal.clock.monotonic()

    async def note(self, *, ending: bool = False) -> None:
        """Write what is worth writing now; *ending*: whatever is new.  Raises `Fenced`, `LogError`."""
        events: list[e.Event] = []
        lesson, noted = self._pace.lesson, self._noted
        if lesson is not None and noted is not None and lesson != noted:
            change = abs(lesson.rpm - noted.rpm) / noted.rpm
            if ending or change >= WORTH_NOTING:
                self._noted = lesson
                events.append(e.PaceLearned(self._service, lesson.tier, lesson.rpm, lesson.refused_rpm))
        now = self._journal.clock.monotonic()
        if ending or now >= self._limits_due:
            heard = self._pace.limits.take()
            if heard is not None:
                self._limits_due = now + LIMITS_EVERY_S
                events.append(
                    e.RateLimitsSeen(self._service, heard.headers, heard.replies, heard.first_at_us, heard.last_at_us)
                )
        if events:
            await self._journal.note(LIBRARY_STREAM, *events)
