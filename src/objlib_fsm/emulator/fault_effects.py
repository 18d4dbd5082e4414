"""What each fault does: instead of the request, before it, or to its reply and what it made."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from objlib_fsm.emulator import documents, operations, uploads
from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.fault_listing import spoil_listing
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.operations import FAILED_MESSAGE
from objlib_fsm.emulator.shapes import IMPORT, parse
from objlib_fsm.emulator.wire import (
    HTML,
    JSON,
    TEXT,
    ApiError,
    Call,
    Delivery,
    Reply,
    json_reply,
    not_found_page,
)

DEFAULT_REPLY_DELAY_S: Final = 3_600.0
DEFAULT_DRAIN_BYTES_PER_S: Final = 1_000_000.0
DEFAULT_RETRY_DELAY_S: Final = 42.0
DEFAULT_SEARCH_LAG_S: Final = 86_400.0

_UNAVAILABLE: Final = {
    "unavailable": "The service is currently unavailable.",
    "count_tokens": "Failed to count tokens.",
    "overloaded": "The model is overloaded. Please try again later.",
}
_QUOTA: Final = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    "head to: https://ai.google.dev/gemini-api/docs/rate-limits. Please retry in {seconds}s."
)
_BAD_GATEWAY: Final = (
    b"<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>Error 502 (Server Error)!!1</title>\n"
    b"  <p><b>502.</b> <ins>That\xe2\x80\x99s an error.</ins>\n  <p>The server encountered a temporary error and could "
    b"not complete your request.<p>Please try again in 30 seconds.  <ins>That\xe2\x80\x99s all we know.</ins>\n"
)
_NEW_ENUM_VALUE: Final = "STATE_QUARANTINED"
"""A state that no SDK knows (F21)."""

_PROCESSED_MODES: Final = frozenset(["empty_200", "object_200", "broken_200", "truncated_200", "headers"])


def delay_before_s(rule: Rule, body_bytes: int) -> float:
    """Seconds that reading the body takes."""
    if rule.fault != "F20":
        return 0.0
    return body_bytes / (rule.bytes_per_s or DEFAULT_DRAIN_BYTES_PER_S)


def delay_after_s(rule: Rule) -> float:
    """Seconds from commit to reply."""
    if rule.fault != "F13":
        return 0.0
    return DEFAULT_REPLY_DELAY_S if rule.seconds is None else rule.seconds


def instead(ctx: Context, rule: Rule, endpoint: str, call: Call) -> Reply | None:
    """The reply of a fault that keeps the request from being processed; None when it is processed.

    Also makes happen what happens just before: the expiry of F9.
    """
    error = _refusal(ctx, rule, call)
    if error is not None:
        if rule.message is not None:
            error.message = rule.message
        if endpoint.endswith((".upload.data", ".upload.finalize")):
            error.headers = (("X-Goog-Upload-Status", "final"),)
        return error.reply()
    match rule.fault:
        case "F6":
            return json_reply({"error": {"message": "", "code": 503, "status": "Service Unavailable"}}, code=503)
        case "F9":
            with ctx.db.write():
                ctx.remove_file(_file_id(ctx, endpoint, call))
        case "F11":
            return Reply(delivery=Delivery.DROPPED if rule.mode == "closed" else Delivery.RESET)
        case "F16" if rule.mode == "unavailable":
            return ApiError(503, _UNAVAILABLE["unavailable"]).reply()
        case "F17" | "F19" if not _processed(rule):
            return _broken(rule, Reply())
        case "F22" if rule.mode == "html_404":
            return not_found_page(call)
        case "F23" if rule.mode == "cited":
            with ctx.db.write():
                return documents.delete(ctx, call, linger_us=_search_lag_us(rule))
    return None


def _processed(rule: Rule) -> bool:
    return rule.mode in _PROCESSED_MODES if rule.commit is None else rule.commit


def _file_id(ctx: Context, endpoint: str, call: Call) -> str:
    if endpoint != "stores.import":
        return call.args[0]
    name: str = parse(call.body, IMPORT, strict=False).get("fileName", "")
    return name.rpartition("/")[2]


def _refusal(ctx: Context, rule: Rule, call: Call) -> ApiError | None:
    match rule.fault:
        case "F1":
            return _quota("GenerateContentPaidTierInputTokensPerModelPerMinute", rule, call)
        case "F2":
            return _quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", rule, call)
        case "F3":
            limit = ctx.settings.project_storage_bytes or 1_000_000_000
            return ApiError(429, f"Corpus has reached the storage limit of {limit} bytes.")
        case "F4":
            return ApiError(429, "Resource has been exhausted (e.g. check quota).")
        case "F5":
            return ApiError(503, _UNAVAILABLE[rule.mode])
        case "F7":
            return ApiError(500, "Internal error encountered.")
        case "F8":
            return ApiError(400, "Failed to create file.")
        case "F10":
            file_id = _file_id(ctx, "stores.import", call)
            message = f"The File {file_id} is not in an ACTIVE state and usage is not allowed."
            return ApiError(400, message, status="FAILED_PRECONDITION")
        case "F22" if rule.mode == "conflict":
            return ApiError(409, f"{_chosen_id(ctx, call)} already exists.", status="")
    return None


def _chosen_id(ctx: Context, call: Call) -> str:
    start = ctx.db.value("SELECT start FROM upload WHERE n = ?", (uploads.upload_number(ctx, call),))
    name: str = msgspec.json.decode(start or b"{}").get("name", "ID")
    return name.rpartition("/")[2]


def _quota(quota_id: str, rule: Rule, call: Call) -> ApiError:
    seconds = DEFAULT_RETRY_DELAY_S if rule.seconds is None else rule.seconds
    model = call.args[0] if call.args and "/models/" in call.path else "gemini-embedding-001"
    return ApiError(
        429,
        _QUOTA.format(seconds=f"{seconds + 0.921:.3f}"),
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [
                    {
                        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                        "quotaId": quota_id,
                        "quotaDimensions": {"location": "global", "model": model},
                        "quotaValue": "20",
                    }
                ],
            },
            {
                "@type": "type.googleapis.com/google.rpc.Help",
                "links": [
                    {
                        "description": "Learn more about Gemini API quotas",
                        "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
                    }
                ],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{int(seconds)}s"},
        ],
    )


def afterwards(ctx: Context, rule: Rule, endpoint: str, call: Call, reply: Reply) -> Reply:
    """Change what a processed request made, and its reply.  Called within the request's transaction."""
    match rule.fault:
        case "F12":
            reply.delivery = Delivery.DROPPED if rule.mode == "closed" else Delivery.RESET
        case "F14" if reply.status == 200:
            return _spoil_operation(ctx, rule, endpoint, call, reply)
        case "F15" if reply.status == 200:
            _spoil_document(ctx, rule, endpoint, call, reply)
        case "F16" if reply.status == 200:
            return spoil_listing(ctx, rule, endpoint, call, reply)
        case "F17" | "F19":
            return _broken(rule, reply)
        case "F18" if reply.status == 200:
            _spoil_upload(rule, reply)
        case "F21" if reply.content_type == JSON and reply.status == 200:
            reply.body = json_reply(_from_the_future(msgspec.json.decode(reply.body), rule.mode)).body
        case "F23" if rule.mode == "unsearchable" and reply.status == 200:
            _hide_from_search(ctx, rule, endpoint, call, reply)
    return reply


def _made(ctx: Context, endpoint: str, call: Call, reply: Reply) -> tuple[int, str]:
    """Store number and id of the document (and operation) that a request made or asked about."""
    parts = call.path.split("/") if endpoint in ("operations.get", "upload_operations.get", "documents.get") else []
    if not parts:
        parts = msgspec.json.decode(reply.body)["name"].split("/")
    store_id = parts[parts.index("fileSearchStores") + 1]
    return ctx.db.value("SELECT n FROM store WHERE id = ?", (store_id,)), parts[-1]


def _spoil_operation(ctx: Context, rule: Rule, endpoint: str, call: Call, reply: Reply) -> Reply:
    change = {
        "never_done": "style = 'never_done'",
        "name_only": "style = 'name_only'",
        "error": "error = :error",
        "gone": "gone_at_us = 0",
        "misnamed": "style = 'misnamed'",
        "raw_named": "style = 'raw_named'",
    }[rule.mode]
    kind = "upload" if endpoint in ("stores.upload.finalize", "upload_operations.get") else "import"
    store, operation_id = _made(ctx, endpoint, call, reply)
    ctx.db.run(
        f"UPDATE operation SET {change} WHERE store = :store AND id = :id AND kind = :kind",  # noqa: S608 - constants
        {"store": store, "id": operation_id, "error": rule.message or FAILED_MESSAGE, "kind": kind},
    )
    if endpoint not in ("operations.get", "upload_operations.get"):
        return reply
    try:
        return operations.get_import(ctx, call) if kind == "import" else operations.get_upload(ctx, call)
    except ApiError as error:
        # Refused, and what made it so stays.
        return error.reply()


def _spoil_document(ctx: Context, rule: Rule, endpoint: str, call: Call, reply: Reply) -> None:
    store, document_id = _made(ctx, endpoint, call, reply)
    change = {
        "pending": "active_at_us = NULL, failed_at_us = NULL, searchable_at_us = NULL",
        "failed": "failed_at_us = ifnull(active_at_us, created_at_us), active_at_us = NULL, searchable_at_us = NULL",
        "failed_after_active": "fails_once_seen = 1",
    }[rule.mode]
    ctx.db.run(f"UPDATE document SET {change} WHERE store = ? AND id = ?", (store, document_id))  # noqa: S608
    if rule.mode == "pending":
        ctx.db.run("UPDATE operation SET done_at_us = NULL WHERE store = ? AND id = ?", (store, document_id))
    elif rule.mode == "failed":
        ctx.db.run(
            "UPDATE operation SET error = ? WHERE store = ? AND id = ?",
            (rule.message or FAILED_MESSAGE, store, document_id),
        )
    if endpoint == "documents.get":
        reply.body = documents.get(ctx, call).body


def _spoil_upload(rule: Rule, reply: Reply) -> None:
    headers = dict(reply.headers)
    match rule.mode:
        case "active" | "other":
            headers["X-Goog-Upload-Status"] = "active" if rule.mode == "active" else "unknown"
        case "no_file":
            reply.body = b"{}\n"
        case "no_url":
            headers.pop("X-Goog-Upload-URL", None)
            headers.pop("X-Goog-Upload-Control-URL", None)
    reply.headers = tuple(headers.items())


def _hide_from_search(ctx: Context, rule: Rule, endpoint: str, call: Call, reply: Reply) -> None:
    store, document_id = _made(ctx, endpoint, call, reply)
    ctx.db.run(
        "UPDATE document SET searchable_at_us = max(ifnull(searchable_at_us, 0), ?) WHERE store = ? AND id = ?",
        (ctx.now_us() + _search_lag_us(rule), store, document_id),
    )


def _search_lag_us(rule: Rule) -> int:
    return round((DEFAULT_SEARCH_LAG_S if rule.seconds is None else rule.seconds) * 1_000_000)


def _broken(rule: Rule, reply: Reply) -> Reply:
    """A reply that cannot be read.  What the upload protocol says in headers stays when it was processed."""
    match rule.mode:
        case "html_502":
            return Reply(502, _BAD_GATEWAY, HTML)
        case "json_502":
            return Reply(502, b'{"error": {"code": 502, "mess', JSON)
        case "empty_503":
            return Reply(503, b"", TEXT)
        case "empty_200":
            return Reply(200, b"", JSON, reply.headers)
        case "object_200":
            return Reply(200, b"{}\n", JSON, reply.headers)
        case "broken_200":
            return Reply(200, b'{"name": "fileSearch', JSON, reply.headers)
        case "truncated_200":
            reply.delivery = Delivery.TRUNCATED
        case "accept":
            reply.delivery = Delivery.SILENT
        case "headers":
            reply.delivery = Delivery.HEADERS_ONLY
    return reply


def _from_the_future(value: Any, mode: str) -> Any:
    """The reply of a newer service: enumeration values and fields that nobody knows yet, finer times."""
    if isinstance(value, list):
        return [_from_the_future(item, mode) for item in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, item in value.items():
        if key == "state" and mode in ("all", "enum"):
            out[key] = _NEW_ENUM_VALUE
        elif key.endswith("Time") and isinstance(item, str) and mode in ("all", "nanos"):
            whole, _, fraction = item.rstrip("Z").partition(".")
            out[key] = f"{whole}.{fraction:0<6}789Z"
        else:
            out[key] = _from_the_future(item, mode)
    if mode in ("all", "fields"):
        out["fieldOfTheFuture"] = {"level": 7}
    return out
