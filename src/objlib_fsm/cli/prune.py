"""``run --prune``: which documents of files that are missing or left out may go, and whether they may."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from objlib_fsm.cli import messages
from objlib_fsm.cli.consent import deletion_consent
from objlib_fsm.cli.render import count, iso
from objlib_fsm.cli.safe import safe
from objlib_fsm.core import events as e
from objlib_fsm.core.policy import deletions_max
from objlib_fsm.engine.reconcile import known_documents
from objlib_fsm.engine.wishing import wish
from objlib_fsm.library.values import KEPT

if TYPE_CHECKING:
    from objlib_fsm.cli.options import Invocation
    from objlib_fsm.cli.settings import Settings
    from objlib_fsm.core.record import FileRecord
    from objlib_fsm.engine.journal import Journal
    from objlib_fsm.log.sqlite import SqliteReader

FILES_SHOWN: Final = 20

DAY_US: Final = 86_400_000_000


class Plan(msgspec.Struct, frozen=True):
    """The files whose documents are to go, the longest missing first, and how many may without typed consent."""

    files: Sequence[FileRecord]
    allowed: int
    store: str | None

    @property
    def documents(self) -> int:
        """How many documents that are."""
        return sum(len(record.live_documents) for record in self.files)


def plan(
    settings: Settings, log: SqliteReader, now_us: int, back: Container[str] = (), gone: Container[str] = ()
) -> Plan:
    """What a prune would delete now.

    A look at the disk that is not recorded adds to what the log says: the paths that are *back*, and those *gone*.
    """
    before_us = now_us - round(settings.missing_days * DAY_US)
    files = []
    standing = "(0, 1, 2)" if gone else "(1, 2)"
    for record in log.records(f"standing IN {standing} AND json_extract(record, '$.documents') IS NOT NULL"):
        since_us = now_us if record.here and record.path in gone else _away_since_us(record)
        if since_us is not None and since_us <= before_us and record.path not in back and record.live_documents:
            files.append(record)
    files.sort(key=lambda record: (_away_since_us(record) or now_us, record.path))
    pin = log.library().pin
    return Plan(files, deletions_max(known_documents(log).live, settings.max_delete), pin.display_name if pin else None)


def _away_since_us(record: FileRecord) -> int | None:
    """Since when the file is missing or left out; None when a prune has nothing to do with it.

    What cannot be read is none of it: nobody wanted it to be left out.
    """
    if record.here or not record.kept:
        return None
    if not record.present:
        return record.missing_since_us
    return record.excluded_since_us if record.excluded not in KEPT else None


async def prune(inv: Invocation, journal: Journal, log: SqliteReader, now_us: int, confirm: str | None) -> bool:
    """Record what is to go, after consent; False when it was refused.  Raises `WrongUse`."""
    planned = plan(inv.settings, log, now_us)
    told = message(planned, now_us)
    if inv.json:
        inv.console.result(messages.document(told))
    for line in lines(told):
        inv.console.say(line)
    if not await deletion_consent(inv.console, planned.documents, planned.allowed, planned.store, confirm):
        return False
    await wish(journal, planned.files, e.FilePruned())
    return True


def message(planned: Plan, now_us: int) -> messages.Prune:
    """The plan for a program."""
    return messages.Prune(
        files=len(planned.files),
        documents=planned.documents,
        allowed=planned.allowed,
        first=[
            messages.Away(record.path, _why(record), iso(_away_since_us(record) or now_us))
            for record in planned.files[:FILES_SHOWN]
        ],
    )


def lines(planned: messages.Prune) -> list[str]:
    """The plan for a person."""
    if not planned.files:
        return ["prune: no document has to go"]
    told = [f"prune: {count(planned.documents, 'document')} of {count(planned.files, 'file')}"]
    told += [f"  {safe(away.file)}  {safe(away.why)} since {away.since}" for away in planned.first]
    if planned.files > len(planned.first):
        told.append(f"  and {count(planned.files - len(planned.first), 'more file', 'more files')}")
    if planned.documents > planned.allowed:
        told.append(f"  that is more than the {planned.allowed:,} that may go without typed consent")
    return told


def _why(record: FileRecord) -> str:
    return f"left out ({record.excluded})" if record.present and record.excluded else "missing"
