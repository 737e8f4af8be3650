# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a bundle's slice over samples: in the simulated hardware, or in the numpy reference."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..hw.console import Report
from ..hw.errors import DataError
from ..hw.formats.bundle import Bundle
from ..hw.formats.npz import together
from ..hw.formats.tensor import AnyArray, as_frames
from ..hw.kernels.reference import Reference
from .build import build_model
from .model import Model

Backend = Literal["rtl", "reference"]


@dataclass(frozen=True)
class Execution:
    """Results of a run: dequantised outputs (samples, ONNX shape), and how fast it went.

    A sample of a model of fixed batch is as many inferences; its outputs have the batch again.

    ``cycles_per_second`` is None for the reference, which has no cycles.
    """

    outputs: dict[str, npt.NDArray[np.float32]]
    wires: list[AnyArray]
    inferences: int
    seconds: float
    cycles: int | None

    @property
    def inferences_per_second(self) -> float:
        """Inferences per second of wall time, without building."""
        return self.inferences / max(self.seconds, 1e-9)

    @property
    def cycles_per_second(self) -> float | None:
        """Simulated cycles per second of wall time."""
        return None if self.cycles is None else self.cycles / max(self.seconds, 1e-9)


def backend_named(name: str) -> Backend:
    """The backend of a name.

    Raises
    ------
    DataError
        If there is none.
    """
    backends: dict[str, Backend] = {"rtl": "rtl", "reference": "reference"}
    if name in backends:
        return backends[name]
    raise DataError(
        "unknown backend",
        where="--backend",
        expected="rtl or reference",
        found=repr(name),
        remedy="Choose one of them; both give the same bits",
        usage=True,
    )


def execute(
    bundle: Bundle,
    wires: list[AnyArray],
    *,
    batch: int = 1,
    backend: Backend = "rtl",
    progress: Report | None = None,
) -> Execution:
    """Run wire tensors (N, elements), one array an input; ``batch`` of them are a sample."""
    say = progress or (lambda what, done, total: None)
    cycles: int | None = None
    if backend == "reference":
        reference = Reference.of_bundle(bundle)
        started = time.monotonic()
        results: list[AnyArray] = list(reference.run_wire(wires))
    else:
        library = build_model(
            bundle.slice_verilog,
            bundle.slice_top,
            progress=lambda done, total: say("building the simulator", done, total),
        )
        with Model(library, bundle.images_dir) as model:
            started = time.monotonic()
            run = model.run(
                [as_frames(wire) for wire in wires],
                output_bytes=[spec.wire_bytes for spec in bundle.manifest.outputs],
                progress=lambda done, total: say("simulating", done, total),
            )
        cycles = run.cycles
        results = [
            spec.of_frames(output)
            for output, spec in zip(run.outputs, bundle.manifest.outputs, strict=True)
        ]
    seconds = time.monotonic() - started
    outputs = {
        f"out{i}": together(np.stack([spec.from_wire(w) for w in result]), batch)
        for i, (spec, result) in enumerate(zip(bundle.manifest.outputs, results, strict=True))
    }
    return Execution(outputs, results, len(wires[0]), seconds, cycles)
