"""What every event log must do, as tests: a new implementation inherits `EventLogContract` and gives a ``log``.

Nothing here knows how the log keeps its events.
"""

from __future__ import annotations

import contextlib

import anyio
import msgspec
import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LEASE_STREAM, LIBRARY_STREAM
from objlib_fsm.core.fold import fold
from objlib_fsm.core.ids import DocumentName, RawFileName, RunId, StoreName, StreamId
from objlib_fsm.core.paths import from_bytes, to_bytes
from objlib_fsm.log.contract import (
    Append,
    AppendRefused,
    AppendResult,
    EventIdReuse,
    EventLog,
    Expect,
    Fenced,
    IllegalEvent,
    NewEvent,
    PathTaken,
    VersionConflict,
)
from tests.log.kit import NOW_US, append, discovered, life, new_id, note, stream, touched


def lease_taken(epoch: int) -> e.LeaseTaken:
    """A lease of a process that nobody asks about."""
    return e.LeaseTaken(epoch, RunId("r" * 16), "host", 1, 1, "boot")


async def positions(log: EventLog) -> list[int]:
    """All positions, in order."""
    return [recorded.position for recorded in log.since(0, 1_000_000)]


@pytest.mark.anyio
class EventLogContract:
    """The promises of `EventLog`.  The log has its own first event, `LibraryCreated`, and nothing else."""

    # ---- expected versions -----------------------------------------------------------------------------------------

    async def test_the_first_append_to_a_stream(self, log: EventLog) -> None:
        result = await log.append(append("a", Expect.NO_STREAM, discovered("a.txt"), touched()))
        assert result[:4] == (2, 3, 2, False)
        assert result.record == log.record(stream("a"))
        assert log.version(stream("a")) == 2
        assert log.head() == 3

    async def test_version_0_is_no_stream(self, log: EventLog) -> None:
        assert (await log.append(append("a", 0, discovered("a.txt")))).version == 1

    async def test_the_exact_version_is_accepted_and_counts_on(self, log: EventLog) -> None:
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
        assert (await log.append(append("a", 1, touched(1), touched(2)))).version == 3
        assert (await log.append(append("a", 3, touched(3)))).version == 4

    @pytest.mark.parametrize("expected", [0, 2, 7, Expect.NO_STREAM])
    async def test_any_other_version_is_a_conflict_that_changes_nothing(
        self, log: EventLog, expected: int | Expect
    ) -> None:
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
        before = log.since(0, 100), log.record(stream("a"))
        with pytest.raises(VersionConflict) as caught:
            await log.append(append("a", expected, touched()))
        assert (caught.value.expected, caught.value.actual) == (expected, 1)
        assert "expected" in str(caught.value)
        assert (log.since(0, 100), log.record(stream("a"))) == before

    @pytest.mark.parametrize("expected", [1, Expect.EXISTS])
    async def test_a_stream_that_must_exist(self, log: EventLog, expected: int | Expect) -> None:
        with pytest.raises(VersionConflict) as caught:
            await log.append(append("a", expected, discovered("a.txt")))
        assert caught.value.actual == 0
        assert log.record(stream("a")) is None

    async def test_exists_does_not_care_which_version(self, log: EventLog) -> None:
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt"), touched(), touched(2)))
        assert (await log.append(append("a", Expect.EXISTS, touched(3)))).version == 4

    async def test_any_is_for_the_librarys_own_streams_alone(self, log: EventLog) -> None:
        assert (await log.append(note(e.LibraryRooted("/x")))).version == 2
        assert (await log.append(note(e.LibraryRooted("/y")))).version == 3
        assert (await log.append(note(lease_taken(1), to=LEASE_STREAM))).version == 1
        with pytest.raises(AssertionError, match="blindly"):
            append("a", Expect.ANY, discovered("a.txt"))

    async def test_events_belong_to_one_sort_of_stream(self, log: EventLog) -> None:
        with pytest.raises(AssertionError, match="library_rooted on stream"):
            append("a", Expect.NO_STREAM, e.LibraryRooted("/x"))
        with pytest.raises(AssertionError, match="file_touched on stream library"):
            note(touched())
        with pytest.raises(AssertionError, match="without events"):
            Append(stream("a"), 0, (), NOW_US)

    # ---- the same append again -------------------------------------------------------------------------------------

    async def test_the_same_append_again_is_answered_with_where_it_is(self, log: EventLog) -> None:
        one = append("a", Expect.NO_STREAM, discovered("a.txt"), touched())
        first = await log.append(one)
        again = await log.append(one)
        assert again == AppendResult(first.first_position, first.last_position, first.version, duplicate=True)
        assert log.head() == 3

    async def test_also_after_the_stream_moved_on(self, log: EventLog) -> None:
        one = append("a", Expect.NO_STREAM, discovered("a.txt"))
        first = await log.append(one)
        two = append("a", 1, touched(1))
        await log.append(two)
        await log.append(append("a", 2, touched(2), e.FileVanished()))
        assert (await log.append(one))[:4] == (first.first_position, first.last_position, 1, True)
        assert (await log.append(two)).duplicate
        assert log.version(stream("a")) == 4

    async def test_also_where_any_version_is_welcome(self, log: EventLog) -> None:
        rooted = note(e.LibraryRooted("/x"))
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
        seen = append("a", Expect.EXISTS, touched())
        for one in (rooted, seen):
            first = await log.append(one)
            assert (await log.append(one))[:4] == (first.first_position, first.last_position, first.version, True)
        assert await positions(log) == [1, 2, 3, 4]

    async def test_also_when_it_would_be_illegal_by_now(self, log: EventLog) -> None:
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
        gone = append("a", Expect.EXISTS, e.FileExcluded("empty"))
        first = await log.append(gone)
        await log.append(append("a", Expect.EXISTS, e.FileForgotten()))
        assert (await log.append(gone)).first_position == first.first_position

    async def test_also_for_a_runner_that_lost_its_lease(self, log: EventLog) -> None:
        await log.append(note(lease_taken(1), to=LEASE_STREAM))
        one = append("a", Expect.NO_STREAM, discovered("a.txt"), epoch=1)
        await log.append(one)
        await log.append(note(lease_taken(2), to=LEASE_STREAM))
        assert (await log.append(one)).duplicate

    async def test_also_within_one_append_all(self, log: EventLog) -> None:
        one = append("a", Expect.NO_STREAM, discovered("a.txt"))
        two = append("a", Expect.EXISTS, touched())
        outcomes = await log.append_all([one, one, two, two, one])
        assert [(o.first_position, o.duplicate) for o in outcomes if isinstance(o, AppendResult)] == [
            (2, False),
            (2, True),
            (3, False),
            (3, True),
            (2, True),
        ]
        assert log.head() == 3

    async def test_an_id_with_other_content_is_refused(self, log: EventLog) -> None:
        one = append("a", Expect.NO_STREAM, discovered("a.txt"))
        await log.append(one)
        await log.append(append("b", Expect.NO_STREAM, discovered("b.txt")))
        used = one.events[0].id
        other_body = Append(stream("a"), 1, (NewEvent(used, touched()),), NOW_US)
        other_stream = Append(stream("b"), 1, (NewEvent(used, touched()),), NOW_US)
        new_stream = Append(stream("c"), 0, (NewEvent(used, discovered("a.txt")),), NOW_US)
        stale = Append(stream("a"), 0, (NewEvent(used, discovered("z.txt")),), NOW_US)
        for wrong in (other_body, other_stream, new_stream, stale):
            with pytest.raises(EventIdReuse, match=f"{used} belongs to event 2"):
                await log.append(wrong)
        assert log.head() == 3

    async def test_some_there_and_some_not_is_refused(self, log: EventLog) -> None:
        one = append("a", Expect.NO_STREAM, discovered("a.txt"))
        await log.append(one)
        more = Append(stream("a"), 0, (*one.events, NewEvent(new_id(), touched())), NOW_US)
        with pytest.raises(EventIdReuse, match="some"):
            await log.append(more)
        assert log.head() == 2

    async def test_one_id_for_two_events_is_refused(self, log: EventLog) -> None:
        twice = new_id()
        events = (NewEvent(twice, discovered("a.txt")), NewEvent(twice, touched()))
        with pytest.raises(EventIdReuse, match="two events"):
            await log.append(Append(stream("a"), 0, events, NOW_US))
        first, second = await log.append_all(
            [
                Append(stream("a"), 0, (NewEvent(twice, discovered("a.txt")),), NOW_US),
                Append(stream("b"), 0, (NewEvent(twice, discovered("b.txt")),), NOW_US),
            ]
        )
        assert isinstance(first, AppendResult)
        assert isinstance(second, EventIdReuse)

    # ---- what else is refused --------------------------------------------------------------------------------------

    async def test_an_event_that_the_table_does_not_allow(self, log: EventLog) -> None:
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
        wrong = e.FileIndexed(life("x", "x")[0].events[0].id)  # type: ignore[arg-type]
        with pytest.raises(IllegalEvent, match=r"file_indexed cannot follow in state untracked"):
            await log.append(append("a", 1, touched(), wrong))
        assert log.version(stream("a")) == 1

    async def test_a_file_begins_with_its_discovery(self, log: EventLog) -> None:
        with pytest.raises(IllegalEvent, match="does not begin with a discovery"):
            await log.append(append("a", Expect.NO_STREAM, touched()))
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))

    async def test_documents_that_nothing_accounts_for_have_a_history_without_a_path(self, log: EventLog) -> None:
        fact = e.DocumentFact(
            DocumentName("fileSearchStores/s/documents/d"), "STATE_ACTIVE", "ab", 1, RawFileName("files/r")
        )
        for name in ("a", "b"):
            await log.append(append(name, Expect.NO_STREAM, e.StrayFound(1, (fact,))))
        record = log.record(stream("a"))
        assert record is not None
        assert record.stray
        assert {file.stream for file in log.open_files()} == {stream("a"), stream("b")}
        assert log.by_path("") is None

    async def test_a_path_has_one_file(self, log: EventLog) -> None:
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
        await log.append(append("b", Expect.NO_STREAM, discovered("b.txt")))
        with pytest.raises(PathTaken) as caught:
            await log.append(append("c", Expect.NO_STREAM, discovered("a.txt")))
        assert caught.value.path == "a.txt"
        with pytest.raises(PathTaken):
            await log.append(append("b", 1, e.FileMoved(from_bytes(b"a.txt"), 1, 2)))
        assert log.record(stream("c")) is None
        assert log.head() == 3

    async def test_a_path_that_a_move_left_is_free(self, log: EventLog) -> None:
        outcomes = await log.append_all(
            [
                append("a", Expect.NO_STREAM, discovered("a.txt")),
                append("b", Expect.NO_STREAM, discovered("a.txt")),
                append("a", 1, e.FileMoved(from_bytes(b"new.txt"), 1, 2)),
                append("b", Expect.NO_STREAM, discovered("a.txt")),
            ]
        )
        assert [type(o) for o in outcomes] == [AppendResult, PathTaken, AppendResult, AppendResult]
        assert _stream_at(log, "a.txt") == stream("b")
        assert _stream_at(log, "new.txt") == stream("a")
        assert _stream_at(log, "other.txt") is None

    async def test_two_files_may_change_places(self, log: EventLog) -> None:
        def moved(to: str) -> e.FileMoved:
            return e.FileMoved(from_bytes(to.encode()), 1, 2)

        outcomes = await log.append_all(
            [
                append("a", Expect.NO_STREAM, discovered("a.txt")),
                append("b", Expect.NO_STREAM, discovered("b.txt")),
                append("a", 1, touched()),
                append("b", 1, moved("aside.txt")),
                append("a", 2, moved("b.txt")),
                append("b", 2, moved("a.txt")),
            ]
        )
        assert all(isinstance(o, AppendResult) for o in outcomes)
        assert (_stream_at(log, "a.txt"), _stream_at(log, "b.txt")) == (stream("b"), stream("a"))

    async def test_only_the_lease_holder_may_append_with_an_epoch(self, log: EventLog) -> None:
        def with_epoch(epoch: int | None, number: int) -> Append:
            return append("a", Expect.EXISTS, touched(number), epoch=epoch)

        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
        with pytest.raises(Fenced) as caught:
            await log.append(with_epoch(1, 1))
        assert (caught.value.epoch, caught.value.current) == (1, None)
        await log.append(note(lease_taken(1), to=LEASE_STREAM))
        await log.append(with_epoch(1, 2))
        await log.append(note(lease_taken(2), to=LEASE_STREAM))
        with pytest.raises(Fenced) as caught:
            await log.append(with_epoch(1, 3))
        assert (caught.value.epoch, caught.value.current) == (1, 2)
        await log.append(with_epoch(2, 4))
        await log.append(with_epoch(None, 5))
        await log.append(note(e.LeaseReleased(2), to=LEASE_STREAM, epoch=2))
        with pytest.raises(Fenced):
            await log.append(with_epoch(2, 6))
        assert log.version(stream("a")) == 4

    async def test_a_take_over_fences_within_one_append_all(self, log: EventLog) -> None:
        outcomes = await log.append_all(
            [
                note(lease_taken(1), to=LEASE_STREAM),
                append("a", Expect.NO_STREAM, discovered("a.txt"), epoch=1),
                note(lease_taken(2), to=LEASE_STREAM),
                append("b", Expect.NO_STREAM, discovered("b.txt"), epoch=1),
            ]
        )
        assert [type(o) for o in outcomes] == [AppendResult, AppendResult, AppendResult, Fenced]

    async def test_a_refused_append_fails_only_itself(self, log: EventLog) -> None:
        used = append("used", Expect.NO_STREAM, discovered("used.txt"))
        await log.append(used)
        stolen = used.events[0].id
        outcomes = await log.append_all(
            [
                append("a", Expect.NO_STREAM, discovered("a.txt")),
                append("a", 7, touched()),
                append("b", Expect.NO_STREAM, discovered("b.txt")),
                append("c", Expect.NO_STREAM, discovered("a.txt")),
                append("a", 1, e.RetryRequested(), e.FileIndexed("x")),  # type: ignore[arg-type]
                append("a", 1, touched(), epoch=9),
                Append(stream("a"), 1, (NewEvent(stolen, touched()),), NOW_US),
                append("a", 1, touched(1)),
                append("c", Expect.NO_STREAM, discovered("c.txt")),
            ]
        )
        refused = [(number, type(o)) for number, o in enumerate(outcomes) if isinstance(o, AppendRefused)]
        assert refused == [(1, VersionConflict), (3, PathTaken), (4, IllegalEvent), (5, Fenced), (6, EventIdReuse)]
        assert [o.first_position for o in outcomes if isinstance(o, AppendResult)] == [3, 4, 5, 6]
        assert await positions(log) == [1, 2, 3, 4, 5, 6]

    async def test_an_append_is_all_or_nothing(self, log: EventLog) -> None:
        taken = append("a", Expect.NO_STREAM, discovered("a.txt"))
        await log.append(taken)
        bad = (NewEvent(new_id(), discovered("b.txt")), NewEvent(taken.events[0].id, touched()))
        with pytest.raises(EventIdReuse):
            await log.append(Append(stream("b"), 0, bad, NOW_US))
        assert log.read(stream("b")) == []
        assert log.by_path("b.txt") is None

    # ---- many at once ----------------------------------------------------------------------------------------------

    async def test_append_all_in_order_on_one_stream(self, log: EventLog) -> None:
        appends = [append("a", Expect.NO_STREAM, discovered("a.txt"))]
        appends += [append("a", version, touched(version)) for version in range(1, 2_500)]
        outcomes = await log.append_all(appends)
        assert [o.version for o in outcomes if isinstance(o, AppendResult)] == list(range(1, 2_501))
        assert await positions(log) == list(range(1, 2_502))

    async def test_nothing_to_append_is_nothing_done(self, log: EventLog) -> None:
        assert list(await log.append_all([])) == []
        assert log.head() == 1

    async def test_of_many_that_want_one_version_one_wins(self, log: EventLog) -> None:
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
        won: list[int] = []

        async def want(number: int) -> None:
            with contextlib.suppress(VersionConflict):
                await log.append(append("a", 1, touched(number)))
                won.append(number)

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(want, number)
        assert len(won) == 1
        assert log.version(stream("a")) == 2

    async def test_many_tasks_lose_nothing_and_leave_no_gap(self, log: EventLog) -> None:
        async def work(number: int) -> None:
            for one in life(f"s{number}", f"{number}.txt"):
                await log.append(one)

        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(work, number)
        assert await positions(log) == list(range(1, 242))
        assert {log.version(stream(f"s{number}")) for number in range(60)} == {4}

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def test_a_stream_is_read_as_it_was_written(self, log: EventLog) -> None:
        appends = life("a", "a.txt")
        for one in appends:
            await log.append(one)
        written = [(new.id, new.event, new.causation, one.at_us) for one in appends for new in one.events]
        read = log.read(stream("a"))
        assert [(r.id, r.event, r.causation, r.recorded_at_us) for r in read] == written
        assert [r.version for r in read] == [1, 2, 3, 4]
        assert [r.position for r in read] == [2, 3, 4, 5]
        assert [r.state.label for r in read] == ["untracked", "untracked", "uploading", "uploading"]
        assert {r.stream for r in read} == {stream("a")}
        assert [r.version for r in log.read(stream("a"), after_version=2)] == [3, 4]
        assert log.read(stream("nobody")) == []

    async def test_the_record_is_the_fold_of_the_stream(self, log: EventLog) -> None:
        for one in life("a", "a.txt"):
            result = await log.append(one)
        history = [(r.event, r.recorded_at_us) for r in log.read(stream("a"))]
        assert log.record(stream("a")) == fold(stream("a"), history) == result.record
        assert log.by_path("a.txt") == result.record
        assert log.record(stream("nobody")) is None

    async def test_since_goes_on_where_it_was_left(self, log: EventLog) -> None:
        for one in life("a", "a.txt"):
            await log.append(one)
        assert [r.position for r in log.since(0, 2)] == [1, 2]
        assert [r.position for r in log.since(2, 100)] == [3, 4, 5]
        assert log.since(5, 100) == []

    async def test_the_librarys_record(self, log: EventLog) -> None:
        assert log.library().library
        assert log.version(LIBRARY_STREAM) == 1
        await log.append(note(e.LibraryRooted("/x")))
        await log.append(note(e.StorePinned(StoreName("fileSearchStores/x"), "x", "local")))
        library = log.library()
        assert library.root == "/x"
        assert library.pin is not None
        assert [r.version for r in log.read(LIBRARY_STREAM)] == [1, 2, 3]

    async def test_what_expires_first_is_at_the_front(self, log: EventLog) -> None:
        for number, name in enumerate("abc"):
            begin, upload, done = life(name, f"{name}.txt")
            new = done.events[0]
            assert isinstance(new.event, e.UploadDone)
            expires_at_us = NOW_US + 1_000 - number
            changed = msgspec.structs.replace(new.event, expires_at_us=expires_at_us)
            for one in (begin, upload, Append(done.stream, 3, (NewEvent(new.id, changed),), NOW_US)):
                await log.append(one)
        await log.append(append("d", Expect.NO_STREAM, discovered("d.txt")))
        await log.append(append("e", Expect.NO_STREAM, e.FileDiscovered(from_bytes(b"e.txt"), excluded="empty")))
        assert [file.stream for file in log.open_files()] == [stream(name) for name in "cbad"]

    async def test_names_that_are_not_unicode_survive(self, log: EventLog) -> None:
        raw = b"caf\xe9/\xff\xfe\\x.txt"
        path = from_bytes(raw)
        await log.append(append("a", Expect.NO_STREAM, discovered(path)))
        found = log.by_path(path)
        assert found is not None
        assert to_bytes(found.path) == raw

    async def test_any_text_of_the_service_survives(self, log: EventLog) -> None:
        message = "line\nfeed \x00\x1b[31m \U0001f600 \u202e \r\n\\ \" ' {}"
        await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
        await log.append(append("a", 1, e.GaveUp("cause", message)))
        event = log.read(stream("a"))[-1].event
        assert isinstance(event, e.GaveUp)
        assert event.message == message


def _stream_at(log: EventLog, path: str) -> StreamId | None:
    record = log.by_path(path)
    return record.stream if record is not None else None
