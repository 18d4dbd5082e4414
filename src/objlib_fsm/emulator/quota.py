"""A rate limit that counts: so many changes in any 60 seconds, and headers that say how many are left."""

from __future__ import annotations

from collections import deque
from typing import Final

from objlib_fsm.emulator.wire import ApiError

MINUTE_US: Final = 60_000_000

COUNTED: Final = frozenset(
    (
        "files.upload.start",
        "files.delete",
        "stores.create",
        "stores.delete",
        "stores.import",
        "stores.upload.start",
        "documents.delete",
    )
)
"""Endpoints that change something.  An upload counts once, with its start."""


class Quota:
    """The changes of the last minute, of ``most`` that are allowed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun: deque[int] = deque()

    def admit(self, endpoint: str, now_us: int) -> None:
        """Count a request.  Raises `ApiError` (429 with RetryInfo) for one too many; that one is not counted."""
        if endpoint not in COUNTED:
            return
        self._forget(now_us)
        if len(self._begun) >= self._most:
            seconds = self._reset_s(now_us)
            raise ApiError(
                429,
                f"You exceeded your current quota of {self._most} requests a minute. Please retry in {seconds}s.",
                details=[{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"}],
            )
        self._begun.append(now_us)

    def headers(self, now_us: int) -> tuple[tuple[str, str], ...]:
        """What a reply says of it."""
        self._forget(now_us)
        return (
            ("x-ratelimit-limit-requests", str(self._most)),
            ("x-ratelimit-remaining-requests", str(self._most - len(self._begun))),
            ("x-ratelimit-reset-requests", f"{self._reset_s(now_us)}s"),
        )

    def _forget(self, now_us: int) -> None:
        while self._begun and not 0 <= now_us - self._begun[0] < MINUTE_US:
            self._begun.popleft()

    def _reset_s(self, now_us: int) -> int:
        """Whole seconds until one more is allowed than now."""
        return -((now_us - self._begun[0] - MINUTE_US) // 1_000_000) if self._begun else 0
