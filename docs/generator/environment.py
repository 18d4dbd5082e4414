"""The page of environment variables, files and limits."""

from __future__ import annotations

from typing import Final

from generator.text import page as make_page
from generator.text import table
from objlib_fsm.cli import place
from objlib_fsm.cli.ask import DEFAULT_MODEL
from objlib_fsm.cli.options import DEFAULT_TIER
from objlib_fsm.cli.run import (
    BATCH_SIZE,
    BATCH_SIZE_MAX,
    BATCH_SIZE_MIN,
    CONCURRENCY,
    CONCURRENCY_MAX,
    CONCURRENCY_MIN,
    POLLS,
    POLLS_MAX,
)
from objlib_fsm.engine.store import DEFAULT_DISPLAY_NAME
from objlib_fsm.remote.budget import TIERS

VARIABLES: Final = {
    "OBJLIB_DB": "The event log, when `--db` is not given.",
    "GEMINI_API_KEY": "The API key, when `--api-key-file` is not given. Never an argument: other users of the machine "
    "can read those.",
    "GOOGLE_API_KEY": "The API key, when neither `--api-key-file` nor `GEMINI_API_KEY` is given.",
    "GOOGLE_GEMINI_BASE_URL": "The service's address, when `--endpoint` is not given; for the emulator or a proxy.",
    "HTTPS_PROXY": "A proxy for the service; also `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. Not used for addresses on "
    "this machine.",
    "NO_COLOR": "No colour, when it is not empty.",
    "FORCE_COLOR": "Colour even when the output is no terminal; wins over `NO_COLOR`.",
    "TERM": "`dumb`: no colour, and progress as plain lines.",
    "GOOGLE_GENAI_HTTP_CLIENT": "No effect; the SDK alone would obey it.",
    "GOOGLE_GENAI_CLIENT_MODE": "No effect; the SDK alone would obey it.",
}


def page() -> str:
    """The page."""
    tiers = [
        (f"`{name}`", f"{tier.rpm:,.0f}", f"{tier.tpm:,.0f}", "" if tier.daily is None else f"{tier.daily:,}")
        for name, tier in TIERS.items()
    ]
    return make_page(
        "Settings: environment, files, defaults",
        "There is no configuration file. An option wins over the environment, and the environment over what the log "
        "remembers; the library's folder, the store and the service are remembered by the log.",
        "## Environment",
        table(("Variable", "Meaning"), [(f"`{name}`", text) for name, text in VARIABLES.items()]),
        "## Files",
        table(
            ("File", "What it is"),
            [
                (
                    f"`{place.FOLDER}/{place.LOG_NAME}`",
                    "The event log: the nearest one upward from the current folder, else a new one here. `-wal` and "
                    "`-shm` beside it belong to it. Mode 0600 in a folder of mode 0700.",
                ),
                (
                    f"`{place.FOLDER}/{place.LOCAL_STORE}`",
                    "The local store of that log, when there is no API key. For a log of another name, "
                    f"`NAME.db`, it is `NAME.{place.LOCAL_STORE}`.",
                ),
                (f"`{place.FOLDER}/{place.EMULATOR}`", "The data of `objlib-fsm emulator` without `--data`."),
                ("`.objlibignore`", "Rules for files to leave out, as in `.gitignore`; in any folder of the library."),
            ],
        ),
        "## Defaults and bounds",
        table(
            ("Option", "Default", "Bounds"),
            [
                ("`--store`", f"`{DEFAULT_DISPLAY_NAME}` for a new log, else the log's own", ""),
                ("`--tier`", f"`{DEFAULT_TIER}`", ", ".join(TIERS)),
                ("`--concurrency`", str(CONCURRENCY), f"{CONCURRENCY_MIN} to {CONCURRENCY_MAX}"),
                ("`--polls`", str(POLLS), f"1 to {POLLS_MAX}"),
                ("`--batch-size`", str(BATCH_SIZE), f"{BATCH_SIZE_MIN} to {BATCH_SIZE_MAX}"),
                ("`--model`", f"`{DEFAULT_MODEL}`", ""),
            ],
        ),
        "## Tiers",
        "What `run` keeps to with the Gemini service: calls that change something (an upload and an import for each "
        "file), and tokens. The service publishes no figures for these calls; when it answers 429, `run` slows down.",
        table(("Tier", "Calls a minute", "Tokens a minute", "Calls a day"), tiers),
    )
