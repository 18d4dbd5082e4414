"""The setting that makes it a service which counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from objlib_fsm.emulator.inprocess import LocalService, local_service
from objlib_fsm.emulator.settings import Settings

pytestmark = pytest.mark.anyio

Raw = Callable[[LocalService], httpx2.AsyncClient]
Upload = Callable[..., Awaitable[httpx2.Response]]

LEFT = "x-ratelimit-remaining-requests"


async def test_one_change_too_many_in_a_minute_is_refused_and_every_reply_says_what_is_left(
    raw: Raw, upload: Upload
) -> None:
    now = [1_700_000_000_000_000]
    async with local_service(":memory:", Settings(changes_per_minute=2), clock=lambda: now[0]) as service:
        client = raw(service)
        assert (await upload(client, b"some words")).headers[LEFT] == "1"
        now[0] += 20_000_000
        store = (await client.post("/v1/fileSearchStores", json={"displayName": "s"})).json()["name"]
        refused = await client.post("/v1/fileSearchStores", json={"displayName": "t"})
        assert refused.status_code == 429
        assert refused.json()["error"]["details"][0]["retryDelay"] == "40s"
        assert refused.headers["x-ratelimit-reset-requests"] == "40s"
        looked_up = await client.get(f"/v1/{store}")
        assert (looked_up.status_code, looked_up.headers[LEFT]) == (200, "0")
        now[0] += 40_000_000
        assert (await client.post("/v1/fileSearchStores", json={"displayName": "t"})).status_code == 200


async def test_without_it_there_are_no_such_headers(raw: Raw, upload: Upload) -> None:
    async with local_service(":memory:", Settings()) as service:
        assert LEFT not in (await upload(raw(service), b"some words")).headers
