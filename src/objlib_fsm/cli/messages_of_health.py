"""What ``backup --json`` and ``doctor --json`` write; see `messages`."""

from __future__ import annotations

import msgspec

from objlib_fsm.cli.message import Message


class BackedUp(Message, frozen=True, kw_only=True, tag="backup"):
    """A copy of the log that was proved: pages, chain, and the state folded anew.

    ``position`` is its last event, ``hash`` that event's link of the chain, ``digest`` is over all file records.
    """

    log: str
    file: str
    position: int
    files: int
    digest: str
    hash: str
    size_bytes: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What ``doctor`` looked at.  ``result`` is ``ok``, ``note``, ``warning`` or ``problem``; ``hint`` is what mends
    it, with the command; ``exit_code`` is what other commands would end with."""

    check: str
    result: str
    message: str
    hint: str = ""
    exit_code: int = 0


class Diagnosis(Message, frozen=True, kw_only=True, tag="doctor"):
    """All that ``doctor`` looked at, and the exit code of the first problem."""

    checks: list[Health]
    problems: int
    warnings: int
    exit_code: int
    bundle: str | None = None
