#!/usr/bin/env python3
"""Write the lock files from pyproject.toml (needs pip-compile of pip-tools on PATH, and Python 3.11: the oldest
supported one asks for every backport).  Further arguments go to pip-compile, `--upgrade` for instance.

The locks name no index host, and the hashes of every platform are in them: pip's own settings for further indexes and
local folders are left out, so that the result does not depend on the machine.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = (
    "# Written by `make lock` from pyproject.toml; install with: pip install --no-deps --require-hashes -r {name}\n"
)
FOREIGN_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONSTRAINT")
PIP_COMPILE = (
    "pip-compile", "--quiet", "--generate-hashes", "--strip-extras", "--no-header", "--no-annotate",
    "--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options", "--allow-unsafe",
)  # fmt: skip


def lock(name: str, requirements: list[str], arguments: list[str]) -> None:
    """Pin *requirements* and what they need in the file *name*; pins already there stay unless they must change."""
    environment = {key: value for key, value in os.environ.items() if key not in FOREIGN_SETTINGS}
    subprocess.run(
        [*PIP_COMPILE, *arguments, "--output-file", name, "-"],
        input="\n".join(requirements),
        env=environment | {"PIP_CONFIG_FILE": os.devnull},
        cwd=ROOT,
        text=True,
        check=True,
    )
    path = ROOT / name
    path.write_text(HEADER.format(name=name) + path.read_text())


def main() -> None:
    """Lock what the product needs; that and what a checkout needs; that and what the benchmark compares with."""
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"the lock is made with Python 3.11, this is {sys.version.split()[0]}: make lock PYTHON=python3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    product = project["project"]["dependencies"]
    checkout = product + groups["dev"] + project["build-system"]["requires"]
    lock("requirements.lock", product, sys.argv[1:])
    lock("requirements-dev.lock", checkout, ["--constraint", "requirements.lock", *sys.argv[1:]])
    lock("requirements-bench.lock", groups["bench"], ["--constraint", "requirements-dev.lock", *sys.argv[1:]])


if __name__ == "__main__":
    main()
