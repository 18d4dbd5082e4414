"""The pieces that the steps of the fold are made of: what a call, a raw file, a document or an import changes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core import roles
from objlib_fsm.core.ids import DocumentName, EventId, RawFileName, payload_id
from objlib_fsm.core.policy import is_ahead
from objlib_fsm.core.record import Call, Document, FileRecord, Import, OpenCall, Raw, Role


def stat(r: FileRecord, ev: e.ContentChanged | e.FileTouched | e.FileReappeared | e.FileMoved | e.FileIncluded) -> None:
    """What the scan saw of it."""
    r.size_bytes = ev.size_bytes
    r.mtime_ns = ev.mtime_ns
    r.inode, r.device = ev.inode, ev.device
    r.checked_at_us = ev.taken_at_us


def included(r: FileRecord) -> None:
    """Nothing stands against indexing it."""
    r.excluded = ""
    r.excluded_since_us = None


def stand_for(r: FileRecord, payload_hash: str, *, anew: bool = False) -> None:
    """Another document is wanted, made from those bytes; *anew*: from a raw file that is still to be sent."""
    r.payload_hash = payload_hash
    known = [raw for raw in r.raws if raw.payload == payload_hash]
    r.generation = max((raw.generation + (raw.gone or anew) for raw in known), default=0)
    r.imports_sent = 0
    r.setbacks = r.failures = 0
    withdraw(r)
    assign(r)


def relabel(r: FileRecord, before: str) -> None:
    """What stood for *before* stands for what is wanted now, without another document being made."""
    r.documents = tuple(
        msgspec.structs.replace(d, payload=r.payload) if d.payload == before else d for d in r.documents
    )
    r.imports = tuple(msgspec.structs.replace(i, payload=r.payload) if i.payload == before else i for i in r.imports)
    assign(r)


def present(r: FileRecord) -> None:
    """It is on disk; that ends a prune, unless it is left out all the same."""
    r.present = True
    r.missing_since_us = None
    r.pruned = r.pruned and bool(r.excluded)


def withdraw(r: FileRecord) -> None:
    """What was begun for the file counts no more; what the store may hold because of it stays to be found."""
    progress(r)
    r.cause = r.cause_message = ""
    r.calls = tuple([call for call in r.calls if call.what is not Call.UPLOAD])
    if r.imports:
        r.settled = False


def progress(r: FileRecord) -> None:
    """The step is done: what went wrong at it counts no more."""
    r.attempts = r.look_ups = 0
    r.due_at_us = None
    r.problem = None


def begin_call(r: FileRecord, call: OpenCall) -> None:
    """A deletion is about to be made; it takes the place of an earlier one of the same target."""
    r.calls = (*[c for c in r.calls if c.target != call.target], call)
    r.due_at_us = None


def end_call(r: FileRecord, call: EventId) -> None:
    """The outcome of the call is known."""
    if r.calls:
        r.calls = tuple([c for c in r.calls if c.id != call])


def is_open_call(r: FileRecord, call: EventId) -> bool:
    """Whether the outcome of the call is still waited for."""
    return call in [c.id for c in r.calls] or is_open_import(r, call)


def is_open_import(r: FileRecord, call: EventId) -> bool:
    """Whether the document of the import is still waited for."""
    return call in [i.call for i in r.imports]


def adopt(r: FileRecord, ev: e.FileAdopted, at_us: int) -> None:
    """Another tool's documents and raw files are those of the file.

    While nobody has looked, what it imported counts as an import whose document is not known: so a document that is
    not where it should be is looked for before the bytes are sent, and others of the file are found.
    """
    source_hash = "" if ev.unknown_bytes else ev.source_hash
    claimed = payload_id(source_hash)
    stands_for = r.payload if source_hash and source_hash == r.source_hash else claimed
    seen_us = ev.listed_at_us or 0
    r.raws += tuple(
        Raw(w.name, source_hash, 0, w.state, w.size_bytes, w.expires_at_us, at_us if w.state else 0) for w in ev.raws
    )
    r.documents += tuple(
        Document(
            fact.name,
            fact.state,
            Role.CANDIDATE,
            stands_for if claimed and fact.payload == claimed else fact.payload,
            fact.created_at_us,
            seen_us,
        )
        for fact in ev.documents
    )
    unknown = ev.raws if ev.listed_at_us is None else ev.raws[: ev.operation is not None]
    r.imports += tuple(
        Import(EventId(f"adopted {w.name}"), stands_for, w.name, ev.began_at_us, None if n else ev.operation)
        for n, w in enumerate(unknown)
    )
    assign(r)


def sent_import(r: FileRecord, call: EventId, at_us: int) -> None:
    """At *at_us* the import may still have been on its way."""
    r.imports = tuple(
        [msgspec.structs.replace(i, at_us=at_us) if i.call == call and i.at_us < at_us else i for i in r.imports]
    )
    if r.last_import_at_us < at_us:
        r.last_import_at_us = at_us


def end_upload(r: FileRecord, raw: RawFileName) -> None:
    """It is known whether the upload arrived."""
    r.calls = tuple([c for c in r.calls if not (c.what is Call.UPLOAD and c.target == raw)])


def undo_import(r: FileRecord, call: EventId) -> None:
    """The import was never begun."""
    if call in [i.call for i in r.imports]:
        r.imports = tuple([i for i in r.imports if i.call != call])
        r.imports_sent = max(0, r.imports_sent - 1)


def know_raw(r: FileRecord, raw: Raw) -> None:
    """The raw file is there."""
    r.raws = (*[w for w in r.raws if w.name != raw.name], raw)
    if raw.payload == r.payload_hash:
        progress(r)
    if raw.gone:
        r.setbacks += lose_raw(r, raw.name, raw.state)


def lose_raw(r: FileRecord, name: RawFileName, state: str) -> bool:
    """Whether it was the one that the file stood on: then the next is of the next generation."""
    r.raws = tuple([msgspec.structs.replace(w, state=state) if w.name == name else w for w in r.raws])
    stood_on = any(w.name == name and w.payload == r.payload_hash and w.generation == r.generation for w in r.raws)
    r.generation += stood_on
    return stood_on


def know_documents(r: FileRecord, facts: Iterable[e.DocumentFact], at_us: int) -> None:
    """The documents are there."""
    known = {d.name: d for d in r.documents}
    payload = r.payload
    for fact in facts:
        old = known.get(fact.name)
        newly_failed = fact.state == roles.FAILED and (old is None or old.state != roles.FAILED)
        carried = fact.payload or (old.payload if old else "")
        role = old.role if old is not None and old.role is not Role.GONE else Role.CANDIDATE
        created = fact.created_at_us or (old.created_at_us if old else 0)
        raw = fact.raw or (old.raw if old else fact.raw)
        known[fact.name] = Document(fact.name, fact.state, role, carried, created, at_us, raw)
        r.setbacks += newly_failed and carried == payload
        if r.imports:
            found_document_of(r, fact.name, carried if old is None else "")
    r.documents = tuple(known.values())
    r.look_ups = 0
    assign(r)


def found_document_of(r: FileRecord, name: DocumentName, payload: str) -> None:
    """The document was seen: it is that of the import whose operation named it, else, when it was not known before,
    of the oldest import of its payload that named none."""
    of = next((i for i in r.imports if i.document == name), None)
    if of is None and payload:
        of = next((i for i in r.imports if i.payload == payload and i.document is None), None)
    r.imports = tuple([i for i in r.imports if i is not of])


def add_document(r: FileRecord, name: DocumentName, payload: str, at_us: int) -> None:
    """A document is known by name and was not seen yet."""
    r.documents = (*r.documents, Document(name, "", Role.CANDIDATE, payload, 0, at_us))
    assign(r)


def put_back(r: FileRecord, now_us: int) -> None:
    """What is dated after *now_us* by a clock that was put back since happened at *now_us* at the latest."""
    if is_ahead(r.last_import_at_us, now_us):
        r.last_import_at_us = now_us
    if is_ahead(r.taken_at_us, now_us):
        r.taken_at_us = now_us
    if any(is_ahead(i.at_us, now_us) for i in r.imports):
        r.imports = tuple([msgspec.structs.replace(i, at_us=min(i.at_us, now_us)) for i in r.imports])
    if any(is_ahead(d.seen_at_us, now_us) for d in r.documents):
        r.documents = tuple([msgspec.structs.replace(d, seen_at_us=min(d.seen_at_us, now_us)) for d in r.documents])


def lose_document(r: FileRecord, name: DocumentName, at_us: int) -> None:
    """The document is gone."""
    if name not in [d.name for d in r.documents]:
        add_document(r, name, "", at_us)
    r.documents = tuple(
        msgspec.structs.replace(d, role=Role.GONE, seen_at_us=at_us) if d.name == name else d for d in r.documents
    )
    if any(i.document == name for i in r.imports):  # What the operation named is not what the import made.
        r.imports = tuple([msgspec.structs.replace(i, document=None) if i.document == name else i for i in r.imports])
    assign(r)


def replace_store(r: FileRecord, at_us: int) -> None:
    """Nothing that the old store held, or was about to hold, is there any more."""
    for document in r.live_documents:
        lose_document(r, document.name, at_us)
    r.calls = tuple([c for c in r.calls if c.what is not Call.DELETE_DOCUMENT])
    r.imports = ()
    r.imports_sent = r.setbacks = 0
    r.settled = True
    progress(r)


def assign(r: FileRecord) -> None:
    """Give the documents their roles anew."""
    if r.documents:
        r.documents = roles.assign(r.documents, r.payload)
