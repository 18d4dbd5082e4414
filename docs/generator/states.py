"""The page of states: diagram, table, and the kinds of event with their codes."""

from __future__ import annotations

from generator.text import attribute_docs, first_line, table
from generator.text import page as make_page
from objlib_fsm.core import table as t
from objlib_fsm.core.events import EVENT_TYPES
from objlib_fsm.core.machine import GUARDS, mermaid

FAMILIES = {
    t.Family.LOCAL: "what a scan found on disk",
    t.Family.WISH: "what a person asked for",
    t.Family.INTENT: "written before a call that changes the store",
    t.Family.OUTCOME: "what became of that call; a fact, never moves a file",
    t.Family.OBSERVATION: "what a look-up showed; a fact, never moves a file",
    t.Family.VERDICT: "what follows from the facts",
    t.Family.LIBRARY: "about the library as a whole: its store, its runs, who is at work",
}


def page() -> str:
    """The page."""
    told = attribute_docs(t, "State")
    states = [(f"`{state.label}`", str(state.value), told[state.name]) for state in t.State]
    kinds = [
        (
            str(kind.value),
            f"`{kind.label}`",
            kind.family.value,
            str(EVENT_TYPES[kind].schema),
            first_line(EVENT_TYPES[kind].__doc__),
        )
        for kind in t.Kind
    ]
    return make_page(
        "States and events",
        "A file is in one of five states, and only an event moves it. `objlib-fsm audit FILE` shows the events of a "
        "file, `objlib-fsm status` how many files are in each state. Everything here is made from one table, "
        "`src/objlib_fsm/core/table.py`; the program's state machine and replay are made from it too.",
        "## States",
        table(("State", "Code", "Meaning"), states),
        "## Diagram",
        "Events that leave a file where it is are left out, but for repeated uploads and imports.",
        f"```mermaid\n{mermaid().rstrip()}\n```",
        "## Transitions",
        "A guard is checked when the event is made, never when the log is replayed.",
        table(("From", "To", "Event", "Guard", "Why"), _moving()),
        "Legal in every state, and move nothing:",
        table(("Event", "Guard", "Why"), _staying()),
        "## Guards",
        table(
            ("Guard", "Holds when"),
            [(f"`{name}`", first_line(guard.__doc__)) for name, guard in GUARDS.items()],
        ),
        "## Kinds of event",
        "Codes are on disk and never get a second meaning. 1 to 63 are about one file, 64 to 127 about the library. "
        "The bodies are in [events.json](../../schemas/events.json).",
        table(("Family", "What it says"), [(f.value, what) for f, what in FAMILIES.items()]),
        table(("Code", "Kind", "Family", "Schema", "What it says"), kinds),
    )


def _everywhere(kind: t.Kind) -> bool:
    rows = [row for row in t.TRANSITIONS if row.event is kind]
    return len(rows) == len(t.State) and all(row.source is row.dest for row in rows)


def _guard(name: str) -> str:
    return f"`{name}`" if name else ""


def _moving() -> list[tuple[str, ...]]:
    return [
        (f"`{row.source.label}`", f"`{row.dest.label}`", f"`{row.event.label}`", _guard(row.guard), row.why)
        for row in t.TRANSITIONS
        if not _everywhere(row.event)
    ]


def _staying() -> list[tuple[str, ...]]:
    rows = {row.event: row for row in t.TRANSITIONS if _everywhere(row.event)}
    return [(f"`{kind.label}`", _guard(row.guard), row.why) for kind, row in rows.items()]
