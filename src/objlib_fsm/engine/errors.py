"""Why a run stops before its work is done."""

from __future__ import annotations

from typing import Final

from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.remote.port import CallFailed


class StoreProblem(Exception):
    """The store cannot be used; ``hint`` says what to do, ``exit_code`` is the process's answer."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


STORE_GONE_EXIT: Final = 10
LATER_EXIT: Final = 4
REFUSED_EXIT: Final = 6

_HALTS: Final = {
    Reason.DAILY_QUOTA: (LATER_EXIT, "the project's daily quota is used up; run again tomorrow"),
    Reason.STORAGE_LIMIT: (
        LATER_EXIT,
        "the project's storage is full: raw files of the last 48 hours count too and go by themselves; "
        "otherwise delete documents or stores, or raise the tier",
    ),
    Reason.BAD_KEY: (REFUSED_EXIT, "check GEMINI_API_KEY, GOOGLE_API_KEY or --api-key-file"),
    Reason.INVALID_ARGUMENT: (
        REFUSED_EXIT,
        "the service refuses every file alike: look at one with `objlib-fsm audit`",
    ),
    Reason.UNSUPPORTED_TYPE: (
        REFUSED_EXIT,
        "the service refuses every file alike: look at one with `objlib-fsm audit`",
    ),
    Reason.FORBIDDEN: (REFUSED_EXIT, "check that the key belongs to the project that owns the store"),
}


def exit_code_of(error: StoreProblem | Halted | CallFailed) -> int:
    """The process's answer to what ended a run before its work."""
    if isinstance(error, CallFailed):
        refused = error.failure.outcome in (Outcome.REJECTED, Outcome.HALTED)
        return REFUSED_EXIT if refused else LATER_EXIT
    return error.exit_code


class Halted(Exception):
    """No call of this run can succeed; no file was changed by it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message or failure.reason)
        self.failure = failure
        self.exit_code, self.hint = _HALTS.get(failure.reason, (LATER_EXIT, "run again later"))
