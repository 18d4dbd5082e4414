"""``run --dry-run``: what would be sent.  No call, no event, no file."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from objlib_fsm.cli import messages, prune
from objlib_fsm.cli.backend import Choice
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.place import own_paths, reading, there_is_a_log
from objlib_fsm.cli.plan import Estimate
from objlib_fsm.cli.render import count, size
from objlib_fsm.cli.run import Wish
from objlib_fsm.cli.safe import safe
from objlib_fsm.core.policy import FAILURES_MAX
from objlib_fsm.core.table import State
from objlib_fsm.engine.scanning import known_files
from objlib_fsm.library import compare as c
from objlib_fsm.library.metadata import Describer
from objlib_fsm.library.scan import ScanResult, scan
from objlib_fsm.library.values import KEPT

if TYPE_CHECKING:
    from objlib_fsm.log.sqlite import SqliteReader

FILES_SHOWN: Final = 20


def dry_run(inv: Invocation, wish: Wish, choice: Choice, root: Path, log: Path) -> ExitCode:
    """Say what a run would send.  Raises `ScanRefused`."""
    now_us = time.time_ns() // 1_000
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(reading(inv)) if there_is_a_log(log) else None
        known = known_files(reader) if reader else {}
        describer = Describer(inv.settings.metadata)
        ignore = inv.settings.ignore
        found = scan(root, known, now_us, own_paths(log), ignore, describer, redescribe=wish.redescribe)
        sizes = _waiting(reader, wish.retry_failed) if reader else {}
        pruned = _pruned(inv, reader, found, now_us) if reader and wish.prune else None
    for finding in found.findings:
        match finding:
            case c.New(path, fingerprint) | c.Changed(path, fingerprint):
                sizes[path] = fingerprint.size_bytes
            case (
                c.NoLongerExcluded(path, fingerprint)
                | c.Reappeared(path, fingerprint)
                | c.Redescribed(path, fingerprint)
            ):
                sizes.setdefault(path, fingerprint.size_bytes)
            case c.Moved(path, old_path, _) if old_path in sizes:
                sizes[path] = sizes.pop(old_path)
            case c.NowExcluded(path) | c.Vanished(path):
                sizes.pop(path, None)
            case _:
                pass
    chosen = sorted(sizes.items())[: wish.limit]
    size_bytes = sum(size_bytes for _, size_bytes in chosen)
    estimate = Estimate(len(chosen), size_bytes, choice.tier, inv.settings.prices.usd_per_million_tokens)
    if inv.json:
        inv.console.result(messages.document(_plan(estimate, root, choice, [path for path, _ in chosen], pruned)))
        return ExitCode.OK
    _show(inv, estimate, chosen, choice, pruned)
    return ExitCode.OK


def _pruned(inv: Invocation, reader: SqliteReader, found: ScanResult, now_us: int) -> messages.Prune:
    """What a prune would delete, given what is on disk now."""
    away = {
        finding.path
        for finding in found.findings
        if isinstance(finding, c.Vanished) or (isinstance(finding, c.NowExcluded) and finding.reason not in KEPT)
    }
    back = {finding.old_path if isinstance(finding, c.Moved) else finding.path for finding in found.findings} - away
    return prune.message(prune.plan(inv.settings, reader, now_us, back, away), now_us)


def _waiting(reader: SqliteReader, retry_failed: bool) -> dict[str, int]:
    """Files that the log says are still to be sent."""
    query = (
        "SELECT path, json_extract(record, '$.size_bytes') FROM files WHERE standing = 0 AND (state IN (?, ?) "
        "OR (state = ? AND coalesce(json_extract(record, '$.failures'), 0) < ?))"
    )
    tries = FAILURES_MAX if retry_failed else 0
    states = (State.UNTRACKED, State.UPLOADING, State.FAILED)
    return {str(path): int(size_bytes or 0) for path, size_bytes in reader.rows(query, (*states, tries))}


def _plan(
    estimate: Estimate, root: Path, choice: Choice, paths: list[str], pruned: messages.Prune | None
) -> messages.Plan:
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
        prune=pruned,
    )


def _show(
    inv: Invocation,
    estimate: Estimate,
    chosen: list[tuple[str, int]],
    choice: Choice,
    pruned: messages.Prune | None,
) -> None:
    out = inv.console.out
    for path, size_bytes in chosen[:FILES_SHOWN]:
        out(f"  {safe(path)}  {size(size_bytes)}")
    if len(chosen) > FILES_SHOWN:
        out(f"  and {count(len(chosen) - FILES_SHOWN, 'more file', 'more files')}")
    for line in estimate.lines():
        out(line)
    for line in prune.lines(pruned) if pruned is not None else ():
        out(line)
    if choice.local:
        out("with the local store: no cost, no waiting, and nothing leaves this machine")
    out("nothing was sent and nothing was recorded")
