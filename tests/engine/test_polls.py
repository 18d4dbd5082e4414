"""Polls are no events: the outcome says how many there were, and what became of operations is folded from outcomes."""

from __future__ import annotations

from pathlib import Path

from objlib_fsm.core import events as e
from objlib_fsm.core.library_record import Operations
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from objlib_fsm.engine.listing import GATHER_S
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

PENDING = Settings(latencies=Latencies(file_processing=Latency(20.0, 20.0), index=Latency(100.0, 100.0)))
NEVER_DONE = Settings(latencies=Latencies(index=Latency(100.0, 100.0)), operation_never_done_share=1.0)


def told(w: World, path: str = "a.txt") -> dict[str, e.Event]:
    """The last event of each kind."""
    log = w.open()
    try:
        record = log.by_path(path)
        assert record is not None
        return {recorded.kind.label: recorded.event for recorded in log.read(record.stream)}
    finally:
        log.close()


def operations(w: World) -> Operations:
    log = w.open()
    try:
        return log.library().operations
    finally:
        log.close()


def test_an_outcome_carries_how_many_polls_there_were_and_when(tmp_path: Path) -> None:
    """Incident 15: an operation was asked once, and the file failed when it was not done."""

    async def main() -> None:
        async with world(tmp_path, PENDING) as w:
            w.write("a.txt", "one\n")
            assert (await w.run()).exit_code == 0
            events = told(w)
            seen, ended = events["raw_seen"], events["operation_ended"]
            assert isinstance(seen, e.RawSeen)
            assert isinstance(ended, e.OperationEnded)
            for polls, first_us, last_us, waits_s in (
                (seen.polls, seen.first_poll_at_us, seen.last_poll_at_us, [3.0, 4.5, 6.75, 10.125]),
                (ended.polls, ended.first_poll_at_us, ended.last_poll_at_us, [7.5, 11.25, 16.875, 25.3125, 37.96875]),
            ):
                assert first_us is not None
                assert last_us is not None
                took_s = (last_us - first_us) / 1e6
                assert sum(waits_s[: polls - 1]) <= took_s <= sum(waits_s[: polls - 1]) + GATHER_S
            assert seen.polls > 3
            assert operations(w) == Operations(succeeded=1)
            assert await w.check() == {"indexed": 1}

    run_virtual(main)


def test_an_operation_that_says_nothing_is_ended_by_the_listing_that_shows_its_document(tmp_path: Path) -> None:
    """Complaint 1: waiting for an upload that never says it is done has no end, and no error either."""

    async def main() -> None:
        async with world(tmp_path, NEVER_DONE) as w:
            w.write("a.txt", "one\n")
            assert (await w.run()).exit_code == 0
            ended = told(w)["operation_ended"]
            assert isinstance(ended, e.OperationEnded)
            assert (ended.result, ended.polls > 3) == ("listed", True)
            assert ended.first_poll_at_us is not None
            assert ended.last_poll_at_us is not None
            assert ended.first_poll_at_us < ended.last_poll_at_us
            assert operations(w) == Operations(succeeded=1)
            assert await w.check() == {"indexed": 1}

    run_virtual(main)


def test_an_operation_that_was_forgotten_leads_to_its_document_and_asking_for_that_is_one_event(tmp_path: Path) -> None:
    async def main() -> None:
        rule = Rule(fault="F14", mode="gone", endpoint="operations.get", count=1)
        async with world(tmp_path, PENDING, (rule,)) as w:
            w.write("a.txt", "one\n")
            assert (await w.run()).exit_code == 0
            seen = told(w)["document_seen"]
            assert isinstance(seen, e.DocumentSeen)
            assert seen.polls > 1
            assert seen.first_poll_at_us is not None
            assert seen.last_poll_at_us is not None
            assert seen.first_poll_at_us < seen.last_poll_at_us
            assert operations(w) == Operations(forgotten=1)
            assert await w.check() == {"indexed": 1}

    run_virtual(main)


def test_an_operation_that_says_error_is_counted_as_failed_and_its_document_decides(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, Settings(operation_error_share=1.0)) as w:
            w.write("a.txt", "one\n")
            assert (await w.run_until_done()).exit_code == 0
            assert operations(w) == Operations(failed=1)
            assert await w.check() == {"indexed": 1}

    run_virtual(main)


def test_waiting_in_vain_says_how_often_it_was_asked(tmp_path: Path) -> None:
    async def main() -> None:
        settings = Settings(latencies=Latencies(file_processing=Latency(400.0, 400.0)))
        async with world(tmp_path, settings) as w:
            w.write("a.txt", "one\n")
            assert (await w.run()).exit_code == 4
            failed = told(w)["call_failed"]
            assert isinstance(failed, e.CallFailed)
            assert failed.polls > 10
            assert failed.first_poll_at_us is not None
            assert failed.last_poll_at_us is not None
            assert 250e6 < failed.last_poll_at_us - failed.first_poll_at_us < 330e6
            await w.run_until_done()
            assert await w.check() == {"indexed": 1}

    run_virtual(main)
