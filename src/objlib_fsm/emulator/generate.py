"""generateContent with the fileSearch tool: an extractive answer, grounded as the service grounds its own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from objlib_fsm.emulator import search, stores, text
from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.search import Passage
from objlib_fsm.emulator.shapes import GENERATE, parse
from objlib_fsm.emulator.wire import ApiError, Call, Reply, drop_empty, invalid, json_reply

MAX_SENTENCES: Final = 4
"""Sentences of an answer: enough to see what was found."""

MAX_SENTENCE_CHARS: Final = 600
"""A longer "sentence" is a table or code; it is cut."""

NOTHING_FOUND: Final = "The documents of the store say nothing about this."
NO_STORE: Final = "This local service answers from file search stores only, and the request names none."

_STEM_CHARS: Final = 5
"""Words count as the same when so many first characters agree: near enough to the index's stemmer for sentences."""


class Sentence(msgspec.Struct):
    """A sentence of the answer and the passage it was taken from."""

    text: str
    passage: int


class Answer(msgspec.Struct):
    """What generateContent and its stream print."""

    model: str
    response_id: str
    question: str
    sentences: list[Sentence]
    passages: list[Passage]
    searched: bool


def generate(ctx: Context, call: Call) -> Reply:
    """POST models/{m}:generateContent."""
    answer = _answer(ctx, call)
    whole = _joined(answer)
    return json_reply(_response(answer, whole, answer.sentences, whole, last=True))


def stream(ctx: Context, call: Call) -> Reply:
    """POST models/{m}:streamGenerateContent: one part per sentence, the grounding in the last."""
    answer = _answer(ctx, call)
    whole = _joined(answer)
    pieces = _pieces(answer) or [whole]
    parts = [
        _response(answer, piece, answer.sentences, whole, last=index == len(pieces) - 1)
        for index, piece in enumerate(pieces)
    ]
    headers = (("Content-Disposition", "attachment"),)
    if call.query.get("alt") != "sse":
        return json_reply(parts, headers=headers)
    body = b"".join(b"data: " + msgspec.json.encode(part) + b"\r\n\r\n" for part in parts)
    return Reply(200, body, "text/event-stream", headers)


def _answer(ctx: Context, call: Call) -> Answer:
    model = call.args[0]
    if not any(fnmatchcase(model, pattern) for pattern in ctx.settings.models):
        raise ApiError(
            404,
            f"models/{model} is not found for API version {call.version}, or is not supported for generateContent. "
            "Call ListModels to see the list of available models and their supported methods.",
        )
    body = parse(call.body, GENERATE, strict=ctx.settings.reject_unknown_keys)
    question = _question(body)
    tools = body.get("tools", [])
    wanted = [tool["fileSearch"] for tool in tools if "fileSearch" in tool]
    if wanted and any("googleSearch" in tool or "urlContext" in tool for tool in tools):
        raise invalid("The file_search tool cannot be combined with google_search or url_context.")
    passages: list[Passage] = []
    for one in wanted:
        passages += _search(ctx, one, question)
    return Answer(
        model,
        ctx.draws.letters("response", f"{ctx.now_us()}{question}", 22),
        question,
        _extract(question, passages),
        passages,
        bool(wanted),
    )


def _search(ctx: Context, tool: dict[str, Any], question: str) -> list[Passage]:
    names = list(dict.fromkeys(tool.get("fileSearchStoreNames", [])))
    if not names:
        raise invalid("The file_search tool needs at least one file_search_store_names.")
    if len(names) > ctx.settings.max_stores_per_search:
        raise invalid(f"At most {ctx.settings.max_stores_per_search} file search stores may be searched at once.")
    top_k = tool.get("topK", ctx.settings.default_top_k)
    if not 0 < top_k <= ctx.settings.max_top_k:
        raise invalid(f"top_k must be between 1 and {ctx.settings.max_top_k}, was {top_k}.")
    found = []
    for name in names:
        prefix, _, store_id = name.rpartition("/")
        if prefix != "fileSearchStores":
            raise invalid(f"Invalid FileSearchStore name: {name}")
        found.append(stores.find(ctx, store_id))
    return search.find(
        ctx,
        [(store.n, store.id) for store in found],
        question,
        metadata_filter=tool.get("metadataFilter", ""),
        top_k=top_k,
    )


def _question(body: dict[str, Any]) -> str:
    """The text of the last turn that is not the model's."""
    contents = body.get("contents", [])
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified\n")
    for content in reversed(contents):
        if content.get("role", "user") == "user":
            return "\n".join(part["text"] for part in content.get("parts", ()) if part.get("text"))
    return ""


def _stem(word: str) -> str:
    return word[:_STEM_CHARS]


def _extract(question: str, passages: Sequence[Passage]) -> list[Sentence]:
    """The sentences that have most of the question's rarer words, in the order of the passages."""
    wanted = {_stem(word) for word in search.terms(question)}
    candidates: list[tuple[Sentence, set[str]]] = []
    seen: set[str] = set()
    for number, passage in enumerate(passages):
        for sentence in text.sentences(passage.text):
            words = {_stem(word.lower()) for word in search.WORD.findall(sentence)} & wanted
            short = sentence[:MAX_SENTENCE_CHARS].rstrip()
            if words and short not in seen:
                seen.add(short)
                candidates.append((Sentence(short, number), words))
    frequency = Counter(word for _, words in candidates for word in words)
    weight = {word: math.log(1 + len(candidates) / count) for word, count in frequency.items()}
    best = sorted(range(len(candidates)), key=lambda i: (-sum(weight[w] for w in sorted(candidates[i][1])), i))[
        :MAX_SENTENCES
    ]
    if not best and passages:
        # The stemmer found what the words alone do not show: give the beginning of the best passage.
        return [Sentence(passages[0].text[:MAX_SENTENCE_CHARS].strip(), 0)]
    return [candidates[i][0] for i in sorted(best)]


def _pieces(answer: Answer) -> list[str]:
    """The answer in the parts that a stream sends; joined they are the answer."""
    last = len(answer.sentences) - 1
    return [sentence.text + (" " if i < last else "") for i, sentence in enumerate(answer.sentences)]


def _joined(answer: Answer) -> str:
    if answer.sentences:
        return "".join(_pieces(answer))
    return NOTHING_FOUND if answer.searched else NO_STORE


def _response(answer: Answer, part: str, sentences: list[Sentence], whole: str, *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": part}], "role": "model"}}
    if last:
        candidate["finishReason"] = "STOP"
        if answer.passages:
            candidate["groundingMetadata"] = _grounding(answer.passages, sentences)
    candidate["index"] = 0
    prompt, retrieved = _tokens(answer.question), sum(_tokens(passage.text) for passage in answer.passages)
    produced = _tokens(whole)
    return {
        "candidates": [candidate],
        "usageMetadata": drop_empty(
            {
                "promptTokenCount": prompt,
                "candidatesTokenCount": produced,
                "totalTokenCount": prompt + retrieved + produced,
                "toolUsePromptTokenCount": retrieved,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
            }
        ),
        "modelVersion": answer.model,
        "responseId": answer.response_id,
    }


def _grounding(passages: Sequence[Passage], sentences: Sequence[Sentence]) -> dict[str, Any]:
    """Offsets count bytes of the answer in UTF-8; a start of 0 is left out, as proto3 leaves out what is default."""
    supports = []
    start = 0
    for sentence in sentences:
        end = start + len(sentence.text.encode())
        segment: dict[str, Any] = {"startIndex": start} if start else {}
        segment |= {"endIndex": end, "text": sentence.text}
        supports.append({"segment": segment, "groundingChunkIndices": [sentence.passage]})
        start = end + 1
    chunks = [
        {
            "retrievedContext": drop_empty(
                {
                    "title": passage.title,
                    "text": passage.text,
                    "fileSearchStore": f"fileSearchStores/{passage.store}",
                    "customMetadata": passage.metadata,
                }
            )
        }
        for passage in passages
    ]
    return drop_empty({"groundingChunks": chunks, "groundingSupports": supports})


def _tokens(source: str) -> int:
    """About as many tokens as the service would count: one for four characters."""
    return math.ceil(len(source) / 4)
