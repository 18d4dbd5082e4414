"""The disk fails, in the sizes of every test run; each machine also finds a defect that was put there for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash import ioerrors, power
from tests.crash.machine import Found
from tests.log.kit import open_at

IMAGES = 5_000


@pytest.mark.timeout(600)
def test_a_power_cut_leaves_every_acknowledged_event() -> None:
    power.run(IMAGES, seed=1)


@pytest.mark.parametrize("level", ["NORMAL", "OFF"])
def test_what_syncs_less_is_caught(level: str) -> None:
    with pytest.raises(Found, match="acknowledged events are lost"):
        power.run(500, seed=1, adjust=power.weakened(level))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workload", ["appends", "checkpoints", "rebuilds", "migration"])
def test_every_operation_may_fail(workload: str) -> None:
    ioerrors.run(1, recovery=False, names=(workload,))


def test_a_failed_commit_that_is_taken_for_done_is_caught() -> None:
    with pytest.raises(Found, match="acknowledged events are lost"):
        ioerrors.run(1, recovery=False, adjust=ioerrors.acknowledging_failures, names=("appends",))


def test_the_folders_of_a_new_log_outlive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = set()
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.add(Path(os.readlink(f"/proc/self/fd/{handle}")))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    open_at(tmp_path / "one" / "two" / "log.db").close()
    assert synced == {tmp_path, tmp_path / "one", tmp_path / "one" / "two"}
