"""The server in a process of its own: real sockets, real kills."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from google import genai
from google.genai import types

from objlib_fsm.emulator.schema import VERSION
from objlib_fsm.emulator.serve import ServeError
from objlib_fsm.emulator.serve import serve as run_server
from objlib_fsm.emulator.state import Database, StateError
from objlib_fsm.emulator.uploads import GRANULARITY

Serve = Callable[..., tuple["subprocess.Popen[str]", httpx2.Client]]

START = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
FINALIZE = {"X-Goog-Upload-Command": "upload, finalize"}


def send(client: httpx2.Client, content: bytes, name: str = "") -> httpx2.Response:
    body = {"file": {"name": f"files/{name}", "mimeType": "text/plain"}} if name else {}
    begun = client.post("/upload/v1/files", json=body, headers=START)
    return client.post(begun.headers["X-Goog-Upload-URL"], content=content, headers=FINALIZE)


def state(client: httpx2.Client) -> Any:
    return client.get("/_emulator/state").json()


def set_fault(client: httpx2.Client, **rule: Any) -> None:
    assert client.post("/_emulator/faults", json=rule).status_code == 200


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not happen within ten seconds"
        time.sleep(0.01)


@pytest.mark.anyio
async def test_sdk_over_a_socket(tmp_path: Path, serve: Serve) -> None:
    _, plain = serve(tmp_path / "s.db")
    content = b"x" * (GRANULARITY + 7)
    async with httpx2.AsyncClient(trust_env=False) as http:
        client = genai.Client(
            api_key="some-key",
            http_options=types.HttpOptions(
                base_url=str(plain.base_url),
                httpx_async_client=http,
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        ).aio
        store = await client.file_search_stores.create(config={"display_name": "Over TCP"})
        file = await client.files.upload(
            file=io.BytesIO(content), config=types.UploadFileConfig(name="big", mime_type="text/plain")
        )
        assert file.size_bytes == len(content)
        operation = await client.file_search_stores.import_file(
            file_search_store_name=str(store.name), file_name="files/big"
        )
        operation = await client.operations.get(operation)
        assert operation.done is True
        config = types.GenerateContentConfig(
            tools=[types.Tool(file_search=types.FileSearch(file_search_store_names=[str(store.name)]))]
        )
        stream = await client.models.generate_content_stream(model="gemini-2.5-flash", contents="x", config=config)
        assert [part async for part in stream]
    counts = state(plain)["counts"]
    assert (counts["files"], counts["documents_active"], counts["file_bytes"]) == (1, 1, len(content))


def test_upload_url_is_of_the_host_the_client_named(tmp_path: Path, serve: Serve) -> None:
    _, client = serve(tmp_path / "s.db")
    url = httpx2.URL(client.post("/upload/v1beta/files", headers=START).headers["X-Goog-Upload-URL"])
    assert (url.scheme, url.host, url.port) == ("http", "127.0.0.1", client.base_url.port)
    named = client.post("/upload/v1beta/files", headers=START | {"Host": f"localhost:{client.base_url.port}"})
    assert httpx2.URL(named.headers["X-Goog-Upload-URL"]).host == "localhost"


def test_headers_of_the_service(tmp_path: Path, serve: Serve) -> None:
    _, client = serve(tmp_path / "s.db")
    reply = client.get("/v1/files")
    assert reply.headers["server"] == "scaffolding on HTTPServer2"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["vary"] == "Origin, X-Origin, Referer"
    assert reply.headers["content-length"] == "3"


def test_state_survives_kill_9(tmp_path: Path, serve: Serve) -> None:
    """Files, stores, documents, operations and an upload session with bytes in it outlive the process."""
    data = tmp_path / "s.db"
    process, client = serve(data)
    store = client.post("/v1/fileSearchStores", json={"displayName": "kept"}).json()
    file = send(client, b"some words to find", "abc").json()["file"]
    operation = client.post(f"/v1/{store['name']}:importFile", json={"fileName": "files/abc"}).json()["name"]
    url = client.post("/upload/v1/files", json={"file": {"name": "files/half"}}, headers=START).headers[
        "X-Goog-Upload-URL"
    ]
    client.post(url, content=b"y" * GRANULARITY, headers={"X-Goog-Upload-Command": "upload"})
    client.post("/_emulator/clock", json={"advance_s": 1_000_000 / 10})
    now_us = state(client)["now_us"]
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)

    _, client = serve(data, port=client.base_url.port)
    assert client.get("/v1/files/abc").json() == file
    assert client.get(f"/v1/{operation}").json()["done"] is True
    [document] = client.get(f"/v1/{store['name']}/documents").json()["documents"]
    assert document["state"] == "STATE_ACTIVE"
    asked = client.post(url, headers={"X-Goog-Upload-Command": "query"})
    assert asked.headers["X-Goog-Upload-Size-Received"] == str(GRANULARITY)
    done = client.post(url, content=b"end", headers=FINALIZE | {"X-Goog-Upload-Offset": str(GRANULARITY)})
    assert done.json()["file"]["name"] == "files/half"
    assert done.json()["file"]["sizeBytes"] == str(GRANULARITY + 3)
    again = client.post(url, content=b"", headers=FINALIZE)
    assert again.json()["error"]["message"] == "Upload has already been terminated."
    assert state(client)["now_us"] >= now_us, "time does not go back"
    new = {client.post("/v1/fileSearchStores", json={"displayName": "kept"}).json()["name"] for _ in range(5)}
    assert store["name"] not in new


def test_what_was_answered_is_kept_whenever_the_kill_falls(tmp_path: Path, serve: Serve) -> None:
    data = tmp_path / "s.db"
    answered: list[str] = []
    for attempt in range(4):
        process, client = serve(data)
        known = {file["name"] for file in state(client)["files"]}
        assert set(answered) <= known
        killer = threading.Timer(0.05 + 0.07 * attempt, process.kill)
        killer.start()
        number = 0
        with contextlib.suppress(httpx2.TransportError):
            while True:
                answered.append(send(client, b"x" * 2_000, f"a{attempt}-{number}").json()["file"]["name"])
                number += 1
        killer.join()
        process.wait(timeout=10)
    assert len(answered) > 10
    _, client = serve(data)
    kept = {file["name"]: file for file in state(client)["files"]}
    assert set(answered) <= set(kept)
    assert len(kept) - len(answered) <= 4, "at most one per kill was done and not answered"
    assert {file["sizeBytes"] for file in kept.values()} == {"2000"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_cleanly(tmp_path: Path, serve: Serve, number: signal.Signals) -> None:
    process, client = serve(tmp_path / "s.db")
    assert client.get("/v1/files").status_code == 200
    process.send_signal(number)
    assert process.wait(timeout=10) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "stopped\n"


def test_a_signal_stops_it_while_a_request_hangs(tmp_path: Path, serve: Serve) -> None:
    process, client = serve(tmp_path / "s.db")
    set_fault(client, fault="F19", endpoint="files.list")
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as hanging:
        hanging.sendall(b"GET /v1/files HTTP/1.1\r\nHost: x\r\nx-goog-api-key: k\r\n\r\n")
        eventually(lambda: state(client)["requests"].get("files.list") == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_modes_of_the_file_and_its_folder(tmp_path: Path, serve: Serve) -> None:
    previous = os.umask(0)
    try:
        _, client = serve(tmp_path / "new" / "s.db")
    finally:
        os.umask(previous)
    send(client, b"x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    files = list((tmp_path / "new").iterdir())
    assert {file.name for file in files} >= {"s.db", "s.db-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_the_side_channel_exists_only_when_asked_for(tmp_path: Path, serve: Serve) -> None:
    _, client = serve(tmp_path / "s.db", control=False)
    for path in ("state", "faults", "clock"):
        reply = client.get(f"/_emulator/{path}")
        assert reply.status_code == 404
        assert "Error 404 (Not Found)!!1" in reply.text


def test_the_side_channel(tmp_path: Path, serve: Serve) -> None:
    _, client = serve(tmp_path / "s.db")
    store = client.post("/v1/fileSearchStores").json()["name"]
    send(client, b"some words", "abc")
    metadata = [{"key": "objlib_stream", "stringValue": "s1"}, {"key": "n", "numericValue": 2}]
    client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc", "customMetadata": metadata})
    seen = state(client)
    assert seen["counts"]["documents_active"] == 1
    assert seen["documents"][0]["customMetadata"] == {"objlib_stream": "s1", "n": 2}
    assert seen["documents"][0]["displayName"] == "abc"
    assert seen["files"][0]["name"] == "files/abc"
    assert seen["requests"] == {
        "stores.create": 1,
        "files.upload.start": 1,
        "files.upload.finalize": 1,
        "stores.import": 1,
    }
    assert [entry["endpoint"] for entry in seen["log"]] == list(seen["requests"])
    added = client.post("/_emulator/faults", json=[{"fault": "F5", "nth": 2}, {"fault": "F7", "mode": ""}])
    assert [rule["fault"] for rule in added.json()["rules"]] == ["F5", "F7"]
    assert [client.get("/v1/files").status_code for _ in range(2)] == [500, 503]
    assert client.get("/_emulator/faults").json()["rules"][0]["fired"] == 1
    assert client.delete("/_emulator/faults").json() == {"rules": []}
    assert client.get("/v1/files").status_code == 200
    for bad in ({"fault": "F99"}, {"fault": "F5", "colour": 1}, 5, {"fault": "F5", "nth": 0}):
        refused = client.post("/_emulator/faults", json=bad)
        assert refused.status_code == 400
        assert refused.json()["error"]
    assert client.post("/_emulator/clock", json={"advance_s": "x"}).status_code == 400
    client.post("/_emulator/clock", json={"advance_s": 48 * 3600})
    assert client.get("/v1/files/abc").status_code == 403


CONNECTION_FAULTS: list[tuple[dict[str, Any], type[Exception], bool]] = [
    ({"fault": "F11"}, httpx2.RemoteProtocolError, False),
    ({"fault": "F11", "mode": "reset"}, httpx2.ReadError, False),
    ({"fault": "F12"}, httpx2.RemoteProtocolError, True),
    ({"fault": "F12", "mode": "reset"}, httpx2.ReadError, True),
    ({"fault": "F13", "seconds": 60}, httpx2.ReadTimeout, True),
    ({"fault": "F17", "mode": "truncated_200"}, httpx2.RemoteProtocolError, True),
    ({"fault": "F19"}, httpx2.ReadTimeout, False),
    ({"fault": "F19", "mode": "headers"}, httpx2.ReadTimeout, True),
]


def test_connection_faults_over_a_socket(tmp_path: Path, serve: Serve) -> None:
    _, client = serve(tmp_path / "s.db", {"max_stores": 1_000})
    for rule, error, committed in CONNECTION_FAULTS:
        before = state(client)["counts"]["stores"]
        set_fault(client, endpoint="stores.create", count=1, **rule)
        with pytest.raises(error):
            client.post("/v1/fileSearchStores", timeout=0.3)
        assert state(client)["counts"]["stores"] - before == int(committed), rule
        assert client.post("/v1/fileSearchStores").status_code == 200, "the server is as well as before"


def test_slow_drain_holds_the_sender_back(tmp_path: Path, serve: Serve) -> None:
    _, client = serve(tmp_path / "s.db")
    set_fault(client, fault="F20", endpoint="files.upload.finalize", bytes_per_s=20_000_000, count=1)
    content = b"x" * GRANULARITY
    begun = time.monotonic()
    assert send(client, content, "slow").status_code == 200
    slow_s = time.monotonic() - begun
    assert slow_s >= len(content) / 20_000_000


def test_half_a_body_is_not_taken_for_a_whole_one(tmp_path: Path, serve: Serve) -> None:
    _, client = serve(tmp_path / "s.db")
    url = httpx2.URL(client.post("/upload/v1/files", headers=START).headers["X-Goog-Upload-URL"])
    head = f"POST {url.raw_path.decode()} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
    head += "X-Goog-Upload-Command: upload, finalize\r\n\r\n"
    with socket.create_connection((str(url.host), url.port or 0)) as leaving:
        leaving.sendall(head.encode() + b"abc")
    eventually(lambda: state(client)["requests"].get("abandoned") == 1)
    assert state(client)["counts"]["files"] == 0
    asked = client.post(url, headers={"X-Goog-Upload-Command": "query"})
    assert asked.headers["X-Goog-Upload-Size-Received"] == "0"
    assert client.post(url, content=b"0123456789", headers=FINALIZE).json()["file"]["sizeBytes"] == "10"


def test_a_client_that_gives_up_does_not_undo_over_a_socket(tmp_path: Path, serve: Serve) -> None:
    _, client = serve(tmp_path / "s.db", {"latencies": {"upload": {"low_s": 0.3}}})
    url = client.post("/upload/v1/files", headers=START).headers["X-Goog-Upload-URL"]
    with pytest.raises(httpx2.ReadTimeout):
        client.post(url, content=b"x", headers=FINALIZE, timeout=0.05)
    assert state(client)["counts"]["files"] == 0
    eventually(lambda: state(client)["counts"]["files"] == 1)


def test_a_body_that_is_too_large(tmp_path: Path, serve: Serve) -> None:
    _, client = serve(tmp_path / "s.db", {"max_body_bytes": 1_000_000})
    url = client.post("/upload/v1/files", headers=START).headers["X-Goog-Upload-URL"]
    assert client.post(url, content=b"x" * 3_000_000, headers=FINALIZE).status_code == 413
    assert client.get("/v1/files").status_code == 200


def test_two_processes_may_use_one_database(tmp_path: Path, serve: Serve) -> None:
    data = tmp_path / "s.db"
    _, one = serve(data)
    _, two = serve(data)
    names: list[str] = []

    def fill(client: httpx2.Client, prefix: str) -> None:
        names.extend(send(client, b"x", f"{prefix}{number}").json()["file"]["name"] for number in range(25))

    threads = [threading.Thread(target=fill, args=pair) for pair in ((one, "a"), (two, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(set(names)) == 50
    assert {file["name"] for file in state(one)["files"]} == set(names)
    stores = [client.post("/v1/fileSearchStores").json()["name"] for client in (one, two, one, two)]
    assert len(set(stores)) == 4


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=re.escape(f"127.0.0.1:{port}")):
            run_server(tmp_path / "s.db", port=port)


def test_files_that_are_no_database_of_ours(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"this is not a database, it is only long enough to look at" * 100)
    with pytest.raises(StateError, match=re.escape(str(garbage))):
        Database(garbage)
    assert garbage.read_bytes().startswith(b"this is not")
    import apsw

    foreign = tmp_path / "foreign.db"
    connection = apsw.Connection(str(foreign))
    connection.execute("CREATE TABLE t(x)")
    connection.close()
    with pytest.raises(StateError, match="something else"):
        Database(foreign)
    newer = tmp_path / "newer.db"
    Database(newer).close()
    connection = apsw.Connection(str(newer))
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(StateError, match=f"format {VERSION + 1}"):
        Database(newer)
    with pytest.raises(StateError, match=re.escape(str(tmp_path))):
        Database(tmp_path)


@pytest.mark.anyio
async def test_as_a_plain_asgi_application(tmp_path: Path) -> None:
    """Any ASGI server will do; only dropping a connection needs ours."""
    from objlib_fsm.emulator.app import create_app
    from objlib_fsm.emulator.service import open_service

    with open_service(tmp_path / "s.db") as service:
        transport = httpx2.ASGITransport(create_app(service))
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://localhost", headers={"x-goog-api-key": "k"}
        ) as client:
            with anyio.fail_after(5):
                assert (await client.get("/v1/files")).json() == {}
                assert (await client.get("/_emulator/state")).status_code == 404
