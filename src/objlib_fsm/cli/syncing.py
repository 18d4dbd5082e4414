"""How the log and the store are compared, and how the differences are put right."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import anyio

from objlib_fsm.cli import messages
from objlib_fsm.cli.backend import service_for
from objlib_fsm.cli.consent import deletion_consent
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.live import shown
from objlib_fsm.cli.options import Invocation, NotThere
from objlib_fsm.cli.pinned import Bound, bound
from objlib_fsm.cli.place import listing_for, own_paths
from objlib_fsm.cli.render import count, iso, table
from objlib_fsm.cli.report import scan_lines, waiting_line
from objlib_fsm.cli.safe import safe
from objlib_fsm.cli.shell import opened_shell
from objlib_fsm.cli.signals import Ender, until_told
from objlib_fsm.cli.storesync import Wish
from objlib_fsm.core.ids import StreamId
from objlib_fsm.core.policy import deletions_max
from objlib_fsm.core.table import State
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.progress import Notice, Progress, Said, Waiting
from objlib_fsm.engine.reconcile import Reconciler
from objlib_fsm.engine.runner import Stop
from objlib_fsm.engine.session import Options, Service, Session, Shell, scan
from objlib_fsm.engine.store import check_store
from objlib_fsm.engine.sync import Comparison, Finding, Plan, Sign, findings, remember
from objlib_fsm.log.lease import LeaseHeld

MEANINGS: Final = {
    Sign.SAME: "the same",
    Sign.MISSING: "indexed here, missing there",
    Sign.UNKNOWN: "ours there, unknown here",
    Sign.PENDING: "pending or failed there, or not confirmed here",
    Sign.EXTRA: "superseded, duplicate or not wanted",
    Sign.FOREIGN: "not ours",
}
NAMES: Final = {
    Sign.SAME: "same",
    Sign.MISSING: "missing",
    Sign.UNKNOWN: "unknown",
    Sign.PENDING: "pending",
    Sign.EXTRA: "superseded",
    Sign.FOREIGN: "foreign",
}

FOREIGN_SHOWN: Final = 20
"""A store may be shared with anybody: documents of others are counted, and these are examples."""


def carry_out(inv: Invocation, wish: Wish) -> ExitCode:
    """Compare, and put right when that is wished; the exit code."""
    place = bound(inv)
    if wish.fix and not wish.dry_run and (place.root is None or not place.root.is_dir()):
        raise NotThere(
            f"{place.root}: the library is not there, so nothing can be sent again",
            "is its disk mounted? Without --fix the comparison needs no library",
        )
    return anyio.run(_sync, inv, wish, place)


async def _sync(inv: Invocation, wish: Wish, place: Bound) -> ExitCode:
    with opened_shell(place.log, "store-sync") as shell:
        return await until_told(inv.console, _Sync(inv, wish, place, shell).go)


class _Sync:
    """One comparison, in the order of what happens."""

    def __init__(self, inv: Invocation, wish: Wish, place: Bound, shell: Shell) -> None:
        self.inv, self.wish, self.place, self.shell = inv, wish, place, shell
        self.console, self.settings = inv.console, inv.settings
        self.journal = Journal(shell.log, shell.clock, shell.random_bytes)
        self.stop = Stop()
        self._waiting_us = 0

    async def go(self, ender: Ender) -> ExitCode:
        """List, compare, show, and put right."""
        fix = self.wish.fix and not self.wish.dry_run
        if fix:
            await self._scan(self._root())
        service = service_for(self.console, self.place.choice, self.place.log)
        touched: set[StreamId] | None = None
        async with service.connect() as remote:
            reconciler = Reconciler(self.journal, self.shell.log, remote, service.pace, say=self._say)
            store = await check_store(self.shell.clock, remote, self.place.pin.store)
            listing = await reconciler.listed(store, listing_for(self.place.log))
            assert listing is not None, "nobody told it to stop"
            try:
                comparison = await reconciler.compared(listing)
                differences = self._show(comparison, findings(listing))
                if fix and not comparison.same:
                    if await self._allowed(comparison):
                        touched = await reconciler.mended(listing, comparison)
                elif not self.wish.dry_run:
                    await remember(self.journal, listing, comparison)
            finally:
                listing.discard()
        code = ExitCode.OK if comparison.same else ExitCode.DIFFERENCES
        if touched is not None:
            code = await self._perform(service, touched, ender)
        elif not comparison.same and not self.wish.fix:
            self.console.say("next: objlib-fsm store-sync --fix --dry-run says what would be done")
        if self.inv.json:
            self.console.result(messages.document(self._message(comparison, differences, touched is not None, code)))
        return code

    def _root(self) -> Path:
        assert self.place.root is not None
        return self.place.root

    async def _scan(self, root: Path) -> None:
        """A file that nobody has recorded yet may be what a document there stands for."""
        own = own_paths(self.place.log)
        ignore, rules = self.settings.ignore, self.settings.metadata
        scanned = await scan(self.journal, self.shell, root, own, ignore=ignore, rules=rules)
        if scanned.recorded:
            for line in scan_lines(scanned):
                self.console.say(line)

    async def _allowed(self, comparison: Comparison) -> bool:
        allowed = deletions_max(comparison.ours, self.settings.max_delete)
        name = self.place.pin.display_name
        if await deletion_consent(self.console, comparison.plan.delete, allowed, name, self.wish.confirm):
            return True
        self.console.say("nothing was changed")
        return False

    async def _perform(self, service: Service, touched: set[StreamId], ender: Ender) -> ExitCode:
        """What follows from the facts, by the ordinary run, unless another process is at it."""

        def drain() -> None:
            self.stop.draining, self.stop.exit_code = True, ender.code

        options = Options(
            concurrency=self.settings.concurrency,
            polls=self.settings.polls,
            batch_size=self.settings.batch_size,
            only=frozenset(touched),
            waits=self.settings.waits,
            metadata=self.settings.metadata,
            recovery_limit_s=self.settings.recovery_limit_s,
        )
        ender.drain = drain
        progress = Progress(self._notice)
        try:
            async with (
                Session(self.shell) as session,
                shown(self.console, progress, self.shell.clock.monotonic),
            ):
                summary = await session.run(service, options, progress, self.stop, self._root())
        except LeaseHeld as held:
            self._say(f"{held}: that run does what is to be done")
            return ExitCode.LATER
        finally:
            ender.drain = None
        if self.stop.halted is not None:
            raise self.stop.halted
        if ender.code is not None:
            return ender.code
        return self._outcome(touched, summary.sync_due)

    def _outcome(self, touched: set[StreamId], due: bool) -> ExitCode:
        waiting = len(touched.intersection(file.stream for file in self.shell.log.open_files()))
        if waiting:
            self._say(f"{count(waiting, 'file')} not done yet: objlib-fsm run goes on from here")
            return ExitCode.LATER
        records = (self.shell.log.record(stream) for stream in touched)
        if any(record is not None and record.state is State.FAILED for record in records):
            return ExitCode.FAILED
        self._say("put right")
        return ExitCode.DIFFERENCES if due else ExitCode.OK

    # ---- what is shown -----------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self.console.say(safe(text))

    def _notice(self, notice: Notice) -> None:
        match notice:
            case Said(text):
                self._say(text)
            case Waiting(until_us, files) if until_us != self._waiting_us:
                self._waiting_us = until_us
                self.console.say(waiting_line(until_us, files))
            case _:
                pass

    def _show(self, comparison: Comparison, found: Iterable[Finding]) -> list[messages.Difference]:
        """The report for a person; for a program the differences, which are part of its one document."""
        if self.inv.json:
            return [
                messages.Difference(f.sign.value, NAMES[f.sign], f.path or None, f.document, f.stream, f.note)
                for f in found
            ]
        out, foreign = self.console.out, 0
        for finding in found:
            foreign += finding.sign is Sign.FOREIGN
            if finding.sign is not Sign.FOREIGN or foreign <= FOREIGN_SHOWN:
                out(f"{finding.sign} {safe(finding.path or finding.document)}  {safe(finding.note)}")
        if foreign > FOREIGN_SHOWN:
            out(f"{Sign.FOREIGN} and {count(foreign - FOREIGN_SHOWN, 'more document', 'more documents')}  not ours")
        rows = [
            (f"{number:,}", sign.value, MEANINGS[sign])
            for sign, number in comparison.signs.items()
            if number or sign is Sign.SAME
        ]
        for line in table(rows, right=(0,)):
            out(line)
        for line in plan_lines(comparison.plan):
            out(line)
        return []

    def _message(
        self, comparison: Comparison, differences: list[messages.Difference], fixed: bool, code: ExitCode
    ) -> messages.StoreSync:
        plan = comparison.plan
        return messages.StoreSync(
            store=self.place.pin.store,
            store_name=self.place.pin.display_name,
            listed_at=iso(comparison.began_at_us),
            documents=sum(number for sign, number in comparison.signs.items() if sign is not Sign.MISSING),
            ours=comparison.ours,
            counts={NAMES[sign]: number for sign, number in comparison.signs.items()},
            differences=differences,
            plan={name: getattr(plan, name) for name in plan.__struct_fields__},
            fixed=fixed,
            exit_code=code,
        )


def plan_lines(plan: Plan) -> list[str]:
    """What putting it right does."""
    parts = (
        (plan.send_again, "to send again"),
        (plan.confirm, "to confirm"),
        (plan.take_over, "to take over"),
        (plan.delete, "to delete"),
    )
    told = [f"{number:,} {what}" for number, what in parts if number]
    return [f"to put it right: {', '.join(told)}"] if told else []
