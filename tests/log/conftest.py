"""The log's tests run on asyncio, and on the same examples everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from objlib_fsm.log.file import LogFile
from tests.log.kit import open_at


@pytest.fixture
def anyio_backend() -> str:
    """The program runs on asyncio: the SDK needs it."""
    return "asyncio"


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    """Where a log may be; nothing is there."""
    return tmp_path / "folder" / "log.db"


@pytest.fixture
def log(log_path: Path) -> Iterator[LogFile]:
    """A new log."""
    log = open_at(log_path)
    yield log
    log.close()
