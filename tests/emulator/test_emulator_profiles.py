"""Ready-made settings, as a client meets them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from objlib_fsm.emulator.inprocess import local_service
from objlib_fsm.emulator.profiles import MEASURED, PROFILES
from objlib_fsm.emulator.settings import Settings
from tests.support.command import Place
from tests.support.virtual_time import VirtualClock, run_virtual

REQUESTS = 2_000
KEY = {"x-goog-api-key": "test"}


def test_the_shares_of_the_profile_are_those_that_were_measured(tmp_path: Path) -> None:
    async def main() -> Counter[int]:
        clock = VirtualClock()
        async with local_service(tmp_path / "s.db", MEASURED, clock=clock.now_us) as service, service.client() as http:
            path = "/v1/fileSearchStores/none:importFile"
            answers = [await http.post(path, headers=KEY, json={"fileName": "files/none"}) for _ in range(REQUESTS)]
            return Counter(answer.status_code for answer in answers)

    codes = run_virtual(main)
    created = codes[400] / REQUESTS
    assert 0.02 <= created <= 0.05
    unavailable = (codes[500] + codes[503]) / REQUESTS
    assert 0.003 <= unavailable <= 0.012
    assert codes[500] > 0
    assert codes[503] > 0


def test_the_default_is_the_profile_instant() -> None:
    assert PROFILES["instant"] == Settings()


def test_a_profile_that_is_not_there_and_one_too_many_are_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    unknown = place.run("emulator", "--profile", "perfect")
    assert (unknown.code, "instant, measured" in unknown.err) == (2, True)
    place.write("slow.json", "{}")
    both = place.run("emulator", "--profile", "measured", "--settings", place.library / "slow.json")
    assert (both.code, "leave out one" in both.err) == (2, True)
