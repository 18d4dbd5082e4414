"""What has changed: the walk against what is known.  Pure: the hashing between the two halves is the caller's.

`sort_out` needs only names, sizes and times.  It settles most files and says which must be read (`Survey.to_read`).
`conclude` takes the fingerprints of these and says what is to be recorded.

Size and mtime decide whether a file is read, but a time proves little when it is too near: a file can be changed
again within one tick of the clock, with its size and mtime as before.  So a file whose mtime is not clearly older
than its last fingerprint is read again (git calls such an entry "racily clean"), and so is one whose mtime lies
before any clock was set.  What size and mtime cannot show, a change with its mtime put back or another file of the
same size and mtime moved into the place, goes unnoticed; inodes would tell, but many file systems (FAT, FUSE, network
shares) make up new ones, and there every scan would read everything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library.errors import VanishedTooMany
from objlib_fsm.library.metadata import NOTHING, Description
from objlib_fsm.library.values import Excluded, Exclusion, Fingerprint, Found, Known, Sidecar, Trouble

COARSE_TICK_NS: Final = 2_000_000_000
"""FAT keeps modification times in steps of two seconds, older file systems in steps of one."""

FINE_TICK_NS: Final = 20_000_000
"""Linux stamps files with a clock that advances at most every 10 ms (100 Hz); exFAT keeps steps of 10 ms.  Doubled."""

OLDEST_TRUSTED_NS: Final = 315_532_800_000_000_000
"""1980-01-01: earlier times come from archives and builds that write the same constant into every version."""

VANISHED_ALWAYS_FINE: Final = 50
"""Up to this many files may vanish at once without a question."""


class New(msgspec.Struct, frozen=True, gc=False):
    """A file not known before."""

    path: LibraryPath
    fingerprint: Fingerprint
    description: Description = NOTHING


class Changed(msgspec.Struct, frozen=True, gc=False):
    """Its content is another."""

    path: LibraryPath
    fingerprint: Fingerprint
    description: Description = NOTHING


class Touched(msgspec.Struct, frozen=True, gc=False):
    """The same content and metadata, read again because its mtime, or what it is described by, said nothing or
    something else: only the record is refreshed."""

    path: LibraryPath
    fingerprint: Fingerprint
    description: Description = NOTHING


class Redescribed(msgspec.Struct, frozen=True, gc=False):
    """The same content, and other metadata; or another header, when that was asked for."""

    path: LibraryPath
    fingerprint: Fingerprint
    description: Description


class Reappeared(msgspec.Struct, frozen=True, gc=False):
    """It had vanished and is back, perhaps with another content."""

    path: LibraryPath
    fingerprint: Fingerprint
    description: Description = NOTHING


class NoLongerExcluded(msgspec.Struct, frozen=True, gc=False):
    """It was left out and can be indexed now."""

    path: LibraryPath
    fingerprint: Fingerprint
    description: Description = NOTHING


class Moved(msgspec.Struct, frozen=True, gc=False):
    """One file vanished, now or earlier, one came, with the same content, and there is no other way to pair them."""

    path: LibraryPath
    old_path: LibraryPath
    fingerprint: Fingerprint
    description: Description = NOTHING


class NowExcluded(msgspec.Struct, frozen=True, gc=False):
    """It is left out from now on, or for another reason than before, or seen for the first time and left out.

    For a reason from its content (`Exclusion.from_content`) ``size_bytes`` and ``mtime_ns`` are those of the reading
    at ``taken_at_us``, to be kept as `Known`; otherwise 0.
    """

    path: LibraryPath
    reason: Exclusion
    detail: str
    size_bytes: int = 0
    mtime_ns: int = 0
    taken_at_us: int = 0
    basis: str = ""


class Vanished(msgspec.Struct, frozen=True, gc=False):
    """It was there and is not any more."""

    path: LibraryPath


Finding = New | Changed | Touched | Redescribed | Reappeared | NoLongerExcluded | Moved | NowExcluded | Vanished


class Refused(NamedTuple):
    """A file that was to be read turned out not to be indexable."""

    path: LibraryPath
    reason: Exclusion
    detail: str
    size_bytes: int = 0
    mtime_ns: int = 0
    basis: str = ""


class Read(NamedTuple):
    """A file that was read."""

    path: LibraryPath
    fingerprint: Fingerprint
    description: Description = NOTHING


Answer = Read | Refused | Trouble
"""What came of reading one file; a `Trouble` leaves the file as it was."""


class Survey(msgspec.Struct):
    """What names, sizes and times alone say, and what must be read before more can be said."""

    to_read: list[Found] = []
    excluded: list[NowExcluded] = []
    gone: list[LibraryPath] = []
    """Known as present, and not there."""
    present_before: int = 0
    """How many files were known as present."""
    unchanged: int = 0
    still_excluded: Counter[Exclusion] = msgspec.field(default_factory=Counter)
    """Files known as excluded that still are, for the same reason."""


class Conclusion(msgspec.Struct, frozen=True):
    """What is to be recorded (by path, each path once), what could not be seen, and how many files stay as they are."""

    findings: list[Finding]
    troubles: list[Trouble]
    unchanged: int
    still_excluded: Counter[Exclusion]


def sort_out(
    seen: Iterable[Found | Excluded],
    known: Mapping[LibraryPath, Known],
    unseen: Container[str] = frozenset(),
    pruned: Mapping[str, Exclusion] = MappingProxyType({}),
    basis_of: Callable[[LibraryPath, Sidecar | None], str] = lambda _path, _sidecar: "",
    *,
    reread: bool = False,
) -> Survey:
    """Settles what needs no reading.

    ``basis_of`` tells what a file is described by besides its bytes; when that is another than before, the file is
    read, and with ``reread`` every file is.

    ``unseen`` and ``pruned`` are those of the `Walk` that *seen* is; they are looked at after its end.  Raises
    `VanishedTooMany` when more is gone than moves could explain, whatever the reading will say.
    """
    survey = Survey()
    missing = {path for path, before in known.items() if before.present}
    survey.present_before = len(missing)
    for item in seen:
        before = known.get(item.path)
        if before is not None:
            missing.discard(item.path)
        if type(item) is Excluded:
            _exclude(survey, item, before)
        elif type(item) is Found:
            if before is not None and before.present and before.excluded is Exclusion.SKIPPED_BEFORE:
                survey.still_excluded[Exclusion.SKIPPED_BEFORE] += 1
            elif reread or before is None or not _settled(item, before, basis_of):
                survey.to_read.append(item)
            elif before.excluded is None:
                survey.unchanged += 1
            else:
                survey.still_excluded[before.excluded] += 1
    for path in sorted(missing):
        above = _folders_above(path)
        if path in unseen or any(folder in unseen for folder in above):
            continue
        reason = next((pruned[folder] for folder in above if folder in pruned), None)
        if reason is None:
            survey.gone.append(path)
        else:
            _exclude(survey, Excluded(path, reason, reason.text), known[path])
    _guard(len(survey.gone) - len(survey.to_read), survey.present_before)
    return survey


def conclude(
    survey: Survey,
    answers: Iterable[Answer],
    known: Mapping[LibraryPath, Known],
    now_us: int,
    *,
    redescribe: bool = False,
) -> Conclusion:
    """What is to be recorded, given the answers for all of ``survey.to_read`` in any order.

    With ``redescribe`` it is news too when only the header would be another now, or the metadata of a file that was
    indexed before they were read.  ``now_us`` is the wall clock before the first of them was read.  Raises
    `VanishedTooMany`.
    """
    findings: list[Finding] = list(survey.excluded)
    troubles: list[Trouble] = []
    still_excluded = survey.still_excluded.copy()
    unchanged = survey.unchanged
    new: list[Read] = []
    for answer in answers:
        if isinstance(answer, Trouble):
            troubles.append(answer)
            continue
        before = known.get(answer.path)
        if isinstance(answer, Refused):
            if _is_news(answer, before, now_us):
                taken_at_us = now_us if answer.reason.from_content else 0
                findings.append(NowExcluded(*answer[:-1], taken_at_us, answer.basis))
            else:
                still_excluded[answer.reason] += 1
        elif before is None:
            new.append(answer)
        elif (finding := _compared(answer, before, redescribe)) is not None:
            findings.append(finding)
        else:
            unchanged += 1

    origins = _moves(new, survey.gone, known)
    left = [read for read in new if read.path not in origins]
    if left:
        origins |= _moves(left, _missing(survey, known), known)
    moved = set(origins.values())
    gone = [path for path in survey.gone if path not in moved]
    _guard(len(gone), survey.present_before)
    for read in new:
        origin = origins.get(read.path)
        findings.append(New(*read) if origin is None else Moved(read.path, origin, *read[1:]))
    findings.extend(Vanished(path) for path in gone)
    findings.sort(key=lambda finding: finding.path)
    return Conclusion(findings, troubles, unchanged, still_excluded)


def _exclude(survey: Survey, item: Excluded, before: Known | None) -> None:
    if before is not None and before.present and before.excluded is item.reason:
        survey.still_excluded[item.reason] += 1
    else:
        survey.excluded.append(NowExcluded(item.path, item.reason, item.detail))


def _settled(item: Found, before: Known, basis_of: Callable[[LibraryPath, Sidecar | None], str]) -> bool:
    """Whether the file need not be read: it looks as it did, and looking is proof enough."""
    if item.mtime_ns != before.mtime_ns or item.size_bytes != before.size_bytes or not before.present:
        return False
    if before.excluded is None:
        if not before.sha256:
            return False
    elif not before.excluded.from_content:
        return False
    if before.excluded in _DESCRIBED and basis_of(item.path, item.sidecar) != before.basis:
        return False
    return proves(before.mtime_ns, before.taken_at_us)


_DESCRIBED: Final = (None, Exclusion.METADATA)
"""What is said of a file matters while it is indexed, and while just that prevents it."""


def proves(mtime_ns: int, taken_at_us: int) -> bool:
    """Whether the same size and mtime later mean the same content as in the reading at ``taken_at_us``."""
    whole_seconds = mtime_ns % 1_000_000_000 == 0  # perhaps the file system keeps no finer time
    tick_ns = COARSE_TICK_NS if whole_seconds else FINE_TICK_NS
    return OLDEST_TRUSTED_NS <= mtime_ns < taken_at_us * 1_000 - tick_ns


def _is_news(answer: Refused, before: Known | None, now_us: int) -> bool:
    if before is None or not before.present or before.excluded is not answer.reason:
        return True
    if answer.basis != before.basis:
        return True
    return answer.reason.from_content and _saves_reading(answer.size_bytes, answer.mtime_ns, now_us, before)


def _saves_reading(size_bytes: int, mtime_ns: int, taken_at_us: int, before: Known) -> bool:
    """Whether the next scan need not read the file because of this reading, which no earlier one has saved it."""
    if not proves(mtime_ns, taken_at_us):
        return False
    as_before = (size_bytes, mtime_ns) == (before.size_bytes, before.mtime_ns)
    return not (as_before and proves(before.mtime_ns, before.taken_at_us))


def _compared(answer: Read, before: Known, redescribe: bool) -> Finding | None:
    _, fingerprint, description = answer
    if before.excluded is not None:
        return NoLongerExcluded(*answer)
    if not before.present:
        return Reappeared(*answer)
    if fingerprint.sha256 != before.sha256:
        return Changed(*answer)
    other_basis = description.basis != before.basis
    known_basis = other_basis and before.taken_at_us > 0  # Of an adopted file nobody knows what it was described by.
    if description.metadata_hash != before.metadata_hash and (known_basis or redescribe):
        return Redescribed(*answer)
    if redescribe and description.payload_sha256 != before.payload_sha256:
        return Redescribed(*answer)
    if other_basis:
        return Touched(*answer)
    # That an unchanged file was read again is worth recording only when it saves the next reading.
    saves = _saves_reading(fingerprint.size_bytes, fingerprint.mtime_ns, fingerprint.taken_at_us, before)
    return Touched(*answer) if saves else None


def _missing(survey: Survey, known: Mapping[LibraryPath, Known]) -> list[LibraryPath]:
    """Files that an earlier scan missed, and that this one did not meet: they may come back under another path."""
    met = {found.path for found in survey.to_read}
    return [path for path, before in known.items() if not before.present and before.wanted and path not in met]


def _moves(
    new: list[Read], gone: list[LibraryPath], known: Mapping[LibraryPath, Known]
) -> dict[LibraryPath, LibraryPath]:
    """New path -> old path, for the pairs of the same content that cannot be paired otherwise.

    First those that also have the same inode (a rename keeps it), then what remains if it is one on each side.
    """
    old_by_content: defaultdict[str, list[LibraryPath]] = defaultdict(list)
    for path in gone:
        if known[path].excluded is None:
            old_by_content[known[path].sha256].append(path)
    new_by_content: defaultdict[str, list[Read]] = defaultdict(list)
    for read in new:
        if read.fingerprint.sha256 in old_by_content:
            new_by_content[read.fingerprint.sha256].append(read)

    pairs: dict[LibraryPath, LibraryPath] = {}
    for sha256, arrivals in new_by_content.items():
        olds = old_by_content[sha256]
        at_inode: defaultdict[tuple[int, int], list[LibraryPath]] = defaultdict(list)
        for path in olds:
            at_inode[known[path].device, known[path].inode].append(path)
        inodes = Counter((read.fingerprint.device, read.fingerprint.inode) for read in arrivals)
        for path, fingerprint, _ in arrivals:
            inode = (fingerprint.device, fingerprint.inode)
            if inodes[inode] == 1 and len(at_inode[inode]) == 1:
                pairs[path] = at_inode[inode][0]
        taken = {pairs[read.path] for read in arrivals if read.path in pairs}
        old_left = [path for path in olds if path not in taken]
        new_left = [read.path for read in arrivals if read.path not in pairs]
        if len(old_left) == 1 and len(new_left) == 1:
            pairs[new_left[0]] = old_left[0]
    return pairs


def _folders_above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _guard(vanished: int, present_before: int) -> None:
    if vanished > VANISHED_ALWAYS_FINE and vanished * 2 > present_before:
        raise VanishedTooMany(
            f"{vanished:,} of the {present_before:,} known files are gone at once; is the library's disk mounted, and "
            "is this the right folder? Nothing was changed"
        )
