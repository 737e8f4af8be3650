# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure real models from ONNX to exact RTL, and write ``docs/measured.md``.

``python bench/models.py FOLDER``: a folder with a folder for each model, ``model.onnx`` and
``ref.npz`` (samples ``in0``, results ``out0`` of ONNX Runtime, first axis samples). Models that are
not quantised are calibrated on those samples. Every simulator is built anew, in a cache of its own,
so that build seconds are those of a first run.
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

import numpy as np

from midwire import Options, compile_model
from midwire.compiler.errors import CalibrationError
from midwire.compiler.pipeline import Compiled
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.npz import read_npz
from midwire.hw.session import open_session
from midwire.sim import Verification, verify
from midwire.sim.execute import execute
from midwire.sim.vectors import wire_inputs

MODELS = (
    "resnet8_int8",
    "kws_dscnn_int8",
    "ad_autoencoder_int8",
    "vww_mobilenetv1_int8",
    "mnist8_cnn",
    "resnet8_fp32",
    "net_anomaly_ae",
)
WITHOUT_CLASSES = ("ad_autoencoder_int8", "net_anomaly_ae")
"""Models whose results are no class scores: their relative error is given instead."""

VECTORS = 16
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Row:
    """One model's figures."""

    name: str
    compiled: Compiled
    verification: Verification
    agreement: str

    def cells(self) -> list[str]:
        """The row of the table."""
        manifest, found = self.compiled.bundle.manifest, self.verification
        return [
            self.name,
            f"{100 * manifest.slice['macs_share']:.1f} %",
            f"{found.rtl_mismatches} / {found.onnx_mismatches}",
            found.sqnr,
            self.agreement,
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
    "SQNR",
    "agreement with ONNX Runtime",
    "cycles per inference, predicted / simulated",
    "latency, predicted / simulated",
    "compile s",
    "build s",
    "inferences/s in Verilator",
)


def measure(folder: Path, output: Path) -> Row:
    """Compile, verify with stalls, and compare the whole model on all samples."""
    samples = folder / "ref.npz"
    try:
        compiled = compile_model(folder / "model.onnx", output)
    except CalibrationError:
        compiled = compile_model(folder / "model.onnx", output, Options(calibrate=samples))
    found = verify(compiled.bundle, inputs=samples, vectors=VECTORS, stall=0.3, seed=1)
    return Row(folder.name, compiled, found, agreement(compiled.bundle, samples))


def agreement(bundle: Bundle, samples: Path) -> str:
    """Top-1 agreement on all samples; for a model without classes, the relative error."""
    arrays = read_npz(samples)
    inputs = {key: array for key, array in arrays.items() if key.startswith("in")}
    done = execute(bundle, wire_inputs(bundle, inputs, str(samples)), backend="reference")
    cloud = open_session(bundle.path("cloud.onnx"))
    wire = done.wires[0].astype(bundle.manifest.outputs[0].qtype.wire_dtype)
    got = np.stack([cloud.run(None, {"wire_out0": w})[0] for w in wire]).astype(np.float64)
    want = arrays["out0"].astype(np.float64)
    got = got.reshape(want.shape)
    if bundle.manifest.name in WITHOUT_CLASSES:
        return f"relative error {100 * np.linalg.norm(got - want) / np.linalg.norm(want):.2f} %"
    flat = (len(want), -1)
    same = got.reshape(flat).argmax(1) == want.reshape(flat).argmax(1)
    return f"{100 * same.mean():.1f} % of {len(want)}"


PAGE = """# Measured

Written by `{command}` on {cores} cores ({machine}, Python {python};
{versions}).
The machine was shared with other work: seconds and rates are those of one run and move by
half, cycles and mismatches do not.

{vectors} reference samples each, with a pause in 3 of 10 cycles on every port, seed 1. SQNR
compares the slice with the same layers in ONNX Runtime on those samples; agreement is that of the
whole model on all samples (slice in the numpy reference, the rest in ONNX Runtime). Float models
are quantised to 8 bits by midwire, calibrated on three quarters of the same samples. Rates count
the run without pauses and the one with them.

{table}
"""


def page(rows: Sequence[Row], command: str) -> str:
    """The page."""
    names = ("midwire", "amaranth", "verilator", "onnxruntime", "numpy")
    cells = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in rows)]
    return PAGE.format(
        command=command,
        cores=os.cpu_count(),
        machine=platform.machine(),
        python=platform.python_version(),
        versions=", ".join(f"{name} {metadata.version(name)}" for name in names),
        vectors=VECTORS,
        table="\n".join("| " + " | ".join(row) + " |" for row in cells),
    )


def main(arguments: Sequence[str]) -> int:
    """Measure the models of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="print figures; write no page")
    parser.add_argument("--models", nargs="+", default=MODELS)
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        for name in options.models:
            print(f"measuring {name}", file=sys.stderr)
            rows.append(measure(options.folder / name, Path(scratch) / name))
    if options.json:
        facts = [dict(zip(HEADER, row.cells(), strict=True)) for row in rows]
        print(json.dumps(facts))
    else:
        text = page(rows, "python bench/models.py FOLDER")
        (ROOT / "docs" / "measured.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
