"""Documents of a store, and the two ways to make one."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from objlib_fsm.emulator import files, mime, operations, stores
from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.shapes import IMPORT, parse
from objlib_fsm.emulator.wire import (
    ApiError,
    Call,
    Reply,
    drop_empty,
    invalid,
    json_reply,
    listing_start,
    make_page_token,
    page_size,
    precondition,
    read_page_token,
    rfc3339,
    truth,
)

DEFAULT_PAGE: Final = 10
MAX_PAGE: Final = 20

_ID: Final = re.compile(r"[a-z0-9-]{1,63}")
_COLUMNS: Final = (
    "n, store, id, display_name, metadata, mime_type, size_bytes, chunk_tokens, overlap_tokens, created_at_us,"
    " active_at_us, failed_at_us, listed_at_us, searchable_at_us, fails_once_seen, cited_until_us, blob"
)
_PLACES: Final = ", ".join("?" * len(_COLUMNS.split(",")))


class Document(msgspec.Struct):
    """A row of the table of documents."""

    n: int
    store: int
    id: str
    display_name: str
    metadata: bytes
    mime_type: str
    size_bytes: int
    chunk_tokens: int
    overlap_tokens: int
    created_at_us: int
    active_at_us: int | None
    failed_at_us: int | None
    listed_at_us: int
    searchable_at_us: int | None
    fails_once_seen: int
    cited_until_us: int | None
    blob: int | None

    def state(self, now_us: int) -> str:
        """STATE_PENDING, STATE_ACTIVE or STATE_FAILED."""
        if self.failed_at_us is not None and self.failed_at_us <= now_us:
            return "STATE_FAILED"
        if self.active_at_us is not None and self.active_at_us <= now_us:
            return "STATE_ACTIVE"
        return "STATE_PENDING"


def check_request(ctx: Context, body: dict[str, Any]) -> None:
    """Refuse metadata and chunking that the service refuses."""
    settings = ctx.settings
    if len(body.get("displayName", "")) > stores.MAX_DISPLAY_NAME:
        raise invalid(f"The display_name must be at most {stores.MAX_DISPLAY_NAME} characters.")
    metadata = body.get("customMetadata", ())
    if len(metadata) > settings.max_metadata_entries:
        raise invalid(f"custom_metadata must have at most {settings.max_metadata_entries} entries.")
    seen = set()
    for entry in metadata:
        key = entry.get("key", "")
        values = entry.get("stringListValue", {}).get("values", ())
        if (
            not key
            or key in seen
            or len(key) + len(entry.get("stringValue", "")) > settings.max_metadata_chars
            or len(values) > settings.max_metadata_list_items
            or sum(name in entry for name in ("stringValue", "numericValue", "stringListValue")) != 1
        ):
            raise invalid("Request contains an invalid argument.")
        seen.add(key)
    chunk, overlap = _chunking(ctx, body)
    if not 0 < chunk <= settings.max_chunk_tokens or not 0 <= overlap < chunk:
        raise invalid("Request contains an invalid argument.")


def _chunking(ctx: Context, body: dict[str, Any]) -> tuple[int, int]:
    wanted = body.get("chunkingConfig", {}).get("whiteSpaceConfig", {})
    chunk = wanted.get("maxTokensPerChunk") or ctx.settings.chunk_tokens
    overlap = wanted.get("maxOverlapTokens")
    if overlap is None:
        overlap = min(ctx.settings.chunk_overlap_tokens, chunk - 1)
    return chunk, overlap


def import_file(ctx: Context, call: Call) -> Reply:
    """POST {store}:importFile.  Every call makes one more document."""
    body = parse(call.body, IMPORT, strict=ctx.settings.reject_unknown_keys)
    store = stores.find(ctx, call.args[0])
    check_request(ctx, body)
    name = body.get("fileName", "")
    if not name:
        raise invalid("The file_name is required.")
    prefix, _, file_id = name.rpartition("/")
    if prefix not in ("", "files"):
        raise invalid(f"Invalid file name: {name}")
    now_us = ctx.now_us()
    ctx.prune(now_us)
    file = files.find(ctx, file_id, now_us)
    if file.state(now_us) != "ACTIVE":
        raise precondition(f"The File {file_id} is not in an ACTIVE state and usage is not allowed.")
    document = _create(
        ctx,
        store=store.n,
        body=body,
        prefix=file_id,
        display_name=file_id,
        mime_type=file.mime_type,
        size_bytes=file.size_bytes,
        blob=file.n,
        stuck=ctx.settings.leading_space_hangs_import and file.display_name[:1].isspace(),
    )
    operations.begin(ctx, document, "import")
    return json_reply({"name": f"fileSearchStores/{store.id}/operations/{document.id}"})


def create_direct(
    ctx: Context, *, store: int, blob: int, body: dict[str, Any], mime_type: str, file_name: str, size_bytes: int
) -> Reply:
    """Make the document of a finished upload into a store; answers its operation, with a response, not yet done."""
    store_id = ctx.db.value("SELECT id FROM store WHERE n = ?", (store,))
    if store_id is None:
        raise ApiError(404, "The FileSearchStore was deleted during the upload.")
    display_name = body.get("displayName", "")
    if not display_name and ctx.settings.document_id_from_upload_name:
        display_name = file_name
    document = _create(
        ctx,
        store=store,
        body=body,
        prefix=stores.slug(display_name),
        display_name=body.get("displayName", "") or file_name,
        mime_type=mime_type,
        size_bytes=size_bytes,
        blob=blob,
        stuck=False,
    )
    if document.blob is None:
        ctx.db.drop_blob(blob)
    operations.begin(ctx, document, "upload")
    return json_reply(operations.uploaded(store_id, document.id, mime_type, size_bytes))


def _create(
    ctx: Context,
    *,
    store: int,
    body: dict[str, Any],
    prefix: str,
    display_name: str,
    mime_type: str,
    size_bytes: int,
    blob: int,
    stuck: bool,
) -> Document:
    settings, draws = ctx.settings, ctx.draws
    if mime_type not in settings.document_mime_types:
        raise invalid(f"Unsupported MIME type: {mime_type}")
    if size_bytes > settings.max_document_bytes:
        raise invalid(f"The file is too large: {size_bytes} bytes, the limit is {settings.max_document_bytes} bytes.")
    stores.check_storage(ctx, size_bytes)
    now_us = ctx.now_us()
    n = ctx.db.next_ordinal()
    key = str(n)
    if not prefix:
        prefix = draws.letters("prefix", key, stores.SUFFIX_LENGTH)
    document_id = f"{prefix}-{draws.letters('suffix', key, stores.SUFFIX_LENGTH)}"
    latencies = settings.latencies
    ready_at_us = now_us + draws.micros(latencies.index, "index", document_id)
    stuck = stuck or draws.happens(settings.document_stuck_share, "document_stuck", document_id)
    failed = not stuck and draws.happens(settings.document_failed_share, "document_failed", document_id)
    active_at_us = None if stuck or failed else ready_at_us
    chunk_tokens, overlap_tokens = _chunking(ctx, body)
    document = Document(
        n,
        store,
        document_id,
        display_name,
        msgspec.json.encode([_normal_entry(entry) for entry in body.get("customMetadata", ())]),
        mime_type,
        size_bytes,
        chunk_tokens,
        overlap_tokens,
        now_us,
        active_at_us,
        ready_at_us if failed else None,
        now_us + draws.micros(latencies.listing, "listing", document_id),
        None if active_at_us is None else active_at_us + draws.micros(latencies.search, "search", document_id),
        0,
        None,
        blob if mime.is_text(mime_type) and size_bytes else None,
    )
    ctx.db.run(
        f"INSERT INTO document({_COLUMNS}) VALUES ({_PLACES})",  # noqa: S608 - constant columns
        msgspec.structs.astuple(document),
    )
    return document


def _normal_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """A metadata entry as the service prints it: a number without a fraction loses it."""
    number = entry.get("numericValue")
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        return {**entry, "numericValue": int(number)}
    return entry


def find(ctx: Context, store_id: str, document_id: str) -> Document:
    """The document of that id.  Raises `ApiError`: 400 for what cannot be an id, 404 (a setting) when missing."""
    store = stores.find(ctx, store_id)
    if _ID.fullmatch(document_id) is None:
        raise invalid(f"Invalid Document name: fileSearchStores/{store_id}/documents/{document_id}")
    row = ctx.db.row(
        f"SELECT {_COLUMNS} FROM document WHERE store = ? AND id = ? AND cited_until_us IS NULL",  # noqa: S608
        (store.n, document_id),
    )
    if row is None:
        message = (
            "Documents does not exist or you do not have permission to access it: "
            f"fileSearchStores/{store_id}/documents/{document_id}"
        )
        raise ApiError(ctx.settings.unknown_document_code, message)
    return Document(*row)


def to_json(store_id: str, document: Document, now_us: int) -> dict[str, Any]:
    """The Document resource.  It has no field for an error."""
    changed_us = [
        at_us
        for at_us in (document.active_at_us, document.failed_at_us)
        if at_us is not None and document.created_at_us < at_us <= now_us
    ]
    return drop_empty(
        {
            "name": f"fileSearchStores/{store_id}/documents/{document.id}",
            "displayName": document.display_name,
            "customMetadata": msgspec.json.decode(document.metadata),
            "createTime": rfc3339(document.created_at_us),
            "updateTime": rfc3339(max(changed_us, default=document.created_at_us)),
            "state": document.state(now_us),
            "sizeBytes": str(document.size_bytes),
            "mimeType": document.mime_type,
        }
    )


def get(ctx: Context, call: Call) -> Reply:
    """GET {store}/documents/{id}."""
    document = find(ctx, *call.args)
    now_us = ctx.now_us()
    reply = json_reply(to_json(call.args[0], document, now_us))
    _fail_if_seen(ctx, [document], now_us)
    return reply


def list_(ctx: Context, call: Call) -> Reply:
    """GET {store}/documents."""
    store = stores.find(ctx, call.args[0])
    size = page_size(call.query, default=DEFAULT_PAGE, most=MAX_PAGE, clamp=False)
    token = call.query.get("pageToken", "")
    listing = f"documents of {store.n}"
    newest_first = ctx.settings.documents_newest_first
    after = read_page_token(listing, token) if token else listing_start(newest_first)
    order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    now_us = ctx.now_us()
    rows = ctx.db.run(
        # By row number from where the last page ended; the index by store would be read whole and sorted, each time.
        f"SELECT {_COLUMNS} FROM document NOT INDEXED WHERE store = ? AND n {beyond} ?"  # noqa: S608
        f" AND listed_at_us <= ? AND cited_until_us IS NULL ORDER BY n {order} LIMIT ?",
        (store.n, after, now_us, size + 1),
    ).fetchall()
    page = [Document(*row) for row in rows[:size]]
    reply = json_reply(
        drop_empty(
            {
                "documents": [to_json(store.id, document, now_us) for document in page],
                "nextPageToken": make_page_token(listing, page[-1].n) if len(rows) > size else "",
            }
        )
    )
    _fail_if_seen(ctx, page, now_us)
    return reply


def _fail_if_seen(ctx: Context, seen: list[Document], now_us: int) -> None:
    """Documents marked so turn FAILED after they were seen ACTIVE once."""
    for document in seen:
        if document.fails_once_seen and document.state(now_us) == "STATE_ACTIVE":
            with ctx.db.write():
                ctx.db.run(
                    "UPDATE document SET failed_at_us = ?, fails_once_seen = 0 WHERE n = ?", (now_us, document.n)
                )


def delete(ctx: Context, call: Call, *, linger_us: int | None = None) -> Reply:
    """DELETE {store}/documents/{id}.  A document always has chunks, so the service wants it forced.

    ``linger_us``: how long searches still cite it; None: as the settings say.
    """
    document = find(ctx, *call.args)
    if not truth(call.query.get("force", "")):
        raise precondition("Cannot delete non-empty Document")
    now_us = ctx.now_us()
    if linger_us is None:
        linger_us = ctx.draws.micros(ctx.settings.latencies.citation, "citation", document.id)
    if linger_us:
        ctx.db.run("UPDATE document SET cited_until_us = ? WHERE n = ?", (now_us + linger_us, document.n))
    else:
        ctx.erase_document(document.n)
    return json_reply({})


def media(ctx: Context, call: Call) -> Reply:
    """GET {store}/media/{blob}.  Only images have media, and this server cuts none out of documents."""
    stores.find(ctx, call.args[0])
    raise ApiError(404, f"Media does not exist: fileSearchStores/{call.args[0]}/media/{call.args[1]}")


def all_documents(ctx: Context) -> list[dict[str, Any]]:
    """Every document, listed yet or not: name, display name, state, size, metadata as a mapping; oldest first."""
    now_us = ctx.now_us()
    out = []
    for store_id, *row in ctx.db.run(
        "SELECT s.id, d.* FROM document AS d JOIN store AS s ON s.n = d.store WHERE d.cited_until_us IS NULL"
        " ORDER BY d.n"
    ):
        document = Document(*row)
        shown = to_json(store_id, document, now_us)
        shown["customMetadata"] = metadata_values(shown.get("customMetadata", []))
        out.append(shown)
    return out


def metadata_values(entries: list[dict[str, Any]]) -> dict[str, str | float | list[str]]:
    """Metadata as the service prints it, as a mapping from key to text, number, or list of texts."""
    values: dict[str, str | float | list[str]] = {}
    for entry in entries:
        if "stringListValue" in entry:
            values[entry["key"]] = entry["stringListValue"].get("values", [])
        else:
            values[entry["key"]] = entry["stringValue"] if "stringValue" in entry else entry["numericValue"]
    return values
