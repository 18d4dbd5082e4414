"""Folders for simulated worlds: a simulation proves nothing about disks, so it need not wait for them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MEMORY: Final = "/dev/shm"


@contextlib.contextmanager
def memory_folder() -> Iterator[Path]:
    """An empty folder, in memory where the system has such a place; removed afterwards."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="objlib-sim-", dir=place) as name:
        yield Path(name)
