"""Each fault of the catalogue in every mode, under the real engine: what a run ends with, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import pytest

from objlib_fsm.emulator.faults import CATALOGUE, Rule
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from objlib_fsm.engine.runner import Stop
from objlib_fsm.engine.session import LATER_EXIT
from objlib_fsm.remote.pacing import Pacer
from objlib_fsm.remote.port import CallFailed
from tests.sim.mutants import gives_up_what_would_pass
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

FILES: Final = 12

SLOW = Settings(
    latencies=Latencies(
        upload=Latency(1.0, 3.0),
        request=Latency(0.05, 0.3),
        index=Latency(1.0, 30.0),
        operation=Latency(0.0, 2.0),
        listing=Latency(0.5, 2.5),
    )
)


class End(NamedTuple):
    """What is expected of a fault: of the run that meets it, and of those after it has passed.

    ``exit_code`` and ``states`` are of the runs while the fault is there; when it has gone every file is indexed and
    the exit code is 0.
    """

    exit_code: int
    states: dict[str, int]
    why: str


PASSES: Final = {"indexed": FILES}

ENDS: Final[dict[str, End]] = {
    "F1": End(0, PASSES, "waits as long as RetryInfo says, and goes on"),
    "F2": End(4, {}, "halted: the day's quota is used up; no file has failed or counts an attempt"),
    "F3": End(4, {}, "halted: the storage is full; no file has failed or counts an attempt"),
    "F4": End(0, PASSES, "backs off by itself, and goes on"),
    "F5": End(0, PASSES, "tried again"),
    "F6": End(0, PASSES, "tried again; the SDK itself asks three times first"),
    "F7": End(0, PASSES, "tried again; should it have been done all the same, the extra document is deleted"),
    "F8": End(0, PASSES, "tried again: this 400 passes"),
    "F9": End(0, PASSES, "the raw file is gone while the store answers: sent again under the next generation"),
    "F10": End(0, PASSES, "tried again when the raw file is ACTIVE"),
    "F11": End(0, PASSES, "uncertain: looked up, not there, done again"),
    "F12": End(0, PASSES, "uncertain: looked up, there, taken over"),
    "F13": End(0, PASSES, "uncertain after our own deadline: looked up, there, taken over"),
    "F14": End(0, PASSES, "the operation is a hint; a listing shows the document"),
    "F15 pending": End(4, {"indexed": FILES - 3, "processing": 3}, "never claimed, never given up, looked at later"),
    "F15 failed": End(0, PASSES, "a dead document is deleted, the raw file imported again"),
    "F15 failed_after_active": End(0, PASSES, "it was seen ACTIVE; what comes later `check` and `store-sync` find"),
    "F16": End(0, PASSES, "a listing that is not whole says nothing"),
    "F17": End(0, PASSES, "no answer: looked up before anything is repeated"),
    "F18": End(0, PASSES, "no answer: looked up by the name we chose"),
    "F19": End(0, PASSES, "our own deadline ends it; looked up"),
    "F20": End(0, PASSES, "waited for"),
    "F21": End(0, PASSES, "what is not known is not ACTIVE: asked again"),
    "F22": End(0, PASSES, "a page that is not the service's word says nothing; a taken name is looked at"),
    "F23": End(0, PASSES, "what a search finds is no condition for anything"),
}
"""By fault, or by fault and mode where the modes end differently."""

MODES: Final = [(fault, mode) for fault, entry in CATALOGUE.items() for mode in entry.modes]


def end_of(fault: str, mode: str) -> End:
    """The row of the table."""
    return ENDS[fault] if fault in ENDS else ENDS[f"{fault} {mode}"]


def rule_of(fault: str, mode: str) -> Rule:
    """Now and then, on any request; what would halt the run at its first call comes when it is under way."""
    if fault in ("F2", "F3"):
        return Rule(fault=fault, mode=mode, endpoint="stores.import", nth=5)
    if (fault, mode) == ("F15", "pending"):
        return Rule(fault=fault, mode=mode, endpoint="stores.import", count=3)
    return Rule(fault=fault, mode=mode, probability=0.2, count=6 if fault == "F15" else 30)


async def _first_runs(w: World, expected: End) -> None:
    """Runs while the fault is there; until they are done, or for an hour where the fault does not pass."""
    stop = Stop()
    if expected.exit_code != LATER_EXIT:
        assert (await w.run_until_done()).exit_code == expected.exit_code
        return
    for _ in range(5):
        stop = Stop()
        summary = await w.run(stop)
        assert summary.exit_code == expected.exit_code
        await w.clock.sleep(900.0)
    states = {state: n for state in ("indexed", "processing", "failed") if (n := getattr(summary.counts, state))}
    assert summary.counts.failed == 0
    if expected.states:
        assert states == expected.states
    else:
        assert stop.halted is not None
        assert not any(record.attempts for record in w.records().values())


@pytest.mark.parametrize(("fault", "mode"), MODES, ids=lambda value: value or "plain")
def test_a_fault_ends_as_expected(tmp_path: Path, fault: str, mode: str) -> None:
    """Incident 29: some failures left no trace, and their files were skipped."""
    expected = end_of(fault, mode)

    async def main() -> None:
        async with world(tmp_path, SLOW, (rule_of(fault, mode),), seed=7) as w:
            for number in range(FILES):
                w.write(f"file{number}.txt", f"This is file number {number}, about things.\n")
            await _first_runs(w, expected)
            if fault == "F23":
                w.write("file0.txt", "Other words, so that a document is replaced and its predecessor deleted.\n")
            w.faults.clear()
            w.service.service.context.db.run(
                "UPDATE document SET active_at_us = created_at_us WHERE active_at_us IS NULL AND failed_at_us IS NULL"
            )
            await w.clock.sleep(900.0)
            summary = await w.run_until_done()
            assert summary.exit_code == 0
            assert await w.check() == PASSES, summary

    run_virtual(main)


def test_a_run_ends_although_documents_stay_pending_each_due_at_another_time(tmp_path: Path) -> None:
    """Complaint 6: "complete" is shown before anything can be found.

    Incident 14: an import without a document counts as indexed.
    """

    async def main() -> None:
        async with world(tmp_path, SLOW, (Rule(fault="F15", mode="pending", endpoint="stores.import"),)) as w:
            w.pace = Pacer("free", w.clock, adaptive=False)  # Twelve minutes lie between the first and the last.
            for number in range(30):
                w.write(f"file{number}.txt", f"This is file number {number}, about things.\n")
            summary = await w.run()
            assert (summary.exit_code, summary.counts.processing) == (LATER_EXIT, 30)
            assert summary.next_due_us is not None
            assert w.clock.monotonic() < 3 * 3_600.0  # An hour of polling, then the document itself.

    run_virtual(main, turns_max=200_000)


def test_the_table_has_every_fault_and_no_other() -> None:
    named = {f"{fault} {mode}" if fault not in ENDS else fault for fault, mode in MODES}
    assert named == set(ENDS)
    assert set(CATALOGUE) == {f"F{number}" for number in range(1, 24)}


def test_a_fault_that_ends_otherwise_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gives_up_what_would_pass(monkeypatch)
    with pytest.raises((AssertionError, CallFailed)):
        test_a_fault_ends_as_expected(tmp_path, "F5", "unavailable")
