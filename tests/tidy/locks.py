"""What the lock files say, and what they should hold."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Final

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHONS: Final = ("3.11", "3.12", "3.13")
PLATFORMS: Final = (("linux", "Linux"), ("darwin", "Darwin"))

_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==(\S+) \\")
_HASH: Final = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def pins(text: str) -> dict[str, str]:
    """Version by name."""
    return {canonicalize_name(name): version for name, version in re.findall(rf"^{_PIN.pattern}$", text, re.MULTILINE)}


def strange_lines(text: str) -> list[str]:
    """Lines that are no comment, no exact version and no hash: an index, a folder, an address, an option."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [line for line in lines if not (_PIN.fullmatch(line) or _HASH.fullmatch(line))]


def unhashed(text: str) -> list[str]:
    """Pins without a hash."""
    lines = text.splitlines()
    pairs = itertools.pairwise([*lines, ""])
    return [line for line, after in pairs if "==" in line and not line.startswith("#") and not _HASH.fullmatch(after)]


def asked_for(requirements: list[str]) -> dict[str, str]:
    """Every package that *requirements* need on some supported Python and platform, each with who asks for it.

    Read from the installed packages; one that is not installed is named and not followed.
    """
    found: dict[str, str] = {}
    waiting = [(requirement, "pyproject.toml") for requirement in requirements]
    seen = set()
    while waiting:
        text, by = waiting.pop()
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        found.setdefault(name, by)
        key = (name, frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        waiting += [(needed, name) for needed in _needs(name, requirement.extras)]
    return found


def _needs(name: str, extras: set[str]) -> Iterator[str]:
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return
    for line in lines:
        marker = Requirement(line).marker
        if marker is None or any(marker.evaluate(dict(env)) for env in _environments(extras)):
            yield line


def _environments(extras: set[str]) -> Iterator[Mapping[str, str]]:
    here = {key: str(value) for key, value in default_environment().items()}
    for python, (platform, system), extra in itertools.product(PYTHONS, PLATFORMS, ["", *extras]):
        yield here | {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": platform,
            "platform_system": system,
            "extra": extra,
        }
