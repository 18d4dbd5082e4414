"""Make the pages and schemas that follow from the code: ``python docs/generate.py [--check] [--into FOLDER]``.

Without options the files are written, and what changed is printed.  With ``--check`` nothing is written and the exit
code is 5 when a file is not what the code says.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from generator import commands, decisions, emulator, environment, exit_codes, schemas, states  # noqa: E402

DIFFERENCES: Final = 5
"""The exit code that the program itself uses for a check that found differences."""

GENERATED_FOLDERS: Final = {"schemas": "*.json"}
"""Folders of which every such file is generated: one that is not made any more is a difference."""


MADE: Final = {"missing": "made", "differs": "renewed"}


def pages() -> dict[str, str]:
    """Every generated file's text by its path in the repository."""
    return {
        **schemas.files(),
        "docs/reference/states.md": states.page(),
        "docs/reference/cli.md": commands.page(),
        "docs/reference/exit-codes.md": exit_codes.page(),
        "docs/reference/environment.md": environment.page(),
        "docs/reference/emulator.md": emulator.page(),
        "docs/adr/index.md": decisions.page(),
        "docs/reference/json.md": schemas.page(),
    }


def differences(folder: Path, wanted: dict[str, str]) -> list[str]:
    """What in *folder* is not as *wanted*, a line for each file."""
    found = []
    for name, text in wanted.items():
        path = folder / name
        if not path.exists():
            found.append(f"{name}: missing")
        elif path.read_text("utf-8") != text:
            found.append(f"{name}: differs")
    for place, pattern in GENERATED_FOLDERS.items():
        names = (f"{place}/{path.name}" for path in sorted((folder / place).glob(pattern)))
        found += [f"{name}: nothing makes this file any more" for name in names if name not in wanted]
    return found


def main() -> int:
    """The exit code."""
    parser = ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    parser.add_argument("--into", type=Path, default=ROOT, metavar="FOLDER", help="another root than the repository")
    options = parser.parse_args()
    wanted = pages()
    found = differences(options.into, wanted)
    if options.check:
        sys.stderr.writelines(f"{line}\n" for line in [*found, "run: python docs/generate.py"] if found)
        return DIFFERENCES if found else 0
    for name, text in wanted.items():
        path = options.into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for line in found:
        name, _, why = line.partition(": ")
        if why.startswith("nothing"):
            (options.into / name).unlink()
        sys.stdout.write(f"{name}: {MADE.get(why, 'removed')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
