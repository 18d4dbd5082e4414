"""What is said of a file: read with care, checked before it is sent, noticed when it changes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library import compare as c
from objlib_fsm.library.metadata import DEFAULT_RULES, QUALITY, SEARCHABLE, Describer, PathRule, Rules, compiled
from objlib_fsm.library.payload import open_payload
from objlib_fsm.library.scan import ScanResult, scan
from objlib_fsm.library.sources import (
    DEPTH_MAX,
    FRONT_MATTER_BYTES_MAX,
    SIDECAR_BYTES_MAX,
    VALUES_MAX,
    BadMetadata,
    front_matter,
    sidecar,
)
from objlib_fsm.library.values import Exclusion, Known, Sidecar

A = LibraryPath("notes/a.md")
PLAIN = Describer()
LATER_US = (time.time_ns() + 3_600 * 10**9) // 1_000
"""An hour from now: whatever a test writes is older than that by more than a tick."""


def matter(text: str) -> dict[str, Any]:
    return dict(front_matter(f"---\n{text}\n---\nText.\n".encode()))


def described(fields: dict[str, Any], describer: Describer = PLAIN) -> tuple[dict[str, Any], dict[str, Any]]:
    return describer.describe(A, b"", prose=False, sidecar_text=json.dumps(fields).encode())


# ---- front matter ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024", 2024),
        ("08", 8),
        ("-3.5", -3.5),
        ("1e3", 1000.0),
        ("2024-01-05", "2024-01-05"),
        ("12:30", "12:30"),
        ("no", "no"),
        ("on", "on"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("true", True),
        ("~", None),
        ("", None),
        ("'2024'", "2024"),
        ("[a, 2, 'x']", ["a", 2, "x"]),
        ("{b: 1}", {"b": 1}),
        ("|\n  two\n  lines", "two\nlines\n"),
        ("9" * 25, "9" * 25),
    ],
)
def test_scalars_are_what_they_look_like(text: str, value: Any) -> None:
    assert matter(f"field: {text}") == {"field": value}


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"No front matter.\n",
        b"--- \nnever ended\n",
        b"---\nJust a sentence between two rules.\n---\n",
        b"---\n- a\n- list\n---\n",
        b"---\n---\n",
        b"----\na: 1\n----\n",
        b" ---\na: 1\n---\n",
        b"---\na: 1\n" + b"# long\n" * FRONT_MATTER_BYTES_MAX + b"---\n",
    ],
)
def test_what_is_no_front_matter_says_nothing(head: bytes) -> None:
    assert front_matter(head) == {}


def test_front_matter_may_have_a_byte_order_mark_and_windows_lines_and_dots() -> None:
    assert front_matter(b"\xef\xbb\xbf---\r\na: 1\r\n...\r\nText") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &x 1\nb: *x", "front matter: line 2: anchors and aliases"),
        ("a: [&x [1], *x]", "anchors and aliases"),
        ("<<: {a: 1}\nb: 1", None),
        ("a: 1\nb: 2\na: 3", "line 4: a is there twice"),
        ("a: {b: 1, b: 2}", "b is there twice"),
        ("a: !!python/object:os.system x", "line 2"),
        ("a: !!binary aGk=", "line 2"),
        ("a: !foo x", "line 2"),
        ("a: [1, 2", "is not plain YAML: line"),
        ("a: b: c", "line 2"),
        ("? [a, b]\n: 1", "line 2"),
        ("1: x", "has a key that is not text"),
        ("a: " + "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1), "nested deeper"),
        ("a: " + "[" * 3_000, "nested deeper|is not plain YAML"),
        ("a: [" + "1," * (VALUES_MAX + 1) + "]", "more than"),
        ("a: 1e999", "finite"),
        ("a: \x07", "is not plain YAML"),
    ],
)
def test_front_matter_that_cannot_be_used_says_where(text: str, told: str | None) -> None:
    if told is None:
        assert matter(text)["b"] == 1, "a merge is a key like any other"
        return
    with pytest.raises(BadMetadata, match=told):
        matter(text)


def test_the_billion_laughs_are_not_laughed() -> None:
    laughs = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(BadMetadata, match="anchors and aliases"):
        matter(laughs)


@given(head=st.binary(max_size=300))
def test_no_bytes_make_front_matter_fail_in_another_way(head: bytes) -> None:
    for text in (head, b"---\n" + head + b"\n---\n"):
        try:
            found = front_matter(text)
        except BadMetadata:
            continue
        msgspec.json.encode(found)


# ---- sidecars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "a.md.meta.json: is not JSON: line 1"),
        (b"[1]", "one JSON object"),
        (b'{"a": 1, "a": 2}', "a: is there twice"),
        (b'{"x": {"a": 1, "a": 2}}', "a: is there twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": 1e999}', "finite"),
        (b'{"a": "\\ud800"}', "a: holds half a character"),
        (b'{"\\ud800": 1}', "half a character"),
        (b"\xff", "not UTF-8"),
        (b'{"a": ' + b"[" * 100_000 + b"}", "larger than|nested too deeply|not JSON"),
        (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "nested deeper"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "number"),
        (b" " * (SIDECAR_BYTES_MAX + 1), "larger than"),
    ],
)
def test_a_sidecar_that_cannot_be_used_says_why(text: bytes, told: str) -> None:
    with pytest.raises(BadMetadata, match=told):
        sidecar(text, "a.md.meta.json")


@given(text=st.binary(max_size=200) | st.text(max_size=100).map(lambda t: json.dumps({"a": t}).encode()))
def test_no_bytes_make_a_sidecar_fail_in_another_way(text: bytes) -> None:
    try:
        found = sidecar(text, "x")
    except BadMetadata:
        return
    msgspec.json.encode(found)


# ---- the searchable tier ---------------------------------------------------------------------------------------------


def test_the_usual_fields_are_searchable_and_everything_else_is_kept() -> None:
    fields: dict[str, Any] = {field: "x" for field in SEARCHABLE if field not in ("quality_score", "topics")}
    fields |= {"quality_score": 60, "topics": ["a", "b"], "title": "T", "nested": {"a": [1, None]}, "gone": None}
    metadata, archive = described(fields)
    assert metadata == {**dict.fromkeys(SEARCHABLE, "x"), "quality_score": 60, "topics": ("a", "b")}
    assert archive == {"title": "T", "nested": {"a": [1, None]}}


def test_further_fields_are_searchable_when_the_settings_say_so() -> None:
    metadata, archive = described({"speaker": "Ann", "title": "T"}, Describer(Rules(searchable=("speaker",))))
    assert (metadata, archive) == ({"speaker": "Ann"}, {"title": "T"})


@pytest.mark.parametrize("word", QUALITY)
def test_quality_in_words(word: str) -> None:
    assert described({"quality_score": word.upper()})[0] == {"quality_score": QUALITY[word]}


def test_numbers_stay_numbers_and_one_topic_is_a_list() -> None:
    assert described({"year": 2024, "week": 2.5, "course": "101", "topics": "one"})[0] == {
        "year": 2024,
        "week": 2.5,
        "course": "101",
        "topics": ("one",),
    }


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("course", "", "course: is empty"),
        ("course", " \t", "course: is empty"),
        ("course", "x" * 251, "course: has 257 characters"),
        ("course", True, "course: is true or false"),
        ("course", {"a": 1}, "course: must be text"),
        ("topics", [], "topics: is an empty list"),
        ("topics", ["x"] * 11, "topics: has 11 items"),
        ("topics", ["x", "y" * 101], "topics: item 2 has 101 characters"),
        ("topics", ["x", ""], "topics: is empty"),
        ("topics", ["x", None], "topics: item 2 is not text"),
        ("topics", [["x"]], "topics: item 1 is not text"),
        ("quality_score", "good", "quality_score: must be a number or one of complete"),
    ],
)
def test_what_the_service_would_refuse_is_refused_with_source_and_field(field: str, value: Any, told: str) -> None:
    """Complaint 12: "invalid argument", and no hint which field."""
    with pytest.raises(BadMetadata, match=f"^a.md.meta.json: {told}"):
        described({field: value})


def test_just_what_fits_is_taken() -> None:
    fields = {"course": "x" * 250, "topics": ["y" * 100] * 10}
    assert described(fields)[0] == {"course": "x" * 250, "topics": ("y" * 100,) * 10}


def test_the_service_takes_twenty_keys_with_ours() -> None:
    rules = Describer(Rules(searchable=tuple(f"f{n}" for n in range(17))))
    assert len(described({f"f{n}": n for n in range(17)}, rules)[0]) == 17
    with pytest.raises(BadMetadata, match="course: is one searchable field too many"):
        described({**{f"f{n}": n for n in range(17)}, "course": "x"}, rules)


# ---- rules by path ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("{course}/{year}/week {week}*.md", "Logic/2019/week 3 x.md", {"course": "Logic", "year": 2019, "week": 3}),
        ("{course}/{year}/*.md", "Logic/last year/a.md", None),
        ("{course}/{year}/week {week}.md", "Ethics/2019/week 03.md", {"course": "Ethics", "year": 2019, "week": 3}),
        ("{course}/*.md", "101/a.md", {"course": "101"}),
        ("{course}/*.md", "a/b/c.md", None),
        ("**/{course}/*.md", "x/y/Logic/c.md", {"course": "Logic"}),
        ("**/{course}/*.md", "Logic/c.md", {"course": "Logic"}),
        ("Q{quarter}_{year}.txt", "deep/below/Q3_2024.txt", {"quarter": 3, "year": 2024}),
        ("{course}/", "Logic/a/b.md", {"course": "Logic"}),
        ("/{course}/a.md", "Logic/a.md", {"course": "Logic"}),
        ("{course}/a.m?", "Lo(gic/a.md", {"course": "Lo(gic"}),
        ("{course}/**/z.md", "L/z.md", {"course": "L"}),
        ("{course}/**/z.md", "L/a/b/z.md", {"course": "L"}),
    ],
)
def test_fields_come_from_the_path(pattern: str, path: str, found: dict[str, Any] | None) -> None:
    describer = Describer(Rules(rules=(PathRule(pattern),)))
    metadata, _ = describer.describe(LibraryPath(path), b"", prose=False, sidecar_text=None)
    assert metadata == (found or {})


@pytest.mark.parametrize(
    "pattern", ["{a}{b}", "{a}*", "*{a}", "**a/{b}", "{a/b", "{a}/{a}", "*a*b*c*{d}", "{objlib_x}"]
)
def test_a_pattern_that_cannot_be_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|field|objlib_"):
        compiled(pattern)


def test_a_later_rule_and_a_later_source_win_and_null_takes_back() -> None:
    rules = Rules(rules=(PathRule("{course}/*", {"difficulty": "low"}), PathRule("*.md", {"difficulty": "high"})))
    head = b"---\ncourse: ~\nyear: 2020\n---\n"
    metadata, _ = Describer(rules).describe(A, head, prose=True, sidecar_text=b'{"year": 2021}')
    assert metadata == {"difficulty": "high", "year": 2021}


def test_rules_come_from_a_table_of_the_settings() -> None:
    table = {"rules": [{"path": "{course}/*", "set": {"year": 2020, "topics": ["a"]}}], "searchable": ["speaker"]}
    assert msgspec.convert(table, Rules).rules[0].fields == {"year": 2020, "topics": ("a",)}
    wrongs: list[dict[str, Any]] = [{"rules": [{"path": "a", "set": {}}]}, {"searchable": ["a b"]}, {"rulez": []}]
    for wrong in wrongs:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Rules)


@given(path=st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=200))
def test_a_pattern_of_many_wildcards_answers_soon(path: str) -> None:
    compiled("**/{a}-{b}-*/**/{c}/**").fullmatch(path * 10)


# ---- the header ------------------------------------------------------------------------------------------------------


def test_a_line_without_any_value_is_left_out_and_values_are_one_line() -> None:
    describer = Describer(Rules(header="Title: {title}\nTopics: {topics}\nCourse: {course} {year}\nBy {speaker}"))
    fields = {"topics": ("a", "b"), "course": "x\n\ny" + "z" * 500, "nested": {}, "title": "Of\u2028this"}
    header = describer.header(A, fields)
    assert header == f"Title: Of this\nTopics: a, b\nCourse: x y{'z' * 253}\n\n"
    assert Describer(Rules(header="By {speaker}")).header(A, {}) == ""
    assert describer.header(A, {}) == "Title: a\n\n"


def test_a_value_in_a_header_is_no_template() -> None:
    assert Describer(Rules(header="{title} {course}")).header(A, {"title": "{course}", "course": "{title}"}) == (
        "{course} {title}\n\n"
    )


# ---- a scan ----------------------------------------------------------------------------------------------------------


def remember(known: dict[LibraryPath, Known], result: ScanResult) -> dict[LibraryPath, Known]:
    after = dict(known)
    for finding in result.findings:
        if isinstance(finding, c.NowExcluded):
            size, mtime, taken, basis = finding.size_bytes, finding.mtime_ns, finding.taken_at_us, finding.basis
            after[finding.path] = Known(size, mtime, "", taken, 0, 0, finding.reason, basis=basis)
        elif not isinstance(finding, c.Vanished):
            f, d = finding.fingerprint, finding.description
            after[finding.path] = Known(
                *(f.size_bytes, f.mtime_ns, f.sha256, f.taken_at_us, f.inode, f.device),
                basis=d.basis,
                metadata_hash=d.metadata_hash,
                payload_sha256=d.payload_sha256,
            )
    return after


def write(root: Path, name: str, text: str, age_s: float = 10.0) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    then_ns = time.time_ns() - int(age_s * 1e9)
    os.utime(path, ns=(then_ns, then_ns))
    return path


def kinds(result: ScanResult) -> list[tuple[str, str]]:
    return [(type(finding).__name__, finding.path) for finding in result.findings]


def test_a_sidecar_is_no_file_and_a_change_of_it_is_noticed_without_reading_the_others(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "A\n")
    write(tmp_path, "b.md", "B\n")
    side = write(tmp_path, "a.md.meta.json", '{"year": 2020}')
    first = scan(tmp_path, {}, LATER_US)
    assert kinds(first) == [("New", "a.md"), ("New", "b.md")]
    assert first.left_out == {Exclusion.SIDECAR: 1}
    known = remember({}, first)
    assert scan(tmp_path, known, LATER_US).unchanged == 2
    write(tmp_path, "a.md.meta.json", '{"year": 2021}', age_s=5)
    again = scan(tmp_path, known, LATER_US)
    assert kinds(again) == [("Redescribed", "a.md")]
    known = remember(known, again)
    write(tmp_path, "a.md.meta.json", '{"year": 2021} ', age_s=4)
    touched = scan(tmp_path, known, LATER_US)
    assert kinds(touched) == [("Touched", "a.md")], "the same metadata from another text"
    known = remember(known, touched)
    assert kinds(scan(tmp_path, known, LATER_US)) == []
    side.unlink()
    assert kinds(scan(tmp_path, known, LATER_US)) == [("Redescribed", "a.md")]


def test_without_sidecars_such_a_file_is_a_file(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "A\n")
    write(tmp_path, "a.md.meta.json", '{"year": 2020}')
    assert len(scan(tmp_path, {}, LATER_US, describer=Describer(Rules(sidecars=False))).findings) == 2


def test_a_sidecar_written_just_before_it_was_read_is_doubted_once(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "A\n")
    side = write(tmp_path, "a.md.meta.json", '{"year": 2020}')
    now_us = side.stat().st_mtime_ns // 1_000
    known = remember({}, scan(tmp_path, {}, now_us))
    doubted = scan(tmp_path, known, LATER_US)
    assert kinds(doubted) == [("Touched", "a.md")]
    assert kinds(scan(tmp_path, remember(known, doubted), LATER_US)) == []


def test_a_file_indexed_before_metadata_were_read_is_not_replaced_for_them(tmp_path: Path) -> None:
    path = write(tmp_path, "a.md", "---\ncourse: Logic\n---\nText\n")
    known = remember({}, scan(tmp_path, {}, LATER_US))
    known[LibraryPath("a.md")] = msgspec.structs.replace(known[LibraryPath("a.md")], metadata_hash="")
    os.utime(path, ns=(1_600_000_000_000_000_001,) * 2)
    assert kinds(scan(tmp_path, known, LATER_US)) == [("Touched", "a.md")]
    assert kinds(scan(tmp_path, known, LATER_US, redescribe=True)) == [("Redescribed", "a.md")], "on request"


def test_another_look_at_every_file_records_nothing_of_those_that_did_not_change(tmp_path: Path) -> None:
    path = write(tmp_path, "a.md", "---\ncourse: Logic\n---\nText\n")
    os.utime(path, ns=(1_600_000_000_000_000_001,) * 2)
    known = remember({}, scan(tmp_path, {}, LATER_US))
    assert kinds(scan(tmp_path, known, LATER_US + 1, redescribe=True)) == []


def test_an_adopted_file_is_not_replaced_for_its_description(tmp_path: Path) -> None:
    write(tmp_path, "Ethics/a.md", "Text\n")
    rules = Describer(Rules(rules=(PathRule("{course}/*"),)))
    path = LibraryPath("Ethics/a.md")
    known = remember({}, scan(tmp_path, {}, LATER_US))
    known[path] = msgspec.structs.replace(known[path], taken_at_us=0)  # Nobody has read its bytes here.
    first = scan(tmp_path, known, LATER_US, describer=rules)
    assert kinds(first) == [("Touched", "Ethics/a.md")]
    known[path] = msgspec.structs.replace(remember(known, first)[path], metadata_hash="")
    assert kinds(scan(tmp_path, known, LATER_US, describer=rules)) == []
    assert kinds(scan(tmp_path, known, LATER_US, describer=rules, redescribe=True)) == [("Redescribed", "Ethics/a.md")]


def test_bad_metadata_leave_a_file_out_until_they_change(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "---\ncourse: ''\n---\nText\n")
    first = scan(tmp_path, {}, LATER_US)
    (finding,) = first.findings
    assert isinstance(finding, c.NowExcluded)
    assert (finding.reason, finding.detail) == (Exclusion.METADATA, "front matter: course: is empty")
    known = remember({}, first)
    assert scan(tmp_path, known, LATER_US).still_excluded == {Exclusion.METADATA: 1}
    again = scan(tmp_path, known, LATER_US, redescribe=True)
    assert (kinds(again), again.still_excluded) == ([], {Exclusion.METADATA: 1}), "nothing has changed"
    off = Describer(Rules(front_matter=False))
    assert kinds(scan(tmp_path, known, LATER_US, describer=off)) == [("NoLongerExcluded", "a.md")]
    write(tmp_path, "a.md.meta.json", '{"course": "Logic"}')
    assert kinds(scan(tmp_path, known, LATER_US)) == [("NoLongerExcluded", "a.md")]


def test_what_was_hashed_with_a_header_is_what_is_sent(tmp_path: Path) -> None:
    write(tmp_path, "notes/a.md", "---\ntitle: T\n---\nText\n")
    write(tmp_path, "wide.txt", "")
    (tmp_path / "wide.txt").write_bytes("Text\n".encode("utf-16"))
    describer = Describer(Rules(header="Title: {title}"))
    found = {finding.path: finding for finding in scan(tmp_path, {}, LATER_US, describer=describer).findings}
    wide, prose = found[LibraryPath("wide.txt")], found[A]
    assert isinstance(wide, c.New)
    assert isinstance(prose, c.New)
    assert wide.description.header == "", "bytes of another encoding would not be text any more"
    header = prose.description.header
    with open_payload(
        tmp_path, A, LATER_US, tmp_path, expected_sha256=prose.fingerprint.sha256, header=header
    ) as payload:
        assert payload.stream.read() == b"Title: T\n\n---\ntitle: T\n---\nText\n"
        assert payload.sha256 == prose.description.payload_sha256
        assert payload.size_bytes == len(header) + prose.fingerprint.size_bytes


def test_the_basis_of_a_file_without_rules_and_sidecar_is_nothing() -> None:
    assert PLAIN.basis(A, None) == ""
    assert PLAIN.basis(A, Sidecar(1, 2)) != PLAIN.basis(A, Sidecar(1, 3)) != ""
    ruled = Describer(Rules(rules=(PathRule("notes/*", {"year": 1}),)))
    assert ruled.basis(A, None) != "" == ruled.basis(LibraryPath("b.md"), None)
    assert Describer(DEFAULT_RULES).rules is DEFAULT_RULES
