"""`backup`: a copy at one moment, proved, never over another file, and good to go on from."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from objlib_fsm.log.backup import back_up
from objlib_fsm.log.contract import LogDamaged
from tests.log.kit import check, fill, open_at, tamper
from tests.support.command import TIMEOUT_S, Place, environment

ROOT = Path(__file__).resolve().parents[2]


def test_the_copy_is_a_log_that_says_the_same(own: Place) -> None:
    made = own.ok("backup", "--json").json
    copy = Path(made["file"])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    assert [path.name for path in copy.parent.iterdir()] == [copy.name], "one file, and nothing left beside it"
    told = own.ok("replay", "--check", "--json", "--db", copy).json
    assert (told["digest"], told["position"], told["drift"]) == (made["digest"], made["position"], 0)
    assert made["digest"] == own.ok("replay", "--check", "--json").json["digest"]
    assert made["size_bytes"] == copy.stat().st_size


def test_a_file_that_is_there_is_never_written_over(own: Place) -> None:
    there = own.folder / "precious.db"
    there.write_text("precious")
    done = own.run("backup", there)
    assert done.code == 2
    assert there.read_text() == "precious"
    (own.folder / "dangling").symlink_to("nowhere")
    assert own.run("backup", own.folder / "dangling").code == 2


@pytest.mark.parametrize(("dest", "code"), [("none/such/folder.db", 10), ("docs/moon.md/x.db", 10)])
def test_a_place_that_is_none(own: Place, dest: str, code: int) -> None:
    done = own.run("backup", dest)
    assert done.code == code
    assert "Traceback" not in done.err


def test_without_a_log_there_is_nothing_to_copy(place: Place) -> None:
    assert place.run("backup").code == 10
    assert not place.log.parent.exists()


def test_a_damaged_log_is_not_copied(own: Place) -> None:
    tamper(own.log, "UPDATE events SET body = replace(body, 'moon', 'noon') WHERE position > 3")
    done = own.run("backup", "copy.db")
    assert done.code == 7
    assert not list(own.folder.glob("*copy.db*"))


def test_a_state_that_does_not_follow_is_not_copied(tmp_path: Path) -> None:
    log = open_at(tmp_path / "log.db")
    fill(log, 2)
    log.close()
    tamper(tmp_path / "log.db", "UPDATE files SET due_at_us = 77")
    with pytest.raises(LogDamaged, match="does not follow from the events"):
        back_up(tmp_path / "log.db", tmp_path / "copy.db")
    assert not list(tmp_path.glob("*copy.db*"))


def test_it_may_be_made_while_others_append(tmp_path: Path) -> None:
    """Each copy is one moment of the log; none holds the appending process up, none waits for it to end."""
    log = tmp_path / "log.db"
    open_at(log).close()
    command = [sys.executable, "-m", "tests.log.appender", str(log), "one", "800"]
    env = environment(tmp_path)
    env["PYTHONPATH"] += os.pathsep + str(ROOT)
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    made = [back_up(log, tmp_path / "copy0.db")]
    while process.poll() is None:
        process.stdout.readline()
        made.append(back_up(log, tmp_path / f"copy{len(made)}.db"))
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    positions = [one.position for one in made]
    assert positions == sorted(positions)
    assert len(set(positions)) > 1
    for one in made[:5]:
        copy = open_at(one.path)
        assert copy.head() == one.position
        check(copy)
        copy.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_leaves_no_half_copy(own: Place, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", small], capture_output=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"cannot mount: {mount.stderr.decode()} ({errno.EPERM})")
    try:
        done = own.run("backup", small / "copy.db")
        assert done.code == 6, done.err
        assert "full" in done.err
        assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_run_goes_on_from_a_restored_copy(own: Place) -> None:
    """What was indexed and known then is neither sent again nor indexed twice."""
    copy = Path(own.ok("backup", "--json").json["file"])
    before = own.log.with_name("before")
    before.mkdir()
    for left in ("log.db", "log.db-wal", "log.db-shm"):
        if own.log.with_name(left).exists():
            own.log.with_name(left).rename(before / left)
    shutil.copy(copy, own.log)
    done = own.ok("run", "--json")
    assert done.lines[-1]["indexed"] == 3
    assert "batch_started" not in done.out
    assert own.ok("replay", "--check", "--json").json["drift"] == 0
