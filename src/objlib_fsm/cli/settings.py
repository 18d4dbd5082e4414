"""What can be set in ``objlib.toml``: the structs from which the checks, the reference and the schema are made.

A key of a table is written with a dot (``waits.poll_max_s``); its environment variable is ``OBJLIB_`` and the key in
capitals, with an underscore for the dot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from objlib_fsm.cli.options import DEFAULT_TIER, Backend, Tier
from objlib_fsm.cli.run import (
    BATCH_SIZE,
    BATCH_SIZE_MAX,
    BATCH_SIZE_MIN,
    CONCURRENCY,
    CONCURRENCY_MAX,
    CONCURRENCY_MIN,
    POLLS,
    POLLS_MAX,
)
from objlib_fsm.core.policy import Waits
from objlib_fsm.library.metadata import DEFAULT_RULES, Rules

USD_PER_MILLION_TOKENS: Final = 0.15
"""Indexing is billed at the price of gemini-embedding-001 (ai.google.dev, File Search, pricing)."""

RECOVERY_LIMIT_S: Final = 14_400.0
"""Four hours for resumed work: a twelfth of a raw file's 48, so that what does not come to an end is reported while
there is time to do something about it.  The run goes on."""

MISSING_DAYS: Final = 7.0
"""The earlier tool's figure: long enough for a disk that is away, short enough to be remembered."""

DISPLAY_NAME_CHARS_MAX: Final = 512
"""The service's limit on a store's display name."""

PATTERNS_MAX: Final = 1_000
"""Longer lists belong into ``.objlibignore``."""


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service charges, for estimates only."""

    usd_per_million_tokens: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Indexing, in US dollars per million tokens.")
    ] = USD_PER_MILLION_TOKENS


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of `objlib.toml`.  API keys are none of them: such a file is copied, committed and backed up."""

    store: Annotated[
        Annotated[str, Meta(min_length=1, max_length=DISPLAY_NAME_CHARS_MAX)] | None,
        Meta(description="Display name of the store; `objlib` for a new log, else the log's own."),
    ] = None
    backend: Annotated[Backend, Meta(description="`auto` is `gemini` when there is a key, else `local`.")] = "auto"
    endpoint: Annotated[
        Annotated[str, Meta(min_length=1)] | None, Meta(description="Use the service at this address.")
    ] = None
    tier: Annotated[Tier, Meta(description="The project's tier, which limits requests per minute.")] = DEFAULT_TIER
    adaptive: Annotated[
        bool, Meta(description="Find out which rate the service bears; `false` keeps to the tier's.")
    ] = True
    concurrency: Annotated[int, Meta(ge=CONCURRENCY_MIN, le=CONCURRENCY_MAX, description="Uploads at once.")] = (
        CONCURRENCY
    )
    polls: Annotated[int, Meta(ge=1, le=POLLS_MAX, description="Look-ups at once.")] = POLLS
    batch_size: Annotated[
        int, Meta(ge=BATCH_SIZE_MIN, le=BATCH_SIZE_MAX, description="Files of a batch in the report.")
    ] = BATCH_SIZE
    recovery_limit_s: Annotated[
        float, Meta(ge=1, le=604_800, description="Seconds for resumed work; what is left then is reported.")
    ] = RECOVERY_LIMIT_S
    max_delete: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)] | None,
        Meta(description="Documents that may go at once without typed consent; by default 10 %, at most 100."),
    ] = None
    missing_days: Annotated[
        float, Meta(ge=0, le=36_500, description="Days that a file must have been missing before it is pruned.")
    ] = MISSING_DAYS
    ignore: Annotated[
        Annotated[tuple[str, ...], Meta(max_length=PATTERNS_MAX)],
        Meta(description="Patterns of files to leave out, as in `.objlibignore`, which wins over them."),
    ] = ()
    waits: Annotated[Waits, Meta(description="How long a run waits for the service, in seconds.")] = Waits()
    metadata: Annotated[Rules, Meta(description="How files are described, for filters and for the text sent.")] = (
        DEFAULT_RULES
    )
    prices: Annotated[Prices, Meta(description="What the service charges, for estimates.")] = Prices()


class Key(NamedTuple):
    """One thing that can be set: its dotted name, its type with the bounds, its default, and what it means."""

    name: str
    type: Any
    default: Any
    meaning: str

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.replace(".", "_").upper()


PREFIX: Final = "OBJLIB_"


def keys(struct: type[msgspec.Struct] = Settings, above: str = "") -> Iterator[Key]:
    """Everything that can be set, in the order of the structs."""
    for field in msgspec.structs.fields(struct):
        inner = getattr(field.type, "__origin__", field.type)
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from keys(inner, f"{above}{field.name}.")
        else:
            metas = getattr(field.type, "__metadata__", ())
            meaning = next((meta.description for meta in reversed(metas) if meta.description), "")
            yield Key(above + field.name, field.type, field.default, meaning)


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as tables in tables."""
    tables: dict[str, Any] = {}
    for name, value in values.items():
        *above, last = name.split(".")
        table = tables
        for part in above:
            table = table.setdefault(part, {})
        table[last] = value
    return tables
