"""Reading: the bytes are those of one file at one moment, or there is a clear refusal."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import stat
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library.errors import (
    ChangedWhileRead,
    FileProblem,
    FileUnreadable,
    FileVanished,
    NoRoomForCopy,
    NotIndexable,
    NotRegular,
    ReadFailed,
    RootMissing,
)
from objlib_fsm.library.payload import IN_MEMORY_MAX_BYTES, open_payload
from objlib_fsm.library.reading import BLOCK_BYTES, Sink, read_once
from objlib_fsm.library.values import FILE_BYTES_MAX, Exclusion, Fingerprint

NOW_US = 1_800_000_000_000_000
A = LibraryPath("a.md")


@pytest.fixture
def temp_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """The system refuses to let any file grow beyond this, as a full disk would."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def hash_file(root: Path, path: LibraryPath, now_us: int) -> Fingerprint:
    """The fingerprint alone."""
    return read_once(root, path, now_us, lambda _size: None)


def big_text(path: Path, size_bytes: int) -> Path:
    """Text at the beginning, a hole after: as large as wanted and quick to make."""
    with open(path, "wb") as file:
        file.write(b"text " * 20_000)
        file.truncate(size_bytes)
    return path


@pytest.mark.parametrize("size", [1, 4_096, 65_536, 65_537, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
def test_a_fingerprint_is_of_all_bytes(library: Path, size: int) -> None:
    content = (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    (library / "a.md").write_bytes(content)
    blocks: list[bytes] = []
    fingerprint = read_once(library, A, NOW_US, lambda size_bytes: blocks.append)
    status = (library / "a.md").stat()
    assert b"".join(blocks) == content
    assert fingerprint == hash_file(library, A, NOW_US)
    assert fingerprint.sha256 == hashlib.sha256(content).hexdigest()
    assert (fingerprint.size_bytes, fingerprint.mtime_ns, fingerprint.inode, fingerprint.device) == (
        size,
        status.st_mtime_ns,
        status.st_ino,
        status.st_dev,
    )
    assert (fingerprint.mime_type, fingerprint.taken_at_us) == ("text/markdown", NOW_US)


def test_memory_does_not_grow_with_the_file(library: Path, temp_dir: Path) -> None:
    big_text(library / "a.md", FILE_BYTES_MAX)
    tracemalloc.start()
    first = hash_file(library, A, NOW_US)
    with open_payload(library, A, NOW_US, temp_dir) as payload:
        assert payload.fingerprint == first
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first.size_bytes == FILE_BYTES_MAX
    assert peak_bytes < 6 * BLOCK_BYTES


def append(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 2 * BLOCK_BYTES)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def overwrite_and_put_the_time_back(path: Path) -> None:
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"other")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def grow_without_end(path: Path) -> None:
    with open(path, "ab") as file:
        file.truncate(path.stat().st_size + 2 * BLOCK_BYTES)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("change", [append, shrink, empty, overwrite_and_put_the_time_back, grow_without_end])
def test_a_file_that_changes_while_it_is_read_is_refused(library: Path, change: Callable[[Path], None]) -> None:
    """Complaint 28: a file changes while it is read."""
    path = big_text(library / "a.md", 3 * BLOCK_BYTES)
    os.utime(path, (1, 1))
    blocks = 0

    def sink_for(size_bytes: int) -> Sink:
        def sink(block: bytes) -> None:
            nonlocal blocks
            blocks += 1
            if blocks == 1 or change is grow_without_end:
                change(path)

        return sink

    with pytest.raises(ChangedWhileRead, match=r"a\.md: changed while it was being read"):
        read_once(library, A, NOW_US, sink_for)
    assert blocks <= 4


def test_a_file_that_is_replaced_while_it_is_read_gives_the_bytes_that_were_opened(library: Path) -> None:
    path = big_text(library / "a.md", 2 * BLOCK_BYTES)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    replacement = library / "b.md"
    replacement.write_text("new")

    def sink_for(size_bytes: int) -> Sink:
        def sink(block: bytes) -> None:
            if replacement.exists():
                path.unlink()
                replacement.rename(path)

        return sink

    with pytest.raises(ChangedWhileRead):  # the unlinking shows in the change time: refused rather than argued about
        read_once(library, A, NOW_US, sink_for)
    assert hash_file(library, A, NOW_US).sha256 != before


def test_nothing_is_read_twice_and_what_was_hashed_is_what_is_sent(library: Path, temp_dir: Path) -> None:
    path = library / "a.md"
    for size in [10, IN_MEMORY_MAX_BYTES, IN_MEMORY_MAX_BYTES + 1]:
        big_text(path, size)
        if size == 10:
            path.write_bytes(b"0123456789")
        with open_payload(library, A, NOW_US, temp_dir) as payload:
            path.write_bytes(b"rewritten after the payload was opened")
            sent = payload.stream.read()
        assert len(sent) == payload.size_bytes == size
        assert hashlib.sha256(sent).hexdigest() == payload.sha256
        assert payload.stream.closed


def test_the_copy_of_a_large_file_is_private_and_leaves_nothing_behind(library: Path, temp_dir: Path) -> None:
    big_text(library / "a.md", IN_MEMORY_MAX_BYTES + 1)
    with open_payload(library, A, NOW_US, temp_dir) as payload:
        assert list(temp_dir.iterdir()) == []
        assert stat.S_IMODE(os.fstat(payload.stream.fileno()).st_mode) == 0o600
        assert payload.stream.tell() == 0
    big_text(library / "a.md", IN_MEMORY_MAX_BYTES + 1)
    with pytest.raises(ChangedWhileRead, match="changed since it was scanned"):
        open_payload(library, A, NOW_US, temp_dir, expected_sha256="0" * 64)
    assert list(temp_dir.iterdir()) == []


def test_a_payload_is_only_of_the_expected_content(library: Path, temp_dir: Path) -> None:
    (library / "a.md").write_text("text")
    expected = hash_file(library, A, NOW_US).sha256
    os.utime(library / "a.md", (1, 1))
    with open_payload(library, A, NOW_US, temp_dir, expected_sha256=expected) as payload:
        assert payload.sha256 == expected
    (library / "a.md").write_text("TEXT")
    with pytest.raises(ChangedWhileRead, match="changed since it was scanned"):
        open_payload(library, A, NOW_US, temp_dir, expected_sha256=expected)


def test_no_room_for_the_copy_is_no_fault_of_the_file(library: Path, tmp_path: Path) -> None:
    big_text(library / "a.md", IN_MEMORY_MAX_BYTES + 1)
    with pytest.raises(NoRoomForCopy, match="No such file or directory"):
        open_payload(library, A, NOW_US, tmp_path / "nowhere")


def test_a_full_disk_under_the_copy_is_reported(library: Path, temp_dir: Path) -> None:
    big_text(library / "a.md", IN_MEMORY_MAX_BYTES + 1)
    with no_file_larger_than(1_048_576), pytest.raises(NoRoomForCopy, match="free space and run again"):
        open_payload(library, A, NOW_US, temp_dir)


@pytest.mark.timeout(10)
def test_what_is_not_a_regular_file_is_refused_without_opening_it(library: Path) -> None:
    os.mkfifo(library / "pipe.md")
    (library / "folder.md").mkdir()
    (library / "target.md").write_text("text")
    (library / "link.md").symlink_to("target.md")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(library / "socket.md"))
        for name, kind in [
            ("pipe", "named pipe"),
            ("folder", "folder"),
            ("link", "symbolic link"),
            ("socket", "socket"),
        ]:
            with pytest.raises(NotRegular, match=kind):
                hash_file(library, LibraryPath(f"{name}.md"), NOW_US)


def test_a_folder_replaced_by_a_link_does_not_lead_outside(library: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.md").write_text("not yours")
    (library / "docs").symlink_to(outside)
    with pytest.raises(NotRegular, match="symbolic link"):
        hash_file(library, LibraryPath("docs/a.md"), NOW_US)
    (library / "deep").mkdir()
    (library / "deep" / "docs").symlink_to(outside)
    with pytest.raises(NotRegular, match="symbolic link"):
        hash_file(library, LibraryPath("deep/docs/a.md"), NOW_US)


def test_what_is_gone_is_vanished_and_a_missing_library_is_not_a_missing_file(library: Path) -> None:
    (library / "file.md").write_text("text")
    for path in ["a.md", "folder/a.md", "file.md/a.md"]:
        with pytest.raises(FileVanished, match="not there any more"):
            hash_file(library, LibraryPath(path), NOW_US)
    with pytest.raises(RootMissing):
        hash_file(library / "nowhere", A, NOW_US)


def test_what_may_not_be_read_is_unreadable(
    shared: Path, ordinary_user: Callable[[], AbstractContextManager[None]]
) -> None:
    with ordinary_user():
        (shared / "a.md").write_text("text")
        (shared / "a.md").chmod(0)
        (shared / "closed").mkdir()
        (shared / "closed" / "a.md").write_text("text")
        (shared / "closed").chmod(0)
        (shared / "enterable").mkdir()
        (shared / "enterable" / "a.md").write_text("text")
        (shared / "enterable").chmod(0o111)
        for path in ["a.md", "closed/a.md"]:
            with pytest.raises(FileUnreadable, match="change its permissions"):
                hash_file(shared, LibraryPath(path), NOW_US)
        assert hash_file(shared, LibraryPath("enterable/a.md"), NOW_US).size_bytes == 4


def test_too_many_open_files_says_nothing_about_the_file(library: Path) -> None:
    (library / "a.md").write_text("text")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(ReadFailed, match="Too many open files"):
            hash_file(library, A, NOW_US)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.md", b"", Exclusion.EMPTY),
        ("a.md", b" \n\t", Exclusion.BLANK),
        ("a.md", b"\xef\xbb\xbf", Exclusion.BLANK),
        ("a.md", b"\x89PNG\r\n\x1a\n\0", Exclusion.BINARY),
        ("a.unheard-of", b"\x7fELF\x01", Exclusion.BINARY),
        ("a.pdf", b"<html>", Exclusion.MISNAMED),
        ("a.png", b"text", Exclusion.UNSUPPORTED_TYPE),
        ("a.txt", b"-----BEGIN RSA PRIVATE KEY-----\n", Exclusion.PRIVATE_KEY),
    ],
)
def test_content_that_is_not_to_be_indexed(
    library: Path, temp_dir: Path, name: str, content: bytes, reason: Exclusion
) -> None:
    (library / name).write_bytes(content)
    for attempt in (
        lambda path: hash_file(library, path, NOW_US),
        lambda path: open_payload(library, path, NOW_US, temp_dir),
    ):
        with pytest.raises(NotIndexable) as refusal:
            attempt(LibraryPath(name))
        assert refusal.value.reason is reason
        assert refusal.value.size_bytes == len(content)
        assert refusal.value.mtime_ns == (library / name).stat().st_mtime_ns


def test_too_large_is_refused_before_reading(library: Path) -> None:
    with open(library / "a.md", "wb") as file:
        file.truncate(5_000_000_000)
    with pytest.raises(NotIndexable, match="100 MB") as refusal:
        hash_file(library, A, NOW_US)
    assert refusal.value.reason is Exclusion.TOO_LARGE


def test_no_descriptor_is_left_open(library: Path, temp_dir: Path) -> None:
    (library / "d").mkdir()
    (library / "d" / "a.md").write_text("text")
    (library / "d" / "empty.md").touch()
    (library / "d" / "loop").symlink_to("loop")
    before = len(os.listdir("/proc/self/fd"))
    for name in ["d/a.md", "d/empty.md", "d/loop", "d/none.md", "d/loop/a.md", "d/a.md/b"]:
        try:
            open_payload(library, LibraryPath(name), NOW_US, temp_dir).close()
        except FileProblem:
            continue
    assert len(os.listdir("/proc/self/fd")) == before
