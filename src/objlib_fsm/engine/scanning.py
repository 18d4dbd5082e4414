"""The scan's findings as events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import anyio
import msgspec

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Tell
from objlib_fsm.core.fold import apply, new_record
from objlib_fsm.core.ids import SHORT_ID_BYTES, StreamId, short_id
from objlib_fsm.core.machine import fire
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import FileRecord
from objlib_fsm.engine.journal import Journal, NotAllowed
from objlib_fsm.library import compare as c
from objlib_fsm.library.metadata import Describer
from objlib_fsm.library.scan import PLAIN, look, read
from objlib_fsm.library.values import Exclusion, Fingerprint, Found, Known, Trouble, Twins
from objlib_fsm.log.contract import AppendRefused, PathTaken, VersionConflict
from objlib_fsm.log.sqlite import SqliteReader
from objlib_fsm.log.writer import RunSync

CHUNK_FILES: Final = 64
"""Files read by one job of a worker thread: the hop costs less than one file, and progress is shown in between."""

READERS: Final = 4
"""Threads that read and hash at once; hashing gives up the interpreter's lock, disks like a few requests."""


class Scanned(msgspec.Struct, frozen=True):
    """What a scan found and recorded; ``recorded`` counts by kind of event."""

    recorded: Counter[str]
    unchanged: int
    excluded: Counter[str]
    left_out: Counter[str]
    troubles: Sequence[Trouble]
    twins: Sequence[Twins]
    undescribed: Sequence[tuple[str, str]] = ()
    """Files left out from now on because of what is said of them, each with the source, the field and the reason."""


class _Seen(msgspec.Struct):
    """The part of a `FileRecord` that a scan compares with."""

    path: str = ""
    size_bytes: int = 0
    mtime_ns: int = 0
    inode: int = 0
    device: int = 0
    source_hash: str = ""
    payload_hash: str = ""
    metadata_hash: str = ""
    basis: str = ""
    excluded: str = ""
    present: bool = True
    wanted: bool = True
    checked_at_us: int = 0


_decode_seen = msgspec.json.Decoder(_Seen).decode


def known_files(log: SqliteReader) -> dict[LibraryPath, Known]:
    """What the log knows of every file, by path."""
    known: dict[LibraryPath, Known] = {}
    for seen in log.decoded_records(_decode_seen):
        if not seen.path:
            continue  # A stray is no file.
        known[LibraryPath(seen.path)] = Known(
            seen.size_bytes,
            seen.mtime_ns,
            "" if seen.excluded else seen.source_hash,
            seen.checked_at_us,
            seen.inode,
            seen.device,
            Exclusion(seen.excluded) if seen.excluded else None,
            seen.present,
            seen.basis,
            seen.metadata_hash,
            "" if seen.payload_hash == seen.source_hash else seen.payload_hash,
            seen.wanted,
        )
    return known


async def scan_library(
    journal: Journal,
    log: SqliteReader,
    root: Path,
    own_paths: Sequence[Path],
    run_sync: RunSync,
    progress: Callable[[int, int], None] = lambda done, total: None,
    ignore: Sequence[str] = (),
    describer: Describer = PLAIN,
    *,
    redescribe: bool = False,
) -> Scanned:
    """Look at the library and record what changed.  *progress* is told how many files of how many were read.

    *ignore* are patterns besides those of the library's own files.  With *redescribe* every file is read, and gets
    the metadata and the header that it would get as a new file.

    Raises `ScanRefused` when the library as a whole cannot be trusted now; nothing is recorded then.
    """
    now_us = journal.clock.now_us()
    known = known_files(log)
    survey, overview = await run_sync(lambda: look(root, known, own_paths, ignore, describer, reread=redescribe))
    answers = await _read_all(survey.to_read, lambda item: read(root, item, now_us, describer), run_sync, progress)
    conclusion = c.conclude(survey, answers, known, now_us, redescribe=redescribe)
    recorded = await _record(journal, log, conclusion.findings)
    return Scanned(
        recorded,
        conclusion.unchanged,
        Counter(log_reasons(log)),
        Counter({reason.value: count for reason, count in overview.left_out.items()}),
        [*overview.troubles, *conclusion.troubles],
        overview.twins,
        [
            (found.path, found.detail)
            for found in conclusion.findings
            if isinstance(found, c.NowExcluded) and found.reason is Exclusion.METADATA
        ],
    )


def log_reasons(log: SqliteReader) -> dict[str, int]:
    """How many files are excluded, by reason."""
    query = "SELECT json_extract(record, '$.excluded'), count(*) FROM files WHERE standing = 1 GROUP BY 1"
    return {str(reason): count for reason, count in log.rows(query)}


async def _read_all(
    found: Sequence[Found],
    read_one: Callable[[Found], c.Answer],
    run_sync: RunSync,
    progress: Callable[[int, int], None],
) -> list[c.Answer]:
    answers: list[c.Answer] = []
    chunks = iter(range(0, len(found), CHUNK_FILES))

    def read_chunk(start: int) -> list[c.Answer]:
        return [read_one(item) for item in found[start : start + CHUNK_FILES]]

    async def reader() -> None:
        for start in chunks:
            answers.extend(await run_sync(read_chunk, start))
            progress(len(answers), len(found))

    async with anyio.create_task_group() as readers:
        for _ in range(min(READERS, 1 + len(found) // CHUNK_FILES)):
            readers.start_soon(reader)
    return answers


async def _record(journal: Journal, log: SqliteReader, findings: Sequence[c.Finding]) -> Counter[str]:
    """Append the findings in groups; one that conflicts with another process is decided again by itself."""
    recorded: Counter[str] = Counter()
    group: list[tuple[FileRecord, tuple[e.Event, ...]]] = []
    for finding in findings:
        record = log.by_path(finding.old_path if isinstance(finding, c.Moved) else finding.path)
        if record is None:
            record = new_record(StreamId(short_id(journal.random_bytes(SHORT_ID_BYTES))))
        group.append((record, events_of(finding, record)))
        if len(group) == _GROUP:
            await _append_group(journal, group, recorded)
            group.clear()
    await _append_group(journal, group, recorded)
    return recorded


_GROUP: Final = 500
"""Findings appended at once: one sync for all, and memory stays small."""


async def _append_group(
    journal: Journal, group: Sequence[tuple[FileRecord, tuple[e.Event, ...]]], recorded: Counter[str]
) -> None:
    appends, told = [], []
    for record, events in group:
        try:
            append = journal.prepare(record, [Tell(event) for event in events])
        except NotAllowed:
            continue  # Another process has recorded it meanwhile.
        assert append is not None
        appends.append(append)
        told.append(events)
    for outcome, events in zip(await journal.log.append_all(appends), told, strict=True):
        if isinstance(outcome, VersionConflict | PathTaken):
            continue  # Somebody else records the same library now; the next scan compares with what they wrote.
        if isinstance(outcome, AppendRefused):
            raise outcome
        recorded.update(event.kind.label for event in events)


def events_of(finding: c.Finding, record: FileRecord) -> tuple[e.Event, ...]:
    """The events that record *finding* of a file with this record (a new one for a path never seen).

    What was found of the file, and what is said of it when that is other than before.  A header stays as it is while
    the file's bytes and metadata do, also where the file has moved: it was part of what was sent.
    """
    if isinstance(finding, c.Vanished | c.NowExcluded):
        return (event_of(finding, record),)
    d, f = finding.description, finding.fingerprint
    seen = None if isinstance(finding, c.Redescribed) and _as_recorded(f, record) else event_of(finding, record)
    after = record if seen is None else apply(record, seen, 0)
    touched = e.FileTouched(f.size_bytes, f.mtime_ns, f.inode, f.device, f.taken_at_us, d.basis, d.archive)
    if isinstance(finding, c.Touched):
        return (event_of(finding, record) if d.basis == record.basis else touched,)
    if not isinstance(finding, c.Redescribed) and f.sha256 == record.source_hash:
        same_basis = d.basis == record.basis
        if same_basis or d.metadata_hash == record.metadata_hash:
            return tuple(event for event in (seen, None if same_basis else touched) if event is not None)
    # What the other tool sent is not sent again only because this one has words of its own for it.
    of_adopted = bool(record.adopted) and not record.checked_at_us and f.sha256 == record.source_hash
    said = e.FileDescribed(d.metadata, d.archive, d.basis, d.header, d.payload_sha256, of_adopted)
    if fire(after, said) is not None:
        return (said,) if seen is None else (seen, said)
    told = d.basis != record.basis or bool(d.archive)
    return tuple(event for event in (seen, touched if told else None) if event is not None)


def _as_recorded(f: Fingerprint, record: FileRecord) -> bool:
    return (f.size_bytes, f.mtime_ns) == (record.size_bytes, record.mtime_ns)


def event_of(finding: c.Finding, record: FileRecord) -> e.Event:
    """What was found of the file itself, without what is said of it."""
    if isinstance(finding, c.Vanished):
        return e.FileVanished()
    if isinstance(finding, c.NowExcluded):
        reason, size, mtime, taken = finding.reason.value, finding.size_bytes, finding.mtime_ns, finding.taken_at_us
        if finding.reason is not Exclusion.METADATA:
            if record.version == 0:
                return e.FileDiscovered(finding.path, size, mtime, excluded=reason, taken_at_us=taken)
            return e.FileExcluded(reason, size, mtime, taken)
        detail, basis = finding.detail, finding.basis
        if record.version == 0:
            return e.FileDiscovered(
                finding.path, size, mtime, excluded=reason, taken_at_us=taken, detail=detail, basis=basis
            )
        return e.FileExcluded(reason, size, mtime, taken, detail, basis)
    f = finding.fingerprint
    stat = (f.inode, f.device, f.taken_at_us)
    if isinstance(finding, c.New):
        return e.FileDiscovered(finding.path, f.size_bytes, f.mtime_ns, f.sha256, f.mime_type, "", *stat)
    if isinstance(finding, c.Moved):
        return e.FileMoved(finding.path, f.size_bytes, f.mtime_ns, *stat, f.mime_type)
    if isinstance(finding, c.Touched | c.Redescribed):
        return e.FileTouched(f.size_bytes, f.mtime_ns, *stat)
    if f.sha256 == record.source_hash and not isinstance(finding, c.Changed):
        same = e.FileReappeared if isinstance(finding, c.Reappeared) else e.FileIncluded
        return same(f.size_bytes, f.mtime_ns, *stat)
    return content_changed(f)


def content_changed(f: Fingerprint) -> e.ContentChanged:
    """The event for other bytes."""
    return e.ContentChanged(f.size_bytes, f.mtime_ns, f.sha256, f.mime_type, f.inode, f.device, f.taken_at_us)
