"""The fault catalogue, F1 to F23, as a client sees each of them in process."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from google import genai
from google.genai import errors, types

from objlib_fsm.emulator.faults import CATALOGUE, FaultPlan, Rule
from objlib_fsm.emulator.inprocess import LocalService, local_service
from objlib_fsm.emulator.settings import Settings

pytestmark = pytest.mark.anyio

Sdk = Callable[[LocalService], genai.Client]
Raw = Callable[[LocalService], httpx2.AsyncClient]
Upload = Callable[..., Awaitable[httpx2.Response]]

TEXT_FILE = types.UploadFileConfig(mime_type="text/plain")


async def new_store(client: httpx2.AsyncClient) -> str:
    name: str = (await client.post("/v1/fileSearchStores", json={"displayName": "store"})).json()["name"]
    return name


async def imported(client: httpx2.AsyncClient, upload: Upload, store: str, name: str = "abc") -> str:
    """Upload and import; the operation's name."""
    await upload(client, b"some words", start={"file": {"name": f"files/{name}"}})
    reply = await client.post(f"/v1/{store}:importFile", json={"fileName": f"files/{name}"})
    operation: str = reply.json()["name"]
    return operation


def document_of(operation: str) -> str:
    return operation.replace("/upload/", "/").replace("/operations/", "/documents/")


async def test_f1_quota_per_minute(tmp_path: Path, sdk: Sdk) -> None:
    plan = FaultPlan([Rule(fault="F1", count=1, seconds=42)])
    async with local_service(tmp_path / "s.db", faults=plan) as service:
        stores = sdk(service).aio.file_search_stores
        with pytest.raises(errors.ClientError) as caught:
            await stores.create()
        error = caught.value
        assert (error.code, error.status) == (429, "RESOURCE_EXHAUSTED")
        details = {detail["@type"].rpartition(".")[2]: detail for detail in error.details["error"]["details"]}
        assert details["RetryInfo"]["retryDelay"] == "42s"
        assert "PerMinute" in details["QuotaFailure"]["violations"][0]["quotaId"]
        assert "Please retry in 42.921s." in str(error)
        assert error.response.headers.get("Retry-After") is None
        await stores.create()


async def test_f2_quota_per_day(tmp_path: Path, raw: Raw) -> None:
    async with (
        local_service(tmp_path / "s.db", faults=FaultPlan([Rule(fault="F2")])) as service,
        raw(service) as client,
    ):
        error = (await client.get("/v1/files")).json()["error"]
        assert error["code"] == 429
        assert "PerDay" in error["details"][0]["violations"][0]["quotaId"]
        assert error["details"][2]["retryDelay"] == "42s"


@pytest.mark.parametrize(
    ("fault", "mode", "code", "status", "message"),
    [
        ("F3", "", 429, "RESOURCE_EXHAUSTED", "Corpus has reached the storage limit of 1000000000 bytes."),
        ("F4", "", 429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
        ("F5", "", 503, "UNAVAILABLE", "The service is currently unavailable."),
        ("F5", "count_tokens", 503, "UNAVAILABLE", "Failed to count tokens."),
        ("F5", "overloaded", 503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        ("F7", "", 500, "INTERNAL", "Internal error encountered."),
        ("F8", "", 400, "INVALID_ARGUMENT", "Failed to create file."),
        (
            "F10",
            "",
            400,
            "FAILED_PRECONDITION",
            "The File abc is not in an ACTIVE state and usage is not allowed.",
        ),
    ],
)
async def test_f3_to_f10_refuse_and_change_nothing(
    tmp_path: Path, raw: Raw, upload: Upload, fault: str, mode: str, code: int, status: str, message: str
) -> None:
    plan = FaultPlan([Rule(fault=fault, mode=mode, endpoint="stores.import", count=2)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        store = await new_store(client)
        await upload(client, b"some words", start={"file": {"name": "files/abc"}})
        for _ in range(2):
            reply = await client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"})
            assert reply.status_code == code
            assert reply.json() == {"error": {"code": code, "message": message, "status": status}}
        assert service.service.counts()["documents"] == 0
        assert (await client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"})).status_code == 200


async def test_f6_upload_front_end(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    plan = FaultPlan([Rule(fault="F6", endpoint="files.upload.finalize", count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        reply = await upload(client, b"x")
        assert reply.status_code == 503
        assert reply.json() == {"error": {"message": "", "code": 503, "status": "Service Unavailable"}}
        assert "X-Goog-Upload-Status" not in reply.headers, "so that the SDK repeats it, sleeping 7 seconds in all"
        assert service.service.counts()["files"] == 0
        assert service.service.counts()["uploads"] == 1, "the session goes on"


async def test_refusals_of_upload_data_say_final(tmp_path: Path, sdk: Sdk) -> None:
    plan = FaultPlan([Rule(fault="F5", endpoint="files.upload.finalize", count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service:
        with pytest.raises(errors.ServerError, match="503"), anyio.fail_after(2):
            await sdk(service).aio.files.upload(file=io.BytesIO(b"x"), config=TEXT_FILE)


async def test_f9_file_expires_between_upload_and_import(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    plan = FaultPlan([Rule(fault="F9", count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        store = await new_store(client)
        await upload(client, b"some words", start={"file": {"name": "files/abc"}})
        for _ in range(2):
            reply = await client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"})
            assert (reply.status_code, reply.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
        assert (await client.get("/v1/files/abc")).status_code == 403, "it really is gone"


@pytest.mark.parametrize(("mode", "error"), [("", httpx2.RemoteProtocolError), ("reset", httpx2.ReadError)])
@pytest.mark.parametrize(("fault", "documents"), [("F11", 0), ("F12", 1)])
async def test_f11_f12_connection_lost_before_or_after(
    tmp_path: Path, raw: Raw, upload: Upload, fault: str, documents: int, mode: str, error: type[Exception]
) -> None:
    plan = FaultPlan([Rule(fault=fault, mode=mode, endpoint="stores.import", count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        store = await new_store(client)
        await upload(client, b"some words", start={"file": {"name": "files/abc"}})
        with pytest.raises(error):
            await client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"})
        assert service.service.counts()["documents"] == documents


@pytest.mark.parametrize("endpoint", ["stores.create", "files.upload.finalize", "files.delete", "documents.delete"])
async def test_f12_on_everything_that_changes_something(
    tmp_path: Path, raw: Raw, upload: Upload, endpoint: str
) -> None:
    plan = FaultPlan()
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        document = document_of(await imported(client, upload, await new_store(client)))
        before = service.service.counts()
        plan.add(Rule(fault="F12", endpoint=endpoint, count=1))
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "stores.create": lambda: new_store(client),
            "files.upload.finalize": lambda: upload(client, b"x"),
            "files.delete": lambda: client.delete("/v1/files/abc"),
            "documents.delete": lambda: client.delete(f"/v1/{document}", params={"force": "True"}),
        }
        with pytest.raises(httpx2.RemoteProtocolError):
            await calls[endpoint]()
        changed = {key for key, value in service.service.counts().items() if value != before[key]}
        expected = {"stores.create": "stores", "documents.delete": "documents"}.get(endpoint, "files")
        assert expected in changed


async def test_f13_late_reply(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    plan = FaultPlan([Rule(fault="F13", endpoint="stores.import", count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        store = await new_store(client)
        await upload(client, b"some words", start={"file": {"name": "files/abc"}})
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"}, timeout=0.05)
        assert service.service.counts()["documents"] == 1


@pytest.mark.parametrize("mode", ["never_done", "error", "gone", "name_only"])
@pytest.mark.parametrize("endpoint", ["stores.import", "operations.get", "stores.upload.finalize"])
async def test_f14_operations(tmp_path: Path, raw: Raw, upload: Upload, mode: str, endpoint: str) -> None:
    plan = FaultPlan([Rule(fault="F14", mode=mode, endpoint=endpoint, count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        store = await new_store(client)
        if endpoint == "stores.upload.finalize":
            path = f"/upload/v1/{store}:uploadToFileSearchStore"
            operation = (await upload(client, b"some words", path=path)).json()["name"]
        else:
            operation = await imported(client, upload, store)
        for _ in range(3):
            reply = await client.get(f"/v1/{operation}")
            match mode:
                case "gone":
                    assert reply.status_code == 404
                case "error":
                    assert reply.json()["done"] is True
                    assert reply.json()["error"]["code"] == 13
                case "name_only":
                    assert reply.json() == {"name": operation}
                case _:
                    assert set(reply.json()) == {"name", "metadata"}
        assert (await client.get(f"/v1/{document_of(operation)}")).json()["state"] == "STATE_ACTIVE"


@pytest.mark.parametrize(
    ("mode", "states"),
    [
        ("pending", ["STATE_PENDING"] * 3),
        ("failed", ["STATE_FAILED"] * 3),
        ("failed_after_active", ["STATE_ACTIVE", "STATE_FAILED", "STATE_FAILED"]),
    ],
)
@pytest.mark.parametrize("endpoint", ["stores.import", "documents.get"])
async def test_f15_documents(
    tmp_path: Path, raw: Raw, upload: Upload, mode: str, states: list[str], endpoint: str
) -> None:
    plan = FaultPlan([Rule(fault="F15", mode=mode, endpoint=endpoint, count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        store = await new_store(client)
        operation = await imported(client, upload, store)
        path = f"/v1/{document_of(operation)}"
        seen = [(await client.get(path)).json()["state"] for _ in states]
        assert seen == states
        asked = (await client.get(f"/v1/{operation}")).json()
        assert ("error" in asked) == (mode == "failed")
        assert ("done" in asked) == (mode != "pending")


async def listing(client: httpx2.AsyncClient, store: str, most: int = 40) -> list[str]:
    """All pages of three documents, as a careful client reads them."""
    names: list[str] = []
    token = ""
    for _ in range(most):
        reply = await client.get(f"/v1/{store}/documents", params={"pageSize": 3, "pageToken": token})
        if reply.status_code != 200:
            return [*names, str(reply.status_code)]
        names += [one["name"].rpartition("/")[2] for one in reply.json().get("documents", [])]
        token = reply.json().get("nextPageToken", "")
        if not token:
            return names
    return [*names, "endless"]


@pytest.mark.parametrize("newest_first", [True, False])
async def test_f16_listings(tmp_path: Path, raw: Raw, upload: Upload, newest_first: bool) -> None:
    now = [1_700_000_000_000_000]
    plan = FaultPlan()
    settings = Settings(documents_newest_first=newest_first)
    async with (
        local_service(tmp_path / "s.db", settings, faults=plan, clock=lambda: now[0]) as service,
        raw(service) as client,
    ):
        store = await new_store(client)
        made = [(await imported(client, upload, store, f"f{n}")).rpartition("/")[2] for n in range(8)]
        now[0] += 10_000_000
        made.append((await imported(client, upload, store, "last")).rpartition("/")[2])
        if newest_first:
            made.reverse()
        assert await listing(client, store) == made

        async def under(**rule: Any) -> list[str]:
            plan.clear()
            plan.add(Rule(fault="F16", **rule))
            return await listing(client, store)

        late = made[0] if newest_first else made[-1]
        assert await under(mode="lag", seconds=5) == [name for name in made if name != late]
        assert await under(mode="duplicate", count=1) == [*made[:3], made[2], *made[3:]]
        assert await under(mode="missing", count=1) == [*made[:3], *made[4:]]
        assert await under(mode="unavailable", nth=1) == [*made[:3], "503"]
        assert await under(mode="unavailable", nth=2, count=1) == [*made[:6], "503"]
        assert await under(mode="empty_page", nth=2, count=1) == made
        assert await under(mode="empty_page", nth=1, count=1) == made
        assert (await under(mode="same_token", nth=2))[-1] == "endless"


async def test_f16_breaks_the_pager_of_the_sdk(tmp_path: Path, sdk: Sdk, raw: Raw, upload: Upload) -> None:
    plan = FaultPlan([Rule(fault="F16", mode="empty_page", nth=2, count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        store = await new_store(client)
        for number in range(5):
            await imported(client, upload, store, f"f{number}")
        pager = await sdk(service).aio.file_search_stores.documents.list(parent=store, config={"page_size": 2})
        with pytest.raises(IndexError):
            [document async for document in pager]


async def test_f16_for_files_and_stores(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    plan = FaultPlan()
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        for number in range(4):
            await new_store(client)
            await upload(client, b"x", start={"file": {"name": f"files/f{number}"}})
        for path, items in (("/v1/files", "files"), ("/v1/fileSearchStores", "fileSearchStores")):
            for mode, expected in (("duplicate", 5), ("missing", 3)):
                plan.clear()
                plan.add(Rule(fault="F16", mode=mode, count=1))
                names, token = [], ""
                while True:
                    page = (await client.get(path, params={"pageSize": 2, "pageToken": token})).json()
                    names += [one["name"] for one in page[items]]
                    token = page.get("nextPageToken", "")
                    if not token:
                        break
                assert len(names) == expected, (path, mode)


@pytest.mark.parametrize(
    ("mode", "code", "processed"),
    [
        ("html_502", 502, False),
        ("json_502", 502, False),
        ("empty_503", 503, False),
        ("empty_200", 200, True),
        ("object_200", 200, True),
        ("broken_200", 200, True),
    ],
)
@pytest.mark.parametrize("commit", [None, True, False])
async def test_f17_broken_replies(
    tmp_path: Path, raw: Raw, upload: Upload, mode: str, code: int, processed: bool, commit: bool | None
) -> None:
    plan = FaultPlan([Rule(fault="F17", mode=mode, endpoint="stores.create", count=1, commit=commit)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        reply = await client.post("/v1/fileSearchStores")
        assert reply.status_code == code
        if mode == "html_502":
            assert reply.headers["content-type"].startswith("text/html")
        elif mode.startswith("empty"):
            assert reply.content == b""
        elif mode == "object_200":
            assert reply.json() == {}
        else:
            with pytest.raises(json.JSONDecodeError):
                reply.json()
        assert service.service.counts()["stores"] == int(processed if commit is None else commit)


async def test_f17_truncated_body(tmp_path: Path, raw: Raw) -> None:
    plan = FaultPlan([Rule(fault="F17", mode="truncated_200", count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
            await client.post("/v1/fileSearchStores")
        assert service.service.counts()["stores"] == 1


@pytest.mark.parametrize(
    ("mode", "error", "files"),
    [("active", ValueError, 1), ("other", ValueError, 1), ("no_file", KeyError, 1), ("no_url", KeyError, 0)],
)
async def test_f18_what_the_sdk_makes_of_a_broken_upload_reply(
    tmp_path: Path, sdk: Sdk, mode: str, error: type[Exception], files: int
) -> None:
    plan = FaultPlan([Rule(fault="F18", mode=mode, count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service:
        with pytest.raises(error):
            await sdk(service).aio.files.upload(file=io.BytesIO(b"x"), config=TEXT_FILE)
        assert service.service.counts()["files"] == files


@pytest.mark.parametrize(("mode", "commit", "stores"), [("accept", None, 0), ("accept", True, 1), ("headers", None, 1)])
async def test_f19_hangs(tmp_path: Path, raw: Raw, mode: str, commit: bool | None, stores: int) -> None:
    plan = FaultPlan([Rule(fault="F19", mode=mode, commit=commit, count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post("/v1/fileSearchStores", timeout=0.05)
        assert service.service.counts()["stores"] == stores


async def test_f19_headers_come_before_the_hang(tmp_path: Path, raw: Raw) -> None:
    plan = FaultPlan([Rule(fault="F19", mode="headers", count=1)])
    async with (
        local_service(tmp_path / "s.db", faults=plan) as service,
        raw(service) as client,
        client.stream("POST", "/v1/fileSearchStores", timeout=0.05) as reply,
    ):
        assert reply.status_code == 200
        with pytest.raises(httpx2.ReadTimeout):
            await reply.aread()


async def test_f20_slow_drain(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    plan = FaultPlan([Rule(fault="F20", endpoint="files.upload.finalize", bytes_per_s=100, count=1)])
    async with local_service(tmp_path / "s.db", faults=plan, sleep=sleep) as service, raw(service) as client:
        assert (await upload(client, b"x" * 1_000)).status_code == 200
        assert slept == [10.0]


async def test_f21_replies_from_the_future(tmp_path: Path, sdk: Sdk, raw: Raw, upload: Upload) -> None:
    plan = FaultPlan()
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        document = document_of(await imported(client, upload, await new_store(client)))
        plan.add(Rule(fault="F21"))
        shown = (await client.get(f"/v1/{document}")).json()
        assert shown["state"] == "STATE_QUARANTINED"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", shown["createTime"])
        assert "fieldOfTheFuture" in shown
        with pytest.warns(UserWarning, match="STATE_QUARANTINED"):
            seen = await sdk(service).aio.file_search_stores.documents.get(name=document)
        assert str(seen.state) not in ("None", "DocumentState.STATE_ACTIVE")
        plan.clear()
        plan.add(Rule(fault="F21", mode="nanos"))
        assert (await client.get(f"/v1/{document}")).json()["state"] == "STATE_ACTIVE"


async def test_f22_gone_method_and_clash(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    plan = FaultPlan([Rule(fault="F22", endpoint="documents.*", count=1), Rule(fault="F22", mode="conflict", count=1)])
    async with local_service(tmp_path / "s.db", faults=plan) as service, raw(service) as client:
        store = await new_store(client)
        gone = await client.get(f"/v1/{store}/documents")
        assert gone.status_code == 404
        assert gone.headers["content-type"].startswith("text/html")
        clash = await upload(client, b"x", start={"file": {"name": "files/mine"}})
        assert clash.status_code == 409
        assert clash.json() == {"error": {"code": 409, "message": "mine already exists."}}


async def test_f23_search_lags_behind(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    now = [1_700_000_000_000_000]
    plan = FaultPlan([Rule(fault="F23", mode="unsearchable", seconds=10, count=1)])
    async with local_service(tmp_path / "s.db", faults=plan, clock=lambda: now[0]) as service, raw(service) as client:
        store = await new_store(client)
        document = document_of(await imported(client, upload, store))
        body = {
            "contents": [{"parts": [{"text": "words"}]}],
            "tools": [{"fileSearch": {"fileSearchStoreNames": [store]}}],
        }

        async def cited() -> bool:
            reply = await client.post("/v1/models/gemini-2.5-flash:generateContent", json=body)
            return "groundingMetadata" in reply.json()["candidates"][0]

        assert (await client.get(f"/v1/{document}")).json()["state"] == "STATE_ACTIVE"
        assert not await cited()
        now[0] += 10_000_000
        assert await cited()
        plan.clear()
        plan.add(Rule(fault="F23", mode="cited", seconds=20))
        assert (await client.delete(f"/v1/{document}", params={"force": "True"})).status_code == 200
        assert (await client.get(f"/v1/{document}")).status_code == 404
        assert (await client.get(f"/v1/{store}/documents")).json() == {}
        assert "activeDocumentsCount" not in (await client.get(f"/v1/{store}")).json()
        assert await cited()
        now[0] += 20_000_000
        assert not await cited()
        assert (await client.delete(f"/v1/{store}")).status_code == 200, "for the store it is gone at once"


def test_every_fault_of_the_catalogue_has_a_test() -> None:
    source = Path(__file__).read_text()
    assert list(CATALOGUE) == [f"F{number}" for number in range(1, 24)]
    for fault in CATALOGUE:
        assert f'fault="{fault}"' in source or re.search(rf'\(\s*"{fault}"', source), fault
