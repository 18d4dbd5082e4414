"""reset: a listed plan with consent; and metadata from ``objlib.toml`` to the answer."""

from __future__ import annotations

from tests.support.command import Place
from tests.support.terminal import Terminal


def uploads(place: Place, path: str) -> int:
    events = place.ok("audit", path, "--json").json["events"]
    return sum(event["type"] == "upload_intended" for event in events)


def test_without_a_terminal_and_without_yes_nothing_is_recorded(own: Place) -> None:
    before = own.ok("replay", "--check", "--json").json["events"]
    done = own.run("reset", "docs/moon.md", "tea.txt")
    assert done.code == 2
    assert "2 files" in done.err
    assert "moon.md" in done.err
    assert "--yes" in done.err
    assert own.ok("replay", "--check", "--json").json["events"] == before


def test_the_next_run_sends_it_anew_and_one_document_is_left(own: Place) -> None:
    own.ok("run")
    done = own.ok("reset", "docs/moon.md", "--yes")
    assert "moon.md: is sent anew" in done.out
    assert own.ok("run", "--json").lines[-1]["indexed"] == own.ok("status", "--json").json["states"]["indexed"]
    assert uploads(own, "docs/moon.md") == 2
    story = own.ok("audit", "docs/moon.md", "--json").json["events"]
    kinds = [event["type"] for event in story]
    assert kinds.index("file_reset") < kinds.index("document_delete_intended")
    last_indexed = max(at for at, kind in enumerate(kinds) if kind == "file_indexed")
    assert kinds.index("document_delete_intended") > last_indexed


def test_a_folder_and_a_limit(own: Place) -> None:
    """Incident 2: a limit was ignored, and 818 files left the search."""
    own.ok("run")
    done = own.ok("reset", "docs", "--limit", "1", "--yes", "--json").json
    assert (done["type"], done["command"], len(done["files"]), done["skipped"]) == ("wish", "reset", 1, [])


def test_a_document_is_spoken_of_only_where_there_is_one(own: Place) -> None:
    own.write("new.md")
    own.ok("scan")
    told = own.ok("reset", "moon.md", "new.md", "--yes").out
    assert told == "moon.md: is sent anew; its document stays until the new one is ACTIVE\nnew.md: is sent anew\n"
    told = own.ok("forget", "moon.md", "new.md").out
    assert "moon.md: is forgotten: its document and raw file go, the path is left alone" in told
    assert "new.md: is forgotten: the path is left alone" in told


def test_a_forgotten_file_is_skipped_and_an_unknown_one_refused(own: Place) -> None:
    own.ok("forget", "docs/moon.md")
    done = own.ok("reset", "docs/moon.md", "--yes", "--json").json
    assert done["files"] == []
    assert "forgotten" in done["skipped"][0]["why"]
    assert own.run("reset", "docs/mon.md", "--yes").code == 10


def test_on_a_terminal_somebody_is_asked(own: Place) -> None:
    own.ok("run")
    for typed, code, sent in (("n\n", 4, 1), ("y\n", 0, 2)):
        terminal = Terminal(own, "reset", "docs/moon.md")
        terminal.until("Send them anew? [y/N]")
        terminal.type(typed)
        assert terminal.end() == code
        own.ok("run")
        assert uploads(own, "docs/moon.md") == sent


def test_metadata_from_the_settings_to_the_answer(place: Place) -> None:
    place.write("Ethics/2019/week 3.md", "Reason is a virtue.\n")
    place.write("Logic/2021/week 1.md", "---\ndifficulty: hard\n---\nReason is a rule.\n")
    (place.folder / "objlib.toml").write_text(
        '[metadata]\nsearchable = ["speaker"]\nheader = "Course: {course}"\n'
        '[[metadata.rules]]\npath = "{course}/{year}/week {week}.md"\nset = { speaker = "Ann" }\n'
    )
    place.ok("run", "docs")

    def cited(*options: str) -> list[str]:
        answer = place.ok("ask", "What is reason?", "--json", *options).json
        return sorted(citation["file"] for citation in answer["citations"])

    assert cited("--where", "speaker=Ann") == ["Ethics/2019/week 3.md", "Logic/2021/week 1.md"]
    assert cited("--where", "year<2020", "--where", "week=3") == ["Ethics/2019/week 3.md"]
    assert cited("--filter", 'difficulty = "hard"') == ["Logic/2021/week 1.md"]
    again = place.ok("run", "--json").lines[-1]
    assert again["indexed"] == 2
    assert uploads(place, "Ethics/2019/week 3.md") == 1
    (place.folder / "objlib.toml").write_text(
        '[metadata]\nheader = "About {course}"\n[[metadata.rules]]\npath = "{course}/{year}/week {week}.md"\n'
    )
    place.ok("run", "--redescribe")
    assert uploads(place, "Ethics/2019/week 3.md") == 2
    assert cited("--where", "speaker=Ann") == []


def test_a_rule_that_cannot_be_is_told_with_its_file(place: Place) -> None:
    place.write("a.md")
    settings = place.folder / "objlib.toml"
    for text, told in (
        ('path = "{course}{category}/*"', "wildcards with nothing between"),
        ('path = "a/*"', "sets nothing"),
        ('path = "a/*"\nset = { topics = [] }', "topics: is an empty list"),
        ('path = "a/*"\nset = { objlib_stream = "x" }', "objlib_"),
        ('path = "a/*"\nwhat = 1', "what"),
    ):
        settings.write_text(f"[[metadata.rules]]\n{text}\n")
        done = place.run("run", "docs")
        assert done.code == 6, done.err
        assert "objlib.toml" in done.err
        assert told in done.err, done.err


def test_metadata_that_cannot_be_sent_are_told_and_the_rest_is_indexed(place: Place) -> None:
    place.write("good.md", "Good.\n")
    place.write("bad.md", f"---\ncourse: {'x' * 300}\n---\nBad.\n")
    done = place.run("run", "docs")
    assert done.code == 3
    assert "bad.md: front matter: course: has 306 characters" in done.err
    story = place.ok("audit", "docs/bad.md").out
    assert "front matter: course: has 306 characters" in story
    assert "next: objlib-fsm status --state excluded" in done.err
    assert "objlib-fsm ask" not in done.err
    detail = "front matter: course: has 306 characters with its name, the service takes 256"
    assert (
        place.ok("status", "--state", "excluded")
        .out.rstrip()
        .endswith(f"bad.md  metadata that cannot be sent: {detail}")
    )
    (listed,) = place.ok("status", "--state", "excluded", "--json").json["listed"]
    assert (listed["cause"], listed["detail"]) == ("metadata", detail)
    scanned = place.run("scan")
    assert scanned.code == 3
