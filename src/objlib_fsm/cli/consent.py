"""Consent to what destroys: typed on a terminal, or given with ``--confirm``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import anyio

from objlib_fsm.cli.console import Console
from objlib_fsm.cli.options import WrongUse
from objlib_fsm.cli.render import count
from objlib_fsm.cli.safe import safe

DELETIONS_MAX: Final = 100
DELETIONS_SHARE: Final = 10
"""A tenth of what is indexed, and never more than a hundred, may go without typed consent: a mistake that takes more
than that is noticed before it is made (an earlier tool wiped 818 files by one)."""


def deletions_allowed(indexed: int, max_delete: int | None) -> int:
    """How many documents may be deleted without typed consent, given how many files are indexed."""
    return max_delete if max_delete is not None else min(DELETIONS_MAX, indexed // DELETIONS_SHARE)


async def deletion_consent(
    console: Console, documents: int, allowed: int, store: str | None, confirm: str | None
) -> bool:
    """Whether that many documents may be deleted: asked for only above *allowed*.

    The number of documents counts as consent, and so does the store's name.  Raises `WrongUse` when nobody can be
    asked, or when *confirm* is neither of the two.
    """
    if documents <= allowed:
        return True
    accepted = [str(documents), *([store] if store else [])]
    what = f"{count(documents, 'document')} would be deleted, and {allowed:,} may be without typed consent"
    return await typed_consent(console, what, accepted, confirm)


def yes_or_no(what: str, question: str) -> bool:
    """Whether somebody at the terminal says yes to *what*.  Raises `WrongUse` when nobody can be asked."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise WrongUse(f"{what}, and nobody can be asked here", "add --yes to agree")
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def typed_consent(console: Console, what: str, accepted: Sequence[str], confirm: str | None) -> bool:
    """Whether somebody typed one of the *accepted* words, here or with ``--confirm``.  Raises `WrongUse`."""
    words = " or ".join(accepted)
    if confirm is not None:
        if confirm in accepted:
            return True
        raise WrongUse(f"{what}; --confirm {confirm} is not the consent to that", f"look again, then --confirm {words}")
    if sys.stdin is None or not sys.stdin.isatty():
        raise WrongUse(f"{what}, and nobody can be asked here", f"look first (--dry-run), then --confirm {words}")
    console.say(what)
    sys.stderr.write(f"Type {safe(words)} to consent: ")
    sys.stderr.flush()
    await anyio.wait_readable(sys.stdin)
    return sys.stdin.readline().strip() in accepted
