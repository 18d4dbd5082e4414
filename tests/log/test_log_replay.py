"""Replay: the state at any moment of the past, from the events alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from objlib_fsm.core.fold import digest, fold
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.record import FileRecord
from objlib_fsm.log import replay
from objlib_fsm.log.contract import OWN_STREAMS, AppendResult, Expect
from objlib_fsm.log.file import LogFile
from objlib_fsm.log.replay import position_at, rebuild
from objlib_fsm.log.sqlite import SqliteReader, open_for_reading
from tests.bench.workload import Lives
from tests.log.kit import NOW_US, append, discovered, open_at, touched


@pytest.fixture
def lives(log: LogFile) -> LogFile:
    """A log of files in every stage."""
    for appends in Lives(seed=9).files(30):
        outcomes = log.append_many_now(appends)
        assert all(isinstance(outcome, AppendResult) for outcome in outcomes)
    return log


def test_the_state_at_every_position_is_the_fold_of_what_came_before(lives: LogFile) -> None:
    events = lives.since(0, 10_000)
    for upto in range(0, len(events) + 1, 7):
        histories: dict[StreamId, list[object]] = {}
        for recorded in events[:upto]:
            if recorded.stream not in OWN_STREAMS:
                histories.setdefault(recorded.stream, []).append((recorded.event, recorded.recorded_at_us))
        rebuilt = rebuild(lives, upto=upto)
        assert rebuilt.files == {name: fold(name, history) for name, history in histories.items()}  # type: ignore[arg-type]
        assert (rebuilt.events, rebuilt.position) == (upto, upto)


def test_the_whole_log_is_what_the_projection_has(lives: LogFile) -> None:
    rebuilt = rebuild(lives)
    assert rebuilt.files == {record.stream: record for record in lives.records()}
    assert rebuilt.library == lives.library()
    assert rebuilt.events == lives.head()
    assert rebuild(lives, upto=lives.head() + 100).position == lives.head()


def test_the_digest_is_of_the_state_and_not_of_the_way_to_it(lives: LogFile, tmp_path: Path) -> None:
    """Appended in another order, by other groups, under another library: the files are the same."""
    other = open_at(tmp_path / "other.db", run="o" * 16)
    by_file = list(Lives(seed=9).files(30))
    for step in range(max(map(len, by_file))):
        for appends in reversed(by_file):
            if step < len(appends):
                other.append_now(appends[step])
    assert rebuild(other).digest == rebuild(lives).digest
    other.append_now(append("a", Expect.NO_STREAM, discovered("a.txt")))
    assert rebuild(other).digest != rebuild(lives).digest
    other.close()


def test_the_digest_is_that_of_the_core() -> None:
    records = [FileRecord(StreamId(name)) for name in "abc"]
    assert digest(records) == digest(reversed(records))


def test_progress_is_told(lives: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "PROGRESS_EVERY", 50)
    told: list[int] = []
    rebuild(lives, progress=told.append)
    assert told == list(range(50, lives.head() + 1, 50))


def test_a_time_is_a_position(log: LogFile) -> None:
    log.append_now(append("a", Expect.NO_STREAM, discovered("a.txt"), at_us=NOW_US + 100))
    log.append_now(append("a", 1, touched(1), at_us=NOW_US + 200))
    assert [position_at(log, NOW_US + at) for at in (-1, 0, 99, 100, 199, 200, 10**9)] == [0, 1, 1, 2, 2, 3, 3]


def test_a_time_when_the_clock_went_backwards(log: LogFile) -> None:
    """The last event recorded not after that time, and everything before it, whatever the clock said then."""
    for number, at in enumerate((100, 500, 50, 300)):
        expected = number or Expect.NO_STREAM
        event = touched(number) if number else discovered("a.txt")
        log.append_now(append("a", expected, event, at_us=NOW_US + at))
    assert [position_at(log, NOW_US + at) for at in (49, 50, 100, 299, 300, 500)] == [1, 4, 4, 4, 5, 5]
    record = rebuild(log, upto=position_at(log, NOW_US + 100)).files.values()
    assert [r.version for r in record] == [3]


def test_it_reads_one_moment_while_others_append(lives: LogFile) -> None:
    reader = SqliteReader(open_for_reading(lives.path), lives.path)
    with reader.snapshot():
        before = rebuild(reader)
        lives.append_now(append("new", Expect.NO_STREAM, discovered("new.txt")))
        assert rebuild(reader).digest == before.digest
        assert reader.by_path("new.txt") is None
        assert replay.projection_drift(reader, before) == []
    assert rebuild(reader).position == before.position + 1
    reader.close()


def test_a_snapshot_ends_when_its_body_fails(lives: LogFile) -> None:
    reader = SqliteReader(open_for_reading(lives.path), lives.path)

    def fail() -> None:
        with reader.snapshot():
            reader.head()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with reader.snapshot():
        assert reader.head() == lives.head()
    reader.close()
