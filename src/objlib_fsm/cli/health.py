"""What ``doctor`` looks at: each check says what it found, and the command that mends it.

A check never raises for what it looks for; what other commands would stop with is a problem here, with their message.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.messages import Health
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.place import log_path, remembered_root
from objlib_fsm.cli.problems import problem_of
from objlib_fsm.cli.render import count, duration, when

if TYPE_CHECKING:
    from objlib_fsm.core.library_record import Lease, LibraryRecord
    from objlib_fsm.log.sqlite import SqliteReader

REFUSED: Final = ExitCode.REFUSED

OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"

FREE_BYTES_MIN: Final = 200_000_000
"""Room for a large file's private copy (100 MB) and for a log that grows."""

FREE_BYTES_NONE: Final = 10_000_000
"""With less a commit may fail at any moment."""

CLOCK_SLACK_S: Final = 300.0
"""What two clocks may differ without harm; raw files live 48 hours."""

EARLIEST_S: Final = 1_735_689_600.0
"""2025-01-01: a clock before it was never set."""


def checks(inv: Invocation, *, offline: bool) -> Iterator[Health]:
    """Every check in its order: what comes later is looked at whatever was found before."""
    path = log_path(inv)
    library = yield from _log(path)
    yield from _permissions(path)
    yield from _disk(path)
    yield from _clock(library)
    if library is not None:
        yield from _lease(library.lease)
        yield from _folder(path)
    yield from _service(inv, library, offline=offline)


def health(check: str, result: str, message: str, hint: str = "", code: int = 0) -> Health:
    """One finding."""
    return Health(check=check, result=result, message=message, hint=hint, exit_code=int(code))


def _problem(check: str, error: Exception) -> Health:
    problem = problem_of(error)
    return health(check, PROBLEM, problem.message, problem.hint, problem.code)


# ---- the log -------------------------------------------------------------------------------------------------------


def _log(path: Path) -> Generator[Health, None, LibraryRecord | None]:
    """Returns the library's record as the events tell it, None when there is no log or it is damaged."""
    from objlib_fsm.log.contract import NoLog
    from objlib_fsm.log.replay import check_pages, projection_drift, rebuild
    from objlib_fsm.log.sqlite import SqliteReader, open_for_reading

    try:
        reader = SqliteReader(open_for_reading(path), path)
    except NoLog as error:
        yield health("log", NOTE, str(error), error.hint)
        return None
    except Exception as error:
        yield _problem("log", error)
        return None
    try:
        yield health("log", OK, f"{path}: {count(reader.head(), 'event')}, format {_format(reader)}")
        with reader.snapshot():
            rebuilt = rebuild(reader)
            check_pages(reader)
            drift = projection_drift(reader, rebuilt)
    except Exception as error:
        yield _problem("chain", error)
        return None
    finally:
        reader.close()
    yield health("chain", OK, f"every event is what was written, every page is sound, digest {rebuilt.digest[:16]}")
    if drift or rebuilt.mismatches:
        found = f"the stored state of {count(len(drift), 'file')} does not follow from the events"
        if drift:
            yield health("state", PROBLEM, found, "objlib-fsm replay", ExitCode.DIFFERENCES)
        else:
            yield health(
                "state",
                PROBLEM,
                f"{count(len(rebuilt.mismatches), 'event')} recorded another state than the history leads to",
                "objlib-fsm replay --check names them; use the program's newest version",
                ExitCode.DIFFERENCES,
            )
    else:
        yield health("state", OK, f"{count(len(rebuilt.files), 'file')}, as the events say")
    return rebuilt.library


def _format(reader: SqliteReader) -> int:
    return int(reader.rows("PRAGMA user_version")[0][0])


# ---- this machine --------------------------------------------------------------------------------------------------


def _permissions(path: Path) -> Iterator[Health]:
    folder = path.parent
    if not folder.exists():
        return
    refused, open_to_others = [], []
    for place in (folder, *(path.with_name(path.name + end) for end in ("", "-wal", "-shm"))):
        try:
            mode = stat.S_IMODE(place.stat().st_mode)
        except OSError:
            continue
        if not os.access(place, os.R_OK | os.W_OK):
            refused.append(str(place))
        elif mode & (0o022 if place is folder else 0o077):
            open_to_others.append(str(place))
    if refused:
        said = f"may not be read and written by this user: {' '.join(refused)}"
        yield health("permissions", PROBLEM, said, f"chmod u+rwX {' '.join(refused)}, or ask their owner", REFUSED)
    if open_to_others:
        said = f"others may read or change: {' '.join(open_to_others)}"
        yield health("permissions", WARNING, said, f"chmod go-rwx {' '.join(open_to_others)}")
    if not refused and not open_to_others:
        yield health("permissions", OK, f"{folder}: yours")


def _disk(path: Path) -> Iterator[Health]:
    for what, place in (("the log's disk", _existing(path.parent)), ("temporary files", Path(tempfile.gettempdir()))):
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            yield health("disk", PROBLEM, f"{place}: {error.strerror}", "check the disk", ExitCode.REFUSED)
            continue
        said = f"{what} ({place}): {free / 1e6:,.0f} MB free"
        if free < FREE_BYTES_NONE:
            yield health("disk", PROBLEM, said, "free some space; nothing is lost meanwhile", ExitCode.REFUSED)
        elif free < FREE_BYTES_MIN:
            yield health("disk", WARNING, said, "free some space: a large file needs a private copy while it is sent")
        else:
            yield health("disk", OK, said)


def _existing(folder: Path) -> Path:
    return next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists())


def _clock(library: LibraryRecord | None) -> Iterator[Health]:
    now_s = time.time()
    last_us = max((us for us in _times(library) if us is not None), default=0)
    ahead_s = last_us / 1e6 - now_s
    if now_s < EARLIEST_S:
        yield health("clock", PROBLEM, f"it says {when(round(now_s * 1e6))}", "set the clock", ExitCode.REFUSED)
    elif ahead_s > CLOCK_SLACK_S:
        yield health(
            "clock",
            WARNING,
            f"it is {duration(ahead_s)} behind what the log recorded last",
            "set the clock (timedatectl), if it is wrong now; if it was wrong then, nothing needs to be done",
        )
    else:
        yield health("clock", OK, when(round(now_s * 1e6)))


def _times(library: LibraryRecord | None) -> tuple[int | None, ...]:
    if library is None:
        return ()
    lease, run = library.lease, library.run
    return (
        lease.renewed_at_us if lease is not None else None,
        run.started_at_us if run is not None else None,
        run.ended_at_us if run is not None else None,
    )


def _lease(lease: Lease | None) -> Iterator[Health]:
    from objlib_fsm.log.lease import holder_is_dead, this_process

    if lease is None or lease.released:
        yield health("lease", OK, "no run is at work")
        return
    who = f"run {lease.run} (host {lease.host}, process {lease.pid}, since {when(lease.taken_at_us)})"
    if holder_is_dead(lease, this_process(), time.time_ns() // 1_000):
        yield health("lease", NOTE, f"{who} ended without saying so", "objlib-fsm run goes on from there")
    elif lease.host == this_process().host:
        yield health("lease", NOTE, f"{who} is at work", "objlib-fsm run --wait begins when it has ended")
    else:
        yield health(
            "lease",
            NOTE,
            f"{who} is at work, or was silent for less than five minutes",
            "wait for it; a run there can also be ended there",
        )


def _folder(path: Path) -> Iterator[Health]:
    from objlib_fsm.log.sqlite import SqliteReader, open_for_reading

    try:
        reader = SqliteReader(open_for_reading(path), path)
        try:
            root = remembered_root(reader)
        finally:
            reader.close()
    except Exception as error:
        yield _problem("library", error)
        return
    if root is None:
        yield health("library", NOTE, "the log knows no folder yet", "objlib-fsm run LIBRARY")
    elif not root.is_dir():
        hint = "is its disk mounted? A library that moved: see `objlib-fsm run --help`"
        yield health("library", PROBLEM, f"{root}: there is no such folder", hint, ExitCode.MISSING)
    elif not os.access(root, os.R_OK | os.X_OK):
        yield health("library", PROBLEM, f"{root}: may not be read", f"chmod u+rx {root}", ExitCode.REFUSED)
    else:
        yield health("library", OK, str(root))


# ---- the service ---------------------------------------------------------------------------------------------------


def _service(inv: Invocation, library: LibraryRecord | None, *, offline: bool) -> Iterator[Health]:
    from objlib_fsm.cli.backend import choose, key_source

    pin = library.pin if library is not None else None
    try:
        choice = choose(inv, pin)
    except Exception as error:
        yield _problem("key", error)
        return
    if choice.local:
        yield health("key", OK, "the local store needs none")
        yield from _local_store(inv)
        return
    source = key_source(inv)
    yield health("key", OK, f"from {source}" if source else "none, and a service on this machine needs none")
    if offline:
        yield health("service", NOTE, "not asked (--offline)")
        return
    from objlib_fsm.cli.probe import ask_service

    yield from ask_service(choice, pin)


def _local_store(inv: Invocation) -> Iterator[Health]:
    from objlib_fsm.cli.place import local_store_for
    from objlib_fsm.emulator.service import open_service

    data = local_store_for(log_path(inv))
    if not data.exists():
        yield health("service", NOTE, f"the local store ({data}) is made by the first run")
        return
    try:
        with open_service(data) as service:
            counts = service.counts()
    except Exception as error:
        yield _problem("service", error)
        return
    yield health("service", OK, f"local store {data}: {count(counts['documents'], 'document')}")
