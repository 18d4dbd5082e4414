"""What the process's exit codes mean: one table, from which the reference is made.

A caller treats a code that it does not know as a failure.
"""

from __future__ import annotations

import enum
from typing import Final


class ExitCode(enum.IntEnum):
    """The exit codes.  The numbers are stable."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    FAILED = 3
    LATER = 4
    DIFFERENCES = 5
    REFUSED = 6
    DAMAGED = 7
    MISSING = 10
    LOCKED = 11
    INTERRUPTED = 130
    READER_GONE = 141
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """For the reference."""
        return MEANINGS[self]


MEANINGS: Final = {
    ExitCode.OK: "everything asked for is done, or there was nothing to do",
    ExitCode.INTERNAL: "an error in the program; `--debug` shows where",
    ExitCode.USAGE: "the command line is wrong, or it lacks an option that is needed here",
    ExitCode.FAILED: "finished, but at least one file failed or could not be read",
    ExitCode.LATER: "stopped before the end, run it again: something is due later, a quota is used up, or the service "
    "could not be reached",
    ExitCode.DIFFERENCES: "a check found differences",
    ExitCode.REFUSED: "credentials, permissions or settings do not allow it, or the log cannot be written now",
    ExitCode.DAMAGED: "the event log is damaged, or was written by a newer program",
    ExitCode.MISSING: "the log, the library, the file or the store does not exist",
    ExitCode.LOCKED: "another run is at work on this log, or another process keeps it locked",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C (SIGINT); the next run goes on from there",
    ExitCode.READER_GONE: "whoever read the output closed it (as with `| head`)",
    ExitCode.TERMINATED: "stopped by SIGTERM or SIGHUP; the next run goes on from there",
}
