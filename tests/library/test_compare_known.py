"""The comparison on a disk that is a model: whatever happens between scans, what is known afterwards is true."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library.compare import (
    Answer,
    Changed,
    Conclusion,
    Finding,
    Moved,
    New,
    NoLongerExcluded,
    NowExcluded,
    Read,
    Reappeared,
    Refused,
    Touched,
    Vanished,
    conclude,
    sort_out,
)
from objlib_fsm.library.errors import VanishedTooMany
from objlib_fsm.library.values import Excluded, Exclusion, Fingerprint, Found, Known, Trouble

Remember = Callable[[dict[LibraryPath, Known], Iterable[Finding]], dict[LibraryPath, Known]]
Knowledge = dict[LibraryPath, Known]

SECOND_US = 1_000_000
COARSE_US = 2 * SECOND_US
FINE_US = 10_000
START_US = 1_800_000_000 * SECOND_US
LONG_AGO_NS = (START_US - 3_600 * SECOND_US) * 1_000


def lp(path: str) -> LibraryPath:
    return LibraryPath(path)


class ModelFile(msgspec.Struct):
    content: str
    mtime_ns: int
    inode: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()


class Disk:
    """Files in memory, with a clock as coarse as a file system's, and how often each was read."""

    def __init__(self, tick_us: int = COARSE_US) -> None:
        self.tick_us = tick_us
        self.now_us = START_US
        self.files: dict[str, ModelFile] = {}
        self.reads: Counter[str] = Counter()
        self._inodes = 0

    def write(self, path: str, content: str, mtime_ns: int | None = None) -> None:
        """Content "!..." cannot be indexed."""
        tick_ns = self.now_us // self.tick_us * self.tick_us * 1_000
        before = self.files.get(path)
        if before is None:
            self._inodes += 1
        inode = self._inodes if before is None else before.inode
        self.files[path] = ModelFile(content, tick_ns if mtime_ns is None else mtime_ns, inode)

    def copy(self, path: str, to: str) -> None:
        self._inodes += 1
        self.files[to] = ModelFile(self.files[path].content, self.files[path].mtime_ns, self._inodes)

    def walk(self) -> list[Found | Excluded]:
        return [
            Found(lp(path), len(file.content), file.mtime_ns, file.inode, 1, "text/plain")
            for path, file in self.files.items()
        ]

    def read(self, found: Found) -> Answer:
        file = self.files[found.path]
        self.reads[found.path] += 1
        if file.content.startswith("!"):
            return Refused(found.path, Exclusion.BINARY, "binary", len(file.content), file.mtime_ns)
        return Read(
            found.path,
            Fingerprint(len(file.content), file.mtime_ns, file.inode, 1, file.sha256, "text/plain", self.now_us),
        )

    def scan(self, known: Knowledge) -> Conclusion:
        survey = sort_out(self.walk(), known)
        return conclude(survey, [self.read(found) for found in survey.to_read], known, self.now_us)


@pytest.fixture
def disk() -> Disk:
    return Disk()


def kinds(conclusion: Conclusion) -> list[tuple[type[Finding], str]]:
    return [(type(finding), finding.path) for finding in conclusion.findings]


PATH = st.sampled_from(["a", "b", "c", "d/e", "d/f"])
CONTENT = st.sampled_from(["one", "two", "six", "three", "!in"])
STEP = st.one_of(
    st.tuples(st.just("write"), PATH, CONTENT),
    st.tuples(st.just("remove"), PATH, PATH),
    st.tuples(st.just("rename"), PATH, PATH),
    st.tuples(st.just("copy"), PATH, PATH),
    st.tuples(st.just("touch"), PATH, PATH),
    st.tuples(st.just("scan"), PATH, PATH),
    st.tuples(st.just("scan"), PATH, PATH),
)


@settings(max_examples=400, deadline=None)
@given(
    steps=st.lists(st.tuples(STEP, st.integers(0, 5 * SECOND_US) | st.integers(0, 3 * FINE_US)), max_size=25),
    tick_us=st.sampled_from([COARSE_US, SECOND_US, FINE_US]),
)
def test_after_a_scan_what_is_known_is_what_is_there(
    remember: Remember, steps: list[tuple[tuple[str, str, str], int]], tick_us: int
) -> None:
    disk, known = Disk(tick_us), Knowledge()
    for (action, path, other), passed_us in [*steps, (("scan", "", ""), 0)]:
        disk.now_us += passed_us
        there = path in disk.files
        if action == "write":
            disk.write(path, other)
        elif action == "remove" and there:
            del disk.files[path]
        elif action == "rename" and there and path != other and not looks_like(disk.files[path], known.get(lp(other))):
            disk.files[other] = disk.files.pop(path)
        elif action == "copy" and there and path != other and not looks_like(disk.files[path], known.get(lp(other))):
            disk.copy(path, other)
        elif action == "touch" and there:
            disk.write(path, disk.files[path].content)
        elif action == "scan":
            conclusion = disk.scan(known)
            paths = [finding.path for finding in conclusion.findings]
            assert paths == sorted(set(paths))
            known = remember(known, conclusion.findings)
            assert_true(known, disk, conclusion)

    disk.now_us += 10 * SECOND_US
    known = remember(known, disk.scan(known).findings)
    disk.reads.clear()
    assert disk.scan(known).findings == []
    assert not disk.reads, "a quiet library is not read again"


def looks_like(file: ModelFile, before: Known | None) -> bool:
    """The one change that size and mtime cannot show: another file moved here that agrees in both by chance."""
    return before is not None and (before.size_bytes, before.mtime_ns) == (len(file.content), file.mtime_ns)


def assert_true(known: Knowledge, disk: Disk, conclusion: Conclusion) -> None:
    wanted = {path: file.sha256 for path, file in disk.files.items() if not file.content.startswith("!")}
    assert {p: k.sha256 for p, k in known.items() if k.present and k.excluded is None} == wanted
    assert {p for p, k in known.items() if k.present and k.excluded} == set(disk.files) - set(wanted)
    kinds_now = Counter(type(finding) for finding in conclusion.findings)
    reported = len(conclusion.findings) - kinds_now[Vanished]
    assert reported + conclusion.unchanged + conclusion.still_excluded.total() == len(disk.files)


@pytest.mark.parametrize(
    ("tick_us", "scanned_after_us"),
    [(COARSE_US, 0), (COARSE_US, SECOND_US), (COARSE_US, COARSE_US - 1), (FINE_US, 0), (FINE_US, FINE_US - 1)],
)
def test_a_change_within_the_same_tick_of_the_clock_is_noticed(
    remember: Remember, tick_us: int, scanned_after_us: int
) -> None:
    disk = Disk(tick_us)
    disk.now_us += 500_000 // tick_us * tick_us
    disk.write("a", "one")
    disk.now_us += scanned_after_us
    known = remember({}, disk.scan({}).findings)
    disk.write("a", "two")
    assert kinds(disk.scan(known)) == [(Changed, "a")]


def test_a_file_as_old_as_a_breath_is_not_read_again_where_time_is_fine(remember: Remember) -> None:
    disk = Disk(FINE_US)
    disk.now_us += 500_000
    disk.write("a", "one")
    disk.now_us += 50_000
    known = remember({}, disk.scan({}).findings)
    assert disk.scan(known).unchanged == 1
    assert disk.reads["a"] == 1


def test_a_young_file_is_read_once_more_and_then_never(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one")
    known = remember({}, disk.scan({}).findings)
    disk.now_us += 10 * SECOND_US
    again = disk.scan(known)
    assert kinds(again) == [(Touched, "a")]
    known = remember(known, again.findings)
    disk.now_us += SECOND_US
    assert kinds(disk.scan(known)) == []
    assert disk.reads["a"] == 2


@pytest.mark.parametrize("mtime_ns", [0, -5_000_000_000, 1_000_000_000, (START_US + 10**13) * 1_000])
def test_a_time_that_proves_nothing_means_reading_each_time_and_recording_nothing(
    disk: Disk, remember: Remember, mtime_ns: int
) -> None:
    disk.write("a", "one", mtime_ns)
    disk.write("b", "!in", mtime_ns)
    known = remember({}, disk.scan({}).findings)
    for _ in range(3):
        disk.now_us += 3_600 * SECOND_US
        assert disk.scan(known).findings == []
    assert disk.reads == {"a": 4, "b": 4}
    disk.write("a", "two", mtime_ns)
    assert kinds(disk.scan(known)) == [(Changed, "a")]


def test_metadata_alone_is_a_touch(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    disk.write("a", "one", LONG_AGO_NS + 1)
    assert kinds(disk.scan(known)) == [(Touched, "a")]


def test_vanishing_and_coming_back(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    gone = disk.files.pop("a")
    vanished = disk.scan(known)
    assert kinds(vanished) == [(Vanished, "a")]
    known = remember(known, vanished.findings)
    assert disk.scan(known).findings == []
    disk.files["a"] = gone
    assert kinds(disk.scan(known)) == [(Reappeared, "a")]


def test_becoming_binary_and_text_again(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    disk.write("a", "!in", LONG_AGO_NS + 1)
    excluded = disk.scan(known)
    assert kinds(excluded) == [(NowExcluded, "a")]
    known = remember(known, excluded.findings)
    assert disk.scan(known).findings == []
    assert disk.reads["a"] == 2, "the reason came from the content, so the same content is not read again"
    disk.write("a", "!no", LONG_AGO_NS + 2)
    known = remember(known, disk.scan(known).findings)
    assert disk.scan(known).still_excluded == {Exclusion.BINARY: 1}
    assert disk.reads["a"] == 3
    disk.write("a", "two", LONG_AGO_NS + 3)
    assert kinds(disk.scan(known)) == [(NoLongerExcluded, "a")]


def test_an_exclusion_by_name_is_recorded_once(disk: Disk) -> None:
    link = Excluded(lp("link"), Exclusion.SYMLINK, "a link")
    first = conclude(sort_out([link], {}), [], {}, START_US)
    assert first.findings == [NowExcluded(lp("link"), Exclusion.SYMLINK, "a link")]
    known = {lp("link"): Known(excluded=Exclusion.SYMLINK)}
    assert conclude(sort_out([link], known), [], known, START_US).findings == []
    known = {lp("link"): Known(excluded=Exclusion.PIPE)}
    assert kinds(conclude(sort_out([link], known), [], known, START_US)) == [(NowExcluded, "link")]


def test_an_excluded_file_that_comes_back_is_recorded_again() -> None:
    link = Excluded(lp("link"), Exclusion.SYMLINK, "a link")
    known = {lp("link"): Known(excluded=Exclusion.SYMLINK, present=False)}
    assert kinds(conclude(sort_out([link], known), [], known, START_US)) == [(NowExcluded, "link")]


def test_a_type_that_became_supported_is_read_though_the_file_is_as_it_was(disk: Disk) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    known = {lp("a"): Known(3, LONG_AGO_NS, "", START_US, excluded=Exclusion.UNSUPPORTED_TYPE)}
    assert kinds(disk.scan(known)) == [(NoLongerExcluded, "a")]


def test_a_new_file_is_not_a_move_of_one_that_was_left_out(disk: Disk) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    known = {lp("out"): Known(3, LONG_AGO_NS, disk.files["a"].sha256, START_US, excluded=Exclusion.IGNORED)}
    assert kinds(disk.scan(known)) == [(New, "a"), (Vanished, "out")]


def test_an_unreadable_file_is_tried_each_time_and_recorded_once(disk: Disk) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    known = {lp("a"): Known(excluded=Exclusion.UNREADABLE)}
    survey = sort_out(disk.walk(), known)
    assert [found.path for found in survey.to_read] == ["a"]
    assert conclude(survey, [Refused(lp("a"), Exclusion.UNREADABLE, "no")], known, START_US).findings == []
    assert kinds(conclude(survey, [disk.read(survey.to_read[0])], known, START_US)) == [(NoLongerExcluded, "a")]


def test_trouble_with_a_file_changes_nothing(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    disk.write("a", "two", LONG_AGO_NS + 1)
    disk.write("b", "new", LONG_AGO_NS + 1)
    survey = sort_out(disk.walk(), known)
    troubles = [Trouble(found.path, "changed while it was being read") for found in survey.to_read]
    conclusion = conclude(survey, troubles, known, disk.now_us)
    assert conclusion.findings == []
    assert conclusion.troubles == troubles


def test_a_rename_is_a_move(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    disk.files["d/b"] = disk.files.pop("a")
    (move,) = disk.scan(known).findings
    assert isinstance(move, Moved)
    assert (move.old_path, move.path) == ("a", "d/b")


def test_a_copy_and_a_removal_of_the_only_other_one_is_a_move_too(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    disk.copy("a", "b")
    del disk.files["a"]
    assert kinds(disk.scan(known)) == [(Moved, "b")]


def test_a_file_that_was_missing_for_a_while_may_come_back_under_another_path(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    disk.write("rest", "two", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    away = disk.files.pop("a")
    known = remember(known, disk.scan(known).findings)
    disk.files["b"] = away
    (move,) = disk.scan(known).findings
    assert isinstance(move, Moved)
    assert (move.old_path, move.path) == ("a", "b")


def test_a_missing_file_is_not_moved_when_it_is_back_or_was_forgotten(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    disk.write("rest", "two", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    away = disk.files.pop("a")
    known = remember(known, disk.scan(known).findings)
    disk.files["a"] = disk.files["b"] = away
    assert kinds(disk.scan(known)) == [(Reappeared, "a"), (New, "b")]
    del disk.files["a"]
    known[lp("a")] = msgspec.structs.replace(known[lp("a")], wanted=False)
    assert kinds(disk.scan(known)) == [(New, "b")]


def test_of_equal_files_the_inode_tells_which_moved(disk: Disk, remember: Remember) -> None:
    for path in ["a", "b", "c"]:
        disk.write(path, "one", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    disk.files["x"], disk.files["y"] = disk.files.pop("b"), disk.files.pop("a")
    moves = disk.scan(known).findings
    assert [(m.old_path, m.path) for m in moves if isinstance(m, Moved)] == [("b", "x"), ("a", "y")]


def test_what_cannot_be_paired_is_not_a_move(disk: Disk, remember: Remember) -> None:
    for path in ["a", "b"]:
        disk.write(path, "one", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    disk.copy("a", "x")
    disk.copy("a", "y")
    del disk.files["a"], disk.files["b"]
    assert kinds(disk.scan(known)) == [(Vanished, "a"), (Vanished, "b"), (New, "x"), (New, "y")]


def test_moving_onto_a_path_with_a_history_is_no_move(disk: Disk, remember: Remember) -> None:
    disk.write("a", "one", LONG_AGO_NS)
    disk.write("b", "two", LONG_AGO_NS)
    known = remember({}, disk.scan({}).findings)
    del disk.files["b"]
    known = remember(known, disk.scan(known).findings)
    disk.files["b"] = disk.files.pop("a")
    assert kinds(disk.scan(known)) == [(Vanished, "a"), (Reappeared, "b")]


def crowd(count: int) -> Knowledge:
    return {lp(f"f{n:04}"): Known(3, LONG_AGO_NS, f"{n:064x}", START_US, n, 1) for n in range(count)}


def present(known: Knowledge, count: int) -> list[Found | Excluded]:
    return [Found(path, 3, LONG_AGO_NS, known[path].inode, 1, "") for path in sorted(known)[:count]]


@pytest.mark.parametrize(
    ("before", "left", "refused"),
    [
        (50, 0, False),
        (51, 0, True),
        (102, 51, False),
        (103, 51, True),
        (1_000, 500, False),
        (1_000, 499, True),
        (10_000, 0, True),
    ],
)
def test_mass_loss_stops_the_scan(before: int, left: int, refused: bool) -> None:
    """Incident 28: a disk was not mounted, and every file counted as deleted."""
    known = crowd(before)
    if refused:
        with pytest.raises(VanishedTooMany, match=f"{before - left:,} of the {before:,} known files"):
            sort_out(present(known, left), known)
    else:
        conclusion = conclude(sort_out(present(known, left), known), [], known, START_US)
        assert len(conclusion.findings) == before - left


def test_a_folder_renamed_is_no_mass_loss() -> None:
    known = crowd(200)
    moved: list[Found | Excluded] = [
        Found(lp(f"new/{path}"), 3, LONG_AGO_NS, before.inode, 1, "") for path, before in known.items()
    ]
    survey = sort_out(moved, known)
    answers = [
        Read(found.path, Fingerprint(3, LONG_AGO_NS, found.inode, 1, known[lp(found.path[4:])].sha256, "", START_US))
        for found in survey.to_read
    ]
    conclusion = conclude(survey, answers, known, START_US)
    assert {type(finding) for finding in conclusion.findings} == {Moved}
    strangers = [Read(read.path, msgspec.structs.replace(read.fingerprint, sha256="0" * 64)) for read in answers]
    with pytest.raises(VanishedTooMany):
        conclude(survey, strangers, known, START_US)


def test_what_was_not_seen_is_not_gone() -> None:
    known = {lp(path): Known(3, LONG_AGO_NS, "0" * 64, START_US) for path in ["a", "d/b", "d/e/c", "dd/x", "f"]}
    conclusion = conclude(sort_out([], known, unseen={"d", "f"}), [], known, START_US)
    assert kinds(conclusion) == [(Vanished, "a"), (Vanished, "dd/x")]
    assert sort_out([], crowd(1_000), unseen={f"f{n:04}" for n in range(1_000)}).gone == []


def test_what_lies_in_a_folder_left_out_is_excluded_not_gone() -> None:
    known = {lp(path): Known(3, LONG_AGO_NS, "0" * 64, START_US) for path in ["out/a", "out/deep/b", "out", "c"]}
    known[lp("out/c")] = Known(excluded=Exclusion.IGNORED)
    conclusion = conclude(sort_out([], known, pruned={"out": Exclusion.IGNORED}), [], known, START_US)
    assert kinds(conclusion) == [
        (Vanished, "c"),
        (Vanished, "out"),
        (NowExcluded, "out/a"),
        (NowExcluded, "out/deep/b"),
    ]
    assert conclusion.still_excluded == {Exclusion.IGNORED: 1}


def test_findings_are_plain_data(disk: Disk) -> None:
    disk.write("a", "one")
    disk.write("b", "!in")
    for finding in disk.scan({}).findings:
        assert msgspec.json.decode(msgspec.json.encode(finding), type=type(finding)) == finding
