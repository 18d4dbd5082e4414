"""Errors as a person wants to hear them: what, which file, why, and the next command.

Nothing is lost by any of them, so none needs a traceback; an error that nobody foresaw shows one with ``--debug``.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import NamedTuple

import typer

from objlib_fsm.cli.console import Console
from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.options import WrongUse


class Problem(NamedTuple):
    """What to say, and the exit code.  ``position`` is the first bad event of a damaged log."""

    message: str
    hint: str
    code: int
    position: int | None = None


def explain(console: Console, error: BaseException) -> int:
    """Say what went wrong; the exit code."""
    error = unwrapped(error)
    if isinstance(error, SystemExit) and error.__context__ is not None:
        error = error.__context__  # typer ends so when a help text has no reader.
    if isinstance(error, BrokenPipeError) or console.reader_gone:
        return ExitCode.READER_GONE
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    problem = problem_of(error)
    if console.debug:
        console.say("".join(traceback.format_exception(error)).rstrip())
    report(console, problem)
    return problem.code


def report(console: Console, problem: Problem) -> None:
    """Say it on stderr, and with ``--json`` also as one JSON line on stdout."""
    console.complain(problem.message, problem.hint)
    if console.json_mode:
        document = {
            "type": "error",
            "message": problem.message,
            "hint": problem.hint,
            "exit_code": int(problem.code),
            "schema": 1,
        }
        if problem.position is not None:
            document["position"] = problem.position
        with contextlib.suppress(OSError):  # A full disk behind stdout: stderr has been told.
            console.result(document)


def unwrapped(error: BaseException) -> BaseException:
    """The error inside a group of one, which task groups make."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def problem_of(error: BaseException) -> Problem:
    """What *error* means to whoever called the program."""
    if isinstance(error, WrongUse):
        return Problem(str(error), error.hint, error.code)
    if isinstance(error, typer.TyperException):
        return _usage(error)
    if isinstance(error, typer.Abort):
        return Problem("stopped", "", ExitCode.INTERRUPTED)
    found = _of_engine(error)
    if found is not None:
        return found
    if isinstance(error, MemoryError):
        return Problem("there is not enough memory", "close other programs and run it again", ExitCode.INTERNAL)
    if isinstance(error, OSError):
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return Problem(what, "nothing is lost; run the command again when this is solved", ExitCode.REFUSED)
    return Problem(
        f"unexpected {type(error).__name__}: {error}",
        "nothing is lost; this is a defect of the program, and the same command with --debug shows where",
        ExitCode.INTERNAL,
    )


def _usage(error: typer.TyperException) -> Problem:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "objlib-fsm"
    return Problem(error.format_message(), f"see `{path} --help`", error.exit_code)


def _of_engine(error: BaseException) -> Problem | None:
    """Errors of the parts below, whose modules were loaded by whoever raised them."""
    if "objlib_fsm.log.contract" in sys.modules:
        from objlib_fsm.log import contract

        if isinstance(error, contract.LogError):
            return Problem(str(error), error.hint, error.exit_code, getattr(error, "position", None))
        if isinstance(error, contract.Fenced):
            return Problem(
                "another run took this log over while this one was silent", "nothing is lost: that run goes on", 11
            )
        if isinstance(error, contract.AppendRefused):
            return Problem(str(error), "another process writes to the same log; run the command again", 4)
    if "objlib_fsm.library.legacy" in sys.modules:
        from objlib_fsm.library.legacy import LegacyProblem

        if isinstance(error, LegacyProblem):
            return Problem(str(error), error.hint, ExitCode.REFUSED)
    if "objlib_fsm.library.errors" in sys.modules:
        from objlib_fsm.library import errors as library

        if isinstance(error, library.RootUnreadable):
            return Problem(str(error), "", ExitCode.REFUSED)
        if isinstance(error, library.ScanRefused):
            return Problem(str(error), "", ExitCode.MISSING)
    return _of_service(error)


def _of_service(error: BaseException) -> Problem | None:
    if "objlib_fsm.log.lease" in sys.modules:
        from objlib_fsm.log.lease import LeaseHeld

        if isinstance(error, LeaseHeld):
            from objlib_fsm.cli.render import holder

            return Problem(
                holder(error.lease),
                "wait until it ends, or let this one wait with `run --wait`; `objlib-fsm status` shows it",
                ExitCode.LOCKED,
            )
    if "objlib_fsm.engine.errors" in sys.modules:
        from objlib_fsm.engine.errors import Halted, StoreProblem

        if isinstance(error, StoreProblem | Halted):
            return Problem(str(error), error.hint, error.exit_code)
    if "objlib_fsm.engine.journal" in sys.modules:
        from objlib_fsm.engine.journal import NotAllowed

        if isinstance(error, NotAllowed):
            return Problem(str(error), "", ExitCode.REFUSED)
    if "objlib_fsm.emulator.state" in sys.modules:
        from objlib_fsm.emulator.state import StateError

        if isinstance(error, StateError):
            return Problem(str(error), "", ExitCode.REFUSED)
    return _of_calls(error)


def _of_calls(error: BaseException) -> Problem | None:
    if "objlib_fsm.remote.port" in sys.modules:
        from objlib_fsm.core.outcomes import Reason
        from objlib_fsm.engine.errors import exit_code_of
        from objlib_fsm.remote.port import CallFailed

        if isinstance(error, CallFailed):
            failure = error.failure
            said = failure.message or failure.reason.value
            if failure.reason is Reason.NETWORK or failure.reason is Reason.TIMEOUT:
                return Problem(
                    f"the service cannot be reached: {said}",
                    "nothing is lost; check the network or --endpoint, then run the command again",
                    ExitCode.LATER,
                )
            code = ExitCode(exit_code_of(error))
            return Problem(
                f"the service answered: {said}" + (f" (HTTP {failure.code})" if failure.code else ""),
                "nothing is lost" if code is ExitCode.REFUSED else "nothing is lost; run the command again later",
                code,
            )
    return None
