"""The bundle for a report of a defect: enough to see what happened, nothing of what the files are.

File names, stream ids, messages and contents are left out or stand as hashes, with a salt that is made for this bundle
and kept nowhere: the same file is the same word within one bundle, and nobody can try names.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from objlib_fsm import __version__
from objlib_fsm.cli.console import KEY_VARIABLES
from objlib_fsm.cli.messages import Health
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.place import log_path

EVENTS_MAX: Final = 20_000
"""The last ones: a megabyte or two, compressed a tenth of it."""

KEPT: Final = frozenset(
    {
        "outcome", "reason", "code", "status", "generation", "attempt", "attempts", "polls", "epoch", "exit_code",
        "size_bytes", "automatic", "cause", "tier", "rpm", "retry_after_s", "until_us", "due_at_us", "expires_at_us",
        "files", "succeeded", "failed", "batch", "state", "complete",
    }
)  # fmt: skip
"""Fields of events that say what happened and nothing of the file it happened to."""

_WORD: Final = re.compile(r"[A-Za-z0-9_ -]{0,60}")
"""What a kept text may look like; anything else is hashed."""

README: Final = """A bundle of objlib-fsm for a report of a defect.

versions.json   the program and what it rests on
doctor.json     what `objlib-fsm doctor` found, without paths
events.jsonl    the last events: kind, state, times, outcomes; names are hashes with a salt nobody kept
counts.json     files per state, and which settings are set (not their values)

There are no keys, no file names, no content and no messages of the service in it. Look before you send it.
"""


class _Names:
    """Hashes for names, the same within one bundle."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)

    def __call__(self, text: str) -> str:
        return "#" + hashlib.blake2b(text.encode("utf-8", "surrogateescape"), key=self._salt, digest_size=6).hexdigest()


def write_bundle(inv: Invocation, to: Path, found: list[Health]) -> None:
    """Write the bundle, 0600.  Raises `OSError`."""
    names = _Names()
    handle = os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w+b") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:

        def add(name: str, text: str) -> None:
            bundle.writestr(name, inv.console.redact(text))

        add("README.txt", README)
        add("versions.json", json.dumps(_versions(), indent=2))
        add("doctor.json", json.dumps([_without_names(one) for one in found], indent=2))
        events, counts = _of_log(log_path(inv), names)
        add("events.jsonl", "".join(f"{json.dumps(event)}\n" for event in events))
        add("counts.json", json.dumps(counts, indent=2))


def _versions() -> dict[str, str]:
    import apsw

    return {
        "objlib-fsm": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "sqlite": apsw.sqlite_lib_version(),
        "apsw": apsw.apsw_version(),
    }


def _without_names(one: Health) -> dict[str, Any]:
    """A finding by what it is about and how it ended: its text names files, folders and hosts."""
    return {"check": one.check, "result": one.result, "exit_code": one.exit_code}


def _of_log(path: Path, names: _Names) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The last events and the counts; empty when the log cannot be read, which the findings say."""
    from objlib_fsm.log.contract import LogError
    from objlib_fsm.log.sqlite import SqliteReader, open_for_reading

    variables = sorted(
        name for name in os.environ if name in KEY_VARIABLES or name.startswith("OBJLIB_") or "proxy" in name.lower()
    )
    counts: dict[str, Any] = {"set": variables}
    try:
        reader = SqliteReader(open_for_reading(path), path)
    except LogError as error:
        return [], counts | {"log": type(error).__name__}
    try:
        with reader.snapshot():
            states = reader.rows("SELECT state, standing, open, count(*) FROM files GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
            counts["files"] = [dict(zip(("state", "standing", "open", "files"), row, strict=True)) for row in states]
            counts["head"] = reader.head()
            return list(_events(reader, names)), counts
    except LogError as error:
        return [], counts | {"log": type(error).__name__}
    finally:
        reader.close()


def _events(reader: Any, names: _Names) -> Iterator[dict[str, Any]]:
    import msgspec

    for recorded in reader.since(max(0, reader.head() - EVENTS_MAX), EVENTS_MAX):
        yield {
            "position": recorded.position,
            "stream": names(recorded.stream),
            "version": recorded.version,
            "kind": recorded.kind.label,
            "state": recorded.state.label,
            "at_us": recorded.recorded_at_us,
            "run": names(recorded.run),
            "actor": recorded.actor,
            **{name: _kept(name, value, names) for name, value in msgspec.to_builtins(recorded.event).items()},
        }


def _kept(name: str, value: Any, names: _Names) -> Any:
    """A field's value when it says nothing of the file, else a hash that tells only whether two are equal."""
    if isinstance(value, bool | None):
        return value
    if isinstance(value, dict):
        return {inner: _kept(inner, each, names) for inner, each in value.items() if inner in KEPT}
    if name in KEPT and (isinstance(value, int | float) or (isinstance(value, str) and _WORD.fullmatch(value))):
        return value
    return names(json.dumps(value, sort_keys=True))
