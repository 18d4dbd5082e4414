"""What ``config`` and ``adopt`` say with ``--json``: what there is before the first run."""

from __future__ import annotations

from typing import Any

import msgspec

from objlib_fsm.cli.message import Message


class Dropped(msgspec.Struct, frozen=True):
    """A row of which there is nothing to adopt, and why."""

    file: str
    why: str


class Doubt(msgspec.Struct, frozen=True):
    """An adopted file of which something does not fit."""

    file: str
    verdict: str
    doubts: list[str]


class AdoptedFile(msgspec.Struct, frozen=True):
    """A file that was adopted, as what, and why."""

    file: str
    verdict: str
    why: str


class Adoption(Message, frozen=True, kw_only=True, tag="adoption"):
    """What was taken over from the earlier tool's database.

    ``was`` is the library's folder there.  ``verified`` says whether the store was listed.  ``adopted`` counts files by
    verdict; ``known`` files were in the log already, ``dropped`` rows have nothing to adopt.  ``deletions`` documents
    go in the next run, ``unclaimed`` ones belong to no row and are left alone.
    """

    library: str
    was: str
    store: str
    store_name: str
    service: str
    schema_version: int
    verified: bool
    dry_run: bool
    rows: int
    adopted: dict[str, int]
    known: int
    deletions: int
    unclaimed: int
    doubted: list[Doubt]
    dropped: list[Dropped]
    files: list[AdoptedFile]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting in force.  ``origin`` is ``flag``, ``environment``, ``project``, ``user`` or ``default``; ``source``
    the option, the variable, or the file with its line."""

    key: str
    value: Any
    origin: str
    source: str = ""


class Config(Message, frozen=True, kw_only=True, tag="config"):
    """The settings in force; ``files`` are the settings files that were read, by their layer."""

    settings: list[Setting]
    files: dict[str, str]
