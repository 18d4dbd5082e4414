"""Numbers, times and tables for people."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from objlib_fsm.cli.safe import safe

if TYPE_CHECKING:
    from objlib_fsm.core.library_record import Lease

_UNITS: Final = ("bytes", "KB", "MB", "GB", "TB")


def size(size_bytes: int) -> str:
    """``12.3 MB``, decimal as the service counts."""
    value = float(size_bytes)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{size_bytes} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 file``, ``1,234 files``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 172_800:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def when(at_us: int) -> str:
    """Local time to the second."""
    return _moment(at_us).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(at_us: int) -> str:
    """Local time with milliseconds, for a history."""
    return _moment(at_us).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def iso(at_us: int) -> str:
    """ISO 8601 in UTC with microseconds, for programs."""
    return _moment(at_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def iso_or_none(at_us: int | None) -> str | None:
    """`iso`, or None for no time."""
    return None if at_us is None else iso(at_us)


def due(at_us: int, now_us: int) -> str:
    """``2026-11-20 22:15:03 (in 12 min 3 s)``, or ``now``."""
    return "now" if at_us <= now_us else f"{when(at_us)} (in {duration((at_us - now_us) / 1e6)})"


def left(at_us: int, now_us: int) -> str:
    """``in 12 min 3 s``, or ``12 min 3 s ago``: for what happens at that time by itself."""
    if at_us < now_us:
        return f"{duration((now_us - at_us) / 1e6)} ago"
    return f"in {duration((at_us - now_us) / 1e6)}"


def ago(at_us: int, now_us: int) -> str:
    """``2026-11-20 22:15:03 (12 s ago)``."""
    return f"{when(at_us)} ({duration((now_us - at_us) / 1e6)} ago)"


def holder(lease: Lease) -> str:
    """Who is at work on the log: process, host, since when."""
    return (
        f"process {lease.pid} on {safe(lease.host)} is at work on this log since {when(lease.taken_at_us)}"
        f" (run {lease.run})"
    )


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: str = "  ") -> list[str]:
    """Aligned columns, two spaces apart; *right* columns are aligned to the right."""
    if not rows:
        return []
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for column, text in enumerate(row):
            padding = " " * (widths[column] - width(text))
            cells.append(padding + text if column in right else text + padding)
        lines.append(indent + "  ".join(cells).rstrip())
    return lines


def width(text: str) -> int:
    """Columns that *text* takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def shortened(text: str, columns: int) -> str:
    """*text* cut in the middle to at most *columns* characters: a path's end tells more than its middle."""
    if width(text) <= columns:
        return text
    keep = max(columns - 1, 2)
    return f"{text[: keep // 3]}…{text[-(keep - keep // 3) :]}"


def _moment(at_us: int) -> datetime.datetime:
    try:
        return datetime.datetime.fromtimestamp(at_us / 1_000_000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.datetime.fromtimestamp(0, datetime.UTC)
