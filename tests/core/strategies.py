"""Strategies made from the structs themselves, so that a new field or event is covered the day it is added."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as mi

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import payload_id
from objlib_fsm.core.record import Call, Document, FileRecord, Import, OpenCall, Raw, Role
from objlib_fsm.core.table import FILE_KINDS, State
from tests.core.moves import How, Op, Step
from tests.core.service import STORE, content_hash
from tests.core.shell import STREAM

TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WHOLE: Final = st.integers(min_value=0, max_value=2**53)

# Names and payloads come from small pools, so that what is drawn independently often means the same thing.
HASHES: Final = st.sampled_from([content_hash(n) for n in range(3)])
SHORT: Final = st.sampled_from(["", *(payload_id(content_hash(n)) for n in range(3))])
CALLS: Final = st.sampled_from([f"call{n}" for n in range(4)])
RAWS: Final = st.sampled_from([f"files/r{n}" for n in range(4)])
DOCUMENTS: Final = st.sampled_from([f"{STORE}/documents/d{n}" for n in range(4)])
OPERATIONS: Final = st.sampled_from([f"{STORE}/operations/o{n}" for n in range(3)])
TIMES: Final = st.integers(min_value=0, max_value=200).map(lambda seconds: seconds * 1_000_000)
RAW_STATES: Final = st.sampled_from(["PROCESSING", "ACTIVE", "FAILED", "UNKNOWN"])
DOCUMENT_STATES: Final = st.sampled_from(["STATE_PENDING", "STATE_ACTIVE", "STATE_FAILED", "STATE_UNSPECIFIED"])

_BY_NAME: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "call": CALLS,
    "raw": RAWS,
    "document": DOCUMENTS,
    "operation": OPERATIONS,
    "payload": HASHES,
    "source_hash": HASHES,
    "generation": st.integers(min_value=0, max_value=2),
}


def of_type(kind: mi.Type, fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Values of a msgspec type; *fields* replaces the strategy of struct fields by their name."""
    match kind:
        case mi.IntType():
            return WHOLE
        case mi.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case mi.StrType():
            return TEXT
        case mi.BoolType():
            return st.booleans()
        case mi.NoneType():
            return st.none()
        case mi.EnumType(cls):
            return st.sampled_from(list(cls))
        case mi.UnionType(types):
            return st.one_of([of_type(option, fields) for option in types])
        case mi.VarTupleType(item):
            return st.lists(of_type(item, fields), max_size=3).map(tuple)
        case mi.DictType(key, value):
            return st.dictionaries(of_type(key, fields), of_type(value, fields), max_size=3)
        case mi.StructType(cls):
            return of_struct(cls, **fields)
    raise NotImplementedError(kind)


def of_struct(cls: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Instances of a struct."""
    info = mi.type_info(cls)
    assert isinstance(info, mi.StructType)
    return st.builds(cls, **{f.name: fields.get(f.name, of_type(f.type, fields)) for f in info.fields})


@functools.cache
def any_event(cls: type[e.Event]) -> st.SearchStrategy[Any]:
    """An event with any values its fields can hold."""
    return of_struct(cls)


_FACT: Final = of_struct(e.DocumentFact, name=DOCUMENTS, state=DOCUMENT_STATES, payload=SHORT, created_at_us=TIMES)


def _document_or_fact(cls: type[Any]) -> st.SearchStrategy[Any]:
    return _FACT if cls in (e.DocumentSeen, d.DocumentFound) else DOCUMENTS


def likely(cls: type[Any]) -> st.SearchStrategy[Any]:
    """An event, effect or report whose names are those that a drawn record may know."""
    return of_struct(
        cls,
        **{
            **_BY_NAME,
            "document": _document_or_fact(cls) | (st.none() if cls is d.OperationFinished else st.nothing()),
            "documents": st.lists(_FACT, max_size=3, unique_by=lambda fact: fact.name).map(tuple),
            "state": RAW_STATES,
            "target": RAWS | DOCUMENTS,
            "what": st.sampled_from([Call.UPLOAD, Call.IMPORT, Call.DELETE_DOCUMENT, Call.DELETE_RAW]),
            "began_at_us": TIMES,
        },
    )


REPORTS: Final = st.one_of([likely(cls) for cls in d.Report.__args__])
EFFECTS: Final = st.one_of([likely(cls) for cls in fx.MUTATING])
FILE_EVENTS: Final = st.one_of([likely(e.EVENT_TYPES[kind]) for kind in FILE_KINDS])

RECORDS: Final[st.SearchStrategy[FileRecord]] = of_struct(
    FileRecord,
    stream=st.just(STREAM),
    version=st.integers(min_value=0, max_value=9),
    state=st.sampled_from(State),
    excluded=st.sampled_from(["", "", "too large"]),
    source_hash=HASHES,
    payload_hash=st.just("") | HASHES,
    generation=st.integers(min_value=0, max_value=2),
    raws=st.lists(
        of_struct(
            Raw,
            name=RAWS,
            payload=HASHES,
            generation=st.integers(min_value=0, max_value=2),
            state=RAW_STATES | st.sampled_from(["", "GONE"]),
            expires_at_us=st.none() | TIMES,
            seen_at_us=TIMES,
        ),
        max_size=3,
        unique_by=lambda raw: raw.name,
    ).map(tuple),
    documents=st.lists(
        of_struct(
            Document,
            name=DOCUMENTS,
            state=DOCUMENT_STATES | st.just(""),
            role=st.sampled_from(Role),
            payload=SHORT,
            created_at_us=TIMES,
            seen_at_us=TIMES,
        ),
        max_size=3,
        unique_by=lambda document: document.name,
    ).map(tuple),
    calls=st.lists(
        of_struct(
            OpenCall,
            id=CALLS,
            what=st.sampled_from([Call.UPLOAD, Call.DELETE_DOCUMENT, Call.DELETE_RAW]),
            target=RAWS | DOCUMENTS,
            payload=HASHES,
            generation=st.integers(min_value=0, max_value=2),
            at_us=TIMES,
        ),
        max_size=2,
        unique_by=lambda call: call.id,
    ).map(tuple),
    imports=st.lists(
        of_struct(
            Import,
            call=CALLS,
            payload=HASHES,
            raw=RAWS,
            at_us=TIMES,
            operation=st.none() | OPERATIONS,
            ended=st.sampled_from(["", "error"]),
        ),
        max_size=2,
        unique_by=lambda sent: sent.call,
    ).map(tuple),
    imports_sent=st.integers(min_value=0, max_value=3),
    last_import_at_us=TIMES,
    attempts=st.integers(min_value=0, max_value=12),
    look_ups=st.integers(min_value=0, max_value=12),
    setbacks=st.integers(min_value=0, max_value=4),
    due_at_us=st.none() | TIMES,
    cause=st.just(""),
)
"""Records of any make, also such as no history leads to."""

_TELLS: Final = [
    op
    for op in Op
    if op.name in ("CHANGE", "VANISH", "REAPPEAR", "EXCLUDE", "INCLUDE", "MOVE", "TOUCH", "FORGET", "TRACK", "RETRY")
]
_REST: Final = [op for op in Op if op not in _TELLS and op is not Op.PERFORM]
_OPS: Final = (
    [Op.PERFORM] * 20 + [Op.PERFORM_AMID] * 3 + [Op.CHANGE, Op.REAPPEAR, Op.INCLUDE, Op.TRACK, *_TELLS, *_REST]
)
_HOWS: Final = [How.WELL] * len(How) + list(How)

STEPS: Final[st.SearchStrategy[list[Step]]] = st.lists(
    st.builds(
        Step,
        op=st.sampled_from(_OPS),
        how=st.sampled_from(_HOWS),
        n=st.integers(min_value=0, max_value=23),
        after_s=st.sampled_from([0.0, 0.0, 0.0, 0.5, 5.0, 30.0, 61.0, 61.0, 400.0, 4_000.0, 50 * 3_600.0]),
    ),
    min_size=1,
    max_size=30,
)
"""A walk: mostly effects performed, half of them well."""


def encoded(record: FileRecord) -> bytes:
    """All that a record knows, to compare."""
    return msgspec.json.encode(record)
