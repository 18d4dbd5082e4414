"""Group commit: who waits learns what became of the append, whatever happens to the waiter or to the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import apsw
import pytest

from objlib_fsm.core import events as e
from objlib_fsm.log.contract import (
    Append,
    AppendRefused,
    AppendResult,
    EventIdReuse,
    Expect,
    LogBusy,
    LogError,
    LogUnavailable,
    VersionConflict,
)
from objlib_fsm.log.file import LogFile
from objlib_fsm.log.group import GROUP_MAX, GroupCommit
from tests.log.kit import (
    append,
    check,
    discovered,
    fill,
    in_thread,
    life,
    note,
    open_at,
    settle,
    stream,
    tamper,
    touched,
)

pytestmark = pytest.mark.anyio


def new_file(number: int) -> Append:
    """A file that was not there."""
    return append(f"new{number}", Expect.NO_STREAM, discovered(f"new/{number}.txt"))


class Gate:
    """A `run_sync` that holds each commit until it is let through."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.open = anyio.Event()

    async def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Wait at the gate, then run in a thread."""
        self.reached.set()
        await self.open.wait()
        return await in_thread(function, *arguments)


def gated(log: LogFile, gate: Gate) -> GroupCommit:
    """Group commit of *log* through *gate*."""
    return GroupCommit(log._committer, gate)


@contextmanager
def hooked(log: LogFile, set_hook: str, hook: Callable[..., Any]) -> Iterator[None]:
    """A hook of SQLite on the writing connection."""
    db = log._writer.connection
    getattr(db, set_hook)(hook)
    try:
        yield
    finally:
        getattr(db, set_hook)(None)
        db.wal_autocheckpoint(1_000)


# ---- cancelled -----------------------------------------------------------------------------------------------------


async def test_a_cancelled_append_is_durable_and_its_result_known(log: LogFile) -> None:
    gate, results, caught = Gate(), list[AppendResult](), list[bool]()
    group = gated(log, gate)

    async def task(number: int) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            results.append(await group.append(new_file(number)))
            assert not scope.cancelled_caught
            await anyio.lowlevel.checkpoint()
            raise AssertionError("the cancellation was lost")
        caught.append(scope.cancelled_caught)

    scopes: list[anyio.CancelScope] = []
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(task, number)
        await gate.reached.wait()
        await anyio.wait_all_tasks_blocked()
        for scope in scopes:
            scope.cancel()
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        assert not results
        gate.open.set()
    assert [(result.version, result.duplicate) for result in results] == [(1, False)] * 5
    assert caught == [True] * 5
    assert log.head() == 6
    check(log)


async def test_a_cancelled_append_that_is_refused_says_so(log: LogFile) -> None:
    gate = Gate()
    group = gated(log, gate)
    with anyio.CancelScope() as scope:
        scope.cancel()
        gate.open.set()
        with pytest.raises(VersionConflict):
            await group.append(append("a", 5, touched()))
    assert log.head() == 1


@pytest.mark.parametrize("victim", [0, 1, 2])
async def test_a_task_that_is_torn_away_takes_nobody_with_it(log: LogFile, victim: int) -> None:
    """``Task.cancel`` of asyncio reaches through every shield; 0 leads the group."""
    gate, results = Gate(), dict[int, AppendResult]()
    group = gated(log, gate)

    async def task(number: int) -> None:
        results[number] = await group.append(new_file(number))

    tasks = [asyncio.create_task(task(number)) for number in range(3)]
    await gate.reached.wait()
    await anyio.wait_all_tasks_blocked()
    tasks[victim].cancel()
    await asyncio.sleep(0)
    gate.open.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[victim], asyncio.CancelledError)
    assert sorted(results) == sorted({0, 1, 2} - {victim})
    for number, result in results.items():
        assert [r.position for r in log.read(stream(f"new{number}"))] == [result.first_position]
    check(log)


async def test_a_leader_that_is_torn_away_before_its_turn_takes_nobody_with_it(log: LogFile) -> None:
    gate = Gate()
    group = gated(log, gate)
    first = asyncio.create_task(group.append(new_file(0)))
    await gate.reached.wait()
    waiting = [asyncio.create_task(group.append(new_file(number))) for number in (1, 2, 3)]
    await anyio.wait_all_tasks_blocked()
    waiting[0].cancel()
    late = asyncio.create_task(group.append(new_file(4)))
    await asyncio.sleep(0)
    gate.open.set()
    done = await asyncio.gather(first, *waiting, late, return_exceptions=True)
    assert isinstance(done[1], asyncio.CancelledError)
    assert [type(d) for d in (done[0], *done[2:])] == [AppendResult] * 4
    check(log)


async def test_a_commit_goes_on_when_its_leader_is_torn_away(log: LogFile) -> None:
    """The thread cannot be cancelled; the next commit waits for it."""
    tasks = [asyncio.create_task(log.append(new_file(number))) for number in range(20)]
    for _ in range(3):
        await asyncio.sleep(0)
    tasks[0].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(d) for d in done[1:]] == [AppendResult] * 19
    await log.append(new_file(99))
    written = {r.stream for r in log.since(1, 100)}
    assert written >= {stream(f"new{number}") for number in [*range(1, 20), 99]}
    check(log)


# ---- a commit that fails -------------------------------------------------------------------------------------------


async def test_a_commit_that_fails_is_told_to_everyone_who_waits(log: LogFile) -> None:
    errors = list[LogError]()

    async def task(number: int) -> None:
        with pytest.raises(LogUnavailable, match="a commit failed, nothing of it was written") as caught:
            await log.append(new_file(number))
        errors.append(caught.value)

    with hooked(log, "set_commit_hook", lambda: True):
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(task, number)
    assert len(errors) == 30
    assert log.head() == 1
    assert not log._writer.connection.in_transaction
    for number in range(30):
        await log.append(new_file(number))
    check(log)


async def test_a_commit_that_failed_and_was_written_is_done(log: LogFile) -> None:
    """SQLite reports an error of the hook after the commit: the log is asked, and it has the events."""
    await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
    group = [
        append("b", Expect.NO_STREAM, discovered("b.txt")),
        append("a", 9, touched()),
        append("a", 1, touched()),
        append("c", Expect.NO_STREAM, discovered("a.txt")),
    ]
    with hooked(log, "set_wal_hook", lambda *_: apsw.SQLITE_IOERR):
        outcomes = await log.append_all(group)
    assert [isinstance(outcome, AppendResult) for outcome in outcomes] == [True, False, True, False]
    assert [o.first_position for o in outcomes if isinstance(o, AppendResult)] == [3, 4]
    assert (await log.append(append("a", 2, touched()))).first_position == 5
    check(log)


async def test_an_error_before_the_commit_leaves_nothing(log: LogFile) -> None:
    def interrupt(*_: Any) -> bool:
        raise apsw.IOError("the disk is gone")

    with (
        hooked(log, "set_update_hook", interrupt),
        pytest.raises(LogUnavailable, match="disk is gone"),
    ):
        await log.append(new_file(1))
    assert log.head() == 1
    await log.append(new_file(1))
    check(log)


async def test_a_program_error_is_raised_and_not_hidden(log: LogFile) -> None:
    def broken(*_: Any) -> bool:
        raise ZeroDivisionError

    with hooked(log, "set_update_hook", broken), pytest.raises(ZeroDivisionError):
        await log.append(new_file(1))
    await log.append(new_file(1))
    check(log)


async def test_another_process_that_keeps_the_lock(log: LogFile) -> None:
    other = apsw.Connection(str(log.path))
    other.execute("BEGIN IMMEDIATE")
    log._writer.connection.set_busy_timeout(20)
    with pytest.raises(LogBusy, match="another process") as caught:
        await log.append(new_file(1))
    assert caught.value.exit_code == 11
    assert log.head() == 1
    other.execute("ROLLBACK")
    await log.append(new_file(1))
    other.close()
    check(log)


async def test_a_projection_that_went_stale_under_us(log: LogFile) -> None:
    fill(log, 1)
    tamper(log.path, "UPDATE projection SET position = 3")
    with pytest.raises(LogUnavailable, match="not up to date") as caught:
        await log.append(new_file(1))
    assert "objlib-fsm replay" in caught.value.hint
    tamper(log.path, "UPDATE projection SET position = 5")
    await log.append(new_file(1))
    check(log)


async def test_a_file_that_the_projection_lacks(log: LogFile) -> None:
    fill(log, 2)
    tamper(log.path, "DELETE FROM files WHERE path LIKE '%0001.txt'")
    with pytest.raises(LogError, match="differ about file1") as caught:
        await log.append(append("file1", Expect.EXISTS, touched()))
    assert "objlib-fsm replay" in caught.value.hint


async def test_what_one_append_breaks_it_alone_pays_for(log: LogFile) -> None:
    """An id that is taken shows only when it is written: the group is written again one by one."""
    used = new_file(0)
    await log.append(used)
    results = dict[int, AppendResult | AppendRefused]()

    async def task(number: int) -> None:
        one = new_file(number)
        if number == 7:
            one = Append(one.stream, Expect.NO_STREAM, used.events, one.at_us)
        (results[number],) = await log.append_all([one])

    async with anyio.create_task_group() as tasks:
        for number in range(1, 20):
            tasks.start_soon(task, number)
    assert [number for number, result in results.items() if isinstance(result, EventIdReuse)] == [7]
    assert sum(isinstance(result, AppendResult) for result in results.values()) == 18
    check(log)


# ---- how many commits ----------------------------------------------------------------------------------------------


@contextmanager
def counted(log: LogFile) -> Iterator[list[None]]:
    """The commits of the writing connection."""
    commits: list[None] = []

    def count() -> bool:
        commits.append(None)
        return False

    with hooked(log, "set_commit_hook", count):
        yield commits


async def test_a_lone_append_is_one_commit(log: LogFile) -> None:
    with counted(log) as commits:
        for number in range(5):
            await log.append(new_file(number))
    assert len(commits) == 5


async def test_concurrent_appends_share_commits(log: LogFile) -> None:
    async def task(number: int) -> None:
        for one in life(f"s{number}", f"{number}.txt"):
            await log.append(one)

    with counted(log) as commits:
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(task, number)
    assert len(commits) < 30
    check(log)


async def test_a_large_append_all_is_split(log: LogFile) -> None:
    with counted(log) as commits:
        outcomes = await log.append_all([new_file(number) for number in range(2 * GROUP_MAX + 1)])
    assert all(isinstance(outcome, AppendResult) for outcome in outcomes)
    assert len(commits) == 3


async def test_a_group_never_grows_past_its_bound(log: LogFile) -> None:
    sizes = list[int]()

    async def run_sync(function: Callable[..., Any], group: list[Append]) -> Any:
        sizes.append(len(group))
        return await in_thread(function, group)

    group = GroupCommit(log._committer, run_sync)

    async def task(number: int) -> None:
        outcomes = await group.append_all([new_file(number * 1_000 + i) for i in range(400)])
        assert all(isinstance(outcome, AppendResult) for outcome in outcomes)

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(task, number)
    assert sum(sizes) == 2_400
    assert max(sizes) <= GROUP_MAX
    check(log)


async def test_what_is_refused_costs_no_commit(log: LogFile) -> None:
    with counted(log) as commits:
        outcomes = await log.append_all([append("a", 5, touched()), append("b", Expect.EXISTS, touched())])
    assert [type(outcome) for outcome in outcomes] == [VersionConflict, VersionConflict]
    assert not commits


# ---- without threads, and with several -----------------------------------------------------------------------------


async def test_it_works_without_threads(log: LogFile) -> None:
    settle(log)

    async def inline(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    again = open_at(log.path, run_sync=inline)

    async def task(number: int) -> None:
        for one in life(f"s{number}", f"{number}.txt"):
            await again.append(one)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(task, number)
    assert again.head() == 81
    check(again)
    again.close()


async def test_a_caller_that_is_not_async_may_append_meanwhile(log: LogFile) -> None:
    async def task(number: int) -> None:
        for one in life(f"s{number}", f"{number}.txt"):
            await log.append(one)
            log.append_now(note(e.LibraryRooted(f"/{number}")))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(task, number)
    assert log.head() == 1 + 20 * 4 + 20 * 3
    check(log)


async def test_what_is_remembered_of_files_is_forgotten_when_others_write(log: LogFile) -> None:
    await log.append(append("a", Expect.NO_STREAM, discovered("a.txt")))
    other = open_at(log.path, run="o" * 16)
    other.append_now(append("a", 1, touched(1)))
    with pytest.raises(VersionConflict) as caught:
        await log.append(append("a", 1, touched(2)))
    assert caught.value.actual == 2
    result = await log.append(append("a", 2, touched(3)))
    assert result.record is not None
    assert result.record.mtime_ns == 3
    other.append_now(append("a", 3, touched(4)))
    assert (await log.append(append("a", Expect.EXISTS, touched(5)))).version == 5
    assert [r.run for r in log.read(stream("a"))] == ["r" * 16, "o" * 16, "r" * 16, "o" * 16, "r" * 16]
    assert log.touched_by_others(0, "r" * 16) == [stream("a")]
    assert log.touched_by_others(5, "r" * 16) == []
    other.close()
    check(log)
