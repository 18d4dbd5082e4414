"""The installed command, as a process of its own, on libraries of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread

from objlib_fsm.core import events as e
from objlib_fsm.core.ids import RunId, new_event_id, short_id
from objlib_fsm.log.contract import Append, NewEvent
from objlib_fsm.log.file import open_log

SRC = Path(__file__).resolve().parents[2] / "src"
COMMAND = (sys.executable, "-m", "objlib_fsm")
TIMEOUT_S = 60

CANARY = "AQ.canary-0123456789-do-not-print"


class Done:
    """A process that ended."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.raw = out
        self.out = out.decode("utf-8", "surrogateescape")
        self.err = err.decode("utf-8", "surrogateescape")

    @property
    def lines(self) -> list[Any]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        """stdout as one JSON document."""
        return json.loads(self.out)


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment without keys, and without what the tests' own terminal says."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(SRC), "LC_ALL": "C.UTF-8", **more}


class Place:
    """A folder with a library in it, where the command runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.library = folder / "docs"
        self.library.mkdir()

    @property
    def log(self) -> Path:
        """Where the log is by default."""
        return self.folder / ".objlib" / "log.db"

    def write(self, name: str | bytes, text: str = "The moon is made of rock.\n") -> Path:
        """A file of the library."""
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.library), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *arguments: str | Path, stdin: Any = subprocess.DEVNULL, **env: str) -> subprocess.Popen[bytes]:
        """The command, under way."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=environment(self.folder, **env),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str | Path, **env: str) -> Done:
        """The command, to its end."""
        process = self.start(*arguments, **env)
        try:
            out, err = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Done(process.returncode, out, err)

    def ok(self, *arguments: str | Path, **env: str) -> Done:
        """The command, which must succeed."""
        done = self.run(*arguments, **env)
        assert done.code == 0, done.err + done.out
        return done


@contextlib.contextmanager
def serving(place: Place, *options: str) -> Iterator[str]:
    """The emulator, for the duration of the block."""
    process = place.start("emulator", "--port", "0", "--data", place.folder / "emulator.db", *options)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


def give_up(log: Path, path: str, cause: str, message: str) -> None:
    """Record that the file has failed, as a run does when the service refuses it."""
    opened = open_log(
        log,
        run=RunId(short_id(os.urandom(10))),
        actor="test",
        run_sync=anyio.to_thread.run_sync,
        random_bytes=os.urandom,
        now_us=time.time_ns() // 1_000,
    )
    try:
        record = opened.by_path(path)
        assert record is not None
        event = NewEvent(new_event_id(os.urandom), e.GaveUp(cause, message))
        opened.append_now(Append(record.stream, record.version, (event,), time.time_ns() // 1_000))
    finally:
        opened.close()
