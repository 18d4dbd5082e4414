"""A scan in three steps: look at names and times, read what must be read, conclude what is to be recorded.

The steps are apart so that the reading can be spread over threads: `look`, then `read` for each of
``survey.to_read`` in any order, then `compare.conclude`.  `scan` is the three one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library.compare import Answer, Finding, Read, Refused, Survey, conclude, sort_out
from objlib_fsm.library.describing import hash_and_describe
from objlib_fsm.library.errors import FileProblem, FileUnreadable, NotIndexable, RootEmpty, shown
from objlib_fsm.library.metadata import Describer
from objlib_fsm.library.values import Exclusion, Found, Known, Trouble, Twins
from objlib_fsm.library.walk import Walk


class Overview(msgspec.Struct, frozen=True):
    """What the walk met besides files: what was left out (a folder counts as one), what could not be seen, and names
    that look the same."""

    left_out: Counter[Exclusion]
    troubles: list[Trouble]
    twins: list[Twins]


class ScanResult(msgspec.Struct, frozen=True):
    """What a scan says.

    ``findings`` are to be recorded: sorted by path, at most one for a path.  ``unchanged`` files are wanted and as
    they were; ``still_excluded`` were and are left out for that reason.  ``troubles`` say nothing about their files.
    """

    findings: list[Finding]
    unchanged: int
    still_excluded: Counter[Exclusion]
    left_out: Counter[Exclusion]
    troubles: list[Trouble]
    twins: list[Twins]


PLAIN: Final = Describer()
"""No rules by path."""


def look(
    root: Path,
    known: Mapping[LibraryPath, Known],
    own_paths: Iterable[Path] = (),
    ignore: Sequence[str] = (),
    describer: Describer = PLAIN,
    *,
    reread: bool = False,
) -> tuple[Survey, Overview]:
    """Walks the library and settles what names, sizes and times can settle.  Reads no file but ignore files.

    ``own_paths``: the log, the emulator's data, whatever else of this program may lie inside the library.  ``ignore``:
    patterns that stand, as it were, at the top of the root's ``.objlibignore``.  Raises `ScanRefused` when the library
    as a whole cannot be trusted now.  With ``reread`` every file is to be read.
    """
    walk = Walk(root, own_paths, known, ignore, sidecars=describer.rules.sidecars)
    survey = sort_out(walk, known, walk.unseen, walk.pruned, describer.basis, reread=reread)
    if walk.entries == 0:
        _check_mount(root, walk.root_device, known)
    return survey, Overview(walk.left_out, walk.troubles, walk.twins)


def read(root: Path, found: Found, now_us: int, describer: Describer = PLAIN) -> Answer:
    """Reads one file that `look` could not settle.  May run in any thread; raises only `RootMissing`.

    ``now_us`` is the wall clock now or earlier, the same for all files of a scan.
    """
    try:
        look_for_sidecar = found.sidecar is not None
        return Read(
            found.path, *hash_and_describe(root, found.path, now_us, describer, look_for_sidecar=look_for_sidecar)
        )
    except NotIndexable as no:
        return Refused(found.path, no.reason, no.detail, no.size_bytes, no.mtime_ns, no.basis)
    except FileUnreadable as problem:
        return Refused(found.path, Exclusion.UNREADABLE, problem.why)
    except FileProblem as problem:
        return Trouble(found.path, problem.why)


def scan(
    root: Path,
    known: Mapping[LibraryPath, Known],
    now_us: int,
    own_paths: Iterable[Path] = (),
    ignore: Sequence[str] = (),
    describer: Describer = PLAIN,
    *,
    redescribe: bool = False,
) -> ScanResult:
    """The whole scan in the calling thread.  ``now_us`` is the wall clock before it begins.  Raises `ScanRefused`."""
    survey, overview = look(root, known, own_paths, ignore, describer, reread=redescribe)
    answers = (read(root, found, now_us, describer) for found in survey.to_read)
    conclusion = conclude(survey, answers, known, now_us, redescribe=redescribe)
    return ScanResult(
        findings=conclusion.findings,
        unchanged=conclusion.unchanged,
        still_excluded=conclusion.still_excluded,
        left_out=overview.left_out,
        troubles=[*overview.troubles, *conclusion.troubles],
        twins=overview.twins,
    )


def _check_mount(root: Path, root_device: int, known: Mapping[LibraryPath, Known]) -> None:
    devices = {before.device for before in known.values() if before.present and before.device}
    if devices and root_device not in devices:
        raise RootEmpty(
            f"{shown(root)}: the folder is empty, and the {len(known):,} known files were on another disk; "
            "is it mounted? Nothing was changed. If the library really is empty now, put an empty .objlibignore into "
            "it and scan again"
        )
