"""A library under the profile of what was measured: one run, nothing failed, nothing twice, as fast as it can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.measured import measure

FILES = 120
BYTES = 2_000_000


@pytest.mark.parametrize("adaptive", [False, True], ids=["fixed rate", "adaptive"])
def test_one_run_is_enough(folder: Path, adaptive: bool) -> None:
    figures = measure(folder, FILES, BYTES, adaptive=adaptive)
    assert (figures.exit_code, figures.indexed, figures.failed) == (0, FILES, 0)
    assert (figures.documents, figures.extra_uploads) == (FILES, 0)
    assert figures.refused > 0, "the profile's troubles did not come"
    # In minutes of virtual time, whatever the machine; the end of so short a run weighs more than it should.
    assert figures.of_bound > 0.9, figures
