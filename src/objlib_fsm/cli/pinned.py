"""The store that a log belongs to, for commands that work on what is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from objlib_fsm.cli.backend import Choice, choose
from objlib_fsm.cli.options import Invocation, NotNow, NotThere
from objlib_fsm.cli.place import log_path, reading, remembered_root

if TYPE_CHECKING:
    from objlib_fsm.core.library_record import Pin


@dataclass(frozen=True)
class Bound:
    """A log, its library, its store, and the service that holds it."""

    log: Path
    root: Path | None
    pin: Pin
    choice: Choice


def bound(inv: Invocation) -> Bound:
    """Raises `NotThere` when nothing was indexed yet, `NotNow` when another store is asked for, `LogError`."""
    with reading(inv) as log:
        pin, root = log.library().pin, remembered_root(log)
    if pin is None:
        raise NotThere("nothing was indexed yet", "objlib-fsm run LIBRARY")
    choice = choose(inv, pin)
    wanted = inv.settings.store
    if choice.name != pin.service or wanted not in (None, pin.display_name):
        raise NotNow(
            f"this log belongs to the store {pin.display_name!r} of {pin.service}, "
            f"not to {wanted or pin.display_name!r} of {choice.name}",
            "leave out --store, --backend and --endpoint, or use another log with --db",
        )
    return Bound(log_path(inv), root, pin, choice)
