"""Adopted while nobody could look into the store; the next run with a key looks, and sends only what is not there."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from objlib_fsm.core.ids import StoreName, raw_file_name
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import State
from objlib_fsm.engine import adopting as a
from objlib_fsm.engine.session import Session
from objlib_fsm.library.legacy import LegacyFile, LegacyLibrary, parse_time
from objlib_fsm.library.placing import base_for
from tests.support.listing import every_document
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

OLD = "/Volumes/Disk/Library"


class Left:
    """What the earlier tool left in a store, and the rows that it has of it."""

    def __init__(self, w: World, store: StoreName) -> None:
        self.w, self.store = w, store
        self.rows: list[LegacyFile] = []

    async def document(self, name: str) -> tuple[str, str]:
        """A document with its raw file, which will have expired; the ids of both."""
        async with self.w.remote() as remote:
            payload = io.BytesIO(f"Title: {name}\nSome text of {name}.\n".encode())
            raw = await remote.upload(
                raw_file_name(f"files/legacy{len(name):06}{len(self.rows)}"),
                payload,
                size_bytes=len(payload.getvalue()),
                mime_type="text/plain",
                display_name=name,
            )
            await remote.import_raw(self.store, raw.name, {})
            listed = await every_document(remote, self.store)
            made = next(document for document in listed if f"files/{document.display_name}" == raw.name)
        return raw.name.removeprefix("files/"), made.name.rpartition("/")[2]

    def row(self, name: str, document: str = "", raw: str = "", state: str = "indexed", **more: object) -> None:
        """A row, and the file on disk."""
        path = self.w.write(name, f"Some text of {name}.\n")
        prefix = document.rpartition("-")[0]
        self.rows.append(
            LegacyFile(
                path=f"{OLD}/{name}",
                content_hash=hashlib.sha256(path.read_bytes()).hexdigest(),
                state=state,
                document=document,
                raws=tuple(dict.fromkeys(title for title in (prefix, raw) if title)),
                **more,  # type: ignore[arg-type]
            )
        )

    async def adopt(self) -> a.Plan:
        """Adopt the rows without a look."""
        log = self.w.open("adopt")
        try:
            async with Session(self.w.shell(log, log.run)) as session:
                library = LegacyLibrary(12, self.store, "old", self.rows)
                base = base_for([row.path for row in self.rows], self.w.library)
                assert base == OLD
                now_us = self.w.clock.now_us()
                store = a.Store(self.store, "old")
                planned = a.plan(log, library, self.w.library, base, store, None, {}, now_us)
                await a.adopt(session.journal, log, planned, "test", self.w.library)
        finally:
            log.close()
        return planned


async def left(w: World) -> Left:
    async with w.remote() as remote:
        return Left(w, (await remote.create_store("old")).name)


def test_a_run_confirms_what_is_there_and_sends_only_what_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            old = await left(w)
            for name in ("named.txt", "wrong.txt", "unnamed.txt", "reset.txt", "away.txt"):
                raw, document = await old.document(name)
                match name:
                    case "named.txt":
                        old.row(name, document)
                    case "wrong.txt":
                        old.row(name, f"{raw}-000000000000")
                    case "unnamed.txt":
                        old.row(name, "", raw)
                    case "reset.txt":
                        old.row(name, document, reset_step=0)
                    case _:
                        old.row(name, document, missing=True)
            old.row("ghost.txt", "gone12345678-aaaaaaaaaaaa")
            await w.clock.sleep(49 * 3_600)
            before = w.service.service.requests["files.upload.start"]

            planned = await old.adopt()
            assert {one.path: one.verdict.value for one in planned.judged} == {
                "named.txt": "processing",
                "wrong.txt": "processing",
                "unnamed.txt": "processing",
                "reset.txt": "replaced",
                "away.txt": "missing",
                "ghost.txt": "processing",
            }
            states = {str(record.path): record.state for record in records(w)}
            assert states["named.txt"] is State.PROCESSING
            assert State.INDEXED not in states.values(), "nothing is claimed that was not seen"

            summary = await w.run_until_done()
            assert summary.counts.indexed == 6, "what was missing is on disk again"
            assert w.service.service.requests["files.upload.start"] - before == 2, "the ghost, and the reset one"
            names = {document.name.rpartition("/")[2] for document in await w.documents()}
            assert len(names) == 6
            for record in records(w):
                assert {d.name.rpartition("/")[2] for d in record.live_documents} <= names

    run_virtual(main)


def records(w: World) -> list[FileRecord]:
    log = w.open("test")
    try:
        return list(log.records())
    finally:
        log.close()


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("2026-02-17T03:56:47.123", 1_771_300_607_123_000),
        ("2026-02-17T03:56:47.123456", 1_771_300_607_123_456),
        ("2026-02-17 03:56:47", 1_771_300_607_000_000),
        ("2026-02-17T03:56:47+00:00", 1_771_300_607_000_000),
        ("2026-02-17T04:56:47.5+01:00", 1_771_300_607_500_000),
        ("2026-02-17T03:56:123456", 1_771_300_560_123_456),
        ("", None),
        ("yesterday", None),
        ("2026-13-01", None),
    ],
)
def test_the_times_of_the_earlier_tool_are_utc(text: str, us: int | None) -> None:
    assert parse_time(text) == us


def test_the_folder_of_old_is_the_one_under_which_the_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/caf\u00e9.txt").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    old = ["/old/lib/deep/cafe\u0301.txt", "/old/lib/b.txt", "/old/lib/gone.txt"]
    assert base_for(old, tmp_path) == "/old/lib"
    assert base_for(old[:1], tmp_path) == "/old/lib", "above the folder that holds all of them"
    assert base_for(old[:1], tmp_path / "deep") == "/old/lib/deep"
    assert base_for(["/old/lib/other.txt"], tmp_path) is None
    assert a.place(old[0], tmp_path, "/old/lib") == "deep/caf\u00e9.txt", "as it is spelled here"
    assert a.place("/elsewhere/x.txt", tmp_path, "/old/lib") is None
    assert a.place("/old/lib/../x.txt", tmp_path, "/old/lib") is None
