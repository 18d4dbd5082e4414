"""``store-sync``, ``check`` and ``store`` as processes, against an emulator in a process of its own."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LEASE_STREAM
from objlib_fsm.core.ids import RunId
from objlib_fsm.log.contract import Append, Expect, NewEvent
from objlib_fsm.log.lease import this_process
from tests.log.kit import new_id, open_at
from tests.support.command import Done, Place, serving

FILES = 12
SERVICE = ("run", "store-sync", "check", "store")
"""Commands that have a pace; the tests take the fastest."""


class Served:
    """A library of `FILES` files, indexed in the store of an emulator."""

    def __init__(self, place: Place, url: str) -> None:
        self.place = place
        self.url = url
        for number in range(FILES):
            place.write(f"file{number:02}.md", f"File {number} tells of whale{number} and of harpoon{number}.\n")
        self.ok("run", "docs", "--yes", "--endpoint", url)

    def do(self, command: str, *arguments: str | Path) -> Done:
        """The command."""
        more = ("--tier", "tier3") if command in SERVICE else ()
        return self.place.run(command, *arguments, *more, OBJLIB_WAITS_POLL_FIRST_S="0.2")

    def ok(self, command: str, *arguments: str | Path) -> Done:
        """The command, which must succeed."""
        done = self.do(command, *arguments)
        assert done.code == 0, done.err + done.out
        return done

    def call(self, method: str, path: str) -> Any:
        """What somebody else does to the store."""
        request = urllib.request.Request(f"{self.url}/v1/{path}", method=method, headers={"x-goog-api-key": "other"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def document(self, name: str) -> str:
        """The document of that file."""
        (document,) = self.ok("audit", name, "--json").json["documents"]
        return str(document["name"])

    def delete(self, name: str) -> None:
        """Somebody else deletes the document of that file."""
        self.call("DELETE", f"{self.document(name)}?force=true")

    @property
    def store(self) -> str:
        """The store's full name."""
        return str(self.ok("status", "--json").json["store"])


@pytest.fixture
def served(place: Place) -> Any:
    with serving(place) as url:
        yield Served(place, url)


def test_nothing_differs_after_a_run(served: Served) -> None:
    done = served.ok("store-sync")
    assert done.out.split() == [str(FILES), "=", "the", "same"]
    told = served.ok("store-sync", "--json").json
    assert told["counts"] == {"same": FILES, "missing": 0, "unknown": 0, "pending": 0, "superseded": 0, "foreign": 0}
    assert not served.place.log.with_name("log.db.listing").exists()


def test_what_is_missing_is_reported_and_planned(served: Served) -> None:
    served.delete("file03.md")
    reported = served.do("store-sync")
    assert (reported.code, reported.out.splitlines()[0]) == (5, "- file03.md  indexed here, missing there")
    before = served.ok("status", "--json").json["position"]
    planned = served.do("store-sync", "--fix", "--dry-run")
    assert planned.code == 5
    assert "to put it right: 1 to send again" in planned.out
    assert served.ok("status", "--json").json["position"] == before, "a dry run writes nothing"
    checked = served.do("check", "--sample", "0", "--json")
    failed = [assertion["name"] for assertion in checked.json["assertions"] if not assertion["ok"]]
    assert (checked.code, failed) == (5, ["counts equal", "every indexed file present and active"])


def test_what_differs_while_a_run_is_at_work_is_no_verdict(served: Served) -> None:
    log, me = open_at(served.place.log), this_process()
    taken = e.LeaseTaken(9, RunId("r" * 16), me.host, me.pid, me.started, me.boot_id)
    log.append_now(Append(LEASE_STREAM, Expect.ANY, (NewEvent(new_id(), taken),), 1))
    log.close()
    stable = served.ok("check", "--sample", "0", "--json").json
    assert (stable["at_work"], stable["exit_code"]) == (True, 0)
    served.delete("file03.md")
    checked = served.do("check", "--sample", "0", "--json")
    assert (checked.code, checked.json["exit_code"], checked.json["at_work"]) == (4, 4, True)
    told = served.do("check", "--sample", "0").out
    assert f"process {me.pid} " in told
    assert "ask again when it has ended" in told


def test_a_run_after_an_old_log_was_restored_takes_over_what_is_there(served: Served) -> None:
    copy = served.place.folder / "copy.db"
    shutil.copy(served.place.log, copy)
    for number in (20, 21):
        served.place.write(f"file{number}.md", f"File {number} tells of whale{number}.\n")
    served.ok("run")
    stray = served.document("file21.md")
    for suffix in ("-wal", "-shm"):
        served.place.log.with_name("log.db" + suffix).unlink(missing_ok=True)
    shutil.copy(copy, served.place.log)
    (served.place.library / "file21.md").unlink()
    done = served.ok("run", "--json")
    assert (done.lines[-1]["indexed"], done.lines[-1]["sync_due"]) == (FILES + 1, False)
    assert "1 documents taken over" in done.err
    assert "1 to be deleted" in done.err
    served.ok("store-sync")
    assert served.ok("status", "--json").json["files"] == FILES + 1, "a stray is no file"
    assert served.ok("audit", stray).out.startswith("(no file): ")
    served.ok("replay", "--check")


def test_more_than_may_be_deleted_needs_the_number_or_the_name(served: Served) -> None:
    copy = served.place.folder / "copy.db"
    shutil.copy(served.place.log, copy)
    for number in range(20, 24):
        served.place.write(f"file{number}.md", f"File {number} tells of whale{number}.\n")
    served.ok("run")
    for suffix in ("-wal", "-shm"):
        served.place.log.with_name("log.db" + suffix).unlink(missing_ok=True)
    shutil.copy(copy, served.place.log)
    for number in range(20, 24):
        (served.place.library / f"file{number}.md").unlink()
    refused = served.do("store-sync", "--fix")
    assert (refused.code, "--confirm" in refused.err) == (2, True)
    assert served.do("store-sync", "--fix", "--confirm", "another").code == 2
    assert len(served.do("store-sync", "--json").json["differences"]) == 4
    done = served.ok("store-sync", "--fix", "--confirm", "objlib", "--json")
    assert "4/4 files" in done.err, "how it goes is told while it goes"
    fixed = done.json
    assert (fixed["fixed"], fixed["plan"]["delete"], fixed["exit_code"]) == (True, 4, 0)
    served.ok("store-sync")
    served.ok("check", "--sample", "0")


def test_documents_of_others_are_counted_with_a_few_examples(served: Served) -> None:
    others = served.place.folder / "others"
    others.mkdir()
    for number in range(25):
        (others / f"{number}.md").write_text(f"Number {number} is of somebody else.\n")
    served.ok("run", "others", "--yes", "--endpoint", served.url, "--db", "others.db")
    lines = served.ok("store-sync").out.splitlines()
    assert sum(line.startswith("? fileSearchStores/") for line in lines) == 20
    assert "? and 5 more documents  not ours" in lines
    assert ["25", "?", "not", "ours"] in [line.split() for line in lines]
    assert len(served.ok("store-sync", "--json").json["differences"]) == 25


def test_a_store_that_is_gone_is_named_and_recreated(served: Served) -> None:
    served.call("DELETE", f"{served.store}?force=true")
    served.place.write("new.md", "Something new.\n")
    gone = served.do("run")
    assert (gone.code, "objlib-fsm store recreate" in gone.err) == (10, True)
    assert served.do("check").code == served.do("store-sync").code == 10
    done = served.ok("store", "recreate", "--json").json
    assert (done["action"], done["files"]) == ("recreate", FILES + 1)
    again = served.ok("store", "recreate", "--confirm", "objlib", "--json").json
    assert again["files"] == FILES + 1, "they are still to go there"
    uploads = served.ok("audit", "file03.md").out.count("upload_intended")
    served.ok("run")
    assert served.ok("audit", "file03.md").out.count("upload_intended") == uploads, "the raw file was still alive"
    served.ok("check")


def test_a_store_that_is_there_is_destroyed_only_with_its_name(served: Served) -> None:
    for command in (("recreate",), ("delete", "--confirm", "objlip")):
        refused = served.do("store", *command)
        assert refused.code == 2
        assert "12 documents" in refused.err
        assert "dry-run" not in refused.err
    (listed,) = served.ok("store", "list", "--json").json["stores"]
    assert (listed["store_name"], listed["documents"], listed["own"]) == ("objlib", FILES, True)
    served.ok("store", "delete", "objlib", "--confirm", "objlib")
    assert served.ok("store", "list", "--json").json["stores"] == []
    assert served.do("store", "delete", "objlib", "--confirm", "objlib").code == 10


def test_create_makes_the_store_of_a_new_log_and_sends_nothing(place: Place) -> None:
    with serving(place) as url:
        made = place.ok("store", "create", "--store", "notes", "--endpoint", url, "--json").json
        assert (made["action"], made["store_name"]) == ("create", "notes")
        again = place.ok("store", "create", "--json").json
        assert again["store"] == made["store"]
        assert place.run("store", "create", "--store", "others", "--endpoint", url).code == 6
        empty = place.run("check", "--json")
        assert empty.code == 5
        assert not empty.json["assertions"][0]["ok"], "an empty store never passes"


def test_without_anything_indexed_there_is_nothing_to_compare(place: Place) -> None:
    for command in ("store-sync", "check"):
        assert place.run(command).code == 10
    assert place.ok("store", "list", "--json").json["stores"] == []
    assert not place.log.with_name("local-store.db").exists()
