"""The contract, kept by the log on SQLite; each test ends with the whole log checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from objlib_fsm.log.file import LogFile
from tests.log.contract import EventLogContract
from tests.log.kit import check, open_at


class TestLogFile(EventLogContract):
    """`LogFile` with a worker thread for the commits."""

    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[LogFile]:
        """A new log."""
        log = open_at(tmp_path / "folder" / "log.db")
        yield log
        check(log)
        log.close()
