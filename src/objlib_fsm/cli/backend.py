"""Which service, with which key: from options, environment and what the log is bound to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from objlib_fsm.cli.console import KEY_VARIABLES, Console
from objlib_fsm.cli.options import Invocation, NotNow, Tier, WrongUse
from objlib_fsm.cli.place import local_store_for
from objlib_fsm.cli.safe import safe

if TYPE_CHECKING:
    from objlib_fsm.cli.layers import Effective
    from objlib_fsm.core.library_record import Learned, Pin
    from objlib_fsm.engine.session import Service
    from objlib_fsm.remote.pacing import Pace
    from objlib_fsm.remote.port import Remote

LOCAL: Final = "local"
GEMINI: Final = "gemini"
OFFICIAL: Final = "https://generativelanguage.googleapis.com"
LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "::1"))

PLACEHOLDER_KEY: Final = "none"
"""Sent to a service on this machine when there is no key; the local store accepts any."""

KEY_FILE_BYTES_MAX: Final = 4_096
"""A key has some 40 characters; a larger file is another file."""

KEY_HINT: Final = "set GEMINI_API_KEY, or --api-key-file FILE; --backend local needs no key and stays on this machine"


@dataclass(frozen=True)
class Choice:
    """A service: ``name`` is what the log is bound to, ``url`` None for the local store and for Google's own."""

    name: str
    url: str | None
    key: str
    tier: Tier
    adaptive: bool = True

    @property
    def local(self) -> bool:
        """Whether it is the store in this process."""
        return self.name == LOCAL


def choose(inv: Invocation, pin: Pin | None) -> Choice:
    """The service to use.  ``auto`` goes on with what the log is bound to.

    Raises `WrongUse`, and `NotNow` when a key is missing or cannot be read.
    """
    effective = inv.effective()
    tier, wanted, adaptive = effective.settings.tier, effective.settings.backend, effective.settings.adaptive
    if wanted == LOCAL:
        # Somebody said that nothing leaves this machine: an address from elsewhere does not undo that.
        if inv.endpoint:
            said = effective.origins["backend"].source
            raise WrongUse(
                f"--endpoint names another service than {'--backend' if inv.backend else said + ': backend ='} local",
                "leave one of them out, or add --backend gemini",
            )
        return Choice(LOCAL, None, PLACEHOLDER_KEY, tier)
    url = _endpoint(effective)
    if wanted == "auto" and url is None and pin is not None:
        if pin.service == LOCAL:
            if find_key(inv):
                inv.console.say("this log belongs to the local store: the API key is not used")
            return Choice(LOCAL, None, PLACEHOLDER_KEY, tier)
        elif pin.service != GEMINI:
            url = _checked_url(pin.service)
    key = find_key(inv)
    if url is not None:
        if not key and urlsplit(url).hostname in LOOPBACK:
            key = PLACEHOLDER_KEY
        if not key:
            raise _no_key(url, url, pin)
        return Choice(GEMINI if url == OFFICIAL else url, None if url == OFFICIAL else url, key, tier, adaptive)
    if key:
        return Choice(GEMINI, None, key, tier, adaptive)
    if wanted == "auto" and pin is None:
        return Choice(LOCAL, None, PLACEHOLDER_KEY, tier)
    raise _no_key("the Gemini service", GEMINI, pin)


def _no_key(service: str, name: str, pin: Pin | None) -> NotNow:
    """A key would not help a log of the local store: it belongs to no other."""
    if pin is None or pin.service != LOCAL:
        return NotNow(f"there is no API key for {service}", KEY_HINT)
    return NotNow(
        f"this log belongs to the store {pin.display_name!r} of {LOCAL}, not to {name}",
        "leave out --backend and --endpoint, here and in objlib.toml, or use another log with --db",
    )


def reachable(inv: Invocation, pin: Pin | None) -> bool:
    """Whether there is a key, or a service that needs none: without, nothing can be asked of the Gemini service."""
    url = _endpoint(inv.effective()) or (pin.service if pin is not None and "://" in pin.service else "")
    return bool(find_key(inv)) or urlsplit(url).hostname in LOOPBACK


def _endpoint(effective: Effective) -> str | None:
    """The address that was set.

    Raises `NotNow` for one on another machine from a file that was only found: it would be sent the key.
    """
    text, origin = effective.settings.endpoint, effective.origins["endpoint"]
    if not text:
        return None
    url = _checked_url(text)
    if not origin.trusted and url != OFFICIAL and not _on_this_machine(url):
        raise NotNow(
            f"{origin.source}: this file came with the folder, and would have files and API key sent to {url}",
            f"if that is right: --endpoint {url}, or $OBJLIB_ENDPOINT, or endpoint = in your own config.toml",
        )
    return url


def _checked_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise WrongUse(f"{text!r} is not the address of a service", "for example --endpoint http://127.0.0.1:8080")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise WrongUse("the address of a service has neither credentials nor a query", "keys go into --api-key-file")
    return text.rstrip("/")


def find_key(inv: Invocation) -> str:
    """The API key: ``--api-key-file``, ``$GEMINI_API_KEY``, ``$GOOGLE_API_KEY``, or empty.

    It is hidden in all output from then on.  Raises `NotNow` for a file that holds none.
    """
    if inv.api_key_file is not None:
        return _remembered(inv.console, _from_file(inv.api_key_file), f"--api-key-file {inv.api_key_file}")
    found = [(name, os.environ[name].strip()) for name in KEY_VARIABLES if os.environ.get(name, "").strip()]
    if not found:
        return ""
    name, key = found[0]
    if len({value for _, value in found}) > 1:
        inv.console.say(f"both {' and '.join(KEY_VARIABLES)} are set: {name} is used")
    return _remembered(inv.console, key, f"${name}")


def key_source(inv: Invocation) -> str:
    """Where `find_key` finds the key, or empty; never the key."""
    if inv.api_key_file is not None:
        return f"--api-key-file {inv.api_key_file}"
    return next((f"${name}" for name in KEY_VARIABLES if os.environ.get(name, "").strip()), "")


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise NotNow(f"{path}: the API key cannot be read: {error.strerror}", KEY_HINT) from error
    if len(content) > KEY_FILE_BYTES_MAX:
        raise NotNow(f"{path}: this is no file with an API key, it is too large", KEY_HINT)
    return content.decode("utf-8", "replace").strip()


def _remembered(console: Console, key: str, source: str) -> str:
    if key:
        console.secrets.add(key)
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise NotNow(f"{source}: what is there is not an API key", "one line of letters, digits, dashes and dots")
    return key


def service_for(
    console: Console,
    choice: Choice,
    log: Path,
    *,
    learned: Learned | None = None,
    spent_today: int = 0,
) -> Service:
    """The service, connected to only when it is needed.

    An adaptive rate starts where *learned* says, else at the tier's; ``spent_today`` calls of a daily quota were made
    before.
    """
    from objlib_fsm.engine.clock import SystemClock
    from objlib_fsm.engine.session import Service
    from objlib_fsm.remote.pacing import Lesson, Pace, Pacer

    if choice.local:
        data = local_store_for(log)
        console.say(f"LOCAL STORE: nothing leaves this machine ({safe(str(data))})")
        return Service(lambda: _local(choice, data), LOCAL, Pace())
    if choice.url is not None and urlsplit(choice.url).scheme == "http" and not _on_this_machine(choice.url):
        console.say(f"warning: {safe(choice.url)} is not encrypted; key and files can be read on their way")
    start = Lesson(learned.tier, learned.rpm, learned.refused_rpm) if learned is not None else None
    pacer = Pacer(choice.tier, SystemClock(), adaptive=choice.adaptive, start=start, spent_today=spent_today)
    return Service(lambda: _gemini(choice, pacer), choice.name, pacer)


@contextlib.asynccontextmanager
async def _local(choice: Choice, data: Path) -> AsyncIterator[Remote]:
    from objlib_fsm.emulator.inprocess import local_service
    from objlib_fsm.remote.gemini import GeminiRemote

    async with local_service(data) as local:
        remote = GeminiRemote(choice.key, base_url=local.base_url, transport=local.transport)
        try:
            yield remote
        finally:
            await remote.aclose()


@contextlib.asynccontextmanager
async def _gemini(choice: Choice, pace: Pace) -> AsyncIterator[Remote]:
    from objlib_fsm.engine.clock import SystemClock
    from objlib_fsm.remote.gemini import GeminiRemote

    clock = SystemClock()
    remote = GeminiRemote(
        choice.key, base_url=choice.url, heard=lambda headers: pace.limits.hear(headers, clock.now_us())
    )
    try:
        yield remote
    finally:
        await remote.aclose()


def _on_this_machine(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK
