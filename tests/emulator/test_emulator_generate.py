"""Rows 21 and 22 of the API: answers from stores, and how they are grounded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from google import genai
from google.genai import errors, types

from objlib_fsm.emulator.inprocess import LocalService, local_service
from objlib_fsm.emulator.settings import Settings

pytestmark = pytest.mark.anyio

Sdk = Callable[[LocalService], genai.Client]
Raw = Callable[[LocalService], httpx2.AsyncClient]
Upload = Callable[..., Awaitable[httpx2.Response]]

MODEL = "gemini-2.5-flash"
ASK = f"/v1/models/{MODEL}:generateContent"
TEXTS = {
    "whales": "Whales are large mammals of the sea. The blue whale is the heaviest animal. Ünïcode größer whale.",
    "volcano": "A volcano is a rupture in the crust. Lava flows from a volcano. Ash may travel far.",
    "python": "Python is a language. Guido van Rossum made Python. It has indentation.",
}


async def filled(client: httpx2.AsyncClient, upload: Upload, texts: dict[str, str] = TEXTS) -> str:
    store: str = (await client.post("/v1/fileSearchStores", json={"displayName": "store"})).json()["name"]
    for number, (name, text) in enumerate(texts.items()):
        metadata = [
            {"key": "topic", "stringValue": name},
            {"key": "number", "numericValue": number},
            {"key": "tags", "stringListValue": {"values": [name[:1], "all"]}},
        ]
        await upload(
            client,
            text.encode(),
            path=f"/upload/v1/{store}:uploadToFileSearchStore",
            start={"displayName": f"{name}.md", "customMetadata": metadata},
        )
    return store


def ask(store: str, question: str, **tool: Any) -> dict[str, Any]:
    return {
        "contents": [{"parts": [{"text": question}], "role": "user"}],
        "tools": [{"fileSearch": {"fileSearchStoreNames": [store], **tool}}],
    }


async def titles(client: httpx2.AsyncClient, body: dict[str, Any]) -> list[str]:
    reply = await client.post(ASK, json=body)
    assert reply.status_code == 200, reply.text
    grounding = reply.json()["candidates"][0].get("groundingMetadata", {})
    return [chunk["retrievedContext"]["title"] for chunk in grounding.get("groundingChunks", [])]


async def test_sdk_gets_a_grounded_answer(tmp_path: Path, sdk: Sdk, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload)
        reply = await sdk(service).aio.models.generate_content(
            model=MODEL,
            contents="What is the heaviest whale, and who is größer?",
            config=types.GenerateContentConfig(
                tools=[types.Tool(file_search=types.FileSearch(file_search_store_names=[store], top_k=7))]
            ),
        )
        assert reply.text is not None
        assert "The blue whale is the heaviest animal." in reply.text
        assert reply.model_version == MODEL
        assert reply.usage_metadata is not None
        assert reply.candidates is not None
        assert reply.candidates[0].finish_reason == types.FinishReason.STOP
        grounding = reply.candidates[0].grounding_metadata
        assert grounding is not None
        assert grounding.grounding_chunks is not None
        context = grounding.grounding_chunks[0].retrieved_context
        assert context is not None
        assert context.title == "whales.md"
        assert context.text == TEXTS["whales"]
        assert context.file_search_store == store
        assert context.custom_metadata is not None
        assert {entry.key for entry in context.custom_metadata} == {"topic", "number", "tags"}
        assert grounding.grounding_supports
        encoded = reply.text.encode()
        for support in grounding.grounding_supports:
            segment = support.segment
            assert segment is not None
            assert segment.text is not None
            assert encoded[segment.start_index or 0 : segment.end_index].decode() == segment.text, "byte offsets"
            assert support.grounding_chunk_indices == [0]


async def test_start_index_of_zero_is_absent(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload)
        reply = (await client.post(ASK, json=ask(store, "volcano lava ash"))).json()
        supports = reply["candidates"][0]["groundingMetadata"]["groundingSupports"]
        assert len(supports) > 1
        assert "startIndex" not in supports[0]["segment"]
        assert all(support["segment"]["startIndex"] > 0 for support in supports[1:])


async def test_sdk_streams(tmp_path: Path, sdk: Sdk, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload)
        config = types.GenerateContentConfig(
            tools=[types.Tool(file_search=types.FileSearch(file_search_store_names=[store]))]
        )
        aio = sdk(service).aio
        whole = await aio.models.generate_content(model=MODEL, contents="whale sea animal", config=config)
        parts = [
            part
            async for part in await aio.models.generate_content_stream(
                model=MODEL, contents="whale sea animal", config=config
            )
        ]
        assert len(parts) > 1
        assert "".join(part.text or "" for part in parts) == whole.text
        groundings = [part.candidates[0].grounding_metadata for part in parts if part.candidates]
        assert groundings[:-1] == [None] * (len(parts) - 1), "grounding is in the last part"
        assert whole.candidates is not None
        assert groundings[-1] == whole.candidates[0].grounding_metadata


async def test_wire_form_of_the_stream(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload)
        path = f"/v1beta/models/{MODEL}:streamGenerateContent"
        reply = await client.post(path, params={"alt": "sse"}, json=ask(store, "volcano"))
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["content-disposition"] == "attachment"
        events = reply.content.split(b"\r\n\r\n")
        assert events.pop() == b""
        for event in events:
            assert event.startswith(b"data: {")
            assert b"\n" not in event
            msgspec.json.decode(event.removeprefix(b"data: "))
        plain = await client.post(path, json=ask(store, "volcano"))
        assert len(plain.json()) == len(events), "without alt=sse a JSON list"


async def test_ranking_top_k_and_chunks(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    texts = TEXTS | {
        f"filler{n}": f"Number {n} mentions a whale in passing among many other words here." for n in range(9)
    }
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload, texts)
        assert (await titles(client, ask(store, "blue whale")))[0] == "whales.md"
        assert len(await titles(client, ask(store, "whale"))) == 5, "the default top_k"
        assert len(await titles(client, ask(store, "whale", topK=2))) == 2
        assert len(await titles(client, ask(store, "whale", top_k=50))) == 10
        for bad in (-1, 101):
            assert (await client.post(ASK, json=ask(store, "whale", topK=bad))).status_code == 400


async def test_long_documents_are_cut_into_chunks(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    words = " ".join(f"word{number}" for number in range(1_000))
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = (await client.post("/v1/fileSearchStores")).json()["name"]
        path = f"/upload/v1/{store}:uploadToFileSearchStore"
        chunking = {"chunkingConfig": {"whiteSpaceConfig": {"maxTokensPerChunk": 100, "maxOverlapTokens": 10}}}
        await upload(client, words.encode(), path=path, start=chunking)
        reply = (await client.post(ASK, json=ask(store, "word95"))).json()
        chunks = reply["candidates"][0]["groundingMetadata"]["groundingChunks"]
        texts = sorted(chunk["retrievedContext"]["text"] for chunk in chunks)
        assert [text.split()[0] for text in texts] == ["word0", "word90"], "in both chunks that overlap there"
        assert all(len(text.split()) == 100 for text in texts)


async def test_metadata_filters_choose_documents(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload)
        question = "whale volcano python"
        for source, expected in {
            'topic = "whales"': {"whales.md"},
            "topic=volcano OR topic=python": {"volcano.md", "python.md"},
            "number >= 1 AND NOT topic=python": {"volcano.md"},
            'tags:"all" number<2': {"whales.md", "volcano.md"},
            "tags:w": {"whales.md"},
            "missing=1": set(),
        }.items():
            assert set(await titles(client, ask(store, question, metadataFilter=source))) == expected, source
        for bad in ("topic =", "AND", "(topic=a", "topic ~ a", '"unclosed', "whales"):
            refused = await client.post(ASK, json=ask(store, question, metadata_filter=bad))
            assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), bad


async def test_deleted_documents_are_not_cited(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload)
        assert await titles(client, ask(store, "whale")) == ["whales.md"]
        [name] = [one["name"] for one in service.service.documents() if one["displayName"] == "whales.md"]
        await client.delete(f"/v1/{name}", params={"force": "true"})
        assert await titles(client, ask(store, "whale")) == []
        reply = (await client.post(ASK, json=ask(store, "whale"))).json()
        assert "say nothing" in reply["candidates"][0]["content"]["parts"][0]["text"]
        assert "groundingMetadata" not in reply["candidates"][0]


async def test_several_stores(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        one = await filled(client, upload, {"a": "whale one"})
        two = await filled(client, upload, {"b": "whale two"})
        body = ask(one, "whale")
        assert await titles(client, body) == ["a.md"]
        body["tools"][0]["fileSearch"]["fileSearchStoreNames"] = [one, two, one]
        assert set(await titles(client, body)) == {"a.md", "b.md"}
        body["tools"][0]["fileSearch"]["fileSearchStoreNames"] = [f"fileSearchStores/s{n}" for n in range(6)]
        assert (await client.post(ASK, json=body)).status_code == 400
        for names, code in (([], 400), (["fileSearchStores/none"], 403), (["stores/x"], 400)):
            body["tools"][0]["fileSearch"]["fileSearchStoreNames"] = names
            assert (await client.post(ASK, json=body)).status_code == code


async def test_markup_is_not_content(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    page = (
        "<!DOCTYPE html><html><head><title>Sea &amp; land</title><style>p { color: scarlet }</style>"
        "<script>var scarlet = '<b>';</script></head><body><!-- scarlet --><p class='scarlet'>The <b>octo</b>pus"
        " hides.</p><p>5 &lt; 6</p></body></html>"
    )
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = (await client.post("/v1/fileSearchStores")).json()["name"]
        await upload(client, page.encode(), path=f"/upload/v1/{store}:uploadToFileSearchStore", mime_type="text/html")
        reply = (await client.post(ASK, json=ask(store, "octopus"))).json()
        context = reply["candidates"][0]["groundingMetadata"]["groundingChunks"][0]["retrievedContext"]
        assert "The octopus hides." in context["text"]
        assert "Sea & land" in context["text"]
        assert "5 < 6" in context["text"]
        assert await titles(client, ask(store, "scarlet")) == []


async def test_types_without_text_and_bytes_that_are_not_utf8(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = (await client.post("/v1/fileSearchStores")).json()["name"]
        path = f"/upload/v1/{store}:uploadToFileSearchStore"
        await upload(client, b"%PDF-1.7 whale", path=path, mime_type="application/pdf")
        await upload(client, "café noir".encode("latin-1"), path=path, start={"displayName": "latin"})
        await upload(client, b"\x00\xff\xfe nul\x00byte", path=path, start={"displayName": "nul"})
        await upload(client, b"", path=path, start={"displayName": "empty"})
        assert service.service.counts()["documents_active"] == 4
        assert await titles(client, ask(store, "café")) == ["latin"]
        assert await titles(client, ask(store, "whale")) == []


async def test_questions_that_are_odd(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload)
        for question in ("", "???", '"', "whale AND NOT (", "NEAR(whale sea)", "the of and", "word " * 5_000, "\x00"):
            assert (await client.post(ASK, json=ask(store, question))).status_code == 200, question[:20]


async def test_generate_refusals(tmp_path: Path, sdk: Sdk, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload)
        with pytest.raises(errors.ClientError) as caught:
            await sdk(service).aio.models.generate_content(model="llama", contents="hi")
        assert caught.value.code == 404
        assert "models/llama is not found for API version v1" in str(caught.value)
        assert (await client.post(ASK, json={})).status_code == 400
        assert (await client.post(ASK, json={"contents": [{"prats": []}]})).status_code == 400
        mixed = ask(store, "whale")
        mixed["tools"].append({"googleSearch": {}})
        assert (await client.post(ASK, json=mixed)).status_code == 400
        nothing = await client.post(ASK, json={"contents": [{"parts": [{"text": "hi"}]}]})
        assert nothing.status_code == 200


async def test_the_question_is_the_last_turn_of_the_user(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    async with local_service(tmp_path / "s.db") as service, raw(service) as client:
        store = await filled(client, upload)
        body = ask(store, "volcano")
        body["contents"] += [
            {"parts": [{"text": "python"}], "role": "model"},
            {"parts": [{"text": "and the whale?"}], "role": "user"},
        ]
        assert await titles(client, body) == ["whales.md"]


async def test_answers_do_not_depend_on_when_documents_were_indexed(tmp_path: Path, raw: Raw, upload: Upload) -> None:
    answers = []
    for early in (True, False):
        settings = Settings(seed=5)
        async with local_service(tmp_path / f"{early}.db", settings) as service, raw(service) as client:
            store = await filled(client, upload)
            if early:
                await service.service.index()
            extra = f"/upload/v1/{store}:uploadToFileSearchStore"
            await upload(client, b"Another whale swims.", path=extra, start={"displayName": "more"})
            answers.append(await titles(client, ask(store, "whale animal")))
    assert answers[0] == answers[1]
