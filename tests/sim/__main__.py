"""``python -m tests.sim --seeds 200 --first 0``: live that many seeds; a failing one is printed with its command."""

from __future__ import annotations

import argparse
import gc
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

from tests.sim.folder import memory_folder
from tests.sim.simulation import Result, simulate

REGRESSIONS: Final = Path(__file__).with_name("regressions.txt")
CHUNK: Final = 50
"""Seeds that a process takes at once, and after which progress is shown."""


def regressions() -> list[int]:
    """Seeds that failed once."""
    lines = (line.partition("#")[0].strip() for line in REGRESSIONS.read_text("utf-8").splitlines())
    return [int(line) for line in lines if line]


def command(seed: int) -> str:
    """What lives that seed again."""
    return f"python -m tests.sim --seeds 1 --first {seed}"


def one(seed: int) -> Result | str:
    """The seed's result, or the traceback of its failure."""
    try:
        with memory_folder() as folder:
            return simulate(seed, folder)
    except Exception:
        return traceback.format_exc()


def _chunk(seeds: list[int]) -> list[tuple[int, Result | str]]:
    gc.disable()  # Collected between seeds: a tenth of the time.
    done = []
    for seed in seeds:
        done.append((seed, one(seed)))
        gc.collect()
    return done


def _all(seeds: list[int], jobs: int) -> Iterator[tuple[int, Result | str]]:
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    if jobs == 1:
        for chunk in chunks:
            yield from _chunk(chunk)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for done in pool.map(_chunk, chunks):
            yield from done


def main(arguments: list[str] | None = None) -> int:
    """0 when every seed ends as promised, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many seeds (default 200)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (default 0)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default 1)")
    parser.add_argument("--regressions", action="store_true", help="the seeds of regressions.txt as well")
    parser.add_argument("--trace", action="store_true", help="print every seed with its trace")
    options = parser.parse_args(arguments)
    seeds = [*(regressions() if options.regressions else ()), *range(options.first, options.first + options.seeds)]
    began = time.perf_counter()
    results: list[Result] = []
    failed: list[int] = []
    for seed, result in _all(seeds, options.jobs):
        if isinstance(result, str):
            failed.append(seed)
            print(f"{result}\nseed {seed} FAILED; again: {command(seed)}", flush=True)  # noqa: T201
            continue
        results.append(result)
        if options.trace:
            print(f"seed {seed}  {result.trace}", flush=True)  # noqa: T201
        elif len(results) % 1_000 == 0:
            print(f"  {len(results)} seeds, the last is {seed}", flush=True)  # noqa: T201
    print(summary(seeds, results, failed, time.perf_counter() - began))  # noqa: T201
    return 1 if failed else 0


def summary(seeds: list[int], results: list[Result], failed: list[int], wall_s: float) -> str:
    """What was done, in one line each."""
    total = {
        name: sum(getattr(result, name) for result in results)
        for name in ("files", "events", "requests", "runs", "kills", "faults", "uploads", "virtual_s")
    }
    names = f"{seeds[0]} to {seeds[-1]}" if seeds else "none"
    return (
        f"simulation: {len(seeds)} seeds ({names}), {len(failed)} failed{': ' if failed else ''}"
        f"{', '.join(map(str, failed))}\n"
        f"  {total['runs']:,} runs, {total['kills']:,} killed, {total['faults']:,} faults,"
        f" {total['files']:,} files at the end, {total['events']:,} events, {total['requests']:,} requests,"
        f" {total['uploads']:,} uploads, {total['virtual_s'] / 86_400:,.0f} virtual days"
        f" in {wall_s:.1f} s ({wall_s / max(len(seeds), 1):.3f} s a seed)"
    )


if __name__ == "__main__":
    sys.exit(main())
