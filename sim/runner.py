# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The one place that runs cocotb, through its Python runner, on Verilator.

Runs are cocotb's; builds are ours. cocotb's own build makes every signal public, which takes large
designs from seconds to many minutes, needs make, and compiles Verilator's runtime every time. Ours
exposes the ports only, and shares the cache and the compilers of :mod:`midwire.sim.build`.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from ..hw.errors import DataError
from .build import BuildTarget, build
from .errors import BenchError, ToolchainError
from .toolchain import bench_obstacle

Frames = npt.NDArray[np.uint8] | Sequence[bytes]
"""Frames of one port: an array (count, bytes), or bytes of any length each."""

PORTS = ("clk", "aresetn", "s*_axi*", "m*_axi*")
"""Signals of the top that a bench sees, as patterns."""

CYCLES_PER_BYTE = 64
"""Default limit of a bench, for each combination of pauses: cycles per byte moved ..."""

SLACK_CYCLES = 200_000
"""... and cycles on top."""

VECTORS_VARIABLE = "MIDWIRE_BENCH_VECTORS"
SEED_VARIABLE = "MIDWIRE_BENCH_SEED"
CYCLES_VARIABLE = "MIDWIRE_BENCH_CYCLES"
"""What the bench, inside the simulator, is told by."""

_SHOWN_LINES = 30


def run_bench(
    verilog: Sequence[Path],
    top: str,
    inputs: Sequence[Frames],
    expected: Sequence[Frames],
    *,
    images_dir: Path | None = None,
    seed: int | None = None,
    cycles: int | None = None,
    cache_dir: Path | None = None,
) -> None:
    """Run frames through a design under the shared bench, source pauses crossed with sink pauses.

    Parameters
    ----------
    verilog : sequence of Path
        All Verilog files of the design.
    top : str
        Module with ports ``clk``, ``aresetn``, ``s{i}_axis_*`` and ``m{i}_axis_*``.
    inputs, expected : sequence
        Frames of each input port, and those that each output port must send.
    images_dir : Path, optional
        Folder of the memory images.
    seed : int, optional
        Seed of the pauses; a random one by default. Printed, and part of errors.
    cycles : int, optional
        Fail if the frames are not through after so many cycles.
    cache_dir : Path, optional
        As for :func:`midwire.sim.build.build_model`.

    Raises
    ------
    BenchError
        If an output differs, a rule of the streams is broken, or time runs out.
    """
    if seed is None:
        seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"bench of {top}: seed {seed}\n")
    vectors: dict[str, Any] = {}
    for side, ports in (("in", inputs), ("out", expected)):
        for index, frames in enumerate(ports):
            raw = [bytes(frame) for frame in frames]
            vectors[f"{side}{index}"] = np.frombuffer(b"".join(raw), np.uint8)
            vectors[f"{side}{index}_lengths"] = np.array([len(frame) for frame in raw], np.int64)
    if cycles is None:
        cycles = SLACK_CYCLES + CYCLES_PER_BYTE * sum(array.size for array in vectors.values())
    with tempfile.TemporaryDirectory(prefix="midwire-bench-") as folder:
        path = Path(folder) / "vectors.npz"
        np.savez(path, **vectors)
        run_cocotb(
            verilog,
            top,
            f"{__package__}.bench",
            images_dir=images_dir,
            seed=seed,
            environment={
                VECTORS_VARIABLE: str(path),
                SEED_VARIABLE: str(seed),
                CYCLES_VARIABLE: str(cycles),
            },
            cache_dir=cache_dir,
        )


def run_cocotb(
    verilog: Sequence[Path],
    top: str,
    test_module: str | Path,
    *,
    images_dir: Path | None = None,
    seed: int = 0,
    environment: Mapping[str, str] | None = None,
    ports: Sequence[str] = PORTS,
    cache_dir: Path | None = None,
) -> None:
    """Run a cocotb test module on a design; returns if all its tests pass.

    Parameters
    ----------
    verilog, top
        The design.
    test_module : str or Path
        Module to import in the simulator, or a Python file.
    images_dir : Path, optional
        Folder of the memory images.
    seed : int, optional
        cocotb's random seed.
    environment : mapping, optional
        Added to the simulator's environment.
    ports : sequence of str, optional
        Patterns of the top's signals that the tests use.
    cache_dir : Path, optional
        As for :func:`midwire.sim.build.build_model`.

    Raises
    ------
    BenchError
        If a test fails, or the simulator ends too early.
    ToolchainError
        If cocotb, Verilator or a compiler is missing.
    """
    obstacle = bench_obstacle()
    if obstacle is not None:
        raise ToolchainError(obstacle)
    if isinstance(test_module, Path):
        if not test_module.is_file():
            raise DataError("the cocotb test module does not exist", where=str(test_module))
        search, module = str(test_module.resolve().parent), test_module.stem
    else:
        search, module = "", test_module
    program = build(verilog, top, _target(top, ports), cache_dir=cache_dir)
    runner = _runner(search)
    arguments = [] if images_dir is None else [f"+midwire_images={images_dir.resolve()}"]
    with tempfile.TemporaryDirectory(prefix="midwire-cocotb-") as folder:
        results, log = Path(folder) / "results.xml", Path(folder) / "log.txt"
        # The runner tells failure by exceptions that differ with and without pytest, and by prints:
        # the results file and the log say all that matters.
        with contextlib.suppress(SystemExit, RuntimeError), _quiet():
            runner.test(
                test_module=module,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=program.parent,
                test_dir=folder,
                results_xml=str(results),
                log_file=log,
                plusargs=arguments,
                seed=seed,
                extra_env={"COCOTB_ANSI_OUTPUT": "0", **(environment or {})},
            )
        _judge(top, seed, results, log)


def _target(top: str, ports: Sequence[str]) -> BuildTarget:
    import cocotb_tools.config

    libraries = cocotb_tools.config.libs_dir
    source = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    rules = [f'public_flat_rw -module "{top}" -var "{pattern}"' for pattern in ports]
    return BuildTarget(
        prefix="Vtop",
        output=top,
        sources=(Path(source),),
        control="\n".join(["`verilator_config", *rules]) + "\n",
        verilator_flags=("--vpi",),
        link_flags=(f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-lcocotbvpi_verilator"),
        runtime=("verilated.cpp", "verilated_threads.cpp", "verilated_vpi.cpp"),
    )


def _runner(search: str) -> Any:
    from cocotb_tools.runner import Verilator

    class PortsRunner(Verilator):
        """cocotb's runner, for a program that is built already."""

        def _set_env_test(self) -> None:
            super()._set_env_test()
            # The module is looked up from the simulator's working directory, unless told otherwise.
            if search:
                self.env["PYTHONPATH"] = os.pathsep.join([search, self.env["PYTHONPATH"]])

    runner = PortsRunner()
    runner.log.setLevel("CRITICAL")
    return runner


@contextlib.contextmanager
def _quiet() -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _judge(top: str, seed: int, results: Path, log: Path) -> None:
    text = log.read_text(errors="replace") if log.exists() else ""
    tail = "\n".join(text.strip().splitlines()[-_SHOWN_LINES:])
    if not results.exists():
        raise BenchError(
            "the simulator ended without results",
            where=f"bench of {top}, seed {seed}",
            found=tail or "no output",
        )
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    failed = []
    for case in cases:
        for kind in ("failure", "error"):
            for node in case.findall(kind):
                failed.append(f"{case.get('name')}: {_reason(node)}")
    if failed:
        raise BenchError(
            f"{len(failed)} of {len(cases)} tests failed",
            where=f"bench of {top}, seed {seed}",
            found="\n".join(failed),
        )
    if not cases:
        raise BenchError(
            "the test module has no cocotb tests",
            where=f"bench of {top}",
            found=tail or "no output",
        )


def _reason(node: ElementTree.Element) -> str:
    return node.get("message") or (node.text or "").strip() or "no reason given"
