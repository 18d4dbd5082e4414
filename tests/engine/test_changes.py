"""The library changes: what is sent, what is deleted, and that no wanted file is ever absent from the store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from objlib_fsm.emulator.faults import Rule
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

SLOW = Settings(latencies=Latencies(upload=Latency(2.0, 2.0), request=Latency(0.1, 0.1), index=Latency(10.0, 20.0)))

LOOK_EVERY_S = 0.05
"""Of the one who watches the store: half of the shortest call."""


def tell(tmp_path: Path, story: Callable[[World], Awaitable[None]], *rules: Rule) -> None:
    """The story, in a world whose service takes its time."""

    async def main() -> None:
        async with world(tmp_path, SLOW, rules) as w:
            await story(w)

    run_virtual(main)


def calls(w: World) -> Counter[str]:
    """Requests so far that change something."""
    made = w.service.service.requests
    return Counter({name: made[name] for name in made if "list" not in name and "get" not in name})


def active(w: World) -> int:
    """Documents that can be searched now."""
    return sum(document["state"] == "STATE_ACTIVE" for document in w.service.service.documents())


async def replaced(w: World) -> None:
    """One file, indexed, and then written again."""
    w.write("a.txt", "one\n")
    await w.run_until_done()
    await w.clock.sleep(10)
    w.write("a.txt", "two, and longer\n")


def test_a_wanted_file_is_at_no_moment_absent_from_the_store(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await replaced(w)
        seen: Counter[int] = Counter()

        async def look() -> None:
            while True:
                seen[active(w)] += 1
                await w.clock.sleep(LOOK_EVERY_S)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            await w.run_until_done()
            tasks.cancel_scope.cancel()
        assert set(seen) == {1, 2}, "the old one, both, the new one"
        assert await w.check() == {"indexed": 1}

    tell(tmp_path, story)


def test_the_old_document_goes_by_its_full_name_and_then_its_raw_file(tmp_path: Path) -> None:
    """Incident 1: the raw file was deleted, and the document stayed for ever."""

    async def story(w: World) -> None:
        await replaced(w)
        (old,) = w.records()["a.txt"].live_documents
        (raw,) = w.records()["a.txt"].raws
        await w.run_until_done()
        deletions = [logged.path for logged in w.service.service.log if logged.method == "DELETE"]
        assert [path.split("/", 2)[2] for path in deletions] == [old.name, raw.name]
        assert [raw["name"] for raw in w.service.service.raw_files()] == [w.records()["a.txt"].raws[-1].name]

    tell(tmp_path, story)


@pytest.mark.parametrize("after_s", [0.05, 1.0, 2.05, 2.15, 2.25, 5.0, 12.0, 17.0, 22.0, 22.35, 27.0, 27.15, 27.25])
def test_a_crash_in_between_ends_with_one_document(tmp_path: Path, after_s: float) -> None:
    async def story(w: World) -> None:
        await replaced(w)
        with anyio.move_on_after(after_s):
            await w.run()
        assert active(w) >= 1
        await w.run_until_done()
        assert await w.check() == {"indexed": 1}
        assert len(w.service.service.raw_files()) == 1

    tell(tmp_path, story)


@pytest.mark.parametrize("endpoint", ["documents.delete", "files.delete"])
@pytest.mark.parametrize("fault", ["F5", "F7", "F11", "F12"])
def test_a_deletion_that_fails_stays_to_be_done(tmp_path: Path, endpoint: str, fault: str) -> None:
    """Complaint 10: the id is forgotten before the deletion is confirmed, and what it named is left over.

    Incident 11: a deletion that failed was marked as done.
    """

    async def story(w: World) -> None:
        await replaced(w)
        await w.run_until_done()
        assert await w.check() == {"indexed": 1}
        assert len(w.service.service.raw_files()) == 1
        assert w.kinds("a.txt")[-1] == "raw_deleted"

    tell(tmp_path, story, Rule(fault=fault, endpoint=endpoint, count=3))


def test_what_is_gone_already_ends_the_step(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await replaced(w)
        record = w.records()["a.txt"]
        async with w.service.client() as http:
            key = {"x-goog-api-key": "test"}
            await http.delete(f"/v1beta/{record.live_documents[0].name}?force=true", headers=key)
            await http.delete(f"/v1beta/{record.raws[0].name}", headers=key)
        await w.run_until_done()
        assert await w.check() == {"indexed": 1}
        assert w.kinds("a.txt")[-4:] == [
            "document_delete_intended",
            "document_deleted",
            "raw_delete_intended",
            "raw_deleted",
        ]

    tell(tmp_path, story)


def test_another_time_of_change_sends_nothing(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        path = w.write("a.txt", "one\n")
        await w.run_until_done()
        before = sum(w.service.service.requests.values())
        await w.clock.sleep(100)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        assert (await w.run()).exit_code == 0
        assert sum(w.service.service.requests.values()) == before
        assert w.kinds("a.txt")[-1] == "file_touched"

    tell(tmp_path, story)


def test_what_vanished_is_missing_and_kept_and_linked_again(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        path = w.write("a.txt", "one\n")
        await w.run_until_done()
        before = calls(w)
        path.unlink()
        await w.run()
        record = w.records()["a.txt"]
        assert (record.present, record.state.label, active(w)) == (False, "indexed", 1)
        await w.clock.sleep(100)
        w.write("a.txt", "one\n")
        await w.run()
        assert w.kinds("a.txt")[-2:] == ["file_vanished", "file_reappeared"]
        assert calls(w) == before
        assert await w.check() == {"indexed": 1}

    tell(tmp_path, story)


@pytest.mark.parametrize("seen_missing", [False, True], ids=["at once", "after it was seen to be missing"])
def test_a_file_that_moved_goes_on_and_sends_nothing(tmp_path: Path, seen_missing: bool) -> None:
    async def story(w: World) -> None:
        path = w.write("a.txt", "one\n")
        await w.run_until_done()
        stream, before = w.records()["a.txt"].stream, calls(w)
        path.rename(w.folder / "elsewhere.txt")
        if seen_missing:
            await w.run()
            assert not w.records()["a.txt"].present
        (w.library / "sub").mkdir()
        (w.folder / "elsewhere.txt").rename(w.library / "sub" / "b.txt")
        await w.run()
        assert {path: record.stream for path, record in w.records().items()} == {"sub/b.txt": stream}
        assert calls(w) == before
        assert await w.check() == {"indexed": 1}

    tell(tmp_path, story)


def test_the_same_content_under_two_paths_is_two_documents(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.write("a.txt", "one\n")
        await w.run_until_done()
        w.write("b.txt", "one\n")
        await w.run_until_done()
        assert active(w) == 2
        assert await w.check() == {"indexed": 2}

    tell(tmp_path, story)


def test_a_forgotten_file_is_left_alone_whatever_happens_to_it(tmp_path: Path) -> None:
    from objlib_fsm.core import events as e
    from objlib_fsm.engine.journal import Journal
    from objlib_fsm.engine.wishing import wish

    async def story(w: World) -> None:
        path = w.write("a.txt", "one\n")
        w.write("b.txt", "two\n")
        await w.run_until_done()
        log = w.open("forget")
        record = log.by_path("a.txt")
        assert record is not None
        await wish(Journal(log, w.clock, w.shell(log, log.run).random_bytes), [record], e.FileForgotten())
        log.close()
        await w.run_until_done()
        assert active(w) == 1
        before = calls(w)
        w.write("a.txt", "other\n")
        await w.run()
        path.unlink()
        await w.run()
        w.write("a.txt", "again other\n")
        await w.run()
        path.rename(w.library / "renamed.txt")
        await w.run()
        assert calls(w) == before
        assert not w.records()["renamed.txt"].wanted

    tell(tmp_path, story)
