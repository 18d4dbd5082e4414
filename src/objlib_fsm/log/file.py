"""A log opened for appending: one connection that writes, one that reads, group commit between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from objlib_fsm.core import events as e
from objlib_fsm.core.events import LIBRARY_STREAM
from objlib_fsm.core.ids import SHORT_ID_BYTES, LibraryId, RunId, new_event_id, short_id
from objlib_fsm.log.contract import Append, AppendRefused, AppendResult, Expect, NewEvent, VersionConflict
from objlib_fsm.log.group import GroupCommit
from objlib_fsm.log.replay import put_in_place, rebuild
from objlib_fsm.log.sqlite import SqliteReader, create, open_for_reading, open_for_writing
from objlib_fsm.log.writer import Committer, RunSync


class LogFile(SqliteReader):
    """`EventLog` on a SQLite file.  Make it with `open_log`."""

    def __init__(self, path: Path, *, run: RunId, actor: str, run_sync: RunSync) -> None:
        super().__init__(open_for_reading(path), path)
        self.run = run
        try:
            self._writer = SqliteReader(open_for_writing(path), path)
        except BaseException:
            super().close()
            raise
        self._committer = Committer(self._writer, run=run, actor=actor)
        self._group = GroupCommit(self._committer, run_sync)

    async def append(self, append: Append) -> AppendResult:
        """Append durably.  Raises `AppendRefused` or `LogError`; shielded from cancellation."""
        return await self._group.append(append)

    async def append_all(self, appends: Sequence[Append]) -> Sequence[AppendResult | AppendRefused]:
        """Append many; each succeeds or is refused by itself."""
        return await self._group.append_all(appends)

    def append_now(self, append: Append) -> AppendResult:
        """`append` for a caller that is not async."""
        (outcome,) = self.append_many_now((append,))
        if isinstance(outcome, AppendRefused):
            raise outcome
        return outcome

    def append_many_now(self, appends: Sequence[Append]) -> Sequence[AppendResult | AppendRefused]:
        """`append_all` for a caller that is not async, in one transaction."""
        return self._committer.commit(appends)

    def close(self) -> None:
        """Close both connections."""
        super().close()
        self._writer.close()


def open_log(
    path: Path,
    *,
    run: RunId,
    actor: str,
    run_sync: RunSync,
    random_bytes: Callable[[int], bytes],
    now_us: int,
    make: bool = False,
) -> LogFile:
    """The log at *path*, ready to append; *make* creates it.

    A projection that is not current is rebuilt first.  Raises `LogError`.
    """
    if make:
        create(path)
    writer = SqliteReader(open_for_writing(path), path)
    try:
        if not writer.projection_is_current():
            put_in_place(writer, rebuild(writer))
    finally:
        writer.close()
    log = LogFile(path, run=run, actor=actor, run_sync=run_sync)
    try:
        if not log.library().library:
            library = LibraryId(short_id(random_bytes(SHORT_ID_BYTES)))
            born = NewEvent(new_event_id(random_bytes, now_us), e.LibraryCreated(library))
            with contextlib.suppress(VersionConflict):  # Another process made it meanwhile.
                log.append_now(Append(LIBRARY_STREAM, Expect.NO_STREAM, (born,), now_us))
    except BaseException:
        log.close()
        raise
    return log
