"""A random walk: a shell, a disk, people and a nasty service, all playing against the core's three functions.

`Walk` holds what the program knows (only through events) beside what is true (`Service`), and checks at every step
what must hold always.
"""

from __future__ import annotations

from typing import Final

import msgspec

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.fold import apply, new_record
from objlib_fsm.core.ids import DocumentName, EventId, RawFileName
from objlib_fsm.core.machine import Rejected, check
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import FACTS, State
from tests.core.adopted import Left, adopted
from tests.core.moves import How, Op, Step
from tests.core.service import SECOND_US, STORE, Clock, Service, StoredDocument, content_hash
from tests.core.shell import CRASH, LIBRARY, OUTCOMES, STREAM, Shell

HOUR_S: Final = 3600.0

STORM_EFFECTS: Final = 24
"""Enough to use up every attempt."""

_TELLS: Final = {
    Op.VANISH: e.FileVanished(),
    Op.REAPPEAR: e.FileReappeared(8, 2),
    Op.EXCLUDE: e.FileExcluded("unreadable"),
    Op.INCLUDE: e.FileIncluded(8, 3),
    Op.MOVE: e.FileMoved(LibraryPath("b/other.md"), 8, 4),
    Op.TOUCH: e.FileTouched(8, 5),
    Op.FORGET: e.FileForgotten(),
    Op.TRACK: e.FileTracked(),
    Op.RETRY: e.RetryRequested(),
    Op.RETRY_FAILED: e.RetryRequested(automatic=True),
    Op.PRUNE: e.FilePruned(),
    Op.RESET: e.FileReset(),
}


def described(n: int) -> e.FileDescribed:
    """One of the descriptions that a file can have: with or without metadata, with or without a header."""
    metadata = {"year": n % 3} if n % 3 else {}
    header, payload_hash = ("A title\n", content_hash(3 + n % 2)) if n % 4 == 3 else ("", "")
    return e.FileDescribed(metadata, {}, str(n), header, payload_hash)


class Walk:
    """One file's life."""

    def __init__(self, *, excluded: bool = False, stray: bool = False, left: Left | None = None) -> None:
        self.clock = Clock()
        self.service = Service()
        self.shell = Shell(self.service, self.clock)
        self.record = new_record(STREAM)
        self.history: list[tuple[e.Event, int]] = []
        self.late: list[d.Report] = []
        self.seen_active: set[tuple[DocumentName, str]] = set()
        self.named: set[str] = set()
        self.meddled = False
        self.held = False
        """It has been indexed, and nobody but this program may have touched its document since."""
        self._calls = 0
        self._stray_raws: dict[DocumentName, RawFileName] = {}
        if stray:
            self._begin_as_stray()
            return
        if left is not None:
            self.take_over(left)
            return
        source_hash, reason = ("", "too large") if excluded else (content_hash(0), "")
        self.tell(e.FileDiscovered(LibraryPath("a.md"), 8, 1, source_hash, "text/markdown", reason))

    def take_over(self, left: Left) -> bool:
        """Adopt what an earlier tool left of the file; whether it was allowed."""
        decided = self._decide(d.Adopt(adopted(left, self.service, self.clock)))
        if isinstance(decided, Rejected):
            return False
        self.append(decided)
        return True

    def _begin_as_stray(self) -> None:
        """A log that was restored from an old copy finds documents of a file that it has never heard of."""
        for number, state in enumerate(("STATE_ACTIVE", "STATE_FAILED", "STATE_ACTIVE")):
            raw = self.service.upload(
                RawFileName(f"files/before-{number}"), content_hash(0), self.clock.real_us, own_name=False
            )
            assert raw is not None
            _, document = self.service.import_raw(raw.payload, self.clock.real_us, 0)
            document.fate = state
            self._stray_raws[document.name] = raw.name
        facts = self.shell.listing().documents
        named = tuple(msgspec.structs.replace(fact, raw=self._stray_raws[fact.name]) for fact in facts)
        self.report(d.StrayShown(self.clock.now_us, named))

    def effect(self) -> fx.Effect | None:
        return fx.next_effect(self.record, self.clock.now_us)

    # ---- steps -------------------------------------------------------------------------------------------------------

    def take(self, step: Step) -> None:
        """One step."""
        match step.op:
            case Op.PERFORM | Op.PERFORM_AMID:
                self._perform_next(step)
            case Op.STORM:
                for _ in range(STORM_EFFECTS):
                    self._perform_next(msgspec.structs.replace(step, op=Op.PERFORM, n=step.n | 1))
            case Op.REPORT:
                if self.late:
                    self.report(self.late[step.n % len(self.late)])
            case Op.PASS:
                self.clock.advance(step.after_s)
            case Op.BACK:
                self.clock.behind_us += round(min(step.after_s, HOUR_S) * SECOND_US)
            case Op.SNAPSHOT:
                self.shell.take_snapshot()
            case Op.RAW_DIES:
                alive = [raw for raw in self.service.raws.values() if raw.there(self.clock.real_us)]
                if alive:
                    alive[step.n % len(alive)].gone_us = self.clock.real_us
            case Op.DOCUMENT_LOST | Op.DOCUMENT_FLIPS:
                active = [
                    s
                    for s in self.service.documents.values()
                    if s.live(self.clock.real_us) and s.fate != "STATE_FAILED"
                ]
                if active:
                    self._meddle(step.op, active[step.n % len(active)])
            case Op.AUDIT:
                self.report(self.shell.listing())
            case Op.REPLACE:
                self.service.lose_everything(self.clock.real_us)
                self.shell.snapshot = None
                self.tell(e.StoreReplaced(STORE))
            case Op.CHANGE:
                self.tell(e.ContentChanged(8, 6, content_hash(step.n % 3), "text/markdown"))
            case Op.DESCRIBE:
                self.tell(described(step.n))
            case _:
                self.tell(_TELLS[step.op])

    def _meddle(self, op: Op, stored: StoredDocument) -> None:
        """What the core cannot know before somebody looks."""
        self.meddled = True
        if op is Op.DOCUMENT_LOST:
            stored.deleted_us = self.clock.real_us
        else:
            stored.fate = "STATE_FAILED"

    def tell(self, event: e.Event) -> bool:
        """What a scan or a person says; whether it was allowed."""
        decided = self._decide(d.Tell(event))
        if isinstance(decided, Rejected):
            return False
        self.append(decided)
        return True

    def report(self, *reports: d.Report) -> None:
        """What the service said: never rejected."""
        before = self.record
        decided = d.decide_all(before, reports, self.clock.now_us)
        assert not isinstance(decided, Rejected), decided
        one_by_one: list[e.Event] = []
        for report in reports:
            events = self._decide(report)
            assert not isinstance(events, Rejected)
            one_by_one.extend(events)
            self.append(events)
        assert decided == tuple(one_by_one)

    def _perform_next(self, step: Step) -> None:
        effect = self.effect()
        if isinstance(effect, fx.Wait):
            assert effect.until_us > self.clock.now_us
            if step.n % 2:
                self.clock.advance((effect.until_us - self.clock.now_us) / SECOND_US)
            return
        if effect is not None:
            self.perform(effect, step)

    def perform(self, effect: fx.Effect, step: Step) -> None:
        """Intent, call, outcome, as a shell does it."""
        call = EventId("")
        if isinstance(effect, fx.Mutation):
            self._calls += 1
            call = EventId(f"call{self._calls:022d}")
            decided = self._decide(d.Begin(effect, call, LIBRARY, STORE, 1))
            assert not isinstance(decided, Rejected), f"{effect} is wanted and refused: {decided}"
            self.append(decided)
        reports = self.shell.call(self.record, effect, call, step)
        self.clock.advance(step.after_s)
        if step.op is Op.PERFORM_AMID:
            amid = (*_TELLS, Op.CHANGE, Op.DESCRIBE)
            self.take(Step(amid[step.n % len(amid)], n=step.n))
        if step.how not in (How.REPORT_LATE, *CRASH):
            self.report(*reports)
        if step.how not in CRASH:  # Outcomes may come late, and again; what a look-up showed is recorded at once.
            self.late.extend(r for r in reports if isinstance(r, OUTCOMES))

    # ---- what must hold always -----------------------------------------------------------------------------------

    def _decide(self, command: d.Command) -> tuple[e.Event, ...] | Rejected:
        before = msgspec.json.encode(self.record)
        decided = d.decide(self.record, command, self.clock.now_us)
        assert msgspec.json.encode(self.record) == before, "a decision changed the record"
        return decided

    def append(self, events: tuple[e.Event, ...]) -> None:
        """What was decided is in the log."""
        for event in events:
            assert event.kind in FACTS or check(self.record, event) is None, f"{event} is decided and not allowed"
            self._remember(event)
            before = self.record.state
            self.record = apply(self.record, event, self.clock.now_us)
            self.history.append((event, self.clock.now_us))
            if event.kind in FACTS:
                assert self.record.state is before, "a fact moved the file"
        check_always(self.record, self.clock.now_us)
        assert self.named <= names_in(self.record), "an id was erased"
        if self.record.state is State.INDEXED and self.record.here:
            document = self.record.document
            assert document is not None, "indexed without a document"
            assert document.payload == self.record.payload
            assert (document.name, self.record.payload) in self.seen_active, "indexed without having seen it ACTIVE"
            self.held = True
        replaced = any(isinstance(event, e.StoreReplaced) for event in events)
        self.held = self.held and self.record.kept and not (self.meddled or replaced)
        if self.held:
            now_us = self.clock.real_us
            stored = self.service.documents.values()
            assert any(s.live(now_us) and s.state(now_us) == "STATE_ACTIVE" for s in stored), "absent from the store"

    def _remember(self, event: e.Event) -> None:
        facts: tuple[e.DocumentFact, ...] = ()
        if isinstance(event, e.DocumentSeen):
            facts = (event.document,)
        elif isinstance(event, e.DocumentsListed | e.StrayFound | e.FileAdopted):
            facts = event.documents
        self.seen_active.update((fact.name, fact.payload) for fact in facts if fact.state == "STATE_ACTIVE")
        self.named.update(fact.name for fact in facts)
        for field in ("raw", "document"):
            name = getattr(event, field, None)
            if isinstance(name, str):
                self.named.add(name)


def names_in(record: FileRecord) -> set[str]:
    """Every raw file and document that the record knows."""
    return {raw.name for raw in record.raws} | {document.name for document in record.documents}


def check_always(record: FileRecord, now_us: int) -> None:
    """What holds for every record that events can lead to."""
    effect = fx.next_effect(record, now_us)
    if not record.terminal:
        assert effect is not None, f"{record.state.label}: nothing is going to happen"
    if not record.here:
        assert record.state in (State.UNTRACKED, State.INDEXED), record.state
    if not record.wanted:
        assert record.state is State.UNTRACKED
    if isinstance(effect, fx.Wait):
        assert effect.until_us > now_us
    else:
        assert not isinstance(effect, fx.Upload) or effect.payload, "an upload of nobody knows what"
