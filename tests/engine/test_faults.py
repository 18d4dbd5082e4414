"""Each fault of the catalogue, under the real engine: the end is always one live document per file."""

from __future__ import annotations

from pathlib import Path

import pytest

from objlib_fsm.emulator.faults import CATALOGUE, Rule
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from tests.support.virtual_time import run_virtual
from tests.support.world import world

FILES = 12

SLOW = Settings(
    latencies=Latencies(
        upload=Latency(1.0, 3.0),
        request=Latency(0.05, 0.3),
        index=Latency(1.0, 30.0),
        operation=Latency(0.0, 2.0),
        listing=Latency(0.5, 2.5),
    )
)

FAULTS = [
    (fault, mode)
    for fault, entry in CATALOGUE.items()
    for mode in entry.modes
    # F2 and F3 halt the run, F23 concerns search, a document that stays PENDING is no fault that ends.
    if fault not in ("F2", "F3", "F23") and mode != "pending"
]


@pytest.mark.parametrize(("fault", "mode"), FAULTS, ids=lambda value: value or "plain")
def test_a_fault_now_and_then_ends_with_one_document_per_file(tmp_path: Path, fault: str, mode: str) -> None:
    async def main() -> None:
        rule = Rule(fault=fault, mode=mode, endpoint="*", probability=0.2, count=6 if fault == "F15" else 30)
        async with world(tmp_path, SLOW, (rule,), seed=7) as w:
            for number in range(FILES):
                w.write(f"file{number}.txt", f"This is file number {number}, about things.\n")
            summary = await w.run_until_done()
            assert await w.check() == {"indexed": FILES}, summary

    run_virtual(main)
