"""Bodies of events to bytes and back, through the chain of upcasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from objlib_fsm.core.events import EVENT_TYPES, Event
from objlib_fsm.core.table import Kind

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
"""One step: the body of schema version n as that of version n + 1."""

UPCASTS: Final[dict[tuple[Kind, int], Upcast]] = {}
"""``(kind, version)`` to the step that leads to ``version + 1``."""


class UnreadableEvent(ValueError):
    """A stored event that this program cannot read: an unknown kind, a newer schema, or a damaged body."""


class Codec:
    """Bodies to bytes and back, through the upcast chain.

    The one of this program is `CODEC`; the types and steps are parameters so that a chain can be proved by a test
    before the first one is needed.
    """

    def __init__(self, types: Mapping[Kind, type[Event]], upcasts: Mapping[tuple[Kind, int], Upcast]) -> None:
        self._upcasts = dict(upcasts)
        self._encoder = msgspec.json.Encoder()
        self._types = dict(types)
        self._decode = {int(kind): msgspec.json.Decoder(cls).decode for kind, cls in types.items()}
        self._schema = {int(kind): cls.schema for kind, cls in types.items()}
        for kind, cls in types.items():
            missing = [v for v in range(1, cls.schema) if (kind, v) not in self._upcasts]
            assert not missing, f"{kind.label}: no step from schema version {missing}"

    def encode(self, event: Event) -> bytes:
        """The body of *event* as it is stored."""
        return self._encoder.encode(event)

    def decode(self, kind: int, schema: int, body: bytes) -> Event:
        """The event of a stored row.  Raises `UnreadableEvent`."""
        current = self._schema.get(kind)
        if current is None:
            raise UnreadableEvent(f"event kind {kind} is unknown: the log was written by a newer program")
        try:
            if schema == current:
                event: Event = self._decode[kind](body)
                return event
            return self._upcast(Kind(kind), schema, body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnreadableEvent(f"the body of a {Kind(kind).label} event cannot be read: {error}") from None

    def _upcast(self, kind: Kind, schema: int, body: bytes) -> Event:
        current = self._schema[kind]
        if not 1 <= schema < current:
            raise UnreadableEvent(
                f"{kind.label} has schema version {schema}, this program reads up to {current}: "
                "the log was written by a newer program"
            )
        fields = msgspec.json.decode(body, type=dict[str, Any])
        for version in range(schema, current):
            try:
                fields = self._upcasts[kind, version](fields)
            except (LookupError, TypeError, ValueError) as error:
                raise UnreadableEvent(
                    f"the body of a {kind.label} event of schema version {version} cannot be read: {error!r}"
                ) from None
        return msgspec.convert(fields, self._types[kind])


CODEC: Final = Codec(EVENT_TYPES, UPCASTS)
