"""The files that the program carries: migrations and schemas, in a checkout and in a wheel alike."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Final, NamedTuple

_PACKAGE: Final = Path(__file__).parent
_CHECKOUT: Final = _PACKAGE.parent.parent
_MIGRATION: Final = re.compile(r"(\d{4})_(\w+)\.sql")


class Migration(NamedTuple):
    """One step of the log's format; ``number`` becomes the file's ``user_version``."""

    number: int
    name: str
    sql: str


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _CHECKOUT / name


@functools.cache
def migrations() -> tuple[Migration, ...]:
    """All migrations in their order."""
    found = []
    for path in sorted(_folder("migrations").glob("*.sql")):
        match = _MIGRATION.fullmatch(path.name)
        assert match is not None, f"{path.name} is not NNNN_name.sql"
        found.append(Migration(int(match[1]), match[2], path.read_text("utf-8")))
    assert [m.number for m in found] == list(range(1, len(found) + 1)), "migrations are numbered from 1 without gaps"
    return tuple(found)


def schema_dir() -> Path:
    """The folder of the JSON Schemas."""
    return _folder("schemas")
