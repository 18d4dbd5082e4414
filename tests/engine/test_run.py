"""Runs over a changing library, against a service that behaves: what a user would see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Tell
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from objlib_fsm.engine import session as s
from objlib_fsm.engine.errors import StoreProblem
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.runner import Stop
from objlib_fsm.log.lease import LeaseHeld
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

SLOW = Settings(latencies=Latencies(upload=Latency(2.0, 2.0), request=Latency(0.1, 0.1), index=Latency(10.0, 20.0)))


def in_world(
    tmp_path: Path,
    story: Callable[[World], Awaitable[None]],
    settings: Settings | None = None,
    rules: tuple[Rule, ...] = (),
) -> None:
    """Tell *story* in a world of its own."""

    async def main() -> None:
        async with world(tmp_path, settings, rules) as w:
            await story(w)

    run_virtual(main)


def fill(w: World, files: int) -> None:
    for number in range(files):
        w.write(f"file{number:03}.txt", f"File number {number} speaks about the number {number}.\n")


def test_every_file_is_indexed_and_a_second_run_makes_no_call(tmp_path: Path) -> None:
    """Complaint 21: everything is indexed again at each start."""

    async def story(w: World) -> None:
        fill(w, 10)
        summary = await w.run()
        assert (summary.exit_code, summary.counts.indexed, summary.counts.total) == (0, 10, 10)
        assert await w.check() == {"indexed": 10}
        before = sum(w.service.service.requests.values())
        again = await w.run()
        assert (again.exit_code, again.counts.indexed) == (0, 10)
        assert sum(w.service.service.requests.values()) == before

    in_world(tmp_path, story)


def test_the_life_of_a_file_is_eight_events(tmp_path: Path) -> None:
    """Incident 7: documents were made and deleted, and no record of it was begun before."""

    async def story(w: World) -> None:
        w.write("a.txt", "one\n")
        await w.run()
        assert w.kinds("a.txt") == [
            "file_discovered",
            "upload_intended",
            "upload_done",
            "import_intended",
            "import_accepted",
            "operation_ended",
            "document_seen",
            "file_indexed",
        ]

    in_world(tmp_path, story)


def test_new_content_replaces_the_document_only_after_its_successor_is_active(tmp_path: Path) -> None:
    """Complaint 8: the old copy is deleted first; when the new one fails, both are gone.

    Incident 25: a file that changed after it was indexed stays as it was in the store.
    """

    async def story(w: World) -> None:
        w.write("a.txt", "one\n")
        await w.run()
        await w.clock.sleep(10)
        w.write("a.txt", "two, and longer\n")
        await w.run_until_done()
        assert await w.check() == {"indexed": 1}
        kinds = w.kinds("a.txt")
        assert kinds.index("content_changed") < kinds.index("document_delete_intended")
        last_indexed = max(i for i, kind in enumerate(kinds) if kind == "file_indexed")
        assert kinds.index("document_delete_intended") > last_indexed
        assert kinds[-4:] == ["document_delete_intended", "document_deleted", "raw_delete_intended", "raw_deleted"]

    in_world(tmp_path, story)


def test_a_file_that_goes_back_to_an_older_content_claims_the_document_that_is_still_there(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.write("a.txt", "one\n")
        await w.run()
        w.write("a.txt", "another\n")
        log = w.open("scan")
        shell = w.shell(log, log.run)
        journal = Journal(log, w.clock, shell.random_bytes)
        from objlib_fsm.engine.session import scan

        await w.clock.sleep(10)
        await scan(journal, shell, w.library, [])
        log.close()
        w.write("a.txt", "one\n")
        before = w.service.service.requests["files.upload.finalize"]
        await w.run_until_done()
        assert w.service.service.requests["files.upload.finalize"] == before
        assert await w.check() == {"indexed": 1}

    in_world(tmp_path, story)


def test_a_moved_file_sends_nothing_again(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        path = w.write("a.txt", "one\n")
        await w.run()
        path.rename(w.library / "b.txt")
        before = w.service.service.requests["files.upload.finalize"]
        await w.run()
        assert w.service.service.requests["files.upload.finalize"] == before
        assert list(w.records()) == ["b.txt"]
        assert await w.check() == {"indexed": 1}

    in_world(tmp_path, story)


def test_a_vanished_file_keeps_its_document_and_is_not_wanted(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        path = w.write("a.txt", "one\n")
        w.write("b.txt", "two\n")
        await w.run()
        path.unlink()
        summary = await w.run()
        assert summary.exit_code == 0
        assert len(await w.documents()) == 2
        assert not w.records()["a.txt"].present

    in_world(tmp_path, story)


def test_content_that_changes_while_it_is_processed_starts_over(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.write("a.txt", "one\n")

        async def change() -> None:
            await w.clock.sleep(4)
            w.write("a.txt", "two, while the first is processed\n")
            await _scan_beside(w)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(change)
            await w.run()
        await w.run_until_done()
        assert await w.check() == {"indexed": 1}

    in_world(tmp_path, story, SLOW)


def test_a_file_deleted_while_it_is_uploaded_is_withdrawn(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        path = w.write("a.txt", "one\n")

        async def delete() -> None:
            await w.clock.sleep(1)
            path.unlink()
            await _scan_beside(w)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(delete)
            await w.run()
        await w.run_until_done()
        record = w.records()["a.txt"]
        assert (record.state.label, record.present) == ("untracked", False)
        assert len(await w.documents()) == len(record.live_documents)

    in_world(tmp_path, story, SLOW)


def test_forget_during_a_run_deletes_document_and_raw_file(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 5)

        async def forget() -> None:
            await w.clock.sleep(15)
            log = w.open("forget")
            record = log.by_path("file002.txt")
            assert record is not None
            await Journal(log, w.clock, w.shell(log, log.run).random_bytes).tell(record, Tell(e.FileForgotten()))
            log.close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(forget)
            await w.run()
        await w.run_until_done()
        record = w.records()["file002.txt"]
        assert record.live_documents == ()
        assert all(not raw.alive for raw in record.raws)
        assert await w.check() == {"indexed": 4}

    in_world(tmp_path, story, SLOW)


def test_a_raw_file_that_expired_before_its_import_is_sent_again(tmp_path: Path) -> None:
    """Complaint 16: raw files expire after 48 hours, and what was not imported by then is stuck."""

    async def story(w: World) -> None:
        w.write("a.txt", "one\n")
        stop = Stop()

        async def interrupt() -> None:
            await w.clock.sleep(1.0)
            stop.draining = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupt)
            await w.run(stop)
        assert w.records()["a.txt"].state.label == "uploading"
        await w.clock.sleep(72 * 3600)
        await w.run_until_done()
        kinds = w.kinds("a.txt")
        assert "raw_gone" in kinds
        assert kinds.count("upload_intended") == 2
        assert await w.check() == {"indexed": 1}

    in_world(tmp_path, story, SLOW)


def test_expiry_never_touches_an_indexed_file(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 3)
        await w.run()
        await w.clock.sleep(100 * 3600)
        before = sum(w.service.service.requests.values())
        assert (await w.run()).exit_code == 0
        assert sum(w.service.service.requests.values()) == before
        assert await w.check() == {"indexed": 3}

    in_world(tmp_path, story)


def test_draining_begins_nothing_new_and_the_next_run_continues(tmp_path: Path) -> None:
    """Complaint 24: there is no way to pause, and none to go on."""

    async def story(w: World) -> None:
        fill(w, 40)
        stop = Stop()

        async def interrupt() -> None:
            await w.clock.sleep(5)
            stop.draining = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupt)
            await w.run(stop)
        assert all(not record.calls for record in w.records().values()), "every call in flight reached a recorded end"
        assert any(record.state.label == "untracked" for record in w.records().values())
        await w.run_until_done()
        assert await w.check() == {"indexed": 40}

    in_world(tmp_path, story, SLOW)


@pytest.mark.parametrize("after_s", [0.05, 0.5, 1.1, 2.05, 2.3, 3.0, 7.0, 13.0])
def test_a_cancelled_run_leaves_a_log_from_which_the_next_continues(tmp_path: Path, after_s: float) -> None:
    """Incident 19: recovery had never met the real client library, and could not work with it."""

    async def story(w: World) -> None:
        fill(w, 20)
        with anyio.move_on_after(after_s):
            await w.run()
        await w.run_until_done()
        assert await w.check() == {"indexed": 20}

    in_world(tmp_path, story, SLOW)


def test_a_second_run_is_told_who_holds_the_log(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 5)

        async def second() -> None:
            await w.clock.sleep(1)
            with pytest.raises(LeaseHeld):
                await w.run()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(second)
            await w.run()
        assert await w.check() == {"indexed": 5}

    in_world(tmp_path, story, SLOW)


def test_a_run_that_waits_begins_when_the_other_has_ended(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 5)
        told: list[str] = []

        async def second() -> None:
            await w.clock.sleep(1)
            log = w.open()
            try:
                shell = msgspec.structs.replace(w.shell(log, log.run), run=log.run)
                async with s.Session(shell, held=lambda held: told.append(held.run)) as session:
                    assert session.epoch == 2
                    assert w.clock.monotonic() == pytest.approx(ended[0], abs=s.LEASE_ASKED_EVERY_S + 0.1)
            finally:
                log.close()

        ended: list[float] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(second)
            await w.run()
            ended.append(w.clock.monotonic())
        assert len(told) == 1
        assert await w.check() == {"indexed": 5}

    in_world(tmp_path, story, SLOW)


@pytest.mark.parametrize(
    ("fault", "message"),
    [("F2", "quota"), ("F3", "storage limit")],
)
def test_a_halt_stops_the_run_and_changes_no_file(tmp_path: Path, fault: str, message: str) -> None:
    async def story(w: World) -> None:
        fill(w, 20)
        stop = Stop()
        summary = await w.run(stop)
        assert summary.exit_code == 4
        assert stop.halted is not None
        assert message in str(stop.halted)
        assert not any(record.attempts or record.state.label == "failed" for record in w.records().values())
        w.faults.clear()
        await w.run_until_done()
        assert await w.check() == {"indexed": 20}

    in_world(tmp_path, story, None, (Rule(fault=fault, endpoint="stores.import", nth=5),))


def test_a_store_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 2)
        summary = await w.run()
        async with w.service.client() as http:
            await http.delete(f"/v1/{summary.store}?force=true", headers={"x-goog-api-key": "test"})
        w.write("new.txt", "new\n")
        with pytest.raises(StoreProblem) as problem:
            await w.run()
        assert problem.value.exit_code == 10
        assert w.records()["new.txt"].state.label == "untracked"
        assert w.records()["file000.txt"].state.label == "indexed"

    in_world(tmp_path, story)


def test_two_stores_of_the_name_stop_the_run(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.remote() as remote:
            first, second = await remote.create_store("objlib"), await remote.create_store("objlib")
        w.write("a.txt", "one\n")
        with pytest.raises(StoreProblem) as problem:
            await w.run()
        assert first.name in str(problem.value)
        assert second.name in str(problem.value)

    in_world(tmp_path, story)


def test_a_rejected_file_fails_with_the_reason_and_the_others_go_on(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 5)
        summary = await w.run_until_done()
        assert (summary.exit_code, summary.counts.failed, summary.counts.indexed) == (3, 1, 4)
        failed = [record for record in w.records().values() if record.state.label == "failed"]
        assert failed[0].cause == "invalid argument"
        assert failed[0].cause_message.startswith("Request contains an invalid argument. (one of the fields file_name ")
        assert "custom_metadata ['objlib_library', 'objlib_payload', 'objlib_stream']" in failed[0].cause_message

    rule = Rule(fault="F8", endpoint="stores.import", count=1, message="Request contains an invalid argument.")
    in_world(tmp_path, story, None, (rule,))


@pytest.mark.parametrize("honours", [False, "refuse"])
def test_a_service_that_ignores_or_refuses_our_ids_still_ends_right(tmp_path: Path, honours: bool | str) -> None:
    async def story(w: World) -> None:
        fill(w, 10)
        with anyio.move_on_after(3):
            await w.run()
        await w.run_until_done()
        assert await w.check() == {"indexed": 10}

    settings = Settings(latencies=SLOW.latencies, honours_chosen_ids=honours)  # type: ignore[arg-type]
    in_world(tmp_path, story, settings)


def test_batches_are_recorded_and_hold_nothing_back(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 25)
        await w.run(batch_size=10)
        log = w.open()
        batches = log.library().batches
        log.close()
        told = sorted((b.batch, b.files, b.succeeded, b.failed) for b in batches)
        assert told == [(1, 10, 10, 0), (2, 10, 10, 0), (3, 5, 5, 0)]

    in_world(tmp_path, story)


def test_limit_works_on_that_many_files(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 10)
        summary = await w.run(limit=4)
        assert summary.counts.indexed == 4
        assert summary.exit_code == 4

    in_world(tmp_path, story)


async def _scan_beside(w: World) -> None:
    """What ``objlib-fsm scan`` does while a run is at work."""
    from objlib_fsm.engine.session import scan

    log = w.open("scan")
    shell = w.shell(log, log.run)
    await scan(Journal(log, w.clock, shell.random_bytes), shell, w.library, [])
    log.close()
