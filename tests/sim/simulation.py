"""One seed: a library lives through its plan, then everything gets well and the promise must hold."""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Tell
from objlib_fsm.core.table import State
from objlib_fsm.emulator.settings import Settings
from objlib_fsm.engine import session as s
from objlib_fsm.engine.errors import Halted, StoreProblem
from objlib_fsm.engine.journal import Journal, NotAllowed
from objlib_fsm.engine.runner import Stop
from objlib_fsm.log.file import LogFile
from objlib_fsm.remote.pacing import Pacer
from objlib_fsm.remote.port import CallFailed
from tests.sim import promise
from tests.sim.plan import Edit, Episode, Plan, plan
from tests.support.mortal import Life, at_step, immortal
from tests.support.virtual_time import run_virtual
from tests.support.world import RemotePace, World, world

RUNS_MAX: Final = 40
"""Runs until all is done once the service is well; one that has not ended by then never will."""

TURNS_MAX: Final = 100_000
"""Turns of the event loop in a seed; the longest lives take a tenth of it."""

WAIT_MAX_S: Final = 3 * 86_400.0
"""Nothing that the service can ask for lasts longer than a day; a wrong clock is allowed two more."""

TIER: Final = "tier3"
"""2,000 changes a minute: pacing is at work, and a seed does not last for days."""

ENDED_EARLY: Final = (Halted, StoreProblem, CallFailed)
"""How a run may end besides with a summary."""

_NOT_OF_THE_SEED: Final = ("inode", "device", "root")
"""What events record of the machine that they happened on."""


class Result(msgspec.Struct, frozen=True):
    """What a seed did.  ``trace`` is the digest of every event and of the requests per endpoint."""

    seed: int
    trace: str
    files: int
    events: int
    requests: int
    runs: int
    kills: int
    faults: int
    virtual_s: float
    uploads: int


class Failed(AssertionError):
    """A seed that broke the promise."""

    def __init__(self, seed: int, why: str) -> None:
        super().__init__(f"seed {seed}: {why}")
        self.seed = seed


def simulate(seed: int, folder: Path) -> Result:
    """Live that seed in an empty folder.  Raises `Failed`."""
    try:
        return run_virtual(_simulate, plan(seed), folder, turns_max=TURNS_MAX)
    except Exception as error:
        raise Failed(seed, f"{type(error).__name__}: {error}") from error


async def _simulate(life: Plan, folder: Path) -> Result:
    async with world(folder, life.settings, life.rules, seed=life.seed, service_jumps=False) as w:
        simulation = Simulation(w, life)
        for episode in life.episodes:
            await simulation.live(episode)
        await simulation.recover()
        simulation.check()
        return simulation.result()


class Simulation:
    """A world and the person who lives in it."""

    def __init__(self, w: World, life: Plan) -> None:
        self.w = w
        self.plan = life
        self.random = random.Random(f"contents {life.seed}")
        self.contents: dict[str, str] = {}
        self.described: dict[str, int] = {}
        """The year that the file's sidecar says."""
        self.forgotten: set[str] = set()
        self.past: dict[str, list[str]] = {}
        self.runs = self.kills = 0
        self.service_faults = 0
        for number in range(life.files):
            self._write(f"{'deep/' if number % 5 == 0 else ''}file{number}.{'md' if number % 3 else 'txt'}")

    # ---- a run and what disturbs it ------------------------------------------------------------------------------

    async def live(self, episode: Episode) -> None:
        """One run, however it ends."""
        for edit in episode.edits:
            if edit.at_s is None:
                self.edit(edit)
        self.w.pace = Pacer(TIER, self.w.clock) if self.plan.paced else RemotePace()
        stop = Stop()
        life = self.w.new_life(immortal if episode.dies_at_step is None else at_step(episode.dies_at_step))
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._disturb, episode, life, stop)
            await self._one_run(life, stop)
            beside.cancel_scope.cancel()
        if episode.jumps_back:
            self.w.clock.jump_us = 0
        await self.w.clock.sleep(episode.pause_s)

    async def _one_run(self, life: Life, stop: Stop) -> s.Summary | None:
        """The summary; None when the run was killed or ended early."""
        self.runs += 1
        try:
            return await self.w.lived(life, stop)
        except ENDED_EARLY as early:
            await self._mend(early)
            return None
        finally:
            self.kills += life.dead

    async def _disturb(self, episode: Episode, life: Life, stop: Stop) -> None:
        moments: list[tuple[float, Any]] = [(x.at_s, x) for x in episode.edits if x.at_s is not None]
        if episode.dies_at_s is not None:
            moments.append((episode.dies_at_s, "die"))
        if episode.drains_at_s is not None:
            moments.append((episode.drains_at_s, "drain"))
        if episode.jump_s is not None:
            moments.append((episode.jumps_at_s, "jump"))
        began = self.w.clock.monotonic()
        for at_s, what in sorted(moments, key=lambda moment: moment[0]):
            await self.w.clock.sleep(max(0.0, at_s - (self.w.clock.monotonic() - began)))
            match what:
                case "die":
                    life.kill()
                case "drain":
                    stop.draining = True
                case "jump":
                    self.w.clock.jump_us += round((episode.jump_s or 0.0) * 1e6)
                case _:
                    self.edit(what)
                    await self.w.scan_beside()

    async def _mend(self, early: Exception) -> None:
        """What the message tells the person to do: of two stores with one name, delete the one that is not wanted."""
        if isinstance(early, StoreProblem) and "stores with the display name" in str(early):
            async with self.w.service.client() as http:
                key = {"x-goog-api-key": "test"}
                stores = (await http.get("/v1/fileSearchStores", headers=key)).json()["fileSearchStores"]
                for store in stores[1:]:
                    await http.delete(f"/v1/{store['name']}?force=true", headers=key)

    # ---- what a person does ------------------------------------------------------------------------------------------

    def _write(self, name: str, text: str | None = None) -> None:
        if text is None:
            text = f"{name} says {self.random.randrange(1 << 40)}.\n" * self.random.randint(1, 3)
        self.contents[name] = text
        self.past.setdefault(name, []).append(text)
        path = self.w.write(name, text)
        now_ns = self.w.clock.now_us() * 1_000
        os.utime(path, ns=(now_ns, now_ns))

    def edit(self, edit: Edit) -> None:
        """Do it; what makes no sense just now is not done."""
        names = sorted(self.contents)
        name = names[edit.pick % len(names)] if names else ""
        match edit.what:
            case "add":
                self._write(f"added{edit.pick}.md")
            case "change" if name:
                self._write(name)
            case "back" if name:
                self._write(name, self.past[name][edit.pick % len(self.past[name])])
            case "empty" if name:
                self._write(name, "")
            case "delete" if name:
                (self.w.library / name).unlink()
                del self.contents[name]
            case "move" if name and name not in self.forgotten:
                self._move(name, f"moved{edit.pick}.md")
            case "forget" if name:
                if self._tell(name, e.FileForgotten()):
                    self.forgotten.add(name)
            case "track" if self.forgotten:
                name = sorted(self.forgotten)[edit.pick % len(self.forgotten)]
                if self._tell(name, e.FileTracked()):
                    self.forgotten.discard(name)
            case "retry" if name:
                self._tell(name, e.RetryRequested())
            case "describe" if name:
                self._describe(name, edit.pick)
            case "reset" if name:
                self._tell(name, e.FileReset())

    def _describe(self, name: str, pick: int) -> None:
        """Another sidecar, or none any more."""
        path = self.w.library / f"{name}.meta.json"
        if pick % 3 == 0:
            path.unlink(missing_ok=True)
            self.described.pop(name, None)
            return
        self.described[name] = 1_900 + pick % 200
        path.write_text(f'{{"year": {self.described[name]}, "notes": {pick}}}')
        now_ns = self.w.clock.now_us() * 1_000
        os.utime(path, ns=(now_ns, now_ns))

    def _move(self, name: str, to: str) -> None:
        side = self.w.library / f"{name}.meta.json"
        if side.exists():
            side.rename(self.w.library / f"{to}.meta.json")
            self.described[to] = self.described.pop(name)
        (self.w.library / name).rename(self.w.library / to)
        self.contents[to] = self.contents.pop(name)
        self.past[to] = self.past[name]

    def _tell(self, name: str, event: e.Event) -> bool:
        """What another process appends; whether the file's state allowed it."""
        log = self.w.open("person")
        try:
            record = log.by_path(name)
            if record is None:
                return False
            append = Journal(log, self.w.clock, self.w.random_bytes).prepare(record, (Tell(event),))
            assert append is not None
            log.append_now(append)
        except NotAllowed:
            return False
        else:
            return True
        finally:
            log.close()

    # ---- the end -----------------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """The service gets well, the clock is right, and runs are made until nothing is left to do."""
        self.service_faults = sum(rule["fired"] for rule in self.w.faults.report())
        self.w.faults.clear()
        self.w.clock.jump_us = 0
        get_well(self.w)
        for _ in range(RUNS_MAX):
            summary = await self._one_run(self.w.new_life(), Stop())
            if summary is None:
                await self.w.clock.sleep(60.0)
            elif summary.counts.failed:
                self._retry_failed()
            elif summary.exit_code == s.LATER_EXIT:
                now_us = self.w.clock.now_us()
                wait_s = ((summary.next_due_us or now_us + 60_000_000) - now_us) / 1e6
                if wait_s > WAIT_MAX_S:
                    raise promise.Broken(f"nothing is due for {wait_s / 86_400:.0f} days: {summary}")
                await self.w.clock.sleep(max(1.0, wait_s))
            elif summary.exit_code == 0:
                await self.w.clock.sleep(3_600.0)
                return
        raise promise.Broken(f"not done after {RUNS_MAX} runs: {summary}")

    def _retry_failed(self) -> None:
        log = self.w.open("person")
        failed = [record.path for record in log.records() if record.state is State.FAILED]
        log.close()
        for path in failed:
            self._tell(path, e.RetryRequested())

    def check(self) -> None:
        """Raises `promise.Broken`."""
        log = self.w.open("check")
        try:
            contents = {name: text.encode() for name, text in self.contents.items()}
            promise.check(log, self.w.service.service.documents(), contents, self.forgotten, self.described)
        finally:
            log.close()

    def result(self) -> Result:
        """What this life did."""
        log = self.w.open("check")
        requests: Counter[str] = self.w.service.service.requests
        digest, events = trace(log)
        digest.update(repr(sorted(requests.items())).encode())
        log.close()
        return Result(
            seed=self.plan.seed,
            trace=digest.hexdigest(),
            files=len(self.contents),
            events=events,
            requests=sum(requests.values()),
            runs=self.runs,
            kills=self.kills,
            faults=self.service_faults,
            virtual_s=self.w.clock.monotonic(),
            uploads=requests["files.upload.finalize"],
        )


def get_well(w: World) -> None:
    """From now on the service does all it should, soon, and what hung is done."""
    service = w.service.service
    well = Settings(seed=service.settings.seed, latencies=service.settings.latencies)
    service.context.settings = service.settings = msgspec.structs.replace(
        well,
        honours_chosen_ids=service.settings.honours_chosen_ids,
        expired_ids_reusable=service.settings.expired_ids_reusable,
        sha256_of=service.settings.sha256_of,
    )
    now_us = service.context.now_us()
    service.context.db.run(
        "UPDATE document SET active_at_us = ? WHERE active_at_us IS NULL AND failed_at_us IS NULL", (now_us,)
    )


def trace(log: LogFile) -> tuple[Any, int]:
    """A digest over every event of the log, and how many there are."""
    digest = hashlib.sha256()
    events = 0
    for recorded in log.since(0, 1 << 30):
        body = msgspec.to_builtins(recorded.event)
        for field in _NOT_OF_THE_SEED:
            body.pop(field, None)
        events += 1
        digest.update(repr((*recorded[:-1], sorted(body.items()))).encode())
    return digest, events
