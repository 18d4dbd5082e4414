"""The wire under the real SDK: answers from a script, and a socket that misbehaves."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from typing import Any

import anyio
import httpx2

from objlib_fsm.core.ids import DocumentName, OperationName, RawFileName, StoreName
from objlib_fsm.remote.gemini import GeminiRemote
from objlib_fsm.remote.port import Answer, DocumentsPage, OperationStatus, RawFile, RemoteDocument, StoreInfo

BASE_URL = "http://127.0.0.1:9"
"""Nothing listens on the discard port; scripted answers need no listener."""

KEY = "TheRealKeyOfThisTest_0123456789ab"
"""Of no known form: only as itself can it be found in a text."""

STORE = StoreName("fileSearchStores/s-1")
DOCUMENT = DocumentName("fileSearchStores/s-1/documents/d-1")
OPERATION = OperationName("fileSearchStores/s-1/operations/o-1")
RAW = RawFileName("files/raw-1")

Result = RawFile | StoreInfo | RemoteDocument | OperationStatus | OperationName | Answer | Sequence[Any] | None


class Reply:
    """A scripted answer: an HTTP status with a JSON value, bytes, or nothing."""

    def __init__(self, status: int, body: Any = b"", **headers: str) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def __str__(self) -> str:
        return f"{self.status} {self.body[:20]!r}"


Scripted = Reply | BaseException | None
"""None: never answers."""


class ScriptedTransport(httpx2.AsyncBaseTransport):
    """Answers in turn; `requests` has what was sent, with their bodies."""

    def __init__(self, answers: Sequence[Scripted]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        self.requests.append(request)
        assert self.answers, f"an unexpected request: {request.method} {request.url}"
        answer = self.answers.pop(0)
        if answer is None:
            await anyio.sleep_forever()
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, Reply)
        headers = {"content-type": "application/json; charset=UTF-8", **answer.headers}
        return httpx2.Response(answer.status, content=answer.body, headers=headers)


@asynccontextmanager
async def scripted(*answers: Scripted) -> AsyncIterator[tuple[GeminiRemote, ScriptedTransport]]:
    """The adapter over these answers."""
    transport = ScriptedTransport(answers)
    remote = GeminiRemote(KEY, base_url=BASE_URL, transport=transport)
    try:
        yield remote, transport
    finally:
        await remote.aclose()


def error(code: int, message: str = "", status: str | None = None, details: list[Any] | None = None) -> Reply:
    """An error as the service words it."""
    body: dict[str, Any] = {"code": code, "message": message}
    if status is not None:
        body["status"] = status
    if details is not None:
        body["details"] = details
    return Reply(code, {"error": body})


def session(url: str = f"{BASE_URL}/upload/v1/files?upload_id=1") -> Reply:
    """The answer to the start of an upload."""
    return Reply(200, b"", X_Goog_Upload_URL=url, X_Goog_Upload_Status="active")


def final(answer: Reply) -> Reply:
    """*answer* as the end of an upload."""
    answer.headers["X-Goog-Upload-Status"] = "final"
    return answer


# ---- calls -----------------------------------------------------------------------------------------------------------


async def upload(remote: GeminiRemote, payload: bytes = b"hello") -> RawFile:
    return await remote.upload(
        RAW, BytesIO(payload), size_bytes=len(payload), mime_type="text/plain", display_name="hello.txt"
    )


async def get_raw(remote: GeminiRemote) -> RawFile:
    return await remote.get_raw(RAW)


async def delete_raw(remote: GeminiRemote) -> None:
    await remote.delete_raw(RAW)


async def import_raw(remote: GeminiRemote) -> OperationName:
    return await remote.import_raw(STORE, RAW, {})


async def get_operation(remote: GeminiRemote) -> OperationStatus:
    return await remote.get_operation(OPERATION)


async def get_document(remote: GeminiRemote) -> RemoteDocument:
    return await remote.get_document(DOCUMENT)


async def documents_page(remote: GeminiRemote) -> DocumentsPage:
    return await remote.documents_page(STORE)


async def delete_document(remote: GeminiRemote) -> None:
    await remote.delete_document(DOCUMENT)


async def create_store(remote: GeminiRemote) -> StoreInfo:
    return await remote.create_store("objlib")


async def get_store(remote: GeminiRemote) -> StoreInfo:
    return await remote.get_store(STORE)


async def find_stores(remote: GeminiRemote) -> Sequence[StoreInfo]:
    return await remote.find_stores("objlib")


async def ask(remote: GeminiRemote) -> Answer:
    return await remote.ask(STORE, "What?", model="gemini-2.5-flash")


READS: tuple[Callable[[GeminiRemote], Any], ...] = (
    get_raw,
    get_operation,
    get_document,
    documents_page,
    get_store,
    find_stores,
    ask,
)
WRITES: tuple[Callable[[GeminiRemote], Any], ...] = (delete_raw, import_raw, delete_document, create_store)
"""Those of one request; `upload` has two."""


# ---- a real socket ---------------------------------------------------------------------------------------------------


@contextmanager
def listener(answer: Callable[[bytes], bytes | None]) -> Iterator[tuple[str, list[bytes]]]:
    """A TCP server that answers each request with bytes, as they are, and closes; None: it closes at once.

    Yields its address and the requests it was sent.
    """
    requests: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                request = _one_request(connection)
                if not request:
                    continue
                requests.append(request)
                reply = answer(request)
                if reply is not None:
                    connection.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", requests
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)


def _one_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(65_536)
        if not block:
            return data
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < (int(lengths[0]) if lengths else 0):
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def http(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """The bytes of an answer."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers)
    return "\r\n".join((*lines, "Connection: close", "", "")).encode() + body
