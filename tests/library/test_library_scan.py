"""The whole scan on a real disk: first, second, after changes, and when it must refuse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library.compare import (
    Changed,
    Finding,
    Moved,
    New,
    NoLongerExcluded,
    NowExcluded,
    Reappeared,
    Touched,
    Vanished,
)
from objlib_fsm.library.errors import RootEmpty, RootMissing, ScanRefused, VanishedTooMany
from objlib_fsm.library.scan import ScanResult, look, read, scan
from objlib_fsm.library.values import Exclusion, Known

Remember = Callable[[dict[LibraryPath, Known], Iterable[Finding]], dict[LibraryPath, Known]]

NOW_US = 1_800_000_000_000_000
"""Later than any file these tests write, so that times prove something."""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def kinds(result: ScanResult) -> dict[str, type[Finding]]:
    return {finding.path: type(finding) for finding in result.findings}


def test_a_library_over_its_life(library: Path, remember: Remember) -> None:
    write(library / "a.md", "alpha")
    write(library / "docs" / "b.txt", "beta")
    write(library / "docs" / "c", "gamma")
    write(library / "picture.png", "\x89PNG")
    write(library / "wrong.md", "\x00\x01")
    write(library / ".hidden", "x")
    first = scan(library, {}, NOW_US)
    assert kinds(first) == {
        "a.md": New,
        "docs/b.txt": New,
        "docs/c": New,
        "picture.png": NowExcluded,
        "wrong.md": NowExcluded,
    }
    known = remember({}, first.findings)
    assert known[LibraryPath("docs/c")].sha256

    second = scan(library, known, NOW_US)
    assert (second.findings, second.unchanged) == ([], 3)
    assert second.still_excluded == {Exclusion.UNSUPPORTED_TYPE: 1, Exclusion.BINARY: 1}
    assert second.left_out == {Exclusion.HIDDEN: 1}

    write(library / "a.md", "alpha two")
    (library / "docs").rename(library / "papers")
    os.utime(library / "papers" / "c", (1_000_000_000, 1_000_000_000))
    (library / "picture.png").unlink()
    write(library / "wrong.md", "right now")
    third = scan(library, known, NOW_US)
    assert kinds(third) == {
        "a.md": Changed,
        "papers/b.txt": Moved,
        "papers/c": Moved,
        "picture.png": Vanished,
        "wrong.md": NoLongerExcluded,
    }
    known = remember(known, third.findings)

    (library / "a.md").unlink()
    os.utime(library / "papers" / "c", (1_100_000_000, 1_100_000_000))
    write(library / ".objlibignore", "b.txt\n")
    fourth = scan(library, known, NOW_US)
    assert kinds(fourth) == {"a.md": Vanished, "papers/b.txt": NowExcluded, "papers/c": Touched}
    known = remember(known, fourth.findings)

    write(library / "a.md", "alpha two")
    (library / ".objlibignore").unlink()
    fifth = scan(library, known, NOW_US)
    assert kinds(fifth) == {"a.md": Reappeared, "papers/b.txt": NoLongerExcluded}
    assert scan(library, remember(known, fifth.findings), NOW_US).findings == []


def test_the_same_path_as_folder_and_file_by_turns(library: Path, remember: Remember) -> None:
    write(library / "a", "file")
    known = remember({}, scan(library, {}, NOW_US).findings)
    (library / "a").unlink()
    write(library / "a" / "b", "other")
    result = scan(library, known, NOW_US)
    assert kinds(result) == {"a": Vanished, "a/b": New}
    known = remember(known, result.findings)
    shutil.rmtree(library / "a")
    write(library / "a", "file")
    assert kinds(scan(library, known, NOW_US)) == {"a": Reappeared, "a/b": Vanished}


def test_a_file_replaced_by_a_link_is_excluded(library: Path, remember: Remember) -> None:
    write(library / "a.md", "text")
    known = remember({}, scan(library, {}, NOW_US).findings)
    (library / "a.md").unlink()
    (library / "a.md").symlink_to("/etc/hostname")
    (finding,) = scan(library, known, NOW_US).findings
    assert isinstance(finding, NowExcluded)
    assert finding.reason is Exclusion.SYMLINK


def test_an_unreadable_file_is_excluded_until_it_can_be_read(
    shared: Path, ordinary_user: Callable[[], AbstractContextManager[None]], remember: Remember
) -> None:
    with ordinary_user():
        write(shared / "a.md", "text")
        write(shared / "b.md", "text b").chmod(0)
        first = scan(shared, {}, NOW_US)
        known = remember({}, first.findings)
        assert kinds(first) == {"a.md": New, "b.md": NowExcluded}
        assert known[LibraryPath("b.md")].excluded is Exclusion.UNREADABLE
        assert scan(shared, known, NOW_US).findings == []
        (shared / "b.md").chmod(0o600)
        assert kinds(scan(shared, known, NOW_US)) == {"b.md": NoLongerExcluded}


def test_files_below_an_unreadable_folder_stay_as_they_are(
    shared: Path, ordinary_user: Callable[[], AbstractContextManager[None]], remember: Remember
) -> None:
    with ordinary_user():
        for number in range(60):
            write(shared / "docs" / f"{number}.md", f"text {number}")
        write(shared / "a.md", "text")
        known = remember({}, scan(shared, {}, NOW_US).findings)
        (shared / "docs").chmod(0)
        result = scan(shared, known, NOW_US)
        assert (result.findings, result.unchanged) == ([], 1)
        assert [trouble.path for trouble in result.troubles] == ["docs"]


def test_a_file_that_goes_between_looking_and_reading_is_only_trouble(library: Path) -> None:
    write(library / "a.md", "text")
    write(library / "b.md", "text")
    survey, _ = look(library, {})
    (library / "a.md").unlink()
    (library / "b.md").unlink()
    (library / "b.md").symlink_to("a.md")
    answers = {found.path: read(library, found, NOW_US) for found in survey.to_read}
    assert "not there any more" in str(answers[LibraryPath("a.md")])
    assert "symbolic link" in str(answers[LibraryPath("b.md")])


def test_an_unmounted_disk_changes_nothing(library: Path, remember: Remember) -> None:
    for number in range(60):
        write(library / f"{number}.md", f"text {number}")
    known = remember({}, scan(library, {}, NOW_US).findings)
    for path in library.iterdir():
        path.unlink()
    with pytest.raises(VanishedTooMany, match="60 of the 60 known files are gone"):
        scan(library, known, NOW_US)
    library.rmdir()
    with pytest.raises(RootMissing, match="Nothing was changed"):
        scan(library, known, NOW_US)


def test_an_empty_folder_on_another_disk_is_a_mount_point(library: Path) -> None:
    known = {LibraryPath("a.md"): Known(1, 1, "0" * 64, NOW_US, 7, library.stat().st_dev + 1)}
    with pytest.raises(RootEmpty, match="is it mounted"):
        scan(library, known, NOW_US)
    write(library / ".objlibignore", "")
    assert kinds(scan(library, known, NOW_US)) == {"a.md": Vanished}


def test_the_last_file_of_a_library_may_go(library: Path, remember: Remember) -> None:
    write(library / "a.md", "text")
    known = remember({}, scan(library, {}, NOW_US).findings)
    (library / "a.md").unlink()
    assert kinds(scan(library, known, NOW_US)) == {"a.md": Vanished}


def test_the_library_becoming_a_file_is_refused(library: Path) -> None:
    library.rmdir()
    library.write_text("not a folder")
    with pytest.raises(ScanRefused, match="must be a folder"):
        scan(library, {}, NOW_US)
