"""How a question is asked, and how its citations are resolved."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from objlib_fsm.cli import messages
from objlib_fsm.cli.backend import Choice, choose, service_for
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, NotNow, NotThere, WrongUse
from objlib_fsm.cli.place import log_path, reading, remembered_root
from objlib_fsm.cli.safe import safe
from objlib_fsm.cli.signals import Ender
from objlib_fsm.core.ids import StoreName, StreamId
from objlib_fsm.core.outcomes import Outcome, Reason
from objlib_fsm.core.paths import BadPath, to_bytes
from objlib_fsm.core.record import FileRecord
from objlib_fsm.engine.clock import SystemClock
from objlib_fsm.engine.errors import Halted
from objlib_fsm.engine.store import check_store
from objlib_fsm.log.sqlite import SqliteReader
from objlib_fsm.remote.port import Answer, CallFailed, Passage


def carry_out(inv: Invocation, question: str, metadata_filter: str | None, top_k: int | None, model: str) -> ExitCode:
    """Ask and show the answer; the exit code."""
    with reading(inv) as log:
        pin = log.library().pin
        if pin is None:
            raise NotThere("nothing was indexed yet", "objlib-fsm run LIBRARY")
        choice = choose(inv, pin)
        if choice.name != pin.service or inv.settings.store not in (None, pin.display_name):
            raise NotNow(
                f"this log belongs to the store {pin.display_name!r} of {pin.service}, not to "
                f"{inv.settings.store or pin.display_name!r} of {choice.name}",
                "leave out --store, --backend and --endpoint, or use another log with --db",
            )
    answer = anyio.run(_ask, inv, choice, pin.store, question, metadata_filter, top_k, model)
    if isinstance(answer, ExitCode):
        return answer
    with reading(inv) as log:
        resolved = Resolved(log, answer)
    if inv.json:
        inv.console.result(messages.document(resolved.message(question)))
    else:
        _show(inv, resolved)
    return ExitCode.OK


async def _ask(
    inv: Invocation,
    choice: Choice,
    store: StoreName,
    question: str,
    metadata_filter: str | None,
    top_k: int | None,
    model: str,
) -> Answer | ExitCode:
    """The answer, or the exit code of the signal that came first."""
    answer, error, ender = None, None, Ender(inv.console)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ender.watch)
        with ender.scope:
            try:
                async with service_for(inv.console, choice, log_path(inv)).connect() as remote:
                    try:
                        answer = await remote.ask(
                            store, question, model=model, metadata_filter=metadata_filter, top_k=top_k
                        )
                    except CallFailed as failed:
                        if failed.failure.outcome is Outcome.HALTED:
                            raise Halted(failed.failure) from failed
                        if metadata_filter is not None and failed.failure.reason is Reason.INVALID_ARGUMENT:
                            told = f"the service refuses the question with this filter: {failed.failure.message}"
                            raise WrongUse(told, "look at --filter and --where") from failed
                        if failed.failure.reason in (Reason.GONE, Reason.FORBIDDEN):
                            await check_store(SystemClock(), remote, store)
                        raise
            except Exception as raised:
                error = raised
        tasks.cancel_scope.cancel()
    if error is not None:
        raise error
    return answer if answer is not None else ender.code or ExitCode.INTERRUPTED


class Resolved:
    """An answer whose passages are traced to files; one number for each source."""

    def __init__(self, log: SqliteReader, answer: Answer) -> None:
        self.answer = answer
        self._root = remembered_root(log)
        self._library = log.library().library
        self.numbers: list[int] = []
        """The source's number of each passage."""
        self.citations: list[messages.Citation] = []
        seen: dict[str, int] = {}
        for passage in answer.passages:
            record = self._record(log, passage)
            number = seen.setdefault(record.path if record else f"\0{passage.title}", len(seen) + 1)
            self.numbers.append(number)
            self.citations.append(self._citation(number, passage, record))

    def _record(self, log: SqliteReader, passage: Passage) -> FileRecord | None:
        """The file it comes from: by our metadata, else by its title, which is the id of a raw file or document, alone
        or at the end of a full name."""
        identity, record = passage.identity, None
        if identity is not None and identity.library == self._library:
            record = log.record(StreamId(identity.stream))
        if record is None and passage.title:
            record = log.by_name(passage.title.rpartition("/")[2])
        return None if record is None or record.stray else record

    def _citation(self, number: int, passage: Passage, record: FileRecord | None) -> messages.Citation:
        if record is None:
            return messages.Citation(number, None, None, passage.title, passage.text, "unresolved")
        identity, note = passage.identity, ""
        if not record.present:
            note = "not on disk any more"
        elif identity is not None and identity.payload != record.payload:
            note = "an earlier version of the file"
        return messages.Citation(number, record.path, self._local(record), passage.title, passage.text, note)

    def _local(self, record: FileRecord) -> str | None:
        """The file's place on this machine, as seen from here when it is below."""
        if self._root is None:
            return None
        try:
            absolute = self._root / os.fsdecode(to_bytes(record.path))
        except BadPath:
            return None
        here = Path.cwd()
        return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)

    def message(self, question: str) -> messages.Ask:
        """For a program."""
        supports = [
            messages.Supported(support.start, support.end, self._cited(support.passages))
            for support in self.answer.supports
        ]
        return messages.Ask(
            question=question,
            answer=self.answer.text,
            model=self.answer.model,
            citations=self.citations,
            supports=supports,
        )

    def _cited(self, passages: tuple[int, ...]) -> list[int]:
        return sorted({self.numbers[index] for index in passages if 0 <= index < len(self.numbers)})

    def marked(self) -> str:
        """The answer with ``[n]`` after each piece that rests on source n."""
        text = self.answer.text.encode()
        marks: dict[int, set[int]] = {}
        for support in self.answer.supports:
            marks.setdefault(min(max(support.end, 0), len(text)), set()).update(self._cited(support.passages))
        parts, at = [], 0
        for end, numbers in sorted(marks.items()):
            parts.append(text[at:end])
            parts.append("".join(f" [{number}]" for number in sorted(numbers)).encode())
            at = end
        parts.append(text[at:])
        return b"".join(parts).decode("utf-8", "replace")


def _show(inv: Invocation, resolved: Resolved) -> None:
    out = inv.console.out
    out(safe(resolved.marked().strip(), lines=True) or "(no answer)")
    shown: set[int] = set()
    for citation in resolved.citations:
        if citation.number in shown:
            continue
        if not shown:
            out()
            out("Sources:")
        shown.add(citation.number)
        if citation.file is None:
            out(f"  [{citation.number}] unresolved: {safe(citation.title) or '(no title)'}")
        else:
            note = f"  ({citation.note})" if citation.note else ""
            out(f"  [{citation.number}] {safe(citation.path or citation.file)}{note}")
    if not resolved.citations:
        inv.console.say("no document was cited")
