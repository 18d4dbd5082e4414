"""The walk on a real disk: every kind of entry, every kind of name, and folders that will not be read."""

from __future__ import annotations

import os
import socket
import stat
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from objlib_fsm.core.paths import LibraryPath, to_bytes
from objlib_fsm.library.errors import RootMissing, RootUnreadable
from objlib_fsm.library.values import FILE_BYTES_MAX, Excluded, Exclusion, Found
from objlib_fsm.library.walk import IGNORE_FILE_BYTES_MAX, Walk

AsOrdinaryUser = Callable[[], AbstractContextManager[None]]


def found(walk: Walk) -> set[str]:
    return {item.path for item in walk if isinstance(item, Found)}


def excluded(walk: Walk) -> dict[str, Exclusion]:
    return {item.path: item.reason for item in walk if isinstance(item, Excluded)}


def write(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_is_reported_with_what_the_file_system_says(library: Path) -> None:
    path = write(library / "docs" / "a.md", "hello")
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    status = path.stat()
    assert list(Walk(library)) == [
        Found(LibraryPath("docs/a.md"), 5, 1_700_000_000_123_456_789, status.st_ino, status.st_dev, "text/markdown")
    ]


def test_a_library_reached_through_a_link_is_walked(library: Path, tmp_path: Path) -> None:
    write(library / "a.md")
    (tmp_path / "link").symlink_to(library)
    assert found(Walk(tmp_path / "link")) == {"a.md"}


def test_what_is_not_a_file_is_excluded_and_never_opened(library: Path) -> None:
    os.mkfifo(library / "pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(library / "socket.md"))
        (library / "dangling.md").symlink_to("nowhere")
        (library / "loop").symlink_to(".")
        (library / "outside.md").symlink_to("/etc/passwd")
        (library / "empty.md").touch()
        assert excluded(Walk(library)) == {
            "pipe.md": Exclusion.PIPE,
            "socket.md": Exclusion.SOCKET,
            "dangling.md": Exclusion.SYMLINK,
            "loop": Exclusion.SYMLINK,
            "outside.md": Exclusion.SYMLINK,
            "empty.md": Exclusion.EMPTY,
        }


def test_a_device_is_excluded(library: Path) -> None:
    try:
        os.mknod(library / "null.md", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may make device nodes")
    assert excluded(Walk(library)) == {"null.md": Exclusion.DEVICE}


def test_size_limits_to_the_byte(library: Path) -> None:
    for name, size in [("one.txt", 1), ("most.txt", FILE_BYTES_MAX), ("more.txt", FILE_BYTES_MAX + 1)]:
        with open(library / name, "wb") as file:
            file.truncate(size)
    with open(library / "huge.txt", "wb") as file:
        file.truncate(5_000_000_000)
    walk = list(Walk(library))
    assert {i.path: i.size_bytes for i in walk if isinstance(i, Found)} == {"one.txt": 1, "most.txt": FILE_BYTES_MAX}
    assert {i.path: i.reason for i in walk if isinstance(i, Excluded)} == {
        "more.txt": Exclusion.TOO_LARGE,
        "huge.txt": Exclusion.TOO_LARGE,
    }


def test_types_by_name(library: Path) -> None:
    for name in ["a.md", "README", "a.unheard-of", "a.png", "a.tar.gz", "A.PNG"]:
        write(library / name)
    walk = list(Walk(library))
    assert {i.path: i.mime_type for i in walk if isinstance(i, Found)} == {
        "a.md": "text/markdown",
        "README": "",
        "a.unheard-of": "",
    }
    assert {i.path: i.detail for i in walk if isinstance(i, Excluded)} == {
        "a.png": "File Search does not support .png files",
        "a.tar.gz": "File Search does not support .gz files",
        "A.PNG": "File Search does not support .png files",
    }


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"caf\xe9.md", r"caf\xe9.md"),
        (b"new\nline\x1b[2K.md", "new\nline\x1b[2K.md"),
        (rb"back\slash.md", r"back\\slash.md"),
        (b"-rf.md", "-rf.md"),
        (b"=1+1.md", "=1+1.md"),
        (b"[bold]'\".md", "[bold]'\".md"),
        ("right\u202eleft.md".encode(), "right\u202eleft.md"),
        (b" .md", " .md"),
        (b"n" * 252 + b".md", "n" * 252 + ".md"),
    ],
)
def test_names_of_every_kind(library: Path, raw: bytes, path: str) -> None:
    (library / os.fsdecode(raw)).write_text("text")
    folder = library / os.fsdecode(b"in " + raw)[-200:]
    folder.mkdir()
    (folder / "a.md").write_text("text")
    paths = found(Walk(library))
    assert path in paths
    assert len(paths) == 2
    for each in paths:
        assert os.path.exists(os.fsencode(library) + b"/" + to_bytes(LibraryPath(each)))


def test_twins_are_two_files_and_are_pointed_out(library: Path) -> None:
    for name in ["é.md", "e\u0301.md", "ü.md", "o\u0308.md", "A.md", "a.md"]:
        write(library / name)
    walk = Walk(library)
    assert found(walk) == {"é.md", "e\u0301.md", "ü.md", "o\u0308.md", "A.md", "a.md"}
    assert [(twins.first, twins.second) for twins in walk.twins] == [("é.md", "e\u0301.md")]


def test_hard_links_are_files_each(library: Path) -> None:
    write(library / "a.md")
    os.link(library / "a.md", library / "b.md")
    items = [item for item in Walk(library) if isinstance(item, Found)]
    assert {item.path for item in items} == {"a.md", "b.md"}
    assert len({(item.device, item.inode) for item in items}) == 1


def test_deep_folders(library: Path) -> None:
    deep = library
    for _ in range(500):
        deep /= "d"
    write(deep / "a.md")
    assert found(Walk(library)) == {"d/" * 500 + "a.md"}


def test_a_path_too_long_for_the_system_is_a_folder_not_seen(library: Path) -> None:
    write(library / "a.md")
    name = b"n" * 250
    descriptor = os.open(library, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open(b"a.md", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)

    walk = Walk(library)
    assert found(walk) == {"a.md"}
    assert len(walk.unseen) == 1
    assert "too long" in walk.troubles[0].message


def test_hidden_files_secrets_and_our_own_are_left_out_and_counted(library: Path, tmp_path: Path) -> None:
    for name in [".hidden.md", ".git/config", "a/.cache/x.md", "a/.objlib/log.db", ".objlibignore", "a/.gitignore"]:
        write(library / name, "")
    for name in ["id_rsa", "server.pem", "vault.kdbx", ".env.production", "a/app.sqlite3"]:
        write(library / name)
    for name in [
        "log.txt",
        "log.txt-wal",
        "log.txt-shm",
        "log.txtx",
        "a/log.txt",
        "store/x.md",
        "report.html",
        "keep.md",
    ]:
        write(library / name)
    (tmp_path / "alias").symlink_to(library)

    walk = Walk(library, own_paths=[tmp_path / "alias" / "log.txt", library / "store", library / "report.html"])
    assert list(excluded(walk)) == []
    assert dict(walk.left_out) == {
        Exclusion.HIDDEN: 4,
        Exclusion.SECRET: 5,
        Exclusion.OWN: 7,
    }
    assert walk.pruned == {
        ".git": Exclusion.HIDDEN,
        "a/.cache": Exclusion.HIDDEN,
        "a/.objlib": Exclusion.OWN,
        "store": Exclusion.OWN,
    }
    assert found(Walk(library, own_paths=[library / "log.txt", library / "store", library / "report.html"])) == {
        "log.txtx",
        "a/log.txt",
        "keep.md",
    }


def test_installed_packages_are_left_out_until_a_rule_takes_them_in(library: Path) -> None:
    """Complaint 25: folders of packages and files of secrets are indexed unless somebody remembers to exclude them."""
    for name in ["node_modules/left-pad/README.md", "a/node_modules/x.md", "a/__pycache__/y.md", ".venv/lib/z.md"]:
        write(library / name)
    for name in ["keep.md", "a/node_modules.md", "b/node_modules", ".env", "a/.env.local"]:
        write(library / name)
    walk = Walk(library)
    assert found(walk) == {"keep.md", "a/node_modules.md", "b/node_modules"}, "a file of that name is a file"
    assert dict(walk.left_out) == {Exclusion.INSTALLED: 3, Exclusion.HIDDEN: 1, Exclusion.SECRET: 2}
    assert walk.pruned["a/node_modules"] is Exclusion.INSTALLED
    (library / ".objlibignore").write_text("!/a/node_modules/\n")
    assert "a/node_modules/x.md" in found(Walk(library))
    assert "node_modules/left-pad/README.md" not in found(Walk(library))
    assert "node_modules/left-pad/README.md" in found(Walk(library, ignore=["!node_modules"]))


def test_a_known_file_that_is_left_out_now_is_named(library: Path) -> None:
    for name in ["a.md", "b.md", "c.md", "server.pem", "out/d.md"]:
        write(library / name)
    (library / ".gitignore").write_text("a.md\nb.md\nout\n")
    walk = Walk(library, known={"a.md", "server.pem", "out/d.md"})
    assert excluded(walk) == {"a.md": Exclusion.IGNORED, "server.pem": Exclusion.SECRET}
    assert walk.pruned == {"out": Exclusion.IGNORED}
    assert walk.left_out[Exclusion.IGNORED] == 3


def test_an_unreadable_folder_is_not_seen_and_the_rest_is(shared: Path, ordinary_user: AsOrdinaryUser) -> None:
    with ordinary_user():
        for name in ["open/a.md", "closed/b.md", "listable/c.md", "enterable/d.md"]:
            write(shared / name)
        (shared / "closed").chmod(0)
        (shared / "listable").chmod(0o444)
        (shared / "enterable").chmod(0o111)
        walk = Walk(shared)
        assert found(walk) == {"open/a.md"}
    assert walk.unseen == {"closed", "listable", "enterable"}
    assert {trouble.path for trouble in walk.troubles} == walk.unseen


def test_an_unreadable_library_is_refused(shared: Path, ordinary_user: AsOrdinaryUser) -> None:
    with ordinary_user():
        (shared / "library").mkdir()
        (shared / "library").chmod(0)
        with pytest.raises(RootUnreadable, match="Permission denied"):
            list(Walk(shared / "library"))


def test_a_missing_library_is_refused(library: Path) -> None:
    with pytest.raises(RootMissing, match="is its disk there"):
        Walk(library / "nowhere")
    with pytest.raises(RootMissing, match="must be a folder"):
        Walk(write(library / "a.md"))


def test_a_folder_that_vanishes_during_the_walk_is_not_seen(library: Path) -> None:
    for name in ["one/a.md", "two/b.md"]:
        write(library / name)
    walk = Walk(library)
    paths = set()
    for item in walk:
        paths.add(item.path)
        other = "two" if item.path.startswith("one") else "one"
        if (library / other).exists() and len(paths) == 1:
            for file in (library / other).iterdir():
                file.unlink()
            (library / other).rmdir()
    assert len(paths) == 1
    assert walk.unseen == {"one", "two"} - {next(iter(paths)).partition("/")[0]}


def test_a_folder_closed_during_the_walk_is_not_seen(shared: Path, ordinary_user: AsOrdinaryUser) -> None:
    with ordinary_user():
        write(shared / "first.md")
        for number in range(5):
            write(shared / "docs" / f"{number}.md")
        walk = Walk(shared)
        paths = []
        for item in walk:
            paths.append(item.path)
            (shared / "docs").chmod(0o400)
    assert paths == ["first.md"]
    assert walk.unseen == {"docs"}


def test_a_library_whose_own_name_is_not_utf8_is_named_in_errors(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match=r"caf\\xe9: the library"):
        Walk(tmp_path / os.fsdecode(b"caf\xe9"))


def test_a_folder_whose_rules_cannot_be_read_is_not_seen(shared: Path, ordinary_user: AsOrdinaryUser) -> None:
    with ordinary_user():
        for folder in ["forbidden", "pipe", "folder", "dangling", "huge", "linked"]:
            write(shared / folder / "a.md")
            write(shared / folder / "b.md")
        write(shared / "forbidden" / ".objlibignore").chmod(0)
        os.mkfifo(shared / "pipe" / ".gitignore")
        (shared / "folder" / ".gitignore").mkdir()
        (shared / "dangling" / ".objlibignore").symlink_to("nowhere")
        with open(shared / "huge" / ".gitignore", "wb") as file:
            file.truncate(IGNORE_FILE_BYTES_MAX + 1)
        (shared / "linked" / ".objlibignore").symlink_to(write(shared / "rules", "a.md\n"))
        walk = Walk(shared)
        assert found(walk) == {"rules", "linked/b.md"}
    assert walk.unseen == {"forbidden", "pipe", "folder", "dangling", "huge"}


def test_a_folder_of_many_files_streams(library: Path) -> None:
    (library / "many").mkdir()
    for number in range(20_000):
        os.close(os.open(library / "many" / f"{number}.png", os.O_CREAT | os.O_WRONLY))
    tracemalloc.start()
    count = sum(1 for _ in Walk(library))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak_bytes < 1_000_000  # one list of these entries would be several times that
