"""Strategies made from the structs themselves, so that a new field or event is covered the day it is added."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as mi

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import DocumentName, EventId, OperationName, RawFileName, document_id, metadata_hash
from objlib_fsm.core.record import Call, Document, FileRecord, Import, OpenCall, Raw, Role
from objlib_fsm.core.table import FILE_KINDS, State
from tests.core.moves import How, Op, Step
from tests.core.service import SECOND_US, STORE, content_hash
from tests.core.shell import STREAM

TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WHOLE: Final = st.integers(min_value=0, max_value=2**53)

# Names and payloads come from small pools, so that what is drawn independently often means the same thing.
_HASHES: Final = [content_hash(n) for n in range(2)]
_METADATA: Final[list[Mapping[str, str | int | float | tuple[str, ...]]]] = [{}, {}, {"year": 2024}]
_SHORT: Final = ["", *(document_id(of, metadata_hash(m), n) for of in _HASHES for m in _METADATA for n in (0, 1))]
_CALLS: Final = [EventId(f"call{n}") for n in range(4)]
_RAWS: Final = [RawFileName(f"files/r{n}") for n in range(4)]
_DOCUMENTS: Final = [DocumentName(f"{STORE}/documents/d{n}") for n in range(4)]
_OPERATIONS: Final = [OperationName(f"{STORE}/operations/o{n}") for n in range(3)]
_RAW_STATES: Final = ["PROCESSING", "ACTIVE", "FAILED", "UNKNOWN"]
_DOCUMENT_STATES: Final = ["STATE_PENDING", "STATE_ACTIVE", "STATE_FAILED", "STATE_UNSPECIFIED"]
_MUTATIONS: Final = [Call.UPLOAD, Call.DELETE_DOCUMENT, Call.DELETE_RAW]
TIMES: Final = st.integers(min_value=0, max_value=200).map(lambda seconds: seconds * SECOND_US)

_BY_NAME: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "call": st.sampled_from(_CALLS),
    "raw": st.sampled_from(_RAWS),
    "operation": st.sampled_from(_OPERATIONS),
    "payload": st.sampled_from(_HASHES),
    "identity": st.sampled_from(_SHORT),
    "payload_hash": st.sampled_from(["", *_HASHES]),
    "source_hash": st.sampled_from(_HASHES),
    "generation": st.sampled_from([0, 1]),
    "state": st.sampled_from(_RAW_STATES),
    "target": st.sampled_from([*_RAWS, *_DOCUMENTS]),
    "what": st.sampled_from([Call.IMPORT, *_MUTATIONS]),
    "began_at_us": TIMES,
}


def of_type(kind: mi.Type, fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Values of a msgspec type; *fields* replaces the strategy of struct fields by their name."""
    match kind:
        case mi.IntType():
            return WHOLE
        case mi.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)  # JSON has neither.
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
        case mi.AnyType():
            return st.none() | st.booleans() | WHOLE | TEXT | st.lists(TEXT, max_size=2)
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


_FACT: Final = of_struct(
    e.DocumentFact,
    name=st.sampled_from(_DOCUMENTS),
    state=st.sampled_from(_DOCUMENT_STATES),
    payload=st.sampled_from(_SHORT),
    created_at_us=TIMES,
    raw=st.sampled_from([RawFileName(""), *_RAWS]),
)


def likely(cls: type[Any]) -> st.SearchStrategy[Any]:
    """An event, effect or report whose names are those that a drawn record may know."""
    names = st.sampled_from(_DOCUMENTS)
    document = _FACT if cls in (e.DocumentSeen, d.DocumentFound) else names
    if cls in (e.OperationEnded, d.OperationFinished):
        document = st.none() | names
    documents = st.lists(_FACT, max_size=3, unique_by=lambda fact: fact.name).map(tuple)
    return of_struct(cls, **{**_BY_NAME, "document": document, "documents": documents})


REPORTS: Final = st.one_of([likely(cls) for cls in d.Report.__args__])
EFFECTS: Final = st.one_of([likely(cls) for cls in fx.Mutation.__args__])
FILE_EVENTS: Final = st.one_of([likely(e.EVENT_TYPES[kind]) for kind in FILE_KINDS])


def _record_of(seed: int) -> FileRecord:
    """A record of any make, also such as no history leads to."""
    pick = random.Random(seed)
    some = pick.choice

    def second() -> int:
        return pick.randrange(200) * SECOND_US

    def up_to(most: int) -> range:
        return range(pick.randint(0, most))

    raws = [
        Raw(name, some(_HASHES), some((0, 1)), some((*_RAW_STATES, "", "GONE")), 8, some((None, second())), second())
        for name in pick.sample(_RAWS, len(up_to(3)))
    ]
    documents = [
        Document(name, some((*_DOCUMENT_STATES, "")), some(tuple(Role)), some(_SHORT), second(), second())
        for name in pick.sample(_DOCUMENTS, len(up_to(3)))
    ]
    calls = [
        OpenCall(call, what, some(_DOCUMENTS if what is Call.DELETE_DOCUMENT else _RAWS), some(_HASHES), 0, second())
        for call, what in zip(pick.sample(_CALLS, len(up_to(2))), pick.choices(_MUTATIONS, k=2), strict=False)
    ]
    imports = [
        Import(call, some(_SHORT), some(_RAWS), second(), some((None, *_OPERATIONS)), some(("", "error")))
        for call in pick.sample(_CALLS, len(up_to(2)))
    ]
    metadata = some(_METADATA)
    return FileRecord(
        stream=STREAM,
        version=pick.randrange(9),
        state=some(tuple(State)),
        excluded=some(("", "", "too large")),
        source_hash=some((*_HASHES, "")),
        payload_hash=some((*_HASHES, *_HASHES, "")),
        metadata=metadata,
        metadata_hash=metadata_hash(metadata),
        resets=some((0, 0, 1)),
        wanted=pick.random() < 0.8,
        present=pick.random() < 0.8,
        generation=some((0, 1)),
        raws=tuple(raws),
        documents=tuple(documents),
        calls=tuple(calls),
        imports=tuple(imports),
        imports_sent=pick.randrange(3),
        last_import_at_us=second(),
        settled=pick.random() < 0.5,
        attempts=pick.randrange(12),
        look_ups=pick.randrange(12),
        setbacks=pick.randrange(5),
        due_at_us=some((None, second())),
        failures=pick.randrange(5),
        pruned=pick.random() < 0.2,
    )


RECORDS: Final = st.integers(0, 2**32).map(_record_of)
"""Made from a seed: ten times faster than field by field, and what is drawn is shown all the same."""

_TELLS: Final = [
    *(Op.CHANGE, Op.VANISH, Op.REAPPEAR, Op.EXCLUDE, Op.INCLUDE, Op.DESCRIBE, Op.MOVE, Op.TOUCH),
    *(Op.FORGET, Op.TRACK, Op.RETRY, Op.RETRY_FAILED, Op.PRUNE, Op.RESET, Op.REPLACE),
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
        after_s=st.sampled_from(
            [0.0, 0.0, 0.0, 0.5, 5.0, 30.0, 61.0, 61.0, 400.0, 4_000.0, 47.9 * 3_600.0, 50 * 3_600.0]
        ),
    ),
    min_size=1,
    max_size=30,
)
"""A walk: mostly effects performed, half of them well."""


def encoded(record: FileRecord) -> bytes:
    """All that a record knows, to compare."""
    return msgspec.json.encode(record)
