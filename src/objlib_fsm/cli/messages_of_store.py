"""What ``--json`` writes about stores: part of ``messages.py``, from which they are imported."""

from __future__ import annotations

import msgspec

from objlib_fsm.cli.message import Message


class Difference(msgspec.Struct, frozen=True):
    """A document that is not the same here and there; ``sign`` in rclone's manner, ``what`` its name."""

    sign: str
    what: str
    file: str | None
    document: str
    stream: str
    note: str


class StoreSync(Message, frozen=True, kw_only=True, tag="store_sync"):
    """The log against the store.

    ``documents`` are listed there, ``ours`` of them this library's; ``counts`` per kind of difference; ``plan`` is what
    putting it right does, or did when ``fixed``.
    """

    store: str
    store_name: str
    listed_at: str
    documents: int
    ours: int
    counts: dict[str, int]
    differences: list[Difference]
    plan: dict[str, int]
    fixed: bool
    exit_code: int


class Assertion(msgspec.Struct, frozen=True):
    """Something that must hold, whether it does, and the figures it rests on."""

    name: str
    ok: bool
    detail: str


class Sampled(msgspec.Struct, frozen=True):
    """A file that was asked for by its own words."""

    file: str
    found: bool


class Check(Message, frozen=True, kw_only=True, tag="check"):
    """Whether the library is stable: ``exit_code`` 0 when every assertion holds, else 5.

    ``at_work``: a run was at work meanwhile; what differs may be what it is doing, and ``exit_code`` is 4.
    """

    store: str
    store_name: str
    indexed: int
    documents: int
    foreign: int
    assertions: list[Assertion]
    sample: list[Sampled]
    at_work: bool
    exit_code: int


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """A store of the service; ``own`` is the one that the log belongs to."""

    store: str
    store_name: str
    documents: int
    active: int
    pending: int
    failed: int
    size_bytes: int
    own: bool


class Stores(Message, frozen=True, kw_only=True, tag="stores"):
    """Every store of the service."""

    service: str
    stores: list[Store]


class StoreDone(Message, frozen=True, kw_only=True, tag="store"):
    """A store was made, replaced or deleted; ``files`` are to go to the new one."""

    action: str
    store: str
    store_name: str
    files: int
    exit_code: int = 0
