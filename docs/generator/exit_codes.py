"""The page of exit codes."""

from __future__ import annotations

from generator.text import page as make_page
from generator.text import table
from objlib_fsm.cli.exitcodes import ExitCode


def page() -> str:
    """The page."""
    return make_page(
        "Exit codes",
        "What the process tells whoever started it. Treat a code that is not in this table as a failure.",
        table(("Code", "Meaning"), [(str(code.value), code.meaning) for code in ExitCode]),
        "After 4, 130, 143, or a kill, the same command goes on from where it stopped. "
        "[Run it from cron](../how-to/run-from-cron.md) shows how a script uses the codes.",
        "With `--json` the code is also in the last line on stdout: in `exit_code` of the summary, of the replay, or "
        "of the [error](json.md).",
    )
