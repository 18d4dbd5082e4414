"""The base of all events."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from objlib_fsm.core.table import Kind


class Event(msgspec.Struct, frozen=True, gc=False):
    """The base of all events.  Abstract: it has no kind."""

    kind: ClassVar[Kind]
    schema: ClassVar[int] = 1
