"""File search stores."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.shapes import STORE, parse
from objlib_fsm.emulator.wire import (
    ApiError,
    Call,
    Reply,
    drop_empty,
    forbidden,
    invalid,
    json_reply,
    make_page_token,
    page_size,
    precondition,
    read_page_token,
    rfc3339,
    truth,
)

MAX_DISPLAY_NAME: Final = 512
DEFAULT_PAGE: Final = 10
MAX_PAGE: Final = 20
SUFFIX_LENGTH: Final = 12
SLUG_LENGTH: Final = 27
"""So that slug, dash and suffix fill the 40 characters of an id."""

DEFAULT_EMBEDDING_MODEL: Final = "models/gemini-embedding-001"
STORED_PER_INPUT_BYTE: Final = 3
"""The service counts about three times the input: text, chunks, embeddings."""

_ID: Final = re.compile(r"[a-z0-9-]{1,40}")
_NOT_IN_SLUG: Final = re.compile(r"[^a-z0-9-]")

_COLUMNS: Final = "n, id, display_name, embedding_model, created_at_us"


class Store(msgspec.Struct):
    """A row of the table of stores."""

    n: int
    id: str
    display_name: str
    embedding_model: str
    created_at_us: int


def slug(display_name: str) -> str:
    """The readable part of a generated id: lower case, blanks as dashes, all else outside [a-z0-9] dropped."""
    lowered = display_name.lower().replace("-", "").replace(" ", "-")
    return _NOT_IN_SLUG.sub("", lowered)[:SLUG_LENGTH].strip("-")


def generated_id(ctx: Context, display_name: str, key: str) -> str:
    """``slug-suffix``; two random halves when there is no display name to speak of."""
    suffix = ctx.draws.letters("suffix", key, SUFFIX_LENGTH)
    return f"{slug(display_name) or ctx.draws.letters('prefix', key, SUFFIX_LENGTH)}-{suffix}"


def find(ctx: Context, store_id: str) -> Store:
    """The store of that id.  Raises `ApiError`: 400 for what cannot be an id, 403 for what is not there."""
    if _ID.fullmatch(store_id) is None:
        raise invalid(f"Invalid FileSearchStore name: fileSearchStores/{store_id}")
    row = ctx.db.row(f"SELECT {_COLUMNS} FROM store WHERE id = ?", (store_id,))  # noqa: S608 - constant columns
    if row is None:
        raise forbidden("FileSearchStore", store_id)
    return Store(*row)


def to_json(ctx: Context, store: Store, now_us: int) -> dict[str, Any]:
    """The FileSearchStore resource, with live counts."""
    active, pending, failed, input_bytes = ctx.db.row(
        "SELECT count(*) FILTER (WHERE NOT failed AND active), count(*) FILTER (WHERE NOT failed AND NOT active),"
        " count(*) FILTER (WHERE failed), ifnull(sum(size_bytes), 0) FROM (SELECT size_bytes,"
        " ifnull(failed_at_us <= ?2, 0) AS failed, ifnull(active_at_us <= ?2, 0) AS active"
        " FROM document WHERE store = ?1 AND cited_until_us IS NULL)",
        (store.n, now_us),
    )
    return drop_empty(
        {
            "name": f"fileSearchStores/{store.id}",
            "displayName": store.display_name,
            "createTime": rfc3339(store.created_at_us),
            "updateTime": rfc3339(store.created_at_us),
            "activeDocumentsCount": str(active),
            "pendingDocumentsCount": str(pending),
            "failedDocumentsCount": str(failed),
            "sizeBytes": str(input_bytes * STORED_PER_INPUT_BYTE),
            "embeddingModel": store.embedding_model,
        }
    )


def create(ctx: Context, call: Call) -> Reply:
    """POST fileSearchStores."""
    body = parse(call.body, STORE, strict=ctx.settings.reject_unknown_keys)
    display_name = body.get("displayName", "")
    if len(display_name) > MAX_DISPLAY_NAME:
        raise invalid(f"The display_name must be at most {MAX_DISPLAY_NAME} characters.")
    model = body.get("embeddingModel", DEFAULT_EMBEDDING_MODEL)
    if not model.startswith("models/"):
        raise invalid(f"Invalid embedding model: {model}")
    if ctx.db.value("SELECT count(*) FROM store") >= ctx.settings.max_stores:
        raise ApiError(
            ctx.settings.too_many_stores_code,
            f"You have reached the limit of {ctx.settings.max_stores} FileSearchStores per project.",
        )
    now_us = ctx.now_us()
    n = ctx.db.next_ordinal()
    store = Store(n, generated_id(ctx, display_name, str(n)), display_name, model, now_us)
    ctx.db.run(
        f"INSERT INTO store({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
        msgspec.structs.astuple(store),
    )
    return json_reply(to_json(ctx, store, now_us))


def get(ctx: Context, call: Call) -> Reply:
    """GET fileSearchStores/{id}."""
    return json_reply(to_json(ctx, find(ctx, call.args[0]), ctx.now_us()))


def list_(ctx: Context, call: Call) -> Reply:
    """GET fileSearchStores, oldest first."""
    size = page_size(call.query, default=DEFAULT_PAGE, most=MAX_PAGE, clamp=False)
    token = call.query.get("pageToken", "")
    after = read_page_token("stores", token) if token else 0
    rows = ctx.db.run(
        f"SELECT {_COLUMNS} FROM store WHERE n > ? ORDER BY n LIMIT ?",  # noqa: S608
        (after, size + 1),
    ).fetchall()
    page = [Store(*row) for row in rows[:size]]
    now_us = ctx.now_us()
    return json_reply(
        drop_empty(
            {
                "fileSearchStores": [to_json(ctx, store, now_us) for store in page],
                "nextPageToken": make_page_token("stores", page[-1].n) if len(rows) > size else "",
            }
        )
    )


def delete(ctx: Context, call: Call) -> Reply:
    """DELETE fileSearchStores/{id}, with everything in it when forced."""
    store = find(ctx, call.args[0])
    documents = [n for (n,) in ctx.db.run("SELECT n FROM document WHERE store = ?", (store.n,))]
    alive = ctx.db.value("SELECT 1 FROM document WHERE store = ? AND cited_until_us IS NULL LIMIT 1", (store.n,))
    if alive is not None and not truth(call.query.get("force", "")):
        raise precondition("Cannot delete non-empty FileSearchStore.")
    for n in documents:
        ctx.erase_document(n)
    ctx.db.run("DELETE FROM operation WHERE store = ?", (store.n,))
    ctx.db.run("DELETE FROM store WHERE n = ?", (store.n,))
    return json_reply({})


def check_storage(ctx: Context, input_bytes: int) -> None:
    """429 when all stores together would hold too much."""
    limit = ctx.settings.project_storage_bytes
    if limit is None:
        return
    used = ctx.db.value("SELECT ifnull(sum(size_bytes), 0) FROM document WHERE cited_until_us IS NULL")
    if (used + input_bytes) * STORED_PER_INPUT_BYTE > limit:
        raise ApiError(429, f"Corpus has reached the storage limit of {limit} bytes.")
