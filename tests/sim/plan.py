"""What happens in a seed: a service with its habits and faults, and a life of the library, drawn from one number."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from objlib_fsm.emulator.faults import CATALOGUE, Rule
from objlib_fsm.emulator.settings import Latencies, Latency, Settings

FILES_MIN, FILES_MAX = 6, 42
"""About 25 at the beginning; those that are added, changed and moved make it about 30."""

HOUR_S: Final = 3_600.0
YEAR_S: Final = 365.25 * 86_400.0

JUMPS_S: Final = (48 * HOUR_S, -48 * HOUR_S, 3 * YEAR_S, -3 * YEAR_S, 2 * HOUR_S, -2 * HOUR_S, 10.0, -10.0)
"""Wall-clock jumps: a laptop that slept, a clock that was wrong for years, summer time, NTP."""

JUMP_SHARE: Final = 0.35
"""How many episodes have one."""

PAUSES_S: Final = (0.0, 1.0, 30.0, 90.0, HOUR_S, 30 * HOUR_S, 50 * HOUR_S)
"""Between two runs: at once, and on either side of what settles and of what expires."""

READS: Final = ("files.get", "operations.get", "documents.get", "documents.list", "stores.get", "stores.list")
CHANGES: Final = ("files.upload.*", "stores.import", "documents.delete", "files.delete")

NOT_MIXED: Final = frozenset({("F23", "cited"), ("F23", "unsearchable"), ("F15", "failed_after_active")})
"""The first two concern search alone.  What becomes of a document after it was seen ACTIVE nobody hears of before
`check` or `store-sync`."""


MIXED: Final = [name for name, entry in CATALOGUE.items() if {(name, mode) for mode in entry.modes} - NOT_MIXED]


class Edit(msgspec.Struct, frozen=True):
    """Something a person does.  ``pick`` chooses the file, ``at_s`` is when; None: before the run begins."""

    what: str
    pick: int
    at_s: float | None = None


EDITS: Final = (
    "change",
    "change",
    "change",
    "add",
    "delete",
    "move",
    "back",
    "empty",
    "forget",
    "track",
    "retry",
    "describe",
    "reset",
)


class Episode(msgspec.Struct, frozen=True):
    """One run and what disturbs it.  ``dies_at_step`` counts moments, see ``tests.support.mortal``."""

    edits: tuple[Edit, ...]
    dies_at_step: int | None = None
    dies_at_s: float | None = None
    drains_at_s: float | None = None
    jump_s: float | None = None
    jumps_at_s: float = 0.0
    jumps_back: bool = False
    pause_s: float = 0.0


class Plan(msgspec.Struct, frozen=True):
    """A seed's whole life."""

    seed: int
    files: int
    settings: Settings
    rules: tuple[Rule, ...]
    paced: bool
    episodes: tuple[Episode, ...]


def plan(seed: int) -> Plan:
    """The life of that seed: always the same one."""
    r = random.Random(f"simulation {seed}")
    episodes = tuple(_episode(r, first=number == 0) for number in range(r.randint(1, 4)))
    return Plan(
        seed=seed,
        files=r.randint(FILES_MIN, FILES_MAX),
        settings=_settings(r),
        rules=tuple(_rule(r) for _ in range(r.choice((0, 2, 3, 4, 5, 6, 8)))),
        paced=r.random() < 0.4,
        episodes=episodes,
    )


def _episode(r: random.Random, *, first: bool) -> Episode:
    before = () if first else tuple(_edit(r, None) for _ in range(r.randint(0, 6)))
    beside = tuple(_edit(r, r.uniform(0.0, 40.0)) for _ in range(r.choice((0, 0, 1, 3))))
    end = r.choice(("killed at a step", "killed at a step", "killed", "drained", "", ""))
    return Episode(
        edits=before + beside,
        dies_at_step=_step(r) if end == "killed at a step" else None,
        dies_at_s=r.uniform(0.0, 60.0) if end == "killed" else None,
        drains_at_s=r.uniform(0.0, 40.0) if end == "drained" else None,
        jump_s=r.choice(JUMPS_S) if r.random() < JUMP_SHARE else None,
        jumps_at_s=r.uniform(0.0, 30.0),
        jumps_back=r.random() < 0.5,
        pause_s=r.choice(PAUSES_S),
    )


def _step(r: random.Random) -> int:
    """Early moments as often as late ones: a run has some hundreds."""
    return round(2 ** r.uniform(0.0, 9.5))


def _edit(r: random.Random, at_s: float | None) -> Edit:
    return Edit(r.choice(EDITS), r.randrange(1 << 30), at_s)


def _settings(r: random.Random) -> Settings:
    def latency(low_s: float, high_s: float) -> Latency:
        return Latency(low_s, r.uniform(low_s, high_s)) if r.random() < 0.8 else Latency()

    def share(most: float, often: float) -> float:
        return r.uniform(0.0, most) if r.random() < often else 0.0

    return Settings(
        seed=r.randrange(1 << 30),
        latencies=Latencies(
            request=latency(0.02, 0.6),
            upload=latency(0.5, 4.0),
            file_processing=latency(0.5, 8.0) if r.random() < 0.2 else Latency(),
            index=latency(0.5, 30.0),
            operation=latency(0.0, 4.0),
            listing=latency(0.5, 3.0),
        ),
        honours_chosen_ids=r.choice((True, True, True, False, "refuse")),
        expired_ids_reusable=r.random() < 0.7,
        sha256_of=r.choice(("hex_text", "digest")),
        file_failed_share=share(0.1, 0.2),
        documents_newest_first=r.random() < 0.5,
        unknown_document_code=r.choice((404, 404, 403)),
        unknown_operation_code=r.choice((404, 404, 403)),
        document_failed_share=share(0.1, 0.3),
        operation_forgotten_after_s=r.choice((None, None, 5.0, 60.0)),
        operation_never_done_share=share(0.3, 0.3),
        operation_error_share=share(0.3, 0.3),
        operation_name_only_share=share(0.3, 0.2),
    )


def _rule(r: random.Random) -> Rule:
    fault = r.choice(MIXED)
    entry = CATALOGUE[fault]
    endpoint = "*"
    if entry.endpoints == ("*",):
        endpoint = r.choice(("*", r.choice(READS), r.choice(CHANGES), r.choice(CHANGES), "stores.*"))
    if fault == "F15":
        endpoint = "stores.import"  # A look-up may come after it was seen ACTIVE: an operation may name another's.
    return Rule(
        fault=fault,
        mode=r.choice([mode for mode in entry.modes if (fault, mode) not in NOT_MIXED]),
        endpoint=endpoint,
        nth=r.choice((1, 1, 1, r.randint(1, 60))),
        count=r.choice((1, 3, 10, 30)),
        probability=r.choice((1.0, 0.5, 0.2, 0.05)),
        seconds=r.choice((None, 1.0, 20.0, 100.0)) if fault in ("F1", "F13") else None,
        bytes_per_s=r.choice((20.0, 100.0)) if fault == "F20" else None,
    )
