"""A library as the earlier tool left it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adopt.legacy import Legacy
from tests.support.command import Place, serving

WAITS = (
    "[waits]\npoll_first_s = 0.05\npoll_max_s = 0.2\nactive_first_s = 0.05\nactive_max_s = 0.2\ndocument_total_s = 1\n"
)


@pytest.fixture
def legacy(tmp_path: Path) -> Iterator[Legacy]:
    place = Place(tmp_path)
    (tmp_path / "objlib.toml").write_text(WAITS)
    with serving(place, "--control") as url:
        made = Legacy(place, url)
        yield made
        made.db.close()
