"""Rows 12 to 20 of the API: making documents, operations, documents, media."""

from __future__ import annotations

import io
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from objlib_fsm.emulator.inprocess import LocalService, local_service
from objlib_fsm.emulator.settings import Latencies, Latency, Settings

pytestmark = pytest.mark.anyio

Sdk = Callable[[LocalService], genai.Client]
Raw = Callable[[LocalService], httpx2.AsyncClient]
Upload = Callable[..., Awaitable[httpx2.Response]]

SECOND_US = 1_000_000
TYPES = "type.googleapis.com/google.ai.generativelanguage.v1main."


async def new_store(client: httpx2.AsyncClient) -> str:
    name: str = (await client.post("/v1/fileSearchStores", json={"displayName": "store"})).json()["name"]
    return name


async def test_sdk_imports_polls_lists_and_deletes(tmp_path: Path, sdk: Sdk) -> None:
    async with local_service(tmp_path / "s.db") as service:
        client = sdk(service).aio
        store = await client.file_search_stores.create(config={"display_name": "My store"})
        assert store.name is not None
        store_id = store.name.removeprefix("fileSearchStores/")
        file = await client.files.upload(
            file=io.BytesIO(b"hello world"),
            config=types.UploadFileConfig(name="abc-1", display_name="Never seen again.md", mime_type="text/markdown"),
        )
        metadata = [
            types.CustomMetadata(key="year", numeric_value=2024),
            types.CustomMetadata(key="half", numeric_value=0.5),
            types.CustomMetadata(key="tag", string_value="x"),
            types.CustomMetadata(key="topics", string_list_value=types.StringList(values=["a", "b"])),
        ]
        operation = await client.file_search_stores.import_file(
            file_search_store_name=store.name,
            file_name=str(file.name),
            config=types.ImportFileConfig(
                custom_metadata=metadata,
                chunking_config=types.ChunkingConfig(
                    white_space_config=types.WhiteSpaceConfig(max_tokens_per_chunk=200, max_overlap_tokens=20)
                ),
            ),
        )
        assert operation.name is not None
        assert re.fullmatch(re.escape(store.name) + r"/operations/abc-1-[a-z0-9]{12}", operation.name)
        assert operation.done is None
        polled = await client.operations.get(types.ImportFileOperation.model_validate({"name": operation.name}))
        assert polled.done is True
        assert polled.error is None
        assert polled.response is not None
        assert polled.response.parent == store_id, "bare ids, as the service answers for importFile"
        document_id = polled.response.document_name
        assert document_id == operation.name.rpartition("/")[2]
        name = f"{store.name}/documents/{document_id}"
        document = await client.file_search_stores.documents.get(name=name)
        assert document.name == name
        assert document.display_name == "abc-1", "an imported document is called by the raw file's id"
        assert document.state == types.DocumentState.STATE_ACTIVE
        assert (document.mime_type, document.size_bytes) == ("text/markdown", 11)
        assert document.custom_metadata == metadata
        listed = [one async for one in await client.file_search_stores.documents.list(parent=store.name)]
        assert listed == [document]
        with pytest.raises(errors.ClientError) as caught:
            await client.file_search_stores.documents.delete(name=name)
        assert (caught.value.code, caught.value.status) == (400, "FAILED_PRECONDITION")
        await client.file_search_stores.documents.delete(name=name, config=types.DeleteDocumentConfig(force=True))
        with pytest.raises(errors.ClientError) as caught:
            await client.file_search_stores.documents.get(name=name)
        assert caught.value.code == 404
        assert "Documents does not exist" in str(caught.value)
        assert (await client.operations.get(polled)).done is True, "the operation outlives the document"
        assert (await client.files.get(name="abc-1")).state == types.FileState.ACTIVE, "and so does the raw file"


async def test_sdk_uploads_straight_into_a_store(tmp_path: Path, sdk: Sdk) -> None:
    async with local_service(tmp_path / "s.db") as service:
        client = sdk(service).aio
        store = await client.file_search_stores.create()
        assert store.name is not None
        operation = await client.file_search_stores.upload_to_file_search_store(
            file_search_store_name=store.name,
            file=io.BytesIO(b"hello world"),
            config=types.UploadToFileSearchStoreConfig(
                display_name="A doc",
                mime_type="text/markdown",
                custom_metadata=[types.CustomMetadata(key="t", string_list_value=types.StringList(values=["q"]))],
                chunking_config=types.ChunkingConfig(
                    white_space_config=types.WhiteSpaceConfig(max_tokens_per_chunk=100)
                ),
            ),
        )
        assert operation.name is not None
        assert re.fullmatch(re.escape(store.name) + r"/upload/operations/a-doc-[a-z0-9]{12}", operation.name)
        assert operation.done is None
        assert operation.response is not None
        assert operation.response.parent == store.name, "full names, unlike importFile"
        name = operation.response.document_name
        assert name == f"{store.name}/documents/{operation.name.rpartition('/')[2]}"
        assert (
            await client.operations.get(types.UploadToFileSearchStoreOperation.model_validate({"name": operation.name}))
        ).done is True
        document = await client.file_search_stores.documents.get(name=str(name))
        assert document.display_name == "A doc"
        assert document.custom_metadata is not None
        assert document.custom_metadata[0].string_list_value == types.StringList(values=["q"])
        assert service.service.counts()["files"] == 0, "no raw file is left"


async def test_wire_form_of_operations(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    now = [1_700_000_000_000_000]
    settings = Settings(latencies=Latencies(index=Latency(5.0), operation=Latency(2.0)))
    async with local_service(tmp_path / "s.db", settings, clock=lambda: now[0]) as service, raw(service) as client:
        store = await new_store(client)
        store_id = store.removeprefix("fileSearchStores/")
        await upload(client, b"hello", start={"file": {"name": "files/abc"}})
        begun = (await client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"})).json()
        document_id = begun["name"].rpartition("/")[2]
        assert begun == {"name": f"{store}/operations/{document_id}"}
        path = f"/v1/{begun['name']}"
        now[0] += 7 * SECOND_US - 1
        assert (await client.get(path)).json() == begun, "pending: the name and nothing else"
        assert (await client.get(f"/v1/{store}/documents/{document_id}")).json()["state"] == "STATE_ACTIVE"
        now[0] += 1
        assert (await client.get(path)).json() == begun | {
            "done": True,
            "response": {"@type": TYPES + "ImportFileResponse", "parent": store_id, "documentName": document_id},
        }
        direct = await upload(client, b"12345", path=f"/upload/v1/{store}:uploadToFileSearchStore", name="a b.md")
        operation = direct.json()
        direct_id = operation["name"].rpartition("/")[2]
        assert re.fullmatch("a-bmd-[a-z0-9]{12}", direct_id)
        response = {
            "@type": TYPES + "UploadToFileSearchStoreResponse",
            "parent": store,
            "documentName": f"{store}/documents/{direct_id}",
            "mimeType": "text/plain",
            "sizeBytes": "5",
        }
        assert operation == {"name": f"{store}/upload/operations/{direct_id}", "response": response}
        now[0] += 7 * SECOND_US
        done = (await client.get(f"/v1/{operation['name']}")).json()
        assert done == {"name": operation["name"], "done": True, "response": response}
        assert (await client.get(f"/v1/{store}/operations/{direct_id}")).status_code == 404, "the other kind's name"


async def test_operations_that_are_not_there(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await new_store(client)
        missing = await client.get(f"/v1/{store}/operations/none-abc")
        assert (missing.status_code, missing.json()["error"]["status"]) == (404, "NOT_FOUND")
        assert (await client.get(f"/v1/{store}/upload/operations/none")).status_code == 404
        assert (await client.get("/v1/fileSearchStores/none/operations/x")).status_code == 403


async def test_no_deduplication(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await new_store(client)
        await upload(client, b"hello", start={"file": {"name": "files/abc"}})
        for _ in range(3):
            await client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"})
        documents = (await client.get(f"/v1/{store}/documents")).json()["documents"]
        assert [document["displayName"] for document in documents] == ["abc"] * 3
        assert len({document["name"] for document in documents}) == 3


async def test_import_refusals(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    settings = Settings(max_document_bytes=1_000)
    async with local_service(tmp_path / "s.db", settings) as service, raw(service) as client:
        store = await new_store(client)
        await upload(client, b"hello", start={"file": {"name": "files/good"}})
        await upload(client, b"hello", start={"file": {"name": "files/odd"}}, mime_type="text/x-yaml")
        await upload(client, b"x" * 1_001, start={"file": {"name": "files/large"}})

        async def refused(body: dict[str, Any], where: str = store) -> tuple[int, str, str]:
            reply = await client.post(f"/v1/{where}:importFile", json=body)
            error = reply.json()["error"]
            return reply.status_code, error["status"], error["message"]

        assert (await refused({}))[:2] == (400, "INVALID_ARGUMENT")
        assert (await refused({"fileName": "none"}))[:2] == (403, "PERMISSION_DENIED")
        assert (await refused({"fileName": "stores/good"}))[:2] == (400, "INVALID_ARGUMENT")
        assert (await refused({"fileName": "files/good"}, "fileSearchStores/none"))[0] == 403
        assert await refused({"fileName": "files/odd"}) == (
            400,
            "INVALID_ARGUMENT",
            "Unsupported MIME type: text/x-yaml",
        )
        assert (await refused({"fileName": "files/large"}))[0] == 400
        many = [{"key": f"k{number}", "stringValue": "v"} for number in range(21)]
        assert (await refused({"fileName": "files/good", "customMetadata": many}))[0] == 400
        for metadata in (
            [{"key": "k", "stringValue": "v" * 256}],
            [{"key": "k", "stringListValue": {"values": ["v"] * 11}}],
            [{"key": "k", "stringValue": "v"}, {"key": "k", "stringValue": "w"}],
            [{"key": "k"}],
            [{"stringValue": "v"}],
            [{"key": "k", "stringValue": "v", "numericValue": 1}],
        ):
            body = {"fileName": "files/good", "customMetadata": metadata}
            assert await refused(body) == (400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        chunking: dict[str, int]
        for chunking in (
            {"maxTokensPerChunk": 513},
            {"maxTokensPerChunk": 10, "maxOverlapTokens": 10},
            {"maxTokensPerChunk": -1},
        ):
            wanted = {"fileName": "files/good", "chunkingConfig": {"whiteSpaceConfig": chunking}}
            assert (await refused(wanted))[0] == 400
        assert service.service.counts()["documents"] == 0


async def test_import_of_a_file_that_is_not_active(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    now = [1_700_000_000_000_000]
    settings = Settings(latencies=Latencies(file_processing=Latency(3.0)))
    async with local_service(tmp_path / "s.db", settings, clock=lambda: now[0]) as service, raw(service) as client:
        store = await new_store(client)
        file = (await upload(client, b"hello", start={"file": {"name": "files/slow"}})).json()["file"]
        assert file["state"] == "PROCESSING"
        early = await client.post(f"/v1/{store}:importFile", json={"fileName": "files/slow"})
        assert (early.status_code, early.json()["error"]) == (
            400,
            {
                "code": 400,
                "message": "The File slow is not in an ACTIVE state and usage is not allowed.",
                "status": "FAILED_PRECONDITION",
            },
        )
        now[0] += 3 * SECOND_US
        later = (await client.get("/v1/files/slow")).json()
        assert later["state"] == "ACTIVE"
        assert later["updateTime"] > later["createTime"]
        assert (await client.post(f"/v1/{store}:importFile", json={"fileName": "files/slow"})).status_code == 200


async def test_documents_survive_their_raw_file(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    now = [1_700_000_000_000_000]
    async with local_service(tmp_path / "s.db", clock=lambda: now[0]) as service, raw(service) as client:
        store = await new_store(client)
        for name in ("deleted", "expired"):
            await upload(client, f"words of the {name} one".encode(), start={"file": {"name": f"files/{name}"}})
            await client.post(f"/v1/{store}:importFile", json={"fileName": f"files/{name}"})
        await client.delete("/v1/files/deleted")
        now[0] += 49 * 3600 * SECOND_US
        await upload(client, b"something new")
        gone = await client.post(f"/v1/{store}:importFile", json={"fileName": "files/expired"})
        assert gone.status_code == 403
        documents = (await client.get(f"/v1/{store}/documents")).json()["documents"]
        assert [document["state"] for document in documents] == ["STATE_ACTIVE", "STATE_ACTIVE"]
        await service.service.index()
        assert service.service.counts()["passages"] == 2, "their bytes were kept until they were indexed"
        assert service.service.context.db.value("SELECT count(*) FROM piece") == 1, "and not longer"


async def test_document_listing_pages(tmp_path: Path, sdk: Sdk, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store, other = await new_store(client), await new_store(client)
        assert (await client.get(f"/v1/{store}/documents")).json() == {}
        await upload(client, b"hello", start={"file": {"name": "files/abc"}})
        made = []
        for number in range(45):
            where = other if number % 3 == 0 else store
            reply = await client.post(f"/v1/{where}:importFile", json={"fileName": "files/abc"})
            if where == store:
                made.append(reply.json()["name"].rpartition("/")[2])
        pager = await sdk(service).aio.file_search_stores.documents.list(parent=store, config={"page_size": 7})
        assert [str(document.name).rpartition("/")[2] async for document in pager] == made
        assert len((await client.get(f"/v1/{store}/documents")).json()["documents"]) == 10
        page = (await client.get(f"/v1/{store}/documents", params={"pageSize": 20})).json()
        assert len(page["documents"]) == 20
        refused = await client.get(f"/v1/{store}/documents", params={"pageSize": 21})
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        foreign = await client.get(f"/v1/{other}/documents", params={"pageToken": page["nextPageToken"]})
        assert foreign.status_code == 400, "a token belongs to one listing"
        assert (await client.get("/v1/fileSearchStores/none/documents")).status_code == 403


async def test_document_ids_and_media(tmp_path: Path, sdk: Sdk, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await new_store(client)
        assert (await client.get(f"/v1/{store}/documents/none-abc")).status_code == 404
        assert (await client.get(f"/v1/{store}/documents/NOT_AN_ID")).status_code == 400
        assert (await client.delete(f"/v1/{store}/documents/none", params={"force": "True"})).status_code == 404
        assert (await client.get(f"/v1/{store}/media/blob", params={"alt": "media"})).status_code == 404


async def test_direct_upload_refusals_end_the_session(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await new_store(client)
        path = f"/upload/v1/{store}:uploadToFileSearchStore"
        odd = await upload(client, b"x", path=path, mime_type="text/x-yaml")
        assert odd.status_code == 400
        assert odd.headers["X-Goog-Upload-Status"] == "final"
        missing = await upload(client, b"x", path="/upload/v1/fileSearchStores/none:uploadToFileSearchStore")
        assert missing.status_code == 403
        many = {"custom_metadata": [{"key": f"k{number}", "string_value": "v"} for number in range(21)]}
        assert (await upload(client, b"x", path=path, start=many)).status_code == 400
        nameless = await upload(client, b"x", path=path)
        assert re.search(r"/operations/[a-z0-9]{12}-[a-z0-9]{12}$", nameless.json()["name"])
        assert service.service.counts()["uploads"] == 0


async def test_a_failed_document_is_explained_only_by_its_operation(tmp_path: Path, sdk: Sdk, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db", Settings(document_failed_share=1.0)) as service, raw(service) as client:
        aio = sdk(service).aio
        store = await new_store(client)
        await aio.files.upload(file=io.BytesIO(b"x"), config={"name": "abc", "mime_type": "text/plain"})
        operation = await aio.file_search_stores.import_file(file_search_store_name=store, file_name="files/abc")
        operation = await aio.operations.get(operation)
        assert operation.done is True
        assert operation.error is not None
        assert operation.error["code"] == 13
        [document] = [one async for one in await aio.file_search_stores.documents.list(parent=store)]
        assert document.state == types.DocumentState.STATE_FAILED
        assert (await client.get(f"/v1/{store}")).json()["failedDocumentsCount"] == "1"


async def test_a_request_that_fails_in_the_middle_changes_nothing(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await new_store(client)
        await upload(client, b"hello", start={"file": {"name": "files/abc"}})
        db = service.service.context.db
        db.run("CREATE TEMP TRIGGER broken BEFORE INSERT ON operation BEGIN SELECT raise(ABORT, 'broken disk'); END")
        failed = await client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"})
        assert (failed.status_code, failed.json()["error"]["status"]) == (503, "UNAVAILABLE")
        assert "broken disk" in failed.json()["error"]["message"]
        assert service.service.counts()["documents"] == 0
        db.run("DROP TRIGGER broken")
        assert (await client.post(f"/v1/{store}:importFile", json={"fileName": "files/abc"})).status_code == 200


async def test_a_full_disk_is_unavailable_and_loses_nothing(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        start = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
        url = (await client.post("/upload/v1/files", headers=start)).headers["X-Goog-Upload-URL"]
        db = service.service.context.db
        pages = db.value("PRAGMA page_count")
        db.run(f"PRAGMA max_page_count = {pages + 2}").fetchall()
        finalize = {"X-Goog-Upload-Command": "upload, finalize"}
        failed = await client.post(url, content=b"x" * 1_000_000, headers=finalize)
        assert failed.status_code == 503
        assert "full" in failed.json()["error"]["message"]
        assert (await client.get("/v1/files")).json() == {}
        db.run("PRAGMA max_page_count = 1000000").fetchall()
        done = await client.post(url, content=b"x" * 1_000_000, headers=finalize)
        assert done.json()["file"]["sizeBytes"] == "1000000"
