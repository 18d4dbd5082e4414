"""What went wrong for others, by the number it has in their list of incidents or in users' complaints."""

from __future__ import annotations

from pathlib import Path

import pytest

from objlib_fsm.core.ids import RawFileName, StoreName
from objlib_fsm.core.record import FileRecord
from objlib_fsm.emulator.faults import Rule
from objlib_fsm.remote.port import CallFailed
from tests.engine.truth import back_up, compare, delete, fill, in_world, restore, store_of
from tests.support.world import World

HOUR_S = 3_600.0


async def import_once_more(w: World, record: FileRecord, payload: str = "") -> None:
    """Somebody, or a call whose answer was lost, makes another document from the file's raw file."""
    raw: RawFileName = record.raws[-1].name
    store: StoreName = store_of(w)
    log = w.open("other")
    library = log.library().library
    log.close()
    mark = {
        "objlib_library": library,
        "objlib_stream": record.stream,
        "objlib_payload": payload or record.payload,
    }
    async with w.remote() as remote:
        await remote.import_raw(store, raw, mark)
    await w.clock.sleep(120)


def test_incident_3_the_expiry_of_raw_files_never_touches_indexed_files(tmp_path: Path) -> None:
    """Incident 3: indexed files were reset because their raw files had expired."""

    async def story(w: World) -> None:
        fill(w, 5)
        await w.run()
        known = {name: (record.raws, record.documents) for name, record in w.records().items()}
        await w.clock.sleep(100 * HOUR_S)
        assert (await compare(w, mend=True)).signs == {"=": 5}
        await w.run()
        assert {name: (record.raws, record.documents) for name, record in w.records().items()} == known

    in_world(tmp_path, story)


def test_incident_4_a_document_is_ours_by_every_id_that_the_log_ever_knew(tmp_path: Path) -> None:
    """Incident 4: a comparison by one kind of id would have deleted a thousand good documents."""

    async def story(w: World) -> None:
        fill(w, 5)
        await w.run()
        copy = back_up(w)
        fill(w, 5, first=5)
        await w.run()
        restore(w, copy)
        await w.run_until_done()  # Five documents are taken over: they carry ids of histories that nobody has.
        for number in range(10):
            w.write(f"file{number:03}.txt", f"Other words about the number {number}.\n")
        await w.run_until_done()
        await w.clock.sleep(100 * HOUR_S)  # And the raw files are gone.
        assert (await compare(w, mend=True)).signs == {"=": 10}
        assert await w.check() == {"indexed": 10}

    in_world(tmp_path, story)


def test_incident_5_a_duplicate_with_a_known_display_name_is_no_canonical_document(tmp_path: Path) -> None:
    """Incident 5: a duplicate with a known display name passed as the original."""

    async def story(w: World) -> None:
        fill(w, 12)
        await w.run()
        record = w.records()["file007.txt"]
        assert record.document is not None
        await import_once_more(w, record)
        seen = await compare(w, mend=True)
        assert seen.signs == {"=": 12, "+": 1}
        assert seen.findings[0].document != record.document.name
        assert (seen.comparison.plan.delete, seen.findings[0].note) == (1, "duplicate")
        await w.run_until_done()
        assert (await compare(w)).signs == {"=": 12}
        kept = w.records()["file007.txt"].document
        assert kept is not None
        assert kept.name == record.document.name, "the one that was known stays"

    in_world(tmp_path, story)


def test_incident_6_replacing_deletes_every_other_document_of_the_file(tmp_path: Path) -> None:
    """Incident 6: files were sent again, and their old documents stayed."""

    async def story(w: World) -> None:
        fill(w, 12)
        await w.run()
        for _ in range(2):
            await import_once_more(w, w.records()["file007.txt"])
        w.write("file007.txt", "It has other words now.\n")
        await w.run_until_done()  # Two documents more than the log knows: the run itself looks.
        assert (await compare(w)).signs == {"=": 12}
        assert await w.check() == {"indexed": 12}

    in_world(tmp_path, story)


def test_of_two_documents_of_a_lost_history_one_is_taken_over_for_good(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 20)
        await w.run()
        copy = back_up(w)
        w.write("extra.txt", "Something that stays.\n")
        await w.run()
        await import_once_more(w, w.records()["extra.txt"])
        restore(w, copy)
        await w.run_until_done()
        assert [record.stray for record in w.records().values()].count(True) == 1, "the other one"
        for _ in range(2):
            assert (await compare(w, mend=True)).signs == {"=": 21}
            await w.run()
        assert len(await w.documents()) == 21

    in_world(tmp_path, story)


def test_incident_13_a_listing_of_stores_that_fails_makes_no_second_store(tmp_path: Path) -> None:
    """Incident 13: a listing of stores failed, and a second store of the same name was made."""

    async def story(w: World) -> None:
        fill(w, 2)
        w.faults.add(Rule(fault="F5", endpoint="stores.list", count=50))
        with pytest.raises(CallFailed):
            await w.run()
        assert w.service.service.requests["stores.create"] == 0
        w.faults.clear()
        await w.run()
        async with w.remote() as remote:
            assert len(await remote.list_stores()) == 1

    in_world(tmp_path, story)


def test_complaint_7_every_document_that_was_removed_is_reported(tmp_path: Path) -> None:
    """Complaint 7: the record says that all is there while the store has lost nearly everything."""

    async def story(w: World) -> None:
        fill(w, 33)
        await w.run()
        removed = [f"file{number:03}.txt" for number in range(33) if number != 17]
        for name in removed:
            await delete(w, name)
        seen = await compare(w, mend=True)
        assert seen.signs == {"=": 1, "-": 32}
        assert sorted(finding.path for finding in seen.findings) == removed
        await w.run_until_done()
        assert await w.check() == {"indexed": 33}

    in_world(tmp_path, story)


def test_complaint_9_documents_of_deleted_files_do_not_haunt_the_store(tmp_path: Path) -> None:
    """Complaint 9: a search finds files that were deleted long ago."""

    async def story(w: World) -> None:
        fill(w, 40)
        await w.run()
        copy = back_up(w)
        fill(w, 2, first=40)
        await w.run()
        restore(w, copy)
        for number in (40, 41):
            (w.library / f"file{number:03}.txt").unlink()
        seen = await compare(w, mend=True)
        assert seen.signs == {"=": 40, "+": 2}
        await w.run_until_done()
        assert {document.display_name for document in await w.documents()} == {
            raw.name.removeprefix("files/")
            for record in w.records().values()
            if not record.stray
            for raw in record.raws
        }

    in_world(tmp_path, story)


SILENT = [("F17", "empty_200"), ("F17", "object_200")]
"""Answers that say nothing at all, and read like the end of a listing."""


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize(("fault", "mode"), [("F1", ""), ("F5", ""), ("F22", "html_404"), *SILENT])
def test_complaint_14_a_listing_that_fails_is_never_an_empty_store(
    tmp_path: Path, fault: str, mode: str, first: int
) -> None:
    """Complaint 14: a listing that fails is taken for an empty store.

    Incident 10: where the truth was unknown, what was known was reset.
    """

    async def story(w: World) -> None:
        fill(w, 45)
        await w.run()
        await delete(w, "file030.txt")
        before = {name: record.version for name, record in w.records().items()}
        w.faults.add(Rule(fault=fault, mode=mode, endpoint="documents.list", nth=first, count=60))
        with pytest.raises(CallFailed):
            await compare(w, mend=True)
        assert {name: record.version for name, record in w.records().items()} == before
        w.faults.clear()
        assert (await compare(w)).signs == {"=": 44, "-": 1}

    in_world(tmp_path, story)


def test_a_document_that_the_listing_skips_is_asked_for_before_it_counts_as_missing(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        fill(w, 45)
        await w.run()
        w.faults.add(Rule(fault="F16", mode="missing", endpoint="documents.list", nth=2, count=1))
        seen = await compare(w, mend=True)
        assert seen.signs == {"=": 45}
        assert await w.check() == {"indexed": 45}

    in_world(tmp_path, story)


@pytest.mark.parametrize("mode", ["duplicate", "empty_page", "same_token", "unavailable"])
def test_a_listing_that_misbehaves_once_is_whole_all_the_same(tmp_path: Path, mode: str) -> None:
    async def story(w: World) -> None:
        fill(w, 45)
        await w.run()
        w.faults.add(Rule(fault="F16", mode=mode, endpoint="documents.list", nth=2, count=1))
        assert (await compare(w)).signs == {"=": 45}

    in_world(tmp_path, story)
