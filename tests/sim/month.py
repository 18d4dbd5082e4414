"""``python -m tests.sim.month``: a library lives through 30 days of edits, outages, kills and a lossy store.

Every day people edit, move and delete files, the service may be out for hours, the run may be killed, and somebody
deletes documents in the store.  A person runs the program once or twice a day, compares log and store when the run says
that this is due, and prunes once a week.  In the end the real commands are asked: ``store-sync`` must find only ``=``,
``check`` must pass, and ``audit`` must tell every event of every file that it is asked about.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.table import Kind
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.profiles import PROFILES
from objlib_fsm.engine import session as s
from objlib_fsm.engine.errors import Halted, StoreProblem
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.wishing import wish
from objlib_fsm.remote.pacing import Pacer
from objlib_fsm.remote.port import CallFailed
from tests.engine.truth import compare
from tests.sim import promise
from tests.sim.folder import memory_folder
from tests.support.command import COMMAND, Done, environment
from tests.support.mortal import at_step
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

FILES: Final = 2_000
DAYS: Final = 30
DAY_S: Final = 86_400.0

LOST_SHARE: Final = 0.01
"""Documents that the store loses in a month."""

EDITED_SHARE: Final = 0.02
"""Files that are edited, moved, deleted or added on a day."""

PRUNE_EVERY: Final = 7
MISSING_DAYS: Final = 7.0

RUNS_MAX: Final = 12
"""Runs a day; more are never needed."""

TIER: Final = "tier2"

AUDITED: Final = 25
SAMPLE: Final = 10

OUTAGES: Final = (
    Rule(fault="F11", mode="closed"),
    Rule(fault="F5", mode="unavailable"),
    Rule(fault="F4", probability=0.5),
    Rule(fault="F12", mode="closed", probability=0.2),
    Rule(fault="F7", probability=0.3),
    Rule(fault="F17", mode="html_502", probability=0.5),
)


class Month(msgspec.Struct):
    """What happened, and what the commands said in the end."""

    files: int
    days: int
    profile: str
    done: Counter[str]
    wall_s: float = 0.0
    events: int = 0
    indexed: int = 0
    missing: int = 0
    store_sync: str = ""
    check: str = ""
    audited: int = 0
    kinds: int = 0

    def __str__(self) -> str:
        did = ", ".join(f"{number:,} {what}" for what, number in sorted(self.done.items()))
        return (
            f"{self.files:,} files, {self.days} days, profile {self.profile}: {did}\n"
            f"  {self.indexed:,} indexed, {self.missing:,} missing, {self.events:,} events\n"
            f"  store-sync: {self.store_sync}\n  check: {self.check}\n"
            f"  audit: {self.audited} files, every event told, {self.kinds} kinds; {self.wall_s:.0f} s of real time"
        )


def live(
    folder: Path,
    files: int = FILES,
    days: int = DAYS,
    profile: str = "instant",
    seed: int = 0,
    *,
    audited: int = AUDITED,
) -> Month:
    """Live it.  Raises `promise.Broken` when the end is not as promised."""
    began = time.perf_counter()
    month = Month(files, days, profile, Counter())
    run_virtual(_live, folder, month, seed)
    _ask_the_commands(folder, month, audited)
    month.wall_s = time.perf_counter() - began
    return month


async def _live(folder: Path, month: Month, seed: int) -> None:
    (folder / ".objlib").mkdir()
    settings = PROFILES[month.profile]
    data = folder / ".objlib" / "local-store.db"
    async with world(folder, settings, seed=seed, service_name="local", data=data, service_jumps=False) as w:
        life = _Life(w, month, random.Random(f"month {seed}"))
        for number in range(month.files):
            life.write(f"book{number % 40:02}/text{number:04}.txt")
        await life.settle()
        for day in range(1, month.days + 1):
            await life.day(day)
        await life.settle()
        life.check()
        # The commands below ask at the machine's time: for the service it must be after all of this.
        ahead_us = w.clock.true_us() - time.time_ns() // 1_000
        w.service.service.context.advance_clock(max(0, ahead_us) + 3_600_000_000)


class _Life:
    def __init__(self, w: World, month: Month, r: random.Random) -> None:
        self.w, self.month, self.r = w, month, r
        self.contents: dict[str, str] = {}
        self.written = 0

    def write(self, name: str) -> None:
        """New words."""
        self.written += 1
        words = "Words of no weight follow it. " * self.r.randint(1, 40)
        text = f"{name} was written as number {self.written}. {words}"
        self.contents[name] = text
        self.w.write(name, text)

    async def day(self, day: int) -> None:
        """Edits, trouble, a run, perhaps a comparison, and the rest of the day."""
        for _ in range(max(1, round(len(self.contents) * EDITED_SHARE))):
            self.edit()
        lost = self.month.files * LOST_SHARE / self.month.days
        for _ in range(int(lost) + (self.r.random() < lost % 1)):
            await self.lose_a_document()
        if self.r.random() < 0.3:
            self.month.done["outages"] += 1
            self.w.faults.add(self.r.choice(OUTAGES))
        dies = self.r.random() < 0.4
        await self.run(round(2 ** self.r.uniform(0.0, 9.0)) if dies else None)
        await self.w.clock.sleep(2 * 3_600.0)
        self.w.faults.clear()
        summary = await self.run(None)
        if summary is not None and summary.sync_due:
            await compare(self.w, mend=True)
            await self.run(None)
        if day % PRUNE_EVERY == 0:
            await self.prune()
            await self.run(None)
        await self.w.clock.sleep(DAY_S - self.w.clock.monotonic() % DAY_S)

    def edit(self) -> None:
        """What a person does to one file."""
        what = self.r.choice(("changed", "changed", "changed", "added", "moved", "deleted"))
        name = self.r.choice(sorted(self.contents))
        self.month.done[f"files {what}"] += 1
        match what:
            case "changed":
                self.write(name)
            case "added":
                self.write(f"new/text{self.written:05}.txt")
            case "moved":
                to = self.w.library / "moved" / f"text{self.written:05}.txt"
                self.written += 1
                to.parent.mkdir(exist_ok=True)
                (self.w.library / name).rename(to)
                self.contents[f"moved/{to.name}"] = self.contents.pop(name)
            case "deleted":
                (self.w.library / name).unlink()
                del self.contents[name]

    async def lose_a_document(self) -> None:
        """The store loses one, and says nothing."""
        documents = self.w.service.service.documents()
        if documents:
            self.month.done["documents lost by the store"] += 1
            async with self.w.service.client() as http:
                name = self.r.choice(documents)["name"]
                await http.delete(f"/v1/{name}?force=true", headers={"x-goog-api-key": "test"})

    async def run(self, dies_at_step: int | None) -> s.Summary | None:
        """One run, however it ends."""
        self.month.done["runs"] += 1
        self.w.pace = Pacer(TIER, self.w.clock)
        life = self.w.new_life() if dies_at_step is None else self.w.new_life(at_step(dies_at_step))
        try:
            return await self.w.lived(life)
        except (Halted, StoreProblem, CallFailed):
            self.month.done["runs that ended early"] += 1
            return None
        finally:
            self.month.done["runs killed"] += life.dead

    async def settle(self) -> None:
        """Runs until nothing is left to do, and a comparison until nothing differs."""
        for _ in range(RUNS_MAX):
            summary = await self.run(None)
            if summary is not None and summary.exit_code == 0:
                compared = await compare(self.w, mend=True)
                if compared.comparison.same:
                    return
            elif summary is not None and summary.next_due_us is not None:
                await self.w.clock.sleep(max(1.0, (summary.next_due_us - self.w.clock.now_us()) / 1e6))
        raise promise.Broken(f"not settled: {summary}")

    async def prune(self) -> None:
        """The documents of files that have been missing for a week may go."""
        log = self.w.open("run")
        before_us = self.w.clock.now_us() - round(MISSING_DAYS * DAY_S * 1e6)
        away = [
            record
            for record in log.records()
            if record.missing_since_us is not None and record.missing_since_us < before_us and record.live_documents
        ]
        wished = await wish(Journal(log, self.w.clock, self.w.random_bytes), away, e.FilePruned())
        self.month.done["files pruned"] += len(wished.done)
        log.close()

    def check(self) -> None:
        """The promise, and what the month came to."""
        log = self.w.open("check")
        contents = {name: text.encode() for name, text in self.contents.items()}
        promise.check(log, self.w.service.service.documents(), contents, set())
        tally = s.counts(log)
        self.month.events, self.month.indexed, self.month.missing = log.head(), tally.indexed, tally.missing
        query = "SELECT count(*) FROM events WHERE kind = ?"
        self.month.done["comparisons with the store"] = int(log.rows(query, (Kind.STORE_COMPARED.value,))[0][0])
        log.close()


# ---- the commands ----------------------------------------------------------------------------------------------------


def _ask_the_commands(folder: Path, month: Month, audited: int) -> None:
    synced = _command(folder, "store-sync", "--json")
    found: dict[str, Any] = synced.lines[-1]
    month.store_sync = f"exit {synced.code}, " + ", ".join(f"{k} {v:,}" for k, v in found["counts"].items())
    checked = _command(folder, "check", "--sample", str(SAMPLE), "--json")
    passed: list[dict[str, Any]] = checked.lines[-1]["assertions"]
    month.check = f"exit {checked.code}, " + "; ".join(f"{a['name']}: {'yes' if a['ok'] else 'NO'}" for a in passed)
    if synced.code or checked.code:
        raise promise.Broken(f"{month}")
    kinds: set[str] = set()
    for path, version in _eventful(folder, audited):
        told = _command(folder, "audit", "--json", "--", f"library/{path}")
        events = told.lines[-1]["events"]
        if told.code or len(events) != version:
            raise promise.Broken(f"{path}: audit tells {len(events)} of {version} events")
        kinds.update(event["type"] for event in events)
        month.audited += 1
    month.kinds = len(kinds)


def _eventful(folder: Path, number: int) -> list[tuple[str, int]]:
    """The files with the longest histories: path and number of events."""
    import apsw

    db = apsw.Connection(str(folder / ".objlib" / "log.db"), flags=apsw.SQLITE_OPEN_READONLY)
    query = "SELECT path, version FROM files ORDER BY version DESC, path LIMIT ?"
    rows: list[Any] = db.execute(query, (number,)).fetchall()
    db.close()
    return [(str(path), int(version)) for path, version in rows]


def _command(folder: Path, *arguments: str) -> Done:
    import subprocess

    ended = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment(folder), capture_output=True, timeout=600, check=False
    )
    return Done(ended.returncode, ended.stdout, ended.stderr)


def main() -> int:
    """Print what happened; 1 when the end is not as promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.month", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=FILES, metavar="N")
    parser.add_argument("--days", type=int, default=DAYS, metavar="N")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="one of the two; both by default")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args()
    for profile in (options.profile,) if options.profile else ("instant", "measured"):
        with memory_folder() as folder:
            try:
                print(live(folder, options.files, options.days, profile, options.seed), flush=True)  # noqa: T201
            except promise.Broken as broken:
                print(f"seed {options.seed}: {broken}", flush=True)  # noqa: T201
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
