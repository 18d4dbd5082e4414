"""JSON Schemas of every event, of every ``--json`` document and of the emulator's fault rules."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from generator.text import page as make_page
from generator.text import prose, table
from objlib_fsm.cli.messages import MESSAGES, Message
from objlib_fsm.cli.settings import Settings
from objlib_fsm.core.codec import UPCASTS
from objlib_fsm.core.events import EVENT_TYPES
from objlib_fsm.core.table import TRANSITIONS, Kind
from objlib_fsm.emulator.faults import Rule

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

WRITTEN_BY: Final = {
    "error": "every command with `--json`, when it could not do what it was asked for; also its exit code",
    "summary": "`run --json` and `watch --json`, the last line",
    "run": "`run --json` and `watch --json`, the first line",
    "scan": "`scan --json`, and `run --json` and `watch --json` after a scan",
    "file": "`run --json` and `watch --json`, for each file that is done or put off",
    "batch_started": "`run --json` and `watch --json`",
    "batch_ended": "`run --json` and `watch --json`",
    "waiting": "`run --json` and `watch --json`, when nothing can be done for a while",
    "watching": "`watch --json`, when a round of work is over and it waits for changes",
    "prune": "`run --prune --json`, after the scan",
    "resumed_late": "`run --json`, when resumed work is not done in its time",
    "plan": "`run --dry-run --json`",
    "status": "`status --json`",
    "replay": "`replay --json`",
    "audit": "`audit --json`",
    "wish": "`retry`, `reset`, `forget` and `track` with `--json`",
    "answer": "`ask --json`",
    "store_sync": "`store-sync --json`",
    "check": "`check --json`",
    "stores": "`store list --json`",
    "store": "`store create`, `store recreate` and `store delete` with `--json`",
    "backup": "`backup --json`",
    "doctor": "`doctor --json`",
    "listening": "`emulator --json`, when it accepts requests",
    "adoption": "`adopt --json`",
    "config": "`config show --json`",
    "version": "`--version --json`",
}


def files() -> dict[str, str]:
    """The schemas by path."""
    made = {
        "schemas/events.json": _events(),
        "schemas/emulator-fault-rule.json": _of(Rule, "emulator-fault-rule"),
        "schemas/config.json": _of(Settings, "config"),
    }
    for message in MESSAGES:
        name = f"message-{type_of(message)}"
        made[f"schemas/{name}.json"] = _of(message, name)
    return {path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for path, schema in made.items()}


def type_of(message: type[Message]) -> str:
    """The ``type`` that a document of that struct carries."""
    return str(message.__struct_config__.tag)


def page() -> str:
    """The reference of ``--json``."""
    rows = []
    for message in MESSAGES:
        name = type_of(message)
        link = f"[message-{name}.json](../../schemas/message-{name}.json)"
        rows.append((f"`{name}`", WRITTEN_BY[name], prose(message.__doc__).replace("\n\n", " "), link))
    return make_page(
        "JSON output",
        "Every command takes `--json`. Results go to stdout, one document on one line; everything else goes to "
        "stderr. `run` and `watch` write several lines, each a document; the others write one.",
        "Each document has a `type` and a `schema` number. Fields are only ever added; a program skips what it does "
        "not know. Times are ISO 8601 in UTC. File names are relative to the library's folder; a byte that is not "
        r"UTF-8 is written `\xNN` and a backslash `\\` (in JSON each backslash once more).",
        table(("`type`", "Written by", "What it says", "Schema"), rows),
        "Three more schemas: [config.json](../../schemas/config.json) for `objlib.toml` ([settings](environment.md)), "
        "[events.json](../../schemas/events.json) for the events in the log (kind, schema version "
        "and body, with the transitions of each kind), and "
        "[emulator-fault-rule.json](../../schemas/emulator-fault-rule.json) for the rules that the emulator's side "
        "channel takes ([emulator](emulator.md)). The wheel carries all of them.",
    )


def _of(struct: type[msgspec.Struct], name: str) -> dict[str, Any]:
    (ref,), defs = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    own = _tidy(defs.pop(ref["$ref"].rpartition("/")[2]))
    schema = {"$schema": DIALECT, "$id": f"urn:objlib-fsm:schema:{name}", **own}
    if defs:
        schema["$defs"] = _tidy(defs)
    return schema


def _tidy(value: Any) -> Any:
    """Descriptions as plain text; the number of a document's schema is a constant that is always there."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidied = {key: _tidy(item) for key, item in value.items()}
    if isinstance(value.get("description"), str):
        tidied["description"] = prose(value["description"])
    properties = tidied.get("properties", {})
    if "schema" in properties and "type" in properties:
        properties["schema"] = {"const": properties["schema"]["default"]}
        tidied["required"] = ["type", "schema", *(name for name in tidied["required"] if name != "type")]
    return tidied


def _events() -> dict[str, Any]:
    kinds = list(EVENT_TYPES)
    refs, defs = msgspec.json.schema_components(list(EVENT_TYPES.values()), ref_template="#/$defs/{name}")
    defs = _tidy(defs)
    rows = []
    for kind, ref in zip(kinds, refs, strict=True):
        cls = EVENT_TYPES[kind]
        body = defs[ref["$ref"].rpartition("/")[2]]
        body["x-kind"] = kind.label
        body["x-code"] = int(kind)
        body["x-schema-version"] = cls.schema
        body["x-read-from-schema-version"] = min([cls.schema, *(v for k, v in UPCASTS if k is kind)])
        body["x-family"] = kind.family.value
        body["x-transitions"] = _transitions(kind)
        rows.append(
            {
                "title": kind.label,
                "type": "object",
                "properties": {"kind": {"const": int(kind)}, "schema": {"const": cls.schema}, "body": ref},
                "required": ["kind", "schema", "body"],
            }
        )
    return {
        "$schema": DIALECT,
        "$id": "urn:objlib-fsm:schema:events",
        "title": "Event",
        "description": "A stored event: its kind's code, the version of its schema, and its body, each a column of "
        "the log. A field of the body at its default is left out. `x-transitions` are the kind's rows of the state "
        "table; the library's own events have none.",
        "oneOf": rows,
        "$defs": defs,
    }


def _transitions(kind: Kind) -> list[dict[str, str]]:
    return [
        {"from": row.source.label, "to": row.dest.label, **({"guard": row.guard} if row.guard else {}), "why": row.why}
        for row in TRANSITIONS
        if row.event is kind
    ]
