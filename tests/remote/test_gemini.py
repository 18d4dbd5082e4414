"""The adapter with the real SDK: against the emulator for what the service does, against a script for what it should
not."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from objlib_fsm.core.ids import RawFileName, StoreName, document_name, operation_name
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.emulator.faults import FaultPlan, Rule
from objlib_fsm.emulator.inprocess import local_service
from objlib_fsm.emulator.settings import Settings
from objlib_fsm.remote import gemini
from objlib_fsm.remote.gemini import GeminiRemote
from objlib_fsm.remote.port import CallFailed, DocumentState, Identity, RawState, RemoteDocument
from tests.remote import wire as w
from tests.remote.wire import Reply, error, final, scripted, session
from tests.support.listing import every_document

pytestmark = pytest.mark.anyio

IDENTITY = {"objlib_library": "lib", "objlib_stream": "stream", "objlib_payload": "payload"}
TEXT = b"Whales are large mammals of the sea. The blue whale is the heaviest animal.\n"
CHUNK_BYTES = 8_388_608
"""The SDK sends uploads in chunks of 8 MiB."""


@asynccontextmanager
async def emulated(
    folder: Path, settings: Settings | None = None, *rules: Rule
) -> AsyncIterator[tuple[GeminiRemote, StoreName, FaultPlan]]:
    """The adapter over the emulator, with a store; *rules* hold from then on."""
    faults = FaultPlan(seed=1)
    async with local_service(folder / "service.db", settings, faults=faults) as service:
        remote = GeminiRemote(w.KEY, base_url=service.base_url, transport=service.transport)
        store = (await remote.create_store("objlib")).name
        for rule in rules:
            faults.add(rule)
        try:
            yield remote, store, faults
        finally:
            await remote.aclose()


async def put(remote: GeminiRemote, name: str = "files/whales", payload: bytes = TEXT) -> RawFileName:
    raw = await remote.upload(
        RawFileName(name),
        io.BytesIO(payload),
        size_bytes=len(payload),
        mime_type="text/markdown",
        display_name="whales — größer.md",
    )
    return raw.name


async def fill(remote: GeminiRemote, store: StoreName, count: int) -> None:
    """So many documents."""
    raw = await put(remote)
    for _ in range(count):
        await remote.import_raw(store, raw, IDENTITY)


async def listed(remote: GeminiRemote, store: StoreName) -> list[RemoteDocument]:
    return await every_document(remote, store)


# ---- the way of a file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sha256_of", ["hex_text", "digest"])
async def test_the_way_of_a_file(tmp_path: Path, sha256_of: Any) -> None:
    async with emulated(tmp_path, Settings(sha256_of=sha256_of)) as (remote, store, _):
        raw = await remote.upload(
            RawFileName("files/whales"),
            io.BytesIO(TEXT),
            size_bytes=len(TEXT),
            mime_type="text/markdown",
            display_name="whales.md",
        )
        assert (raw.name, raw.state, raw.size_bytes, raw.mime_type) == (
            "files/whales",
            RawState.ACTIVE,
            len(TEXT),
            "text/markdown",
        )
        assert raw.sha256 == hashlib.sha256(TEXT).hexdigest()
        assert raw.expires_at_us is not None
        assert await remote.get_raw(raw.name) == raw

        operation = await remote.import_raw(store, raw.name, IDENTITY)
        status = await remote.get_operation(operation)
        assert (status.name, status.done, status.error) == (operation, True, "")
        assert status.document is not None
        assert status.document.startswith(f"{store}/documents/whales-"), "the bare id, made full"
        document = await remote.get_document(status.document)
        assert document.state is DocumentState.ACTIVE
        assert document.display_name == "whales", "the raw file's id"
        assert document.identity == Identity("lib", "stream", "payload")
        assert document.created_at_us > 0
        assert await listed(remote, store) == [document]
        assert (await remote.get_store(store)).active == 1

        await remote.delete_raw(raw.name)
        assert await listed(remote, store) == [document], "a document outlives its raw file"
        await remote.delete_document(document.name)
        assert await listed(remote, store) == []


async def test_stores_are_found_by_display_name_on_every_page(tmp_path: Path) -> None:
    async with emulated(tmp_path, Settings(max_stores=60)) as (remote, store, _):
        for number in range(45):
            await remote.create_store(f"other {number}")
        twin = (await remote.create_store("objlib")).name
        assert [found.name for found in await remote.find_stores("objlib")] == [store, twin]
        assert await remote.find_stores("nobody's") == []


async def test_a_name_that_is_taken_exists(tmp_path: Path) -> None:
    async with emulated(tmp_path) as (remote, _, _):
        await put(remote)
        with pytest.raises(CallFailed) as raised:
            await put(remote)
        assert raised.value.failure.reason is Reason.EXISTS


@pytest.mark.parametrize("honours", [False, "refuse"])
async def test_a_service_that_chooses_the_name_itself(tmp_path: Path, honours: Any) -> None:
    async with emulated(tmp_path, Settings(honours_chosen_ids=honours)) as (remote, _, _):
        first, second = await put(remote), await put(remote)
        assert len({first, second, RawFileName("files/whales")}) == 3
        assert (await remote.get_raw(first)).sha256 == hashlib.sha256(TEXT).hexdigest()


async def test_gone_is_told_apart_from_never_allowed(tmp_path: Path) -> None:
    async with emulated(tmp_path) as (remote, store, _):
        calls = {
            "raw file": (remote.get_raw(RawFileName("files/nothing")), Reason.FORBIDDEN),
            "delete": (remote.delete_raw(RawFileName("files/nothing")), Reason.FORBIDDEN),
            "import": (remote.import_raw(store, RawFileName("files/nothing"), {}), Reason.FORBIDDEN),
            "store": (remote.get_store(StoreName("fileSearchStores/nothing-123")), Reason.FORBIDDEN),
            "document": (remote.get_document(document_name(store, "nothing-123")), Reason.GONE),
            "operation": (remote.get_operation(operation_name(f"{store}/operations/no-1")), Reason.GONE),
        }
        for what, (call, reason) in calls.items():
            with pytest.raises(CallFailed) as raised:
                await call
            assert (raised.value.failure.outcome, raised.value.failure.reason) == (Outcome.REJECTED, reason), what


# ---- what is sent ----------------------------------------------------------------------------------------------------


async def test_an_upload_begins_at_the_beginning_and_says_what_it_is() -> None:
    answer = final(Reply(200, {"file": {"name": "files/raw-1", "state": "ACTIVE", "sizeBytes": "10"}}))
    async with scripted(session(), answer) as (remote, wire):
        payload = io.BytesIO(b"0123456789")
        payload.seek(7)
        await remote.upload(w.RAW, payload, size_bytes=10, mime_type="text/x-rst", display_name="Ünïcode — a.rst")
    start, data = wire.requests
    assert start.url == f"{w.BASE_URL}/upload/v1/files"
    assert start.headers["x-goog-api-key"] == w.KEY
    assert start.headers["x-goog-upload-header-content-type"] == "text/x-rst"
    assert "x-goog-upload-file-name" not in start.headers, "a path never gets there"
    assert b'"mime_type": "text/x-rst"' in start.content
    assert b'"name": "files/raw-1"' in start.content
    assert "Ünïcode — a.rst".encode() in start.content.decode("unicode_escape").encode()
    assert data.content == b"0123456789"
    assert data.headers["x-goog-upload-command"] == "upload, finalize"
    assert "x-goog-api-key" not in data.headers


@pytest.mark.parametrize("size", [0, CHUNK_BYTES, CHUNK_BYTES + 5])
async def test_a_file_object_arrives_whole(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"12345"[: size % 256]
    async with emulated(tmp_path) as (remote, _, _):
        with tempfile.TemporaryFile(dir=tmp_path) as file:
            file.write(content)
            raw = await remote.upload(
                w.RAW, file, size_bytes=size, mime_type="application/octet-stream", display_name="a"
            )
        assert (raw.size_bytes, raw.sha256) == (size, hashlib.sha256(content).hexdigest())


async def test_metadata_has_three_forms(tmp_path: Path) -> None:
    metadata: Mapping[str, str | float | Sequence[str]] = {**IDENTITY, "year": 1957, "score": 0.5, "topics": ["a", "ü"]}
    operation = Reply(200, {"name": w.OPERATION})
    async with scripted(operation) as (remote, wire):
        assert await remote.import_raw(w.STORE, w.RAW, metadata) == w.OPERATION
    sent = wire.requests[0]
    assert sent.url == f"{w.BASE_URL}/v1/{w.STORE}:importFile"
    body = json.loads(sent.content)
    assert body["fileName"] == w.RAW
    values = {entry.pop("key"): entry for entry in body["customMetadata"]}
    assert values["objlib_stream"] == {"string_value": "stream"}
    assert values["year"] == {"numeric_value": 1957.0}
    assert values["topics"] == {"string_list_value": {"values": ["a", "ü"]}}
    async with emulated(tmp_path) as (emulator, store, _):
        raw = await put(emulator)
        status = await emulator.get_operation(await emulator.import_raw(store, raw, metadata))
        assert status.document is not None
        assert (await emulator.get_document(status.document)).identity == Identity("lib", "stream", "payload")


async def test_a_document_is_deleted_with_its_chunks_and_pages_are_not_too_large() -> None:
    async with scripted(Reply(200, {}), Reply(200, {}), store_of(0)) as (remote, wire):
        await remote.delete_document(w.DOCUMENT)
        assert await listed(remote, w.STORE) == []
    assert str(wire.requests[0].url) == f"{w.BASE_URL}/v1/{w.DOCUMENT}?force=True"
    assert str(wire.requests[1].url) == f"{w.BASE_URL}/v1/{w.STORE}/documents?pageSize=20"
    assert {request.headers["x-server-timeout"] for request in wire.requests} == {"60"}


# ---- what comes back -------------------------------------------------------------------------------------------------


HEX = hashlib.sha256(TEXT).hexdigest()


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (base64.b64encode(HEX.encode()).decode(), HEX),
        (base64.b64encode(HEX.upper().encode()).decode(), HEX),
        (base64.b64encode(bytes.fromhex(HEX)).decode(), HEX),
        (HEX, ""),
        ("not base64 ü", ""),
        (base64.b64encode(b"short").decode(), ""),
        (base64.b64encode(b"z" * 64).decode(), ""),
        (None, ""),
    ],
)
async def test_a_hash_is_understood_in_both_encodings_or_not_at_all(sent: str | None, read: str) -> None:
    async with scripted(Reply(200, {"name": w.RAW, "state": "ACTIVE", "sha256Hash": sent})) as (remote, _):
        assert (await remote.get_raw(w.RAW)).sha256 == read


@pytest.mark.parametrize(
    "text", ["2026-11-22T19:14:04.108453Z", "2026-11-22T19:14:04.108453999Z", "2026-11-22T19:14:04.108453"]
)
async def test_times_are_utc_in_microseconds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        async with scripted(Reply(200, {"name": w.RAW, "state": "ACTIVE", "expirationTime": text})) as (remote, _):
            assert (await remote.get_raw(w.RAW)).expires_at_us == 1_795_374_844_108_453
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("state", ["SOMETHING_NEW", "STATE_UNSPECIFIED", "two\nlines is not", ""])
async def test_a_state_from_the_future_is_unknown(state: str) -> None:
    answers = Reply(200, {"name": w.RAW, "state": state}), Reply(200, {"name": w.DOCUMENT, "state": state, "new": [1]})
    async with scripted(*answers) as (remote, _):
        assert (await remote.get_raw(w.RAW)).state is RawState.UNKNOWN
        assert (await remote.get_document(w.DOCUMENT)).state is DocumentState.UNKNOWN


@pytest.mark.parametrize(
    ("answer", "done", "document", "error"),
    [
        ({}, False, None, ""),
        ({"name": w.OPERATION}, False, None, ""),
        ({"name": w.OPERATION, "done": None, "response": {"documentName": "d-1"}}, False, None, ""),
        (
            {"name": w.OPERATION, "done": True, "response": {"parent": "s-1", "documentName": "d-1"}},
            True,
            w.DOCUMENT,
            "",
        ),
        ({"name": w.OPERATION, "done": True, "response": {"documentName": w.DOCUMENT}}, True, w.DOCUMENT, ""),
        ({"name": w.OPERATION, "done": True, "response": {"documentName": w.OPERATION}}, True, None, ""),
        ({"name": w.OPERATION, "done": True, "response": {"documentName": ""}}, True, None, ""),
        (
            {"name": w.OPERATION, "done": True, "response": {"documentName": "fileSearchStores/x/documents/d"}},
            True,
            None,
            "",
        ),
        ({"name": w.OPERATION, "done": True}, True, None, ""),
        ({"name": w.OPERATION, "done": True, "error": {"code": 13, "message": "It broke."}}, True, None, "It broke."),
        ({"name": w.OPERATION, "done": True, "error": {"code": 13}}, True, None, "{'code': 13}"),
        (
            {"name": w.OPERATION, "done": True, "error": {"message": f"{w.KEY} is odd"}},
            True,
            None,
            "[key] is odd",
        ),
    ],
)
async def test_an_operation_is_done_only_when_it_says_so(
    answer: dict[str, Any], done: bool, document: str | None, error: str
) -> None:
    async with scripted(Reply(200, answer)) as (remote, wire):
        status = await remote.get_operation(w.OPERATION)
    assert (status.name, status.done, status.document, status.error) == (w.OPERATION, done, document, error)
    assert str(wire.requests[0].url) == f"{w.BASE_URL}/v1/{w.OPERATION}"


NO_ANSWERS = (
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"0",
    b"<html>log in</html>",
    b'{"error": {"code": 503}}',
    b' {\n "error" : {}}',
)


@pytest.mark.parametrize("body", NO_ANSWERS)
@pytest.mark.parametrize("call", [*w.READS, *w.WRITES], ids=lambda call: call.__name__)
async def test_a_200_with_nothing_in_it_says_nothing(call: Any, body: bytes) -> None:
    async with scripted(Reply(200, body)) as (remote, _):
        with pytest.raises(CallFailed) as raised:
            await call(remote)
    uncertain = call in w.WRITES
    assert raised.value.failure.outcome is (Outcome.UNCERTAIN if uncertain else Outcome.UNAVAILABLE)
    assert raised.value.failure.reason is Reason.GARBLED


# ---- listings --------------------------------------------------------------------------------------------------------


def page(*numbers: int, token: str | None = None) -> Reply:
    documents = [{"name": f"{w.STORE}/documents/d-{number}", "state": "STATE_ACTIVE"} for number in numbers]
    body: dict[str, Any] = {"documents": documents} if documents else {}
    return Reply(200, body | ({"nextPageToken": token} if token is not None else {}))


def store_of(documents: int) -> Reply:
    """A store that counts so many."""
    return Reply(200, {"name": w.STORE, "activeDocumentsCount": str(documents)})


def numbers(documents: Sequence[RemoteDocument]) -> list[int]:
    return [int(document.name.rpartition("-")[2]) for document in documents]


async def test_a_listing_goes_on_over_empty_pages_and_shows_each_document_once() -> None:
    pages = (page(1, 2, token="a"), page(token="b"), page(2, 3, token="c"), page(token="d"), page(4))
    async with scripted(*pages) as (remote, wire):
        assert numbers(await listed(remote, w.STORE)) == [1, 2, 3, 4]
    assert [request.url.params.get("pageToken") for request in wire.requests] == [None, "a", "b", "c", "d"]


async def test_a_listing_whose_first_page_is_empty_goes_on() -> None:
    async with scripted(page(token="a"), page(1)) as (remote, _):
        assert numbers(await listed(remote, w.STORE)) == [1]


@pytest.mark.parametrize("tokens", [("a", "a"), ("a", "b", "a")])
async def test_a_listing_that_repeats_a_page_is_an_error_and_no_end(tokens: Sequence[str]) -> None:
    pages = [page(number, token=token) for number, token in enumerate(tokens)]
    async with scripted(*pages, *pages[-1:] * 4) as (remote, wire):  # Five attempts at the page.
        with pytest.raises(CallFailed) as raised:
            await listed(remote, w.STORE)
        assert wire.answers == []
    assert (raised.value.failure.outcome, raised.value.failure.reason) == (Outcome.UNAVAILABLE, Reason.GARBLED)


@pytest.mark.parametrize(
    "second",
    [
        error(503, "The service is currently unavailable."),
        httpx2.ReadError("reset"),
        Reply(200),
        Reply(200, b"null"),
        Reply(200, {}),
    ],
    ids=["503", "reset", "empty", "null", "silent"],
)
async def test_a_listing_that_breaks_off_is_an_error_and_no_end(second: Any) -> None:
    silent = isinstance(second, Reply) and second.body == b"{}"  # Reads like the last page, and the store counts more.
    attempt = (second, store_of(3)) if silent else (second,)
    async with scripted(page(1, 2, token="a"), *attempt * 5) as (remote, wire):
        with pytest.raises(CallFailed):
            await listed(remote, w.STORE)
        assert wire.answers == []


@pytest.mark.parametrize("broken", [{}, {"name": ""}, {"name": "d-7"}, {"name": "files/x"}, {"state": "STATE_ACTIVE"}])
async def test_a_listing_with_a_document_without_a_name_is_an_error(broken: dict[str, Any]) -> None:
    async with scripted(*[Reply(200, {"documents": [broken]})] * 5) as (remote, _):
        with pytest.raises(CallFailed) as raised:
            await listed(remote, w.STORE)
    assert raised.value.failure.reason is Reason.GARBLED


@pytest.mark.parametrize("mode", ["duplicate", "empty_page", "same_token", "unavailable"])
async def test_a_listing_of_a_service_that_misbehaves_once_is_whole(tmp_path: Path, mode: str) -> None:
    rule = Rule(fault="F16", mode=mode, endpoint="documents.list", nth=2, count=1)
    async with emulated(tmp_path, None, rule) as (remote, store, _):
        await fill(remote, store, 50)
        documents = await listed(remote, store)
        assert len({document.name for document in documents}) == len(documents) == 50


# ---- questions -------------------------------------------------------------------------------------------------------


async def test_an_answer_cites_its_passages(tmp_path: Path) -> None:
    async with emulated(tmp_path) as (remote, store, _):
        raw = await put(remote)
        await remote.import_raw(store, raw, {**IDENTITY, "topic": "sea"})
        answer = await remote.ask(store, "What is the heaviest animal?", model="gemini-2.5-flash", top_k=3)
        assert "blue whale" in answer.text
        assert answer.passages[0].title == "whales"
        assert answer.passages[0].identity == Identity("lib", "stream", "payload")
        assert answer.supports
        for support in answer.supports:
            assert 0 <= support.start < support.end <= len(answer.text.encode())
            assert all(0 <= passage < len(answer.passages) for passage in support.passages)
        other = await remote.ask(store, "heaviest animal", model="gemini-2.5-flash", metadata_filter='topic="land"')
        assert other.passages == ()
        with pytest.raises(CallFailed) as raised:
            await remote.ask(store, "x", model="gemini-2.5-flash", metadata_filter="((")
        assert raised.value.failure.reason is Reason.INVALID_ARGUMENT


def candidate(**grounding: Any) -> Reply:
    content = {
        "parts": [{"text": "thinking", "thought": True}, {"text": "Blau ist "}, {"text": "schön."}],
        "role": "model",
    }
    return Reply(200, {"candidates": [{"content": content, "groundingMetadata": grounding}], "modelVersion": "m-1"})


async def test_an_answer_may_cite_nothing_and_indices_that_lead_nowhere_are_left_out() -> None:
    chunks = [{"retrievedContext": {"title": "t", "text": "x"}}, {"web": {"uri": "u"}}]
    supports = [{"segment": {"endIndex": 4}, "groundingChunkIndices": [0, 1, 2, -1]}, {"groundingChunkIndices": [0]}]
    answers = (candidate(), candidate(groundingChunks=chunks, groundingSupports=supports))
    async with scripted(*answers) as (remote, wire):
        bare = await w.ask(remote)
        assert (bare.text, bare.passages, bare.supports, bare.model) == ("Blau ist schön.", (), (), "m-1")
        cited = await w.ask(remote)
        assert [passage.title for passage in cited.passages] == ["t", ""]
        assert [(s.start, s.end, s.passages) for s in cited.supports] == [(0, 4, (0, 1))]
    sent = wire.requests[0]
    assert sent.url == f"{w.BASE_URL}/v1/models/gemini-2.5-flash:generateContent"
    assert gemini.DOCUMENTS_ARE_DATA.encode() in sent.content, "what documents say is data"
    assert sent.headers["x-server-timeout"] == "180"


async def test_no_answer_is_not_an_empty_answer() -> None:
    async with scripted(Reply(200, {"promptFeedback": {"blockReason": "SAFETY"}}), Reply(200, {})) as (remote, _):
        for why in ("SAFETY", "no candidates"):
            with pytest.raises(CallFailed, match=why) as raised:
                await w.ask(remote)
            assert raised.value.failure.outcome is Outcome.REJECTED
