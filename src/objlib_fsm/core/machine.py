"""The live machine: `transitions.Machine` built from the table, with its guards.

One synchronous machine and one slot serve every file: the slot is given the file's state, the event is triggered,
the slot's state is read.  A model per file would cost 5 KB and 43 µs each, and ``AsyncMachine`` swallows
cancellation.  Nothing is awaited between setting the slot and reading it, and a lock keeps threads apart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from transitions import EventData, Machine, MachineError

from objlib_fsm.core import events as e
from objlib_fsm.core import policy
from objlib_fsm.core.ids import metadata_hash, payload_id
from objlib_fsm.core.record import SKIPPED_BEFORE, FileRecord, Role
from objlib_fsm.core.table import FACTS, FILE_KINDS, INITIAL, TRANSITIONS, Kind, State

Guard = Callable[[FileRecord, e.Event], bool]


def _is_new(record: FileRecord, event: e.Event) -> bool:
    """The stream has no event yet."""
    return record.version == 0


def _is_known(record: FileRecord, event: e.Event) -> bool:
    """The stream has events."""
    return record.version > 0


def _is_present(record: FileRecord, event: e.Event) -> bool:
    """The file was on disk."""
    return record.version > 0 and record.present


def _is_missing(record: FileRecord, event: e.Event) -> bool:
    """The file was not on disk."""
    return record.version > 0 and not record.present


def _is_excluded(record: FileRecord, event: e.Event) -> bool:
    """The file was left out for a reason."""
    return record.version > 0 and bool(record.excluded)


def _is_wanted(record: FileRecord, event: e.Event) -> bool:
    """Nobody asked to forget the file."""
    return record.version > 0 and record.wanted


def _is_unwanted(record: FileRecord, event: e.Event) -> bool:
    """Somebody asked to forget the file, or an earlier tool left it out."""
    return record.version > 0 and (not record.wanted or record.excluded == SKIPPED_BEFORE)


def _is_away(record: FileRecord, event: e.Event) -> bool:
    """The file is missing or left out, and was neither forgotten nor pruned."""
    return record.version > 0 and record.kept and not (record.present and not record.excluded)


def _may_retry(record: FileRecord, event: e.Event) -> bool:
    """A person asked for the file, or it is not parked."""
    return (
        isinstance(event, e.RetryRequested) and record.version > 0 and not (event.automatic and policy.parked(record))
    )


def _is_here(record: FileRecord, event: e.Event) -> bool:
    """The file is wanted, on disk and not excluded."""
    return record.version > 0 and record.here


def _may_adopt(record: FileRecord, event: e.Event) -> bool:
    """Nothing of the file was begun, no document of it is known, and no claim about it was heard before."""
    begun = record.adopted or record.raws or record.documents or record.calls or record.imports or not record.settled
    return (
        isinstance(event, e.FileAdopted)
        and not begun
        and record.wanted
        and (record.version == 0 or record.path == event.path)
    )


def _describes_anew(record: FileRecord, event: e.Event) -> bool:
    """The metadata or the bytes to send are others than before."""
    return (
        isinstance(event, e.FileDescribed)
        and record.version > 0
        and (event.payload_hash or record.source_hash, metadata_hash(event.metadata))
        != (record.payload_hash, record.metadata_hash)
    )


def _may_upload(record: FileRecord, event: e.Event) -> bool:
    """The file is here, the bytes are the recorded ones, and no upload's outcome is open."""
    return (
        isinstance(event, e.UploadIntended)
        and _is_here(record, event)
        and event.payload == record.payload_hash
        and event.generation == record.generation
        and record.raw is None
        and not record.calls
    )


def _may_import(record: FileRecord, event: e.Event) -> bool:
    """The file is here, its raw file is ACTIVE, and no import of the same is open."""
    raw = record.raw
    return (
        isinstance(event, e.ImportIntended)
        and _is_here(record, event)
        and event.payload == record.payload_hash
        and (event.identity or payload_id(event.payload)) == record.payload
        and raw is not None
        and raw.name == event.raw
        and raw.state == "ACTIVE"
        and record.candidate is None
        and not any(i.payload == record.payload for i in record.imports)
    )


def _is_proven(record: FileRecord, event: e.Event) -> bool:
    """The named document is of the current payload and was seen ACTIVE."""
    proof = record.proof
    return (
        isinstance(event, e.FileIndexed)
        and _is_here(record, event)
        and proof is not None
        and proof.name == event.document
    )


def _may_delete_document(record: FileRecord, event: e.Event) -> bool:
    """The document is known, and is not the one that the store may go on holding, or its deletion has begun."""
    if not isinstance(event, e.DocumentDeleteIntended):
        return False
    needed = (Role.CURRENT, Role.CANDIDATE) if record.kept else ()
    may_go = any(d.name == event.document and d.role not in needed for d in record.live_documents)
    return may_go or record.call_on(event.document) is not None


def _may_delete_raw(record: FileRecord, event: e.Event) -> bool:
    """The raw file is known and not known to be gone, or its deletion has begun."""
    if not isinstance(event, e.RawDeleteIntended):
        return False
    known = any(raw.name == event.raw and raw.state != "GONE" for raw in record.raws)
    return known or record.call_on(event.raw) is not None


GUARDS: Final[dict[str, Guard]] = {
    guard.__name__.removeprefix("_"): guard
    for guard in (
        _is_new,
        _is_known,
        _is_present,
        _is_missing,
        _is_excluded,
        _is_wanted,
        _is_unwanted,
        _is_away,
        _is_here,
        _may_retry,
        _may_adopt,
        _describes_anew,
        _may_upload,
        _may_import,
        _is_proven,
        _may_delete_document,
        _may_delete_raw,
    )
}


_ABOUT_RECORD: Final = frozenset(
    {
        "is_new",
        "is_known",
        "is_present",
        "is_missing",
        "is_excluded",
        "is_wanted",
        "is_unwanted",
        "is_away",
        "is_here",
    }
)
"""The guards that do not look at the event."""


class Rejected(msgspec.Struct, frozen=True):
    """A command that the file's state does not allow.  Nothing was changed.

    ``allowed`` are the kinds that would be; facts are left out, they always are.
    """

    stream: str
    path: str
    version: int
    state: State
    event: Kind
    allowed: tuple[Kind, ...]
    guard: str = ""

    def __str__(self) -> str:
        why = f" ({GUARDS[self.guard].__doc__} That does not hold.)" if self.guard else ""
        allowed = ", ".join(kind.label for kind in self.allowed) or "nothing"
        return (
            f"{self.path or self.stream}: {self.event.label} is not allowed at version {self.version} "
            f"in state {self.state.label}{why}; allowed: {allowed}"
        )


class _Slot:
    """What the machine moves: one file's state for the length of one decision."""

    state: str
    record: FileRecord
    event: e.Event


def _condition(guard: Guard) -> Callable[[EventData], bool]:
    def condition(data: EventData) -> bool:
        slot = cast("_Slot", data.model)
        return guard(slot.record, slot.event)

    return condition


def _build() -> Machine:
    rows: list[dict[str, Any]] = [
        {
            "trigger": row.event.label,
            "source": row.source.label,
            "dest": row.dest.label,
            "conditions": [_condition(GUARDS[row.guard])] if row.guard else [],
        }
        for row in TRANSITIONS
    ]
    return Machine(
        model=None,
        states=[state.label for state in State],
        transitions=rows,
        initial=INITIAL.label,
        auto_transitions=False,
        send_event=True,
    )


MACHINE: Final = _build()
_SLOT: Final = _Slot()
_LOCK: Final = threading.Lock()
_BY_LABEL: Final = {state.label: state for state in State}
_GUARD_OF: Final = {(row.source, row.event): row.guard for row in TRANSITIONS}


def fire(record: FileRecord, event: e.Event) -> State | None:
    """The state that *event* leads to, None when the table or its guard does not allow it now."""
    trigger = MACHINE.events.get(event.kind.label)
    if trigger is None:
        return None
    with _LOCK:
        _SLOT.state, _SLOT.record, _SLOT.event = record.state.label, record, event
        try:
            return _BY_LABEL[_SLOT.state] if trigger.trigger(_SLOT) else None
        except MachineError:
            return None


def check(record: FileRecord, event: e.Event) -> Rejected | None:
    """None when *event* is allowed now, else what is wrong and what would be allowed."""
    if fire(record, event) is not None:
        return None
    return Rejected(
        record.stream,
        record.path,
        record.version,
        record.state,
        event.kind,
        _possible(record, event),
        _GUARD_OF.get((record.state, event.kind), ""),
    )


def allowed(state: State) -> tuple[Kind, ...]:
    """The kinds of event that have a row for *state*, without regard to guards, in the order of their codes."""
    return tuple(kind for kind in FILE_KINDS if state.label in MACHINE.events[kind.label].transitions)


def _possible(record: FileRecord, event: e.Event) -> tuple[Kind, ...]:
    """The kinds, facts aside, that have a row for the record's state and a guard that the record does not refute."""
    possible = []
    for kind in allowed(record.state):
        guard = _GUARD_OF[record.state, kind]
        if kind not in FACTS and (guard not in _ABOUT_RECORD or GUARDS[guard](record, event)):
            possible.append(kind)
    return tuple(possible)


def explain() -> str:
    """The table in words, one line a row, events that are legal everywhere on one line."""
    lines: list[str] = []
    for kind in FILE_KINDS:
        rows = [row for row in TRANSITIONS if row.event is kind]
        everywhere = len(rows) == len(State) and all(row.source is row.dest for row in rows)
        if everywhere:
            lines.append(f"any state stays: {kind.label}{_guarded(rows[0].guard)}: {rows[0].why}")
            continue
        lines.extend(
            f"{row.source.label} -> {row.dest.label}: {kind.label}{_guarded(row.guard)}: {row.why}" for row in rows
        )
    return "\n".join(lines)


def _guarded(guard: str) -> str:
    return f" [{guard}]" if guard else ""


def mermaid() -> str:
    """The machine as a Mermaid state diagram; events that move nothing are left out."""
    lines = ["stateDiagram-v2", f"    [*] --> {INITIAL.label}"]
    for source in State:
        for dest in State:
            labels = [
                kind.label
                for kind in FILE_KINDS
                for transition in MACHINE.events[kind.label].transitions.get(source.label, ())
                if transition.dest == dest.label
                and (source is not dest or kind.label in ("upload_intended", "import_intended"))
            ]
            if labels:
                lines.append(f"    {source.label} --> {dest.label}: {'<br>'.join(labels)}")
    return "\n".join(lines) + "\n"
