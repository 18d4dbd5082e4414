"""A process on a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time

from tests.support.command import COMMAND, TIMEOUT_S, Place, environment


class Terminal:
    """The command with a pseudo-terminal for stdin, stdout and stderr; what it writes is in ``text``."""

    def __init__(self, place: Place, *arguments: str, piped_out: bool = False, **env: str) -> None:
        self._master, slave = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=place.folder,
            env=environment(place.folder, **({"TERM": "xterm-256color", "COLUMNS": "100"} | env)),
            stdin=slave,
            stdout=subprocess.DEVNULL if piped_out else slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def until(self, wanted: str, within_s: float = TIMEOUT_S) -> str:
        """Read until that text was written, or fail."""
        ends = time.monotonic() + within_s
        while wanted not in self.text:
            if not self._read(ends - time.monotonic()):
                raise AssertionError(f"{wanted!r} is not in {self.text!r}")
        return self.text

    def type(self, text: str) -> None:
        """As if typed."""
        os.write(self._master, text.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Read to the end; the exit code."""
        ends = time.monotonic() + TIMEOUT_S
        while self._read(ends - time.monotonic()):
            pass
        try:
            return self.process.wait(TIMEOUT_S)
        finally:
            os.close(self._master)

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(TIMEOUT_S)

    def _read(self, within_s: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(within_s, 0))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65_536)
        except OSError:
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)
