"""Who may run: one runner per log, by events.

A lease is an event with an epoch; each append of a runner carries its epoch and is refused when the log is at another.
So a runner that was thought dead and wakes up again can write nothing, whatever the clocks say.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LEASE_STREAM
from objlib_fsm.core.ids import EventId, RunId
from objlib_fsm.core.library_record import Lease
from objlib_fsm.log.contract import Append, EventLog, Expect, NewEvent, VersionConflict

RENEW_EVERY_S: Final = 30.0
"""How often the holder says that it is alive."""

STALE_AFTER_S: Final = 300.0
"""A holder on another host that was silent this long is taken for dead; ten renewals may be lost before."""

_STATE_FIELD, _START_TIME_FIELD = 0, 19
"""Indexes of ``state`` and ``starttime`` in /proc/PID/stat after the command's closing parenthesis, proc(5)."""

_DEAD_STATES: Final = (b"Z", b"X", b"x")
"""A process that was killed and that its parent has not waited for yet."""

_FIRST_PID_NAMESPACE: Final = "pid:[4026531836]"
"""The kernel's number of the namespace that is no container's (``PROC_PID_INIT_INO``)."""


class Process(msgspec.Struct, frozen=True):
    """What tells a living process from one that has its pid by chance."""

    host: str
    """The host's name, and the pid namespace when it is a container's: a pid says nothing in another one."""
    pid: int
    started: int
    """Clock ticks after boot, 0 where the system does not tell."""
    boot_id: str


def this_process() -> Process:
    """The process that calls."""
    pid = os.getpid()
    return Process(_host(), pid, _started(pid) or 0, _boot_id())


def _host() -> str:
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return socket.gethostname()
    return socket.gethostname() + ("" if namespace == _FIRST_PID_NAMESPACE else f" {namespace}")


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """When the living process with that pid started; None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return _exists(pid)
    fields = stat.rpartition(b")")[2].split()
    return None if fields[_STATE_FIELD] in _DEAD_STATES else int(fields[_START_TIME_FIELD])


def _exists(pid: int) -> int | None:
    if Path("/proc/self").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return 0


def holder_is_dead(lease: Lease, me: Process, now_us: int) -> bool:
    """Whether nobody can be working under *lease* any more.

    On this host that is certain: another boot, or no process with its pid and start time.  On another host it is
    judged by the age of its last renewal, by the recorded clock of both.
    """
    if lease.host == me.host:
        if lease.boot_id != me.boot_id:
            return True
        started = _started(lease.pid)
        return started is None or (lease.process_started != 0 and started not in (0, lease.process_started))
    return now_us - lease.renewed_at_us > STALE_AFTER_S * 1_000_000


def at_work(lease: Lease | None, now_us: int) -> Lease | None:
    """The lease, when a process that is alive holds it."""
    if lease is None or lease.released or holder_is_dead(lease, this_process(), now_us):
        return None
    return lease


class LeaseHeld(Exception):
    """Another runner is at work."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(f"run {lease.run} on {lease.host}, process {lease.pid}, holds this log")
        self.lease = lease


async def take(log: EventLog, run: RunId, me: Process, now_us: int, event_id: EventId) -> int:
    """The epoch of a lease that is ours now.  Raises `LeaseHeld` while another holder may be alive."""
    while True:
        version = log.version(LEASE_STREAM)
        lease = log.library().lease
        if lease is not None and not lease.released and not holder_is_dead(lease, me, now_us):
            raise LeaseHeld(lease)
        epoch = lease.epoch + 1 if lease is not None else 1
        taken = e.LeaseTaken(epoch, run, me.host, me.pid, me.started, me.boot_id)
        try:
            await log.append(Append(LEASE_STREAM, version, (NewEvent(event_id, taken),), now_us))
        except VersionConflict:
            continue
        return epoch


async def renew(log: EventLog, epoch: int, now_us: int, event_id: EventId) -> None:
    """Say that the holder is alive.  Raises `Fenced` when it is not the holder any more."""
    event = NewEvent(event_id, e.LeaseRenewed(epoch))
    await log.append(Append(LEASE_STREAM, Expect.ANY, (event,), now_us, epoch))


async def release(log: EventLog, epoch: int, now_us: int, event_id: EventId) -> None:
    """Let others run.  Raises `Fenced` when it was taken already."""
    event = NewEvent(event_id, e.LeaseReleased(epoch))
    await log.append(Append(LEASE_STREAM, Expect.ANY, (event,), now_us, epoch))
