"""A library, a log and a service in one process, under virtual time: the real engine, the real SDK, the real wire."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from objlib_fsm.core.ids import RunId, short_id
from objlib_fsm.core.record import FileRecord
from objlib_fsm.emulator.faults import FaultPlan, Rule
from objlib_fsm.emulator.inprocess import LocalService, local_service
from objlib_fsm.emulator.settings import Settings
from objlib_fsm.engine import session as s
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.progress import Progress
from objlib_fsm.engine.runner import Stop
from objlib_fsm.library.metadata import DEFAULT_RULES
from objlib_fsm.log import lease, replay
from objlib_fsm.log.file import LogFile, open_log
from objlib_fsm.log.writer import RunSync
from objlib_fsm.remote.gemini import GeminiRemote
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import Remote, RemoteDocument
from tests.support.listing import every_document
from tests.support.mortal import Life, Moment, MortalTransport, Verdict, immortal
from tests.support.virtual_time import VirtualClock


class RemotePace(Pace):
    """No rate limit, but the polling times of the real service."""

    first_poll_at_once = False


async def inline(function: Callable[..., Any], *arguments: Any) -> Any:
    """`run_sync` without threads: simulation is one thread."""
    return function(*arguments)


class Lived(msgspec.Struct, frozen=True):
    """How a simulated process ended: with a summary, or killed at a moment."""

    summary: s.Summary | None
    died_at: Moment | None


class World:
    """Files, a log and a service; `run` does what one ``objlib-fsm run`` does."""

    def __init__(
        self,
        folder: Path,
        service: LocalService,
        faults: FaultPlan,
        clock: VirtualClock,
        seed: int,
        service_name: str = "test",
    ) -> None:
        self.folder = folder
        self.library = folder / "library"
        self.library.mkdir()
        self.service = service
        self.faults = faults
        self.clock = clock
        self.random_bytes = random.Random(seed).randbytes
        self.pace: Pace = RemotePace()
        self.notices: list[Any] = []
        self.service_name = service_name
        self._lives = 0

    def write(self, name: str, text: str) -> Path:
        """A file of the library."""
        path = self.library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def open(self, actor: str = "run", run_sync: RunSync = inline) -> LogFile:
        """The log, as another process would open it."""
        run = RunId(short_id(self.random_bytes(10)))
        return open_log(
            self.folder / ".objlib" / "log.db",
            run=run,
            actor=actor,
            run_sync=run_sync,
            random_bytes=self.random_bytes,
            now_us=self.clock.now_us(),
            make=True,
        )

    def shell(self, log: LogFile, run: str, life: Life | None = None) -> s.Shell:
        """What the engine is given."""
        return s.Shell(
            log,
            self.clock,
            self.random_bytes,
            inline if life is None else life.run_sync,
            RunId(run),
            lease.this_process() if life is None else life.process,
            self.folder,
        )

    @asynccontextmanager
    async def remote(self, life: Life | None = None) -> AsyncIterator[Remote]:
        """The adapter over the SDK over the service's transport."""
        transport = self.service.transport if life is None else MortalTransport(self.service.transport, life)
        remote = GeminiRemote(
            api_key="test",
            base_url=self.service.base_url,
            transport=transport,
            heard=lambda headers: self.pace.limits.hear(headers, self.clock.now_us()),
        )
        try:
            yield remote
        finally:
            await remote.aclose()

    async def run(self, stop: Stop | None = None, *, redescribe: bool = False, **options: Any) -> s.Summary:
        """Scan and run once."""
        return await self._run(None, stop, redescribe=redescribe, **options)

    def new_life(self, verdict: Verdict = immortal) -> Life:
        """A process of this world that is yet to run."""
        self._lives += 1
        return Life(self._lives, verdict)

    async def live(self, verdict: Verdict = immortal, stop: Stop | None = None, **wishes: Any) -> Lived:
        """`run` in a process that dies where *verdict* says so."""
        life = self.new_life(verdict)
        return Lived(await self.lived(life, stop, **wishes), life.died_at)

    async def lived(self, life: Life, stop: Stop | None = None, **wishes: Any) -> s.Summary | None:
        """`run` in that process; None when it was killed."""
        summary = None
        with life.scope:
            try:
                summary = await self._run(life, stop, **wishes)
            except Exception:
                if not life.dead:
                    raise
        return None if life.dead else summary

    async def scan_beside(self) -> None:
        """What ``objlib-fsm scan`` does, whether a run is at work or not."""
        log = self.open("scan")
        try:
            await s.scan(Journal(log, self.clock, self.random_bytes), self.shell(log, log.run), self.library, [])
        finally:
            log.close()

    async def _run(
        self, life: Life | None, stop: Stop | None, *, redescribe: bool = False, **options: Any
    ) -> s.Summary:
        log = self.open(run_sync=inline if life is None else life.run_sync)
        shell = self.shell(log, log.run, life)
        try:
            async with s.Session(shell) as session:
                rules = options.get("metadata", DEFAULT_RULES)
                await s.scan(
                    session.journal,
                    shell,
                    self.library,
                    [self.folder / ".objlib"],
                    rules=rules,
                    redescribe=redescribe,
                )
                return await session.run(
                    s.Service(lambda: self.remote(life), self.service_name, self.pace),
                    s.Options(**options),
                    Progress(self.notices.append),
                    stop or Stop(),
                    self.library,
                )
        finally:
            log.close()

    async def run_until_done(self, runs: int = 20, **wishes: Any) -> s.Summary:
        """Run again when the run says so, at the time it says."""
        for _ in range(runs):
            summary = (await self.live(**wishes)).summary
            assert summary is not None
            if summary.exit_code != s.LATER_EXIT:
                return summary
            if summary.next_due_us is not None:
                await self.clock.sleep(max(0.0, (summary.next_due_us - self.clock.now_us()) / 1e6))
        raise AssertionError(f"not done after {runs} runs: {summary}")

    async def documents(self) -> list[RemoteDocument]:
        """Every document of the store, with no fault in the way and no lag left."""
        self.faults.clear()
        await self.clock.sleep(3_600)
        log = self.open()
        pin = log.library().pin
        log.close()
        assert pin is not None
        async with self.remote() as remote:
            return await every_document(remote, pin.store)

    async def check(self) -> Counter[str]:
        """The promise: one live document per wanted file, none that nobody knows, a log that agrees with itself.

        Returns the files per state.
        """
        documents = await self.documents()
        log = self.open()
        try:
            rebuilt = replay.rebuild(log)
            assert rebuilt.mismatches == []
            assert replay.projection_drift(log, rebuilt) == []
            of: dict[str, list[str]] = defaultdict(list)
            for document in documents:
                assert document.identity is not None, document
                of[document.identity.stream].append(document.name)
            for record in log.records():
                live = {d.name for d in record.live_documents}
                assert set(of.get(record.stream, [])) == live, (record.path, of.get(record.stream), live)
                if record.state.label == "indexed":
                    assert len(live) == 1, record.path
            assert set(of) <= {record.stream for record in log.records()}
            return Counter(record.state.label for record in log.records() if record.here)
        finally:
            log.close()

    def uploads(self) -> int:
        """How many uploads the service finished, of the last requests it remembers."""
        return sum(r.endpoint == "files.upload.finalize" and r.status == 200 for r in self.service.service.log)

    def records(self) -> dict[str, FileRecord]:
        """The records by path."""
        log = self.open()
        try:
            return {record.path: record for record in log.records()}
        finally:
            log.close()

    def kinds(self, path: str) -> list[str]:
        """The events of a file, by kind."""
        log = self.open()
        try:
            record = log.by_path(path)
            assert record is not None, path
            return [recorded.kind.label for recorded in log.read(record.stream)]
        finally:
            log.close()


@asynccontextmanager
async def world(
    folder: Path,
    settings: Settings | None = None,
    rules: tuple[Rule, ...] = (),
    seed: int = 1,
    *,
    service_jumps: bool = True,
    service_name: str = "test",
    data: Path | None = None,
) -> AsyncIterator[World]:
    """A world for the length of the block.  Under `run_virtual`.

    The service's clock jumps with the wall clock of this machine, or goes on without *service_jumps*.  The log
    pins it as *service_name*; *data* is its database.
    """
    clock = VirtualClock()
    faults = FaultPlan(rules, seed=seed)
    settings = msgspec.structs.replace(settings or Settings(), seed=seed)
    time = clock.now_us if service_jumps else clock.true_us
    data = data or folder / "service.db"
    async with local_service(data, settings, faults=faults, clock=time) as service:
        yield World(folder, service, faults, clock, seed, service_name)
