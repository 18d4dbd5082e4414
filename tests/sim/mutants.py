"""Engines with a defect, which the simulation must find: a checker that cannot fail proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from objlib_fsm.core import effects as fx
from objlib_fsm.core import fold
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.record import FileRecord
from objlib_fsm.core.table import Kind
from objlib_fsm.log import projection
from objlib_fsm.remote import classify

Mutate = Callable[[pytest.MonkeyPatch], None]


def repeats_an_import_without_looking(patch: pytest.MonkeyPatch) -> None:
    """An import whose answer was lost is made again at once."""
    real = fx._onward

    def onward(record: FileRecord, now_us: int) -> fx.Effect:
        effect = real(record, now_us)
        if isinstance(effect, fx.ListDocuments) and record.raw is not None:
            return fx.ImportRaw(record.raw.name, record.raw.payload, record.payload)
        return effect

    patch.setattr(fx, "_onward", onward)


def forgets_an_open_import(patch: pytest.MonkeyPatch) -> None:
    """The fold does not remember that an import is on its way."""
    steps = list(fold._STEP_OF)
    real = steps[Kind.IMPORT_INTENDED]

    def step(record: FileRecord, event: Any, at_us: int) -> None:
        imports, settled = record.imports, record.settled
        real(record, event, at_us)
        record.imports, record.settled = imports, settled

    steps[Kind.IMPORT_INTENDED] = step
    patch.setattr(fold, "_STEP_OF", tuple(steps))


def gives_up_what_would_pass(patch: pytest.MonkeyPatch) -> None:
    """A 503 is taken for a refusal."""
    wrong = classify.Row("unavailable", 503, None, Reason.SERVER_ERROR, Outcome.REJECTED)
    patch.setattr(classify, "ANSWERS", (wrong, *classify.ANSWERS))


def keeps_duplicates(patch: pytest.MonkeyPatch) -> None:
    """A document that must go stays."""
    patch.setattr(fx, "doomed_documents", lambda record: ())


def projects_too_little(patch: pytest.MonkeyPatch) -> None:
    """The projection is not written after a file was indexed."""
    real = projection.write

    def write(db: Any, rows: Any) -> None:
        rows = list(rows)
        real(db, [(now, stored) for now, stored in rows if now.record.state.label != "indexed" or stored is None])

    patch.setattr(projection, "write", write)


MUTANTS: Final[dict[str, Mutate]] = {
    mutate.__name__: mutate
    for mutate in (
        repeats_an_import_without_looking,
        forgets_an_open_import,
        keeps_duplicates,
        projects_too_little,
    )
}
