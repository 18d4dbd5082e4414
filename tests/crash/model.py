"""The log against a model of it: ``python -m tests.crash.model --examples 1000 --steps 50 --seed 1``.

Whatever is appended in whatever order, from two connections, with the log closed and its projection lost in between:
the log, its projection and the model say the same.  Hypothesis chooses, and shrinks what fails.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seed_of
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LEASE_STREAM
from objlib_fsm.core.fold import HistoryBroken, fold
from objlib_fsm.core.ids import RunId, StreamId
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.log.contract import (
    OWN_STREAMS,
    Append,
    AppendRefused,
    AppendResult,
    EventIdReuse,
    Expect,
    Fenced,
    IllegalEvent,
    NewEvent,
    PathTaken,
    VersionConflict,
)
from objlib_fsm.log.file import LogFile
from tests.crash.machine import MEMORY, Found, main
from tests.log.kit import HASH, NOW_US, check, new_id, open_at, stream, tamper

NAMES = ("a", "b", "c")
PATHS = ("x", "y", "z")

paths = st.sampled_from(PATHS).map(LibraryPath)
file_events = st.one_of(
    paths.map(lambda path: e.FileDiscovered(path, 1, 2, HASH, "text/plain")),
    paths.map(lambda path: e.FileMoved(path, 1, 2)),
    st.integers(0, 3).map(lambda number: e.FileTouched(1, number)),
    st.sampled_from((e.FileVanished(), e.FileForgotten(), e.FileTracked(), e.RetryRequested())),
    st.sampled_from(("p", "q")).map(lambda end: e.ContentChanged(1, 2, HASH[:-1] + "ef"[end == "q"], "text/plain")),
    st.just(e.GaveUp("cause")),
)
expectations = st.one_of(st.just("right"), st.integers(0, 5), st.sampled_from((Expect.NO_STREAM, Expect.EXISTS)))


class Model:
    """What the log must hold, as lists and dicts."""

    def __init__(self) -> None:
        self.histories: dict[StreamId, list[NewEvent]] = {}
        self.order: list[tuple[StreamId, NewEvent]] = []
        self.epoch = 0
        self.released = True

    def version(self, name: StreamId) -> int:
        return len(self.histories.get(name, ()))

    def path(self, name: StreamId) -> str:
        return fold(name, self._pairs(name)).path

    def _pairs(self, name: StreamId) -> list[tuple[e.Event, int]]:
        return [(new.event, NOW_US) for new in self.histories.get(name, [])]

    def append(self, one: Append) -> tuple[int, int] | type[AppendRefused]:
        """First and last position, or why not."""
        refused = self._refused(one)
        found = [position for new in one.events for position in self._positions(new, one.stream)]
        if any(position < 0 for position in found):
            return EventIdReuse
        if found:
            return (found[0], found[-1]) if len(found) == len(one.events) else EventIdReuse
        if refused is not None:
            return refused
        self.histories.setdefault(one.stream, []).extend(one.events)
        self.order.extend((one.stream, new) for new in one.events)
        return len(self.order) - len(one.events) + 1, len(self.order)

    def _positions(self, new: NewEvent, name: StreamId) -> list[int]:
        return [
            position if (of, known.event) == (name, new.event) else -position
            for position, (of, known) in enumerate(self.order, 1)
            if known.id == new.id
        ]

    def _refused(self, one: Append) -> type[AppendRefused] | None:
        version = self.version(one.stream)
        right = {Expect.NO_STREAM: version == 0, Expect.EXISTS: version > 0, Expect.ANY: True}
        met = version == one.expected if isinstance(one.expected, int) else right[one.expected]
        if not met:
            return VersionConflict
        if one.epoch is not None and (self.released or one.epoch != self.epoch):
            return Fenced
        if one.stream in OWN_STREAMS:
            return None
        try:
            after = fold(one.stream, [*self._pairs(one.stream), *((new.event, NOW_US) for new in one.events)])
        except HistoryBroken:
            return IllegalEvent
        if version == 0 and not isinstance(one.events[0].event, e.FileDiscovered):
            return IllegalEvent
        others = {self.path(name) for name in self.histories if name != one.stream and name not in OWN_STREAMS}
        moved = version == 0 or after.path != self.path(one.stream)
        return PathTaken if moved and after.path in others else None


class LogAgainstModel(RuleBasedStateMachine):
    """Appends of every sort, from two connections, with the log closed and its projection lost in between."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
        self.model = Model()
        self.appended: list[Append] = []
        self.seen = 0
        """Events of the model's order that were compared."""

    @initialize()
    def open(self) -> None:
        self.log: LogFile = open_at(self.folder / "log.db")
        self.other: LogFile = open_at(self.folder / "log.db", run="o" * 16)
        born = self.log.since(0, 1)[0]
        self.model.histories[born.stream] = [NewEvent(born.id, born.event)]
        self.model.order.append((born.stream, NewEvent(born.id, born.event)))

    def _append(self, log: LogFile, appends: list[Append]) -> None:
        outcomes = log.append_many_now(appends)
        for one, outcome in zip(appends, outcomes, strict=True):
            expected = self.model.append(one)
            if isinstance(expected, tuple):
                assert isinstance(outcome, AppendResult), (one, outcome)
                assert outcome[:2] == expected, one
                self.appended.append(one)
            else:
                assert type(outcome) is expected, (one, outcome)

    def _build(self, draws: list[tuple[str, Any, list[e.Event], int | None]]) -> list[Append]:
        versions = {name: self.model.version(stream(name)) for name in NAMES}
        built = []
        for name, expected, events, epoch in draws:
            wanted = versions[name] if expected == "right" else expected
            built.append(Append(stream(name), wanted, tuple(NewEvent(new_id(), ev) for ev in events), NOW_US, epoch))
            versions[name] += len(events) if expected == "right" else 0
        return built

    @rule(
        draws=st.lists(
            st.tuples(
                st.sampled_from(NAMES),
                expectations,
                st.lists(file_events, min_size=1, max_size=3),
                st.sampled_from((None, None, 1, 2)),
            ),
            min_size=1,
            max_size=6,
        ),
        elsewhere=st.booleans(),
    )
    def append(self, draws: list[tuple[str, Any, list[e.Event], int | None]], elsewhere: bool) -> None:
        self._append(self.other if elsewhere else self.log, self._build(draws))

    @precondition(lambda self: self.appended)
    @rule(data=st.data(), elsewhere=st.booleans())
    def append_again(self, data: st.DataObject, elsewhere: bool) -> None:
        again = data.draw(st.lists(st.sampled_from(self.appended), min_size=1, max_size=3))
        self._append(self.other if elsewhere else self.log, again)

    @precondition(lambda self: self.appended)
    @rule(data=st.data(), name=st.sampled_from(NAMES), event=file_events)
    def reuse_an_id(self, data: st.DataObject, name: str, event: e.Event) -> None:
        used = data.draw(st.sampled_from(self.appended)).events[0]
        version = self.model.version(stream(name))
        self._append(self.log, [Append(stream(name), version, (NewEvent(used.id, event),), NOW_US)])

    @rule(release=st.booleans())
    def lease(self, release: bool) -> None:
        if release and not self.model.released:
            self._note(e.LeaseReleased(self.model.epoch))
            self.model.released = True
        else:
            epoch = self.model.epoch + 1
            self._note(e.LeaseTaken(epoch, RunId("r"), "h", 1, 1, "b"))
            self.model.epoch, self.model.released = epoch, False

    def _note(self, event: e.Event) -> None:
        self._append(self.log, [Append(LEASE_STREAM, Expect.ANY, (NewEvent(new_id(), event),), NOW_US)])

    @rule(lose_projection=st.booleans())
    def close_and_open(self, lose_projection: bool) -> None:
        self.log.close()
        self.other.close()
        if lose_projection:
            tamper(self.folder / "log.db", "DELETE FROM files; DELETE FROM names; DELETE FROM projection")
        self.log = open_at(self.folder / "log.db")
        self.other = open_at(self.folder / "log.db", run="o" * 16)

    @invariant()
    def the_same(self) -> None:
        """What was appended since the last look, and every record of a file that it concerns."""
        if not self.model.order:
            return
        new = self.model.order[self.seen :]
        for log in (self.log, self.other):
            assert log.head() == len(self.model.order)
            assert [(r.stream, r.id, r.event) for r in log.since(self.seen, 10_000)] == [
                (n, e.id, e.event) for n, e in new
            ]
        for name in {name for name, _ in new} - OWN_STREAMS:
            record = self.log.record(name)
            assert record == fold(name, [(n.event, NOW_US) for n in self.model.histories[name]])
            assert record is not None
            assert self.other.by_path(record.path) == record
        self.seen = len(self.model.order)

    def teardown(self) -> None:
        try:
            if self.model.order:
                assert [(r.stream, r.id, r.event) for r in self.log.since(0, 1 << 40)] == [
                    (name, new.id, new.event) for name, new in self.model.order
                ]
                check(self.log)
                self.log.close()
                self.other.close()
        finally:
            shutil.rmtree(self.folder)


def run(examples: int, steps: int, seed: int, machine: type[LogAgainstModel] = LogAgainstModel) -> str:
    """So many walks of so many steps; the report.  Raises `Found`, after shrinking."""
    wanted = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    seeded = type(machine.__name__, (machine,), {})
    try:
        run_state_machine_as_test(seed_of(seed)(seeded), settings=wanted)
    except AssertionError as error:
        raise Found(f"model --examples {examples} --steps {steps} --seed {seed}: {error!r}") from error
    return f"{examples} walks of up to {steps} steps: log, projection and model agree"


class Forgetful(LogAgainstModel):
    """The seeded defect: a projection that is not written with the events."""

    def _append(self, log: LogFile, appends: list[Append]) -> None:
        super()._append(log, appends)
        tamper(self.folder / "log.db", "UPDATE files SET record = json_set(record, '$.version', 1)")


if __name__ == "__main__":
    sys.exit(main("model", run, "The log against a model of it.", examples=1_000, steps=50))
