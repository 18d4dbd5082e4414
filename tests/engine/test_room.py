"""Raw files of indexed documents make room for new ones, the oldest first."""

from __future__ import annotations

from pathlib import Path

import pytest

from objlib_fsm.core import events as e
from objlib_fsm.emulator.settings import Latencies, Latency, Settings
from objlib_fsm.engine.runner import Stop
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

FILE_BYTES = 1_000
FILES = 40


def fill(w: World) -> None:
    for number in range(FILES):
        w.write(f"file{number:03}.txt", f"{number:03} ".ljust(FILE_BYTES - 1, "x") + "\n")


@pytest.mark.parametrize("honours", [True, False])
def test_the_oldest_raw_files_go_before_there_are_too_many(tmp_path: Path, honours: bool) -> None:
    async def main() -> None:
        settings = Settings(
            file_storage_bytes=25 * FILE_BYTES,
            honours_chosen_ids=honours,
            latencies=Latencies(upload=Latency(4.0, 4.0)),
        )
        async with world(tmp_path, settings) as w:
            fill(w)
            stop = Stop()
            summary = await w.run(stop, room_bytes=10 * FILE_BYTES, concurrency=3)
            assert (summary.exit_code, summary.counts.indexed) == (0, FILES)
            log = w.open()
            told = [recorded for recorded in log.since(0, 1_000_000) if recorded.kind.label.startswith("raw_delete")]
            records = {record.stream: record for record in log.records()}
            log.close()
            begun = [r for r in told if isinstance(r.event, e.RawDeleteIntended)]
            assert {r.event.why for r in begun if isinstance(r.event, e.RawDeleteIntended)} == {"to make room"}
            assert FILES - 25 <= len(begun) <= FILES - 10
            kept = [raw for record in records.values() for raw in record.raws if raw.alive]
            gone = [raw for record in records.values() for raw in record.raws if raw.state == "GONE"]
            assert len(gone) == len(begun) == len(told) / 2
            first_kept = sorted(raw.expires_at_us or 0 for raw in kept)
            assert sorted(raw.expires_at_us or 0 for raw in gone)[len(gone) // 2] < first_kept[0]
            assert len(w.service.service.raw_files()) == len(kept)
            assert (await w.run()).exit_code == 0
            assert await w.check() == {"indexed": FILES}

    run_virtual(main)


def test_while_there_is_room_nothing_is_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            fill(w)
            assert (await w.run()).exit_code == 0
            assert w.service.service.requests["files.delete"] == 0

    run_virtual(main)


def test_what_has_expired_takes_no_room(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            fill(w)
            assert (await w.run()).exit_code == 0
            await w.clock.sleep(49 * 3_600)
            w.write("one-more.txt", "y" * FILE_BYTES)
            assert (await w.run(room_bytes=10 * FILE_BYTES)).exit_code == 0
            assert w.service.service.requests["files.delete"] == 0
            assert await w.check() == {"indexed": FILES + 1}

    run_virtual(main)


def test_a_raw_file_that_went_to_make_room_is_sent_again_when_its_document_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            fill(w)
            await w.run(room_bytes=0, concurrency=3)
            await w.run(room_bytes=0)
            (w.library / "file003.txt").write_text("changed\n")
            await w.clock.sleep(10)
            assert (await w.run_until_done()).exit_code == 0
            assert await w.check() == {"indexed": FILES}

    run_virtual(main)
