"""Long-running operations: what they say of a document on its way.  They are independent of the document's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from objlib_fsm.emulator import stores
from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.wire import ApiError, Call, Reply, json_reply

if TYPE_CHECKING:
    from objlib_fsm.emulator.documents import Document

_TYPES: Final = "type.googleapis.com/google.ai.generativelanguage.v1main."
_METADATA: Final = {"@type": _TYPES + "CustomLongRunningOperationsMetadata"}

FAILED_MESSAGE: Final = "Failed to process the document."
"""google.rpc code 13, INTERNAL: the only place where a document's failure is explained."""


def begin(ctx: Context, document: Document, kind: str) -> None:
    """Make the operation of a new document."""
    settings, draws = ctx.settings, ctx.draws
    ready_at_us = document.active_at_us if document.failed_at_us is None else document.failed_at_us
    done_at_us: int | None = None
    style = "full"
    error = None
    if ready_at_us is not None:
        done_at_us = ready_at_us + draws.micros(settings.latencies.operation, "operation", document.id)
    if document.failed_at_us is not None or draws.happens(
        settings.operation_error_share, "operation_error", document.id
    ):
        error = FAILED_MESSAGE
    if draws.happens(settings.operation_never_done_share, "operation_never_done", document.id):
        style = "never_done"
    elif draws.happens(settings.operation_name_only_share, "operation_name_only", document.id):
        style = "name_only"
    gone_at_us = None
    if settings.operation_forgotten_after_s is not None and done_at_us is not None:
        gone_at_us = done_at_us + round(settings.operation_forgotten_after_s * 1_000_000)
    ctx.db.run(
        "INSERT INTO operation(n, store, id, kind, mime_type, size_bytes, done_at_us, gone_at_us, error, style)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            document.n,
            document.store,
            document.id,
            kind,
            document.mime_type,
            document.size_bytes,
            done_at_us,
            gone_at_us,
            error,
            style,
        ),
    )


def uploaded(store_id: str, document_id: str, mime_type: str, size_bytes: int) -> dict[str, Any]:
    """The operation of a direct upload: the response is there from the start, in full names; done is not."""
    response = {
        "@type": _TYPES + "UploadToFileSearchStoreResponse",
        "parent": f"fileSearchStores/{store_id}",
        "documentName": f"fileSearchStores/{store_id}/documents/{document_id}",
        "mimeType": mime_type,
    }
    if size_bytes:
        response["sizeBytes"] = str(size_bytes)
    return {"name": f"fileSearchStores/{store_id}/upload/operations/{document_id}", "response": response}


def get_import(ctx: Context, call: Call) -> Reply:
    """GET {store}/operations/{id}."""
    return _get(ctx, call, "import")


def get_upload(ctx: Context, call: Call) -> Reply:
    """GET {store}/upload/operations/{id}."""
    return _get(ctx, call, "upload")


def _get(ctx: Context, call: Call, kind: str) -> Reply:
    store_id, operation_id = call.args
    store = stores.find(ctx, store_id)
    row = ctx.db.row(
        "SELECT kind, mime_type, size_bytes, done_at_us, gone_at_us, error, style FROM operation"
        " WHERE store = ? AND id = ?",
        (store.n, operation_id),
    )
    now_us = ctx.now_us()
    if row is None or row[0] != kind or (row[4] is not None and row[4] <= now_us):
        raise ApiError(ctx.settings.unknown_operation_code, "Requested entity was not found.")
    _, mime_type, size_bytes, done_at_us, _, error, style = row
    segment = "operations" if kind == "import" else "upload/operations"
    out: dict[str, Any] = {"name": f"fileSearchStores/{store_id}/{segment}/{operation_id}"}
    if style == "never_done":
        out["metadata"] = _METADATA
    if style not in ("full", "misnamed", "raw_named") or done_at_us is None or done_at_us > now_us:
        return json_reply(out)
    out["done"] = True
    if style == "misnamed":
        operation_id = ctx.db.value("SELECT id FROM document WHERE store = ? ORDER BY n LIMIT 1", (store.n,))
    elif style == "raw_named":
        operation_id = operation_id.rpartition("-")[0]
    if error is not None:
        out["error"] = {"code": 13, "message": error}
    elif kind == "import":
        # Ids without their collection: so the service answers for importFile, and only for it.
        out["response"] = {"@type": _TYPES + "ImportFileResponse", "parent": store_id, "documentName": operation_id}
    else:
        out["response"] = uploaded(store_id, operation_id, mime_type, size_bytes)["response"]
    return json_reply(out)
