# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Builds Verilated models, without make, into the content-addressed cache.

Verilator writes C++; the C++ compiler is by far the slowest step. So: functions are split
(``--output-split-cfuncs``: long functions cost more than linear time), small files are joined into
units of similar size (each unit pays for the headers once), units compile in parallel, and
Verilator's own runtime is compiled once per compiler.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import cache
from .errors import BuildError
from .jobs import Job, run_jobs
from .toolchain import Compiler, Verilator, digest, find_compiler, find_verilator

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all) as a build goes on."""

DRIVER = Path(__file__).resolve().parent / "cpp" / "driver.cpp"

VERILATOR_FLAGS = (
    "--cc",
    "--no-timing",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "--output-split",
    "4000",
    "--output-split-cfuncs",
    "1000",
)
"""Functions are split small: 5.7 times cheaper to compile on large designs, and faster to run."""

FAST = ("-O2",)
SLOW = ("-O0",)
"""Constructors and ``initial`` blocks run once: optimising them is wasted."""

COMMON = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-w")
"""Hidden symbols keep the runtimes of two models in one process apart."""

HOOKS = ("-DVL_USER_FATAL", "-DVL_USER_FINISH", "-DVL_USER_STOP", "-DVL_USER_WARN")
"""The library's driver turns these events into errors: Verilator's own code ends the process."""

UNIT_BYTES = 400_000
RUNTIME_SOURCES = ("verilated.cpp", "verilated_threads.cpp")


@dataclass(frozen=True)
class Port:
    """A port of the Verilated top.

    Attributes
    ----------
    name : str
        Its Verilog name.
    direction : str
        ``"in"`` or ``"out"``.
    bits : int
        Width.
    """

    name: str
    direction: str
    bits: int


def build_model(
    verilog: Sequence[Path],
    top: str,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build the shared library of a slice-like top, for :class:`midwire.sim.model.Model`.

    Parameters
    ----------
    verilog : sequence of Path
        All Verilog files of the design. Their texts count, not their names.
    top : str
        Module with ports ``clk``, ``rst``, ``s{i}_axis_*`` and ``m{i}_axis_*``. Widths are read
        from the design.
    cache_dir : Path, optional
        Cache folder; :func:`midwire.sim.cache.default_folder` by default.
    progress : callable, optional
        Called with (done, total) steps. Never called on a cache hit.

    Returns
    -------
    Path
        The library, in the cache: do not change or move it.

    Raises
    ------
    ToolchainError
        If Verilator or a C++ compiler is missing.
    BuildError
        If a file is missing, the ports are not as they should be, or a tool refuses the design.
    """
    return _build(verilog, top, (DRIVER,), "Vmodel", True, cache_dir, progress)


def build_executable(
    verilog: Sequence[Path],
    top: str,
    sources: Sequence[Path],
    prefix: str = "Vnic",
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build an executable of a Verilated top and C++ sources with a ``main``.

    Parameters
    ----------
    verilog : sequence of Path
        All Verilog files of the design.
    top : str
        The top module.
    sources : sequence of Path
        C++17 sources. They include ``{prefix}.h``; headers beside them are found, and count in the
        cache key (``*.h`` and ``*.hpp`` in the sources' folders).
    prefix : str, optional
        Class name of the Verilated top.
    cache_dir, progress
        As for :func:`build_model`.

    Returns
    -------
    Path
        The executable, in the cache.
    """
    return _build(verilog, top, tuple(sources), prefix, False, cache_dir, progress)


def read_ports(header: str) -> list[Port]:
    """Read the ports out of the text of Verilator's ``{prefix}.h``."""
    pattern = re.compile(r"VL_(IN|OUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)(?:,\d+)?\);")
    return [
        Port(name, way.lower(), int(high) - int(low) + 1)
        for way, name, high, low in pattern.findall(header)
    ]


def port_header(top: str, ports: Sequence[Port]) -> str:
    """Return the text of ``midwire_ports.h``, from which the driver knows the streams of a top.

    Raises
    ------
    BuildError
        If the ports are not those of a slice; says which.
    """
    have = {port.name: port for port in ports}
    wanted = {"clk": ("in", 1), "rst": ("in", 1)}
    streams: dict[str, list[int]] = {"s": [], "m": []}
    for side, indices in streams.items():
        while f"{side}{len(indices)}_axis_tdata" in have:
            name = f"{side}{len(indices)}_axis_"
            forward, backward = ("in", "out") if side == "s" else ("out", "in")
            bits = have[f"{name}tdata"].bits
            if bits % 8:
                raise BuildError(
                    "the tdata of a stream must be whole bytes",
                    where=f"port {name}tdata of module {top}",
                    found=f"{bits} bits",
                )
            wanted[f"{name}tdata"] = (forward, bits)
            wanted[f"{name}tvalid"] = wanted[f"{name}tlast"] = (forward, 1)
            wanted[f"{name}tready"] = (backward, 1)
            indices.append(bits // 8)
    problems = []
    for name, (direction, bits) in wanted.items():
        port = have.get(name)
        if port is None:
            problems.append(f"{name} is missing")
        elif (port.direction, port.bits) != (direction, bits):
            problems.append(
                f"{name} is {port.direction}put of {port.bits} bits, not {direction}put of {bits}"
            )
    problems += [f"{name} belongs to no stream" for name in have if name not in wanted]
    if not streams["m"]:
        problems.append("m0_axis_tdata is missing")
    if not streams["s"]:
        problems.append("s0_axis_tdata is missing")
    if problems:
        raise BuildError(
            "the ports are not those of a slice",
            where=f"module {top}",
            expected="clk, rst, and tdata, tvalid, tready, tlast of s0_axis_, s1_axis_, ... and of "
            "m0_axis_, m1_axis_, ...",
            found="; ".join(problems),
        )
    lines = ["// Generated by midwire."]
    for name, side in (("INPUT", "s"), ("OUTPUT", "m")):
        calls = " ".join(f"X({index}, {size})" for index, size in enumerate(streams[side]))
        lines.append(f"#define MW_{name}S {len(streams[side])}")
        lines.append(f"#define MW_EACH_{name}(X) {calls}")
    return "\n".join(lines) + "\n"


def _build(
    verilog: Sequence[Path],
    top: str,
    sources: tuple[Path, ...],
    prefix: str,
    library: bool,
    cache_dir: Path | None,
    progress: Progress | None,
) -> Path:
    verilator = find_verilator()
    compiler = find_compiler()
    folder = cache_dir or cache.default_folder()
    texts = [_read(path) for path in verilog]
    headers = sorted({h for s in sources for g in ("*.h", "*.hpp") for h in s.parent.glob(g)})
    inputs = [_read(path) for path in (*sources, *headers)]
    hooks = HOOKS if library else ()
    flags = shlex.join([*VERILATOR_FLAGS, *FAST, *SLOW, *COMMON, *hooks, *_machine(compiler)])
    key = digest(
        "1",
        "library" if library else "executable",
        top,
        prefix,
        flags,
        verilator.version,
        compiler.version,
        shlex.join(compiler.command),
        *(name.name for name in (*sources, *headers)),
        str(len(texts)),
        *texts,
        *inputs,
    )
    name = "model.so" if library else "program"

    def fill(temporary: Path) -> None:
        started = time.monotonic()
        runtime = _runtime(folder, verilator, compiler, hooks)
        work = temporary / "work"
        work.mkdir()
        files = []
        for index, text in enumerate(texts):  # as they were hashed, whatever happens to them now
            files.append(work / f"{index}_{verilog[index].name}")
            files[-1].write_bytes(text)
        out = work / "cpp"
        command = [str(verilator.binary), *VERILATOR_FLAGS, "--prefix", prefix, "--top-module", top]
        command += ["--Mdir", str(out), *map(str, files)]
        run_jobs([Job(f"Verilator on {top}", command, verilator.environment)])
        header = (out / f"{prefix}.h").read_text()
        if library:
            (out / "midwire_ports.h").write_text(port_header(top, read_ports(header)))
        jobs, objects = _compile_jobs(verilator, compiler, out, sources, hooks)
        link = [*compiler.command, *_machine(compiler), "-o", str(temporary / name)]
        link += ["-shared", "-Wl,-Bsymbolic"] if library else []
        link += [*map(str, objects), *map(str, runtime), "-pthread"]
        total = len(jobs) + 2
        step = functools.partial(_report, progress, total)
        step(1)
        run_jobs(jobs, progress=lambda done: step(1 + done))
        run_jobs([Job(f"linking {top}", link)])
        step(total)
        info = {
            "top": top,
            "verilator": verilator.version,
            "compiler": compiler.version,
            "seconds": round(time.monotonic() - started, 2),
        }
        (temporary / "info.json").write_text(json.dumps(info, indent=1) + "\n")
        shutil.rmtree(work)

    return cache.entry(folder, key, fill) / name


def _report(progress: Progress | None, total: int, done: int) -> None:
    if progress is not None:
        progress(done, total)


def _machine(compiler: Compiler) -> tuple[str, ...]:
    # zig tunes for the machine it runs on and traps on undefined behaviour unless told otherwise; a
    # cache may be shared by machines, and Verilator's runtime relies on neither.
    if compiler.kind == "zig":
        return ("-mcpu=baseline", "-fno-sanitize=undefined")
    return ()


def _compile_jobs(
    verilator: Verilator,
    compiler: Compiler,
    out: Path,
    sources: tuple[Path, ...],
    hooks: tuple[str, ...],
) -> tuple[list[Job], list[Path]]:
    """The compilations of a model, longest first, and their objects."""
    common = [*compiler.command, *COMMON, *hooks, *_machine(compiler), *_includes(verilator)]
    common += [f"-I{out}"]
    units: list[tuple[int, Path, tuple[str, ...]]] = []
    generated = sorted(out.glob("*.cpp"))
    for slow in (False, True):
        flags: tuple[str, ...] = SLOW if slow else FAST
        files = [path for path in generated if path.stem.endswith("__Slow") is slow]
        for index, (size, group) in enumerate(_groups(files)):
            unit = out / f"unit_{'slow' if slow else 'fast'}_{index}.cc"
            unit.write_text("".join(f'#include "{path.name}"\n' for path in group))
            units.append((size // 4 if slow else size, unit, flags))
    units.sort(key=lambda unit: unit[0], reverse=True)
    units += [(0, source, (*FAST, f"-I{source.parent}")) for source in sources]
    jobs, objects = [], []
    for index, (_, source, flags) in enumerate(units):
        objects.append(out / f"{index}.o")
        command = [*common, *flags, "-c", str(source), "-o", str(objects[-1])]
        jobs.append(Job(f"compiling {source.name}", command))
    return jobs, objects


def _groups(files: Sequence[Path]) -> list[tuple[int, list[Path]]]:
    groups: list[tuple[int, list[Path]]] = []
    for path in files:
        size = path.stat().st_size
        if not groups or groups[-1][0] + size > UNIT_BYTES:
            groups.append((0, []))
        total, members = groups.pop()
        groups.append((total + size, [*members, path]))
    return groups


def _includes(verilator: Verilator) -> list[str]:
    return [f"-I{verilator.include}", f"-I{verilator.include / 'vltstd'}"]


def _runtime(
    folder: Path, verilator: Verilator, compiler: Compiler, hooks: tuple[str, ...]
) -> list[Path]:
    """Objects of Verilator's runtime, compiled once per compiler."""
    flags = [*COMMON, *FAST, *hooks, *_machine(compiler)]
    texts = [_read(path) for path in sorted(verilator.include.glob("verilated*.*"))]
    command = shlex.join(compiler.command)
    key = digest(
        "runtime 1", command, compiler.version, verilator.version, shlex.join(flags), *texts
    )

    def fill(temporary: Path) -> None:
        jobs = []
        for name in RUNTIME_SOURCES:
            command = [*compiler.command, *flags, *_includes(verilator)]
            command += ["-c", str(verilator.include / name), "-o", str(temporary / f"{name}.o")]
            jobs.append(Job(f"compiling {name}", command))
        run_jobs(jobs)

    path = cache.entry(folder, f"runtime-{key}", fill)
    return [path / f"{name}.o" for name in RUNTIME_SOURCES]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BuildError(
            "the file cannot be read",
            where=str(path),
            found=str(error.strerror),
            remedy="Write it anew: compile the bundle again, or reinstall midwire",
        ) from error
