"""Whether the service can be used, and if not, whose fault it is: key, place, proxy, store, or the service itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import anyio

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.health import CLOCK_SLACK_S, OK, PROBLEM, WARNING, health
from objlib_fsm.cli.render import count, duration
from objlib_fsm.core.outcomes import Failure, Outcome, Reason
from objlib_fsm.remote.gemini import GeminiRemote
from objlib_fsm.remote.port import CallFailed

if TYPE_CHECKING:
    from objlib_fsm.cli.backend import Choice
    from objlib_fsm.cli.messages import Health
    from objlib_fsm.core.library_record import Pin

ANSWER_S: Final = 20.0
"""A listing of stores takes a second or two; nobody wants to wait a minute for a diagnosis."""

PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")

KEYS_PAGE: Final = "https://aistudio.google.com/apikey"
STATUS_PAGE: Final = "https://aistudio.google.com/status"

NEW_KEY: Final = "AQ."
"""How newer keys begin.  For months the service answered them with 500, and users looked elsewhere."""


def ask_service(choice: Choice, pin: Pin | None) -> Iterator[Health]:
    """List the project's stores, then look for ours: two calls that change nothing."""
    yield from anyio.run(_ask, choice, pin)


async def _ask(choice: Choice, pin: Pin | None) -> list[Health]:
    heard: list[tuple[bytes, bytes]] = []
    remote = GeminiRemote(choice.key, base_url=choice.url, heard=heard.extend)
    where = choice.url or "Gemini"
    try:
        with anyio.fail_after(ANSWER_S):
            stores = await remote.list_stores()
            found = [health("service", OK, f"{where} answers, and knows {count(len(stores), 'store')} of this project")]
            if pin is not None:
                found.append(await _store(remote, pin))
    except CallFailed as failed:
        found = [diagnose(failed.failure, choice.key)]
    except TimeoutError:
        found = [diagnose(_TOO_SLOW, choice.key)]
    finally:
        await remote.aclose()
    return [*found, *_clock(heard)]


async def _store(remote: GeminiRemote, pin: Pin) -> Health:
    try:
        store = await remote.get_store(pin.store)
    except CallFailed as failed:
        if failed.failure.reason not in (Reason.GONE, Reason.FORBIDDEN):
            raise
        return health(
            "store",
            PROBLEM,
            f"{pin.display_name} ({pin.store}) is not there, or belongs to another project than this key",
            "use the key of the project that owns it; if it was deleted: objlib-fsm store recreate",
            ExitCode.MISSING,
        )
    return health("store", OK, f"{pin.display_name} ({pin.store}): {count(store.documents, 'document')}")


def diagnose(failure: Failure, key: str) -> Health:
    """What a call that failed says about key, place, network, proxy and service."""
    said = failure.message or failure.reason.value
    if failure.reason is Reason.BAD_KEY:
        hint = f"make a new one at {KEYS_PAGE}, or name another with --api-key-file"
        return health("key", PROBLEM, f"the service refuses the API key: {said}", hint, ExitCode.REFUSED)
    if failure.reason is Reason.FORBIDDEN:
        region = failure.code == _PLACE_CODE
        return health(
            "region" if region else "key",
            PROBLEM,
            f"the service is not offered here: {said}" if region else f"this key may not do it: {said}",
            "use a project with billing, or run from a country that is served" if region else f"see {KEYS_PAGE}",
            ExitCode.REFUSED,
        )
    if failure.reason in (Reason.RATE_LIMIT, Reason.DAILY_QUOTA, Reason.STORAGE_LIMIT):
        return health("service", WARNING, f"it answers, and refuses more for now: {said}", "run again later")
    return _unreachable(failure, said, key)


def _unreachable(failure: Failure, said: str, key: str) -> Health:
    proxy = next((name for name in PROXIES if os.environ.get(name)), None)
    if failure.reason in (Reason.NETWORK, Reason.TIMEOUT):
        if proxy is not None:
            hint = f"check ${proxy}, or take the service out of it with NO_PROXY"
            return health("proxy", PROBLEM, f"no answer through the proxy of ${proxy}: {said}", hint, ExitCode.LATER)
        hint = "check the network (DNS, firewall, --endpoint); nothing is lost, run again when it is there"
        return health("network", PROBLEM, f"no answer: {said}", hint, ExitCode.LATER)
    if failure.reason is Reason.GARBLED or failure.code in _NOT_ITS_CODES:
        hint = "log in to the network, or check " + (f"${proxy}" if proxy else "the proxy and --endpoint")
        return health("proxy", PROBLEM, f"something else answers in the service's place: {said}", hint, ExitCode.LATER)
    hint = f"nothing is lost; run again later, and see {STATUS_PAGE}"
    if key.startswith(NEW_KEY):
        hint += f". The key begins with {NEW_KEY}: the service has answered such keys with 500; try one of {KEYS_PAGE}"
    return health("service", PROBLEM, f"the service is down: HTTP {failure.code}, {said}", hint, ExitCode.LATER)


_TOO_SLOW: Final = Failure(Outcome.UNAVAILABLE, Reason.TIMEOUT, f"no answer within {ANSWER_S:.0f} s")

_PLACE_CODE: Final = 400
"""With it the service says where it is not offered; 403 is about the key."""

_NOT_ITS_CODES: Final = frozenset((301, 302, 303, 307, 308, 404, 405, 407))
"""What the service does not answer to a listing of stores."""


def _clock(heard: list[tuple[bytes, bytes]]) -> list[Health]:
    dates = [value for name, value in heard if name.lower() == b"date"]
    try:
        theirs_s = parsedate_to_datetime(dates[-1].decode("ascii")).timestamp() if dates else None
    except ValueError:
        theirs_s = None
    if theirs_s is None:
        return []
    ahead_s = time.time() - theirs_s
    if abs(ahead_s) <= CLOCK_SLACK_S:
        return [health("clock", OK, "it agrees with the service's")]
    which = "ahead of" if ahead_s > 0 else "behind"
    return [
        health("clock", WARNING, f"it is {duration(abs(ahead_s))} {which} the service's", "set the clock (timedatectl)")
    ]
