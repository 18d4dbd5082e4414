"""``status --duplicates``: files of the same content, and what it costs to have each of them in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objlib_fsm.cli import messages
from objlib_fsm.cli.plan import Estimate
from objlib_fsm.cli.render import count, size
from objlib_fsm.cli.safe import safe

if TYPE_CHECKING:
    from objlib_fsm.cli.console import Console
    from objlib_fsm.cli.settings import Settings
    from objlib_fsm.log.sqlite import SqliteReader

_GROUPS = (
    "SELECT json_group_array(path ORDER BY path), max(json_extract(record, '$.size_bytes')) FROM files "
    "WHERE (standing = 0 OR state = 3) AND json_extract(record, '$.source_hash') <> '' "
    "GROUP BY json_extract(record, '$.source_hash') HAVING count(*) > 1"
)
"""Files that the store holds or is to hold."""


def duplicates(log: SqliteReader, settings: Settings) -> messages.Duplicates:
    """The groups, those that cost most first, and what all but one of each costs."""
    import msgspec

    groups = [
        messages.DuplicateGroup(msgspec.json.decode(paths, type=list[str]), int(size_bytes or 0))
        for paths, size_bytes in log.rows(_GROUPS)
    ]
    groups.sort(key=lambda group: (-_extra_bytes(group), group.files[0]))
    files = sum(len(group.files) - 1 for group in groups)
    price = settings.prices.usd_per_million_tokens
    extra = Estimate(files, sum(map(_extra_bytes, groups)), settings.tier, price)
    return messages.Duplicates(groups, extra.files, extra.size_bytes, extra.tokens, round(extra.price_usd, 6))


def _extra_bytes(group: messages.DuplicateGroup) -> int:
    return (len(group.files) - 1) * group.size_bytes


def show(console: Console, found: messages.Duplicates) -> None:
    """The groups for a person."""
    for group in found.groups:
        console.out(f"{count(len(group.files), 'file')} of {size(group.size_bytes)}, the same content:")
        for path in group.files:
            console.out(f"  {safe(path)}")
        if console.reader_gone:
            return
    if not found.groups:
        console.out("no two files have the same content")
        return
    console.out(
        f"{count(found.extra_files, 'document')} more than there are contents: {size(found.size_bytes)}, "
        f"about {count(found.tokens, 'token')}, about ${found.price_usd:.2f}"
    )
