"""A life played by hand, effect by effect."""

from __future__ import annotations

from typing import Any

from objlib_fsm.core import decide as d
from objlib_fsm.core import effects as fx
from objlib_fsm.core import events as e
from objlib_fsm.core.ids import DocumentName, EventId
from objlib_fsm.core.outcomes import Failure
from objlib_fsm.core.record import Call
from objlib_fsm.core.table import State
from tests.core.moves import How, Op, Step
from tests.core.service import SECOND_US, STORE, content_hash
from tests.core.shell import LIBRARY
from tests.core.walk import Walk

OLD, NEW = content_hash(0), content_hash(1)


class File(Walk):
    """A life played by hand."""

    def does(self, wanted: type[Any], how: How = How.WELL, *, n: int = 0, takes_s: float = 0.0) -> Any:
        """The next effect is of that type, and is performed; waits before it are waited."""
        effect = self.effect()
        if isinstance(effect, fx.Wait):
            self.clock.advance((effect.until_us - self.clock.now_us) / SECOND_US)
            effect = self.effect()
        assert isinstance(effect, wanted), effect
        self.perform(effect, Step(Op.PERFORM, how, n, takes_s))
        return effect

    def change(self) -> None:
        """Other bytes are found on disk."""
        assert self.tell(e.ContentChanged(8, 2, NEW, "text/markdown"))

    def at(self) -> State:
        """Where the file stands."""
        return self.record.state

    def cut_off(self, how: How) -> None:
        """The next effect is performed, and its outcome is not recorded now."""
        effect = self.effect()
        assert effect is not None
        self.perform(effect, Step(Op.PERFORM, how))

    @property
    def live(self) -> set[DocumentName]:
        """The documents that the store really holds."""
        return self.service.live(self.clock.real_us)

    @property
    def last(self) -> e.Event:
        """The latest event."""
        return self.history[-1][0]


def uploaded() -> File:
    file = File()
    file.does(fx.Upload)
    return file


def importing(how: How = How.WELL, *, n: int = 0) -> File:
    file = uploaded()
    file.does(fx.ImportRaw, how, n=n)
    return file


def indexed() -> File:
    file = importing()
    file.does(fx.Poll)
    assert file.at() is State.INDEXED
    assert file.effect() is None
    return file


def fail(file: File, effect: Any, failure: Failure) -> None:
    """Perform *effect*; it ends with *failure*."""
    call = EventId("hard-case")
    decided = d.decide(file.record, d.Begin(effect, call, LIBRARY, STORE), file.clock.now_us)
    assert isinstance(decided, tuple)
    file.append(decided)
    what = Call.UPLOAD if isinstance(effect, fx.Upload) else Call.IMPORT
    file.report(d.Failed(call, what, failure))
