"""Every setting changes what it says it changes."""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest

from objlib_fsm.emulator.draws import Draws
from objlib_fsm.emulator.inprocess import LocalService, local_service
from objlib_fsm.emulator.settings import Latencies, Latency, Settings

pytestmark = pytest.mark.anyio

Raw = Callable[[LocalService], httpx2.AsyncClient]
Upload = Callable[..., Awaitable[httpx2.Response]]

SECOND_US = 1_000_000
NOW_US = 1_700_000_000_000_000


class World:
    """A service with some settings, a clock to move, a client, and an upload helper."""

    def __init__(self, service: LocalService, client: httpx2.AsyncClient, upload: Upload, now: list[int]) -> None:
        self.service = service.service
        self.client = client
        self._upload = upload
        self._now = now

    def pass_s(self, seconds: float) -> None:
        self._now[0] += round(seconds * SECOND_US)

    async def upload(self, content: bytes = b"some words", **kwargs: Any) -> httpx2.Response:
        return await self._upload(self.client, content, **kwargs)

    async def store(self) -> str:
        name: str = (await self.client.post("/v1/fileSearchStores", json={"displayName": "s"})).json()["name"]
        return name

    async def imported(self, store: str, name: str = "abc", **start: Any) -> str:
        """The id of a document imported from a new file."""
        await self.upload(start={"file": {"name": f"files/{name}", **start}})
        reply = await self.client.post(f"/v1/{store}:importFile", json={"fileName": f"files/{name}"})
        document_id: str = reply.json()["name"].rpartition("/")[2]
        return document_id

    async def direct(self, store: str, **kwargs: Any) -> httpx2.Response:
        return await self.upload(path=f"/upload/v1/{store}:uploadToFileSearchStore", **kwargs)

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        return await self.client.get(f"/v1/{path}", params=params)

    async def ask(self, store: str, **tool: Any) -> httpx2.Response:
        return await self.client.post(
            "/v1/models/gemini-2.5-flash:generateContent",
            json={
                "contents": [{"parts": [{"text": "words"}]}],
                "tools": [{"fileSearch": {"fileSearchStoreNames": [store], **tool}}],
            },
        )


@pytest.fixture
def world(raw: Raw, upload: Upload, tmp_path: Path) -> Any:
    """``async with world(seed=1, ...) as w``."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def make(path: Path | str = tmp_path / "s.db", sleep: Any = None, **settings: Any) -> Any:
        now = [NOW_US]
        extra = {} if sleep is None else {"sleep": sleep}
        async with (
            local_service(path, Settings(**settings), clock=lambda: now[0], **extra) as service,
            raw(service) as client,
        ):
            yield World(service, client, upload, now)

    return make


def cites(reply: httpx2.Response) -> bool:
    return "groundingMetadata" in reply.json()["candidates"][0]


async def test_setting_seed(world: Any, tmp_path: Path) -> None:
    async def names(path: Path, **settings: Any) -> list[str]:
        async with world(path, **settings) as w:
            store = await w.store()
            made = (await w.upload()).json()["file"]["name"]
            return [store, made, await w.imported(store)]

    first = await names(tmp_path / "a.db", seed=1)
    assert first == await names(tmp_path / "b.db", seed=1)
    assert first != await names(tmp_path / "c.db", seed=2)
    assert await names(tmp_path / "d.db") != await names(tmp_path / "e.db"), "without a seed, one of the database"
    assert first != await names(tmp_path / "a.db", seed=1), "a reopened database does not repeat its ids"


async def test_setting_latencies(world: Any) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    latencies = Latencies(
        request=Latency(1.0),
        upload=Latency(2.0),
        answer=Latency(4.0),
        file_processing=Latency(10.0),
        index=Latency(20.0),
        operation=Latency(5.0),
        search=Latency(7.0),
        listing=Latency(1.5),
        citation=Latency(3.0),
    )
    async with world(sleep=sleep, latencies=latencies) as w:
        store = await w.store()
        assert slept == [1.0]
        slept.clear()
        await w.upload(start={"file": {"name": "files/abc"}})
        assert slept == [1.0, 2.0]
        assert (await w.get("files/abc")).json()["state"] == "PROCESSING"
        w.pass_s(10)
        assert (await w.get("files/abc")).json()["state"] == "ACTIVE"
        reply = await w.client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"})
        operation = reply.json()["name"]
        document = f"{store}/documents/{operation.rpartition('/')[2]}"
        assert (await w.get(f"{store}/documents")).json() == {}
        assert (await w.get(document)).json()["state"] == "STATE_PENDING", "get sees it before a listing does"
        w.pass_s(1.5)
        assert len((await w.get(f"{store}/documents")).json()["documents"]) == 1
        w.pass_s(18.5)
        assert (await w.get(document)).json()["state"] == "STATE_ACTIVE"
        assert "done" not in (await w.get(operation)).json()
        w.pass_s(5)
        assert (await w.get(operation)).json()["done"] is True
        slept.clear()
        assert not cites(await w.ask(store))
        assert slept == [4.0]
        w.pass_s(2)
        assert cites(await w.ask(store))
        await w.client.delete(f"/v1/{document}", params={"force": "true"})
        assert cites(await w.ask(store))
        w.pass_s(3)
        assert not cites(await w.ask(store))


def test_latencies_are_drawn_from_their_range() -> None:
    draws = Draws(b"1")
    drawn = [draws.seconds(Latency(2.0, 4.0), "index", str(key)) for key in range(500)]
    assert all(2.0 <= seconds < 4.0 for seconds in drawn)
    assert 2.9 < sum(drawn) / len(drawn) < 3.1
    assert drawn[7] == draws.seconds(Latency(2.0, 4.0), "index", "7")
    assert drawn[7] != draws.seconds(Latency(2.0, 4.0), "search", "7")


async def test_setting_api_keys(world: Any) -> None:
    async with world(api_keys=frozenset(["a", "b"])) as w:
        assert (await w.client.get("/v1/files", headers={"x-goog-api-key": "b"})).status_code == 200
        assert (await w.get("files")).status_code == 400


async def test_setting_key_required(world: Any) -> None:
    async with world(key_required=False) as w:
        assert (await w.client.get("/v1/files", headers={"x-goog-api-key": ""})).status_code == 200
    async with world() as w:
        assert (await w.client.get("/v1/files", headers={"x-goog-api-key": ""})).status_code == 403


async def test_setting_reject_unknown_keys(world: Any) -> None:
    async with world(reject_unknown_keys=False) as w:
        assert (await w.client.post("/v1/fileSearchStores", json={"color": 1})).status_code == 200
        assert (await w.get("files", color="red")).status_code == 200
    async with world() as w:
        assert (await w.client.post("/v1/fileSearchStores", json={"color": 1})).status_code == 400
        assert (await w.get("files", color="red")).status_code == 400


async def test_setting_max_body_bytes(world: Any) -> None:
    async with world(max_body_bytes=100) as w:
        assert (await w.upload(b"x" * 100)).status_code == 200
        assert (await w.upload(b"x" * 101)).status_code == 413


@pytest.mark.parametrize("honours", [True, False, "refuse"])
async def test_setting_honours_chosen_ids(world: Any, honours: bool | str) -> None:
    async with world(honours_chosen_ids=honours) as w:
        reply = await w.upload(start={"file": {"name": "files/mine"}})
        if honours == "refuse":
            assert reply.status_code == 400
            assert (await w.upload()).status_code == 200
        else:
            name = reply.json()["file"]["name"]
            assert (name == "files/mine") is honours
            assert (await w.get(name)).status_code == 200


@pytest.mark.parametrize("reusable", [True, False])
@pytest.mark.parametrize("how", ["expired", "deleted"])
async def test_setting_expired_ids_reusable(world: Any, reusable: bool, how: str) -> None:
    async with world(expired_ids_reusable=reusable) as w:
        await w.upload(start={"file": {"name": "files/mine"}})
        if how == "expired":
            w.pass_s(48 * 3600)
        else:
            await w.client.delete("/v1/files/mine")
        assert (await w.get("files/mine")).status_code == 403
        again = await w.upload(start={"file": {"name": "files/mine"}})
        assert again.status_code == (200 if reusable else 409)


async def test_setting_file_ttl_s(world: Any) -> None:
    async with world(file_ttl_s=60.0) as w:
        name = (await w.upload()).json()["file"]["name"]
        w.pass_s(59.9)
        assert (await w.get(name)).status_code == 200
        w.pass_s(0.1)
        assert (await w.get(name)).status_code == 403


async def test_setting_file_storage_bytes(world: Any) -> None:
    async with world(file_storage_bytes=100, file_ttl_s=60.0) as w:
        assert (await w.upload(b"x" * 60)).status_code == 200
        refused = await w.upload(b"x" * 41)
        assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert (await w.upload(b"x" * 40, start={"file": {"name": "files/b"}})).status_code == 200
        assert (await w.upload(b"x")).status_code == 429
        await w.client.delete("/v1/files/b")
        assert (await w.upload(b"x" * 40)).status_code == 200
        w.pass_s(60)
        assert (await w.upload(b"x" * 100)).status_code == 200


async def test_setting_max_file_bytes(world: Any) -> None:
    async with world(max_file_bytes=10) as w:
        assert (await w.upload(b"x" * 10)).status_code == 200
        assert (await w.upload(b"x" * 11)).status_code == 400


async def test_setting_size_mismatch_refused(world: Any) -> None:
    async with world(size_mismatch_refused=False) as w:
        begun = await w.client.post(
            "/upload/v1/files",
            headers={
                "X-Goog-Upload-Protocol": "resumable",
                "X-Goog-Upload-Command": "start",
                "X-Goog-Upload-Header-Content-Length": "5",
            },
        )
        done = await w.client.post(
            begun.headers["X-Goog-Upload-URL"], content=b"123", headers={"X-Goog-Upload-Command": "upload, finalize"}
        )
        assert done.json()["file"]["sizeBytes"] == "3"
        assert done.json()["file"]["mimeType"] == "application/octet-stream"


async def test_setting_upload_session_ttl_s(world: Any) -> None:
    async with world(upload_session_ttl_s=60.0) as w:
        start = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
        url = (await w.client.post("/upload/v1/files", headers=start)).headers["X-Goog-Upload-URL"]
        w.pass_s(60)
        late = await w.client.post(url, content=b"x", headers={"X-Goog-Upload-Command": "upload, finalize"})
        assert late.status_code == 404
        w.pass_s(60)
        await w.upload()
        assert w.service.counts()["uploads"] == 0


@pytest.mark.parametrize("of", ["hex_text", "digest"])
async def test_setting_sha256_of(world: Any, of: str) -> None:
    async with world(sha256_of=of) as w:
        shown = (await w.upload(b"abc")).json()["file"]["sha256Hash"]
        digest = sha256(b"abc")
        assert base64.b64decode(shown) == (digest.digest() if of == "digest" else digest.hexdigest().encode())


async def test_setting_upload_mime_types(world: Any) -> None:
    async with world(upload_mime_types=frozenset(["text/plain"])) as w:
        assert (await w.upload()).status_code == 200
        refused = await w.upload(mime_type="text/html")
        assert refused.json()["error"]["message"] == "Unsupported MIME type: text/html"


async def test_setting_files_page_over_max(world: Any) -> None:
    async with world(files_page_over_max="refuse") as w:
        assert (await w.get("files", pageSize=100)).status_code == 200
        assert (await w.get("files", pageSize=101)).status_code == 400


async def test_setting_files_newest_first(world: Any) -> None:
    async with world(files_newest_first=False) as w:
        for number in range(5):
            await w.upload(start={"file": {"name": f"files/f{number}"}})
        first = (await w.get("files", pageSize=3)).json()
        second = (await w.get("files", pageSize=3, pageToken=first["nextPageToken"])).json()
        names = [file["name"] for file in first["files"] + second["files"]]
        assert names == [f"files/f{number}" for number in range(5)]


async def test_setting_file_failed_share(world: Any) -> None:
    async with world(file_failed_share=1.0) as w:
        file = (await w.upload(start={"file": {"name": "files/abc"}})).json()["file"]
        assert file["state"] == "FAILED"
        assert file["error"]["code"] == 13
        refused = await w.client.post(f"/v1/{await w.store()}:importFile", json={"fileName": "files/abc"})
        assert refused.json()["error"]["status"] == "FAILED_PRECONDITION"


async def test_setting_download_refused_code(world: Any) -> None:
    async with world(download_refused_code=403) as w:
        name = (await w.upload()).json()["file"]["name"]
        assert (await w.get(f"{name}:download", alt="media")).status_code == 403


@pytest.mark.parametrize("code", [400, 429])
async def test_setting_max_stores_and_too_many_stores_code(world: Any, code: int) -> None:
    async with world(max_stores=2, too_many_stores_code=code) as w:
        await w.store()
        await w.store()
        assert (await w.client.post("/v1/fileSearchStores")).status_code == code


async def test_setting_project_storage_bytes(world: Any) -> None:
    async with world(project_storage_bytes=300) as w:
        one, two = await w.store(), await w.store()
        assert (await w.direct(one, content=b"x" * 60)).status_code == 200
        refused = await w.direct(two, content=b"x" * 41)
        assert refused.status_code == 429
        assert refused.json()["error"]["message"] == "Corpus has reached the storage limit of 300 bytes."
        assert (await w.direct(two, content=b"x" * 40)).status_code == 200
        assert (await w.get(two)).json()["sizeBytes"] == "120"


async def test_setting_document_mime_types(world: Any) -> None:
    async with world(document_mime_types=frozenset(["application/epub+zip"])) as w:
        store = await w.store()
        assert (await w.direct(store, mime_type="application/epub+zip")).status_code == 200
        assert (await w.direct(store, mime_type="text/plain")).status_code == 400


async def test_setting_max_document_bytes(world: Any) -> None:
    async with world(max_document_bytes=10) as w:
        store = await w.store()
        assert (await w.direct(store, content=b"x" * 10)).status_code == 200
        assert (await w.direct(store, content=b"x" * 11)).status_code == 400


async def test_settings_of_metadata(world: Any) -> None:
    """max_metadata_entries, max_metadata_chars, max_metadata_list_items."""
    async with world(max_metadata_entries=2, max_metadata_chars=5, max_metadata_list_items=1) as w:
        store = await w.store()

        async def code(*entries: dict[str, Any]) -> int:
            return int((await w.direct(store, start={"customMetadata": list(entries)})).status_code)

        assert await code({"key": "a", "stringValue": "1234"}, {"key": "b", "numericValue": 1}) == 200
        assert await code(*({"key": k, "numericValue": 1} for k in "abc")) == 400
        assert await code({"key": "a", "stringValue": "12345"}) == 400
        assert await code({"key": "a", "stringListValue": {"values": ["x", "y"]}}) == 400


async def test_settings_of_chunks(world: Any) -> None:
    """max_chunk_tokens, chunk_tokens, chunk_overlap_tokens."""
    async with world(max_chunk_tokens=50, chunk_tokens=4, chunk_overlap_tokens=1) as w:
        store = await w.store()
        await w.direct(store, content=b"words two three four five six seven eight")
        texts = [text for (text,) in w.service.context.db.run("SELECT text FROM passage")]
        assert texts == []
        await w.service.index()
        texts = [text for (text,) in w.service.context.db.run("SELECT text FROM passage ORDER BY rowid")]
        assert texts == ["words two three four", "four five six seven", "seven eight"]
        chunking = {"whiteSpaceConfig": {"maxTokensPerChunk": 51}}
        assert (await w.direct(store, start={"chunkingConfig": chunking})).status_code == 400


@pytest.mark.parametrize("used", [True, False])
async def test_setting_document_id_from_upload_name(world: Any, used: bool) -> None:
    async with world(document_id_from_upload_name=used) as w:
        reply = await w.direct(await w.store(), name="notes.md")
        assert ("/notesmd-" in reply.json()["name"]) is used


async def test_setting_documents_newest_first(world: Any) -> None:
    async with world(documents_newest_first=True) as w:
        store = await w.store()
        made = [await w.imported(store, f"f{number}") for number in range(5)]
        first = (await w.get(f"{store}/documents", pageSize=3)).json()
        second = (await w.get(f"{store}/documents", pageSize=3, pageToken=first["nextPageToken"])).json()
        names = [one["name"].rpartition("/")[2] for one in first["documents"] + second["documents"]]
        assert names == made[::-1]


async def test_settings_of_what_is_unknown(world: Any) -> None:
    """unknown_document_code, unknown_operation_code."""
    async with world(unknown_document_code=403, unknown_operation_code=403) as w:
        store = await w.store()
        assert (await w.get(f"{store}/documents/none")).status_code == 403
        assert (await w.get(f"{store}/operations/none")).status_code == 403


async def test_setting_document_failed_share(world: Any) -> None:
    async with world(document_failed_share=0.5, seed=3) as w:
        store = await w.store()
        for number in range(40):
            await w.imported(store, f"f{number}")
        counts = w.service.counts()
        assert 10 < counts["documents_failed"] < 30
        assert counts["documents_failed"] + counts["documents_active"] == 40
        for document in w.service.documents():
            operation = (await w.get(document["name"].replace("/documents/", "/operations/"))).json()
            assert ("error" in operation) is (document["state"] == "STATE_FAILED")


async def test_setting_document_stuck_share(world: Any) -> None:
    async with world(document_stuck_share=1.0) as w:
        store = await w.store()
        document = await w.imported(store)
        w.pass_s(1e6)
        assert (await w.get(f"{store}/documents/{document}")).json()["state"] == "STATE_PENDING"
        assert "done" not in (await w.get(f"{store}/operations/{document}")).json()


@pytest.mark.parametrize("hangs", [True, False])
async def test_setting_leading_space_hangs_import(world: Any, hangs: bool) -> None:
    async with world(leading_space_hangs_import=hangs) as w:
        store = await w.store()
        spaced = await w.imported(store, "spaced", displayName=" notes.md")
        plain = await w.imported(store, "plain", displayName="notes.md")
        assert ("done" in (await w.get(f"{store}/operations/{spaced}")).json()) is not hangs
        assert (await w.get(f"{store}/operations/{plain}")).json()["done"] is True


async def test_setting_operation_forgotten_after_s(world: Any) -> None:
    async with world(operation_forgotten_after_s=60.0, latencies=Latencies(index=Latency(10.0))) as w:
        store = await w.store()
        path = f"{store}/operations/{await w.imported(store)}"
        w.pass_s(69.9)
        assert (await w.get(path)).json()["done"] is True
        w.pass_s(0.1)
        assert (await w.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("operation_never_done_share", {"name", "metadata"}),
        ("operation_error_share", {"name", "done", "error"}),
        ("operation_name_only_share", {"name"}),
    ],
)
async def test_settings_of_operations(world: Any, name: str, keys: set[str]) -> None:
    async with world(**{name: 1.0}) as w:
        store = await w.store()
        document = await w.imported(store)
        assert set((await w.get(f"{store}/operations/{document}")).json()) == keys
        assert (await w.get(f"{store}/documents/{document}")).json()["state"] == "STATE_ACTIVE"


async def test_setting_models(world: Any) -> None:
    async with world(models=("gemini-2.5-*",)) as w:
        body = {"contents": [{"parts": [{"text": "hi"}]}]}
        assert (await w.client.post("/v1/models/gemini-2.5-pro:generateContent", json=body)).status_code == 200
        assert (await w.client.post("/v1/models/gemini-3-pro:generateContent", json=body)).status_code == 404


async def test_settings_of_search(world: Any) -> None:
    """max_stores_per_search, default_top_k, max_top_k, list_membership_filter."""
    async with world(max_stores_per_search=1, default_top_k=2, max_top_k=3, list_membership_filter=False) as w:
        store, other = await w.store(), await w.store()
        for number in range(5):
            await w.direct(store, content=b"words %d" % number)

        def chunks(reply: httpx2.Response) -> int:
            return len(reply.json()["candidates"][0]["groundingMetadata"]["groundingChunks"])

        assert chunks(await w.ask(store)) == 2
        assert chunks(await w.ask(store, topK=3)) == 3
        assert (await w.ask(store, topK=4)).status_code == 400
        assert (await w.ask(store, fileSearchStoreNames=[store, other])).status_code == 400
        assert (await w.ask(store, metadataFilter="a:b")).status_code == 400
        assert (await w.ask(store, metadataFilter="a=b")).status_code == 200


def test_every_setting_has_a_test() -> None:
    source = Path(__file__).read_text() + Path(__file__).with_name("test_emulator_trouble.py").read_text()
    for name in Settings.__struct_fields__:
        assert re.search(rf"\b{name}=|\"{name}\"", source), name
    for name in Latencies.__struct_fields__:
        assert re.search(rf"\b{name}=Latency", source), name
