"""Where files with absolute paths of another time or machine are in a library's folder."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

TRIED_MAX: Final = 500
"""Paths that are looked up for each folder that may have been the library's: enough to tell them apart."""


def common_folder(paths: Sequence[str]) -> str:
    """The deepest folder that holds all of *paths*, which are absolute; empty for none."""
    return os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""


def base_for(paths: Sequence[str], root: Path) -> str | None:
    """The folder of old that *root* now stands for; None when nothing of it is found, or two fit equally well.

    It holds all files, or is the folder itself.  Each candidate is tried on the files: the one under which most of
    them are found is it.
    """
    common = common_folder(paths)
    candidates = [common] if common else []
    while candidates and candidates[-1] != os.path.dirname(candidates[-1]):
        candidates.append(os.path.dirname(candidates[-1]))
    if str(root) not in candidates:
        candidates.append(str(root))
    step = max(1, len(paths) // TRIED_MAX)
    found = {base: sum(_is_there(root, base, path) for path in paths[::step]) for base in candidates}
    best = max(found.values(), default=0)
    fitting = [base for base, number in found.items() if number == best]
    return fitting[0] if best and len(fitting) == 1 else None


def below(base: str, path: str) -> str | None:
    """*path* relative to *base*; None when it lies elsewhere."""
    prefix = base.rstrip("/") + "/"
    return path.removeprefix(prefix) if path.startswith(prefix) and len(path) > len(prefix) else None


def spelled(root: Path, relative: str) -> str:
    """*relative* as it is spelled on disk: composed or decomposed, where one of them exists."""
    for form in (relative, unicodedata.normalize("NFC", relative), unicodedata.normalize("NFD", relative)):
        if os.path.lexists(os.path.join(root, form)):
            return form
    return relative


def _is_there(root: Path, base: str, path: str) -> bool:
    relative = below(base, path)
    return relative is not None and os.path.lexists(os.path.join(root, spelled(root, relative)))
