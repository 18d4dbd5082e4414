"""Listings that misbehave."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.wire import Call, Reply, json_reply, listing_start, make_page_token, read_page_token, rfc3339

DEFAULT_LISTING_LAG_S: Final = 1.5

_TABLE_OF_LISTING: Final = {"files.list": "file", "stores.list": "store", "documents.list": "document"}


def spoil_listing(ctx: Context, rule: Rule, endpoint: str, call: Call, reply: Reply) -> Reply:
    """What a listing shows while others write, or when paging itself is broken (F16)."""
    page: dict[str, Any] = msgspec.json.decode(reply.body)
    items = next((key for key in page if key != "nextPageToken"), "")
    table = _TABLE_OF_LISTING[endpoint]
    settings = ctx.settings
    newest_first = (table == "file" and settings.files_newest_first) or (
        table == "document" and settings.documents_newest_first
    )
    listing = {"file": "files", "store": "stores"}.get(table, "")
    if table == "document":
        store = ctx.db.value("SELECT n FROM store WHERE id = ?", (call.args[0],))
        listing = f"documents of {store}"
    token = call.query.get("pageToken") or make_page_token(listing, listing_start(newest_first))
    match rule.mode:
        case "lag" if items:
            lag_s = DEFAULT_LISTING_LAG_S if rule.seconds is None else rule.seconds
            newest = datetime.fromisoformat(rfc3339(ctx.now_us() - round(lag_s * 1_000_000)))
            page[items] = [item for item in page[items] if datetime.fromisoformat(item["createTime"]) <= newest]
            if not page[items]:
                del page[items]
        case "empty_page":
            page = {"nextPageToken": token}
        case "same_token":
            page["nextPageToken"] = token
        case "duplicate" | "missing" if "nextPageToken" in page:
            after = read_page_token(listing, page["nextPageToken"])
            if rule.mode == "duplicate":
                after += 1 if newest_first else -1
            else:
                pick, beyond = ("max", "<") if newest_first else ("min", ">")
                sql = f"SELECT {pick}(n) FROM {table} WHERE n {beyond} ?"  # noqa: S608 - constants
                if table == "document":
                    sql += f" AND store = {int(store)}"
                after = ctx.db.value(sql, (after,)) or after
            page["nextPageToken"] = make_page_token(listing, after)
    return json_reply(page)
