"""Every complaint and every incident of docs/explanation/complaints.md is named by a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT, python_files

PAGE = ROOT / "docs" / "explanation" / "complaints.md"

LISTED = {"Complaint": 28, "Incident": 31}
"""How many entries each list has; the numbers stay what they are."""


def listed(text: str, kind: str) -> list[int]:
    """The numbers below that heading of the page."""
    section = text.partition(f"## {kind}s\n")[2].partition("\n## ")[0]
    return [int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)]


def named(source: str, kind: str) -> Iterator[int]:
    """The numbers that docstrings of tests name: "Complaint 12: ..." or "Incidents 26 and 27: ..."."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for line in re.findall(rf"^{kind}s? ([\d, and]+):", ast.get_docstring(node) or "", re.MULTILINE):
                yield from map(int, re.findall(r"\d+", line))


def test_only_docstrings_of_tests_name_them() -> None:
    line = '    """Complaint {}: x.\n\n    Complaints {} and {}: y."""\n'
    source = "def test_a():\n" + line.format(1, 2, 13) + "def help():\n" + line.format(4, 5, 6) + "# Complaint 7: x\n"
    assert sorted(named(source, "Complaint")) == [1, 2, 13]
    assert list(named(source, "Incident")) == []


@pytest.mark.parametrize("kind", LISTED)
def test_each_is_named_by_a_test(kind: str) -> None:
    wanted = listed(PAGE.read_text("utf-8"), kind)
    assert wanted == list(range(1, LISTED[kind] + 1))
    found: dict[int, list[Path]] = {}
    for path in python_files("tests"):
        for number in named(path.read_text("utf-8"), kind):
            found.setdefault(number, []).append(path)
    assert sorted(found) == wanted, {number: found.get(number) for number in set(wanted) ^ set(found)}
