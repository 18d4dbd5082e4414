"""Two processes that write about one file: decided again on what is there now, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Tell
from objlib_fsm.engine.journal import CONFLICT_WAIT_S, CONFLICTS_MAX, Journal
from objlib_fsm.log.contract import Append, NewEvent, VersionConflict
from objlib_fsm.log.file import LogFile
from tests.support.virtual_time import VirtualClock, run_virtual
from tests.support.world import World, world


class Meddled(VirtualClock):
    """Asking for the time is the moment between reading a record and appending: then another process appends."""

    def __init__(self, meddle: Callable[[], None], times: int) -> None:
        super().__init__()
        self._meddle = meddle
        self.times = times
        self.slept: list[float] = []

    def now_us(self) -> int:
        if self.times:
            self.times -= 1
            self._meddle()
        return super().now_us()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(seconds)


async def meddled(w: World, times: int) -> tuple[Meddled, LogFile, Journal]:
    """A journal, and another process that appends to the file's stream under its first *times* attempts."""
    w.write("a.txt", "one\n")
    await w.run()
    other, mine = w.open("retry"), w.open("forget")
    journal = Journal(mine, w.clock, w.shell(mine, mine.run).random_bytes)

    def meddle() -> None:
        record = other.by_path("a.txt")
        assert record is not None
        touched = e.FileTouched(record.size_bytes, record.mtime_ns + 1)
        event = NewEvent(Journal(other, w.clock, journal.random_bytes).new_id(), touched)
        other.append_now(Append(record.stream, record.version, (event,), w.clock.now_us()))

    clock = Meddled(meddle, times)
    journal.clock = clock
    return clock, other, journal


@pytest.mark.parametrize("times", [0, 1, CONFLICTS_MAX])
def test_a_conflict_is_decided_again_on_what_is_there_now(tmp_path: Path, times: int) -> None:
    """Incident 22: a second attempt used the version of before, and was refused."""

    async def main() -> None:
        async with world(tmp_path) as w:
            clock, other, journal = await meddled(w, 0)
            record = journal.log.by_path("a.txt")
            assert record is not None
            clock.times = 2 * times  # An id for the event is a second question for the time.
            after = await journal.tell(record, Tell(e.FileForgotten()))
            assert not after.wanted
            assert len(clock.slept) <= times
            assert (len(clock.slept) > 0) == (times > 0)
            for number, seconds in enumerate(clock.slept):
                assert 0 <= seconds <= CONFLICT_WAIT_S * 2**number
            journal.log.close()  # type: ignore[attr-defined]
            other.close()
            kinds = w.kinds("a.txt")
            assert kinds[-1] == "file_forgotten"
            assert kinds.count("file_touched") == 2 * times, "nothing was overwritten"

    run_virtual(main)


def test_it_is_given_up_after_five_times(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            clock, other, journal = await meddled(w, 0)
            record = journal.log.by_path("a.txt")
            assert record is not None
            clock.times = 1_000
            with pytest.raises(VersionConflict):
                await journal.tell(record, Tell(e.FileForgotten()))
            assert len(clock.slept) == CONFLICTS_MAX
            clock.times = 0
            journal.log.close()  # type: ignore[attr-defined]
            other.close()
            assert "file_forgotten" not in w.kinds("a.txt")

    run_virtual(main)
