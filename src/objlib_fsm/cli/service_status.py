"""What the log knows of the service: import operations, raw files that expire, and the rate it bears."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objlib_fsm.cli import messages
from objlib_fsm.cli.render import count, iso, left, when
from objlib_fsm.cli.safe import safe
from objlib_fsm.core.table import State

if TYPE_CHECKING:
    from objlib_fsm.core.library_record import LibraryRecord
    from objlib_fsm.log.sqlite import SqliteReader

_OPEN_OPERATIONS = (
    "SELECT count(*) - count(json_extract(i.value, '$.operation')), count(json_extract(i.value, '$.operation')) "
    "FROM files, json_each(record, '$.imports') AS i WHERE state = ? AND json_extract(i.value, '$.ended') IS NULL"
)
_EXPIRING = "SELECT path, expires_at_us FROM files WHERE expires_at_us IS NOT NULL ORDER BY expires_at_us LIMIT 1"


def operations(log: SqliteReader, library: LibraryRecord) -> messages.Operations:
    """Import operations: those under way, and how the others ended."""
    pending, in_progress = log.rows(_OPEN_OPERATIONS, (State.PROCESSING.value,))[0]
    ended = library.operations
    return messages.Operations(pending, in_progress, ended.succeeded, ended.failed, ended.timed_out, ended.forgotten)


def deadlines(log: SqliteReader) -> messages.Deadlines | None:
    """The raw files that are not imported yet; None when there are none."""
    first = log.rows(_EXPIRING)
    if not first:
        return None
    files = log.rows("SELECT count(*) FROM files WHERE expires_at_us IS NOT NULL")[0][0]
    return messages.Deadlines(files, iso(first[0][1]), first[0][0])


def pace(library: LibraryRecord) -> messages.PaceKnown:
    """The rates that were learned, and what replies said of limits."""
    learned = [
        messages.Learned(known.service, known.tier, round(known.rpm, 1), iso(known.at_us)) for known in library.learned
    ]
    limits = library.limits
    return messages.PaceKnown(learned, dict(limits.headers) if limits else {}, iso(limits.at_us) if limits else None)


def lines(log: SqliteReader, report: messages.Status, now_us: int) -> list[str]:
    """All of it for a person; nothing where there is nothing to say."""
    told = []
    found = report.operations
    counted = {
        "pending": found.pending,
        "in progress": found.in_progress,
        "succeeded": found.succeeded,
        "failed": found.failed,
        "timed out": found.timed_out,
        "forgotten by the service": found.forgotten,
    }
    if any(counted.values()):
        told.append("imports  " + ", ".join(f"{number:,} {word}" for word, number in counted.items() if number))
    first = log.rows(_EXPIRING)
    if report.deadlines is not None and first:
        path, at_us = first[0]
        files = count(report.deadlines.files, "raw file")
        told.append(
            f"deadline {files} not imported yet, the first expires {when(at_us)} ({left(at_us, now_us)}): {safe(path)}"
        )
    told += [
        f"pace     {known.rpm:,.0f} calls a minute on {safe(known.tier)} of {safe(known.service)}, learned"
        for known in report.pace.learned
    ]
    if report.pace.limits:
        told.append("limits   " + ", ".join(f"{safe(k)} {safe(v)}" for k, v in report.pace.limits.items()))
    return told
