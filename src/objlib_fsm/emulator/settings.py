"""What can differ between this server and the service, or between two days of the service: all of it a setting.

The defaults are an instantaneous, well-behaved service.  What nobody has verified against the live service is marked
[U]; each such point is a setting, so that a client can be tested against every possible answer.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from objlib_fsm.emulator.mime import DOCUMENT_MIME_TYPES

DAY_S: Final = 86_400.0


class Latency(msgspec.Struct, frozen=True):
    """A duration in seconds, drawn uniformly from ``[low_s, high_s]``; constant when ``high_s <= low_s``."""

    low_s: float = 0.0
    high_s: float = 0.0


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """How long things take.

    The first three delay replies, drawn per request ordinal.  The others are about state, drawn per file or
    document id, and cost no waiting inside the server: a row becomes true when the clock says so.
    """

    request: Latency = Latency()
    """Every request except those below."""
    upload: Latency = Latency()
    """The data requests of an upload."""
    answer: Latency = Latency()
    """generateContent and its stream."""
    file_processing: Latency = Latency()
    """Upload finalized until the raw file is ACTIVE."""
    index: Latency = Latency()
    """Document created until it is ACTIVE."""
    operation: Latency = Latency()
    """Document ACTIVE until its operation says done."""
    search: Latency = Latency()
    """Document ACTIVE until a search finds it."""
    listing: Latency = Latency()
    """Document created until a listing shows it."""
    citation: Latency = Latency()
    """Document deleted until a search no longer cites it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of the emulator.  Sizes in bytes, durations in seconds, shares in [0, 1]."""

    seed: int | None = None
    """Seed of ids and latencies; None: a random one, made with the database and kept in it."""
    latencies: Latencies = Latencies()

    # Trouble that comes by itself; faults on purpose are rules, see `faults`
    create_failed_share: float = 0.0
    """Share of imports that are answered 400 "Failed to create file."; the same call made again may succeed."""
    unavailable_share: float = 0.0
    """Share of requests that change something and are answered 500 or 503, one as often as the other."""

    # Keys
    api_keys: frozenset[str] | None = None
    """Accepted API keys; None: any key that is not empty."""
    key_required: bool = True

    # Requests
    reject_unknown_keys: bool = True
    """400 for JSON keys and query parameters that the API does not know, as the service does; False ignores them."""
    max_body_bytes: int = 512 * 1024 * 1024
    """Largest request body; more is answered 413.  A request's body is held in memory."""

    changes_per_minute: int | None = None
    """Calls that change something in any 60 seconds; one more is answered 429 with RetryInfo, and each reply has
    ``x-ratelimit-*`` headers.  None: no limit and no such headers, as the service. [U]"""

    # Raw files
    honours_chosen_ids: Literal[True, False, "refuse"] = True
    """The id that a client chose for a raw file is kept, replaced by a generated one, or refused with 400. [U]"""
    expired_ids_reusable: bool = True
    """A new file may take the id of one that expired or was deleted; False: 409, while get says 403. [U]"""
    file_ttl_s: float = 2 * DAY_S
    file_storage_bytes: int = 21_474_836_480
    """Raw files of a project; over it 429 at the start of an upload. [U]"""
    max_file_bytes: int = 2 * 1024**3
    size_mismatch_refused: bool = True
    """400 when fewer or more bytes arrive than were declared. [U]"""
    upload_session_ttl_s: float = 7 * DAY_S
    """[U]"""
    sha256_of: Literal["hex_text", "digest"] = "hex_text"
    """sha256Hash is base64 of the hex text (observed) or of the 32 bytes (what the documentation suggests)."""
    upload_mime_types: frozenset[str] | None = None
    """Types a raw file may have; None: any well-formed one."""
    files_page_over_max: Literal["clamp", "refuse"] = "clamp"
    """What happens to a page size above 100. [U]"""
    files_newest_first: bool = True
    """Order of the listing of raw files. [U]"""
    file_failed_share: float = 0.0
    """Share of raw files that end FAILED instead of ACTIVE."""
    download_refused_code: Literal[400, 403] = 400
    """Answer to the download of an uploaded file. [U]"""

    # Stores
    max_stores: int = 10
    """[U]"""
    too_many_stores_code: Literal[400, 429] = 429
    """[U]"""
    project_storage_bytes: int | None = None
    """All stores together, counted as three times the input; over it 429.  None: no limit (the service: 1 GB to 1 TB,
    by tier)."""

    # Documents
    document_mime_types: frozenset[str] = DOCUMENT_MIME_TYPES
    max_document_bytes: int = 100 * 1024 * 1024
    max_metadata_entries: int = 20
    max_metadata_chars: int = 256
    """Key and string value together."""
    max_metadata_list_items: int = 10
    """Found by bisection against the service."""
    max_chunk_tokens: int = 512
    """[U]"""
    chunk_tokens: int = 200
    """Words of a chunk when the client names no number. [U]"""
    chunk_overlap_tokens: int = 20
    """[U]"""
    document_id_from_upload_name: bool = True
    """uploadToFileSearchStore without displayName takes the document's id from X-Goog-Upload-File-Name. [U]"""
    documents_newest_first: bool = False
    """Order of the listing of documents. [U]"""
    unknown_document_code: Literal[403, 404] = 404
    """[U]"""
    document_failed_share: float = 0.0
    """Share of documents that end FAILED instead of ACTIVE; their operation ends with an error."""
    document_stuck_share: float = 0.0
    """Share of documents that stay PENDING."""
    leading_space_hangs_import: bool = False
    """An import of a file whose display name begins with white space never completes (seen once)."""

    # Operations
    unknown_operation_code: Literal[403, 404] = 404
    """[U]"""
    operation_forgotten_after_s: float | None = None
    """Unknown again this long after the operation was done; None: never. [U]"""
    operation_never_done_share: float = 0.0
    """Share of operations that stay pending although their document becomes ACTIVE."""
    operation_error_share: float = 0.0
    """Share of operations that end with an error although their document becomes ACTIVE."""
    operation_name_only_share: float = 0.0
    """Share of operations that answer nothing but their name, for ever."""

    # Search
    models: tuple[str, ...] = ("gemini-*",)
    """Patterns of known models."""
    max_stores_per_search: int = 5
    default_top_k: int = 5
    max_top_k: int = 100
    """[U]"""
    list_membership_filter: bool = True
    """``key:value`` is understood in a metadata filter; False: 400. [U]"""
