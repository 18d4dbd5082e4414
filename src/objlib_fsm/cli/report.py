"""What a scan found and how a run ended, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from objlib_fsm.cli import messages
from objlib_fsm.cli.console import Console
from objlib_fsm.cli.render import count, due, duration, iso_or_none, table, when
from objlib_fsm.cli.safe import safe
from objlib_fsm.library.values import KEPT, Exclusion

if TYPE_CHECKING:
    from pathlib import Path

    from objlib_fsm.engine.scanning import Scanned
    from objlib_fsm.engine.session import Counts
    from objlib_fsm.log.sqlite import SqliteReader

TROUBLES_SHOWN: Final = 10

_RECORDED: Final = {
    "file_discovered": "new",
    "content_changed": "changed",
    "file_touched": "touched",
    "file_moved": "moved",
    "file_vanished": "gone",
    "file_reappeared": "back",
    "file_excluded": "left out from now on",
    "file_included": "no longer left out",
    "file_described": "described anew",
}


def scan_message(scanned: Scanned, root: Path, exit_code: int) -> messages.Scanned:
    """The scan for a program."""
    return messages.Scanned(
        library=str(root),
        recorded=dict(scanned.recorded),
        unchanged=scanned.unchanged,
        excluded=dict(scanned.excluded),
        left_out=dict(scanned.left_out),
        troubles=[{"file": trouble.path, "message": trouble.message} for trouble in scanned.troubles],
        twins=[[twins.first, twins.second] for twins in scanned.twins],
        exit_code=exit_code,
    )


def scan_lines(scanned: Scanned) -> list[str]:
    """The scan for a person."""
    told = [f"{number:,} {_RECORDED.get(kind, kind)}" for kind, number in scanned.recorded.items()]
    lines = [f"scanned: {', '.join([*told, f'{scanned.unchanged:,} unchanged'])}"]
    excluded = [f"{number:,} {reason_in_words(reason)}" for reason, number in sorted(scanned.excluded.items())]
    if excluded:
        lines.append(f"cannot be indexed: {'; '.join(excluded)}")
    left_out = [f"{number:,} {reason_in_words(reason)}" for reason, number in sorted(scanned.left_out.items())]
    if left_out:
        lines.append(f"left out: {'; '.join(left_out)}")
    lines += [f"left out: {safe(path)}: {safe(why)}" for path, why in scanned.undescribed[:TROUBLES_SHOWN]]
    if len(scanned.undescribed) > TROUBLES_SHOWN:
        more = count(len(scanned.undescribed) - TROUBLES_SHOWN, "more file", "more files")
        lines.append(f"and {more} with metadata that cannot be sent")
    lines += [
        f"could not be seen: {safe(trouble.path) or 'the folder itself'}: {safe(trouble.message)}"
        for trouble in scanned.troubles[:TROUBLES_SHOWN]
    ]
    if len(scanned.troubles) > TROUBLES_SHOWN:
        lines.append(f"and {count(len(scanned.troubles) - TROUBLES_SHOWN, 'more')} that could not be seen")
    lines += [
        f"two files with names that look the same: {twins.first!a} and {twins.second!a}"
        for twins in scanned.twins[:TROUBLES_SHOWN]
    ]
    return lines


def reason_in_words(reason: str) -> str:
    """Why a file is left out, for a person: reasons of a newer program as they are written."""
    try:
        return Exclusion(reason).text
    except ValueError:
        return safe(reason)


def summary_message(
    tally: Counts,
    exit_code: int,
    failures: list[messages.Cause],
    *,
    put_off: int = 0,
    next_due_us: int | None = None,
    store: str = "",
    seconds: float = 0.0,
    sync_due: bool = False,
    resumed_late: int = 0,
) -> messages.Summary:
    """The last line of ``run --json``."""
    return messages.Summary(
        total=tally.total,
        indexed=tally.indexed,
        processing=tally.processing,
        uploading=tally.uploading,
        failed=tally.failed,
        untracked=tally.untracked,
        excluded=tally.excluded,
        missing=tally.missing,
        forgotten=tally.forgotten,
        exit_code=exit_code,
        put_off=put_off,
        next_due_at=iso_or_none(next_due_us),
        store=store,
        seconds=round(seconds, 3),
        failures=tuple(failures),
        sync_due=sync_due,
        resumed_late=resumed_late,
    )


def waiting_line(until_us: int, files: int) -> str:
    """Why nothing happens now."""
    return f"waiting until {when(until_us)}: {files:,} due then or later"


def show_summary(console: Console, summary: messages.Summary, next_due_us: int | None, now_us: int) -> None:
    """The result of a run for a person."""
    names = ("indexed", "failed", "processing", "uploading", "untracked", "excluded", "missing", "forgotten")
    rows = [(f"{getattr(summary, name):,}", name) for name in names if getattr(summary, name) or name == "indexed"]
    rows.append((f"{summary.total:,}", f"files in all, {duration(summary.seconds)}"))
    for line in table(rows, right=(0,)):
        console.out(line)
    for cause in summary.failures:
        said = f": {safe(cause.message)}" if cause.message and cause.message != cause.cause else ""
        console.out(f"{count(cause.files, 'file')} failed, {safe(cause.cause)}{said}")
        console.out(f"  for example: objlib-fsm audit {shell_word(cause.example)}")
    if summary.put_off and next_due_us is not None:
        verb = "is" if summary.put_off == 1 else "are"
        again = (
            "due now: objlib-fsm run"
            if next_due_us <= now_us
            else f"due later: come back at {due(next_due_us, now_us)}"
        )
        console.out(f"{count(summary.put_off, 'file')} {verb} {again}")


def shell_word(path: str) -> str:
    """A path as it can be typed in a shell."""
    import shlex

    return shlex.quote(safe(path))


def unreadable(log: SqliteReader) -> list[str]:
    """Files that this user may not read, or whose metadata cannot be sent: wanted, and not indexed as they are."""
    query = "SELECT path FROM files WHERE standing = 1 AND json_extract(record, '$.excluded') IN (?, ?) ORDER BY path"
    return [str(path) for (path,) in log.rows(query, tuple(KEPT))]
