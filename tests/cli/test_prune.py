"""run --prune: what may go, after how long, and with whose consent."""

from __future__ import annotations

from pathlib import Path

import pytest

from objlib_fsm.cli.prune import plan
from objlib_fsm.cli.settings import Settings
from objlib_fsm.core import events as e
from objlib_fsm.core.policy import deletions_max
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.wishing import wish
from tests.support.command import Place
from tests.support.terminal import Terminal
from tests.support.virtual_time import run_virtual
from tests.support.world import World, world

DAY_S = 86_400.0


def planned(w: World, settings: Settings | None = None) -> list[str]:
    """The files that a prune would take out now."""
    log = w.open()
    try:
        return [record.path for record in plan(settings or Settings(), log, w.clock.now_us()).files]
    finally:
        log.close()


async def prune(w: World) -> None:
    """Record what a prune records."""
    log = w.open("run")
    try:
        journal = Journal(log, w.clock, w.shell(log, log.run).random_bytes)
        await wish(journal, plan(Settings(), log, w.clock.now_us()).files, e.FilePruned())
    finally:
        log.close()


def test_a_file_must_have_been_missing_for_seven_days(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as w:
            path = w.write("a.txt", "one\n")
            w.write("b.txt", "two\n")
            w.write("locked.txt", "three\n")
            await w.run()
            path.unlink()
            (w.library / ".objlibignore").write_text("b.txt\n")
            (w.library / "locked.txt").chmod(0)
            await w.run()
            await w.clock.sleep(7 * DAY_S - 60)
            assert planned(w) == []
            assert planned(w, Settings(missing_days=6.0)) != []
            await w.clock.sleep(120)
            assert planned(w) == ["a.txt", "b.txt"], "what cannot be read was left out by nobody"
            await prune(w)
            assert planned(w) == []
            await w.run_until_done()
            assert len(await w.documents()) == 1

            before = w.service.service.requests["files.upload.finalize"]
            w.write("a.txt", "one\n")
            (w.library / ".objlibignore").unlink()
            (w.library / "locked.txt").chmod(0o600)
            await w.run_until_done()
            assert w.service.service.requests["files.upload.finalize"] == before + 2
            assert await w.check() == {"indexed": 3}

    run_virtual(story)


def test_what_is_back_in_time_is_not_pruned(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as w:
            path = w.write("a.txt", "one\n")
            await w.run()
            path.unlink()
            await w.run()
            await w.clock.sleep(6 * DAY_S)
            w.write("a.txt", "one\n")
            await w.run()
            path.unlink()
            await w.run()
            await w.clock.sleep(6 * DAY_S)
            assert planned(w) == [], "the seven days begin anew"

    run_virtual(story)


@pytest.mark.parametrize(
    ("documents", "given", "allowed"),
    [
        (0, None, 1),
        (9, None, 1),
        (19, None, 1),
        (20, None, 2),
        (999, None, 99),
        (5_000, None, 100),
        (9, 3, 3),
        (9, 0, 0),
    ],
)
def test_a_tenth_at_least_one_and_at_most_a_hundred_may_go(documents: int, given: int | None, allowed: int) -> None:
    assert deletions_max(documents, given) == allowed


@pytest.fixture
def twenty(place: Place) -> Place:
    """A library of twenty indexed files, of which three have vanished."""
    for number in range(20):
        place.write(f"{number:02}.md", f"number {number}\n")
    place.ok("run", "docs")
    for number in range(3):
        (place.library / f"{number:02}.md").unlink()
    return place


def test_more_than_a_tenth_needs_typed_consent(twenty: Place) -> None:
    """Incident 2: a deletion of hundreds was a slip and not a plan."""
    ask = ("run", "--prune", "--missing-days", "0")
    refused = twenty.run(*ask)
    assert refused.code == 2
    assert "3 documents would be deleted" in refused.err
    assert "--confirm 3" in refused.err
    assert twenty.run(*ask, "--confirm", "4").code == 2
    assert twenty.ok("status", "--json").json["kept"] == 3, "nothing was deleted"
    assert twenty.ok(*ask, "--confirm", "3", "--json").lines[-1]["missing"] == 3
    assert twenty.ok("status", "--json").json["kept"] == 0
    kinds = [event["type"] for event in twenty.ok("audit", "00.md", "--json").json["events"]]
    assert kinds[-5:] == [
        "file_pruned",
        "document_delete_intended",
        "document_deleted",
        "raw_delete_intended",
        "raw_deleted",
    ]


@pytest.mark.parametrize("consent", [("--max-delete", "3"), ("--confirm", "objlib")])
def test_other_ways_to_consent(twenty: Place, consent: tuple[str, str]) -> None:
    lines = twenty.ok("run", "--prune", "--missing-days", "0", "--json", *consent).lines
    (told,) = [line for line in lines if line["type"] == "prune"]
    assert (told["files"], told["documents"], told["allowed"]) == (3, 3, 3 if consent[0] == "--max-delete" else 2)
    assert (told["first"][0]["file"], told["first"][0]["why"]) == ("00.md", "missing")
    assert lines[-1]["indexed"] == 17


@pytest.mark.parametrize(("typed", "code", "kept"), [("3\n", 0, 0), ("objlib\n", 0, 0), ("y\n", 4, 3)])
def test_on_a_terminal_the_number_or_the_stores_name_is_typed(twenty: Place, typed: str, code: int, kept: int) -> None:
    shown = Terminal(twenty, "run", "--prune", "--missing-days", "0")
    try:
        shown.until("Type 3 or objlib to consent")
        assert "00.md  missing since" in shown.text
        shown.type(typed)
        assert shown.end() == code
    finally:
        shown.kill()
    assert twenty.ok("status", "--json").json["kept"] == kept


def test_a_dry_run_shows_what_would_go_and_records_nothing(twenty: Place) -> None:
    position = twenty.ok("status", "--json").json["position"]
    dry = ("run", "--prune", "--dry-run", "--missing-days", "0")
    told = twenty.ok(*dry, "--json").json["prune"]
    assert (told["documents"], [away["file"] for away in told["first"]]) == (3, ["00.md", "01.md", "02.md"])
    assert "more than the 2 that may go" in twenty.ok(*dry).out
    assert twenty.ok("run", "--prune", "--dry-run", "--json").json["prune"]["documents"] == 0, "not missing for 7 days"
    twenty.write("00.md", "number 0\n")
    twenty.ok("scan")
    (twenty.library / "01.md").write_text("number 1\n")
    assert [away["file"] for away in twenty.ok(*dry, "--json").json["prune"]["first"]] == ["02.md"]
    assert twenty.ok("status", "--json").json["position"] == position + 3, "only what the scan recorded"


def test_nothing_is_pruned_unless_it_is_asked_for(twenty: Place) -> None:
    twenty.ok("run", "--missing-days", "0")
    assert twenty.ok("status", "--json").json["kept"] == 3
