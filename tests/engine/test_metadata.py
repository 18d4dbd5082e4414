"""What is said of a file goes with its document; a change of it replaces the document and sends no byte twice."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from objlib_fsm.core import events as e
from objlib_fsm.core.decide import Tell
from objlib_fsm.emulator.documents import metadata_values
from objlib_fsm.engine import session as s
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.progress import Progress
from objlib_fsm.engine.runner import Stop
from objlib_fsm.library.metadata import PathRule, Rules
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

RULES = Rules(rules=(PathRule("{course}/{year}/week {week}.md", {"category": "lecture"}),))
HEADED = Rules(rules=RULES.rules, header="Title: {title}\nPath: {path}\nCourse: {course}\nSpeaker: {speaker}")


def in_world(tmp_path: Path, story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            await story(w)

    run_virtual(main)


async def metadata(w: World) -> dict[str, dict[str, Any]]:
    """What each document of the store carries besides our own keys, by path."""
    found: dict[str, dict[str, Any]] = {}
    streams: dict[str, str] = {record.stream: record.path for record in w.records().values()}
    async with w.remote() as remote:
        documents = remote._stores.documents  # type: ignore[attr-defined]
        log = w.open()
        pin = log.library().pin
        log.close()
        assert pin is not None
        async for document in await documents.list(parent=pin.store):
            raw = [entry.model_dump(by_alias=True, exclude_none=True) for entry in document.custom_metadata]
            values = metadata_values(raw)
            path = streams[str(values["objlib_stream"])]
            assert path not in found, "two documents of one file"
            found[path] = {key: value for key, value in values.items() if not key.startswith("objlib_")}
    return found


def uploads(w: World) -> int:
    return w.service.service.requests["files.upload.finalize"]


def test_path_front_matter_and_sidecar_go_with_the_document_the_later_one_wins(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.write("Ethics/2019/week 3.md", "---\ndifficulty: hard\nyear: 2020\nnotes: kept here\n---\nText.\n")
        side = {"topics": ["a", "b"], "difficulty": "easy", "quality_score": "partial", "week": None}
        w.write("Ethics/2019/week 3.md.meta.json", json.dumps(side))
        w.write("plain.txt", "no metadata\n")
        summary = await w.run_until_done(metadata=RULES)
        assert (summary.exit_code, summary.counts.indexed, summary.counts.total) == (0, 2, 2), "a sidecar is no file"
        assert await metadata(w) == {
            "Ethics/2019/week 3.md": {
                "course": "Ethics",
                "category": "lecture",
                "year": 2020.0,
                "difficulty": "easy",
                "quality_score": 75.0,
                "topics": ["a", "b"],
            },
            "plain.txt": {},
        }
        log = w.open()
        record = log.by_path("Ethics/2019/week 3.md")
        assert record is not None
        (said,) = [r.event for r in log.read(record.stream) if isinstance(r.event, e.FileDescribed)]
        log.close()
        assert said.archive == {"notes": "kept here"}
        await w.check()

    in_world(tmp_path, story)


def test_a_changed_sidecar_is_noticed_and_no_byte_is_sent_again(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.write("a.txt", "one\n")
        w.write("b.txt", "two\n")
        w.write("a.txt.meta.json", '{"course": "Logic"}')
        await w.clock.sleep(60)
        await w.run_until_done()
        sent, versions = uploads(w), {path: r.version for path, r in w.records().items()}
        await w.run_until_done()
        assert {path: r.version for path, r in w.records().items()} == versions, "nothing changed, nothing was read"
        w.write("a.txt.meta.json", '{"course": "Ethics!"}')
        await w.run_until_done()
        assert (await metadata(w))["a.txt"] == {"course": "Ethics!"}
        assert uploads(w) == sent
        assert w.records()["b.txt"].version == versions["b.txt"]
        (w.library / "a.txt.meta.json").unlink()
        await w.run_until_done()
        assert (await metadata(w))["a.txt"] == {}
        assert uploads(w) == sent
        assert await w.check() == {"indexed": 2}

    in_world(tmp_path, story)


def test_a_changed_rule_reaches_just_the_files_it_is_about(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.write("Ethics/2019/week 3.md", "Text.\n")
        w.write("other/b.md", "Text.\n")
        await w.run_until_done()
        sent, other = uploads(w), w.records()["other/b.md"].version
        await w.run_until_done(metadata=RULES)
        assert (await metadata(w))["Ethics/2019/week 3.md"]["week"] == 3.0
        assert (uploads(w), w.records()["other/b.md"].version) == (sent, other)
        version = w.records()["Ethics/2019/week 3.md"].version
        await w.run_until_done(metadata=RULES)
        assert w.records()["Ethics/2019/week 3.md"].version == version
        assert await w.check() == {"indexed": 2}

    in_world(tmp_path, story)


def test_metadata_that_cannot_be_sent_leave_out_that_file_with_the_field_and_its_old_document_stays(
    tmp_path: Path,
) -> None:
    async def story(w: World) -> None:
        w.write("good.txt", "one\n")
        w.write("bad.md", "---\ncourse: Logic\n---\nText.\n")
        await w.run_until_done()
        w.write("bad.md", "---\ncourse: ''\n---\nText.\n")
        summary = await w.run_until_done()
        assert (summary.exit_code, summary.counts.indexed) == (s.FAILED_EXIT, 2)
        record = w.records()["bad.md"]
        assert record.excluded == "metadata"
        log = w.open()
        (said,) = [r.event for r in log.read(record.stream) if isinstance(r.event, e.FileExcluded)]
        log.close()
        assert said.detail == "front matter: course: is empty"
        assert (await metadata(w))["bad.md"] == {"course": "Logic"}
        version = record.version
        await w.clock.sleep(60)
        await w.run_until_done()
        assert w.records()["bad.md"].version <= version + 1
        w.write("bad.md", "---\ncourse: Ethics\n---\nText.\n")
        assert (await w.run_until_done()).exit_code == 0
        assert (await metadata(w))["bad.md"] == {"course": "Ethics"}

    in_world(tmp_path, story)


def test_a_header_goes_before_the_text_and_another_template_changes_files_only_on_request(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        path = w.write("Ethics/2019/week 3.md", "Text.\n")
        w.write("data.csv", "a,b\n1,2\n")
        await w.run_until_done(metadata=HEADED)
        record = w.records()["Ethics/2019/week 3.md"]
        assert record.header == "Title: week 3\nPath: Ethics/2019/week 3.md\nCourse: Ethics\n\n"
        assert record.payload_hash != record.source_hash
        assert w.records()["data.csv"].header == "", "a header would break it"
        assert await w.check() == {"indexed": 2}
        other = Rules(rules=RULES.rules, header="{course}: {title}")
        sent = uploads(w)
        await w.run_until_done(metadata=other)
        assert uploads(w) == sent
        path.rename(w.library / "Ethics/2019/week 03.md")
        await w.run_until_done(metadata=other)
        assert uploads(w) == sent, "a move sends nothing again"
        await w.run_until_done(metadata=other, redescribe=True)
        assert w.records()["Ethics/2019/week 03.md"].header == "Ethics: week 03\n\n"
        assert uploads(w) == sent + 1
        await w.run_until_done(metadata=other, redescribe=True)
        assert uploads(w) == sent + 1, "asked for again, nothing is other"
        assert await w.check() == {"indexed": 2}

    in_world(tmp_path, story)


def test_a_reset_uploads_anew_and_leaves_one_document(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.write("a.txt", "one\n")
        await w.run_until_done()
        sent = uploads(w)
        log = w.open("reset")
        record = log.by_path("a.txt")
        assert record is not None
        await Journal(log, w.clock, w.shell(log, log.run).random_bytes).tell(record, Tell(e.FileReset()))
        log.close()
        await w.run_until_done()
        assert uploads(w) == sent + 1
        assert await w.check() == {"indexed": 1}
        kinds = w.kinds("a.txt")
        last_indexed = max(i for i, kind in enumerate(kinds) if kind == "file_indexed")
        assert kinds.index("document_delete_intended") > last_indexed

    in_world(tmp_path, story)


def test_a_file_changed_between_scan_and_upload_takes_its_new_front_matter_along(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        path = w.write("a.md", "---\ncourse: Logic\n---\nText.\n")
        log = w.open("scan")
        shell = w.shell(log, log.run)
        await s.scan(Journal(log, w.clock, shell.random_bytes), shell, w.library, [])
        path.write_text("---\ncourse: Ethics\n---\nText.\n")
        async with s.Session(shell) as session:
            await session.run(
                s.Service(w.remote, "test", w.pace), s.Options(), Progress(w.notices.append), Stop(), w.library
            )
        log.close()
        assert (await metadata(w))["a.md"] == {"course": "Ethics"}
        assert await w.check() == {"indexed": 1}

    in_world(tmp_path, story)
