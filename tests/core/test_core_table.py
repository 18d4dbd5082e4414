"""The table, and that nothing made from it says anything else."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.fold import HistoryBroken, apply, new_record
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.machine import GUARDS, MACHINE, allowed, explain, mermaid
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import (
    DESTINATIONS,
    FACTS,
    FILE_KINDS,
    ILLEGAL,
    INITIAL,
    KIND_CODES,
    LIBRARY_KINDS,
    TRANSITIONS,
    Family,
    Kind,
    State,
    destination,
)
from tests.core.stored_bodies import EXAMPLES

EVERY_PAIR = [(state, kind) for state in State for kind in FILE_KINDS]

STATE_CODES = {0: "untracked", 1: "uploading", 2: "processing", 3: "indexed", 4: "failed"}
"""On disk for ever: extend, never change."""

KIND_NAMES = {
    1: "file_discovered",
    2: "content_changed",
    3: "file_touched",
    4: "file_vanished",
    5: "file_reappeared",
    6: "file_moved",
    7: "file_excluded",
    8: "file_included",
    9: "file_described",
    10: "file_forgotten",
    11: "file_tracked",
    12: "retry_requested",
    13: "file_pruned",
    14: "file_reset",
    15: "file_adopted",
    16: "store_replaced",
    20: "upload_intended",
    21: "import_intended",
    22: "document_delete_intended",
    23: "raw_delete_intended",
    30: "upload_done",
    31: "import_accepted",
    32: "document_deleted",
    33: "raw_deleted",
    34: "call_rejected",
    35: "call_failed",
    36: "call_uncertain",
    40: "raw_seen",
    41: "raw_absent",
    42: "raw_gone",
    43: "operation_ended",
    44: "document_seen",
    45: "document_gone",
    46: "documents_listed",
    47: "stray_found",
    50: "file_indexed",
    51: "document_claimed",
    52: "started_over",
    53: "gave_up",
    64: "library_created",
    65: "library_rooted",
    66: "store_create_intended",
    67: "store_create_ended",
    68: "store_pinned",
    69: "store_compared",
    70: "run_started",
    71: "run_ended",
    72: "batch_started",
    73: "batch_ended",
    74: "pace_learned",
    75: "rate_limits_seen",
    80: "lease_taken",
    81: "lease_renewed",
    82: "lease_released",
    83: "store_delete_intended",
    84: "store_delete_ended",
}
"""On disk for ever: extend, never change."""

ANEW = ("file_described", "file_reset")

MOVES = {
    ("untracked", "upload_intended", "uploading"),
    ("untracked", "import_intended", "processing"),
    ("untracked", "document_claimed", "processing"),
    ("untracked", "gave_up", "failed"),
    ("uploading", "import_intended", "processing"),
    ("uploading", "document_claimed", "processing"),
    ("uploading", "gave_up", "failed"),
    ("uploading", "content_changed", "untracked"),
    ("uploading", "file_vanished", "untracked"),
    ("uploading", "file_excluded", "untracked"),
    ("uploading", "file_forgotten", "untracked"),
    ("uploading", "started_over", "untracked"),
    ("processing", "file_indexed", "indexed"),
    ("processing", "gave_up", "failed"),
    ("processing", "content_changed", "untracked"),
    ("processing", "file_vanished", "untracked"),
    ("processing", "file_excluded", "untracked"),
    ("processing", "file_forgotten", "untracked"),
    ("processing", "started_over", "untracked"),
    ("processing", "store_replaced", "untracked"),
    ("indexed", "content_changed", "untracked"),
    ("indexed", "file_forgotten", "untracked"),
    ("indexed", "file_pruned", "untracked"),
    ("indexed", "started_over", "untracked"),
    ("indexed", "store_replaced", "untracked"),
    ("failed", "content_changed", "untracked"),
    *((state, event, "untracked") for state in ("uploading", "processing", "indexed", "failed") for event in ANEW),
    ("failed", "file_vanished", "untracked"),
    ("failed", "file_excluded", "untracked"),
    ("failed", "file_forgotten", "untracked"),
    ("failed", "retry_requested", "untracked"),
    ("failed", "document_claimed", "processing"),
}
"""Every way from one state to another, written down a second time."""


def pair_id(value: object) -> str:
    return value.label if isinstance(value, State | Kind) else str(value)


def test_codes_are_for_ever() -> None:
    assert {state.value: state.label for state in State} == STATE_CODES
    assert {kind.value: kind.label for kind in Kind} == KIND_NAMES


def test_codes_fit_the_compiled_table() -> None:
    assert all(0 < kind < KIND_CODES for kind in Kind)
    assert all(kind < 64 for kind in FILE_KINDS)
    assert all(kind >= 64 for kind in LIBRARY_KINDS)
    assert set(FILE_KINDS) | set(LIBRARY_KINDS) == set(Kind)


def test_the_ways_from_state_to_state_are_these() -> None:
    moves = {(row.source.label, row.event.label, row.dest.label) for row in TRANSITIONS if row.source is not row.dest}
    assert moves == MOVES


def test_no_two_rows_for_one_state_and_event() -> None:
    pairs = [(row.source, row.event) for row in TRANSITIONS]
    assert len(pairs) == len(set(pairs))


def test_every_kind_of_event_is_used_and_every_row_says_why() -> None:
    assert {row.event for row in TRANSITIONS} == set(FILE_KINDS)
    assert all(row.why for row in TRANSITIONS)


def test_every_guard_exists_and_is_used() -> None:
    assert {row.guard for row in TRANSITIONS if row.guard} == set(GUARDS)
    assert all(guard.__doc__ for guard in GUARDS.values())


def test_every_state_is_reached_and_every_state_is_left() -> None:
    reached = {INITIAL}
    while True:
        further = reached | {row.dest for row in TRANSITIONS if row.source in reached}
        if further == reached:
            break
        reached = further
    assert reached == set(State)
    assert {row.source for row in TRANSITIONS if row.dest is not row.source} == set(State)


def test_from_every_state_the_file_can_be_indexed() -> None:
    towards = defaultdict(set)
    for row in TRANSITIONS:
        towards[row.dest].add(row.source)
    can = {State.INDEXED}
    for _ in State:
        can |= {source for dest in can for source in towards[dest]}
    assert can == set(State)


@pytest.mark.parametrize("kind", sorted(FACTS), ids=pair_id)
@pytest.mark.parametrize("state", State, ids=pair_id)
def test_facts_are_legal_in_every_state_without_a_guard_and_move_nothing(state: State, kind: Kind) -> None:
    (row,) = (row for row in TRANSITIONS if (row.source, row.event) == (state, kind))
    assert row.dest is state
    assert not row.guard


def test_families() -> None:
    assert {kind for kind in FILE_KINDS if kind.family in (Family.OUTCOME, Family.OBSERVATION)} == FACTS
    by_family = {family: [kind.value for kind in Kind if kind.family is family] for family in Family}
    assert by_family == {
        Family.LOCAL: [1, 2, 3, 4, 5, 6, 7, 8, 9],
        Family.WISH: [10, 11, 12, 13, 14, 15, 16],
        Family.INTENT: [20, 21, 22, 23],
        Family.OUTCOME: [30, 31, 32, 33, 34, 35, 36],
        Family.OBSERVATION: [40, 41, 42, 43, 44, 45, 46, 47],
        Family.VERDICT: [50, 51, 52, 53],
        Family.LIBRARY: [64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 80, 81, 82, 83, 84],
    }


# ---- the live machine, the compiled fold and the diagram agree -------------------------------------------------------


def in_machine(state: State, kind: Kind) -> State | None:
    """What the `transitions.Machine` has for the pair."""
    rows = MACHINE.events[kind.label].transitions.get(state.label, [])
    assert len(rows) <= 1
    return next((s for s in State for row in rows if row.dest == s.label), None)


def diagram() -> dict[tuple[str, str], str]:
    """The diagram read back: (source, event) to destination."""
    arrows = {}
    for line in mermaid().splitlines():
        match = re.fullmatch(r" {4}(\w+) --> (\w+): (.+)", line)
        if match:
            for label in match[3].split("<br>"):
                arrows[match[1], label] = match[2]
    return arrows


@pytest.mark.parametrize(("state", "kind"), EVERY_PAIR, ids=pair_id)
def test_machine_fold_and_diagram_agree(state: State, kind: Kind) -> None:
    rows = [row.dest for row in TRANSITIONS if (row.source, row.event) == (state, kind)]
    dest = rows[0] if rows else None
    assert in_machine(state, kind) is dest
    assert destination(state, kind) is dest
    assert DESTINATIONS[state * KIND_CODES + kind] == (ILLEGAL if dest is None else dest)
    assert (kind in allowed(state)) == (dest is not None)
    record = FileRecord(StreamId("s"), version=1, state=state)
    event = EXAMPLES[kind]
    if dest is None:
        with pytest.raises(HistoryBroken, match=f"{kind.label} cannot follow in state {state.label}"):
            apply(record, event, 0)
    else:
        assert apply(record, event, 0).state is dest
    drawn = diagram().get((state.label, kind.label))
    if dest is None or dest is state:
        assert drawn in (None, state.label)
    else:
        assert drawn == dest.label


def test_the_diagram_starts_where_files_start_and_draws_every_move() -> None:
    assert mermaid().startswith("stateDiagram-v2\n    [*] --> untracked\n")
    moves = {(source, event, dest) for (source, event), dest in diagram().items() if source != dest}
    assert moves == MOVES


def test_the_compiled_table_has_nothing_else() -> None:
    used = {state * KIND_CODES + kind for state, kind in EVERY_PAIR} | {INITIAL * KIND_CODES + k for k in LIBRARY_KINDS}
    assert all(code == ILLEGAL for index, code in enumerate(DESTINATIONS) if index not in used)
    assert len(DESTINATIONS) == len(State) * KIND_CODES


@pytest.mark.parametrize("kind", LIBRARY_KINDS, ids=pair_id)
def test_the_librarys_own_events_count_and_move_nothing(kind: Kind) -> None:
    after = apply(new_record(e.LIBRARY_STREAM), EXAMPLES[kind], 5)
    assert (after.version, after.state, after.since_us) == (1, INITIAL, 5)


def test_explain_has_every_row_once() -> None:
    lines = explain().splitlines()
    assert len(lines) == len(set(lines))
    for row in TRANSITIONS:
        guard = f" [{row.guard}]" if row.guard else ""
        said = [
            f"{row.source.label} -> {row.dest.label}: {row.event.label}{guard}: {row.why}",
            f"any state stays: {row.event.label}{guard}: {row.why}",
        ]
        assert sum(line in said for line in lines) == 1, row
