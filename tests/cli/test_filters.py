"""Filters: what a person types can only ever be a value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objlib_fsm.cli.filters import clause, combined, quoted
from objlib_fsm.cli.options import WrongUse
from objlib_fsm.emulator.filters import compile_filter
from tests.support.command import Place

VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(str.strip)
NASTY = st.sampled_from(
    ['"', "\\", '\\"', "'", " OR ", ' OR year > 0 OR x = "', ")", "(", "*", " NOT ", "\\u0022", ":"]
)
MIXED = st.lists(VALUES | NASTY, min_size=1, max_size=6).map("".join).filter(str.strip)


@given(value=MIXED, other=MIXED)
def test_a_value_is_found_as_it_is_and_breaks_out_of_nothing(value: str, other: str) -> None:
    value, other = value.strip(), other.strip()
    predicate = compile_filter(clause(f"course={value}"))
    assert predicate({"course": value})
    assert predicate({"course": other}) == (other == value)
    assert not predicate({"year": 1.0, "x": ""})


@given(value=MIXED)
def test_a_list_holds_it(value: str) -> None:
    value = value.strip()
    predicate = compile_filter(clause(f"topics:{value}"))
    assert predicate({"topics": ["a", value]})
    assert not predicate({"topics": [value + "x"]})


@given(value=MIXED, year=st.integers(-9_999, 9_999))
def test_conditions_and_a_filter_hold_all_together(value: str, year: int) -> None:
    value = value.strip()
    whole = combined('course = "A" OR course = "B"', [f"speaker={value}", f"year>={year}"])
    assert whole is not None
    predicate = compile_filter(whole)
    assert predicate({"course": "B", "speaker": value, "year": float(year)})
    assert not predicate({"course": "B", "speaker": value, "year": float(year - 1)})
    assert not predicate({"course": "C", "speaker": value, "year": float(year)})
    assert not predicate({"course": "B", "speaker": value + "x", "year": float(year)})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("course", "is no condition"),
        ("=x", "is no condition"),
        ("course=", "has no value"),
        ("course= \t", "has no value"),
        ("2course=x", "is no condition"),
        ('a" OR b=x', "is no condition"),
        ("course=a\nb", "control character"),
        ("course=a\x1b[31m", "control character"),
    ],
)
def test_what_is_no_condition_is_told(text: str, told: str) -> None:
    with pytest.raises(WrongUse, match=told):
        clause(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('course = "X', "a quote"),
        ("course = 'X", "a quote"),
        ("(course = 1", "a parenthesis is not closed"),
        ("course = 1)", "character 11 closes nothing"),
        ('course = "a\\"', "a quote"),
    ],
)
def test_a_filter_that_is_not_closed_is_not_sent(text: str, told: str) -> None:
    with pytest.raises(WrongUse, match=told):
        combined(text, ())


def test_a_filter_alone_goes_as_it_is_and_an_empty_one_is_none() -> None:
    assert combined('course = "X" AND year > 2019', ()) == 'course = "X" AND year > 2019'
    assert combined(None, ()) is None
    assert combined("  ", ()) is None
    assert clause("year > 2019.5") == "year > 2019.5"
    assert clause("year=2019 ") == "year = 2019"
    assert clause("course=101a") == 'course = "101a"'
    assert quoted('a "b" \\') == '"a \\"b\\" \\\\"'


def test_ask_where(place: Place) -> None:
    place.write("a.md", '---\ncourse: Ethics "A"\nyear: 2020\n---\nReason is a virtue.\n')
    place.write("b.md", "---\ncourse: Logic\nyear: 2018\n---\nReason is a rule.\n")
    place.ok("run", "docs")

    def cited(*options: str) -> list[str]:
        return [c["file"] for c in place.ok("ask", "What is reason?", "--json", *options).json["citations"]]

    assert sorted(cited()) == ["a.md", "b.md"]
    assert cited("--where", 'course=Ethics "A"') == ["a.md"]
    assert cited("--where", "year<2019") == ["b.md"]
    assert cited("--filter", 'course = "Logic" AND year > 2000') == ["b.md"]
    assert cited("--where", 'course=x" OR course = "Logic') == []
    wrong = place.run("ask", "What is reason?", "--filter", 'course = "Logic')
    assert wrong.code == 2
    assert "is not closed" in wrong.err
    cut = place.run("ask", "What is reason?", "--filter", "course = ")
    assert cut.code == 2
    assert "look at --filter" in cut.err
