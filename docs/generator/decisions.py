"""The list of decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from generator.text import page as make_page

FOLDER: Final = Path(__file__).resolve().parents[1] / "adr"


def page() -> str:
    """The page."""
    lines = []
    for path in sorted(FOLDER.glob("[0-9]*.md")):
        title = path.read_text("utf-8").partition("\n")[0].lstrip("# ")
        lines.append(f"- [{title}]({path.name})")
    return make_page(
        "Decisions", "What was decided, what was measured, and what else was considered.", "\n".join(lines)
    )
