"""Fixtures: the SDK and plain httpx2 against the emulator, in process and in another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from google import genai
from google.genai import types

from objlib_fsm.emulator.inprocess import LocalService

KEY = {"x-goog-api-key": "some-key"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def sdk() -> Callable[[LocalService], genai.Client]:
    """The real SDK through the in-process transport, with no retries of its own."""

    def make(service: LocalService) -> genai.Client:
        return genai.Client(
            api_key="some-key",
            http_options=types.HttpOptions(
                base_url=service.base_url,
                api_version="v1",
                httpx_async_client=service.client(),
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )

    return make


@pytest.fixture
def raw() -> Callable[[LocalService], httpx2.AsyncClient]:
    """Plain httpx2 with an API key, for what the SDK never sends."""

    def make(service: LocalService) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=service.transport, base_url=service.base_url, headers=KEY, timeout=None)

    return make


_SERVER = """
import sys
import msgspec
from objlib_fsm.emulator.serve import serve
from objlib_fsm.emulator.settings import Settings

wanted = msgspec.json.decode(sys.argv[2])
serve(
    sys.argv[1],
    port=wanted.get("port", 0),
    settings=msgspec.convert(wanted.get("settings", {}), Settings),
    control=wanted.get("control", True),
    ready=lambda url: print(url, flush=True),
)
print("stopped", flush=True)
"""

Serve = Callable[..., tuple["subprocess.Popen[str]", httpx2.Client]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start the emulator on a free port in a process of its own: the process, and a client with a key."""
    running: list[tuple[subprocess.Popen[str], httpx2.Client]] = []

    def start(
        data: Path, settings: Mapping[str, Any] | None = None, *, port: int = 0, control: bool = True
    ) -> tuple[subprocess.Popen[str], httpx2.Client]:
        wanted = {"settings": dict(settings or {}), "port": port, "control": control}
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _SERVER, str(data), msgspec.json.encode(wanted).decode()],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        assert base_url.startswith("http://127.0.0.1:"), "the server did not start"
        client = httpx2.Client(base_url=base_url, headers=KEY, timeout=10, trust_env=False)
        running.append((process, client))
        return process, client

    yield start
    for process, client in running:
        client.close()
        if process.poll() is None:
            process.kill()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def upload() -> Callable[..., Any]:
    """Upload bytes with plain httpx2, start and finalize; the last response."""

    async def send(
        client: httpx2.AsyncClient,
        content: bytes,
        *,
        path: str = "/upload/v1/files",
        start: Mapping[str, Any] | None = None,
        mime_type: str = "text/plain",
        name: str = "",
    ) -> httpx2.Response:
        headers = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(content)),
            "X-Goog-Upload-Header-Content-Type": mime_type,
        }
        if name:
            headers["X-Goog-Upload-File-Name"] = name
        begun = await client.post(path, json=start or {}, headers=headers)
        if begun.status_code != 200:
            return begun
        return await client.post(
            begun.headers["X-Goog-Upload-URL"],
            content=content,
            headers={"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"},
        )

    return send
