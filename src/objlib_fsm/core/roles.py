"""Which document stands for the file, and which must go: a pure function of what is known of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from objlib_fsm.core.record import Document, Role

ACTIVE: Final = "STATE_ACTIVE"
FAILED: Final = "STATE_FAILED"


def assign(documents: Iterable[Document], payload: str) -> tuple[Document, ...]:
    """The documents with their roles, given the short id of the current payload.

    Of several ACTIVE documents of the current payload the one already known as current stays, else the oldest is
    taken; the others are duplicates.  While none is ACTIVE, the ACTIVE one of an older payload stays current.
    """
    known = tuple(documents)
    if len(known) == 1:
        (only,) = known
        return (_with_role(only, _role(only, only if only.state == ACTIVE else None, False, payload)),)
    active = [d for d in known if d.role is not Role.GONE and d.state == ACTIVE]
    keep = _choose([d for d in active if d.payload == payload])
    successor = keep is not None
    if keep is None:
        keep = _choose(active)
    return tuple([_with_role(d, _role(d, keep, successor, payload)) for d in known])


def _choose(active: list[Document]) -> Document | None:
    if len(active) < 2:
        return active[0] if active else None
    for document in active:
        if document.role is Role.CURRENT:
            return document
    return min(active, key=lambda d: (d.created_at_us, d.name))


def _with_role(document: Document, role: Role) -> Document:
    return document if document.role is role else msgspec.structs.replace(document, role=role)


def _role(document: Document, keep: Document | None, successor: bool, payload: str) -> Role:
    if document.role is Role.GONE:
        return Role.GONE
    if document.state == FAILED:
        return Role.DEAD
    if keep is not None and document.name == keep.name:
        return Role.CURRENT
    if document.payload != payload:
        return Role.SUPERSEDED
    return Role.DUPLICATE if successor else Role.CANDIDATE
