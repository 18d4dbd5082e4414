"""Rows 8 to 11 of the API: stores."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from objlib_fsm.emulator.inprocess import LocalService, local_service
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from objlib_fsm.emulator.stores import slug

pytestmark = pytest.mark.anyio

Sdk = Callable[[LocalService], genai.Client]
Raw = Callable[[LocalService], httpx2.AsyncClient]
Upload = Callable[..., Awaitable[httpx2.Response]]
MANY = Settings(max_stores=100)


async def test_sdk_creates_reads_and_deletes_a_store(tmp_path: Path, sdk: Sdk) -> None:
    async with local_service(tmp_path / "s.db") as service:
        stores = sdk(service).aio.file_search_stores
        made = await stores.create(config=types.CreateFileSearchStoreConfig(display_name="My Store"))
        assert made.name is not None
        assert re.fullmatch(r"fileSearchStores/my-store-[a-z0-9]{12}", made.name)
        assert made.display_name == "My Store"
        assert made.embedding_model == "models/gemini-embedding-001"
        assert made.active_documents_count is None, "a count of 0 is absent"
        assert await stores.get(name=made.name) == made
        await stores.delete(name=made.name)
        with pytest.raises(errors.ClientError) as caught:
            await stores.get(name=made.name)
        assert caught.value.code == 403
        assert "may not exist" in str(caught.value)
        with pytest.raises(errors.ClientError, match="403"):
            await stores.delete(name=made.name)


async def test_two_stores_may_have_one_display_name(tmp_path: Path, sdk: Sdk) -> None:
    async with local_service(tmp_path / "s.db") as service:
        stores = sdk(service).aio.file_search_stores
        config = types.CreateFileSearchStoreConfig(display_name="same")
        assert (await stores.create(config=config)).name != (await stores.create(config=config)).name


async def test_create_without_a_body(tmp_path: Path, sdk: Sdk) -> None:
    async with local_service(tmp_path / "s.db") as service:
        made = await sdk(service).aio.file_search_stores.create()
        assert made.name is not None
        assert re.fullmatch(r"fileSearchStores/[a-z0-9]{12}-[a-z0-9]{12}", made.name)
        assert made.display_name is None


@pytest.mark.parametrize(
    ("display_name", "expected"),
    [
        ("My Store", "my-store"),
        ("a_b-c d", "abc-d"),
        ("Ünïcode & more!", "ncode--more"),
        ("x" * 40, "x" * 27),
        ("", ""),
        ("日本語", ""),
    ],
)
async def test_slug(display_name: str, expected: str) -> None:
    assert slug(display_name) == expected


async def test_store_refusals(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        for body in ({"displayName": "n" * 513}, {"embeddingModel": "nonsense"}, {"color": "red"}, {"displayName": 5}):
            refused = await client.post("/v1/fileSearchStores", json=body)
            assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        chosen = await client.post("/v1/fileSearchStores", json={"embedding_model": "models/gemini-embedding-2"})
        assert chosen.json()["embeddingModel"] == "models/gemini-embedding-2"
        assert (await client.get("/v1/fileSearchStores/UPPER")).status_code == 400
        assert (await client.get("/v1/fileSearchStores/none")).status_code == 403
        for broken in (b"{", b"[]", b"5", b'"x"', b"\xff", b"[" * 100_000):
            assert (await client.post("/v1/fileSearchStores", content=broken)).status_code == 400, broken[:9]
        assert service.service.counts()["stores"] == 1


async def test_listing_is_oldest_first_and_refuses_large_pages(tmp_path: Path, sdk: Sdk, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db", MANY) as service, raw(service) as client:
        assert (await client.get("/v1/fileSearchStores")).json() == {}
        for number in range(25):
            await client.post("/v1/fileSearchStores", json={"displayName": f"s{number}"})
        pager = await sdk(service).aio.file_search_stores.list(config={"page_size": 20})
        assert [store.display_name async for store in pager] == [f"s{number}" for number in range(25)]
        assert len((await client.get("/v1/fileSearchStores")).json()["fileSearchStores"]) == 10
        refused = await client.get("/v1/fileSearchStores", params={"pageSize": 21})
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert (await client.get("/v1/fileSearchStores", params={"page_size": 3})).status_code == 200
        unknown = await client.get("/v1/fileSearchStores", params={"pagesize": 3})
        assert unknown.status_code == 400


async def test_counts_are_live(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    now = [1_700_000_000_000_000]
    settings = Settings(latencies=Latencies(index=Latency(10.0, 10.0)))
    async with local_service(tmp_path / "s.db", settings, clock=lambda: now[0]) as service, raw(service) as client:
        store = (await client.post("/v1/fileSearchStores")).json()["name"]
        await upload(client, b"1234567890", path=f"/upload/v1/{store}:uploadToFileSearchStore")
        counted = (await client.get(f"/v1/{store}")).json()
        assert counted["pendingDocumentsCount"] == "1"
        assert "activeDocumentsCount" not in counted
        assert counted["sizeBytes"] == "30"
        now[0] += 10_000_000
        counted = (await client.get(f"/v1/{store}")).json()
        assert counted["activeDocumentsCount"] == "1"
        assert "pendingDocumentsCount" not in counted


async def test_a_store_with_documents_must_be_forced(tmp_path: Path, sdk: Sdk, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        stores = sdk(service).aio.file_search_stores
        other = (await client.post("/v1/fileSearchStores")).json()["name"]
        await upload(client, b"other words", path=f"/upload/v1/{other}:uploadToFileSearchStore")
        store = (await client.post("/v1/fileSearchStores")).json()["name"]
        await upload(client, b"some words", path=f"/upload/v1/{store}:uploadToFileSearchStore")
        await service.service.index()
        assert service.service.counts()["passages"] == 2
        with pytest.raises(errors.ClientError) as caught:
            await stores.delete(name=store)
        assert (caught.value.code, caught.value.status) == (400, "FAILED_PRECONDITION")
        assert "Cannot delete non-empty FileSearchStore" in str(caught.value)
        await stores.delete(name=store, config=types.DeleteFileSearchStoreConfig(force=True))
        left = service.service.counts()
        assert (left["stores"], left["documents"], left["passages"], left["operations"]) == (1, 1, 1, 1)
