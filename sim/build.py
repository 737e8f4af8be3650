# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Builds Verilated models, without make, into the content-addressed cache.

Verilator writes C++; the C++ compiler is by far the slowest step. So: functions are split
(``--output-split-cfuncs``: long functions cost more than linear time), files are joined into as few
units as keep every core busy (each unit pays for the headers once, which is most of what a small
model takes), units compile in parallel, and Verilator's own runtime is compiled once per compiler.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..hw import cache
from ..hw.errors import BuildError
from ..hw.jobs import Job, run_jobs
from .ports import port_header, read_ports
from .toolchain import Compiler, Verilator, digest, find_compiler, find_verilator

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all) as a build goes on."""

VERILATOR_FLAGS = (
    "--cc",
    "--no-timing",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "--output-split",
    "8000",
    "--output-split-cfuncs",
    "4000",
)
"""Without split functions large designs take several times longer to compile; with much smaller
ones they run up to a fifth slower."""

FAST = ("-O2",)
"""-Os makes folded designs run a third slower; -O1 and -O3 are no better."""

SLOW = ("-O0",)
"""Constructors and ``initial`` blocks run once: optimising them is wasted."""

COMMON = ("-std=c++17", "-fPIC", "-w", "-g0")

EXPORTS = "{ global: mw_*; local: *; };\n"
"""Linker's version script: keeps the runtimes of two models in one process apart."""

UNIT_BYTES = 500_000, 2_000_000
"""Least and most of generated text that is worth a unit of its own: of less the headers take
longer than optimising what runs once would, of more compilers need gigabytes."""

SLOW_SHARE = 4
"""So many times faster is text without optimising."""


@dataclass(frozen=True)
class BuildTarget:
    """What a design is built into.

    Attributes
    ----------
    prefix : str
        Class name of the Verilated top.
    output : str
        Name of the file.
    sources : tuple of Path
        Our own C++ sources.
    library : bool
        A shared library with the driver's interface, else an executable.
    control : str
        Text of a Verilator control file.
    verilator_flags, compile_flags, link_flags : tuple of str
        Added to the common ones.
    runtime : tuple of str
        Sources of Verilator's runtime that it needs.
    generated : tuple of (str, str)
        Names and texts of further headers that the sources include.
    """

    prefix: str
    output: str
    sources: tuple[Path, ...]
    library: bool = False
    control: str = ""
    verilator_flags: tuple[str, ...] = ()
    compile_flags: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ("verilated.cpp", "verilated_threads.cpp")
    generated: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)


MODEL = BuildTarget(
    prefix="Vmodel",
    output="model.so",
    sources=(Path(__file__).resolve().parent / "cpp" / "driver.cpp",),
    library=True,
    # Verilator's own versions of these end the process: the driver's turn them into errors.
    compile_flags=(
        "-fvisibility=hidden",
        "-DVL_USER_FATAL",
        "-DVL_USER_FINISH",
        "-DVL_USER_STOP",
        "-DVL_USER_WARN",
    ),
)


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
        Module with ports ``clk``, ``aresetn``, ``s{i}_axis_*`` and ``m{i}_axis_*``. Widths are read
        from the design.
    cache_dir : Path, optional
        Cache folder; :func:`midwire.hw.cache.default_folder` by default.
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
    return build(verilog, top, MODEL, cache_dir=cache_dir, progress=progress)


def build_executable(
    verilog: Sequence[Path],
    top: str,
    sources: Sequence[Path],
    prefix: str = "Vnic",
    *,
    generated: Mapping[str, str] | None = None,
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
    generated : mapping of str to str, optional
        Texts of further headers that the sources include, by file name.
    cache_dir, progress
        As for :func:`build_model`.

    Returns
    -------
    Path
        The executable, in the cache.
    """
    headers = tuple((generated or {}).items())
    target = BuildTarget(prefix=prefix, output=top, sources=tuple(sources), generated=headers)
    return build(verilog, top, target, cache_dir=cache_dir, progress=progress)


def build(
    verilog: Sequence[Path],
    top: str,
    target: BuildTarget,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build a design into a target; returns the file in the cache."""
    verilator = find_verilator()
    compiler = find_compiler()
    folder = cache_dir or cache.default_folder()
    texts = [_read(path) for path in verilog]
    headers = sorted(
        {h for s in target.sources for glob in ("*.h", "*.hpp") for h in s.parent.glob(glob)}
    )
    own = (*target.sources, *headers)
    key = digest(
        "1",
        top,
        repr(dataclasses.replace(target, sources=())),
        shlex.join([*VERILATOR_FLAGS, *FAST, *SLOW, *COMMON, *machine_flags(compiler), EXPORTS]),
        verilator.version,
        compiler.version,
        shlex.join(compiler.command),
        *(path.name for path in own),
        str(len(texts)),
        *texts,
        *(_read(path) for path in own),
        *(part for header in target.generated for part in header),
    )

    def fill(temporary: Path) -> None:
        started = time.monotonic()
        _report(progress, 1, 0)
        runtime = _runtime(folder, verilator, compiler, target)
        work = temporary / "work"
        out = work / "cpp"
        out.mkdir(parents=True)
        for name, header in target.generated:
            (out / name).write_text(header)
        files = []
        for index, text in enumerate(texts):  # as they were hashed, whatever happens to them now
            files.append(work / f"{index}_{verilog[index].name}")
            files[-1].write_bytes(text)
        if target.control:
            files.insert(0, work / "control.vlt")
            files[0].write_text(target.control)
        command = [str(verilator.binary), *VERILATOR_FLAGS, *target.verilator_flags]
        command += ["--prefix", target.prefix, "--top-module", top, "--Mdir", str(out)]
        run_jobs([Job(f"Verilator on {top}", [*command, *map(str, files)], verilator.environment)])
        if target.library:
            ports = read_ports((out / f"{target.prefix}.h").read_text())
            (out / "midwire_ports.h").write_text(port_header(top, ports))
        jobs, objects = _compile_jobs(verilator, compiler, out, target)
        link = [*compiler.command, *machine_flags(compiler), "-o", str(temporary / target.output)]
        link += [*map(str, objects), *map(str, runtime), *target.link_flags, "-pthread"]
        if target.library:
            script = out / "exports.map"
            script.write_text(EXPORTS)
            link += ["-shared", f"-Wl,--version-script={script}"]
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

    return cache.entry(folder, key, fill) / target.output


def _report(progress: Progress | None, total: int, done: int) -> None:
    if progress is not None:
        progress(done, total)


def machine_flags(compiler: Compiler) -> tuple[str, ...]:
    """Options without which a compiler tunes for this machine: a cache may be shared."""
    # zig tunes for the machine it runs on and traps on undefined behaviour unless told otherwise; a
    # cache may be shared by machines, and Verilator's runtime relies on neither.
    if compiler.kind == "zig":
        return ("-mcpu=baseline", "-fno-sanitize=undefined")
    return ()


def _compile_jobs(
    verilator: Verilator, compiler: Compiler, out: Path, target: BuildTarget
) -> tuple[list[Job], list[Path]]:
    """The compilations of a model, longest first, and their objects."""
    common = [*_compile_command(verilator, compiler, target), f"-I{out}"]
    jobs, objects = [], []
    for index, (source, flags) in enumerate(_units(out, target)):
        objects.append(out / f"{index}.o")
        command = [*common, *flags, "-c", str(source), "-o", str(objects[-1])]
        jobs.append(Job(f"compiling {source.name}", command))
    return jobs, objects


def _units(out: Path, target: BuildTarget) -> list[tuple[Path, tuple[str, ...]]]:
    """What is compiled by itself, longest first, with its flags."""
    generated = sorted(out.glob("*.cpp"))
    own = [(source, (*FAST, f"-I{source.parent}")) for source in target.sources]
    least, most = UNIT_BYTES
    if len(own) == 1 and sum(path.stat().st_size for path in generated) <= least:
        ((source, flags),) = own
        return [(_joined(out / "unit_whole.cc", [*generated, source]), flags)]
    slow = [path for path in generated if path.stem.endswith("__Slow")]
    parts = (
        ("fast", FAST, 1, [path for path in generated if path not in slow]),
        ("slow", SLOW, SLOW_SHARE, slow),
    )
    work = sum(path.stat().st_size // share for _, _, share, paths in parts for path in paths)
    limit = max(least, min(most, work // len(os.sched_getaffinity(0))))
    units: list[tuple[int, Path, tuple[str, ...]]] = []
    for name, options, share, paths in parts:
        for index, (size, group) in enumerate(_groups(paths, min(limit * share, most))):
            unit = _joined(out / f"unit_{name}_{index}.cc", group)
            units.append((size // share, unit, options))
    units.sort(key=lambda unit: unit[0], reverse=True)
    return [(unit, options) for _, unit, options in units] + own


def _joined(unit: Path, sources: Sequence[Path]) -> Path:
    """A unit of several sources."""
    unit.write_text("".join(f'#include "{source.name}"\n' for source in sources))
    return unit


def _compile_command(verilator: Verilator, compiler: Compiler, target: BuildTarget) -> list[str]:
    folders = [f"-I{verilator.include}", f"-I{verilator.include / 'vltstd'}"]
    return [*compiler.command, *COMMON, *machine_flags(compiler), *target.compile_flags, *folders]


def _groups(files: Sequence[Path], limit: int) -> list[tuple[int, list[Path]]]:
    groups: list[tuple[int, list[Path]]] = []
    for path in files:
        size = path.stat().st_size
        if not groups or groups[-1][0] + size > limit:
            groups.append((0, []))
        total, members = groups.pop()
        groups.append((total + size, [*members, path]))
    return groups


def _runtime(
    folder: Path, verilator: Verilator, compiler: Compiler, target: BuildTarget
) -> list[Path]:
    """Objects of Verilator's runtime, compiled once per compiler."""
    command = [*_compile_command(verilator, compiler, target), *FAST]
    texts = [_read(path) for path in sorted(verilator.include.glob("verilated*.*"))]
    key = digest(
        "1", shlex.join([*command, *target.runtime]), compiler.version, verilator.version, *texts
    )

    def fill(temporary: Path) -> None:
        jobs = []
        for name in target.runtime:
            files = ["-c", str(verilator.include / name), "-o", str(temporary / f"{name}.o")]
            jobs.append(Job(f"compiling {name}", [*command, *files]))
        run_jobs(jobs)

    path = cache.entry(folder, f"runtime-{key}", fill)
    return [path / f"{name}.o" for name in target.runtime]


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
