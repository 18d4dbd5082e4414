"""Failed files by cause, with the command that helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from objlib_fsm.core.outcomes import Reason
from objlib_fsm.core.policy import FAILURES_MAX
from objlib_fsm.core.table import State

if TYPE_CHECKING:
    from objlib_fsm.cli.messages import Cause
    from objlib_fsm.log.sqlite import SqliteReader

OF_THE_FILE: Final = (Reason.INVALID_ARGUMENT, Reason.UNSUPPORTED_TYPE, Reason.TOO_LARGE)
"""Causes that lie in the file: another attempt as it is would end the same way."""


def causes(log: SqliteReader) -> list[Cause]:
    """The failed files grouped by cause, the most frequent first, each with an example."""
    from objlib_fsm.cli.messages import Cause

    query = (
        "SELECT json_extract(record, '$.cause'), count(*), min(path), json_extract(record, '$.cause_message'), "
        "total(coalesce(json_extract(record, '$.failures'), 0) >= ?) FROM files WHERE state = ? "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    return [
        Cause(cause or "unknown", files, path, said or "", int(parked), command_for(cause or "", path))
        for cause, files, path, said, parked in log.rows(query, (FAILURES_MAX, State.FAILED.value))
    ]


def command_for(cause: str, example: str) -> str:
    """The command that helps."""
    from objlib_fsm.cli.report import shell_word

    if cause in OF_THE_FILE:
        return f"objlib-fsm audit {shell_word(example)}"
    return f"objlib-fsm retry --cause {shell_word(cause)}"


def lines(cause: Cause) -> list[str]:
    """A cause for a person."""
    from objlib_fsm.cli.render import count
    from objlib_fsm.cli.safe import safe

    told = [f"{count(cause.files, 'file')}: {safe(cause.cause)}"]
    if cause.message and cause.message != cause.cause:
        told.append(f"  said: {safe(cause.message)}")
    told.append(f"  for example: {safe(cause.example)}")
    if cause.parked:
        told.append(f"  {cause.parked:,} of them parked after {FAILURES_MAX} runs: only retry brings them back")
    in_the_file = cause.cause in OF_THE_FILE
    helps = "it lies in the file; change it, or leave it out" if in_the_file else "to try again"
    told.append(f"  {helps}: {cause.command}")
    return told
