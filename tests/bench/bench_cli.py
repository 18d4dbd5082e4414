"""How long whole processes take: ``--help``, and ``status`` and ``audit`` at 100,000 files.

``python -m tests.bench.bench_cli [--files N] [--log FILE]``; a log that is not there is made (about a minute).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from objlib_fsm.log.sqlite import SqliteReader, open_for_reading
from tests.bench.make_log import make_log

REPEATS: Final = 15
TARGETS_MS: Final = {"--help": 150, "run --help": 150, "status": 300, "status --json": 300, "audit": 300}


def measure(arguments: list[str]) -> list[float]:
    """Wall time of whole processes in milliseconds, one after the other."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "objlib_fsm", *arguments], stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - began) * 1_000)
    return times


def main() -> int:
    """Measure, print, and say whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = options.log or Path(folder) / "log.db"
        if not log.exists():
            make_log(log, options.files)
        reader = SqliteReader(open_for_reading(log), log)
        path = str(reader.rows("SELECT path FROM files WHERE state = 3 ORDER BY rowid DESC LIMIT 1")[0][0])
        files = int(reader.rows("SELECT count(*) FROM files")[0][0])
        reader.close()
        commands = {
            "--help": ["--help"],
            "run --help": ["run", "--help"],
            "status": ["status", "--db", str(log)],
            "status --json": ["status", "--json", "--db", str(log)],
            "audit": ["audit", path, "--db", str(log)],
        }
        results = {name: measure(arguments) for name, arguments in commands.items()}
    met = True
    for name, times in results.items():
        median, target = statistics.median(times), TARGETS_MS[name]
        met = met and median <= target
        line = f"{name:<14} median {median:6.0f} ms, best {min(times):6.0f} ms, target {target} ms"
        sys.stdout.write(line + "\n")
    facts = {"python": platform.python_version(), "cores": os.cpu_count(), "files": files, "milliseconds": results}
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
