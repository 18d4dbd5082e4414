"""Metadata filters: what they mean, and that any text is either understood or refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objlib_fsm.emulator.filters import MAX_DEPTH, FilterError, compile_filter, quote

DOCUMENT: dict[str, Any] = {
    "author": "Robert Graves",
    "tag": "science",
    "year": 2024,
    "score": 0.5,
    "topics": ["a", "b c"],
    "text_year": "2024",
    "empty": "",
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", True),
        ("   ", True),
        ('author = "Robert Graves"', True),
        ("author='Robert Graves'", True),
        ("tag=science", True),
        ("tag = other", False),
        ("tag != other", True),
        ("tag != science", False),
        ("missing != x", False),
        ("NOT missing = x", True),
        ("-missing=x", True),
        ("year = 2024", True),
        ("year = 2024.0", True),
        ("year > 2020 AND year < 2025", True),
        ("year>=2024 year<=2024", True),
        ("year > 2024", False),
        ('year = "2024"', False),
        ("text_year = 2024", True),
        ('text_year = "2024"', True),
        ("score = 0.5", True),
        ("score > -1", True),
        ("score < .6", True),
        ("score < 1e-1", False),
        ("tag < t", True),
        ("tag > t", False),
        ("topics:a", True),
        ('topics:"b c"', True),
        ("topics:c", False),
        ("topics:*", True),
        ("missing:*", False),
        ("tag:science", True),
        ("topics = a", False),
        ('empty = ""', True),
        ("tag=other OR year=2024", True),
        ("tag=other OR year=1", False),
        ("tag=science AND year=1", False),
        ("(tag=other OR year=2024) AND topics:a", True),
        ("NOT (tag=science AND year=2024)", False),
        ("tag=science AND tag=other OR year=2024", True),
        ("year=1 AND tag=other OR tag=science", False),
        ("year=2024 OR year=1 AND tag=other", False),
        ("((((tag=science))))", True),
        ('"tag" = science', True),
        (r'tag = "sci\u0065nce"', True),
        ("tag=a-b.c/d", False),
    ],
)
def test_meaning(source: str, expected: bool) -> None:
    assert compile_filter(source)(DOCUMENT) is expected


@pytest.mark.parametrize(
    "source",
    [
        "=",
        "tag",
        "tag =",
        "= science",
        "AND",
        "tag=a AND",
        "OR tag=a",
        "tag=a OR",
        "tag=a OR OR tag=b",
        "NOT",
        "NOT NOT tag=a",
        "(tag=a",
        "tag=a)",
        "()",
        'tag="open',
        "tag==a",
        "tag=a,b",
        "tag = AND",
        "1=1",
        "tag ~ a",
        "tag=a and year=1",
        "(" * (MAX_DEPTH + 1) + "tag=a" + ")" * (MAX_DEPTH + 1),
        "tag=a " * 10_000,
    ],
)
def test_what_cannot_be_understood(source: str) -> None:
    with pytest.raises(FilterError):
        compile_filter(source)


def test_membership_may_be_switched_off() -> None:
    with pytest.raises(FilterError):
        compile_filter("topics:a", membership=False)
    assert compile_filter("tag=science", membership=False)(DOCUMENT)


KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.one_of(st.text(max_size=8), st.integers(-5, 5).map(float))


def _atom(key: str, operator: str, value: str | float) -> tuple[str, Any]:
    shown = quote(value) if isinstance(value, str) else repr(value)

    def holds(metadata: dict[str, Any]) -> bool:
        if key not in metadata:
            return False
        left: Any = metadata[key]
        right: Any = value
        if isinstance(left, str):
            right = shown if isinstance(value, float) else value
        elif isinstance(value, str):
            return operator == "!="
        return bool(
            {"=": left == right, "!=": left != right, "<": left < right, ">=": left >= right, ":": left == right}[
                operator
            ]
        )

    return f"{key} {operator} {shown}", holds


ATOMS = st.builds(_atom, KEYS, st.sampled_from(["=", "!=", "<", ">=", ":"]), VALUES)
TREES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]}) AND ({p[1][0]})", lambda m: p[0][1](m) and p[1][1](m))),
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]}) ({p[1][0]})", lambda m: p[0][1](m) and p[1][1](m))),
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]}) OR ({p[1][0]})", lambda m: p[0][1](m) or p[1][1](m))),
        inner.map(lambda p: (f"NOT ({p[0]})", lambda m: not p[1](m))),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(tree=TREES, metadata=st.dictionaries(KEYS, VALUES, max_size=3))
def test_any_combination_means_what_its_parts_mean(tree: tuple[str, Any], metadata: dict[str, Any]) -> None:
    source, expected = tree
    assert compile_filter(source)(metadata) == expected(metadata)


@settings(deadline=None)
@given(value=st.text())
def test_any_text_can_be_quoted(value: str) -> None:
    assert compile_filter(f"key = {quote(value)}")({"key": value})


@settings(deadline=None)
@given(source=st.text(alphabet="ab=()\"' :<>!ANDORT-\\.1", max_size=40))
def test_any_text_is_understood_or_refused(source: str) -> None:
    try:
        predicate = compile_filter(source)
    except FilterError:
        return
    assert predicate({"a": "x", "b": 1, "A": ["y"]}) in (True, False)
