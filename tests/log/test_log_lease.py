"""Who may run: one process at a time, and a dead one never for long."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec
import pytest

from objlib_fsm.core.events import LEASE_STREAM
from objlib_fsm.core.ids import RunId
from objlib_fsm.core.library_record import Lease
from objlib_fsm.log import lease
from objlib_fsm.log.contract import Expect, Fenced
from objlib_fsm.log.file import LogFile
from objlib_fsm.log.lease import STALE_AFTER_S, LeaseHeld, Process, holder_is_dead, this_process
from tests.log.kit import NOW_US, append, check, discovered, new_id, touched

pytestmark = pytest.mark.anyio

ME = this_process()
ONE, TWO = RunId("one".ljust(16, "-")), RunId("two".ljust(16, "-"))


def held(log: LogFile) -> Lease:
    """The lease as the log has it."""
    found = log.library().lease
    assert found is not None
    return found


@pytest.fixture
def whole(log: LogFile) -> Iterator[LogFile]:
    """A log that is checked in the end."""
    yield log
    check(log)


async def test_the_first_to_come_takes_it(whole: LogFile) -> None:
    assert await lease.take(whole, ONE, ME, NOW_US, new_id()) == 1
    found = held(whole)
    assert (found.epoch, found.run, found.host, found.pid) == (1, ONE, ME.host, os.getpid())
    assert (found.process_started, found.boot_id) == (ME.started, ME.boot_id)
    assert (found.taken_at_us, found.renewed_at_us, found.released) == (NOW_US, NOW_US, False)


async def test_the_second_is_told_who_holds_it(whole: LogFile) -> None:
    await lease.take(whole, ONE, ME, NOW_US, new_id())
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()}, holds this log") as caught:
        await lease.take(whole, TWO, ME, NOW_US + 10**12, new_id())
    assert caught.value.lease == held(whole)
    assert whole.version(LEASE_STREAM) == 1


async def test_renewed_and_released(whole: LogFile) -> None:
    epoch = await lease.take(whole, ONE, ME, NOW_US, new_id())
    await lease.renew(whole, epoch, NOW_US + 5, new_id())
    assert held(whole).renewed_at_us == NOW_US + 5
    await lease.release(whole, epoch, NOW_US + 9, new_id())
    assert held(whole).released
    assert await lease.take(whole, TWO, ME, NOW_US + 10, new_id()) == 2
    with pytest.raises(Fenced):
        await lease.release(whole, epoch, NOW_US + 11, new_id())
    assert not held(whole).released


async def test_of_two_that_come_at_once_one_gets_it(whole: LogFile) -> None:
    epochs, refused = list[int](), list[LeaseHeld]()

    async def come(run: str) -> None:
        try:
            epochs.append(await lease.take(whole, RunId(run), ME, NOW_US, new_id()))
        except LeaseHeld as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(come, f"run{number}")
    assert epochs == [1]
    assert len(refused) == 7


_HOLDER = """
    import os, random, sys, time, anyio
    from pathlib import Path
    from objlib_fsm.core.ids import RunId
    from objlib_fsm.log import lease
    from tests.log.kit import NOW_US, new_id, open_at

    async def main() -> None:
        log = open_at(Path(sys.argv[1]), run="h" * 16)
        await lease.take(log, RunId("h" * 16), lease.this_process(), NOW_US, new_id())
        print("held", flush=True)
        sys.stdin.read()

    anyio.run(main)
"""


@pytest.mark.parametrize("waited_for", [True, False])
def test_a_holder_that_was_killed_is_dead_at_once(whole: LogFile, waited_for: bool) -> None:
    """Also before its parent has waited for it: then the kernel still shows a process with its pid."""
    command = [sys.executable, "-c", textwrap.dedent(_HOLDER), str(whole.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LeaseHeld, match=f"process {holder.pid}"):
            anyio.run(lease.take, whole, TWO, ME, NOW_US + 1, new_id())
        holder.kill()
        if waited_for:
            holder.wait()
        else:
            os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
            assert Path(f"/proc/{holder.pid}/stat").exists()
        assert anyio.run(lease.take, whole, TWO, ME, NOW_US + 2, new_id()) == 2


def by(process: Process, *, renewed_at_us: int = NOW_US) -> Lease:
    """A lease of *process*."""
    return Lease(1, ONE, process.host, process.pid, process.started, process.boot_id, NOW_US - 10**10, renewed_at_us)


def test_who_is_dead_on_this_host() -> None:
    assert not holder_is_dead(by(ME), ME, NOW_US + 10**13), "it lives, however old its last renewal"
    another_start = msgspec.structs.replace(ME, started=ME.started + 1)
    assert holder_is_dead(by(another_start), ME, NOW_US), "its pid has another process now"
    another_boot = msgspec.structs.replace(ME, boot_id="another")
    assert holder_is_dead(by(another_boot), ME, NOW_US), "the machine was started again"
    unknown_start = msgspec.structs.replace(ME, started=0)
    assert not holder_is_dead(by(unknown_start), ME, NOW_US), "some systems do not tell when a process started"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert holder_is_dead(by(msgspec.structs.replace(ME, pid=ended.pid)), ME, NOW_US)


def test_who_is_dead_on_another_host() -> None:
    other = Process("another host", ME.pid, ME.started, ME.boot_id)
    stale_us = NOW_US + round(STALE_AFTER_S * 1e6)
    assert not holder_is_dead(by(other), ME, stale_us)
    assert holder_is_dead(by(other), ME, stale_us + 1)
    assert not holder_is_dead(by(other), ME, NOW_US - 10**12), "its clock is ahead of ours"


def test_a_container_is_a_host_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers may share a name, a boot and this log; a pid of the one says nothing in the other."""
    monkeypatch.setattr(os, "readlink", lambda _: "pid:[4026532999]")
    inside = this_process()
    assert inside.host.endswith(" pid:[4026532999]")
    monkeypatch.setattr(os, "readlink", lambda _: "pid:[4026531836]")
    outside = this_process()
    assert not outside.host.endswith("]")
    assert not holder_is_dead(by(msgspec.structs.replace(inside, pid=2**22 - 1)), outside, NOW_US)


async def test_a_runner_that_was_thought_dead_can_write_nothing(whole: LogFile) -> None:
    """Incident 24: whoever asked got the lock, and anybody's release freed it.

    Version alone would not stop it: nobody has touched the file that it appends to.
    """
    other = Process("another host", 1, 1, "b")
    first = await lease.take(whole, ONE, other, NOW_US, new_id())
    await whole.append(append("a", Expect.NO_STREAM, discovered("a.txt"), epoch=first))
    later_us = NOW_US + 10**12
    second = await lease.take(whole, TWO, ME, later_us, new_id())
    assert (first, second) == (1, 2)
    with pytest.raises(Fenced) as caught:
        await whole.append(append("a", 1, touched(), epoch=first))
    assert (caught.value.epoch, caught.value.current) == (1, 2)
    with pytest.raises(Fenced):
        await lease.renew(whole, first, later_us, new_id())
    await whole.append(append("a", 1, touched(), epoch=second))
    assert held(whole).run == TWO
