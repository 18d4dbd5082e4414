"""``run --dry-run``: what would be sent.  No call, no event, no file."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from objlib_fsm.cli import messages
from objlib_fsm.cli.backend import Choice
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.place import own_paths, reading
from objlib_fsm.cli.plan import Estimate
from objlib_fsm.cli.render import count, size
from objlib_fsm.cli.safe import safe
from objlib_fsm.core.table import State
from objlib_fsm.engine.scanning import known_files
from objlib_fsm.library import compare as c
from objlib_fsm.library.scan import scan

if TYPE_CHECKING:
    from objlib_fsm.log.sqlite import SqliteReader

FILES_SHOWN: Final = 20


def dry_run(inv: Invocation, choice: Choice, root: Path, log: Path, limit: int | None) -> ExitCode:
    """Say what a run would send.  Raises `ScanRefused`."""
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(reading(inv)) if log.exists() else None
        known = known_files(reader) if reader else {}
        found = scan(root, known, time.time_ns() // 1_000, own_paths(log), inv.settings.ignore)
        sizes = _waiting(reader) if reader else {}
    for finding in found.findings:
        match finding:
            case c.New(path, fingerprint) | c.Changed(path, fingerprint):
                sizes[path] = fingerprint.size_bytes
            case c.NoLongerExcluded(path, fingerprint) | c.Reappeared(path, fingerprint):
                sizes.setdefault(path, fingerprint.size_bytes)
            case c.Moved(path, old_path, _) if old_path in sizes:
                sizes[path] = sizes.pop(old_path)
            case c.NowExcluded(path) | c.Vanished(path):
                sizes.pop(path, None)
            case _:
                pass
    chosen = sorted(sizes.items())[:limit]
    size_bytes = sum(size_bytes for _, size_bytes in chosen)
    estimate = Estimate(len(chosen), size_bytes, choice.tier, inv.settings.prices.usd_per_million_tokens)
    if inv.json:
        inv.console.result(messages.document(_plan(estimate, root, choice, [path for path, _ in chosen])))
        return ExitCode.OK
    _show(inv, estimate, chosen, choice)
    return ExitCode.OK


def _waiting(reader: SqliteReader) -> dict[str, int]:
    """Files that the log says are still to be sent."""
    query = "SELECT path, json_extract(record, '$.size_bytes') FROM files WHERE standing = 0 AND state IN (?, ?)"
    return {
        str(path): int(size_bytes or 0) for path, size_bytes in reader.rows(query, (State.UNTRACKED, State.UPLOADING))
    }


def _plan(estimate: Estimate, root: Path, choice: Choice, paths: list[str]) -> messages.Plan:
    return messages.Plan(
        library=str(root),
        files=estimate.files,
        size_bytes=estimate.size_bytes,
        tokens=estimate.tokens,
        price_usd=round(estimate.price_usd, 6),
        hours=round(estimate.hours, 4),
        tier=choice.tier,
        backend=choice.name,
        first=paths[:FILES_SHOWN],
    )


def _show(inv: Invocation, estimate: Estimate, chosen: list[tuple[str, int]], choice: Choice) -> None:
    out = inv.console.out
    for path, size_bytes in chosen[:FILES_SHOWN]:
        out(f"  {safe(path)}  {size(size_bytes)}")
    if len(chosen) > FILES_SHOWN:
        out(f"  and {count(len(chosen) - FILES_SHOWN, 'more file', 'more files')}")
    for line in estimate.lines():
        out(line)
    if choice.local:
        out("with the local store: no cost, no waiting, and nothing leaves this machine")
    out("nothing was sent and nothing was recorded")
