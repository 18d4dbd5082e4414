"""Where simulated worlds are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.folder import memory_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder, in memory where the system has such a place."""
    with memory_folder() as path:
        yield path
