"""The log against the store: each sign of the report, and that mending leaves only what is the same."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from objlib_fsm.core.ids import DocumentName, LibraryId, StoreName
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.engine.listed import Listing
from objlib_fsm.engine.sync import Plan
from objlib_fsm.remote.port import CallFailed, DocumentState, RemoteDocument
from tests.engine.truth import back_up, compare, delete, fill, foreign, in_world, restore
from tests.support.world import World


def test_what_is_the_same_is_the_same(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 30)
        await w.run()
        seen = await compare(w)
        assert seen.signs == {"=": 30}
        assert seen.comparison.same
        assert seen.comparison.plan == Plan()
        assert seen.comparison.ours == 30

    in_world(tmp_path, story)


def test_what_the_store_lost_is_sent_again(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 25)
        await w.run()
        await delete(w, "file003.txt")
        seen = await compare(w, mend=True)
        assert seen.signs == {"=": 24, "-": 1}
        assert [(f.sign, f.path) for f in seen.findings] == [("-", "file003.txt")]
        assert seen.comparison.plan == Plan(send_again=1)
        assert w.kinds("file003.txt")[-2:] == ["documents_listed", "started_over"]
        await w.run_until_done()
        assert (await compare(w)).signs == {"=": 25}
        assert await w.check() == {"indexed": 25}

    in_world(tmp_path, story)


def test_what_is_missing_a_moment_after_it_was_confirmed_is_reported_at_once_and_sent_again_a_minute_later(
    tmp_path: Path,
) -> None:
    async def story(w: World) -> None:
        fill(w, 25)
        await w.run()
        await delete(w, "file003.txt")
        assert (await compare(w, after_s=0)).signs == {"=": 24, "-": 1}
        said: list[str] = []
        assert (await compare(w, after_s=0, mend=True, say=said.append)).signs == {"=": 24, "-": 1}
        assert any("waiting for up to 60 s" in text for text in said), said
        assert w.kinds("file003.txt")[-2:] == ["document_gone", "started_over"]
        await w.run_until_done()
        assert await w.check() == {"indexed": 25}

    in_world(tmp_path, story)


def test_documents_of_others_are_counted_and_never_touched(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 3)
        await w.run()
        raw = w.records()["file001.txt"].raws[0].name.removeprefix("files/")
        await foreign(w)
        await foreign(w, raw)  # A display name alone proves nothing, not even that of our own raw file.
        seen = await compare(w, mend=True)
        assert seen.signs == {"=": 3, "?": 2}
        assert seen.comparison.same
        await w.run_until_done()
        assert (await compare(w)).signs == {"=": 3, "?": 2}
        log = w.open()
        compared = log.library().compared
        log.close()
        assert compared is not None
        assert (compared.ours, compared.foreign) == (3, 2)

    in_world(tmp_path, story)


def test_a_log_restored_from_an_old_copy_takes_over_what_the_store_has(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 5)
        await w.run()
        copy = back_up(w)
        fill(w, 20, first=5)
        await w.run()
        uploads = w.service.service.requests["files.upload.finalize"]
        restore(w, copy)
        summary = await w.run_until_done()
        assert (summary.exit_code, summary.counts.indexed, summary.sync_due) == (0, 25, False)
        assert w.service.service.requests["files.upload.finalize"] == uploads, "nothing is sent again"
        assert (await compare(w)).signs == {"=": 25}
        for number in (4, 5, 24):
            record = w.records()[f"file{number:03}.txt"]
            assert record.document is not None
            assert record.document.raw if number > 4 else not record.document.raw

    in_world(tmp_path, story)


def test_a_log_restored_from_an_old_copy_deletes_what_no_file_is_any_more(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 30)
        await w.run()
        copy = back_up(w)
        w.write("extra.txt", "Something that comes and goes.\n")
        await w.run()
        restore(w, copy)
        (w.library / "extra.txt").unlink()
        w.write("new.txt", "Something else.\n")
        summary = await w.run_until_done()
        assert (summary.exit_code, summary.counts.indexed, summary.counts.total) == (0, 31, 31)
        assert (await compare(w)).signs == {"=": 31}
        (stray,) = [record for record in w.records().values() if record.stray]
        assert [document.role for document in stray.documents] == ["gone"]

    in_world(tmp_path, story)


def test_a_restored_log_is_noticed_though_nothing_in_the_library_has_changed(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 30)
        await w.run()
        copy = back_up(w)
        w.write("extra.txt", "Something that comes and goes.\n")
        await w.run()
        restore(w, copy)
        (w.library / "extra.txt").unlink()
        w.faults.add(Rule(fault="F5", endpoint="documents.list", nth=1, count=5))
        await w.run()  # The store cannot be listed now: the doubt stays.
        w.faults.clear()
        await w.run_until_done()
        assert (await compare(w)).signs == {"=": 30}
        before = sum(w.service.service.requests.values())
        assert (await w.run()).exit_code == 0
        assert sum(w.service.service.requests.values()) == before, "an unchanged library makes no call"

    in_world(tmp_path, story)


def test_more_than_the_guard_allows_is_left_alone_and_said(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 5)
        await w.run()
        copy = back_up(w)
        fill(w, 20, first=5)
        await w.run()
        restore(w, copy)
        for number in range(5, 25):
            (w.library / f"file{number:03}.txt").unlink()
        w.write("new.txt", "Something else.\n")
        summary = await w.run_until_done()
        assert summary.sync_due
        said = [notice.text for notice in w.notices if hasattr(notice, "text")]
        assert any("more than 2 of 25" in text and "store-sync" in text for text in said), said
        assert (await compare(w)).signs == {"=": 6, "+": 20}
        listings = w.service.service.requests["documents.list"]
        w.write("newer.txt", "And another.\n")
        await w.run_until_done()
        assert (await compare(w, mend=True)).signs == {"=": 7, "+": 20}
        assert w.service.service.requests["documents.list"] <= listings + 4, "not listed again at every run"
        await w.run_until_done()
        assert (await compare(w)).signs == {"=": 7}

    in_world(tmp_path, story)


@pytest.mark.parametrize("files", [1, 45])
def test_a_listing_that_was_cut_short_goes_on_where_it_was(tmp_path: Path, files: int) -> None:
    async def story(w: World) -> None:
        fill(w, files)
        await w.run()
        scratch = tmp_path / "scratch.db"
        w.faults.add(Rule(fault="F5", endpoint="documents.list", nth=3, count=20))
        if files > 20:
            with pytest.raises(CallFailed):
                await compare(w, path=scratch)
            assert scratch.exists()
        w.faults.clear()
        before = w.service.service.requests["documents.list"]
        assert (await compare(w, path=scratch)).signs == {"=": files}
        assert w.service.service.requests["documents.list"] == before + 1
        assert not scratch.exists()

    in_world(tmp_path, story)


async def cut_short(w: World, scratch: Path) -> None:
    """A listing of which one page was seen."""
    w.faults.add(Rule(fault="F5", endpoint="documents.list", nth=2, count=20))
    with pytest.raises(CallFailed):
        await compare(w, path=scratch, after_s=0)
    w.faults.clear()


@pytest.mark.parametrize(
    "spoilt",
    [
        "DELETE FROM document WHERE name = (SELECT min(name) FROM document)",
        "UPDATE progress SET token = 'nobody gave this'",
        "UPDATE progress SET store = 'fileSearchStores/another'",
        "UPDATE progress SET began_at_us = began_at_us - 3700000000",
        "UPDATE progress SET complete = 1",
        "PRAGMA user_version = 0",
        "DROP TABLE progress",
    ],
)
def test_what_is_left_of_another_listing_is_no_part_of_this_one(tmp_path: Path, spoilt: str) -> None:
    async def story(w: World) -> None:
        fill(w, 45)
        await w.run()
        await w.clock.sleep(120)
        scratch = tmp_path / "scratch.db"
        await cut_short(w, scratch)
        tampered = apsw.Connection(str(scratch))
        tampered.execute(spoilt)
        tampered.close()
        before = w.service.service.requests["documents.list"]
        assert (await compare(w, path=scratch, after_s=0)).signs == {"=": 45}
        assert w.service.service.requests["documents.list"] >= before + 3, "from the beginning"

    in_world(tmp_path, story)


def test_a_scratch_of_rubbish_is_thrown_away(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 2)
        await w.run()
        scratch = tmp_path / "scratch.db"
        scratch.write_bytes(b"rubbish" * 1000)
        assert (await compare(w, path=scratch)).signs == {"=": 2}

    in_world(tmp_path, story)


def test_two_processes_do_not_share_a_listing(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch.db"
    store, library = StoreName("fileSearchStores/s"), LibraryId("l")
    one = Listing(store, library, 1, scratch)
    one.add((RemoteDocument(DocumentName(f"{store}/documents/d"), DocumentState.ACTIVE),), "next")
    two = Listing(store, library, 2, scratch)
    assert (two.resumed, len(two), len(one)) == (False, 0, 1)
    two.close()
    one.close()
