"""Generated pages and schemas are what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.kit import ROOT


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_what_is_generated_is_in_the_repository() -> None:
    done = generate("--check")
    assert done.returncode == 0, done.stderr


def test_check_sees_every_sort_of_difference_and_changes_nothing(tmp_path: Path) -> None:
    assert generate("--into", str(tmp_path)).returncode == 0
    assert generate("--into", str(tmp_path), "--check").returncode == 0
    page, gone, extra = (
        tmp_path / "docs/reference/exit-codes.md",
        tmp_path / "schemas/events.json",
        tmp_path / "schemas/message-nothing.json",
    )
    page.write_text(page.read_text().replace("| 3 |", "| 33 |"))
    gone.unlink()
    extra.write_text("{}")

    done = generate("--into", str(tmp_path), "--check")

    assert done.returncode == 5
    assert "docs/reference/exit-codes.md: differs" in done.stderr
    assert "schemas/events.json: missing" in done.stderr
    assert "schemas/message-nothing.json: nothing makes this file any more" in done.stderr
    assert extra.exists()
    assert not gone.exists()
    assert "| 33 |" in page.read_text()


def test_the_table_of_environment_variables_is_whole() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from generator.environment import VARIABLES
    finally:
        sys.path.remove(str(ROOT / "docs"))
    named: set[str] = set()
    for source in (ROOT / "src").rglob("*.py"):
        text = source.read_text("utf-8")
        named |= set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", text))
        for constant in re.findall(r"VARIABLES?: Final = (.+)", text):
            named |= set(re.findall(r"\"(\w+)\"", constant))
    assert {"OBJLIB_DB", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"} <= named, "the search finds what is known"
    assert named <= set(VARIABLES)


@pytest.mark.parametrize("page", ["states.md", "cli.md", "exit-codes.md", "environment.md", "emulator.md", "json.md"])
def test_a_generated_page_says_so(page: str) -> None:
    assert (ROOT / "docs" / "reference" / page).read_text().startswith("<!-- Made by docs/generate.py")
