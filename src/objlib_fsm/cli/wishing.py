"""How a wish is taken down: find the files, append what is wanted, say who performs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from objlib_fsm.cli import messages
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.named import find, folders
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.place import log_path, reading
from objlib_fsm.cli.render import count
from objlib_fsm.cli.safe import safe
from objlib_fsm.cli.shell import opened_shell
from objlib_fsm.core import events as e
from objlib_fsm.core.machine import Rejected
from objlib_fsm.core.record import FileRecord
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.wishing import wish
from objlib_fsm.log.lease import at_work
from objlib_fsm.log.sqlite import SqliteReader

FILES_SHOWN: Final = 20

Refusal = Callable[[FileRecord], str]
"""Why a wish makes no sense for a file, empty when it does."""

Meaning = Callable[[FileRecord], str]
"""What a wish that was taken down means for the file."""


def named(log: SqliteReader, names: Sequence[str]) -> list[FileRecord]:
    """The files, each once.  Raises `NotThere` for a name that the log does not know."""
    return list({record.stream: record for record in (find(log, name) for name in names)}.values())


def named_or_below(log: SqliteReader, names: Sequence[str]) -> list[FileRecord]:
    """The files, and those below the folders, of these names; each once, by path.

    Raises `NotThere` for a name that is neither.
    """
    found: dict[str, FileRecord] = {}
    for name in names:
        below = [record for path in folders(log, name) for record in below_of(log, path)]
        found |= {record.stream: record for record in below or [find(log, name)]}
    return sorted(found.values(), key=lambda record: record.path)


def below_of(log: SqliteReader, folder: str) -> Sequence[FileRecord]:
    """Every file below the folder; the empty text is the library's own."""
    first = f"{folder}/" if folder else ""
    last = f"{folder}0" if folder else "\U0010ffff"  # "0" comes right after "/".
    return list(log.records("path >= ? AND path < ? ORDER BY path", (first, last)))


def carry_out(
    inv: Invocation,
    actor: str,
    event: e.Event,
    choose: Callable[[SqliteReader], Sequence[FileRecord]],
    refusal: Refusal,
    meaning: Meaning,
    agreed: Callable[[Sequence[FileRecord]], bool] | None = None,
) -> ExitCode:
    """Append *event* for the files that *choose* finds and *refusal* lets pass; *meaning* tells what it means for each.

    *agreed* is asked first, when it is given and there is something to append.
    """
    with reading(inv) as log:  # A log that is not there is not made, and none is held open during a question.
        chosen = choose(log)
    skipped = [(str(record.path), why) for record in chosen if (why := refusal(record))]
    wanted = [record for record in chosen if not refusal(record)]
    if wanted and agreed is not None and not agreed(wanted):
        inv.console.say("nothing was recorded")
        return ExitCode.LATER
    with opened_shell(log_path(inv), actor) as shell:
        journal = Journal(shell.log, shell.clock, shell.random_bytes)
        wished = anyio.run(wish, journal, wanted, event)
        skipped += [(rejected.path, _late(rejected)) for rejected in wished.refused]
        holder = _at_work(shell.log)
    if inv.json:
        _emit(inv, actor, wished.done, skipped, holder)
    else:
        _show(inv, wished.done, skipped, holder, meaning)
    return ExitCode.OK


def _late(rejected: Rejected) -> str:
    return f"another process was first; it is {rejected.state.label} now"


def _at_work(log: SqliteReader) -> str:
    """Who performs it at once: a run at work, or nobody."""
    lease = at_work(log.library().lease, time.time_ns() // 1_000)
    return f"process {lease.pid} on {lease.host}" if lease is not None else ""


def _emit(
    inv: Invocation, actor: str, done: Sequence[FileRecord], skipped: Sequence[tuple[str, str]], holder: str
) -> None:
    message = messages.Wished(
        command=actor,
        files=[record.path for record in done],
        skipped=[messages.Skipped(path, why) for path, why in skipped],
        at_work=bool(holder),
    )
    inv.console.result(messages.document(message))


def _show(
    inv: Invocation, done: Sequence[FileRecord], skipped: Sequence[tuple[str, str]], holder: str, meaning: Meaning
) -> None:
    out = inv.console.out
    for record in done[:FILES_SHOWN]:
        out(f"{safe(record.path)}: {meaning(record)}")
    if len(done) > FILES_SHOWN:
        out(f"and {count(len(done) - FILES_SHOWN, 'more file', 'more files')}")
    for path, why in skipped[:FILES_SHOWN]:
        out(f"{safe(path)}: {safe(why)}")
    if len(skipped) > FILES_SHOWN:
        out(f"and {count(len(skipped) - FILES_SHOWN, 'more file', 'more files')} with nothing to do")
    if done:
        inv.console.say(f"the run at work ({safe(holder)}) takes it up" if holder else "next: objlib-fsm run")
