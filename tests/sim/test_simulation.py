"""Every seed ends as promised, always in the same way; and engines with a defect are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from objlib_fsm.log.contract import LogDamaged
from tests.sim.__main__ import main, one, regressions
from tests.sim.mutants import MUTANTS
from tests.sim.promise import Broken
from tests.sim.simulation import Failed, Result, simulate
from tests.support.virtual_time import Endless

SEEDS: Final = 200
CHUNK: Final = 25

MUTANT_SEEDS: Final = 40
"""Within so many seeds each mutant must be found."""

TRACED: Final = "6"
"""Seeds whose traces are compared."""

ROOT: Final = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_seeds(first: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", str(CHUNK), "--first", str(first)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("seed", regressions() or [0])
def test_a_seed_that_failed_once(seed: int) -> None:
    result = one(seed)
    assert isinstance(result, Result), result


def test_the_same_seed_is_the_same_life_under_any_hash_seed() -> None:
    def traces(hash_seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "tests.sim", "--seeds", TRACED, "--first", "7", "--trace"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        ).stdout.rpartition("simulation:")[0]

    first = traces("1")
    assert first.count("seed") == int(TRACED)
    assert first == traces("2")


def _live_all(seeds: Iterable[int], folder: Path) -> None:
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        simulate(seed, place)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_defect_is_found(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch)
    with pytest.raises(Failed) as failed:
        _live_all(range(MUTANT_SEEDS), folder)
    assert isinstance(failed.value.__cause__, Broken | Endless | LogDamaged), failed.value


def test_a_seed_that_fails_is_printed_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MUTANTS["keeps_duplicates"](monkeypatch)
    assert main(["--seeds", "12"]) == 1
    assert "again: python -m tests.sim --seeds 1 --first " in capsys.readouterr().out
