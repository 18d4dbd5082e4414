"""What becomes of a file that the earlier tool knew: its row is a claim, what the store shows is evidence.

Pure: rows and a listing in, events out.  Each case of the mapping has one place here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from objlib_fsm.core.events import AdoptedRaw, DocumentFact, FileAdopted
from objlib_fsm.core.ids import (
    BadName,
    DocumentName,
    OperationName,
    RawFileName,
    StoreName,
    document_name,
    operation_name,
    payload_id,
    raw_file_name,
)
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import SKIPPED_BEFORE
from objlib_fsm.core.roles import ACTIVE, FAILED
from objlib_fsm.engine.listed import Listing
from objlib_fsm.library import mime
from objlib_fsm.library.legacy import LegacyFile
from objlib_fsm.remote.port import RawFile, RemoteDocument
from objlib_fsm.remote.redact import redact

CLOCKS_DIFFER_US: Final = 2_000_000
"""A file's time is the disk's, an upload's the program's: two seconds apart they say nothing about the order."""


class Verdict(enum.StrEnum):
    """What an adopted file is, in the words of the report."""

    INDEXED = "indexed"
    """Its document was seen ACTIVE."""
    PROCESSING = "processing"
    """Its document, or what may have led to one, is known by name; a run confirms it."""
    UPLOADED = "uploaded"
    """Its raw file still lives; a run imports it."""
    FAILED = "failed"
    """That tool gave it up, and no document of it is there."""
    REPLACED = "replaced"
    """A document is there, of nobody knows which bytes: the file is sent, then that document goes."""
    UNTRACKED = "untracked"
    """The store holds nothing of it: a run sends it."""
    MISSING = "missing"
    """Not on disk; what the store holds of it stays until a prune."""
    EXCLUDED = "excluded"
    """Left out until somebody tracks it."""
    DROPPED = "dropped"
    """Nothing of it was ever in the store: a scan finds it like any other."""


class Judged(msgspec.Struct, frozen=True):
    """What becomes of one row, and why; no event when there is nothing to adopt."""

    path: LibraryPath
    verdict: Verdict
    why: str
    event: FileAdopted | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What does not fit."""
        return self.event.doubts if self.event is not None else ()


class Evidence:
    """A complete listing, and which row has which of its documents.

    Documents that carry an identity of ours are no business of an earlier tool.
    """

    def __init__(self, listing: Listing, files: Iterable[LegacyFile]) -> None:
        self._listing = listing
        self._owners: dict[DocumentName, str] = {}
        for file in files:  # A document that a row names is that row's, whatever another's raw file is called.
            document = self.named(_named(listing.store, file.document))
            if document is not None:
                self._owners.setdefault(document.name, file.path)

    @property
    def listed_at_us(self) -> int:
        """When the listing began."""
        began_at_us: int = self._listing.began_at_us
        return began_at_us

    def named(self, name: DocumentName | None) -> RemoteDocument | None:
        """The document of that name."""
        document = self._listing.document(name) if name is not None else None
        return document if document is not None and document.identity is None else None

    def titled(self, title: str) -> list[RemoteDocument]:
        """The documents made from the raw file of that id."""
        return list(self._listing.documents("display_name = ? AND library = ''", (title,)))

    def owner(self, document: DocumentName, path: str) -> str:
        """The row that has the document: that of *path*, unless another has it already."""
        return self._owners.setdefault(document, path)

    @property
    def unclaimed(self) -> int:
        """Documents that no row has."""
        foreign: int = self._listing.rows("SELECT count(*) FROM document WHERE library = ''")[0][0]
        return foreign - len(self._owners)


class _Found(msgspec.Struct):
    """What there is of one file."""

    documents: list[DocumentFact] = []
    titles: list[str] = []
    doubts: list[str] = []


def judge(
    file: LegacyFile,
    path: LibraryPath,
    store: StoreName,
    evidence: Evidence | None,
    raw: RawFile | None,
    now_us: int,
) -> Judged:
    """What becomes of the row: *evidence* is None when nobody could look, *raw* is its raw file while that lives."""
    file = _without_keys(file)
    found = _look(file, store, evidence)
    found.doubts += file.remarks
    if found.documents and _is_stale(file):
        found.doubts.append("stale? the file is newer than its upload, which may be of older text")
    operation = _operation(file, found)
    verdict, why = _verdict(file, found, operation, evidence, raw)
    if verdict is Verdict.DROPPED:
        return Judged(path, verdict, why)
    unseen = evidence is None
    event = FileAdopted(
        path=path,
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        source_hash=file.content_hash,
        mime_type=mime.by_extension(mime.extension_of(path.rpartition("/")[2].encode())) or mime.PLAIN_TEXT,
        excluded=SKIPPED_BEFORE if verdict is Verdict.EXCLUDED else "",
        missing_since_us=_missing_since_us(file, now_us) if verdict is Verdict.MISSING else None,
        documents=tuple(found.documents),
        listed_at_us=None if evidence is None else evidence.listed_at_us,
        raws=_raws(file, found, raw if verdict is Verdict.UPLOADED else None),
        operation=operation if unseen or verdict is Verdict.PROCESSING else None,
        began_at_us=file.state_since_us or file.uploaded_at_us or 0,
        failed=file.error if verdict is Verdict.FAILED else "",
        verdict=f"{verdict.value}: {why}",
        doubts=tuple(found.doubts),
        claim=file.claim,
        unknown_bytes=_of_unknown_bytes(file),
    )
    return Judged(path, verdict, why, event)


def _without_keys(file: LegacyFile) -> LegacyFile:
    """The row without an API key in what the service once said: the log keeps this text for ever."""
    claim = {name: redact(text) for name, text in file.claim.items()}
    return msgspec.structs.replace(file, error=redact(file.error), claim=claim)


def _verdict(
    file: LegacyFile, found: _Found, operation: OperationName | None, evidence: Evidence | None, raw: RawFile | None
) -> tuple[Verdict, str]:
    states = {fact.state for fact in found.documents}
    if file.missing:
        if found.documents or (evidence is None and file.raws):
            return (
                Verdict.MISSING,
                "not on disk when the earlier tool last looked; what the store holds of it stays until a prune",
            )
        return Verdict.DROPPED, "not on disk when the earlier tool last looked, and the store holds nothing of it"
    if file.skipped and not found.documents:
        return Verdict.EXCLUDED, "no text, so the earlier tool left it out"
    if _of_unknown_bytes(file):
        return _of_a_reset(file, found)
    if ACTIVE in states:
        return Verdict.INDEXED, "its document was seen ACTIVE"
    if found.documents and states != {FAILED}:
        return Verdict.PROCESSING, "its document is known by name" if evidence is None else "its document is PENDING"
    if operation is not None:
        return Verdict.PROCESSING, "its import is asked for"
    if evidence is None and file.raws and file.state != "uploading":
        return Verdict.PROCESSING, "its raw file is known by name, its document is looked for"
    if file.state == "uploading" and raw is not None:
        return Verdict.UPLOADED, f"its raw file is {raw.state}"
    return _without_document(file, states)


def _without_document(file: LegacyFile, states: set[str]) -> tuple[Verdict, str]:
    """Nothing of it can be used."""
    if file.state == "failed" and file.error:
        return Verdict.FAILED, f"given up by the earlier tool: {file.error}"
    if FAILED in states:
        return Verdict.UNTRACKED, "its document is FAILED and goes"
    if file.state == "untracked":
        return Verdict.DROPPED, "never sent: a scan finds it"
    if file.state == "indexed":
        return Verdict.UNTRACKED, "ghost: the earlier tool took it for indexed, and the store holds nothing of it"
    return Verdict.UNTRACKED, f"{file.state} in the earlier tool, and the store holds nothing of it"


def _of_unknown_bytes(file: LegacyFile) -> bool:
    """Whether what the store may hold was given up by that tool, so that nobody knows which bytes it is of."""
    given_up = file.reset_step is not None or (file.state == "untracked" and (bool(file.document) or file.orphan))
    return given_up or (not file.content_hash and bool(file.document or file.raws))


def _of_a_reset(file: LegacyFile, found: _Found) -> tuple[Verdict, str]:
    if not file.content_hash:
        what = "its content hash is unknown"
    elif file.reset_step is None:
        what = "untracked in the earlier tool"
    else:
        steps = ("nothing was deleted", "its document was deleted", "document and raw file were deleted")
        what = f"a reset was under way ({steps[max(0, min(file.reset_step, 2))]})"
    if found.documents:
        return Verdict.REPLACED, f"{what}, and a document is there: it goes when its successor is ACTIVE"
    return Verdict.UNTRACKED, f"{what}, and the store holds nothing of it"


def _look(file: LegacyFile, store: StoreName, evidence: Evidence | None) -> _Found:
    """The file's documents: the one it names, and those made from its raw files."""
    found = _Found([], [], [])
    bytes_known = "" if _of_unknown_bytes(file) else payload_id(file.content_hash)
    name = _named(store, file.document)
    if file.document and name is None:
        found.doubts.append(f"its document id {file.document!r} is none of this store")
    if evidence is None:
        if name is not None:
            found.documents.append(DocumentFact(name, "", bytes_known))
        return found
    exact = evidence.named(name)
    titled = [document for raw in file.raws for document in evidence.titled(raw)]
    for document in {each.name: each for each in (exact, *titled) if each is not None}.values():
        owner = evidence.owner(document.name, file.path)
        if owner != file.path:
            found.doubts.append(f"{document.name} is that of {owner}")
            continue
        found.documents.append(DocumentFact(document.name, document.state, bytes_known, document.created_at_us))
        found.titles.append(document.display_name)
    if name is not None and exact is None:
        other = ", another one of its raw file is" if found.documents else ""
        found.doubts.append(f"the document it names is not in the store{other}")
    if len(found.documents) > 1:
        found.doubts.append(f"{len(found.documents)} documents, of which one stays")
    return found


def _named(store: StoreName, text: str) -> DocumentName | None:
    try:
        return document_name(store, text) if text else None
    except BadName:
        return None


def _operation(file: LegacyFile, found: _Found) -> OperationName | None:
    if not file.operation or file.state != "processing" or found.documents:
        return None
    try:
        return operation_name(file.operation)
    except BadName:
        found.doubts.append(f"its operation {file.operation!r} has no such name")
        return None


def _raws(file: LegacyFile, found: _Found, alive: RawFile | None) -> tuple[AdoptedRaw, ...]:
    """The raw files by which citations and listings may call its documents."""
    names: dict[RawFileName, AdoptedRaw] = {}
    for title in (*found.titles, *file.raws):
        try:
            name = raw_file_name(f"files/{title}")
        except BadName:
            continue
        names[name] = AdoptedRaw(name)
    if alive is not None:
        names[alive.name] = AdoptedRaw(alive.name, alive.state, alive.size_bytes, alive.expires_at_us)
    return tuple(names.values())


def _is_stale(file: LegacyFile) -> bool:
    """Whether the file was changed after it was sent.

    The time of the file alone can tell: that of the row moves with every change of the row.
    """
    return file.uploaded_at_us is not None and file.mtime_ns // 1_000 > file.uploaded_at_us + CLOCKS_DIFFER_US


def _missing_since_us(file: LegacyFile, now_us: int) -> int:
    return file.missing_since_us or file.changed_at_us or now_us


def tally(judged: Iterable[Judged]) -> Mapping[Verdict, int]:
    """How many files of each verdict, those that occur."""
    counts = dict.fromkeys(Verdict, 0)
    for one in judged:
        counts[one.verdict] += 1
    return {verdict: number for verdict, number in counts.items() if number}
