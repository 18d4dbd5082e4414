"""What every document of ``--json`` has in common."""

from __future__ import annotations

from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The base of all documents."""

    schema: int = 1


def document(message: Message) -> dict[str, Any]:
    """*message* as JSON values, ``type`` first."""
    values: dict[str, Any] = msgspec.to_builtins(message)
    return values
