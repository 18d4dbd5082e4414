"""Some days in the life of a library, and what the commands say of it in the end; all 30 are in `make reliability`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim import promise
from tests.sim.month import live
from tests.sim.mutants import MUTANTS

FILES, DAYS = 60, 4


@pytest.mark.parametrize("profile", ["instant", "measured"])
def test_store_sync_check_and_audit_agree_in_the_end(folder: Path, profile: str) -> None:
    month = live(folder, FILES, DAYS, profile, audited=4)
    assert month.done["documents lost by the store"] > 0, month
    assert month.done["outages"] > 0, month
    assert month.kinds > 10, month


def test_a_library_that_keeps_too_much_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS["keeps_duplicates"](monkeypatch)
    with pytest.raises(promise.Broken):
        live(folder, 20, 2)
