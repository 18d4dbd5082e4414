"""Fault rules: which requests they match, how often they fire, what they report."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from objlib_fsm.emulator.faults import FaultError, FaultPlan, Rule
from objlib_fsm.emulator.inprocess import LocalService, local_service

pytestmark = pytest.mark.anyio

Raw = Callable[[LocalService], httpx2.AsyncClient]


async def test_nth_count_probability_and_order(raw: Raw) -> None:
    async def codes(*rules: Rule, requests: int = 8, seed: int = 1) -> list[int]:
        plan = FaultPlan(rules, seed=seed)
        async with local_service(":memory:", faults=plan) as service, raw(service) as client:
            return [(await client.get("/v1/files")).status_code for _ in range(requests)]

    assert await codes(Rule(fault="F7", nth=3, count=2)) == [200, 200, 500, 500, 200, 200, 200, 200]
    assert await codes(Rule(fault="F7", count=0), requests=2) == [200, 200]
    assert await codes(Rule(fault="F7", count=1), Rule(fault="F5"), requests=3) == [500, 503, 503]
    assert await codes(Rule(fault="F7", endpoint="documents.*"), requests=1) == [200]
    assert await codes(Rule(fault="F7", method="POST"), requests=1) == [200]
    assert await codes(Rule(fault="F7", path="*/files"), requests=1) == [500]
    assert await codes(Rule(fault="F9"), requests=1) == [200], "a fault fires only where it makes sense"
    drawn = await codes(Rule(fault="F7", probability=0.3), requests=200)
    assert 30 < drawn.count(500) < 90
    assert drawn == await codes(Rule(fault="F7", probability=0.3), requests=200)
    assert drawn != await codes(Rule(fault="F7", probability=0.3), requests=200, seed=2)


async def test_message_can_be_chosen(raw: Raw) -> None:
    plan = FaultPlan([Rule(fault="F7", message="Something else.")])
    async with local_service(":memory:", faults=plan) as service, raw(service) as client:
        assert (await client.get("/v1/files")).json()["error"]["message"] == "Something else."


@pytest.mark.parametrize(
    "rule",
    [
        Rule(fault="F99"),
        Rule(fault="F5", mode="nonsense"),
        Rule(fault="F5", nth=0),
        Rule(fault="F5", count=-1),
        Rule(fault="F5", probability=1.5),
        Rule(fault="F20", bytes_per_s=0),
    ],
)
def test_rules_that_cannot_be(rule: Rule) -> None:
    with pytest.raises(FaultError):
        FaultPlan([rule])


async def test_the_plan_reports_and_the_log_tells(raw: Raw) -> None:
    plan = FaultPlan([Rule(fault="F7", nth=2, count=1)])
    async with local_service(":memory:", faults=plan) as service, raw(service) as client:
        for _ in range(3):
            await client.get("/v1/files")
        assert plan.report() == [{"fault": "F7", "nth": 2, "count": 1, "seen": 3, "fired": 1}]
        assert [(one.status, one.fault) for one in service.service.log] == [(200, ""), (500, "F7"), (200, "")]
        assert service.service.requests == {"files.list": 3}
