"""The names that things have, each with a type of its own.

A bare string never crosses a boundary of this program: an operation's name cannot be passed where a document's
name is wanted, and a document is known by its full name or not at all.  (Both mistakes cost people before us
weeks: a bare suffix sent to ``documents.delete`` answers 404, and an operation id stored as document id makes every
later call fail.)

The types are ``NewType`` over ``str``: free at run time, checked by the type checker, and made only by the
functions below, which refuse what is not of the right form.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NewType

import msgspec

StreamId = NewType("StreamId", str)
"""One file's history: 16 lower-case base32 characters (80 random bits), given when the file is discovered."""

LibraryId = NewType("LibraryId", str)
"""The library's own identity: 16 lower-case base32 characters, made with the log."""

EventId = NewType("EventId", str)
"""One event: 32 hexadecimal digits (the millisecond, then 80 random bits), chosen before the append."""

RunId = NewType("RunId", str)
"""One process that appends: 16 lower-case base32 characters."""

RawFileName = NewType("RawFileName", str)
"""``files/{id}``: bytes kept by the service for 48 hours."""

StoreName = NewType("StoreName", str)
"""``fileSearchStores/{id}``."""

OperationName = NewType("OperationName", str)
"""``fileSearchStores/{store}/operations/{id}`` or ``fileSearchStores/{store}/upload/operations/{id}``."""

DocumentName = NewType("DocumentName", str)
"""``fileSearchStores/{store}/documents/{id}``, always in full."""

MetadataValue = str | int | float | Sequence[str]
"""What one key of a document's metadata holds."""

SHORT_ID_BYTES: Final = 10
"""80 bits: two million files collide with a probability below 1e-11."""

EVENT_ID_RANDOM_BYTES: Final = 10
"""80 bits for each millisecond, as a ULID has."""

_MILLISECONDS_MASK: Final = (1 << 48) - 1

RAW_FILE_ID_CHARS_MAX: Final = 40
"""The service's limit on ``files/{id}``: at most 40 of ``[a-z0-9-]``, no dash at either end."""

PAYLOAD_ID_CHARS: Final = 2 * SHORT_ID_BYTES
"""Hexadecimal digits: asked for a dozen times while a file is worked on, so it is a slice and not an encoding."""

_RAW_FILE_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_STORE = re.compile(r"fileSearchStores/[^/\s]+")
_DOCUMENT = re.compile(r"fileSearchStores/[^/\s]+/documents/[^/\s]+")
_OPERATION = re.compile(r"fileSearchStores/[^/\s]+/(?:upload/)?operations/[^/\s]+")
_RAW_FILE = re.compile(r"files/[^/\s]+")


class BadName(ValueError):
    """A name from the service that does not have the form its kind of name has."""


def short_id(random_bytes: bytes) -> str:
    """Lower-case base32 without padding, safe in file ids, metadata and on a command line."""
    return base64.b32encode(random_bytes).decode("ascii").rstrip("=").lower()


def new_event_id(random_bytes: Callable[[int], bytes], now_us: int = 0) -> EventId:
    """An id for an event to be appended.

    Its first six bytes are *now_us* in milliseconds, as in a ULID: ids that are made one after the other are
    neighbours in the log's index, and a commit writes one page of it instead of one for each event.  Nothing else
    depends on it.
    """
    milliseconds = now_us // 1_000 & _MILLISECONDS_MASK
    return EventId(f"{milliseconds:012x}{random_bytes(EVENT_ID_RANDOM_BYTES).hex()}")


def store_name(text: str) -> StoreName:
    """Raises `BadName` unless *text* is a store's full resource name."""
    return StoreName(_checked(_STORE, text, "store"))


def raw_file_name(text: str) -> RawFileName:
    """Raises `BadName` unless *text* is ``files/{id}``."""
    return RawFileName(_checked(_RAW_FILE, text, "raw file"))


def operation_name(text: str) -> OperationName:
    """Raises `BadName` unless *text* is an operation's full name."""
    return OperationName(_checked(_OPERATION, text, "operation"))


def document_name(store: StoreName, text: str) -> DocumentName:
    """The full document name from either form the service uses.

    ``importFile`` operations answer with the bare id, direct uploads with the full name.  Raises `BadName` for an
    empty text and for a document of another store.
    """
    full = text if "/" in text else f"{store}/documents/{text}"
    if not full.startswith(f"{store}/documents/"):
        raise BadName(f"{text!r} is not a document of {store}")
    return DocumentName(_checked(_DOCUMENT, full, "document"))


def raw_file_for(library: LibraryId, stream: StreamId, payload_hash: str, generation: int) -> RawFileName:
    """The name we choose for a raw file, the same whenever the same bytes of the same file are sent.

    After a crash a look-up by this name answers "did it arrive?", and a repeated upload is a conflict that we can
    recognise instead of a second file.
    """
    digest = hashlib.sha256(f"{library}\n{stream}\n{payload_hash}\n{generation}".encode("ascii")).digest()
    name = f"obj-{short_id(digest[:20])}"
    assert len(name) <= RAW_FILE_ID_CHARS_MAX
    assert _RAW_FILE_ID.fullmatch(name)
    return RawFileName(f"files/{name}")


def payload_id(payload_hash: str) -> str:
    """The short form of a payload hash: its first 80 bits.

    Empty for the empty hash of a file whose bytes nobody has read.
    """
    return payload_hash[:PAYLOAD_ID_CHARS]


def metadata_hash(metadata: Mapping[str, MetadataValue]) -> str:
    """SHA-256 of the metadata in a form that does not depend on the order of its keys; empty for none."""
    return hashlib.sha256(msgspec.json.encode(metadata, order="sorted")).hexdigest() if metadata else ""


def document_id(payload_hash: str, described: str = "", resets: int = 0) -> str:
    """What a document stands for, in 80 bits: these bytes, described by metadata of this hash, after so many resets.

    Without metadata and resets it is `payload_id`, so that documents from before there were any keep their meaning.
    """
    if not (described or resets) or not payload_hash:
        return payload_id(payload_hash)
    return hashlib.sha256(f"{payload_hash}\n{described}\n{resets}".encode("ascii")).hexdigest()[:PAYLOAD_ID_CHARS]


def _checked(form: re.Pattern[str], text: str, kind: str) -> str:
    if not form.fullmatch(text):
        raise BadName(f"{text!r} is not the name of a {kind}")
    return text
