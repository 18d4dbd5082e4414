"""``--as-of POSITION|TIME``: a past moment of the log."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from objlib_fsm.cli.options import WrongUse

if TYPE_CHECKING:
    from objlib_fsm.log.sqlite import SqliteReader

AsOf: Final[Any] = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="POSITION|TIME",
        help="The state after that event, or at that time: 1234, 2026-11-20, 2026-11-20T22:15, with Z or +01:00.",
    ),
]


def position_of(log: SqliteReader, text: str) -> int:
    """The position that *text* means, 0 before the first event.  Times without a zone are local."""
    from objlib_fsm.log.replay import position_at

    if text.isascii() and text.isdigit():
        position, head = int(text), log.head()
        if position > head:
            raise WrongUse(f"--as-of {text}: the log's last event is {head}", "give a position or a time")
        return position
    try:
        moment = datetime.datetime.fromisoformat(text)
        at_us = round(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError, OSError):
        raise WrongUse(
            f"--as-of {text!r} is neither a position nor a time", "for example --as-of 1234 or --as-of 2026-11-20T22:15"
        ) from None
    return position_at(log, at_us)
