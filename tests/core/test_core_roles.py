"""Which document stands for the file, and which must go."""

from __future__ import annotations

import itertools

import pytest

from objlib_fsm.core.ids import DocumentName
from objlib_fsm.core.record import Document, Role
from objlib_fsm.core.roles import assign

NEW, OLD = "new", "old"
NOW = NEW
STATES = ("STATE_PENDING", "STATE_ACTIVE", "STATE_FAILED", "")


def document(name: str, state: str, payload: str = NEW, role: Role = Role.CANDIDATE, created: int = 0) -> Document:
    return Document(DocumentName(name), state, role, payload, created)


def roles(*documents: Document) -> dict[str, Role]:
    return {d.name: d.role for d in assign(documents, NOW)}


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ((document("a", "STATE_PENDING"),), "candidate"),
        ((document("a", ""),), "candidate"),
        ((document("a", "STATE_ACTIVE"),), "current"),
        ((document("a", "STATE_FAILED"),), "dead"),
        ((document("a", "STATE_FAILED", OLD),), "dead"),
        ((document("a", "STATE_ACTIVE", role=Role.GONE),), "gone"),
        # the old one stays until its successor is ACTIVE
        ((document("a", "STATE_ACTIVE", OLD), document("b", "STATE_PENDING")), "current candidate"),
        ((document("a", "STATE_ACTIVE", OLD, Role.CURRENT), document("b", "STATE_ACTIVE")), "superseded current"),
        ((document("a", "STATE_PENDING", OLD), document("b", "STATE_PENDING")), "superseded candidate"),
        ((document("a", "STATE_ACTIVE", OLD), document("b", "STATE_FAILED")), "current dead"),
        # of several, the one already known stays, else the oldest
        ((document("a", "STATE_ACTIVE", created=2), document("b", "STATE_ACTIVE", created=1)), "duplicate current"),
        (
            (document("a", "STATE_ACTIVE", created=2, role=Role.CURRENT), document("b", "STATE_ACTIVE", created=1)),
            "current duplicate",
        ),
        ((document("b", "STATE_ACTIVE", created=1), document("a", "STATE_ACTIVE", created=1)), "duplicate current"),
        ((document("a", "STATE_ACTIVE"), document("b", "STATE_PENDING")), "current duplicate"),
        (
            (document("a", "STATE_ACTIVE", OLD, created=2), document("b", "STATE_ACTIVE", OLD, created=1)),
            "superseded current",
        ),
        # what is gone stands for nothing
        ((document("a", "STATE_ACTIVE", role=Role.GONE), document("b", "STATE_ACTIVE")), "gone current"),
        # a document that carries nothing is of no payload that we know
        ((document("a", "STATE_ACTIVE", ""), document("b", "STATE_ACTIVE")), "superseded current"),
    ],
)
def test_roles(documents: tuple[Document, ...], expected: str) -> None:
    assert " ".join(roles(*documents).values()) == expected


ALL = [document("x", s, p, r) for s in STATES for p in (NEW, OLD) for r in (Role.CANDIDATE, Role.CURRENT, Role.GONE)]


@pytest.mark.parametrize("first", ALL, ids=lambda d: f"{d.state or 'unseen'}-{d.payload}-{d.role}")
def test_whatever_three_documents_there_are(first: Document) -> None:
    for second, third in itertools.product(ALL, ALL):
        three = tuple(
            document(name, d.state, d.payload, d.role, created)
            for name, d, created in (("a", first, 3), ("b", second, 2), ("c", third, 1))
        )
        after = assign(three, NOW)
        assert [d.name for d in after] == ["a", "b", "c"]
        current = [d for d in after if d.role is Role.CURRENT]
        assert len(current) <= 1
        assert all(d.state == "STATE_ACTIVE" for d in current)
        active = [d for d in three if d.role is not Role.GONE and d.state == "STATE_ACTIVE"]
        assert bool(current) == bool(active)
        if any(d.payload == NOW for d in active):
            assert current[0].payload == NOW
            assert not any(d.role is Role.CANDIDATE for d in after)
        assert all((d.role is Role.GONE) == (was.role is Role.GONE) for d, was in zip(after, three, strict=True))
        assert assign(after, NOW) == after, "a second look changes nothing"
