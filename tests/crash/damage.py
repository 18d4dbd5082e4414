"""Damaged files: ``python -m tests.crash.damage --trials 500 --seed 1``.

Bits are flipped, bytes overwritten, pages zeroed or swapped, the file cut, and ``replay --check`` asked, by its whole
command line.  It answers 7 (or 5 for a projection that does not fit), or what it tells is what the sound log tells: no
change of content goes unseen.  Never a traceback, never the exit code of a defect.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from unittest import mock

from objlib_fsm.cli.exitcodes import ExitCode
from objlib_fsm.cli.main import run_program
from objlib_fsm.log import replay
from objlib_fsm.log.contract import LogError
from tests.crash.machine import Found, main, scratch
from tests.log.kit import fill, open_at, read_all, settle

FILES: Final = 30
PAGE_BYTES: Final = 4_096

Damage = Callable[[bytearray, random.Random], str]


def flip(data: bytearray, source: random.Random) -> str:
    """One bit."""
    at, bit = source.randrange(len(data)), 1 << source.randrange(8)
    data[at] ^= bit
    return f"bit {bit:#x} of byte {at} flipped"


def overwrite(data: bytearray, source: random.Random) -> str:
    """Up to 200 bytes of noise."""
    at, size = source.randrange(len(data)), source.randrange(1, 200)
    data[at : at + size] = source.randbytes(len(data[at : at + size]))
    return f"{size} bytes at {at} overwritten"


def zero_page(data: bytearray, source: random.Random) -> str:
    """A page of zeros, as a bad sector reads on some disks."""
    at = source.randrange(len(data) // PAGE_BYTES) * PAGE_BYTES
    data[at : at + PAGE_BYTES] = bytes(PAGE_BYTES)
    return f"page at {at} zeroed"


def swap_pages(data: bytearray, source: random.Random) -> str:
    """Two pages in each other's place."""
    one, two = (source.randrange(len(data) // PAGE_BYTES) * PAGE_BYTES for _ in range(2))
    data[one : one + PAGE_BYTES], data[two : two + PAGE_BYTES] = (
        data[two : two + PAGE_BYTES],
        data[one : one + PAGE_BYTES],
    )
    return f"pages at {one} and {two} swapped"


def cut(data: bytearray, source: random.Random) -> str:
    """The end is missing, to any byte."""
    size = source.randrange(len(data))
    del data[size:]
    return f"cut to {size} bytes"


KINDS: Final[tuple[Damage, ...]] = (flip, flip, flip, flip, overwrite, zero_page, swap_pages, cut)

EXPECTED: Final = {ExitCode.OK, ExitCode.DIFFERENCES, ExitCode.DAMAGED, ExitCode.MISSING}
"""`ExitCode.MISSING` is for a file that has nothing in it."""


def command(path: Path) -> tuple[int, str, str]:
    """``replay --check --json`` of the log: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_program(["replay", "--check", "--json", "--db", str(path)])
    return int(code), out.getvalue(), err.getvalue()


def content(path: Path) -> Any:
    """Every event with its evidence, and every record: what the log tells."""
    try:
        return read_all(path)
    except LogError as error:
        return error


def look(path: Path, sound: Any) -> int:
    """Ask the command, and hold its answer against what the file now tells; the exit code.  Raises `Found`."""
    code, out, err = command(path)
    if code not in EXPECTED or "Traceback" in err or "defect" in err:
        raise Found(f"exit code {code}: {err.strip()}")
    if code == ExitCode.OK and content(path) != sound:
        raise Found(f"the content is another one, and nothing was said: {out.strip()}")
    if code != ExitCode.OK and json.loads(out.splitlines()[-1])["exit_code"] != code:
        raise Found(f"exit code {code}, but the JSON says: {out.strip()}")
    return code


def make(folder: Path) -> Path:
    """A sound log of `FILES` files, all in one file."""
    log = open_at(folder / "sound.db")
    fill(log, FILES)
    settle(log)
    return log.path


def run(trials: int, seed: int) -> str:
    """Damage a sound log so many times; the report.  Raises `Found`."""
    answers: Counter[str] = Counter()
    with scratch() as folder:
        original = make(folder)
        code, out, err = command(original)
        sound, data = content(original), original.read_bytes()
        if code != ExitCode.OK or isinstance(sound, LogError):
            raise Found(f"the sound log itself: exit code {code}: {out}{err}")
        for number in range(trials):
            source = random.Random(f"{seed} {number}")
            damaged = bytearray(data)
            what = source.choice(KINDS)(damaged, source)
            work = folder / "work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            (work / "log.db").write_bytes(damaged)
            try:
                answers[ExitCode(look(work / "log.db", sound)).name.lower()] += 1
            except Found as found:
                raise Found(f"trial {number} of seed {seed}: {what}: {found}") from found
    return f"{trials} damaged logs ({dict(answers)}): no change of content unseen, no traceback"


class _Anything(bytes):
    """Equal to every hash."""

    def __eq__(self, _: object) -> bool:
        return True

    def __ne__(self, _: object) -> bool:
        return False

    __hash__ = bytes.__hash__


class _Believer:
    """``hashlib``, for a replay that takes the stored hash for the right one."""

    def sha256(self, _: bytes) -> _Believer:
        return self

    def digest(self) -> bytes:
        return _Anything()

    def hexdigest(self) -> str:
        return ""


@contextlib.contextmanager
def believing_hashes() -> Iterator[None]:
    """The seeded defect: for the length of the block no link of the chain is checked."""
    with mock.patch.object(replay, "hashlib", _Believer()):
        yield


if __name__ == "__main__":
    sys.exit(main("damage", run, "Damaged files, and what replay says of them.", trials=500))
