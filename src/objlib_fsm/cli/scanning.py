"""How a scan alone is carried out."""

from __future__ import annotations

from pathlib import Path

import anyio

from objlib_fsm.cli import messages
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import Invocation, NotThere
from objlib_fsm.cli.place import library_root, log_path, own_paths, reading, remembered_root, there_is_a_log
from objlib_fsm.cli.report import scan_lines, scan_message, unreadable
from objlib_fsm.cli.settings import Settings
from objlib_fsm.cli.shell import opened_shell
from objlib_fsm.cli.signals import Ender
from objlib_fsm.engine.journal import Journal
from objlib_fsm.engine.scanning import Scanned
from objlib_fsm.engine.session import scan


def carry_out(inv: Invocation, library: Path | None) -> ExitCode:
    """Scan the folder; the exit code."""
    log, settings = log_path(inv), inv.settings
    remembered = None
    if there_is_a_log(log):
        with reading(inv) as reader:
            remembered = remembered_root(reader)
    root = library_root(library, remembered, log)
    if not root.is_dir():
        raise NotThere(f"{root}: there is no such folder", "is its disk mounted? Otherwise name the library")
    return anyio.run(_scan, inv, root, log, settings)


async def _scan(inv: Invocation, root: Path, log: Path, settings: Settings) -> ExitCode:
    console, scanned, error = inv.console, None, None
    ender = Ender(console)
    with opened_shell(log, "scan") as shell:
        journal = Journal(shell.log, shell.clock, shell.random_bytes)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ender.watch)
            with ender.scope:
                try:
                    ignore, rules = settings.ignore, settings.metadata
                    scanned = await scan(journal, shell, root, own_paths(log), ignore=ignore, rules=rules)
                except Exception as raised:
                    error = raised
            tasks.cancel_scope.cancel()
        if error is not None:
            raise error
        if scanned is None:
            return ender.code or ExitCode.INTERRUPTED
        code = ExitCode.FAILED if unreadable(shell.log) or scanned.troubles else ExitCode.OK
    _show(inv, scanned, root, code)
    return code


def _show(inv: Invocation, scanned: Scanned, root: Path, code: ExitCode) -> None:
    if inv.json:
        inv.console.result(messages.document(scan_message(scanned, root, code)))
        return
    for line in scan_lines(scanned):
        inv.console.out(line)
    if scanned.recorded:
        inv.console.say("next: objlib-fsm run")
