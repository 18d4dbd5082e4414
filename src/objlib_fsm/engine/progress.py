"""What a run is doing, as values that a terminal or a pipe can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from objlib_fsm.core.table import State


class FileChanged(msgspec.Struct, frozen=True, tag="file"):
    """A file came to another state; ``cause`` says why it failed."""

    path: str
    state: str
    cause: str = ""


class BatchBegan(msgspec.Struct, frozen=True, tag="batch_started"):
    """A logical batch began."""

    batch: int
    files: int


class BatchDone(msgspec.Struct, frozen=True, tag="batch_ended"):
    """Every file of the batch is terminal or due later."""

    batch: int
    files: int
    succeeded: int
    failed: int


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """Nothing can be done before ``until_us``."""

    until_us: int
    files: int


class Said(msgspec.Struct, frozen=True, tag="said"):
    """Something that whoever watches should know; it changes nothing."""

    text: str


class ResumedLate(msgspec.Struct, frozen=True, tag="resumed_late"):
    """Files of an earlier run are not done after ``limit_s``, *example* among them: they come after the rest now."""

    files: int
    example: str
    limit_s: float


Notice = FileChanged | BatchBegan | BatchDone | Waiting | Said | ResumedLate
Tell = Callable[[Notice], None]


class Progress:
    """Counters of a run, read by whoever draws them.

    ``total`` files are in this run, ``done`` of them are terminal or put off; ``in_flight`` says what each file that
    is worked on is doing.
    """

    def __init__(self, tell: Tell = lambda notice: None) -> None:
        self.tell = tell
        self.total = 0
        self.done = 0
        self.ended: Counter[State] = Counter()
        self.in_flight: dict[str, str] = {}
        self.batch = 0
        self.batch_files = 0
        self.batch_done = 0
        self.throttled = 0
        self.concurrency = 0
        self.breaker = "closed"
        self.rate_rpm: float | None = None
        """Calls that change something a minute, None for no limit."""

    def doing(self, path: str, what: str) -> None:
        """The file is at this step."""
        self.in_flight[path] = what

    def left(self, path: str) -> None:
        """The file is not worked on any more."""
        self.in_flight.pop(path, None)
