"""What a file's events tell of its imports and its raw files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from objlib_fsm.cli.messages import Operation, RawFile
from objlib_fsm.cli.render import clock, count, iso, iso_or_none, left, size, when
from objlib_fsm.core import events as e
from objlib_fsm.core.library_record import operation_word
from objlib_fsm.core.record import Call
from objlib_fsm.core.table import State

if TYPE_CHECKING:
    from objlib_fsm.core.record import FileRecord
    from objlib_fsm.log.contract import Recorded


def operations(record: FileRecord, history: Iterable[Recorded]) -> list[Operation]:
    """The file's imports in their order, each with what became of it."""
    told: dict[str, Operation] = {}
    for recorded in history:
        event, at = recorded.event, iso(recorded.recorded_at_us)
        match event:
            case e.ImportIntended():
                told[event.call] = Operation(event.call, "pending", at)
            case e.ImportAccepted() if event.call in told:
                told[event.call] = msgspec.structs.replace(told[event.call], status="in progress", name=event.operation)
            case e.CallRejected() | e.CallFailed() if event.what == Call.IMPORT and event.call in told:
                told[event.call] = msgspec.structs.replace(
                    told[event.call], status="failed", ended=at, message=event.message
                )
            case e.OperationEnded():
                for call, known in told.items():
                    if known.name == event.operation:
                        told[call] = msgspec.structs.replace(
                            known,
                            status=operation_word(event.result).replace("_", " "),
                            polls=event.polls,
                            first_poll_at=iso_or_none(event.first_poll_at_us),
                            last_poll_at=iso_or_none(event.last_poll_at_us),
                            ended=at,
                            document=event.document,
                            message=event.message,
                        )
            case _:
                pass
    waiting = {waiting.call for waiting in record.imports}
    return [_without_word(record, known) if call not in waiting else known for call, known in told.items()]


def _without_word(record: FileRecord, known: Operation) -> Operation:
    """An import that nobody waits for any more without a word of the service: a listing showed what became of it."""
    if known.ended is not None:
        return known
    status = "succeeded" if record.state is State.INDEXED else "not known"
    return msgspec.structs.replace(known, status=status, message="seen in a listing of the store")


def raw_files(record: FileRecord) -> list[RawFile]:
    """The raw files that the service has shown, the newest last."""
    return [
        RawFile(raw.name, raw.state, raw.size_bytes, iso_or_none(raw.expires_at_us)) for raw in record.raws if raw.state
    ]


def lines(record: FileRecord, told: list[Operation], now_us: int) -> list[str]:
    """Raw files and imports for a person."""
    out = []
    for raw in record.raws:
        if not raw.state:
            continue
        expires = ""
        if not raw.gone and raw.expires_at_us is not None:
            expires = f", expires {when(raw.expires_at_us)} ({left(raw.expires_at_us, now_us)})"
            if record.state is State.INDEXED:
                expires += "; its document stays"
        out.append(f"raw file {raw.name}: {raw.state}, {size(raw.size_bytes)}{expires}")
    for known in told:
        asked = f", asked for {count(known.polls, 'time')}" if known.polls else ""
        if known.first_poll_at and known.last_poll_at:
            asked += f", first {_clock(known.first_poll_at)}, last {_clock(known.last_poll_at)}"
        said = f": {known.message}" if known.message else ""
        out.append(f"import {known.name or known.call}: {known.status}{asked}{said}")
    return out


def _clock(at: str) -> str:
    import datetime

    return clock(round(datetime.datetime.fromisoformat(at).timestamp() * 1e6))
