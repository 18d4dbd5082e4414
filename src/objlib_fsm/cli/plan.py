"""What a run would send, what that costs and how long it takes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from objlib_fsm.cli.backend import Choice
from objlib_fsm.cli.console import Console
from objlib_fsm.cli.options import Tier
from objlib_fsm.cli.render import count, duration, size
from objlib_fsm.cli.safe import safe
from objlib_fsm.core.table import Kind
from objlib_fsm.remote.budget import TIERS, quota_day_ends_us

if TYPE_CHECKING:
    from objlib_fsm.log.sqlite import SqliteReader

BYTES_PER_TOKEN: Final = 4
"""English text; other scripts and markup differ, so price and hours are estimates."""

CALLS_PER_FILE: Final = 2
"""An upload and an import count against the tier's requests per minute; look-ups do not."""

DAY_US: Final = 86_400_000_000

LONG_HOURS: Final = 36.0
"""Raw files live 48 hours: a longer run meets its own expired uploads."""


@dataclass(frozen=True)
class Estimate:
    """What sending *files* of *size_bytes* in all takes: a price in US dollars and hours, both rough."""

    files: int
    size_bytes: int
    tier: Tier
    usd_per_million_tokens: float

    @property
    def tokens(self) -> int:
        """About so many tokens are embedded."""
        return self.size_bytes // BYTES_PER_TOKEN

    @property
    def price_usd(self) -> float:
        """What indexing them costs."""
        return self.tokens / 1_000_000 * self.usd_per_million_tokens

    @property
    def hours(self) -> float:
        """How long the tier's limits make it take: calls a minute, tokens a minute, calls a day."""
        limit, calls = TIERS[self.tier], self.files * CALLS_PER_FILE
        hours = max(calls / limit.rpm, self.tokens / limit.tpm) / 60
        days = calls // limit.daily if limit.daily is not None else 0
        return max(hours, days * 24.0)

    def lines(self) -> list[str]:
        """For a person."""
        lines = [
            f"{count(self.files, 'file')}, {size(self.size_bytes)}, about {count(self.tokens, 'token')}",
            f"about ${self.price_usd:.2f} with Gemini at ${self.usd_per_million_tokens:g} per million tokens,"
            f" about {duration(self.hours * 3600)} on {self.tier}"
            f" ({TIERS[self.tier].rpm:.0f} requests a minute)",
        ]
        if self.hours > LONG_HOURS:
            lines.append(
                f"warning: that is more than {LONG_HOURS:.0f} hours; uploads expire after 48. "
                "Use --limit N for a part, or a higher --tier"
            )
        return lines


def nothing_sent_yet(log: SqliteReader) -> bool:
    """Whether no file of this log was ever sent."""
    return not log.rows("SELECT 1 FROM names LIMIT 1")


def to_send(log: SqliteReader, limit: int | None, tier: Tier, usd_per_million_tokens: float) -> Estimate:
    """The files that the log says are to be sent."""
    most = -1 if limit is None else limit
    files, size_bytes = log.rows(
        "SELECT count(*), coalesce(sum(bytes), 0) FROM (SELECT json_extract(record, '$.size_bytes') AS bytes "
        "FROM files WHERE open = 1 AND standing = 0 AND state IN (0, 1) LIMIT ?)",
        (most,),
    )[0]
    return Estimate(files, size_bytes or 0, tier, usd_per_million_tokens)


def spent_today(log: SqliteReader, tier: Tier, now_us: int) -> int:
    """Calls of today that count against the tier's daily quota; 0 for a tier without one."""
    if TIERS[tier].daily is None:
        return 0
    day_us = quota_day_ends_us(now_us) - DAY_US
    query = "SELECT count(*) FROM events WHERE kind BETWEEN ? AND ? AND recorded_at_us >= ?"
    first, last = Kind.UPLOAD_INTENDED.value, Kind.RAW_DELETE_INTENDED.value
    return int(log.rows(query, (first, last, day_us))[0][0])


async def consent(console: Console, choice: Choice, store: str, estimate: Estimate) -> bool:
    """Ask before anything leaves this machine for the first time.  stdin is a terminal."""
    destination = "Google's Gemini service" if choice.url is None else safe(choice.url)
    console.say(f"These files go to {destination}, into the store {safe(store)!r}:")
    for line in estimate.lines():
        console.say(f"  {line}")
    sys.stderr.write("Send them? [y/N] ")
    sys.stderr.flush()
    await anyio.wait_readable(sys.stdin)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
