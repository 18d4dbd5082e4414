"""The promise, checked against the service itself: what a simulation must end with."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import Family, State
from objlib_fsm.log import replay
from objlib_fsm.log.contract import Recorded
from objlib_fsm.log.file import LogFile


class Broken(AssertionError):
    """The promise is broken; the message says which file, and how."""


def check(
    log: LogFile,
    documents: list[dict[str, Any]],
    contents: Mapping[str, bytes],
    forgotten: set[str],
    described: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Raises `Broken`.

    *documents* is what the service itself holds, *contents* what is on disk, *forgotten* the paths that a person
    told the program to forget; *described* is the year that a sidecar on disk gives a path.
    """
    _check_log(log)
    held: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for document in documents:
        held[document["customMetadata"].get("objlib_stream", "nobody")].append(document)
    streams: set[str] = set()
    paths: set[str] = set()
    for record in log.records():
        streams.add(record.stream)
        paths.add(record.path)
        _check_file(record, held.get(record.stream, []), contents.get(record.path), forgotten, described)
        _check_history(record, log.read(record.stream))
    if unknown := set(held) - streams:
        raise Broken(f"documents that nobody knows: {[held[stream] for stream in unknown]}")
    if lost := set(contents) - paths:
        raise Broken(f"files that nobody knows: {sorted(lost)}")


def _check_log(log: LogFile) -> None:
    rebuilt = replay.rebuild(log)
    if rebuilt.mismatches:
        raise Broken(f"replay disagrees with the recorded states: {rebuilt.mismatches}")
    if drift := replay.projection_drift(log, rebuilt):
        raise Broken(f"the projection drifted: {drift}")


def _check_file(
    record: FileRecord,
    documents: list[dict[str, Any]],
    content: bytes | None,
    forgotten: set[str],
    described: Mapping[str, int],
) -> None:
    path = record.path
    names = [document["name"] for document in documents]
    known = {document.name for document in record.live_documents}
    if set(names) != known:
        raise Broken(f"{path}: the store holds {names}, the log knows {sorted(known)}")
    if len(names) > 1:
        raise Broken(f"{path}: {len(names)} documents: {names}")
    if record.calls or record.imports:
        raise Broken(f"{path}: nobody knows what became of {record.calls} {record.imports}")
    if path in forgotten:
        if names or record.wanted or any(raw.alive for raw in record.raws):
            raise Broken(f"{path}: forgotten and not gone: {names} {record.raws}")
        return
    if content is None:
        if record.present:
            raise Broken(f"{path}: vanished and still present in the log")
        if record.state is State.INDEXED and not names:
            raise Broken(f"{path}: indexed, and the store holds nothing")
        return
    if not content:
        if not record.excluded:
            raise Broken(f"{path}: empty and not excluded")
        return
    wanted = hashlib.sha256(content).hexdigest()
    if record.source_hash != wanted:
        raise Broken(f"{path}: the log knows other bytes than the disk")
    if record.state is not State.INDEXED:
        raise Broken(f"{path}: {record.state.label}, {record.cause} {record.problem}")
    if len(names) != 1:
        raise Broken(f"{path}: indexed and not in the store")
    (document,) = documents
    if document["state"] != "STATE_ACTIVE" or document["customMetadata"]["objlib_payload"] != record.payload:
        raise Broken(f"{path}: its document is {document}")
    said = {key: value for key, value in document["customMetadata"].items() if not key.startswith("objlib_")}
    wanted_said = {"year": described[path]} if path in described else {}
    if not said == dict(record.metadata) == wanted_said:
        raise Broken(f"{path}: its document says {said}, the log {record.metadata}, the disk {wanted_said}")


_SAYS_WHY = {
    State.UNTRACKED: frozenset({Family.LOCAL, Family.WISH, Family.VERDICT}),
    State.INDEXED: frozenset({Family.VERDICT}),
    State.FAILED: frozenset({Family.VERDICT}),
}
"""Events of these families move a file to where it may rest."""


def _check_history(record: FileRecord, events: Sequence[Recorded]) -> None:
    """The event that led to the present state names the reason."""
    last = None
    before = State.UNTRACKED
    for recorded in events:
        if recorded.state != before or last is None:
            last = recorded
        before = recorded.state
    if last is None or last.kind.family not in _SAYS_WHY.get(record.state, frozenset()):
        kind = "nothing" if last is None else last.kind.label
        raise Broken(f"{record.path}: {record.state.label} because of {kind}")
    if record.state is State.FAILED and not (record.cause and record.cause_message):
        raise Broken(f"{record.path}: failed, and nobody says why")
