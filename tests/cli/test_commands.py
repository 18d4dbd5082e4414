"""The commands on a real library and the local store."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from pathlib import Path

import pytest

from objlib_fsm.cli.asking import Resolved
from objlib_fsm.log.sqlite import SqliteReader, open_for_reading
from objlib_fsm.remote.port import Answer, Passage
from tests.support.command import TIMEOUT_S, Place, give_up, serving


def test_a_folder_is_indexed_explained_and_proven(indexed: Place) -> None:
    status = indexed.ok("status", "--json").json
    assert status["states"] == {"untracked": 0, "uploading": 0, "processing": 0, "indexed": 3, "failed": 0}
    assert status["files"] == 3
    assert status["library"] == str(indexed.library)

    audit = indexed.ok("audit", "docs/moon.md", "--json").json
    assert audit["file"] == "moon.md"
    assert audit["state"] == "indexed"
    moves = [(event["from"], event["to"]) for event in audit["events"] if event["from"] != event["to"]]
    assert moves == [("untracked", "uploading"), ("uploading", "processing"), ("processing", "indexed")]
    assert [event["version"] for event in audit["events"]] == list(range(1, len(audit["events"]) + 1))
    assert {"position", "version", "type", "from", "to", "at", "attempt", "evidence"} <= set(audit["events"][0])

    replay = indexed.ok("replay", "--check", "--json").json
    assert (replay["drift"], replay["chain"], replay["events"]) == (0, "ok", status["position"])
    assert replay["position"] == status["position"]
    assert len(replay["digest"]) == 64


def test_a_second_run_changes_nothing_and_goes_on_from_the_remembered_folder(indexed: Place) -> None:
    before = indexed.ok("replay", "--check", "--json").json["digest"]
    done = indexed.ok("run", "--json")
    assert done.lines[-1]["indexed"] == 3
    assert [line["type"] for line in done.lines] == ["run", "scan", "summary"]
    assert indexed.ok("replay", "--check", "--json").json["digest"] == before


def test_run_json_is_lines_with_a_type_and_ends_with_the_summary(place: Place) -> None:
    place.write("a.md")
    place.write("empty.md", "")
    lines = place.ok("run", "docs", "--json").lines
    assert all("type" in line for line in lines)
    summary = lines[-1]
    assert summary["type"] == "summary"
    wanted = {"total": 2, "indexed": 1, "processing": 0, "uploading": 0, "failed": 0, "untracked": 0, "excluded": 1}
    assert {name: summary[name] for name in wanted} == wanted
    assert summary["exit_code"] == 0
    assert {"file": "a.md", "state": "indexed"}.items() <= next(
        line for line in lines if line["type"] == "file"
    ).items()


def test_an_answer_cites_local_files(indexed: Place) -> None:
    done = indexed.ok("ask", "What is the moon made of?")
    assert "rock" in done.out
    assert "[1]" in done.out
    assert "docs/moon.md" in done.out
    answer = indexed.ok("ask", "What is the moon made of?", "--json").json
    cited = answer["citations"][0]
    assert (cited["file"], cited["path"]) == ("moon.md", "docs/moon.md")
    assert answer["supports"][0]["citations"] == [1]


def test_a_citation_that_the_log_does_not_know_is_unresolved(own: Place, tmp_path: Path) -> None:
    """The same store seen through another log of another library."""
    folder = tmp_path / "other"
    folder.mkdir()
    other = Place(folder)
    other.write("note.md", "Note well.\n")
    (folder / "log.local-store.db").symlink_to(own.folder / ".objlib" / "local-store.db")
    other.ok("run", "docs", "--db", "log.sqlite")
    done = other.ok("ask", "What is the moon made of?", "--db", "log.sqlite")
    assert "unresolved" in done.out
    assert "moon.md" not in done.out


@pytest.mark.parametrize("form", ["{raw}", "files/{raw}", "{document}", "fileSearchStores/s/documents/{document}"])
def test_a_citation_without_metadata_is_found_by_any_form_of_its_name(own: Place, form: str) -> None:
    """Complaint 15: the display name is missing, and the citation leads nowhere."""
    log = SqliteReader(open_for_reading(own.log), own.log)
    try:
        record = log.by_path("moon.md")
        assert record is not None
        names = {
            "raw": record.raws[0].name.rpartition("/")[2],
            "document": record.documents[0].name.rpartition("/")[2],
        }
        answer = Answer("Rock.", (Passage(form.format(**names), "rock"), Passage("nothing/of/ours", "?")), ())
        assert [citation.file for citation in Resolved(log, answer).citations] == ["moon.md", None]
    finally:
        log.close()


def test_changed_and_vanished_files_are_taken_up(own: Place) -> None:
    own.write("moon.md", "The moon is made of cheese.\n")
    (own.library / "tea.txt").unlink()
    summary = own.ok("run", "--json").lines[-1]
    assert summary["indexed"] == 3  # the document of the vanished file stays until a prune
    assert "cheese" in own.ok("ask", "What is the moon made of?").out
    assert "not on disk any more" in own.ok("ask", "How long does tea need?").out


def test_scan_records_and_sends_nothing(place: Place) -> None:
    place.write("a.md")
    found = place.ok("scan", "docs", "--json").json
    assert found["recorded"] == {"file_discovered": 1}
    assert not (place.folder / ".objlib" / "local-store.db").exists()
    status = place.ok("status", "--json").json
    assert (status["states"]["untracked"], status["due"]["now"], status["store"]) == (1, 1, None)
    assert "upload its bytes" in place.ok("audit", "a.md").out


def test_dry_run_sends_and_records_nothing(place: Place) -> None:
    for number in range(25):
        place.write(f"{number:02}.md", "x" * 400)
    done = place.ok("run", "docs", "--dry-run")
    assert not place.log.exists()
    assert "25 files, 10.0 KB, about 2,500 tokens" in done.out
    assert "19.md" in done.out
    assert "20.md" not in done.out
    place.ok("scan", "docs")
    position = place.ok("status", "--json").json["position"]
    plan = place.ok("run", "--dry-run", "--json", "--tier", "free", "--limit", "10").json
    assert (plan["files"], plan["size_bytes"], plan["tokens"], len(plan["first"])) == (10, 4_000, 1_000, 10)
    assert plan["price_usd"] == pytest.approx(0.00015)
    assert place.ok("status", "--json").json["position"] == position


def test_a_dry_run_makes_no_call_that_changes_anything_and_ends_with_totals(place: Place) -> None:
    """Complaint 19: a dry run that is not dry, and one that ends without saying what it comes to."""

    def changing() -> dict[str, int]:
        """Requests that the emulator has seen, without those that only look."""
        with urllib.request.urlopen(f"{url}/_emulator/state", timeout=TIMEOUT_S) as reply:
            made: dict[str, int] = json.load(reply)["requests"]
        return {name: times for name, times in made.items() if not name.endswith((".get", ".list"))}

    with serving(place, "--control") as url:
        options = ("--endpoint", url, "--tier", "tier3", "--yes")
        place.write("a.md", "x" * 4_000)
        assert "1 file, 4.0 KB, about 1,000 tokens" in place.ok("run", "docs", "--dry-run", *options).out
        assert changing() == {}, "not even the store is made"
        place.ok("run", "docs", *options)
        place.write("a.md", "y" * 4_000)
        place.write("b.md", "z" * 4_000)
        before = changing()
        assert before["stores.import"] == 1
        assert "2 files, 8.0 KB, about 2,000 tokens" in place.ok("run", "--dry-run", *options).out
        assert changing() == before


def test_a_dry_run_of_more_than_36_hours_warns(place: Place) -> None:
    for number in range(110):
        place.write(f"{number:03}.md")
    assert "more than 36 hours" in place.ok("run", "docs", "--dry-run", "--tier", "free").out
    assert "more than 36 hours" not in place.ok("run", "docs", "--dry-run", "--tier", "tier3").out


def test_limit_leaves_the_rest_for_the_next_run(place: Place) -> None:
    for number in range(5):
        place.write(f"{number}.md", f"number {number}\n")
    done = place.run("run", "docs", "--limit", "2", "--json")
    assert (done.code, done.lines[-1]["indexed"], done.lines[-1]["untracked"]) == (4, 2, 3)
    assert place.ok("run", "--json").lines[-1]["indexed"] == 5


def test_status_lists_a_state(indexed: Place) -> None:
    assert "sub/sun.md" in indexed.ok("status", "--state", "indexed").out
    listed = indexed.ok("status", "--state", "indexed", "--json").json["listed"]
    assert [item["file"] for item in listed] == ["moon.md", "sub/sun.md", "tea.txt"]
    none = indexed.ok("status", "--state", "failed")
    assert (none.out, none.err) == ("", "no file failed\n")


@pytest.mark.parametrize("name", ["docs/sub/sun.md", "sub/sun.md", "docs/../docs/sub/./sun.md", "ABSOLUTE", "STREAM"])
def test_a_file_is_found_by_any_of_its_names(indexed: Place, name: str) -> None:
    stream = indexed.ok("audit", "sub/sun.md", "--json").json["stream"]
    name = {"ABSOLUTE": str(indexed.library / "sub/sun.md"), "STREAM": stream}.get(name, name)
    assert indexed.ok("audit", name, "--json").json["file"] == "sub/sun.md"


def test_a_file_is_found_by_its_document(indexed: Place) -> None:
    document = indexed.ok("audit", "moon.md", "--json").json["documents"][0]["name"]
    assert indexed.ok("audit", document, "--json").json["file"] == "moon.md"


def test_a_name_that_matches_nothing_lists_near_ones(indexed: Place) -> None:
    done = indexed.run("audit", "mon.md")
    assert done.code == 10
    assert "moon.md" in done.err
    assert "sub/sun.md" in indexed.run("audit", "elsewhere/sun.md").err


def test_the_past_can_be_audited_and_replayed(indexed: Place) -> None:
    events = indexed.ok("audit", "moon.md", "--json").json["events"]
    intended = next(event for event in events if event["type"] == "upload_intended")
    then = indexed.ok("audit", "moon.md", "--as-of", str(intended["position"]), "--json").json
    assert (then["state"], len(then["events"])) == ("uploading", 2)
    assert "not known what became of its upload" in then["next"]
    by_time = indexed.ok("audit", "moon.md", "--as-of", intended["at"], "--json").json
    assert by_time["state"] == "uploading"
    replay = indexed.ok("replay", "--as-of", str(intended["position"]), "--json").json
    assert (replay["position"], replay["drift"], replay["in_place"]) == (intended["position"], None, False)
    assert indexed.run("audit", "moon.md", "--as-of", "1").code == 2
    assert indexed.run("replay", "--as-of", "999999").code == 2
    assert indexed.run("replay", "--as-of", "yesterday").code == 2


def test_a_path_means_the_file_that_had_it_then(own: Place) -> None:
    before = own.ok("audit", "moon.md", "--json").json
    head = own.ok("status", "--json").json["position"]
    (own.library / "moon.md").rename(own.library / "luna.md")
    own.ok("run")
    moved = own.run("audit", "moon.md", "--json")
    assert (moved.json["stream"], moved.json["file"]) == (before["stream"], "luna.md")
    assert "moon.md was moved to luna.md at " in moved.err
    own.write("moon.md", "Another moon is made of ice.\n")
    own.ok("run")
    assert own.ok("audit", "moon.md", "--json").json["stream"] != before["stream"]
    then = own.run("audit", "moon.md", "--as-of", str(head), "--json")
    assert (then.json["stream"], then.json["file"]) == (before["stream"], "moon.md")
    assert "moved" not in then.err
    assert own.ok("audit", "luna.md", "--as-of", str(head), "--json").json["file"] == "moon.md"
    assert own.run("audit", "noon.md").code == 10


def test_replay_counts_files_as_status_does(own: Place) -> None:
    own.write("empty.md", "")
    (own.library / "tea.txt").unlink()
    own.ok("forget", "moon.md")
    own.ok("run")
    own.ok("forget", "tea.txt")
    own.ok("run")
    status, replay = own.ok("status", "--json").json, own.ok("replay", "--check", "--json").json
    for name in ("files", "states", "excluded", "missing", "forgotten"):
        assert replay[name] == status[name]
    assert (status["excluded"], status["forgotten"], status["states"]["untracked"]) == (1, 2, 0)
    assert "1 indexed, 1 excluded, 2 forgotten" in own.ok("replay", "--check").out


def test_replay_finds_drift_and_puts_it_right(copied: Place) -> None:
    digest = copied.ok("replay", "--check", "--json").json["digest"]
    with sqlite3.connect(copied.log) as db:
        db.execute("UPDATE files SET state = 4, record = json_set(record, '$.state', 4) WHERE path = 'moon.md'")
    db.close()
    done = copied.run("replay", "--check", "--json")
    assert (done.code, done.json["drift"], done.json["digest"]) == (5, 1, digest)
    assert "moon.md" in copied.run("replay", "--check").out
    put_right = copied.ok("replay", "--json").json
    assert (put_right["drift"], put_right["in_place"]) == (1, True)
    assert copied.ok("replay", "--check", "--json").json["drift"] == 0


def test_a_lost_projection_is_made_anew_and_every_answer_is_the_same(copied: Place) -> None:
    """Incident 21: state was written in several places, and they drifted apart."""

    def answers() -> list[str]:
        return [copied.ok("status", "--state", "indexed").out, copied.ok("audit", "tea.txt", "--json").out]

    before = answers()
    with sqlite3.connect(copied.log) as db:
        db.executescript("DELETE FROM files; DELETE FROM names; DELETE FROM projection;")
    db.close()
    assert answers() == before


def test_a_broken_chain_is_found(copied: Place) -> None:
    with sqlite3.connect(copied.log) as db:
        db.execute("DROP TRIGGER events_are_never_changed")
        db.execute("UPDATE events SET body = replace(body, 'moon.md', 'noon.md') WHERE body LIKE '%moon.md%'")
    db.close()
    done = copied.run("replay", "--check", "--json")
    assert done.code == 7
    assert done.lines[-1]["exit_code"] == 7
    assert done.lines[-1]["position"] > 0
    plain = copied.run("replay")
    assert plain.code == 7
    assert f"event {done.lines[-1]['position']}" in plain.err
    assert "Traceback" not in plain.err


def test_an_altered_event_is_not_told_as_history(copied: Place) -> None:
    events = copied.ok("audit", "moon.md", "--json").json["events"]
    position = next(event["position"] for event in events if event["type"] == "upload_done")
    with sqlite3.connect(copied.log) as db:
        db.execute("DROP TRIGGER events_are_never_changed")
        db.execute("UPDATE events SET recorded_at_us = recorded_at_us + 1 WHERE position = ?", (position,))
    db.close()
    done = copied.run("audit", "moon.md", "--json")
    assert (done.code, done.json["position"]) == (7, position)
    assert f"event {position} is not what was written" in done.err
    assert copied.ok("audit", "tea.txt").code == 0


def test_the_log_is_found_upward_or_named(indexed: Place) -> None:
    below = indexed.library / "sub"
    inside = Place.__new__(Place)
    inside.folder, inside.library = below, below
    assert inside.ok("status", "--json").json["log"] == str(indexed.log)
    assert inside.ok("audit", "sun.md", "--json").json["file"] == "sub/sun.md"
    elsewhere = indexed.folder / "elsewhere.db"
    assert indexed.run("status", "--db", elsewhere).code == 10
    assert indexed.run("status", OBJLIB_DB=str(elsewhere)).code == 10
    assert not elsewhere.exists()
    assert indexed.ok("status", "--json", "--db", indexed.log, OBJLIB_DB=str(elsewhere)).json["files"] == 3


def test_shared_options_hold_before_and_after_the_command(indexed: Place) -> None:
    log = str(indexed.log)
    after = indexed.ok("status", "--db", log, "--json").json
    assert indexed.ok("--db", log, "--json", "status").json == after
    assert indexed.ok("--json", "status", "--db", log).json == after
    assert indexed.ok("--db", "nowhere.db", "status", "--db", log, "--json").json == after
    assert "rock" in indexed.ok("--backend", "local", "--store", "objlib", "ask", "moon").out
    assert "rock" in indexed.ok("ask", "moon", "--backend", "local", "--store", "objlib").out
    assert indexed.run("--store", "other", "ask", "moon").code == 6
    assert indexed.ok("--tier", "free", "--backend", "local", "status", "--json").json == after


@pytest.mark.parametrize(
    "words", ["audit --json", "run --json --limit x", "status --json --nope", "store --json bogus", "nope --json"]
)
def test_wrong_use_with_json_ends_in_a_line_with_the_exit_code(indexed: Place, words: str) -> None:
    done = indexed.run(*words.split())
    assert (done.code, done.lines[-1]["type"], done.lines[-1]["exit_code"]) == (2, "error", 2)


def test_a_log_of_the_local_store_is_not_told_of_a_missing_key(indexed: Place) -> None:
    done = indexed.run("--backend", "gemini", "run", "--dry-run")
    assert done.code == 6
    assert "belongs to the store 'objlib' of local, not to gemini" in done.err
    assert "key" not in done.err


def test_times_are_told_without_their_unit(indexed: Place) -> None:
    told = indexed.ok("audit", "moon.md").out
    assert "created 20" in told
    assert "_at_us" not in told


def test_another_folder_is_refused_for_the_same_log(own: Place) -> None:
    other = own.folder / "other"
    other.mkdir()
    (other / "a.md").write_text("a")
    done = own.run("run", "other")
    assert done.code == 2
    assert str(own.library) in done.err
    assert "--db" in done.err
    link = own.folder / "link"
    link.symlink_to(own.library)
    own.ok("run", "link")


def test_a_folder_that_is_not_there_makes_no_log(place: Place) -> None:
    done = place.run("run", "dcos")
    assert (done.code, place.log.exists()) == (10, False)
    assert place.run("run").code == 2
    assert not place.log.exists()


def test_the_library_may_be_the_folder_of_the_log(place: Place) -> None:
    """Complaint 26: the tool's own files are indexed, change, and are indexed again."""
    (place.folder / "a.md").write_text("a text\n")
    place.ok("run", ".", "--db", "mine.sqlite")
    place.ok("run", ".", "--db", "mine.sqlite")
    listed = place.ok("status", "--state", "indexed", "--db", "mine.sqlite").out
    assert "a.md" in listed
    assert "mine" not in listed
    assert (place.folder / "mine.local-store.db").exists()


def test_files_that_fail_are_grouped_by_cause_with_the_next_command(place: Place) -> None:
    place.write("good.md")
    place.ok("scan", "docs")
    for name in ("bad 1.md", "bad 2.md"):
        place.write(name, f"{name}\n")
    place.ok("scan")
    for name in ("bad 1.md", "bad 2.md"):
        give_up(place.log, name, "unsupported type", "the service wants \x1b[31mnone of it")
    done = place.run("run")
    assert done.code == 3
    assert "2 files failed, unsupported type" in done.out
    assert "objlib-fsm audit 'bad 1.md'" in done.out
    assert "\x1b" not in done.out
    summary = place.run("run", "--json").lines[-1]
    assert (summary["failed"], summary["indexed"], summary["exit_code"]) == (2, 1, 3)
    assert summary["failures"][0]["files"] == 2
    assert "2 files: unsupported type" in place.ok("status").out
    assert "unsupported type" in place.ok("status", "--state", "failed").out
    assert "given up (unsupported type)" in place.ok("audit", "bad 1.md").out


def test_versions(place: Place) -> None:
    done = place.ok("--version")
    assert done.out.startswith("objlib-fsm ")
    assert all(word in done.out for word in ("sqlite", "apsw", "google-genai"))
    versions = place.ok("--version", "--json").json
    assert {"objlib-fsm", "sqlite", "apsw", "google-genai"} <= set(versions)
    assert place.ok("--json", "--version").json == versions


def test_files_of_the_log_are_private(indexed: Place) -> None:
    folder = indexed.folder / ".objlib"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_state_names_are_those_of_the_table(place: Place) -> None:
    done = place.run("status", "--state", "index")
    assert done.code == 2
    assert "indexed" in done.err


def test_the_emulator_serves_other_programs(place: Place, emulator: str) -> None:
    place.write("a.md")
    options = ("--endpoint", emulator, "--tier", "tier3", "--yes")
    summary = place.ok("run", "docs", *options, "--json").lines[-1]
    assert summary["indexed"] == 1
    assert place.ok("status", "--json").json["service"] == emulator
    assert "rock" in place.ok("ask", "moon", GOOGLE_GEMINI_BASE_URL=emulator).out
    assert "rock" in place.ok("ask", "moon").out  # the log knows where its store is
    assert json.loads(place.run("ask", "moon", "--backend", "local", "--json").out)["exit_code"] == 6


def test_a_service_that_cannot_be_reached_loses_nothing(place: Place) -> None:
    place.write("a.md")
    done = place.run("run", "docs", "--endpoint", "http://127.0.0.1:9", "--yes", "--json")
    assert done.code == 4
    error, summary = done.lines[-2:]
    assert (error["type"], error["exit_code"]) == ("error", 4)
    assert (summary["type"], summary["exit_code"], summary["untracked"]) == ("summary", 4, 1)
    assert "Traceback" not in done.err
    assert place.ok("run", "--backend", "local", "--json").lines[-1]["indexed"] == 1


def test_nothing_but_the_log_and_the_local_store_is_written(indexed: Place) -> None:
    written = {str(path.relative_to(indexed.folder)) for path in indexed.folder.rglob("*") if path.is_file()}
    ours = {name.removesuffix("-wal").removesuffix("-shm") for name in written if not name.startswith("docs/")}
    assert ours == {".objlib/local-store.db", ".objlib/log.db", ".objlib/log.db.head"}
