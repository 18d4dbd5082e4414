"""The settings that make trouble come by itself: a service that counts, and one that fails now and then."""

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


async def test_some_imports_fail_to_create_their_file_and_the_same_call_may_succeed(raw: Raw, upload: Upload) -> None:
    async with local_service(":memory:", Settings(create_failed_share=0.5, seed=1)) as service:
        client = raw(service)
        name = (await upload(client, b"some words")).json()["file"]["name"]
        store = (await client.post("/v1/fileSearchStores", json={"displayName": "s"})).json()["name"]
        replies = [await client.post(f"/v1/{store}:importFile", json={"fileName": name}) for _ in range(40)]
        refused = [reply.json()["error"] for reply in replies if reply.status_code != 200]
        assert 10 < len(refused) < 30
        assert {(error["code"], error["message"]) for error in refused} == {(400, "Failed to create file.")}


async def test_some_changes_meet_500_or_503_and_no_look_up_does(raw: Raw) -> None:
    async with local_service(":memory:", Settings(unavailable_share=0.5, seed=1)) as service:
        client = raw(service)
        codes = [(await client.delete("/v1/files/none")).status_code for _ in range(40)]
        assert set(codes) == {403, 500, 503}
        assert 10 < codes.count(403) < 30
        assert {(await client.get("/v1/fileSearchStores")).status_code for _ in range(40)} == {200}
