#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Run every test, from nothing: ``python3 tests/run.py``.

Standard library only. Checks what the machine must have, makes ``.venv`` in the checkout (or uses
the virtual environment that runs this script), installs midwire and what its tests need, and runs
pytest on every core. Arguments go to pytest: ``python3 tests/run.py -k window``.

    --sweep   also run the tests that take minutes each
    --lint    run ruff, mypy and import-linter instead of the tests
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
MOST_WORKERS = 8  # each may hold a C++ compiler, about 1 GB

LINT = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy", "--package", "midwire"),
    ("mypy", "tests"),
    ("lint-imports", "--no-cache"),
)


def missing() -> list[str]:
    """Debian packages that the tests need and the machine does not have."""
    packages = [tool for tool in ("g++", "make") if shutil.which(tool) is None]
    if sys.prefix == sys.base_prefix and importlib.util.find_spec("ensurepip") is None:
        packages.append("python3-venv")
    return packages


def environment() -> Path:
    """Folder of the programs of a virtual environment that has midwire and its tests' needs."""
    if sys.prefix != sys.base_prefix:
        python = Path(sys.executable)
    else:
        python = ROOT / ".venv" / "bin" / "python"
        if not python.exists():
            print("+ making .venv", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(ROOT / ".venv")], check=True)
    # Installed again only when what is asked for has changed, so that later runs need no network.
    stamp = python.parent.parent / "midwire-tests.sha256"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest() + f" {ROOT}\n"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print("+ pip install --editable '.[test]'", flush=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--editable", ".[test]"]
        subprocess.run(install, cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
        stamp.write_text(wanted, encoding="utf-8")
    return python.parent


def main(arguments: list[str]) -> int:
    """Install, then lint or test; the exit status of the first command that fails."""
    if sys.version_info < OLDEST:
        needed = ".".join(map(str, OLDEST))
        print(f"midwire needs Python {needed} or newer, and this is {sys.version.split()[0]}.")
        return 2
    if packages := missing():
        print(f"The tests need what is missing here: sudo apt-get install {' '.join(packages)}")
        return 2
    lint = "--lint" in arguments
    try:
        bin_folder = environment()
    except subprocess.CalledProcessError as error:
        print(f"This failed, see above: {' '.join(error.cmd)}")
        return 2
    path = os.pathsep.join([str(bin_folder), os.environ.get("PATH", os.defpath)])
    workers = str(min(os.cpu_count() or 1, MOST_WORKERS))
    rest = [a for a in arguments if a != "--lint"]
    # loadfile: a module's RTL builds once, in the worker that runs the module.
    pytest = ("pytest", "--numprocesses", workers, "--dist", "loadfile", *rest)
    for name, *options in LINT if lint else (pytest,):
        print("+", name, *options, flush=True)
        status = subprocess.run(
            [str(bin_folder / name), *options],
            cwd=ROOT,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
