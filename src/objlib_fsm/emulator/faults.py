"""Which requests fail, and how: rules, matched per request, reproducible.

A rule names a fault of the catalogue below and the requests it is for.  Of the requests it matches it fires on the
``nth`` and those after it, or on each with a probability, at most ``count`` times.  The first rule that fires wins.
What a fault then does is in ``fault_effects``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, Final

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """An entry of the catalogue: what it is, the endpoints it makes sense for, its modes (the first is the default)."""

    what: str
    endpoints: tuple[str, ...] = ("*",)
    modes: tuple[str, ...] = ("",)


_CREATES: Final = ("stores.import", "stores.upload.finalize")
_ASKS: Final = ("operations.get", "upload_operations.get")
_LISTS: Final = ("files.list", "stores.list", "documents.list")

CATALOGUE: Final[Mapping[str, Fault]] = {
    "F1": Fault("429 with RetryInfo; `seconds`: its delay, 42 by default"),
    "F2": Fault("429 for the day, with a RetryInfo that is far too short"),
    "F3": Fault("429, storage limit of the project reached"),
    "F4": Fault("429 without details"),
    "F5": Fault("503 UNAVAILABLE", modes=("unavailable", "count_tokens", "overloaded")),
    "F6": Fault("503 of the upload front end, without X-Goog-Upload-Status", ("*.upload.*",)),
    "F7": Fault("500 INTERNAL"),
    "F8": Fault("transient 400 'Failed to create file.'", ("stores.import", "*.upload.*")),
    "F9": Fault("the raw file expires just now: 403", ("stores.import", "files.get", "files.delete", "files.download")),
    "F10": Fault("400 FAILED_PRECONDITION, file not ACTIVE", ("stores.import",)),
    "F11": Fault("connection closed before processing", modes=("closed", "reset")),
    "F12": Fault("processed and committed, then the connection is closed", modes=("closed", "reset")),
    "F13": Fault("processed and committed, the reply comes `seconds` (an hour by default) later"),
    "F14": Fault(
        "the operation misbehaves; `misnamed`: it names another document, `raw_named`: the raw file",
        _CREATES + _ASKS,
        ("never_done", "error", "gone", "name_only", "misnamed", "raw_named"),
    ),
    "F15": Fault("the document misbehaves", (*_CREATES, "documents.get"), ("pending", "failed", "failed_after_active")),
    "F16": Fault(
        "the listing misbehaves", _LISTS, ("lag", "duplicate", "missing", "empty_page", "same_token", "unavailable")
    ),
    "F17": Fault(
        "a broken reply",
        modes=("html_502", "json_502", "empty_503", "empty_200", "object_200", "broken_200", "truncated_200"),
    ),
    "F18": Fault(
        "a broken upload reply", ("*.upload.finalize", "*.upload.start"), ("active", "no_file", "other", "no_url")
    ),
    "F19": Fault("hang: nothing is ever sent, or the headers and never the body", modes=("accept", "headers")),
    "F20": Fault("the body is read slowly: `bytes_per_s`, a megabyte by default, and then processed"),
    "F21": Fault(
        "a reply from the future: unknown enumeration values, unknown fields, nanoseconds",
        modes=("all", "enum", "fields", "nanos"),
    ),
    "F22": Fault("404 HTML of a method that is gone, or 409 for a raw file's id", modes=("html_404", "conflict")),
    "F23": Fault(
        "a deleted document is still cited, or an ACTIVE one is not found yet, for `seconds` (a day by default)",
        ("documents.delete", *_CREATES),
        ("cited", "unsearchable"),
    ),
}

_ONLY_FOR_MODE: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("F18", "no_url"): ("*.upload.start",),
    ("F18", "active"): ("*.upload.finalize",),
    ("F18", "no_file"): ("*.upload.finalize",),
    ("F18", "other"): ("*.upload.finalize",),
    ("F22", "conflict"): ("files.upload.finalize",),
    ("F23", "cited"): ("documents.delete",),
    ("F23", "unsearchable"): _CREATES,
}


class FaultError(ValueError):
    """A rule that cannot be; the message says why."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One rule.  ``endpoint`` and ``path`` are shell patterns (``documents.*``, ``*/files/ab*``)."""

    fault: str
    mode: str = ""
    endpoint: str = "*"
    method: str = "*"
    path: str = "*"
    nth: int = 1
    """The first matching request that it fires on, counted from 1."""
    count: int | None = None
    """How often it fires at most; None: for ever."""
    probability: float = 1.0
    seconds: float | None = None
    bytes_per_s: float | None = None
    message: str | None = None
    """Replaces the message of an error body."""
    commit: bool | None = None
    """Whether the request is processed although the reply is broken; None: as the mode implies."""


class _Armed:
    """A rule with what it has seen."""

    def __init__(self, rule: Rule) -> None:
        fault = CATALOGUE.get(rule.fault)
        if fault is None:
            raise FaultError(f"unknown fault {rule.fault!r}; there are {', '.join(CATALOGUE)}")
        if rule.mode and rule.mode not in fault.modes:
            raise FaultError(f"{rule.fault} has no mode {rule.mode!r}; it has {', '.join(fault.modes)}")
        if rule.nth < 1 or not 0.0 <= rule.probability <= 1.0 or (rule.count is not None and rule.count < 0):
            raise FaultError(f"{rule.fault}: nth is at least 1, count at least 0, probability between 0 and 1")
        if rule.bytes_per_s is not None and rule.bytes_per_s <= 0:
            raise FaultError(f"{rule.fault}: bytes_per_s must be positive")
        self.rule = rule if rule.mode or not fault.modes[0] else msgspec.structs.replace(rule, mode=fault.modes[0])
        self.endpoints = _ONLY_FOR_MODE.get((rule.fault, self.rule.mode), fault.endpoints)
        self.seen = 0
        self.fired = 0

    def matches(self, endpoint: str, method: str, path: str, has_page_token: bool) -> bool:
        rule = self.rule
        return (
            fnmatchcase(endpoint, rule.endpoint)
            and (rule.method in ("*", method))
            and (rule.path == "*" or fnmatchcase(path, rule.path))
            and any(fnmatchcase(endpoint, pattern) for pattern in self.endpoints)
            and (has_page_token or (rule.fault, rule.mode) != ("F16", "unavailable"))
        )


class FaultPlan:
    """Rules and what became of them.  ``seed`` decides the probabilities."""

    def __init__(self, rules: Iterable[Rule] = (), *, seed: int = 0) -> None:
        """Raises `FaultError` for a rule that cannot be."""
        self.seed = seed
        self._armed = [_Armed(rule) for rule in rules]

    def add(self, rule: Rule) -> None:
        """Add a rule behind the others.  Raises `FaultError`."""
        self._armed.append(_Armed(rule))

    def clear(self) -> None:
        """Forget all rules."""
        self._armed.clear()

    @property
    def is_empty(self) -> bool:
        """No rules: nothing to ask for a request."""
        return not self._armed

    def fire(self, endpoint: str, method: str, path: str, *, has_page_token: bool = False) -> Rule | None:
        """The rule that this request falls under, if any."""
        for number, armed in enumerate(self._armed):
            if not armed.matches(endpoint, method, path, has_page_token):
                continue
            armed.seen += 1
            rule = armed.rule
            if armed.seen < rule.nth or (rule.count is not None and armed.fired >= rule.count):
                continue
            if rule.probability < 1.0 and self._unit(number, armed.seen) >= rule.probability:
                continue
            armed.fired += 1
            return rule
        return None

    def _unit(self, number: int, seen: int) -> float:
        digest = blake2b(b"%d/%d/%d" % (self.seed, number, seen), digest_size=8).digest()
        return int.from_bytes(digest) / 2.0**64

    def report(self) -> list[dict[str, Any]]:
        """Each rule with how many requests matched it and how often it fired."""
        return [{**msgspec.to_builtins(armed.rule), "seen": armed.seen, "fired": armed.fired} for armed in self._armed]
