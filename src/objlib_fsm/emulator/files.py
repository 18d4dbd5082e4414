"""Raw files: what an upload leaves for 48 hours."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any, Final

import msgspec

from objlib_fsm.emulator import mime
from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.wire import (
    ApiError,
    Call,
    Reply,
    drop_empty,
    forbidden,
    invalid,
    json_reply,
    listing_start,
    make_page_token,
    page_size,
    read_page_token,
    rfc3339,
)

URI_PREFIX: Final = "https://generativelanguage.googleapis.com/v1beta/files/"
"""The service's own host, also here: the SDK takes a file's URI only with https."""

MAX_DISPLAY_NAME: Final = 512
DEFAULT_PAGE: Final = 10
MAX_PAGE: Final = 100
GENERATED_ID_LENGTH: Final = 12

_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""At most 40 of [a-z0-9-], no dash at either end."""

_COLUMNS: Final = (
    "n, id, display_name, mime_type, size_bytes, sha256, created_at_us, active_at_us, failed_at_us, expires_at_us"
)


class RawFile(msgspec.Struct):
    """A row of the table of raw files; ``n`` is also the number of its blob."""

    n: int
    id: str
    display_name: str
    mime_type: str
    size_bytes: int
    sha256: bytes
    created_at_us: int
    active_at_us: int | None
    failed_at_us: int | None
    expires_at_us: int

    def state(self, now_us: int) -> str:
        """PROCESSING, ACTIVE or FAILED."""
        if self.failed_at_us is not None and self.failed_at_us <= now_us:
            return "FAILED"
        if self.active_at_us is not None and self.active_at_us <= now_us:
            return "ACTIVE"
        return "PROCESSING"


def check_start(ctx: Context, body: dict[str, Any]) -> None:
    """Refuse what the start of an upload already shows to be wrong."""
    name = body.get("name", "")
    if name:
        if ctx.settings.honours_chosen_ids == "refuse":
            raise invalid("Request contains an invalid argument.")
        prefix, _, file_id = name.rpartition("/")
        if prefix not in ("", "files") or _ID.fullmatch(file_id) is None:
            raise invalid(
                f"Invalid file name: {name}. An id has at most 40 lower-case letters, digits and dashes, and no dash "
                "at either end."
            )
    if len(body.get("displayName", "")) > MAX_DISPLAY_NAME:
        raise invalid(f"The display_name must be at most {MAX_DISPLAY_NAME} characters.")


def check_storage(ctx: Context, more_bytes: int) -> None:
    """429 when the raw files of the project would be too much.

    The sum is taken when what was free at the last one may be used up, so not at every upload.
    """
    if more_bytes > ctx.file_bytes_free:
        ctx.prune(ctx.now_us(), force=True)
        used = ctx.db.value("SELECT ifnull(sum(size_bytes), 0) FROM file")
        ctx.file_bytes_free = ctx.settings.file_storage_bytes - used
        if more_bytes > ctx.file_bytes_free:
            limit = ctx.settings.file_storage_bytes
            raise ApiError(429, f"You have exceeded the file storage quota of {limit} bytes per project.")


def create(ctx: Context, *, blob: int, body: dict[str, Any], mime_type: str, size_bytes: int, digest: bytes) -> Reply:
    """Make the raw file of a finished upload."""
    settings = ctx.settings
    allowed = settings.upload_mime_types
    if not mime.is_well_formed(mime_type) or (allowed is not None and mime_type not in allowed):
        raise invalid(f"Unsupported MIME type: {mime_type}")
    check_storage(ctx, size_bytes)
    ctx.file_bytes_free -= size_bytes
    now_us = ctx.now_us()
    chosen = body.get("name", "").rpartition("/")[2] if settings.honours_chosen_ids is True else ""
    file_id = chosen or ctx.draws.letters("file", str(blob), GENERATED_ID_LENGTH)
    _check_free(ctx, file_id, now_us)
    active_at_us = now_us + ctx.draws.micros(settings.latencies.file_processing, "file_processing", file_id)
    failed = ctx.draws.happens(settings.file_failed_share, "file_failed", file_id)
    file = RawFile(
        blob,
        file_id,
        body.get("displayName", ""),
        mime_type,
        size_bytes,
        digest,
        now_us,
        None if failed else active_at_us,
        active_at_us if failed else None,
        now_us + round(settings.file_ttl_s * 1_000_000),
    )
    ctx.db.run(
        f"INSERT INTO file({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constant columns
        msgspec.structs.astuple(file),
    )
    return json_reply({"file": to_json(ctx, file, now_us)})


def _check_free(ctx: Context, file_id: str, now_us: int) -> None:
    expires_at_us = ctx.db.value("SELECT expires_at_us FROM file WHERE id = ?", (file_id,))
    if expires_at_us is not None and expires_at_us <= now_us:
        ctx.remove_file(file_id)
        expires_at_us = None
    if expires_at_us is None and not ctx.settings.expired_ids_reusable:
        expires_at_us = ctx.db.value("SELECT 1 FROM retired WHERE id = ?", (file_id,))
    if expires_at_us is not None:
        raise ApiError(409, f"{file_id} already exists.", status="")


def find(ctx: Context, file_id: str, now_us: int) -> RawFile:
    """The raw file of that id.  Raises `ApiError` 403 when there is none, or none any more."""
    row = ctx.db.row(f"SELECT {_COLUMNS} FROM file WHERE id = ?", (file_id,))  # noqa: S608
    if row is None or row[9] <= now_us:
        raise forbidden("File", file_id)
    return RawFile(*row)


def to_json(ctx: Context, file: RawFile, now_us: int) -> dict[str, Any]:
    """The File resource."""
    state = file.state(now_us)
    text = file.sha256.hex().encode() if ctx.settings.sha256_of == "hex_text" else file.sha256
    out: dict[str, Any] = {"name": f"files/{file.id}"}
    if file.display_name:
        out["displayName"] = file.display_name
    out["mimeType"] = file.mime_type
    if file.size_bytes:
        out["sizeBytes"] = str(file.size_bytes)
    out["createTime"] = out["updateTime"] = rfc3339(file.created_at_us)
    changed_at_us = file.failed_at_us if file.active_at_us is None else file.active_at_us
    if changed_at_us is not None and file.created_at_us < changed_at_us <= now_us:
        out["updateTime"] = rfc3339(changed_at_us)
    out["expirationTime"] = rfc3339(file.expires_at_us)
    out["sha256Hash"] = b64encode(text).decode()
    out["uri"] = URI_PREFIX + file.id
    out["state"] = state
    out["source"] = "UPLOADED"
    if state == "FAILED":
        out["error"] = {"code": 13, "message": "The file could not be processed."}
    return out


def get(ctx: Context, call: Call) -> Reply:
    """GET files/{id}."""
    now_us = ctx.now_us()
    return json_reply(to_json(ctx, find(ctx, call.args[0], now_us), now_us))


def delete(ctx: Context, call: Call) -> Reply:
    """DELETE files/{id}."""
    find(ctx, call.args[0], ctx.now_us())
    ctx.remove_file(call.args[0])
    return json_reply({})


def list_(ctx: Context, call: Call) -> Reply:
    """GET files."""
    settings = ctx.settings
    size = page_size(call.query, default=DEFAULT_PAGE, most=MAX_PAGE, clamp=settings.files_page_over_max == "clamp")
    token = call.query.get("pageToken", "")
    after = read_page_token("files", token) if token else listing_start(settings.files_newest_first)
    order, beyond = ("DESC", "<") if settings.files_newest_first else ("ASC", ">")
    now_us = ctx.now_us()
    rows = ctx.db.run(
        f"SELECT {_COLUMNS} FROM file WHERE expires_at_us > ? AND n {beyond} ? ORDER BY n {order} LIMIT ?",  # noqa: S608
        (now_us, after, size + 1),
    ).fetchall()
    page = [RawFile(*row) for row in rows[:size]]
    return json_reply(
        drop_empty(
            {
                "files": [to_json(ctx, file, now_us) for file in page],
                "nextPageToken": make_page_token("files", page[-1].n) if len(rows) > size else "",
            }
        )
    )


def download(ctx: Context, call: Call) -> Reply:
    """GET files/{id}:download.  Only generated files can be downloaded, and here are only uploaded ones."""
    find(ctx, call.args[0], ctx.now_us())
    message = f"The file files/{call.args[0]} is not downloadable: only generated files can be downloaded."
    raise ApiError(ctx.settings.download_refused_code, message)


def all_files(ctx: Context) -> list[dict[str, Any]]:
    """Every raw file that has not expired, as File resources; oldest first."""
    now_us = ctx.now_us()
    rows = ctx.db.run(f"SELECT {_COLUMNS} FROM file WHERE expires_at_us > ? ORDER BY n", (now_us,))  # noqa: S608
    return [to_json(ctx, RawFile(*row), now_us) for row in rows]
