"""Fixtures: a library on a real disk, and what a log would remember of scans."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library.compare import Finding, Moved, NowExcluded, Vanished
from objlib_fsm.library.values import Fingerprint, Known

NOBODY = 65_534

Remember = Callable[[dict[LibraryPath, Known], Iterable[Finding]], dict[LibraryPath, Known]]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def remember() -> Remember:
    """What is known after the findings of a scan were recorded, given what was known before."""
    return remembered


def remembered(known: dict[LibraryPath, Known], findings: Iterable[Finding]) -> dict[LibraryPath, Known]:
    after = dict(known)
    for finding in findings:
        match finding:
            case Vanished(path):
                before = after[path]
                after[path] = _known(before, present=False)
            case NowExcluded(path, reason, _, size_bytes, mtime_ns, taken_at_us):
                after[path] = Known(size_bytes, mtime_ns, "", taken_at_us, excluded=reason)
            case Moved(path, old_path, fingerprint):
                del after[old_path]
                after[path] = _known(fingerprint)
            case _:
                after[finding.path] = _known(finding.fingerprint)
    return after


def _known(what: Fingerprint | Known, *, present: bool = True) -> Known:
    excluded = what.excluded if isinstance(what, Known) else None
    return Known(
        what.size_bytes, what.mtime_ns, what.sha256, what.taken_at_us, what.inode, what.device, excluded, present
    )


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that an ordinary user may work in, even when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="objlib-test-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture
def ordinary_user() -> Callable[[], AbstractContextManager[None]]:
    """Inside the context, permissions count: root sets its effective user aside."""

    @contextmanager
    def context() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return context
