# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Builds the NIC's program: one packet loop in C++, linked with one datapath."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...hw.console import Console
from ...sim.build import build_executable
from ...sim.program import build_program
from ...sim.toolchain import find_compiler
from ..wire import cpp_header

FOLDER = Path(__file__).resolve().parent.parent / "cpp"
GENERATED = {cpp_header.NAME: cpp_header.text()}
PREFIX = "Vnic"


def build_rtl(verilog: Sequence[Path], top: str, console: Console | None = None) -> Path:
    """The program of the Verilated pipeline ``top``, out of the cache or built now.

    Says so while it builds.

    Raises
    ------
    ToolchainError, BuildError
        As :func:`midwire.sim.build.build_executable`.
    """
    said = -1

    def progress(done: int, total: int) -> None:
        nonlocal said
        quarter = 4 * done // total
        if console is None or quarter == said:
            return
        if said < 0:
            console.say(f"building the NIC with {find_compiler().name} (only the first time)")
        else:
            console.say(f"building the NIC: {done} of {total} steps")
        said = quarter

    sources = [FOLDER / "nic.cpp", FOLDER / "rtl_datapath.cpp"]
    return build_executable(verilog, top, sources, PREFIX, generated=GENERATED, progress=progress)


def build_several(verilog: Mapping[str, str], top: str, console: Console | None = None) -> Path:
    """As :func:`build_rtl`, of texts by file name."""
    with tempfile.TemporaryDirectory(prefix="midwire-") as folder:
        paths = [Path(folder, name) for name in verilog]
        for path, text in zip(paths, verilog.values(), strict=True):
            path.write_text(text, "utf-8")
        return build_rtl(paths, top, console)


def build_reference() -> Path:
    """The program around the numpy reference; the same for every bundle.

    Raises
    ------
    ToolchainError, BuildError
        As :func:`midwire.sim.program.build_program`.
    """
    sources = [FOLDER / "nic.cpp", FOLDER / "reference_datapath.cpp"]
    return build_program("reference_nic", sources, GENERATED)
