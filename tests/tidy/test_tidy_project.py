"""The files beside the code: locks, dependencies, versions, and what must not stand in any file."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from typing import Any

import pytest

from objlib_fsm import __version__
from tests.tidy import checks, locks
from tests.tidy.repository import ROOT, python_files, text_files

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PRODUCT: list[str] = PROJECT["project"]["dependencies"]
GROUPS: dict[str, list[str]] = PROJECT["dependency-groups"]
CHECKOUT = PRODUCT + GROUPS["dev"] + PROJECT["build-system"]["requires"]
LOCKS = {"requirements.lock": PRODUCT, "requirements-dev.lock": CHECKOUT, "requirements-bench.lock": GROUPS["bench"]}

DEPENDENCIES_ADR = "docs/adr/0001-dependencies.md"

NOT_IN_ANY_FILE = {
    "a folder of somebody's machine": re.compile(
        r"(?<![\w.:/-])/(?:root|work|workspace|Users|home/(?!(?:me|you)\b)\w+)/"
    ),
    "a task without an issue": re.compile(r"\b(?:TO[D]O|FIX[M]E)\b"),
}
"""Each with its name; written so that they do not find themselves."""

INSTALLING = ("Makefile", "pyproject.toml", "requirements", ".ci/")
"""How the files begin that say what is installed and from where: from where is for pip's own settings to say."""

INDEX = re.compile(r"(?:index-url|find-links)\s|pypi\.(?:org|python)|pythonhost[e]d", re.IGNORECASE)


def lock_text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return match[0]


# ---- locks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_versions_and_hashes_and_nothing_else(name: str) -> None:
    text = lock_text(name)
    assert locks.pins(text)
    assert not locks.strange_lines(text)
    assert not locks.unhashed(text)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_what_every_supported_python_and_platform_asks_for(name: str) -> None:
    pinned = locks.pins(lock_text(name))
    missing = {package: by for package, by in locks.asked_for(LOCKS[name]).items() if package not in pinned}
    assert not missing, f"run: make lock ({missing})"


def test_the_locks_agree_with_each_other() -> None:
    newest: dict[str, str] = {}
    for name in LOCKS:
        for package, version in locks.pins(lock_text(name)).items():
            assert newest.setdefault(package, version) == version, f"{package} in {name}"


def test_only_the_benchmark_installs_its_peer() -> None:
    assert "eventsourcing" in locks.pins(lock_text("requirements-bench.lock"))
    assert "eventsourcing" not in locks.pins(lock_text("requirements-dev.lock"))


@pytest.mark.parametrize(
    "line",
    [
        "--extra-index-url https://example.com/packages",
        "--find-links wheels",
        "-e .",
        "anyio>=4.11",
        "anyio @ file:///wheels/anyio.whl",
    ],
)
def test_a_lock_with_more_than_versions_and_hashes_is_found(line: str) -> None:
    assert locks.strange_lines(f"# comment\n{line}\n") == [line]


def test_a_version_without_a_hash_is_found() -> None:
    hashed = f"anyio==4.0 \\\n    --hash=sha256:{'0' * 64}\n"
    assert locks.unhashed(hashed) == []
    assert locks.unhashed("apsw==3.50 \\\n" + hashed) == ["apsw==3.50 \\"]


def test_what_a_package_asks_for_is_found() -> None:
    asked = locks.asked_for(["google-genai"])
    assert asked["httpx2"] == "google-genai"
    assert "cryptography" in asked, "a dependency of a dependency"
    assert "aiohttp" not in asked, "an extra that nobody asked for"


# ---- dependencies --------------------------------------------------------------------------------------------------


NAMED_OTHERWISE = {"yaml": "pyyaml"}
"""Distributions whose import has another name."""


def third_party(sources: dict[str, str]) -> set[str]:
    """The distributions that the sources import; a namespace package counts by its second name."""
    found = set()
    for path, source in sources.items():
        for _, name in checks.imported(ast.parse(source), path):
            top, _, rest = name.partition(".")
            if top == "google":
                found.add(f"google-{rest.partition('.')[0]}")
            elif top not in sys.stdlib_module_names and top != checks.PACKAGE:
                found.add(NAMED_OTHERWISE.get(top, top))
    return found


def test_declared_is_what_is_imported() -> None:
    sources = {p.relative_to(ROOT / "src").as_posix(): p.read_text("utf-8") for p in python_files("src")}
    assert third_party(sources) == {name_of(requirement) for requirement in PRODUCT}


def test_third_party_imports_are_found() -> None:
    source = "import os\nfrom google.genai import types\nfrom . import b\ndef f():\n    import rich.console, yaml"
    assert third_party({"objlib_fsm/a.py": source}) == {"google-genai", "pyyaml", "rich"}


def test_every_dependency_has_a_line_that_says_what_it_saves_and_costs() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|(.+)\|(.+)\|$", (ROOT / DEPENDENCIES_ADR).read_text("utf-8"), re.MULTILINE)
    assert all(saves.strip() and costs.strip() for _, saves, costs in rows)
    declared = {name_of(requirement) for requirement in CHECKOUT + GROUPS["bench"]}
    assert {name for name, _, _ in rows} == declared


# ---- everything ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", NOT_IN_ANY_FILE)
def test_no_file_holds(what: str) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in text_files().items()
        for number, line in enumerate(text.splitlines(), 1)
        if NOT_IN_ANY_FILE[what].search(line)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a folder of somebody's machine", "see /ro" + "ot/notes.txt"),
        ("a folder of somebody's machine", "cd /wo" + "rk/project"),
        ("a folder of somebody's machine", "open('/ho" + "me/ada/x')"),
        ("a task without an issue", "# TO" + "DO: later"),
    ],
)
def test_what_no_file_may_hold_is_found(what: str, line: str) -> None:
    assert NOT_IN_ANY_FILE[what].search(line)


@pytest.mark.parametrize("line", ["/home/me/notes", "docs/works/x", "the ~/library folder", "a simple rule", "todo"])
def test_ordinary_lines_are_left_alone(line: str) -> None:
    assert not [what for what, pattern in NOT_IN_ANY_FILE.items() if pattern.search(line)]


def test_nothing_that_installs_names_an_index() -> None:
    files = {name: text for name, text in text_files().items() if name.startswith(INSTALLING)}
    assert {"Makefile", "pyproject.toml", ".ci/run", *LOCKS} <= set(files)
    assert not [name for name, text in files.items() if INDEX.search(text)]


@pytest.mark.parametrize("line", ["--extra-index-url x", "url = 'https://pypi.org/simple'", "FILES.pythonhosted.org/x"])
def test_an_index_is_found(line: str) -> None:
    assert INDEX.search(line)


def test_nothing_that_a_tool_made_is_tracked() -> None:
    assert not [name for name in text_files() if name.endswith(".pyc") or "__pycache__" in name]


def test_the_changelog_speaks_of_this_version() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert len(headings) == 1 or headings[1] == __version__, "the newest released heading is the package's version"
