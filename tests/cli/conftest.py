"""Libraries, indexed or not, and an emulator."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Place, serving


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def own(place: Place) -> Place:
    """A library of three files, indexed in its local store."""
    return _indexed(place)


@pytest.fixture
def copied(indexed: Place, tmp_path: Path) -> Place:
    """The log and the store of `indexed`, copied: its library is that of `indexed`."""
    copy = object.__new__(Place)
    copy.folder, copy.library = tmp_path, indexed.library
    reader = sqlite3.connect(indexed.log)
    (tmp_path / ".objlib").mkdir(mode=0o700)
    writer = sqlite3.connect(copy.log)
    reader.backup(writer)
    reader.close()
    writer.close()
    shutil.copy(indexed.log.with_name("local-store.db"), copy.log.with_name("local-store.db"))
    return copy


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same, for tests that change nothing."""
    return _indexed(Place(tmp_path_factory.mktemp("indexed")))


def _indexed(place: Place) -> Place:
    place.write("moon.md", "The moon is made of rock.\n")
    place.write("sub/sun.md", "The sun is made of plasma.\n")
    place.write("tea.txt", "Tea needs four minutes.\n")
    place.ok("run", "docs")
    return place


@pytest.fixture
def emulator(place: Place) -> Iterator[str]:
    """The address of an emulator in a process of its own."""
    with serving(place) as url:
        yield url
