"""How the library is checked: assertions, each with a name, a verdict and the figures it rests on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import anyio

from objlib_fsm.cli import messages
from objlib_fsm.cli.backend import service_for
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation
from objlib_fsm.cli.pinned import Bound, bound
from objlib_fsm.cli.place import listing_for
from objlib_fsm.cli.render import count, holder
from objlib_fsm.cli.safe import safe
from objlib_fsm.cli.shell import opened_shell
from objlib_fsm.cli.signals import Ender, until_told
from objlib_fsm.core.library_record import Lease
from objlib_fsm.core.record import FileRecord
from objlib_fsm.engine.answers import answered
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.listed import Listing
from objlib_fsm.engine.reconcile import Reconciler, known_documents
from objlib_fsm.engine.session import Shell, counts
from objlib_fsm.engine.store import check_store
from objlib_fsm.engine.sync import Comparison, Sign, findings, remember
from objlib_fsm.library.excerpt import questions, text_of
from objlib_fsm.log.lease import at_work
from objlib_fsm.log.projection import HERE
from objlib_fsm.remote.pacing import Pace
from objlib_fsm.remote.port import Answer, Passage, Remote, StoreInfo

TOP_K: Final = 20
"""Passages asked for: the file must be among them.  The service's own default is about five."""

STUCK_S: Final = 4 * 3_600.0
"""A file that needs something and got nothing for so long is stuck; resumed work has four hours."""

EXAMPLES_SHOWN: Final = 3

Assertion = messages.Assertion


def carry_out(inv: Invocation, sample: int, model: str) -> ExitCode:
    """Check; the exit code."""
    return anyio.run(_check, inv, bound(inv), sample, model)


async def _check(inv: Invocation, place: Bound, sample: int, model: str) -> ExitCode:
    with opened_shell(place.log, "check") as shell:
        return await until_told(inv.console, _Check(inv, place, shell, sample, model).go)


class _Check:
    def __init__(self, inv: Invocation, place: Bound, shell: Shell, sample: int, model: str) -> None:
        self.inv, self.place, self.shell, self.sample, self.model = inv, place, shell, sample, model
        self.console = inv.console
        self.sampled: list[messages.Sampled] = []

    async def go(self, ender: Ender) -> ExitCode:
        """Ask, judge, and show."""
        log, clock = self.shell.log, self.shell.clock
        running = self._at_work()
        service = service_for(self.console, self.place.choice, self.place.log)
        journal = Journal(log, clock, self.shell.random_bytes)
        async with service.connect() as remote:
            reconciler = Reconciler(journal, log, remote, service.pace, say=lambda text: self.console.say(safe(text)))
            store = await check_store(clock, remote, self.place.pin.store)
            listing = await reconciler.listed(store, listing_for(self.place.log))
            assert listing is not None, "nobody told it to stop"
            try:
                comparison = await reconciler.compared(listing)
                store = await check_store(clock, remote, self.place.pin.store)
                assertions = [*self._compared(store, listing, comparison), self._stuck()]
                await remember(journal, listing, comparison)
                if self.sample:
                    assertions += await self._asked(remote, service.pace, listing)
            finally:
                listing.discard()
        code, running = ExitCode.OK, running or self._at_work()
        if not all(assertion.ok for assertion in assertions):
            code = ExitCode.LATER if running is not None else ExitCode.DIFFERENCES
        self._show(assertions, comparison, code, running)
        return code

    def _at_work(self) -> Lease | None:
        """Who changes log and store while they are compared: what differs then may be what is under way."""
        return at_work(self.shell.log.library().lease, self.shell.clock.now_us())

    # ---- what the listing says ---------------------------------------------------------------------------------------

    def _compared(self, store: StoreInfo, listing: Listing, comparison: Comparison) -> list[Assertion]:
        known, signs = known_documents(self.shell.log), comparison.signs
        foreign, indexed = signs[Sign.FOREIGN], counts(self.shell.log).indexed
        equal = store.documents == len(listing) and known.fewest <= comparison.ours <= known.most
        figures = (
            f"the store counts {store.documents:,}, lists {len(listing):,}; of ours {comparison.ours:,} there, "
            f"{known.live:,} here; {foreign:,} of others"
        )
        return [
            Assertion("not empty", bool(indexed and comparison.ours), f"{count(indexed, 'file')} indexed"),
            Assertion("counts equal", equal, figures),
            self._none(listing, "every indexed file present and active", (Sign.MISSING, Sign.PENDING), comparison),
            self._none(listing, "every document of ours known", (Sign.UNKNOWN,), comparison),
            self._none(listing, "nothing superfluous", (Sign.EXTRA,), comparison),
        ]

    def _none(self, listing: Listing, name: str, signs: Sequence[Sign], comparison: Comparison) -> Assertion:
        number = sum(comparison.signs[sign] for sign in signs)
        found = (finding for sign in signs for finding in findings(listing, sign))
        examples = [finding.path or finding.document for finding in itertools.islice(found, EXAMPLES_SHOWN)]
        detail = f"{count(number, 'document')}: {', '.join(examples)}" if number else "none is not"
        return Assertion(name, not number, detail if number else f"{comparison.signs[Sign.SAME]:,} the same")

    def _stuck(self) -> Assertion:
        """Files that need something, are not put off, and have not moved for long."""
        before_us = self.shell.clock.now_us() - round(STUCK_S * 1e6)
        query = (
            "SELECT path FROM files WHERE open = 1 AND coalesce(due_at_us, 0) <= ? "
            "AND coalesce(json_extract(record, '$.since_us'), 0) <= ? ORDER BY path"
        )
        stuck = [str(path) for (path,) in self.shell.log.rows(query, (before_us, before_us))]
        waiting = int(self.shell.log.rows("SELECT count(*) FROM files WHERE open = 1")[0][0])
        detail = f"{count(waiting, 'file')} under way" if waiting else "nothing is under way"
        if stuck:
            detail = f"{count(len(stuck), 'file')}: {', '.join(stuck[:EXAMPLES_SHOWN])}"
        return Assertion("nothing stuck", not stuck, detail)

    # ---- what the store answers --------------------------------------------------------------------------------------

    async def _asked(self, remote: Remote, pace: Pace, listing: Listing) -> list[Assertion]:
        found, unresolved, cited = 0, [], 0
        for record, asked in self._candidates():
            hit = False
            for question in asked:
                answer = await self._answer(remote, pace, question)
                cited += len(answer.passages)
                unresolved += [p.title for p in answer.passages if not self._resolves(listing, p)]
                hit = any(self._is_of(record, passage) for passage in answer.passages)
                if hit:
                    break
            found += hit
            self.sampled.append(messages.Sampled(record.path, hit))
            if len(self.sampled) == self.sample:
                break
        number = len(self.sampled)
        lost = [sampled.file for sampled in self.sampled if not sampled.found]
        detail = f"{found:,} of {number:,}" + (f", not {', '.join(lost[:EXAMPLES_SHOWN])}" if lost else "")
        resolved = f"{cited:,} passages" + (f", not {', '.join(unresolved[:EXAMPLES_SHOWN])}" if unresolved else "")
        return [
            Assertion("sample found by its own words", found == number > 0, detail),
            Assertion("every citation resolves", not unresolved, resolved),
        ]

    async def _answer(self, remote: Remote, pace: Pace, question: str) -> Answer:
        store = self.place.pin.store
        return await answered(
            lambda: remote.ask(store, question, model=self.model, top_k=TOP_K), self.shell.clock, pace
        )

    def _candidates(self) -> list[tuple[FileRecord, list[str]]]:
        """Indexed files that are text and as they were indexed, at random, with questions made from their words."""
        if self.place.root is None:
            return []
        log, chosen = self.shell.log, []
        query = "SELECT stream FROM files WHERE state = 3 AND standing = ? ORDER BY random() LIMIT ?"
        for (stream,) in log.rows(query, (HERE, 10 * self.sample)):
            record = log.record(stream)
            if record is None:
                continue
            text = text_of(self.place.root, record.path, record.source_hash)
            asked = questions(text) if text is not None else []
            if asked:
                chosen.append((record, asked))
                if len(chosen) == self.sample:
                    break
        return chosen

    def _is_of(self, record: FileRecord, passage: Passage) -> bool:
        """Of the file, or of another one with the same content."""
        identity = passage.identity
        if identity is not None and identity.payload == record.payload:
            return True
        cited = self.shell.log.by_name(passage.title.removeprefix("files/")) if passage.title else None
        return cited is not None and cited.stream == record.stream

    def _resolves(self, listing: Listing, passage: Passage) -> bool:
        """Whether it leads to a file of this library, or to a document of somebody else."""
        identity, log = passage.identity, self.shell.log
        if identity is not None:
            ours = identity.library == log.library().library
            if not ours or log.record(identity.stream) is not None:  # type: ignore[arg-type]
                return True
        title = passage.title.removeprefix("files/")
        if title and log.by_name(title) is not None:
            return True
        return identity is None and any(True for _ in listing.documents("display_name = ?", (title,)))

    # ---- what is shown -----------------------------------------------------------------------------------------------

    def _show(
        self, assertions: Sequence[Assertion], comparison: Comparison, code: ExitCode, running: Lease | None
    ) -> None:
        pin = self.place.pin
        if self.inv.json:
            message = messages.Check(
                store=pin.store,
                store_name=pin.display_name,
                indexed=counts(self.shell.log).indexed,
                documents=comparison.ours,
                foreign=comparison.signs[Sign.FOREIGN],
                assertions=list(assertions),
                sample=self.sampled,
                at_work=running is not None,
                exit_code=code,
            )
            self.console.result(messages.document(message))
            return
        for assertion in assertions:
            mark = self.console.styled("ok  ", "green") if assertion.ok else self.console.styled("FAIL", "bold", "red")
            self.console.out(f"{mark}  {assertion.name}: {safe(assertion.detail)}")
        if code == ExitCode.LATER and running is not None:
            self.console.out(f"not stable yet: {holder(running)}; ask again when it has ended")
        else:
            self.console.out(
                "stable" if code == ExitCode.OK else "not stable: objlib-fsm store-sync shows what differs"
            )
