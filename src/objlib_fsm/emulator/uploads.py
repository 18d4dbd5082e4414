"""The resumable upload protocol: start, upload, finalize, query, cancel.

Bytes arrive in pieces and are kept as such; a session survives the process.  What a finished upload becomes, a raw
file or a document, is decided by where it was started.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from objlib_fsm.emulator import documents, files, mime, stores
from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.schema import PIECES_PER_BLOB
from objlib_fsm.emulator.shapes import DIRECT_START, FILE_START, parse
from objlib_fsm.emulator.wire import TEXT, ApiError, Call, Reply, invalid

GRANULARITY: Final = 8 * 1024 * 1024
"""Pieces that do not end an upload are multiples of this.  The service's X-Goog-Upload-Chunk-Granularity."""

_STATUS: Final = "X-Goog-Upload-Status"
_RECEIVED: Final = "X-Goog-Upload-Size-Received"
_ACTIVE: Final = ((_STATUS, "active"),)
_FINAL: Final = ((_STATUS, "final"),)

UNTYPED: Final = "application/octet-stream"
"""The type of an upload that names none."""


class Session(msgspec.Struct):
    """An upload under way; ``n`` is also the number of its blob."""

    n: int
    store: int | None
    start: dict[str, Any]
    declared: int | None
    mime_type: str
    file_name: str
    received: int
    pieces: int
    started_at_us: int


def command(call: Call) -> str:
    """What an upload request wants: start, data, finalize, query or cancel; "" when it says nothing known."""
    words = {word.strip() for word in call.headers.get("x-goog-upload-command", "").lower().split(",")}
    if "finalize" in words:
        return "finalize"
    if "upload" in words:
        return "data"
    for known in ("start", "query", "cancel"):
        if known in words:
            return known
    return ""


def start_file(ctx: Context, call: Call) -> Reply:
    """Begin the upload of a raw file.  No file exists yet."""
    body = parse(call.body, FILE_START, strict=ctx.settings.reject_unknown_keys).get("file", {})
    files.check_start(ctx, body)
    return _start(ctx, call, None, body)


def start_document(ctx: Context, call: Call) -> Reply:
    """Begin an upload straight into a store."""
    body = parse(call.body, DIRECT_START, strict=ctx.settings.reject_unknown_keys)
    store = stores.find(ctx, call.args[0])
    documents.check_request(ctx, body)
    return _start(ctx, call, store.n, body)


def _start(ctx: Context, call: Call, store: int | None, body: dict[str, Any]) -> Reply:
    if call.headers.get("x-goog-upload-protocol", "").lower() != "resumable":
        raise invalid("Only the resumable upload protocol is supported.")
    declared = _number(call, "x-goog-upload-header-content-length")
    if declared is None:
        declared = body.get("sizeBytes")
    settings = ctx.settings
    most = settings.max_file_bytes if store is None else settings.max_document_bytes
    if declared is not None and declared > most:
        raise invalid(f"The file is too large: {declared} bytes, the limit is {most} bytes.")
    db = ctx.db
    now_us = ctx.now_us()
    ctx.prune(now_us)
    if store is None:
        files.check_storage(ctx, declared or 0)
    n = db.next_ordinal()
    upload_id = _upload_id(ctx, n)
    db.run(
        "INSERT INTO upload(n, store, start, declared, mime_type, file_name, started_at_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            n,
            store,
            msgspec.json.encode(body),
            declared,
            mime.bare(body.get("mimeType") or call.headers.get("x-goog-upload-header-content-type", "")) or UNTYPED,
            call.headers.get("x-goog-upload-file-name", ""),
            now_us,
        ),
    )
    url = f"{call.origin}{call.path}?upload_id={upload_id}&upload_protocol=resumable"
    return Reply(
        200,
        b"",
        TEXT,
        (
            ("X-GUploader-UploadID", upload_id),
            *_ACTIVE,
            ("X-Goog-Upload-URL", url),
            ("X-Goog-Upload-Control-URL", url),
            ("X-Goog-Upload-Chunk-Granularity", str(GRANULARITY)),
        ),
    )


def data(ctx: Context, call: Call) -> Reply:
    """A piece that does not end the upload."""
    session = _open_session(ctx, call)
    _check_offset(session, call)
    if len(call.body) % GRANULARITY:
        raise invalid(
            f"The size of a chunk that is not the last must be a multiple of {GRANULARITY}, was {len(call.body)}.",
            headers=_ACTIVE,
        )
    _keep(ctx, session, call.body)
    ctx.db.run("UPDATE upload SET received = ?, pieces = ? WHERE n = ?", (session.received, session.pieces, session.n))
    return Reply(200, b"", TEXT, (*_ACTIVE, (_RECEIVED, str(session.received))))


def finalize(ctx: Context, call: Call) -> Reply:
    """The last piece, perhaps empty; makes the raw file or the document.

    A refusal that no repetition changes ends the session: it is recorded, and the reply's status is final.
    """
    session = _open_session(ctx, call)
    _check_offset(session, call)
    whole = call.body if session.pieces == 0 else None
    _keep(ctx, session, call.body)
    if session.declared is not None and session.received != session.declared and ctx.settings.size_mismatch_refused:
        return _end_refused(
            ctx,
            session,
            invalid(f"The upload has {session.received} bytes, but {session.declared} bytes were declared."),
        )
    ctx.db.run("DELETE FROM upload WHERE n = ?", (session.n,))
    try:
        if session.store is None:
            reply = files.create(
                ctx,
                blob=session.n,
                body=session.start,
                mime_type=session.mime_type,
                size_bytes=session.received,
                digest=_digest(ctx, session, whole),
            )
        else:
            reply = documents.create_direct(
                ctx,
                store=session.store,
                blob=session.n,
                body=session.start,
                mime_type=session.mime_type,
                file_name=session.file_name,
                size_bytes=session.received,
            )
    except ApiError as error:
        return _end_refused(ctx, session, error)
    reply.headers = (*_FINAL, (_RECEIVED, str(session.received)))
    return reply


def query(ctx: Context, call: Call) -> Reply:
    """How far an upload is."""
    session = _find_session(ctx, call)
    if session is None:
        return Reply(200, b"", TEXT, _FINAL)
    return Reply(200, b"", TEXT, (*_ACTIVE, (_RECEIVED, str(session.received))))


def cancel(ctx: Context, call: Call) -> Reply:
    """Give an upload up."""
    session = _open_session(ctx, call)
    _end(ctx, session)
    return Reply(200, b"", TEXT, ((_STATUS, "cancelled"),))


def unknown_command(_ctx: Context, call: Call) -> Reply:
    """Neither a start nor a command of a session."""
    named = call.headers.get("x-goog-upload-command", "")
    raise invalid(f'Invalid upload command: "{named}".')


def _upload_id(ctx: Context, n: int) -> str:
    """The capability to go on with upload ``n``: nobody can guess another's."""
    return f"{ctx.draws.letters('upload', str(n), 24)}{n:x}"


def upload_number(ctx: Context, call: Call) -> int | None:
    """Which upload a request names, whether it is still under way or not; None when it was never begun."""
    upload_id = call.query.get("upload_id", "")
    try:
        n = int(upload_id[24:], 16)
    except ValueError:
        return None
    return n if upload_id == _upload_id(ctx, n) else None


def _find_session(ctx: Context, call: Call) -> Session | None:
    """The session, or None when it was ended.  Raises `ApiError` 404 when there never was one, or it expired."""
    n = upload_number(ctx, call)
    if n is None:
        raise ApiError(404, "The upload session does not exist.", headers=_FINAL)
    row = ctx.db.row(
        "SELECT n, store, start, declared, mime_type, file_name, received, pieces, started_at_us"
        " FROM upload WHERE n = ?",
        (n,),
    )
    if row is None:
        return None
    if row[8] + ctx.settings.upload_session_ttl_s * 1_000_000 <= ctx.now_us():
        raise ApiError(404, "The upload session has expired.", headers=_FINAL)
    return Session(row[0], row[1], msgspec.json.decode(row[2]), *row[3:])


def _open_session(ctx: Context, call: Call) -> Session:
    session = _find_session(ctx, call)
    if session is None:
        raise invalid("Upload has already been terminated.", headers=_FINAL)
    return session


def _check_offset(session: Session, call: Call) -> None:
    offset = _number(call, "x-goog-upload-offset")
    if offset is not None and offset != session.received:
        raise invalid(
            f"Invalid upload offset: got {offset}, {session.received} bytes are received.",
            headers=(*_ACTIVE, (_RECEIVED, str(session.received))),
        )


def _keep(ctx: Context, session: Session, body: bytes) -> None:
    """Store bytes in pieces of the granularity."""
    for begin in range(0, len(body), GRANULARITY):
        if session.pieces >= PIECES_PER_BLOB:
            raise invalid("The upload has too many chunks.", headers=_ACTIVE)
        ctx.db.add_piece(session.n, session.pieces, body[begin : begin + GRANULARITY])
        session.pieces += 1
    session.received += len(body)


def _digest(ctx: Context, session: Session, whole: bytes | None) -> bytes:
    if whole is not None:
        return sha256(whole).digest()
    hasher = sha256()
    for piece in ctx.db.pieces(session.n):
        hasher.update(piece)
    return hasher.digest()


def _end_refused(ctx: Context, session: Session, error: ApiError) -> Reply:
    _end(ctx, session)
    error.headers = _FINAL
    return error.reply()


def _end(ctx: Context, session: Session) -> None:
    ctx.db.run("DELETE FROM upload WHERE n = ?", (session.n,))
    ctx.db.drop_blob(session.n)


def _number(call: Call, header: str) -> int | None:
    text: Mapping[str, str] | str = call.headers.get(header, "")
    if not text:
        return None
    if not isinstance(text, str) or not text.isascii() or not text.isdigit():
        raise invalid(f'Invalid value of the header {header}: "{text}".')
    return int(text)
