"""The log against the store: what a complete listing shows beside what the log knows, and the facts that mend it.

Ours is a document whose name the log ever knew, or that carries this library's id; a display name alone proves
nothing, and what is not ours is never touched.  Comparing changes nothing.  `mend` appends what the listing showed of
each file, and the ordinary effects do the rest: what is missing is sent again, what must go is deleted.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import anyio.lowlevel
import msgspec

from objlib_fsm.core import decide as d
from objlib_fsm.core import events as e
from objlib_fsm.core.decide import decide_all
from objlib_fsm.core.effects import doomed_documents
from objlib_fsm.core.events import LIBRARY_STREAM, DocumentFact
from objlib_fsm.core.fold import apply, new_record
from objlib_fsm.core.ids import DocumentName, StreamId
from objlib_fsm.core.machine import Rejected
from objlib_fsm.core.outcomes import Reason
from objlib_fsm.core.policy import SETTLE_S, after_s
from objlib_fsm.core.record import Document, FileRecord, Role
from objlib_fsm.core.table import State
from objlib_fsm.engine.answers import answered
from objlib_fsm.engine.clock import Clock
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.listed import Listing, fact_of
from objlib_fsm.log.projection import STRAY
from objlib_fsm.log.sqlite import SqliteReader
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import CallFailed, DocumentState, Remote, RemoteDocument

CHUNK: Final = 500
"""Documents looked up in the log by one query, and files compared between two turns of the event loop."""

_STREAM_ID: Final = re.compile(r"[a-z2-7]{16}")


class Sign(enum.StrEnum):
    """What a line of the report says, in rclone's manner."""

    SAME = "="
    """Indexed here, ACTIVE there."""
    MISSING = "-"
    """Indexed here, missing there."""
    UNKNOWN = "+"
    """Ours there, unknown here."""
    PENDING = "!"
    """Pending or failed there, or not confirmed here."""
    EXTRA = "~"
    """Superseded, a duplicate, or of a file that is not wanted."""
    FOREIGN = "?"
    """Not ours."""


DIFFERENCES: Final = (Sign.MISSING, Sign.UNKNOWN, Sign.PENDING, Sign.EXTRA)
"""What `mend` sees to.  Documents of others are no difference."""


class Finding(msgspec.Struct, frozen=True):
    """One line of the report.  ``stream`` is empty for what is not ours, ``path`` when no file has that history."""

    sign: Sign
    document: DocumentName
    stream: StreamId
    path: str
    note: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What mending does: files sent again, documents confirmed, taken over, and deleted.

    ``last`` are those of the deleted ones after which the store holds nothing more of their file.
    """

    send_again: int = 0
    confirm: int = 0
    take_over: int = 0
    delete: int = 0
    last: int = 0

    @property
    def empty(self) -> bool:
        """Nothing is to be done."""
        return not (self.send_again or self.confirm or self.take_over or self.delete)


class Comparison(msgspec.Struct, frozen=True):
    """Documents per sign, those of ours among the listed ones, and what mending would do."""

    began_at_us: int
    signs: dict[Sign, int]
    ours: int
    plan: Plan

    @property
    def same(self) -> bool:
        """No difference."""
        return not any(self.signs[sign] for sign in DIFFERENCES)


class _Doubt(NamedTuple):
    """A document that the listing does not show; ``settled``: it should."""

    stream: StreamId
    document: DocumentName
    settled: bool


class Comparer:
    """Compares a complete listing with the log.  What it finds is kept in the listing's scratch."""

    def __init__(self, log: SqliteReader, listing: Listing, remote: Remote, clock: Clock, pace: Pace) -> None:
        assert listing.complete, "a partial listing says nothing"
        self._log = log
        self._listing = listing
        self._remote = remote
        self._clock = clock
        self._pace = pace
        self._signs = dict.fromkeys(Sign, 0)
        self._plan = dict.fromkeys(Plan.__struct_fields__, 0)
        self._found: list[Finding] = []

    async def compare(self) -> Comparison:
        """What differs.  Raises `CallFailed` when the service cannot say whether a document is missing."""
        self._listing.write("DELETE FROM finding WHERE n > ?", [(0,)])
        self._find_owners()
        doubts: list[_Doubt] = []
        for count, record in enumerate(self._log.records()):
            doubts += self._compare_file(record)
            if count % CHUNK == 0:
                self._flush()
                await anyio.lowlevel.checkpoint()
        await self._settle_doubts(doubts)
        self._compare_strays()
        self._flush()
        ours = self._count("owner IS NOT NULL") + sum(1 for _ in self._strays())
        return Comparison(self._listing.began_at_us, self._signs, ours, Plan(**self._plan))

    # ---- whose is it? ------------------------------------------------------------------------------------------------

    def _find_owners(self) -> None:
        """By our mark, if a file has that history; else by a document's own name, which the log ever knew.

        A stray's mark comes last: a file may have taken over what was made under it.
        """
        last = ""
        query = "SELECT name, stream, library FROM document WHERE name > ? ORDER BY name LIMIT ?"
        while chunk := self._listing.rows(query, (last, CHUNK)):
            last = chunk[-1][0]
            by_id = {str(name).rpartition("/")[2]: name for name, _, _ in chunk}
            marked = {str(name): str(stream) for name, stream, library in chunk if library == self._listing.library}
            histories = dict(self._known("standing", "files", "stream", set(marked.values())))
            owners = {name: stream for name, stream in marked.items() if histories.get(stream, STRAY) != STRAY}
            for key, stream in self._known("stream", "names", "name", by_id):
                owners.setdefault(by_id[key], stream)
            for name, stream in marked.items():
                if stream in histories:
                    owners.setdefault(name, stream)
            self._listing.write("UPDATE document SET owner = ?2 WHERE name = ?1", list(owners.items()))

    def _known(self, what: str, table: str, by: str, values: Iterable[str]) -> list[tuple[str, Any]]:
        wanted = list(values)
        marks = ", ".join("?" * len(wanted))
        query = f"SELECT {by}, {what} FROM {table} WHERE {by} IN ({marks})"  # noqa: S608 - constants
        return [(str(key), value) for key, value in self._log.rows(query, wanted)]

    # ---- file by file ------------------------------------------------------------------------------------------------

    def _compare_file(self, record: FileRecord) -> list[_Doubt]:
        """Note what the listing shows of the file; the documents that it does not show though it should."""
        listed = list(self._listing.documents("owner = ?", (record.stream,)))
        if _plainly_same(record, listed):
            self._signs[Sign.SAME] += 1
            return []
        if listed:
            self._compare_listed(record, listed)
        document = record.document
        if record.state is not State.INDEXED or document is None or document.name in {shown.name for shown in listed}:
            return []
        self._add(Finding(Sign.MISSING, document.name, record.stream, record.path, "indexed here, missing there"))
        return [_Doubt(record.stream, document.name, self._is_settled(document))]

    def _is_settled(self, document: Document) -> bool:
        """Whether it was shown long enough before the listing for that to show it too."""
        settled: bool = after_s(document.seen_at_us, SETTLE_S) <= self._listing.began_at_us
        return settled

    def _compare_listed(self, record: FileRecord, listed: Sequence[RemoteDocument]) -> None:
        before = {document.name: document for document in record.documents}
        after = _after(
            record, d.DocumentsFound(self._listing.began_at_us, _facts(record, listed)), self._clock.now_us()
        )
        roles = {document.name: document for document in after.documents}
        doomed = {document.name for document in doomed_documents(after)}
        for document in listed:
            known, now = before.get(document.name), roles[document.name]
            if now.role is Role.GONE:
                continue  # Deleted so recently that the listing may not know it yet.
            sign, note = _judged(after, document, known, now, document.name in doomed)
            if document.name in doomed:
                self._plan["delete"] += 1
                self._plan["last"] += after.document is None or after.document.name in doomed
            elif sign is Sign.PENDING:
                self._plan["confirm"] += 1
            elif sign is Sign.UNKNOWN:
                self._plan["take_over"] += 1
            if sign is Sign.SAME:
                self._signs[sign] += 1
            else:
                self._add(Finding(sign, document.name, record.stream, record.path, note))

    async def _settle_doubts(self, doubts: Sequence[_Doubt]) -> None:
        """What the listing does not show is asked for by name, unless the store's own count bears the listing out."""
        if not doubts:
            return
        store = await answered(lambda: self._remote.get_store(self._listing.store), self._clock, self._pace)
        trusted = store.documents == len(self._listing)
        self._flush()
        for stream, name, settled in doubts:
            there = None if trusted and settled else await self._look_up(name)
            if there is None:
                self._plan["send_again"] += 1
                continue
            self._listing.add((there,), "")
            self._listing.write("UPDATE document SET owner = ?2 WHERE name = ?1", [(name, stream)])
            self._listing.write("DELETE FROM finding WHERE document = ? AND sign = '-'", [(name,)])
            self._signs[Sign.MISSING] -= 1
            record = self._log.record(stream)
            if record is not None:
                self._compare_listed(record, (there,))

    async def _look_up(self, name: DocumentName) -> RemoteDocument | None:
        try:
            return await answered(lambda: self._remote.get_document(name), self._clock, self._pace)
        except CallFailed as failed:
            if failed.failure.reason is Reason.GONE:
                return None
            raise

    # ---- what no history accounts for --------------------------------------------------------------------------------

    def _strays(self) -> Iterator[RemoteDocument]:
        """Documents with this library's mark whose history the log does not have."""
        where = "owner IS NULL AND library = ? ORDER BY stream, created_at_us, name"
        return (
            document
            for document in self._listing.documents(where, (self._listing.library,))
            if document.identity is not None and _STREAM_ID.fullmatch(document.identity.stream)
        )

    def _compare_strays(self) -> None:
        adopted = {document.name: record for record, document in adoptions(self._log, self._strays())}
        for document in self._strays():
            record = adopted.get(document.name)
            assert document.identity is not None
            stream = StreamId(document.identity.stream)
            if record is not None:
                self._plan["take_over"] += 1
                note = "of these bytes, made under another history"
                self._add(Finding(Sign.UNKNOWN, document.name, record.stream, record.path, note))
            else:
                self._plan["delete"] += 1
                self._plan["last"] += 1
                self._add(Finding(Sign.UNKNOWN, document.name, stream, "", "no file here has this history"))
        for document in self._listing.documents("owner IS NULL"):
            identity = document.identity
            ours = identity is not None and identity.library == self._listing.library
            if not (ours and identity is not None and _STREAM_ID.fullmatch(identity.stream)):
                self._add(Finding(Sign.FOREIGN, document.name, StreamId(""), "", "not ours"))

    # ---- the scratch -------------------------------------------------------------------------------------------------

    def _add(self, finding: Finding) -> None:
        self._signs[finding.sign] += 1
        self._found.append(finding)

    def _flush(self) -> None:
        rows = [(None, f.sign.value, f.stream, f.document, msgspec.json.encode(f).decode()) for f in self._found]
        self._listing.write("INSERT INTO finding VALUES (?, ?, ?, ?, ?)", rows)
        self._found.clear()

    def _count(self, where: str) -> int:
        return int(self._listing.rows(f"SELECT count(*) FROM document WHERE {where}")[0][0])  # noqa: S608 - constants


def findings(listing: Listing, sign: Sign | None = None) -> Iterator[Finding]:
    """The differences, in the order in which they were found; documents that are the same are only counted."""
    where, arguments = ("1", ()) if sign is None else ("sign = ?", (sign.value,))
    for (body,) in listing.each(f"SELECT body FROM finding WHERE {where} ORDER BY n", arguments):  # noqa: S608
        yield msgspec.json.decode(body, type=Finding)


async def mend(
    journal: Journal, log: SqliteReader, listing: Listing, say: Callable[[str], None] = lambda text: None
) -> set[StreamId]:
    """Append what the listing showed of each file that differs, and of what no file accounts for.

    *say* is told when it waits.  The streams appended to; whoever holds the lease performs what follows.
    """
    began_at_us, touched, told = listing.began_at_us, set[StreamId](), False
    marks = ", ".join(f"'{sign.value}'" for sign in DIFFERENCES)
    query = f"SELECT DISTINCT stream FROM finding WHERE sign IN ({marks})"  # noqa: S608 - constants
    missing = {str(name) for (name,) in listing.rows("SELECT document FROM finding WHERE sign = '-'")}
    for (stream,) in listing.rows(query):
        record = log.record(StreamId(stream))
        listed = list(listing.documents("owner = ?", (stream,)))
        if record is None or not (listed or record.live_documents):
            continue
        record = await journal.tell(record, d.DocumentsFound(began_at_us, _facts(record, listed)))
        for absent in [document for document in record.live_documents if document.name in missing]:
            # It was shown so shortly before that its absence counts for nothing yet.
            wait_us = after_s(absent.seen_at_us, SETTLE_S) - journal.clock.now_us()
            if wait_us > 0 and not told:
                told = True
                say(f"waiting for up to {SETTLE_S:.0f} s: what was shown just before counts as missing only then")
            await journal.clock.sleep(max(wait_us, 0) / 1e6)
            record = await journal.tell(record, d.DocumentMissing(absent.name))
        touched.add(record.stream)
    strays = list(_found_strays(listing))
    taken = set()
    for record, document in adoptions(log, iter(strays)):
        await journal.tell(record, d.DocumentFound(fact_of(record, document)))
        touched.add(record.stream)
        taken.add(document.name)
    by_stream: dict[StreamId, list[RemoteDocument]] = {}
    for document in strays:
        if document.name not in taken and document.identity is not None:
            by_stream.setdefault(StreamId(document.identity.stream), []).append(document)
    for stream, documents in by_stream.items():
        record = log.record(stream) or new_record(stream)
        facts = tuple(fact_of(record, document) for document in documents)
        await journal.tell(record, d.StrayShown(began_at_us, facts))
        touched.add(stream)
    return touched


def _found_strays(listing: Listing) -> Iterator[RemoteDocument]:
    where = (
        "owner IS NULL AND name IN (SELECT document FROM finding WHERE sign = '+') ORDER BY stream, created_at_us, name"
    )
    return listing.documents(where)


def adoptions(log: SqliteReader, strays: Iterator[RemoteDocument]) -> Iterator[tuple[FileRecord, RemoteDocument]]:
    """The strays that stand for a file of these bytes which has no document: at most one for each file."""
    waiting: dict[str, list[StreamId]] | None = None
    for document in strays:
        if waiting is None:
            waiting = _waiting(log)
        identity = document.identity
        if identity is None or document.state is not DocumentState.ACTIVE or not waiting.get(identity.payload):
            continue
        record = log.record(waiting[identity.payload].pop())
        if record is not None:
            yield record, document


def _waiting(log: SqliteReader) -> dict[str, list[StreamId]]:
    """The files that the store should hold and for which no document is known, by the short id of what they are."""
    found: dict[str, list[StreamId]] = {}
    for record in log.records("open = 1 AND standing = 0"):
        if record.here and not record.terminal and not any(x.payload == record.payload for x in record.live_documents):
            found.setdefault(record.payload, []).append(record.stream)
    return found


async def remember(journal: Journal, listing: Listing, comparison: Comparison) -> None:
    """Record what the comparison counted, for the cheap check after each run."""
    foreign = comparison.signs[Sign.FOREIGN]
    compared = e.StoreCompared(listing.store, comparison.began_at_us, comparison.ours, foreign)
    await journal.note(LIBRARY_STREAM, compared)


def _plainly_same(record: FileRecord, listed: Sequence[RemoteDocument]) -> bool:
    if record.state is not State.INDEXED or len(listed) != 1 or len(record.live_documents) != 1 or not record.kept:
        return False
    (known,), (shown,) = record.live_documents, listed
    same = known.name == shown.name and shown.state is DocumentState.ACTIVE
    return same and known.role is Role.CURRENT


def _facts(record: FileRecord, listed: Sequence[RemoteDocument]) -> tuple[DocumentFact, ...]:
    return tuple(fact_of(record, document) for document in listed)


def _after(record: FileRecord, report: d.Report, now_us: int) -> FileRecord:
    """The record if *report* were told."""
    decided = decide_all(record, (report,), now_us)
    assert not isinstance(decided, Rejected), "a report is never rejected"
    for event in decided:
        record = apply(record, event, now_us)
    return record


def _judged(
    after: FileRecord, shown: RemoteDocument, known: Document | None, now: Document, doomed: bool
) -> tuple[Sign, str]:
    """The sign of a listed document, and why."""
    if after.stray:
        return Sign.UNKNOWN, "no file here has this history"
    if known is None or known.role is Role.GONE:
        return Sign.UNKNOWN, now.role.value if known is None else "deleted here, still there"
    if shown.state is DocumentState.FAILED:
        return Sign.PENDING, "failed there"
    if doomed:
        return Sign.EXTRA, now.role.value if after.kept else "not wanted any more"
    if shown.state is not DocumentState.ACTIVE:
        return Sign.PENDING, "pending there"
    if now.role is Role.CURRENT and after.state is State.INDEXED and known.role is Role.CURRENT:
        return Sign.SAME, ""
    return Sign.PENDING, "kept until its successor is there" if now.payload != after.payload else "not confirmed here"
