"""The fold: events to records.

The state comes from the compiled table and nothing else.  What else a record knows is written by the functions of
``steps.py``, only to a copy that nobody else has.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.steps import STEPS
from objlib_fsm.core.table import DESTINATIONS, ILLEGAL, KIND_CODES, State

FOLD_VERSION: Final = 2
"""Raised whenever the fold of the same events gives another record; a projection of another version is rebuilt."""


class HistoryBroken(ValueError):
    """An event that the table does not allow after the ones before it."""


def new_record(stream: StreamId) -> FileRecord:
    """The record before any event."""
    return FileRecord(stream=stream)


def apply(record: FileRecord, event: e.Event, at_us: int) -> FileRecord:
    """The record after one more event, recorded at *at_us*.  Raises `HistoryBroken`; *record* is not changed."""
    after = copy.copy(record)
    step(after, event, at_us)
    return after


def fold(stream: StreamId, history: Iterable[tuple[e.Event, int]]) -> FileRecord:
    """The record of a stream from its ``(event, recorded_at_us)`` pairs."""
    record = new_record(stream)
    for event, at_us in history:
        step(record, event, at_us)
    return record


def step(record: FileRecord, event: e.Event, at_us: int) -> None:
    """`apply` in place, for a record that only the caller has: replay folds millions of events through this."""
    kind = event.kind
    code = DESTINATIONS[record.state * KIND_CODES + kind]
    if code == ILLEGAL:
        raise HistoryBroken(
            f"stream {record.stream} version {record.version}: {kind.label} cannot follow in state {record.state.label}"
        )
    record.version += 1
    _STEP_OF[kind](record, event, at_us)
    if code != record.state:
        record.state = _STATES[code]
        record.since_us = at_us
    elif record.version == 1:
        record.since_us = at_us


def digest(records: Iterable[FileRecord]) -> str:
    """SHA-256 over the records in the order of their stream ids, hex: the same for the same state of the library."""
    encode = msgspec.json.Encoder().encode
    total = hashlib.sha256()
    for record in sorted(records, key=_by_stream):
        total.update(encode(record))
        total.update(b"\n")
    return total.hexdigest()


def _by_stream(record: FileRecord) -> str:
    return record.stream


_STATES: Final = tuple(State)
_STEP_OF: Final = tuple(STEPS.get(code) for code in range(KIND_CODES))  # type: ignore[call-overload]
