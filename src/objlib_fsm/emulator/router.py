"""Which request is for which endpoint: the table of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from objlib_fsm.emulator import documents, files, generate, operations, stores, uploads
from objlib_fsm.emulator.context import Context
from objlib_fsm.emulator.wire import Call, Reply, invalid

Handler = Callable[[Context, Call], Reply]

VERSIONS: Final = frozenset(["v1", "v1beta", "v1alpha"])


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the API.  ``writes``: runs in a transaction.  ``query``: its own query parameters."""

    name: str
    handler: Handler
    writes: bool = False
    query: frozenset[str] = frozenset()
    kind: str = "request"
    """Which latency delays its reply: request, upload or answer."""


_COMMON: Final = """
    key alt $alt fields $fields prettyPrint $prettyPrint access_token callback quotaUser uploadType upload_protocol
    upload_id uploadId uploadProtocol $.xgafv
"""
_COMMON_QUERY: Final = frozenset(_COMMON.split())
_PAGES: Final = frozenset(["pageSize", "pageToken"])
_FORCE: Final = frozenset(["force"])
_CAMEL: Final = {"page_size": "pageSize", "page_token": "pageToken"}


def _upload_endpoints(prefix: str, start: Handler) -> Mapping[str, Endpoint]:
    made = {
        "start": Endpoint(name=f"{prefix}.upload.start", handler=start, writes=True),
        "data": Endpoint(name=f"{prefix}.upload.data", handler=uploads.data, writes=True, kind="upload"),
        "finalize": Endpoint(name=f"{prefix}.upload.finalize", handler=uploads.finalize, writes=True, kind="upload"),
        "query": Endpoint(name=f"{prefix}.upload.query", handler=uploads.query),
        "cancel": Endpoint(name=f"{prefix}.upload.cancel", handler=uploads.cancel, writes=True),
    }
    return {**made, "": Endpoint(name=f"{prefix}.upload", handler=uploads.unknown_command)}


# Methods and paths below the version; * stands for an id.
_UPLOADS: Final = {
    "POST files": _upload_endpoints("files", uploads.start_file),
    "POST fileSearchStores/*:uploadToFileSearchStore": _upload_endpoints("stores", uploads.start_document),
}

_ENDPOINTS: Final = {
    "GET files/*": Endpoint(name="files.get", handler=files.get),
    "GET files": Endpoint(name="files.list", handler=files.list_, query=_PAGES),
    "DELETE files/*": Endpoint(name="files.delete", handler=files.delete, writes=True),
    "GET files/*:download": Endpoint(name="files.download", handler=files.download),
    "POST fileSearchStores": Endpoint(name="stores.create", handler=stores.create, writes=True),
    "GET fileSearchStores/*": Endpoint(name="stores.get", handler=stores.get),
    "GET fileSearchStores": Endpoint(name="stores.list", handler=stores.list_, query=_PAGES),
    "DELETE fileSearchStores/*": Endpoint(name="stores.delete", handler=stores.delete, writes=True, query=_FORCE),
    "POST fileSearchStores/*:importFile": Endpoint(name="stores.import", handler=documents.import_file, writes=True),
    "GET fileSearchStores/*/operations/*": Endpoint(name="operations.get", handler=operations.get_import),
    "GET fileSearchStores/*/upload/operations/*": Endpoint(name="upload_operations.get", handler=operations.get_upload),
    "GET fileSearchStores/*/documents": Endpoint(name="documents.list", handler=documents.list_, query=_PAGES),
    "GET fileSearchStores/*/documents/*": Endpoint(name="documents.get", handler=documents.get),
    "DELETE fileSearchStores/*/documents/*": Endpoint(
        name="documents.delete", handler=documents.delete, writes=True, query=_FORCE
    ),
    "GET fileSearchStores/*/media/*": Endpoint(name="media.download", handler=documents.media),
    "POST models/*:generateContent": Endpoint(name="models.generate", handler=generate.generate, kind="answer"),
    "POST models/*:streamGenerateContent": Endpoint(name="models.stream", handler=generate.stream, kind="answer"),
}


def endpoints() -> list[Endpoint]:
    """All endpoints, as the table has them."""
    return [one for several in _UPLOADS.values() for one in several.values()] + list(_ENDPOINTS.values())


def route(call: Call) -> Endpoint | None:
    """The endpoint of a request, with ``version``, ``args`` and ``query`` of the call filled in.

    None for a path or method that the API does not have.
    """
    parts = call.path.split("/")[1:]
    uploads_here = bool(parts) and parts[0] == "upload"
    if uploads_here:
        del parts[0]
    if len(parts) < 2 or parts[0] not in VERSIONS:
        return None
    call.version = parts.pop(0)
    verb = ""
    if len(parts) % 2 == 0 or "upload" in parts:
        parts[-1], colon, verb = parts[-1].partition(":")
        verb = colon + verb
    args = []
    first_id = 1
    shape = parts[:]
    if len(parts) == 5 and parts[2] == "upload":
        args.append(parts[1])
        shape[1] = "*"
        first_id = 4
    for index in range(first_id, len(parts), 2):
        if not parts[index]:
            return None
        args.append(parts[index])
        shape[index] = "*"
    call.args = tuple(args)
    call.query = dict(parse_qsl(call.query_string, keep_blank_values=True)) if call.query_string else {}
    key = f"{call.method} {'/'.join(shape)}{verb}"
    if not uploads_here:
        return _ENDPOINTS.get(key)
    several = _UPLOADS.get(key)
    if several is None:
        return None
    wanted = uploads.command(call)
    # A command of a session names it; a start does not.
    if (wanted == "start") == ("upload_id" in call.query):
        wanted = ""
    return several[wanted]


def check_query(endpoint: Endpoint, call: Call, *, strict: bool) -> None:
    """Bring the query's keys into camelCase.  Raises `ApiError` 400 for a parameter that the API does not know."""
    if not call.query:
        return
    out = {}
    for key, value in call.query.items():
        name = _CAMEL.get(key, key)
        if strict and name not in endpoint.query and name not in _COMMON_QUERY:
            raise invalid(
                f'Invalid JSON payload received. Unknown name "{key}": Cannot bind query parameter. '
                f"Field '{key}' could not be found in request message."
            )
        out[name] = value
    call.query = out
