"""The order of the tests."""

from __future__ import annotations

from typing import Final

import pytest

LONG_S: Final = 300
"""A test that is given more time than this is one of the machines that take minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: so that at the end all workers are done at about the same time."""
    items.sort(key=lambda item: not _is_long(item))


def _is_long(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("timeout")
    return marker is not None and bool(marker.args) and marker.args[0] > LONG_S
