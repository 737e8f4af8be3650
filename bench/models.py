# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure real models from ONNX to exact RTL, and write ``docs/measured.md``.

``python bench/models.py FOLDER``: a folder with a folder for each model, ``model.onnx`` and
``ref.npz`` (samples ``in0``, results ``out0`` of ONNX Runtime, first axis samples). Models that are
not quantised are calibrated on those samples. Every simulator is built anew, in a cache of its own,
so that build seconds are those of a first run. With ``--rows FILE``, each model's row is kept as
soon as it is there, and those of before are not measured again: all take an hour or two.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from midwire import Options, compile_model
from midwire.compiler.errors import CalibrationError, ModelError
from midwire.compiler.pipeline import Compiled
from midwire.compiler.quantise.widths import Widths
from midwire.hw.accuracy import Accuracy
from midwire.sim import Verification, verify
from midwire.sim.evaluation import evaluate

MOST_VECTORS, LEAST_VECTORS = 16, 3
CYCLES = 1_000_000
"""Simulated cycles of a model beyond which it gets fewer samples."""

ENOUGH = 0.95
"""Share of the multiply-accumulates that a slice should have."""

ROOT = Path(__file__).resolve().parent.parent


Cells = list[str]
"""A row of the table."""


@dataclass(frozen=True)
class Row:
    """One model's figures."""

    name: str
    bits: str
    compiled: Compiled
    verification: Verification
    accuracy: Accuracy

    def cells(self) -> Cells:
        """The row of the table."""
        manifest, found = self.compiled.bundle.manifest, self.verification
        return [
            self.name,
            f"{100 * manifest.slice['macs_share']:.1f} %",
            f"{found.rtl_mismatches} / {found.onnx_mismatches}",
            str(found.vectors),
            self.bits,
            found.sqnr,
            self.accuracy.text,
            f"{found.predicted_cycles_per_inference} / {found.cycles_per_inference}",
            f"{found.predicted_latency_cycles} / {found.latency_cycles}",
            f"{self.compiled.seconds:.1f}",
            f"{found.build_seconds:.1f}",
            f"{found.inferences_per_second:.1f}",
        ]


HEADER = (
    "model",
    "multiply-accumulates in the slice",
    "mismatches RTL / slice.onnx",
    "samples in RTL",
    "bits",
    "SQNR",
    "end to end",
    "cycles per inference, predicted / simulated",
    "latency, predicted / simulated",
    "compile s",
    "build s",
    "inferences/s in Verilator",
)


def measure(folder: Path, output: Path) -> Row:
    """Compile, verify with stalls, and compare the whole model on all samples."""
    samples = folder / "ref.npz"
    compiled, bits = compiled_model(folder / "model.onnx", samples, output)
    cycles = compiled.bundle.manifest.cycles_per_inference
    vectors = min(MOST_VECTORS, max(LEAST_VECTORS, CYCLES // cycles))
    found = verify(compiled.bundle, inputs=samples, vectors=vectors, stall=0.3, seed=1)
    return Row(folder.name, bits, compiled, found, evaluate(compiled.bundle, samples).accuracy)


def compiled_model(model: Path, samples: Path, output: Path) -> tuple[Compiled, str]:
    """A bundle, and the bits in which midwire had to quantise: none, 8, or its own choice by layers
    where 8 lose more than is allowed. A quantised model whose own input has no grid gets one, if
    too little of it lies behind the first that it has.
    """
    try:
        own = compile_model(model, output)
        if own.bundle.manifest.slice["macs_share"] >= ENOUGH:
            return own, "the model's own"
    except (CalibrationError, ModelError):
        pass
    chosen = compile_model(model, output, Options(calibrate=samples))
    usual = chosen.widths == Widths()
    return chosen, chosen.widths.text if usual else "chosen by layer"


PAGE = """# Measured

Written by `{command}` on {cores} cores ({machine}, Python {python};
{versions}).
The machine was shared with other work: seconds and rates are those of one run and move by
half, cycles and mismatches do not.

Reference samples go through the RTL with a pause in 3 of 10 cycles on every port, seed 1. SQNR
compares the slice with the same layers in ONNX Runtime on them; end to end is the whole model on
all samples there are (slice in the numpy reference, the rest in ONNX Runtime), by `midwire
evaluate`. Where midwire quantises, it is calibrated on three quarters of the same samples (on all,
if they are fewer than 8). Seconds of a compile whose bits are chosen by layer count the choice.
Rates count the run without pauses and the one with them.

{table}
"""


def kept_rows(file: Path | None) -> dict[str, Cells]:
    """Rows of before, by model: a line of JSON each."""
    if file is None or not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    return {cells[0]: cells for cells in map(json.loads, lines)}


def page(rows: Sequence[Cells], command: str) -> str:
    """The page."""
    names = ("midwire", "amaranth", "verilator", "onnxruntime", "numpy")
    cells = [HEADER, ["---"] * len(HEADER), *rows]
    return PAGE.format(
        command=command,
        cores=os.cpu_count(),
        machine=platform.machine(),
        python=platform.python_version(),
        versions=", ".join(f"{name} {metadata.version(name)}" for name in names),
        table="\n".join("| " + " | ".join(row) + " |" for row in cells),
    )


def main(arguments: Sequence[str]) -> int:
    """Measure the models of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="print figures; write no page")
    parser.add_argument("--models", nargs="+", help="names of folders; all, if left out")
    parser.add_argument("--rows", type=Path, help="keep rows in this file, and take those there")
    options = parser.parse_args(arguments)
    found = sorted(path.parent.name for path in options.folder.glob("*/model.onnx"))
    kept = kept_rows(options.rows)
    names = options.models or found
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        for name in names:
            if name in kept:
                continue
            print(f"measuring {name}", file=sys.stderr)
            kept[name] = measure(options.folder / name, Path(scratch) / name).cells()
            if options.rows is not None:
                with options.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(kept[name]) + "\n")
    rows = [kept[name] for name in names]
    if options.json:
        facts = [dict(zip(HEADER, row, strict=True)) for row in rows]
        print(json.dumps(facts))
    else:
        text = page(rows, "python bench/models.py FOLDER")
        (ROOT / "docs" / "measured.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
