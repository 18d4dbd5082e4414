"""The in-process transport: cancellation, timeouts, virtual time, reproducibility."""

from __future__ import annotations

import asyncio
import io
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from google import genai
from google.genai import types

from objlib_fsm.emulator.faults import FaultPlan, Rule
from objlib_fsm.emulator.inprocess import LocalService, local_service
from objlib_fsm.emulator.settings import Latencies, Latency, Settings

Sdk = Callable[[LocalService], genai.Client]
Raw = Callable[[LocalService], httpx2.AsyncClient]
Upload = Callable[..., Awaitable[httpx2.Response]]


def text_file(name: str) -> types.UploadFileConfig:
    return types.UploadFileConfig(name=name, mime_type="text/plain")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__(_NoWait())
        self._now_s = 0.0

    def time(self) -> float:
        return self._now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now_s = max(self._now_s, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class _NoWait(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(0)


def in_virtual_time(main: Callable[[], Awaitable[Any]]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_client_that_gives_up_does_not_undo(tmp_path: Path, sdk: Sdk) -> None:
    """The service goes on with an upload whose client was cancelled, and finishes it."""
    go = anyio.Event()
    begun = anyio.Event()

    async def sleep(seconds: float) -> None:
        begun.set()
        await go.wait()

    settings = Settings(latencies=Latencies(upload=Latency(6.0)))
    async with local_service(tmp_path / "s.db", settings, sleep=sleep) as service:
        files = sdk(service).aio.files
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                await files.upload(file=io.BytesIO(b"x"), config=text_file("mine"))

            tasks.start_soon(send)
            await begun.wait()
            tasks.cancel_scope.cancel()
        assert service.service.counts()["files"] == 0
        go.set()
        await anyio.wait_all_tasks_blocked()
        assert service.service.counts()["files"] == 1
        assert (await files.get(name="mine")).size_bytes == 1, "the client is usable as before"


@pytest.mark.anyio
async def test_read_timeout_is_honoured_and_the_request_goes_on(tmp_path: Path, raw: Raw) -> None:
    go = anyio.Event()

    async def sleep(_seconds: float) -> None:
        await go.wait()

    settings = Settings(latencies=Latencies(request=Latency(1.0)))
    async with local_service(tmp_path / "s.db", settings, sleep=sleep) as service, raw(service) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post("/v1/fileSearchStores", timeout=0.01)
        assert service.service.counts()["stores"] == 0
        go.set()
        await anyio.wait_all_tasks_blocked()
        assert service.service.counts()["stores"] == 1


@pytest.mark.anyio
async def test_cancelling_between_the_steps_leaves_whole_things(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    """Wherever a cancellation falls, the database holds a whole step or none of it."""
    outcomes = set()
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = (await client.post("/v1/fileSearchStores")).json()["name"]
        for steps in range(30):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:

                    async def cancel_soon(scope: anyio.CancelScope = scope, steps: int = steps) -> None:
                        for _ in range(steps):
                            await anyio.lowlevel.checkpoint()
                        scope.cancel()

                    tasks.start_soon(cancel_soon)
                    await upload(client, b"words", start={"file": {"name": f"files/n{steps}"}})
                    await client.post(f"/v1/{store}:importFile", json={"fileName": f"files/n{steps}"})
                    tasks.cancel_scope.cancel()
            raws = {file["name"].removeprefix("files/") for file in service.service.raw_files()}
            documents = {document["displayName"] for document in service.service.documents()}
            assert documents <= raws
            outcomes.add((f"n{steps}" in raws, f"n{steps}" in documents))
    assert outcomes == {(False, False), (True, False), (True, True)}, "cancelled early, in between, and not at all"


@pytest.mark.anyio
async def test_the_end_of_the_block_abandons_what_waits(tmp_path: Path, raw: Raw) -> None:
    plan = FaultPlan([Rule(fault="F19", count=1), Rule(fault="F13", seconds=1e9)])
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(5):
            async with local_service(tmp_path / "s.db", faults=plan) as service:
                client = raw(service)
                for _ in range(2):
                    tasks.start_soon(client.post, "/v1/fileSearchStores")
                await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    with pytest.raises(httpx2.ConnectError):
        await client.get("/v1/files")


@pytest.mark.anyio
async def test_an_error_of_the_block_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^mine$"):
        async with local_service(tmp_path / "s.db"):
            raise ValueError("mine")


@pytest.mark.anyio
async def test_many_at_once(tmp_path: Path, sdk: Sdk) -> None:
    async with local_service(tmp_path / "s.db") as service:
        client = sdk(service).aio
        store = await client.file_search_stores.create()

        async def one(number: int) -> None:
            file = await client.files.upload(file=io.BytesIO(b"%d" % number), config=text_file(f"n{number}"))
            await client.file_search_stores.import_file(
                file_search_store_name=str(store.name), file_name=str(file.name)
            )

        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(one, number)
        assert service.service.counts()["documents_active"] == 60


def test_virtual_time(tmp_path: Path, sdk: Sdk) -> None:
    """Two days of latencies, timeouts and expiry pass in no time, and the SDK notices nothing."""

    async def main() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        latencies = Latencies(request=Latency(0.5, 2.0), upload=Latency(10.0, 600.0), index=Latency(60.0, 7_200.0))
        plan = FaultPlan([Rule(fault="F13", endpoint="files.get", seconds=900, count=1)])
        async with local_service(
            tmp_path / "s.db",
            Settings(seed=1, latencies=latencies),
            faults=plan,
            clock=lambda: 1_700_000_000_000_000 + round(loop.time() * 1e6),
        ) as service:
            client = sdk(service).aio
            store = await client.file_search_stores.create()
            waits = 0
            for number in range(5):
                file = await client.files.upload(file=io.BytesIO(b"x"), config=text_file(f"n{number}"))
                operation = await client.file_search_stores.import_file(
                    file_search_store_name=str(store.name), file_name=str(file.name)
                )
                while not operation.done:
                    await anyio.sleep(60)
                    operation = await client.operations.get(operation)
                    waits += 1
            before = loop.time()
            with pytest.raises(httpx2.ReadTimeout):
                await client.files.get(
                    name="n0", config=types.GetFileConfig(http_options=types.HttpOptions(timeout=300_000))
                )
            assert loop.time() - before == pytest.approx(300)
            await anyio.sleep(48 * 3600)
            assert service.service.raw_files() == []
            assert service.service.counts()["documents_active"] == 5
            return loop.time(), waits

    begun = time.perf_counter()
    first = in_virtual_time(main)
    assert time.perf_counter() - begun < 5
    assert first[0] > 48 * 3600
    (tmp_path / "s.db").unlink()
    assert in_virtual_time(main) == first


_SCENARIO = """
import asyncio, io, random, sys
sys.path[:0] = sys.argv[1:2]
import anyio
from google import genai
from google.genai import types
from test_emulator_inprocess import in_virtual_time
from objlib_fsm.emulator.faults import FaultPlan, Rule
from objlib_fsm.emulator.inprocess import local_service
from objlib_fsm.emulator.settings import Latencies, Latency, Settings

async def main():
    loop = asyncio.get_running_loop()
    settings = Settings(seed=7, latencies=Latencies(request=Latency(0.1, 3.0), index=Latency(1.0, 90.0)),
                        document_failed_share=0.3)
    plan = FaultPlan([Rule(fault="F5", probability=0.2), Rule(fault="F12", probability=0.1)], seed=7)
    clock = lambda: 1_700_000_000_000_000 + round(loop.time() * 1e6)
    async with local_service(":memory:", settings, faults=plan, clock=clock) as service:
        client = service.client()
        client.headers["x-goog-api-key"] = "k"
        names = []
        async def one(number):
            for _ in range(5):
                try:
                    reply = await client.post("/v1/fileSearchStores", json={"displayName": f"s{number}"})
                    names.append(reply.json())
                except Exception as error:
                    names.append(repr(error))
                await anyio.sleep(0.5)
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(one, number)
        for line in [*names, *service.service.log, plan.report()]:
            print(line)

in_virtual_time(main)
"""


def test_traces_do_not_depend_on_the_hash_seed() -> None:
    here = Path(__file__).parent
    traces = []
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", _SCENARIO, str(here)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        traces.append(done.stdout)
    assert len(traces[0].splitlines()) > 80
    assert traces[0] == traces[1]
