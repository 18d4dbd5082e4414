"""Every call has an end, in virtual time, and a call that is given up may have arrived."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from objlib_fsm.core.ids import RawFileName
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from objlib_fsm.remote import gemini
from objlib_fsm.remote.port import CallFailed
from objlib_fsm.remote.transport import CALL_TIMEOUT_S
from tests.remote import wire as w
from tests.remote.test_gemini import HEX, emulated, put
from tests.remote.wire import Reply, scripted, session
from tests.support.virtual_time import run_virtual


@pytest.mark.parametrize("call", [*w.READS, *w.WRITES, w.upload], ids=lambda call: call.__name__)
def test_every_call_has_an_end(call: Any) -> None:
    """Complaint 1: a call that is never answered is waited for without end."""

    async def main() -> float:
        async with scripted(None) as (remote, _):
            with pytest.raises(CallFailed) as raised:
                await call(remote)
            reads = call in w.READS
            assert raised.value.failure.outcome is (Outcome.UNAVAILABLE if reads else Outcome.UNCERTAIN)
            assert raised.value.failure.reason is Reason.TIMEOUT
            return anyio.current_time()

    expected_s = gemini.ASK_TIMEOUT_S if call is w.ask else CALL_TIMEOUT_S
    assert run_virtual(main) == pytest.approx(expected_s, abs=0.1)


def test_a_large_upload_has_longer_and_the_sdks_own_repetitions_end_with_it() -> None:
    async def main() -> None:
        size = 1_000_000
        async with scripted(session(), None) as (remote, _):
            with pytest.raises(CallFailed):
                await w.upload(remote, bytes(size))
            assert anyio.current_time() == pytest.approx(CALL_TIMEOUT_S + size / gemini.UPLOAD_BYTES_PER_S_MIN, abs=0.1)

    run_virtual(main)


def test_a_front_end_that_fails_without_its_header_costs_seven_seconds() -> None:
    """The SDK sends the bytes three times then (fault F6); it is the one repetition that is not ours."""

    async def main() -> None:
        broken = [
            Reply(503, {"error": {"message": "", "code": 503, "status": "Service Unavailable"}}) for _ in range(3)
        ]
        async with scripted(session(), *broken) as (remote, wire):
            with pytest.raises(CallFailed) as raised:
                await w.upload(remote)
            assert raised.value.failure.reason is Reason.SERVER_ERROR
            assert len(wire.requests) == 4
            assert anyio.current_time() == pytest.approx(7.0, abs=0.1)

    run_virtual(main)


def test_a_cancelled_call_passes_its_cancellation_on_and_the_next_one_works() -> None:
    async def main() -> None:
        async with scripted(None, Reply(200, {"name": w.RAW, "state": "ACTIVE"})) as (remote, _):
            with anyio.move_on_after(1.0) as scope:
                await w.import_raw(remote)
            assert scope.cancelled_caught
            assert (await w.get_raw(remote)).name == w.RAW

    run_virtual(main)


def test_an_upload_that_is_given_up_may_have_arrived(tmp_path: Path) -> None:
    async def main() -> None:
        slow = Settings(latencies=Latencies(upload=Latency(5.0)))
        async with emulated(tmp_path, slow) as (remote, _, _):
            with anyio.move_on_after(1.0):
                await put(remote)
            await anyio.sleep(10.0)
            raw = await remote.get_raw(RawFileName("files/whales"))
            assert raw.sha256 == HEX, "the name we chose finds it"

    run_virtual(main)
