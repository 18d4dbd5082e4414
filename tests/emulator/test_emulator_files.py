"""Rows 1 to 7 of the API: resumable upload and raw files."""

from __future__ import annotations

import base64
import io
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from objlib_fsm.emulator.inprocess import LocalService, local_service
from objlib_fsm.emulator.settings import Settings
from objlib_fsm.emulator.uploads import GRANULARITY

pytestmark = pytest.mark.anyio

Sdk = Callable[[LocalService], genai.Client]
Raw = Callable[[LocalService], httpx2.AsyncClient]
Upload = Callable[..., Awaitable[httpx2.Response]]

HOUR_US = 3_600_000_000
START = {
    "X-Goog-Upload-Protocol": "resumable",
    "X-Goog-Upload-Command": "start",
    "X-Goog-Upload-Header-Content-Type": "text/plain",
}


def command(words: str, offset: int | None = None) -> dict[str, str]:
    return {"X-Goog-Upload-Command": words} | ({} if offset is None else {"X-Goog-Upload-Offset": str(offset)})


async def test_sdk_uploads_reads_and_deletes_a_file(tmp_path: Path, sdk: Sdk) -> None:
    async with local_service(tmp_path / "s.db") as service:
        files = sdk(service).aio.files
        content = b"# Title\n\nSome text.\n"
        made = await files.upload(
            file=io.BytesIO(content),
            config=types.UploadFileConfig(name="my-id-1", display_name="Dïsp", mime_type="text/markdown"),
        )
        assert made.name == "files/my-id-1"
        assert (made.display_name, made.mime_type, made.size_bytes) == ("Dïsp", "text/markdown", len(content))
        assert made.state == types.FileState.ACTIVE
        assert made.source == types.FileSource.UPLOADED
        assert made.uri == "https://generativelanguage.googleapis.com/v1beta/files/my-id-1"
        assert made.sha256_hash is not None
        assert base64.b64decode(made.sha256_hash).decode() == sha256(content).hexdigest()
        assert made.create_time is not None
        assert made.expiration_time is not None
        assert (made.expiration_time - made.create_time).total_seconds() == 48 * 3600
        assert await files.get(name="my-id-1") == made
        await files.delete(name="my-id-1")
        with pytest.raises(errors.ClientError) as caught:
            await files.get(name="my-id-1")
        assert (caught.value.code, caught.value.status) == (403, "PERMISSION_DENIED")
        assert "You do not have permission to access the File my-id-1 or it may not exist." in str(caught.value)
        with pytest.raises(errors.ClientError, match="403"):
            await files.delete(name="my-id-1")


@pytest.mark.parametrize("size", [0, 1, GRANULARITY - 1, GRANULARITY, GRANULARITY + 1, 2 * GRANULARITY + 5])
async def test_sizes_around_the_chunk_boundary(tmp_path: Path, sdk: Sdk, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    async with local_service(tmp_path / "s.db") as service:
        made = await sdk(service).aio.files.upload(
            file=io.BytesIO(content), config=types.UploadFileConfig(mime_type="application/octet-stream")
        )
        assert (made.size_bytes or 0) == size
        assert made.sha256_hash is not None
        assert base64.b64decode(made.sha256_hash).decode() == sha256(content).hexdigest()
        data = service.service.requests["files.upload.data"]
        assert data == max(0, (size - 1) // GRANULARITY)


async def test_generated_ids_are_twelve_characters_and_differ(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        names = {(await upload(client, b"x")).json()["file"]["name"] for _ in range(20)}
        assert len(names) == 20
        for name in names:
            file_id = name.removeprefix("files/")
            assert len(file_id) == 12
            assert file_id.isalnum()


async def test_start_answers_with_an_absolute_url_of_this_server(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        for version in ("v1", "v1beta", "v1alpha"):
            begun = await client.post(f"/upload/{version}/files", headers=START)
            assert begun.status_code == 200
            assert begun.content == b""
            url = httpx2.URL(begun.headers["X-Goog-Upload-URL"])
            assert f"{url.scheme}://{url.netloc.decode()}" == service.base_url
            assert url.path == f"/upload/{version}/files"
            assert url.params["upload_protocol"] == "resumable"
            assert begun.headers["X-Goog-Upload-Control-URL"] == str(url)
            assert begun.headers["X-Goog-Upload-Status"] == "active"
            assert begun.headers["X-Goog-Upload-Chunk-Granularity"] == str(GRANULARITY)
            assert begun.headers["X-GUploader-UploadID"] == url.params["upload_id"]


async def test_the_upload_url_needs_no_key_but_start_does(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client, service.client() as keyless:
        refused = await keyless.post("/upload/v1/files", headers=START)
        assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
        begun = await client.post("/upload/v1/files", headers=START)
        done = await keyless.post(
            begun.headers["X-Goog-Upload-URL"], content=b"abc", headers=command("upload, finalize", 0)
        )
        assert done.status_code == 200
        assert done.headers["X-Goog-Upload-Status"] == "final"
        assert done.headers["X-Goog-Upload-Size-Received"] == "3"


async def test_pieces_query_and_resume(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        url = (await client.post("/upload/v1/files", headers=START)).headers["X-Goog-Upload-URL"]
        wrong = await client.post(url, content=b"x" * 100, headers=command("upload", 0))
        assert wrong.status_code == 400
        assert wrong.headers["X-Goog-Upload-Status"] == "active"
        piece = await client.post(url, content=b"x" * GRANULARITY, headers=command("upload", 0))
        assert piece.status_code == 200
        assert (piece.headers["X-Goog-Upload-Status"], piece.headers["X-Goog-Upload-Size-Received"]) == (
            "active",
            str(GRANULARITY),
        )
        misplaced = await client.post(url, content=b"y", headers=command("upload, finalize", 0))
        assert misplaced.status_code == 400
        assert misplaced.headers["X-Goog-Upload-Size-Received"] == str(GRANULARITY)
        asked = await client.post(url, headers=command("query"))
        assert asked.headers["X-Goog-Upload-Size-Received"] == str(GRANULARITY)
        assert asked.headers["X-Goog-Upload-Status"] == "active"
        done = await client.post(url, content=b"end", headers=command("upload, finalize", GRANULARITY))
        assert done.json()["file"]["sizeBytes"] == str(GRANULARITY + 3)
        assert (await client.post(url, headers=command("query"))).headers["X-Goog-Upload-Status"] == "final"


async def test_finalize_without_data_and_second_finalize(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        url = (await client.post("/upload/v1/files", headers=START)).headers["X-Goog-Upload-URL"]
        assert (await client.post(url, headers=command("finalize"))).status_code == 200
        again = await client.post(url, content=b"", headers=command("upload, finalize", 0))
        assert again.status_code == 400
        assert again.json()["error"]["message"] == "Upload has already been terminated."
        assert again.headers["X-Goog-Upload-Status"] == "final"
        assert service.service.counts()["files"] == 1


async def test_cancel_ends_the_session_and_keeps_nothing(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        url = (await client.post("/upload/v1/files", headers=START)).headers["X-Goog-Upload-URL"]
        await client.post(url, content=b"x" * GRANULARITY, headers=command("upload", 0))
        cancelled = await client.post(url, headers=command("cancel"))
        assert (cancelled.status_code, cancelled.headers["X-Goog-Upload-Status"]) == (200, "cancelled")
        after = await client.post(url, content=b"x", headers=command("upload, finalize", GRANULARITY))
        assert after.status_code == 400
        assert service.service.counts()["files"] == 0
        assert service.service.context.db.value("SELECT count(*) FROM piece") == 0


async def test_unknown_session_and_unknown_command(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        for upload_id in ("nonsense", "a" * 24 + "1", "zz", ""):
            missing = await client.post(
                "/upload/v1/files", params={"upload_id": upload_id}, headers=command("upload, finalize", 0)
            )
            assert missing.status_code == 404
            assert missing.headers["X-Goog-Upload-Status"] == "final"
        assert (await client.post("/upload/v1/files", headers=command("jump"))).status_code == 400
        assert (await client.post("/upload/v1/files", headers=command("upload", 0))).status_code == 400
        multipart = await client.post("/upload/v1/files", headers=command("start"))
        assert multipart.status_code == 400


async def test_chosen_id_taken_answers_409_without_a_status(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        start = {"file": {"name": "files/taken"}}
        assert (await upload(client, b"one", start=start)).status_code == 200
        clash = await upload(client, b"two", start=start)
        assert clash.status_code == 409
        assert clash.json() == {"error": {"message": "taken already exists.", "code": 409}}
        assert clash.headers["X-Goog-Upload-Status"] == "final"
        assert (await client.get("/v1/files/taken")).json()["sizeBytes"] == "3"
        assert service.service.context.db.value("SELECT count(*) FROM piece") == 1


async def test_sdk_sees_409_as_client_error(tmp_path: Path, sdk: Sdk) -> None:
    async with local_service(tmp_path / "s.db") as service:
        files = sdk(service).aio.files
        config = types.UploadFileConfig(name="taken", mime_type="text/plain")
        await files.upload(file=io.BytesIO(b"one"), config=config)
        with pytest.raises(errors.ClientError) as caught:
            await files.upload(file=io.BytesIO(b"two"), config=config)
        assert (caught.value.code, caught.value.status) == (409, None)


@pytest.mark.parametrize("bad", ["files/My_BAD", "files/-a", "files/a-", "files/" + "a" * 41, "other/abc", "files/ä"])
async def test_bad_ids_are_refused_at_start(tmp_path: Path, raw: Raw, upload: Upload, bad: str) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        refused = await upload(client, b"x", start={"file": {"name": bad}})
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert service.service.counts()["uploads"] == 0


async def test_display_name_too_long_and_bad_mime_type(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        assert (await upload(client, b"x", start={"file": {"displayName": "n" * 512}})).status_code == 200
        assert (await upload(client, b"x", start={"file": {"displayName": "n" * 513}})).status_code == 400
        refused = await upload(client, b"x", mime_type="nonsense")
        assert refused.status_code == 400
        assert refused.json()["error"]["message"] == "Unsupported MIME type: nonsense"
        assert refused.headers["X-Goog-Upload-Status"] == "final"


async def test_declared_size_must_be_sent(tmp_path: Path, raw: Raw) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        for sent in (b"", b"1234", b"123456"):
            begun = await client.post("/upload/v1/files", headers=START | {"X-Goog-Upload-Header-Content-Length": "5"})
            refused = await client.post(
                begun.headers["X-Goog-Upload-URL"], content=sent, headers=command("upload, finalize", 0)
            )
            assert refused.status_code == 400
        assert service.service.counts()["files"] == 0
        malformed = await client.post(
            "/upload/v1/files", headers=START | {"X-Goog-Upload-Header-Content-Length": "five"}
        )
        assert malformed.status_code == 400


async def test_listing_pages_newest_first(tmp_path: Path, sdk: Sdk, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        assert (await client.get("/v1/files")).json() == {}
        for number in range(25):
            await upload(client, b"x", start={"file": {"name": f"files/n{number}"}})
        pager = await sdk(service).aio.files.list(config={"page_size": 4})
        names = [file.name async for file in pager]
        assert names == [f"files/n{number}" for number in reversed(range(25))]
        default = (await client.get("/v1/files")).json()
        assert len(default["files"]) == 10
        assert (await client.get("/v1/files", params={"pageSize": 0})).json() == default
        everything = (await client.get("/v1/files", params={"pageSize": 1000})).json()
        assert len(everything["files"]) == 25
        assert "nextPageToken" not in everything
        for bad in ("x", "%%%", "ZG9jdW1lbnRzCjM"):
            assert (await client.get("/v1/files", params={"pageToken": bad})).status_code == 400
        for bad in ("-1", "many"):
            assert (await client.get("/v1/files", params={"pageSize": bad})).status_code == 400


async def test_files_expire_after_48_hours(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    now = [1_700_000_000_000_000]
    async with local_service(tmp_path / "s.db", clock=lambda: now[0]) as service, raw(service) as client:
        await upload(client, b"old", start={"file": {"name": "files/old"}})
        now[0] += 48 * HOUR_US - 1
        assert (await client.get("/v1/files/old")).status_code == 200
        now[0] += 1
        assert (await client.get("/v1/files/old")).status_code == 403
        assert (await client.delete("/v1/files/old")).status_code == 403
        assert (await client.get("/v1/files")).json() == {}
        await upload(client, b"new")
        assert service.service.context.db.value("SELECT count(*) FROM piece") == 1, "the old bytes are pruned"


async def test_uploaded_files_cannot_be_downloaded(tmp_path: Path, sdk: Sdk, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        await upload(client, b"x", start={"file": {"name": "files/mine"}})
        assert (await client.get("/v1/files/mine:download", params={"alt": "media"})).status_code == 400
        assert (await client.get("/v1/files/none:download", params={"alt": "media"})).status_code == 403
        with pytest.raises(errors.ClientError, match="400"):
            await sdk(service).aio.files.download(file="files/mine")


async def test_a_hundred_megabytes(tmp_path: Path, sdk: Sdk) -> None:
    content = b"0123456789abcdef" * (100 * 1024 * 1024 // 16)
    async with local_service(tmp_path / "s.db") as service:
        made = await sdk(service).aio.files.upload(
            file=io.BytesIO(content), config=types.UploadFileConfig(mime_type="application/pdf")
        )
        assert made.size_bytes == len(content)
        assert made.sha256_hash is not None
        assert base64.b64decode(made.sha256_hash).decode() == sha256(content).hexdigest()


async def test_unknown_paths_are_an_html_page(tmp_path: Path, raw: Raw) -> None:
    unknown: list[tuple[str, str]] = [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v2/files"),
        ("PATCH", "/v1/files/abc"),
        ("POST", "/v1/files"),
        ("GET", "/v1/files/a/b"),
        ("GET", "/v1/files/"),
        ("POST", "/v1/fileSearchStores/s/documents/d:query"),
        ("GET", "/upload/v1/files"),
        ("POST", "/upload/v1/fileSearchStores/s:importFile"),
        ("POST", "/v1/fileSearchStores/s:uploadToFileSearchStore"),
        ("PATCH", "/v1/fileSearchStores/s"),
        ("GET", "/v1/<script>"),
    ]
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        for method, path in unknown:
            reply = await client.request(method, path)
            assert reply.status_code == 404, (method, path)
            assert reply.headers["content-type"].startswith("text/html")
            assert "Error 404 (Not Found)!!1" in reply.text
            assert "<script>" not in reply.text


async def test_replies_are_printed_as_the_service_prints_them(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        empty: Any = await upload(client, b"", start={"file": {"name": "files/empty"}})
        assert "sizeBytes" not in empty.json()["file"], "an int64 of 0 is absent"
        assert "displayName" not in empty.json()["file"]
        reply = await client.get("/v1/files/empty")
        assert reply.headers["content-type"] == "application/json; charset=UTF-8"
        assert reply.text.startswith('{\n  "name": "files/empty",\n')
        assert reply.text.endswith("}\n")
        assert reply.json()["createTime"].endswith("Z")
        deleted = await client.delete("/v1/files/empty")
        assert deleted.text == "{}\n"


async def test_settings_of_the_key(tmp_path: Path, raw: Raw) -> None:
    settings = Settings(api_keys=frozenset(["right"]))
    async with local_service(tmp_path / "s.db", settings) as service, raw(service) as client:
        wrong = await client.get("/v1/files")
        assert wrong.status_code == 400
        assert wrong.json()["error"]["message"] == "API key not valid. Please pass a valid API key."
        assert wrong.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
        assert (await client.get("/v1/files", headers={"x-goog-api-key": "right"})).status_code == 200
        async with service.client() as keyless:
            assert (await keyless.get("/v1/files", params={"key": "right"})).status_code == 200
            missing = await keyless.get("/v1/files")
            assert (missing.status_code, missing.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
            assert "unregistered callers" in missing.json()["error"]["message"]
