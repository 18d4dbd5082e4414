"""Trouble on this machine, met by the command itself: a message, its exit code, nothing lost, and the next run goes on.

The judge is an emulator in another process: one document per file that is there, of its last content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import TIMEOUT_S, Done, Place, serving

needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
SLOW = {"latencies": {"request": {"low_s": 0.3}}}
"""So slow that a file can be changed between the scan and its upload: the store is asked for first."""


class Service:
    """The emulator of a place, and what it holds."""

    def __init__(self, place: Place, url: str) -> None:
        self.place = place
        self.url = url

    def words(self, *more: str | Path) -> tuple[str | Path, ...]:
        return ("run", "docs", "--yes", "--json", "--tier", "tier3", "--endpoint", self.url, *more)

    def run(self, *more: str | Path) -> Done:
        return self.place.run(*self.words(*more))

    def payloads(self) -> list[str]:
        """Of every document, the beginning of its content's hash."""
        with urllib.request.urlopen(f"{self.url}/_emulator/state", timeout=30) as answer:
            documents: list[dict[str, Any]] = json.load(answer)["documents"]
        assert {document["state"] for document in documents} <= {"STATE_ACTIVE"}
        return sorted(document["customMetadata"]["objlib_payload"] for document in documents)

    def holds_the_library(self) -> None:
        """One document per file, of its content now."""
        files = [path for path in self.place.library.rglob("*") if path.is_file()]
        assert self.payloads() == sorted(hashlib.sha256(path.read_bytes()).hexdigest()[:20] for path in files)

    def killed_in_the_middle(self) -> None:
        """A run that was killed with events in its write-ahead log."""
        process = self.place.start(*self.words())
        assert process.stdout is not None
        while b'"indexed"' not in process.stdout.readline():
            pass
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL


@pytest.fixture
def service(place: Place) -> Iterator[Service]:
    for name in "abc":
        place.write(f"{name}.txt", f"{name}: the moon is made of rock.\n")
    settings = place.folder / "slow.json"
    settings.write_text(json.dumps(SLOW))
    with serving(place, "--control", "--settings", str(settings)) as url:
        yield Service(place, url)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def fine(done: Done, code: int, said: str) -> None:
    """The exit code, with a sentence that says what it is about, and no traceback."""
    assert done.code == code, done.err
    assert said in done.err, done.err
    assert "Traceback" not in done.err
    assert "defect" not in done.err


# ---- a file between its hash and its upload ------------------------------------------------------------------------


def changed(path: Path) -> None:
    path.write_text("the sun is made of plasma, and this is longer\n")


def changed_in_place(path: Path) -> None:
    """The same size and time: only the bytes tell."""
    before = path.stat()
    path.write_text(path.read_text().replace("moon", "noon"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncated(path: Path) -> None:
    os.truncate(path, 5)


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("another file of this name\n")
    other.replace(path)


def replaced_by_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def deleted(path: Path) -> None:
    path.unlink()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("trouble", [changed, changed_in_place, truncated, replaced, replaced_by_a_link, deleted])
def test_a_file_that_is_not_what_was_hashed_is_never_sent_as_it(
    service: Service, trouble: Callable[[Path], None]
) -> None:
    """Complaint 28: a file changes while it is read, and what is sent is neither the old nor the new."""
    process = service.place.start(*service.words())
    assert process.stdout is not None
    while b'"type": "scan"' not in process.stdout.readline():
        pass
    path = service.place.library / "b.txt"
    trouble(path)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode in (0, 3, 4), err.decode() + out.decode()
    assert b"Traceback" not in err
    done = service.run()
    assert done.code == 0, done.err + done.out
    if path.is_symlink():
        path.unlink()
    service.holds_the_library()


# ---- the disk ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A disk of that size; what is yielded changes its options."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {mounted.stderr.decode()}")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", folder], check=True)


@needs_mount
@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", ["32k", "128k", "200k"])
def test_a_disk_that_is_full(service: Service, size: str) -> None:
    """So small a disk is full when the log is made, in the scan, or in the middle of the uploads."""
    for number in range(30):
        service.place.write(f"more{number}.txt", f"{number}: {'the moon is made of rock. ' * 20}\n")
    disk = service.place.folder / "disk"
    with small_disk(disk, size) as remount:
        log = disk / "log.db"
        fine(service.run("--db", log), 6, "the disk is full")
        fine(service.run("--db", log), 6, "the disk is full")
        remount("size=64m")
        done = service.run("--db", log)
        assert done.code == 0, done.err
        service.holds_the_library()
        assert service.place.ok("replay", "--check", "--json", "--db", log).json["drift"] == 0


@needs_mount
@pytest.mark.timeout(300)
def test_a_disk_that_may_only_be_read(service: Service) -> None:
    disk = service.place.folder / "disk"
    with small_disk(disk, "64m") as remount:
        log = disk / "log.db"
        remount("ro")
        fine(service.run("--db", log), 6, "cannot be created: Read-only file system")
        remount("rw")
        assert service.run("--db", log).code == 0
        service.place.write("d.txt", "one more\n")
        remount("ro")
        fine(service.run("--db", log), 6, str(log))
        for reading in (("status",), ("audit", "docs/a.txt"), ("replay", "--check")):
            service.place.ok(*reading, "--db", log)
        remount("rw")
        assert service.run("--db", log).code == 0
        service.holds_the_library()


# ---- the log -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_a_page_that_went_bad_and_the_backup(service: Service) -> None:
    """What was done after the backup was made is found in the store."""
    place = service.place
    assert service.run().code == 0
    place.ok("backup", "safe.db")
    place.write("d.txt", "after the backup\n")
    place.write("a.txt", "another content after the backup\n")
    assert service.run().code == 0
    data = bytearray(place.log.read_bytes())
    data[4096 * 2 : 4096 * 3] = bytes(4096)
    place.log.write_bytes(data)
    for words in (service.words(), ("status",), ("replay", "--check"), ("backup",), ("doctor", "--offline")):
        done = place.run(*words)
        assert done.code == 7, (words, done.err)
        assert "Traceback" not in done.err
    for left in place.log.parent.glob("log.db*"):
        left.unlink()
    shutil.copy(place.folder / "safe.db", place.log)
    done = service.run()
    assert done.code == 0, done.err
    service.holds_the_library()


@pytest.mark.timeout(300)
def test_a_write_ahead_log_that_was_removed_after_a_crash(service: Service) -> None:
    place = service.place
    assert service.run().code == 0
    place.write("d.txt", "one more\n")
    place.write("a.txt", "another content\n")
    service.killed_in_the_middle()
    place.log.with_name("log.db-wal").unlink()
    for words in (service.words(), ("status",), ("replay", "--check"), ("doctor", "--offline")):
        done = place.run(*words)
        assert done.code == 7, (words, done.err)
        assert "log.db-wal was removed" in done.err + done.out
    done = place.ok("replay")
    assert "lost" in done.err
    done = service.run()
    assert done.code == 0, done.err
    service.holds_the_library()
