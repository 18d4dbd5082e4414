"""Consent to what destroys: typed on a terminal, or given with ``--confirm``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import anyio

from objlib_fsm.cli.console import Console
from objlib_fsm.cli.options import WrongUse
from objlib_fsm.cli.render import count
from objlib_fsm.cli.safe import safe


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
    return await typed_consent(console, what, accepted, confirm, look="--dry-run")


def yes_or_no(what: str, question: str) -> bool:
    """Whether somebody at the terminal says yes to *what*.  Raises `WrongUse` when nobody can be asked."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise WrongUse(f"{what}, and nobody can be asked here", "add --yes to agree")
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def typed_consent(console: Console, what: str, accepted: Sequence[str], confirm: str | None, look: str) -> bool:
    """Whether somebody typed one of the *accepted* words, here or with ``--confirm``; *look* shows what it is about.

    Raises `WrongUse`.
    """
    words = " or ".join(accepted)
    if confirm is not None:
        if confirm in accepted:
            return True
        raise WrongUse(f"{what}; --confirm {confirm} is not the consent to that", f"look again, then --confirm {words}")
    if sys.stdin is None or not sys.stdin.isatty():
        raise WrongUse(f"{what}, and nobody can be asked here", f"look first ({look}), then --confirm {words}")
    console.say(what)
    sys.stderr.write(f"Type {safe(words)} to consent: ")
    sys.stderr.flush()
    await anyio.wait_readable(sys.stdin)
    return sys.stdin.readline().strip() in accepted
