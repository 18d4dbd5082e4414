"""The page of environment variables, files and limits."""

from __future__ import annotations

import json
from typing import Final

import msgspec

from generator.text import page as make_page
from generator.text import table
from objlib_fsm.cli import place
from objlib_fsm.cli.ask import DEFAULT_MODEL
from objlib_fsm.cli.settings import Key, keys
from objlib_fsm.remote.budget import TIERS

VARIABLES: Final = {
    "OBJLIB_DB": "The event log, when `--db` is not given.",
    "OBJLIB_CONFIG": "The project's settings, when `--config` is not given.",
    "OBJLIB_…": "Every setting below, by its key in capitals: `OBJLIB_TIER`, `OBJLIB_WAITS_POLL_MAX_S`. Numbers as "
    "in the file, `true` or `false`, and one pattern a line for `OBJLIB_IGNORE`. A name that is close to one of them "
    "and is none is an error.",
    "GEMINI_API_KEY": "The API key, when `--api-key-file` is not given. Never an argument: other users of the machine "
    "can read those.",
    "GOOGLE_API_KEY": "The API key, when neither `--api-key-file` nor `GEMINI_API_KEY` is given.",
    "GOOGLE_GEMINI_BASE_URL": "The service's address, when neither `--endpoint` nor `OBJLIB_ENDPOINT` is given; for "
    "the emulator or a proxy.",
    "XDG_CONFIG_HOME": "The folder of folders for settings, when it is an absolute path.",
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
        "An option wins over the environment, the environment over the project's `objlib.toml`, that over the user's "
        "`config.toml`, and that over the default ([how to](../how-to/keep-settings.md)). The library's folder, the "
        "store and the service are remembered by the log, which is never pointed at another one by a setting.",
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
                (
                    "`objlib.toml`",
                    "The project's settings: `--config FILE`, else `$OBJLIB_CONFIG`, else the nearest one from the "
                    "current folder upward, else the one beside the folder of the log.",
                ),
                (
                    "`$XDG_CONFIG_HOME/objlib/config.toml`",
                    "The user's settings; without that variable in the system's folder for settings, which is "
                    "`~/.config/objlib/config.toml` on Linux.",
                ),
                ("`.objlibignore`", "Rules for files to leave out, as in `.gitignore`; in any folder of the library."),
            ],
        ),
        "## Settings",
        "A key with a dot is in a table of that name: `waits.poll_max_s` is `poll_max_s` under `[waits]`. An unknown "
        "key is an error, and so is a value out of its bounds. The schema is "
        "[config.json](../../schemas/config.json). `ask --model` is an option only; its default is "
        f"`{DEFAULT_MODEL}`.",
        table(("Key", "Default", "Values", "Meaning"), [_row(key) for key in keys()]),
        "## Tiers",
        "What `run` keeps to with the Gemini service: calls that change something (an upload and an import for each "
        "file), and tokens. The service publishes no figures for these calls; when it answers 429, `run` slows down.",
        table(("Tier", "Calls a minute", "Tokens a minute", "Calls a day"), tiers),
    )


def _row(key: Key) -> tuple[str, str, str, str]:
    default = "" if key.default in (None, ()) else f"`{json.dumps(key.default)}`"
    return f"`{key.name}`", default, values(key), key.meaning


def values(key: Key) -> str:
    """What a setting may be, in words."""
    schema = msgspec.json.schema(key.type)
    schema = next((kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"), schema)
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    return {"boolean": "`true`, `false`", "array": "a list of text", "string": "text"}[schema["type"]]
