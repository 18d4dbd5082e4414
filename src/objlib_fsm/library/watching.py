"""File system events: that something below the library's folder has changed.  What, a scan finds out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

QUIET_MS: Final = 500
"""A change is told when nothing more has happened for this long: an editor writes a file in several steps."""

BUSY_MS: Final = 10_000
"""... but while files keep changing, at least this often."""

TURN_MS: Final = 1_000
"""How often a watch that sees nothing gives a sign of life."""


class EventsUnavailable(Exception):
    """The system does not tell what happens below this folder: no such facility, or no watches left."""


async def changes(root: Path, own_paths: Sequence[Path]) -> AsyncIterator[bool]:
    """False when events are being collected, and from time to time while there are none; True after a change.

    Our own files below *root*, which is an absolute path without links, do not count.  Raises `EventsUnavailable`.
    """
    import watchfiles

    own = tuple(str(path.resolve()) for path in own_paths)  # SQLite's files beside them begin alike.
    try:
        async for changed in watchfiles.awatch(
            root,
            watch_filter=lambda _, path: not path.startswith(own),
            debounce=BUSY_MS,
            step=QUIET_MS,
            rust_timeout=TURN_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            yield bool(changed)
    except (OSError, RuntimeError) as error:  # What it raises when the system refuses; its own error is the latter.
        raise EventsUnavailable(str(error)) from error
