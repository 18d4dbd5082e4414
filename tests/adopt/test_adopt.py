"""A database of the earlier tool with every odd row that it can hold, adopted by the command, against the emulator."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.adopt.legacy import KEY, OLD_ROOT, STORE_NAME, Legacy
from tests.support.command import Place

LEAKED = "AIzaSyA0123456789abcdefghijklmnopqrstuv"
SENDS = ("files.upload.start", "stores.import", "documents.delete", "files.delete")


def sent(legacy: Legacy) -> dict[str, int]:
    """The calls that changed something."""
    return {name: number for name, number in legacy.requests().items() if name in SENDS and number}


def states(legacy: Legacy) -> dict[str, str]:
    """Each file's state by its path."""
    with sqlite3.connect(legacy.place.log) as db:
        rows = db.execute("SELECT path, state, standing FROM files").fetchall()
    names = ("untracked", "uploading", "processing", "indexed", "failed")
    aside = ("", "excluded", "missing", "forgotten")
    return {path: (aside[standing] if standing and not state else names[state]) for path, state, standing in rows}


def every_odd_row(legacy: Legacy) -> dict[str, str]:
    """One row for each line of the mapping; the verdict on each with a listing."""
    wanted: dict[str, str] = {}

    def row(verdict: str, name: str, **columns: Any) -> None:
        legacy.row(name, **columns)
        wanted[name] = verdict

    one = legacy.document("plain.txt")
    row(
        "indexed",
        "plain.txt",
        gemini_state="indexed",
        gemini_store_doc_id=one.suffix,
        gemini_file_id=f"files/{one.raw}",
    )
    full = legacy.document("full.txt")
    row("indexed", "full.txt", gemini_state="indexed", gemini_store_doc_id=full.name, gemini_file_id=None)
    lost = legacy.document("null.txt")
    row("indexed", "null.txt", gemini_state="indexed", gemini_store_doc_id=None, gemini_file_id=f"files/{lost.raw}")
    empty = legacy.document("empty-id.txt")
    row("indexed", "empty-id.txt", gemini_state="indexed", gemini_store_doc_id="", gemini_file_id=f"files/{empty.raw}")
    stale_raw = legacy.document("stale-raw.txt")
    row(
        "indexed",
        "stale-raw.txt",
        gemini_state="indexed",
        gemini_store_doc_id=stale_raw.suffix,
        gemini_file_id="files/rkkyrvbpc1iw",
    )
    moved = legacy.document("other-doc.txt")
    row(
        "indexed",
        "other-doc.txt",
        gemini_state="indexed",
        gemini_store_doc_id=f"{moved.raw}-000000000000",
        gemini_file_id=f"files/{moved.raw}",
    )
    row(
        "untracked",
        "ghost.txt",
        gemini_state="indexed",
        gemini_store_doc_id="gone12345678-aaaaaaaaaaaa",
        gemini_file_id="files/gone12345678",
    )
    row("untracked", "nothing.txt", gemini_state="indexed", gemini_store_doc_id="", gemini_file_id=None)
    pending = legacy.document("pending.txt", "pending")
    row("processing", "pending.txt", gemini_state="indexed", gemini_store_doc_id=pending.suffix)
    twice = legacy.document("twice.txt")
    legacy.import_raw(twice.raw)
    row(
        "indexed",
        "twice.txt",
        gemini_state="indexed",
        gemini_store_doc_id=twice.suffix,
        gemini_file_id=f"files/{twice.raw}",
    )
    newer = legacy.document("stale.txt")
    row(
        "indexed",
        "stale.txt",
        gemini_state="indexed",
        gemini_store_doc_id=newer.suffix,
        upload_timestamp="2020-02-17 03:56:47",
    )
    under_way = legacy.document("under-way.txt")
    row("indexed", "under-way.txt", gemini_state="processing", gemini_file_id=f"files/{under_way.raw}")
    row("untracked", "processing.txt", gemini_state="processing", gemini_file_id="files/gone12345679")
    row("untracked", "uploading.txt", gemini_state="uploading", gemini_file_id="files/gone12345670")
    failed_not = legacy.document("failed-not.txt")
    row(
        "indexed",
        "failed-not.txt",
        gemini_state="failed",
        error_message="poll timeout",
        gemini_file_id=f"files/{failed_not.raw}",
    )
    failed = legacy.document("failed.txt", "failed")
    row("failed", "failed.txt", gemini_state="failed", error_message="400 invalid", gemini_store_doc_id=failed.suffix)
    row("untracked", "failed-once.txt", gemini_state="failed", error_message=None)
    row("failed", "failed-gone.txt", gemini_state="failed", error_message=f"503 for ?key={LEAKED} again")
    orphan = legacy.document("orphan.txt")
    row("replaced", "orphan.txt", gemini_state="untracked", orphaned_gemini_file_id=f"files/{orphan.raw}")
    reset = legacy.document("reset-0.txt")
    row(
        "replaced",
        "reset-0.txt",
        gemini_state="indexed",
        intent_type="reset",
        intent_api_calls_completed=0,
        gemini_store_doc_id=reset.suffix,
    )
    row(
        "untracked",
        "reset-1.txt",
        gemini_state="indexed",
        intent_type="reset",
        intent_api_calls_completed=1,
        gemini_store_doc_id="gone12345671-aaaaaaaaaaaa",
    )
    row("untracked", "reset-2.txt", gemini_state="untracked", intent_type="reset", intent_api_calls_completed=2)
    away = legacy.document("away.txt")
    row(
        "missing",
        "away.txt",
        on_disk=False,
        gemini_state="indexed",
        gemini_store_doc_id=away.suffix,
        is_deleted=1,
        missing_since="2026-02-17T03:56:47.123",
    )
    row("dropped", "away-too.txt", on_disk=False, gemini_state="untracked", is_deleted=1)
    row("excluded", "book.pdf", gemini_state="untracked", ai_metadata_status="skipped")
    row("dropped", "never.txt", gemini_state="untracked")
    return wanted


def test_every_row_of_the_mapping_is_judged_and_what_is_indexed_is_never_sent_again(legacy: Legacy) -> None:
    wanted = every_odd_row(legacy)
    legacy.document("nobody.txt")
    legacy.pass_time(49 * 3600)
    before = sent(legacy)

    looked = legacy.adopt("--dry-run", "--max-delete", "0")
    assert not legacy.place.log.exists()
    told = legacy.adopt("--max-delete", "5")
    assert {**told, "dry_run": True} == looked
    verdicts = {file["file"]: file["verdict"] for file in told["files"]}
    verdicts |= {skipped["file"]: "dropped" for skipped in told["dropped"]}
    assert verdicts == wanted
    assert (told["store"], told["store_name"], told["service"]) == (legacy.store, STORE_NAME, legacy.url)
    assert told["verified"]
    assert told["unclaimed"] == 1, "the document that no row has is left alone"
    assert told["deletions"] == 2, "the second of twice.txt, and the FAILED one"
    doubts = {doubt["file"]: "; ".join(doubt["doubts"]) for doubt in told["doubted"]}
    assert doubts["stale.txt"].startswith("stale?")
    assert "not in the store, another one of its raw file is" in doubts["other-doc.txt"]
    assert "not in the store" in doubts["ghost.txt"]
    assert "2 documents, of which one stays" in doubts["twice.txt"]
    assert "stale-raw.txt" not in doubts, "the document's id is right where the raw file's is not"
    assert sent(legacy) == before, "adopting changes nothing in the store"

    again = legacy.adopt()
    assert (again["adopted"], again["known"]) == ({}, len(told["files"]))
    events = legacy.place.ok("status", "--json").json["position"]
    assert legacy.adopt()["known"] == again["known"]
    lease = 2
    assert legacy.place.ok("status", "--json").json["position"] == events + lease, "nothing but the lease"

    assert LEAKED.encode() not in legacy.place.log.read_bytes() + legacy.place.log.with_name("log.db-wal").read_bytes()
    kept = {document.name for document in legacy.documents()}
    summary = legacy.run()
    uploads = sent(legacy)["files.upload.start"] - before["files.upload.start"]
    anew = sorted(name for name, verdict in wanted.items() if verdict in ("untracked", "replaced", "failed"))
    anew = [name for name in anew if wanted[name] != "failed"] + ["never.txt"]
    assert uploads == len(anew)
    at = states(legacy)
    assert {name for name, state in at.items() if state != "indexed"} == {
        "failed.txt",
        "failed-gone.txt",
        "book.pdf",
        "pending.txt",
    }
    assert summary["failed"] == 2
    left = {document.name for document in legacy.documents()}
    indexed = [name for name, verdict in wanted.items() if verdict == "indexed"]
    assert len(kept & left) == len(indexed) + len(["pending.txt", "away.txt", "nobody.txt"])

    synced = legacy.place.run("store-sync", "--json", *legacy.options(), GEMINI_API_KEY=KEY).json
    differences = {(found["sign"], found["file"]) for found in synced["differences"]}
    assert differences == {("!", "pending.txt"), ("?", None)}, "the one that never ends, and the one of nobody"
    settled = sent(legacy)
    legacy.run()
    assert sent(legacy) == settled, "a second run sends nothing"
    assert legacy.place.ok("replay", "--check", "--json").json["drift"] == 0


def test_what_was_indexed_stays_as_it_is_and_is_cited_by_its_path(legacy: Legacy) -> None:
    for name in ("sun.txt", "moon.txt", "notes/tea.txt"):
        made = legacy.document(name)
        legacy.row(name, gemini_state="indexed", gemini_store_doc_id=made.suffix, gemini_file_id=f"files/{made.raw}")
    legacy.pass_time(49 * 3600)
    before = sent(legacy)
    told = legacy.adopt()
    assert told["adopted"] == {"indexed": 3}
    assert legacy.run()["indexed"] == 3
    assert sent(legacy) == before
    answer = legacy.place.ok(
        "ask", "What does notes/tea.txt say?", "--json", *legacy.options()[:2], GEMINI_API_KEY=KEY
    ).json
    synced = legacy.place.ok("store-sync", "--json", *legacy.options(), GEMINI_API_KEY=KEY).json
    assert (synced["differences"], synced["documents"]) == ([], 3)
    assert "notes/tea.txt" in {cited["file"] for cited in answer["citations"]}
    told = legacy.place.ok("audit", "moon.txt", "--json").json
    assert told["events"][0]["type"] == "file_adopted"
    assert told["events"][0]["evidence"]["claim"]["gemini_state"] == "indexed"

    legacy.place.write("moon.txt", "The moon is made of cheese after all.\n")
    assert legacy.run()["indexed"] == 3
    assert sent(legacy)["files.upload.start"] == before["files.upload.start"] + 1
    assert len(legacy.documents()) == 3, "the old document went when its successor was ACTIVE"


def test_without_a_key_files_are_processing_until_a_run_with_one_has_looked(legacy: Legacy) -> None:
    """Incident 18: files were marked as indexed without asking the store."""
    right, wrong = legacy.document("right.txt"), legacy.document("wrong.txt")
    legacy.import_raw(right.raw)
    legacy.row("right.txt", gemini_state="indexed", gemini_store_doc_id=right.suffix)
    legacy.row("wrong.txt", gemini_state="indexed", gemini_store_doc_id=f"{wrong.raw}-000000000000")
    legacy.row("null.txt", gemini_state="indexed", gemini_file_id=f"files/{legacy.document('null.txt').raw}")
    legacy.row("ghost.txt", gemini_state="indexed", gemini_store_doc_id="gone12345678-aaaaaaaaaaaa")
    legacy.pass_time(49 * 3600)
    place = legacy.place
    requests = legacy.requests()
    told = place.ok("adopt", legacy.path, "--root", place.library, "--json").json
    assert not told["verified"]
    assert (told["adopted"], told["service"], told["deletions"]) == ({"processing": 4}, "gemini", 0)
    assert legacy.requests() == requests, "nobody was asked"
    at = states(legacy)
    assert (at["right.txt"], at["wrong.txt"], at["ghost.txt"]) == ("processing", "processing", "processing")

    # The log is bound to Google's service; the emulator stands in for it.
    with sqlite3.connect(place.log) as db:
        assert json.loads(db.execute("SELECT body FROM events WHERE kind = 68").fetchone()[0])["store"] == legacy.store


def test_adopted_without_a_look_at_a_service_of_this_machine_it_is_confirmed_by_the_run(legacy: Legacy) -> None:
    """The database does not know a document's place in the store any more; a listing does."""
    right, wrong = legacy.document("right.txt"), legacy.document("wrong.txt")
    legacy.row("right.txt", gemini_state="indexed", gemini_store_doc_id=right.suffix)
    legacy.row(
        "wrong.txt",
        gemini_state="indexed",
        gemini_store_doc_id=f"{wrong.raw}-000000000000",
        gemini_file_id=f"files/{wrong.raw}",
    )
    legacy.pass_time(49 * 3600)
    before = sent(legacy)
    assert legacy.adopt()["adopted"] == {"indexed": 2}
    assert legacy.run()["indexed"] == 2
    assert sent(legacy) == before


@pytest.mark.parametrize("version", [9, 10, 11])
def test_older_schemas_are_read(legacy: Legacy, version: int) -> None:
    made = legacy.document("a.txt")
    legacy.row("a.txt", gemini_state="indexed", gemini_store_doc_id=made.suffix)
    legacy.row("gone.txt", on_disk=False, gemini_state="untracked")
    if version < 11:
        legacy.db.execute("ALTER TABLE files DROP COLUMN is_deleted")
        legacy.db.execute("ALTER TABLE files ADD COLUMN status TEXT")
        legacy.db.execute("UPDATE files SET status = iif(filename = 'gone.txt', 'LOCAL_DELETE', 'uploaded')")
    if version < 10:
        for column in ("version", "intent_type", "intent_started_at", "intent_api_calls_completed"):
            legacy.db.execute(f"ALTER TABLE files DROP COLUMN {column}")
    legacy.db.execute(f"PRAGMA user_version = {version}")
    legacy.db.commit()
    told = legacy.adopt()
    assert (told["schema_version"], told["adopted"]) == (version, {"indexed": 1})


@pytest.mark.parametrize(("version", "told"), [(8, "gemini_state"), (13, "9 to 12")])
def test_another_schema_is_refused_with_a_reason(legacy: Legacy, version: int, told: str) -> None:
    legacy.row("a.txt")
    legacy.db.execute(f"PRAGMA user_version = {version}")
    legacy.db.commit()
    done = legacy.place.run("adopt", legacy.path, "--root", legacy.place.library)
    assert done.code == 6
    assert told in done.err
    assert not legacy.place.log.exists()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be one" * 40], ids=["empty", "text"])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    place = Place(tmp_path)
    (tmp_path / "x.db").write_bytes(content)
    done = place.run("adopt", "x.db", "--root", "docs")
    assert done.code == 6
    assert "x.db" in done.err
    assert "Traceback" not in done.err
    assert place.run("adopt", "absent.db").code == 10


def test_a_database_that_is_not_there_is_told_with_what_to_name(tmp_path: Path) -> None:
    done = Place(tmp_path).run("adopt", "absent.db")
    assert done.code == 10
    assert "objlib-fsm adopt LEGACY.db" in done.err


def test_the_database_is_only_read_also_while_it_has_a_write_ahead_log(legacy: Legacy) -> None:
    legacy.row("a.txt", gemini_state="untracked")
    files = sorted(legacy.place.folder.glob("library.db*"))
    assert len(files) == 3, "the earlier tool has it open"
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert legacy.adopt()["rows"] == 1
    assert sorted(legacy.place.folder.glob("library.db*")) == files
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in files] == before


def test_the_folder_is_found_or_asked_for(legacy: Legacy) -> None:
    legacy.row("deep/a.txt", gemini_state="untracked")
    legacy.row("deep/b.txt", gemini_state="untracked")
    place = legacy.place
    unknown = place.run("adopt", legacy.path, *legacy.options(), GEMINI_API_KEY=KEY)
    assert unknown.code == 10
    assert "--root" in unknown.err
    (place.folder / "empty").mkdir()
    elsewhere = place.run("adopt", legacy.path, "--root", "empty", *legacy.options(), GEMINI_API_KEY=KEY)
    assert elsewhere.code == 10
    assert "not found in this folder" in elsewhere.err
    told = legacy.adopt("--dry-run")
    assert (told["library"], told["was"]) == (str(place.library), OLD_ROOT)
    legacy.db.execute("UPDATE files SET file_path = replace(file_path, ?, ?)", (OLD_ROOT, str(place.library)))
    legacy.db.commit()
    at_home = place.ok("adopt", legacy.path, "--json", *legacy.options(), GEMINI_API_KEY=KEY).json
    assert at_home["library"] == str(place.library / "deep"), "where the database says, since that is there"


def test_more_deletions_than_allowed_need_consent(legacy: Legacy) -> None:
    made = legacy.document("a.txt")
    for _ in range(3):
        legacy.import_raw(made.raw)
    legacy.row("a.txt", gemini_state="indexed", gemini_store_doc_id=made.suffix)
    refused = legacy.place.run(
        "adopt", legacy.path, "--root", legacy.place.library, *legacy.options(), GEMINI_API_KEY=KEY
    )
    assert refused.code == 2
    assert "--confirm 3" in refused.err
    assert legacy.adopt("--confirm", "3")["deletions"] == 3
    assert legacy.run()["indexed"] == 1
    assert [document.name for document in legacy.documents()] == [made.name], "the one that the database knew stays"


def test_a_listing_that_fails_changes_nothing(legacy: Legacy) -> None:
    made = legacy.document("a.txt")
    legacy.row("a.txt", gemini_state="indexed", gemini_store_doc_id=made.suffix)
    legacy.fault({"fault": "F7", "endpoint": "documents.list", "count": 50})
    done = legacy.place.run("adopt", legacy.path, "--root", legacy.place.library, *legacy.options(), GEMINI_API_KEY=KEY)
    assert done.code == 4
    assert states(legacy) == {}


def test_the_store_is_found_by_its_display_name(legacy: Legacy) -> None:
    made = legacy.document("a.txt")
    legacy.row("a.txt", gemini_state="indexed", gemini_store_doc_id=made.suffix)
    legacy.config(gemini_store_name=STORE_NAME, gemini_store_display_name="")
    offline = legacy.place.run("adopt", legacy.path, "--root", legacy.place.library)
    assert offline.code == 6
    assert "only the service knows" in offline.err
    assert legacy.adopt()["store"] == legacy.store


def test_a_log_of_another_store_is_not_taken(legacy: Legacy) -> None:
    legacy.row("a.txt", gemini_state="untracked")
    place = legacy.place
    place.ok("run", "docs", "--yes", "--store", "another", *legacy.options(), GEMINI_API_KEY=KEY)
    done = place.run("adopt", legacy.path, "--root", place.library, *legacy.options(), GEMINI_API_KEY=KEY)
    assert done.code == 6
    assert "of its own: --db" in done.err


def test_a_file_that_was_left_out_is_indexed_once_somebody_tracks_it(legacy: Legacy) -> None:
    legacy.row("slides.txt", gemini_state="untracked", ai_metadata_status="skipped")
    assert legacy.adopt()["adopted"] == {"excluded": 1}
    assert legacy.run()["indexed"] == 0
    legacy.place.ok("track", "slides.txt")
    assert legacy.run()["indexed"] == 1


def test_what_settings_and_sidecars_say_of_it_does_not_send_it_again(legacy: Legacy) -> None:
    """The documents carry no metadata of ours; that they are to have some is no reason to pay for them twice."""
    for name in ("2024/a.txt", "2024/b.txt"):
        made = legacy.document(name)
        legacy.row(name, gemini_state="indexed", gemini_store_doc_id=made.suffix)
    legacy.place.write("2024/a.txt.meta.json", json.dumps({"course": "Ethics"}))
    with (legacy.place.folder / "objlib.toml").open("a") as settings:
        settings.write('[metadata]\nheader = "{title}\\n"\n[[metadata.rules]]\npath = "{year}/*"\n')
    legacy.pass_time(49 * 3600)
    before = sent(legacy)
    assert legacy.adopt()["adopted"] == {"indexed": 2}
    for _ in range(2):
        assert legacy.run()["indexed"] == 2
        assert sent(legacy) == before
        os.utime(legacy.place.library / "2024/a.txt", (1_600_000_000, 1_600_000_000))
    legacy.place.write("2024/b.txt", "Other words.\n")
    assert legacy.run()["indexed"] == 2
    assert sent(legacy)["files.upload.start"] == before["files.upload.start"] + 1
    legacy.place.write("2024/a.txt.meta.json", json.dumps({"course": "Logic"}))
    assert legacy.run()["indexed"] == 2
    assert sent(legacy)["files.upload.start"] == before["files.upload.start"] + 2
    assert len(legacy.documents()) == 2


def test_what_was_under_way_is_finished_without_sending_a_byte(legacy: Legacy) -> None:
    """An upload that arrived is imported, and an import whose document no listing shows yet is asked for."""
    legacy.document("nobody.txt")
    legacy.pass_time(7_200)
    arrived, begun = legacy.upload("arrived.txt"), legacy.upload("begun.txt")
    legacy.row("arrived.txt", gemini_state="uploading", gemini_file_id=f"files/{arrived}")
    legacy.row("begun.txt", gemini_state="processing")
    legacy.operation("begun.txt", legacy.import_raw(begun))
    legacy.fault({"fault": "F16", "mode": "lag", "seconds": 3600, "endpoint": "documents.list"})
    before = sent(legacy)
    told = legacy.adopt()
    legacy.behave()
    assert {file["file"]: (file["verdict"], file["why"]) for file in told["files"]} == {
        "arrived.txt": ("uploaded", "its raw file is ACTIVE"),
        "begun.txt": ("processing", "its import is asked for"),
    }
    assert legacy.run()["indexed"] == 2
    after = sent(legacy)
    assert after["files.upload.start"] == before["files.upload.start"]
    assert after["stores.import"] == before["stores.import"] + 1
    assert len(legacy.documents()) == 3
