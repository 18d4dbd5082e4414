"""Under the SDK: sockets that break, proxies, and an environment that must not change anything."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.remote.gemini import GeminiRemote
from objlib_fsm.remote.port import CallFailed, StoreInfo
from objlib_fsm.remote.transport import make_client, make_http
from tests.remote import wire as w
from tests.remote.wire import http, listener

pytestmark = pytest.mark.anyio

STORE_BODY = b'{"name": "fileSearchStores/s-1", "displayName": "objlib"}'
OPERATION_BODY = b'{"name": "fileSearchStores/s-1/operations/o-1"}'


async def call_failed(base_url: str, call: Callable[[GeminiRemote], object]) -> CallFailed:
    remote = GeminiRemote(w.KEY, base_url=base_url)
    try:
        with pytest.raises(CallFailed) as raised:
            await call(remote)  # type: ignore[misc]
    finally:
        await remote.aclose()
    return raised.value


# ---- sockets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [w.get_store, w.import_raw, w.upload], ids=lambda call: call.__name__)
async def test_nobody_listens_so_nothing_was_done(call: Callable[[GeminiRemote], object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    failure = (await call_failed(f"http://127.0.0.1:{port}", call)).failure
    assert (failure.outcome, failure.reason, failure.code) == (Outcome.UNAVAILABLE, Reason.NETWORK, 0)
    assert failure.message.startswith("ConnectError")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, Reason.NETWORK),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Reason.NETWORK),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.NETWORK),
        (http("200 OK", OPERATION_BODY, length=500), Reason.NETWORK),
        (http("200 OK", OPERATION_BODY[:20]), Reason.GARBLED),
        (http("200 OK", b""), Reason.GARBLED),
        (http("200 OK", b"not gzip", "Content-Encoding: gzip"), Reason.GARBLED),
        (http("502 Bad Gateway", b"<html>nginx</html>", "Content-Type: text/html"), Reason.SERVER_ERROR),
    ],
    ids=["closed", "cut head", "no http", "cut body", "cut json", "empty", "no gzip", "gateway"],
)
async def test_an_answer_that_breaks_off(answer: bytes | None, reason: Reason) -> None:
    with listener(lambda request: answer) as (base_url, requests):
        failure = (await call_failed(base_url, w.import_raw)).failure
        assert (failure.outcome, failure.reason) == (Outcome.UNCERTAIN, reason), failure
        failure = (await call_failed(base_url, w.get_operation)).failure
        assert (failure.outcome, failure.reason) == (Outcome.UNAVAILABLE, reason), failure
        assert len(requests) == 2, "one attempt each: a second import would make a second document"


async def test_the_bytes_of_an_upload_go_through_the_same_client_and_are_sent_once() -> None:
    def answer(request: bytes) -> bytes | None:
        if b"x-goog-upload-command: start" in request.lower():
            return http("200 OK", b"", f"X-Goog-Upload-URL: {address}/upload/x", "X-Goog-Upload-Status: active")
        return None

    with listener(answer) as (address, requests):
        failure = (await call_failed(address, w.upload)).failure
        assert (failure.outcome, failure.reason) == (Outcome.UNCERTAIN, Reason.NETWORK)
        assert [request.partition(b" HTTP")[0] for request in requests] == [b"POST /upload/v1/files", b"POST /upload/x"]
        assert requests[1].endswith(b"\r\n\r\nhello")


async def test_a_redirect_is_not_followed() -> None:
    with listener(lambda request: http("302 Found", b"", "Location: http://127.0.0.1:9/stolen")) as (address, requests):
        failure = (await call_failed(address, w.get_store)).failure
        assert failure.code == 302
        assert len(requests) == 1


# ---- proxies ---------------------------------------------------------------------------------------------------------


async def test_a_proxy_of_the_environment_serves_the_service_and_never_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listener(lambda request: http("200 OK", STORE_BODY)) as (proxy, through_proxy):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert (await get_store("http://service.example")).name == w.STORE
        assert through_proxy[0].startswith(b"GET http://service.example/v1/fileSearchStores/s-1 HTTP/1.1")
        with listener(lambda request: http("200 OK", STORE_BODY)) as (direct, requests):
            assert (await get_store(direct)).name == w.STORE
            assert (await get_store(direct.replace("127.0.0.1", "localhost"))).name == w.STORE
            assert len(requests) == 2
        assert len(through_proxy) == 1


async def get_store(base_url: str) -> StoreInfo:
    remote = GeminiRemote(w.KEY, base_url=base_url)
    try:
        return await remote.get_store(w.STORE)
    finally:
        await remote.aclose()


# ---- the environment -------------------------------------------------------------------------------------------------

MISLEADING = {
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "GOOGLE_GENAI_USE_ENTERPRISE": "true",
    "GOOGLE_GENAI_API_VERSION": "v1alpha",
    "GOOGLE_CLOUD_PROJECT": "someone-elses",
    "GOOGLE_CLOUD_LOCATION": "europe-west4",
    "GOOGLE_API_KEY": "another-key-1",
    "GEMINI_API_KEY": "another-key-2",
    "GOOGLE_GEMINI_BASE_URL": "http://elsewhere.example",
    "GOOGLE_VERTEX_BASE_URL": "http://elsewhere.example",
    "GOOGLE_GENAI_HTTP_CLIENT": "httpx",
    "GOOGLE_GENAI_CLIENT_MODE": "replay",
    "GOOGLE_GENAI_REPLAYS_DIRECTORY": "/nonexistent",
    "GOOGLE_API_USE_CLIENT_CERTIFICATE": "true",
    "GOOGLE_API_USE_MTLS_ENDPOINT": "always",
}


@pytest.mark.parametrize("names", [*((name,) for name in MISLEADING), tuple(MISLEADING)], ids=lambda names: names[-1])
async def test_the_environment_changes_nothing(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names:
        monkeypatch.setenv(name, MISLEADING[name])
    async with w.scripted(w.Reply(200, {"name": w.RAW, "state": "ACTIVE"})) as (remote, wire):
        await w.get_raw(remote)
    assert wire.requests[0].url == f"{w.BASE_URL}/v1/files/raw-1"
    assert wire.requests[0].headers["x-goog-api-key"] == w.KEY
    assert all(os.environ[name] == MISLEADING[name] for name in names), "and is left as it was"


_WITH_AIOHTTP = """
import anyio
from google.genai import _api_client
from tests.remote import wire as w

async def main():
    file = {"file": {"name": "files/raw-1", "state": "ACTIVE", "sizeBytes": "5"}}
    async with w.scripted(w.session(), w.final(w.Reply(200, file))) as (remote, wire):
        await w.upload(remote)
        assert wire.answers == []

assert _api_client.has_aiohttp
anyio.run(main)
print("through our client")
"""

_AIOHTTP = """
class _Refuses:
    def __init__(self, *args, **kwargs):
        raise AssertionError("aiohttp was used")
ClientSession = TCPConnector = ClientTimeout = _Refuses
class ClientConnectorError(Exception): pass
class ClientConnectorDNSError(Exception): pass
class ClientOSError(Exception): pass
class ServerDisconnectedError(Exception): pass
class ClientResponse: pass
"""


def test_an_installed_aiohttp_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "aiohttp.py").write_text(_AIOHTTP)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _WITH_AIOHTTP],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root), str(root / "src")])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "through our client\n", done.stderr


async def test_the_sdk_is_given_one_attempt_and_no_synchronous_client() -> None:
    http_client = make_http(w.BASE_URL, None)
    try:
        client = make_client(w.KEY, w.BASE_URL, http_client)
        with pytest.raises(AssertionError, match="synchronous"):
            client.files.get(name="files/x")
    finally:
        await http_client.aclose()


@pytest.mark.parametrize("module", ["port", "pacing", "identity", "redact"])
def test_what_the_command_line_needs_early_does_not_load_the_sdk(module: str) -> None:
    loads = (
        f"import sys, objlib_fsm.remote.{module}; print([m for m in ('google.genai', 'httpx2') if m in sys.modules])"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", loads], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


async def test_a_closed_client_is_an_error_of_ours() -> None:
    remote = GeminiRemote(
        w.KEY, base_url=w.BASE_URL, transport=httpx2.MockTransport(lambda request: httpx2.Response(500))
    )
    await remote.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await remote.get_store(w.STORE)
