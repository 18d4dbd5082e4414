"""Ignore rules, with git itself as the judge."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.library.ignore import Rules
from objlib_fsm.library.values import Found
from objlib_fsm.library.walk import Walk

NAMES = ["a", "b", "foo", "bar", "x.txt", "y.md", "foo1", "*", "ax", "bx", "a b", "#x", "!x", "x\\", "b ", "fao", "]"]
NAMES += ["-", " a", "a ", "xb", "{a,b}", "a.b", "[", "a-", "é", "\t", "a\nb"]
FOLDERS = ["", "foo", "foo/bar", "foo/bar/a", "a b", "b", "b/foo", "b/foo/foo", "a.b", "x.txt", "é"]

ATOMS = [
    "a",
    "b",
    "foo",
    "bar",
    "*",
    "**",
    "***",
    "?",
    "*.txt",
    "*.md",
    "[ab]",
    "[!a]",
    "[^b]*",
    "foo*",
    "\\*",
    "[a-c]x",
]
ATOMS += ["a b", "#x", "!x", "\\!x", "\\#x", "f?o", "[[:alpha:]]", "[[:space:]]", "[[:nope:]]", "[[:]", "[[::]]", "x\\"]
ATOMS += ["b\\ ", " a", "a ", "a\\  ", "**b", "a**", "[]a]", "[!]a]", "[a", "{a,b}", "*.*", "[\\]]", ".", "+", "[a-]"]
ATOMS += [
    "[-a]",
    "[a-c-e]",
    "[\\a-\\c]",
    "[z-a]",
    "é",
    "??",
    "[é]",
    "\t",
    "*\t",
    "a*b",
    "*a*",
    "f*o*1",
    "[!-~]",
    "\\**",
]

PATTERN = st.builds(
    lambda parts, start, end, sign, newline: sign + start + "/".join(parts) + end + newline,
    st.lists(st.sampled_from(ATOMS), min_size=1, max_size=3),
    st.sampled_from(["", "", "", "/", "**/"]),
    st.sampled_from(["", "", "", "/", "/**", " "]),
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["\n", "\n", "\r\n"]),
)
IGNORE_FILE = st.builds(
    lambda bom, lines: bom + "".join(lines), st.sampled_from(["", "", "\ufeff"]), st.lists(PATTERN, max_size=5)
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git, the judge of this test, is not installed")
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    for folder in FOLDERS:
        (root / folder).mkdir(exist_ok=True)
        for name in NAMES:
            path = root / folder / name
            if not path.exists() and path.relative_to(root).as_posix() not in FOLDERS:
                path.write_text("text")
    return root


def kept_by_git(root: Path) -> set[str]:
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"],
        check=True,
        capture_output=True,
    )
    kept = set(listing.stdout.decode().split("\0")) - {""}
    return {path for path in kept if not path.rpartition("/")[2].startswith(".")}


def kept_by_us(root: Path) -> set[str]:
    return {item.path.replace("\\\\", "\\") for item in Walk(root) if isinstance(item, Found)}


@settings(max_examples=150, deadline=None)
@given(files=st.dictionaries(st.sampled_from(FOLDERS), IGNORE_FILE, min_size=1, max_size=4))
def test_the_walk_keeps_what_git_keeps(repository: Path, files: Mapping[str, str]) -> None:
    try:
        for folder, text in files.items():
            (repository / folder / ".gitignore").write_text(text, newline="")
        assert kept_by_us(repository) == kept_by_git(repository)
    finally:
        for folder in files:
            (repository / folder / ".gitignore").unlink()


def test_a_library_of_its_own_rules(library: Path) -> None:
    for name in ["keep.md", "drop.md", "report.pdf", "deep/report.pdf", "deep/keep.md", "out/a.md", "deep/out/a.md"]:
        (library / name).parent.mkdir(exist_ok=True, parents=True)
        (library / name).write_text("text")
    (library / ".gitignore").write_text("*.pdf\nout/\n")
    (library / "deep" / ".gitignore").write_text("!keep.md\n*.pdf\n")
    (library / ".objlibignore").write_text("!report.pdf\n/drop.md\n")

    assert {item.path for item in Walk(library)} == {"keep.md", "report.pdf", "deep/report.pdf", "deep/keep.md"}


def test_own_rules_win_over_git_rules_of_a_deeper_folder_and_a_deeper_own_rule_over_both(library: Path) -> None:
    (library / "deep").mkdir()
    for name in ["a.md", "b.md", "c.md"]:
        (library / "deep" / name).write_text("text")
    (library / ".objlibignore").write_text("!a.md\nb.md\nc.md\n")
    (library / "deep" / ".gitignore").write_text("a.md\n")
    (library / "deep" / ".objlibignore").write_text("!b.md\n")

    assert {item.path for item in Walk(library)} == {"deep/a.md", "deep/b.md"}


@pytest.mark.parametrize(
    ("text", "name", "ignored"),
    [
        (b"[a]*\n![a]b\n", b"ab", False),
        (b"![a]b\n[a]*\n", b"ab", True),
        (b"a\\ \n", b"a ", True),
        (b"a\\  \n", b"a ", True),
        (b"a\\\\ \n", b"a\\", True),
        (b"a  \n", b"a", True),
        (b"\xef\xbb\xbfa\n", b"a", True),
        (b"# a\n\\#a\n", b"#a", True),
        (b"a\r\nb", b"a", True),
        (b"a\r\nb", b"b", True),
        (b"a/\n", b"a", None),
    ],
)
def test_one_line_or_two(text: bytes, name: bytes, ignored: bool | None) -> None:
    assert Rules(text).files.ignored(name, name) is ignored


def test_names_that_are_not_utf8_are_matched_byte_by_byte() -> None:
    rules = Rules(b"caf\xe9*\nd?.txt\n[\xe0-\xff]z\n")
    assert rules.files.ignored(b"caf\xe9.txt", b"caf\xe9.txt") is True
    assert rules.files.ignored(b"d\xff.txt", b"d\xff.txt") is True
    assert rules.files.ignored(b"\xeez", b"\xeez") is True
    assert rules.files.ignored(b"az", b"az") is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (b"*a" * 40 + b"b", b"a" * 255),
        (b"[ab]*" * 40 + b"c", b"ab" * 127),
        (b"**/a/" * 20 + b"b", b"/".join([b"a"] * 1_000)),
        (b"/" + b"*a" * 20 + b"b/" + b"*a" * 20 + b"b", b"a" * 255 + b"/" + b"a" * 255),
        (b"**/*a*a*a*/**/" * 6 + b"b", b"/".join([b"a" * 40] * 60)),
    ],
)
def test_a_hostile_pattern_takes_no_unreasonable_time(pattern: bytes, path: bytes) -> None:
    assert Rules(pattern).files.ignored(path.rpartition(b"/")[2], path) is None


@pytest.mark.timeout(30)
def test_a_hundred_thousand_patterns() -> None:
    lines = [b"name%d\n*.ext%d\n/path/to/%d\n!name%d.*\n" % (n, n, n, n) for n in range(25_000)]
    rules = Rules(b"".join(lines))
    assert rules.files.ignored(b"name24999", b"name24999") is True
    assert rules.files.ignored(b"x.ext7", b"x.ext7") is True
    assert rules.files.ignored(b"512", b"path/to/512") is True
    assert rules.files.ignored(b"name3.ext3", b"name3.ext3") is False
    assert rules.files.ignored(b"other", b"path/other") is None
