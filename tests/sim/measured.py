"""``python -m tests.sim.measured``: 1,749 files under the profile ``measured``, in virtual time, with the real pacing.

An earlier uploader needed 273 minutes, three repair passes, rows edited by hand and a purge of 952 orphans for them.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from objlib_fsm.core.policy import LISTING_AFTER_S
from objlib_fsm.core.table import Kind
from objlib_fsm.emulator.profiles import MEASURED
from objlib_fsm.engine import session as s
from objlib_fsm.remote import breaker
from objlib_fsm.remote.budget import TIERS
from objlib_fsm.remote.pacing import Pacer
from tests.sim.folder import memory_folder
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

FILES: Final = 1_749
TOTAL_BYTES: Final = 112_000_000
SMALLEST_BYTES, LARGEST_BYTES = 1_024, 3_475_970
"""The corpus of the earlier uploader."""

SPREAD: Final = 1.3
"""Of the logarithms of the sizes: half of the files are smaller than 28 KB, one in a hundred is over 500 KB."""

TIER: Final = "tier1"

CHANGES: Final = ("files.upload.start", "stores.import", "documents.delete", "files.delete", "stores.create")
"""Requests that the rate limit is about; an upload is one."""

REQUEST_S: Final = (0.24, 0.5)
BYTES_S: Final = (1.5, 2.5)
"""The profile's latencies: an import is one request; an upload is one, and one with the bytes."""

PAGE: Final = 20
"""Documents on a page of a listing."""


class Figures(msgspec.Struct, frozen=True):
    """What a run did and how fast it could have been."""

    files: int
    size_bytes: int
    adaptive: bool
    minutes: float
    bound_minutes: float
    exit_code: int
    indexed: int
    failed: int
    documents: int
    extra_uploads: int
    refused: int
    rate_rpm: float
    wall_s: float

    @property
    def of_bound(self) -> float:
        """The share of the fastest that latency and rate allow."""
        return self.bound_minutes / self.minutes

    def __str__(self) -> str:
        rate = "adaptive" if self.adaptive else "fixed rate"
        return (
            f"{self.files:,} files, {self.size_bytes / 1e6:.0f} MB, {TIER}, {rate}: "
            f"one run, {self.minutes:.1f} minutes, exit {self.exit_code}\n"
            f"  {self.indexed:,} indexed, {self.failed} failed, {self.documents:,} documents in the store, "
            f"{self.extra_uploads} raw files too many, {self.refused} changes refused on the way\n"
            f"  the bound is {self.bound_minutes:.1f} minutes ({self.of_bound:.1%} of it reached); "
            f"{self.rate_rpm:.0f} changes a minute at the end; {self.wall_s:.0f} s of real time"
        )


def sizes(files: int, total_bytes: int) -> Iterator[int]:
    """Sizes like the corpus's: log-normal between its smallest and its largest, adding up to about *total_bytes*."""
    r = random.Random(files)
    drawn = [math.exp(r.gauss(0.0, SPREAD)) for _ in range(files)]
    scale = total_bytes / sum(drawn)
    for size in drawn:
        yield round(min(max(size * scale, SMALLEST_BYTES), LARGEST_BYTES))


def earliest_calls_s(uploads: list[bool], *, adaptive: bool, concurrency: int) -> list[float]:
    """When each call begins if each begins as soon as the rate and the calls at once allow.  True is an upload.

    A call begins one interval after the one before it, when one of the calls at once is over.  A rate that adapts
    climbs with every call that had to wait for it, as the pacing's rule says.
    """
    r = random.Random(0)
    tier = TIERS[TIER]
    rate = breaker.Rate(tier.rpm, tier.rpm)
    over = [0.0] * concurrency
    times: list[float] = []
    due_s = 0.0
    for upload in uploads:
        free_s = heapq.heappop(over)
        at_s = max(due_s, free_s)
        times.append(at_s)
        heapq.heappush(over, at_s + r.uniform(*REQUEST_S) + (r.uniform(*BYTES_S) if upload else 0.0))
        if adaptive and due_s > free_s:
            rate = breaker.climbed(rate)
        due_s = at_s + 60.0 / rate.rpm
    return times


def bound_s(w: World, *, adaptive: bool, concurrency: int) -> float:
    """When the last document can be known to be ACTIVE: the calls that were made, in their order, each as early as the
    rate allows, and then as long as the service really took for that document.

    Where the operation never said done only a listing tells, which takes its pages; the engine makes none for that
    before `LISTING_AFTER_S`, so that one serves many.
    """
    request_s = sum(REQUEST_S) / 2
    taken_s = {
        name: ((active_us - created_us) / 1e6, style)
        for name, active_us, created_us, style in w.service.service.context.db.run(
            "SELECT d.id, d.active_at_us, d.created_at_us, o.style FROM document AS d JOIN operation AS o ON o.n = d.n"
        )
    }
    listing_s = math.ceil(len(taken_s) / PAGE) * request_s
    log = w.open("bound")
    names = {record.stream: (record.document or record.documents[0]).name for record in log.records()}
    begun = [r for r in log.since(0, 1 << 30) if r.kind in (Kind.UPLOAD_INTENDED, Kind.IMPORT_INTENDED)]
    log.close()
    uploads = [r.kind is Kind.UPLOAD_INTENDED for r in begun]
    times = earliest_calls_s(uploads, adaptive=adaptive, concurrency=concurrency)
    last_import_s = {r.stream: at_s for r, at_s in zip(begun, times, strict=True) if r.kind is Kind.IMPORT_INTENDED}
    known_s: list[float] = []
    for stream, at_s in last_import_s.items():
        document_s, style = taken_s[names[stream].rpartition("/")[2]]
        if style == "never_done":
            known_s.append(at_s + request_s + max(document_s, LISTING_AFTER_S) + listing_s)
        else:
            known_s.append(at_s + request_s + document_s + request_s)
    return max(known_s, default=0.0)


def fill(w: World, files: int, total_bytes: int) -> int:
    """Write the library; its size in bytes."""
    written = 0
    line = "The quick brown fox jumps over the lazy dog, says line {} of file {}.\n"
    for number, size in enumerate(sizes(files, total_bytes)):
        text = "".join(line.format(n, number) for n in range(size // 70 + 1))[:size]
        w.write(f"book{number % 40:02}/text{number:04}.txt", text)
        written += size
    return written


def measure(folder: Path, files: int = FILES, total_bytes: int = TOTAL_BYTES, *, adaptive: bool) -> Figures:
    """One run over the whole library, and what came of it."""
    return run_virtual(_measure, folder, files, total_bytes, adaptive)


async def _measure(folder: Path, files: int, total_bytes: int, adaptive: bool) -> Figures:
    began = time.perf_counter()
    async with world(folder, MEASURED, seed=1_749) as w:
        size_bytes = fill(w, files, total_bytes)
        pace = Pacer(TIER, w.clock, adaptive=adaptive)
        w.pace = pace
        started = w.clock.monotonic()
        summary = await w.run()
        minutes = (w.clock.monotonic() - started) / 60
        requests = w.service.service.requests.copy()
        raw_files = w.service.service.counts()["files"]
        await w.check()
        calls = sum(requests[name] for name in CHANGES)
        return Figures(
            files=files,
            size_bytes=size_bytes,
            adaptive=adaptive,
            minutes=minutes,
            bound_minutes=bound_s(w, adaptive=adaptive, concurrency=s.CONCURRENCY) / 60,
            exit_code=summary.exit_code,
            indexed=summary.counts.indexed,
            failed=summary.counts.failed,
            documents=w.service.service.counts()["documents"],
            extra_uploads=raw_files - files,
            refused=calls - 2 * files - 1,
            rate_rpm=pace.rate_rpm or 0.0,
            wall_s=time.perf_counter() - began,
        )


def main() -> int:
    """Print the figures; 0 when everything is as promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.measured", description=__doc__)
    parser.add_argument("--files", type=int, default=FILES, metavar="N")
    parser.add_argument("--only", choices=("fixed", "adaptive"), help="one of the two rates; both by default")
    options = parser.parse_args()
    good = True
    for adaptive in (False, True):
        if options.only not in (None, "adaptive" if adaptive else "fixed"):
            continue
        with memory_folder() as folder:
            figures = measure(folder, options.files, TOTAL_BYTES * options.files // FILES, adaptive=adaptive)
        print(figures, flush=True)  # noqa: T201
        good = good and figures.exit_code == 0 and figures.documents == options.files
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
