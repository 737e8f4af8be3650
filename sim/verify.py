# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Prove a bundle: RTL in Verilator against the numpy reference against ``slice.onnx``, bit for
bit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..hw.accuracy import CLASSES
from ..hw.console import Report
from ..hw.formats.bundle import MEASURED_INFERENCES, Bundle
from ..hw.formats.npz import read_npz
from ..hw.formats.tensor import AnyArray, TensorSpec, as_frames
from ..hw.kernels.reference import Reference
from ..hw.session import open_session
from ..hw.sqnr import NOT_MEASURED, SignalAndNoise, Sqnr
from .build import build_model
from .model import Model, RunResult
from .vectors import random_wire, wire_inputs


@dataclass(frozen=True)
class Verification:
    """What ``midwire verify`` found.

    Mismatches count elements of all outputs. ``sqnr_db``, ``sqnr`` (:attr:`Sqnr.text`) and
    ``top1_agreement`` compare the slice's dequantised results with the original float or QDQ layers
    in ONNX Runtime, on realistic inputs where there are any; of several outputs they are those of
    the worst. An output of int64 has no ratio, and agrees where its elements are equal.
    """

    vectors: int
    rtl_mismatches: int
    onnx_mismatches: int
    sqnr_db: float | None
    sqnr: str
    top1_agreement: float | None
    cycles_per_inference: int
    latency_cycles: int
    predicted_cycles_per_inference: int
    predicted_latency_cycles: int
    stall: float
    seed: int
    build_seconds: float
    run_seconds: float
    inferences_per_second: float
    cycles_per_second: float

    @property
    def passed(self) -> bool:
        """No mismatch, and the cycles that the compiler predicted."""
        return (
            self.rtl_mismatches == 0
            and self.onnx_mismatches == 0
            and self.cycles_per_inference == self.predicted_cycles_per_inference
            and self.latency_cycles == self.predicted_latency_cycles
        )

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {"passed": self.passed, **asdict(self)}


def verify(
    bundle: Bundle,
    *,
    inputs: Path | None = None,
    vectors: int = 16,
    stall: float = 0.3,
    seed: int = 0,
    report: Report | None = None,
) -> Verification:
    """Run a bundle's RTL, reference and ``slice.onnx`` on the same vectors.

    Parameters
    ----------
    inputs : samples of the slice's or the model's inputs; without it, the bundle's golden vectors
        and random ones over the whole range of the input type
    vectors : how many (at most as many as ``inputs`` holds)
    stall : probability in each cycle that a port pauses, on both sides
    seed : of the random vectors and stalls
    """
    say = report or (lambda what, done, total: None)
    wires, realistic = _vectors(bundle, inputs, vectors, seed)
    count = len(wires[0])
    started = time.monotonic()
    library = build_model(
        bundle.slice_verilog,
        bundle.slice_top,
        progress=lambda done, total: say("building the simulator", done, total),
    )
    built = time.monotonic()
    timed, stalled = _simulate(bundle, library, wires, stall, seed, say)
    ran = time.monotonic()
    say("numpy reference", 0, count)
    expected = Reference.of_bundle(bundle).run_wire(wires)
    rtl = sum(
        int(np.count_nonzero(got != want))
        for result, length in ((timed, min(count, MEASURED_INFERENCES)), (stalled, count))
        for got, want in zip(_as_wire(bundle, result), [e[:length] for e in expected], strict=True)
    )
    onnx = _onnx_mismatches(bundle, wires, expected, say)
    sqnr, top1 = _against_original(bundle, wires, expected, realistic or count)
    seconds = max(ran - built, 1e-9)
    return Verification(
        vectors=count,
        rtl_mismatches=rtl,
        onnx_mismatches=onnx,
        sqnr_db=None if sqnr is None else sqnr.db,
        sqnr=NOT_MEASURED if sqnr is None else sqnr.text,
        top1_agreement=top1,
        cycles_per_inference=timed.interval_cycles or timed.cycles,
        latency_cycles=timed.latency_cycles,
        predicted_cycles_per_inference=bundle.manifest.cycles_per_inference,
        predicted_latency_cycles=bundle.manifest.latency_cycles,
        stall=stall,
        seed=seed,
        build_seconds=round(built - started, 3),
        run_seconds=round(seconds, 3),
        inferences_per_second=(count + len(timed.last_out)) / seconds,
        cycles_per_second=(stalled.cycles + timed.cycles) / seconds,
    )


def _vectors(
    bundle: Bundle, inputs: Path | None, vectors: int, seed: int
) -> tuple[list[AnyArray], int]:
    """Wire tensors, and how many of them (the first ones) are realistic."""
    if inputs is not None:
        wires = wire_inputs(bundle, read_npz(inputs), str(inputs))
        return [wire[:vectors] for wire in wires], min(vectors, len(wires[0]))
    specs = bundle.manifest.inputs
    golden = read_npz(bundle.path("golden.npz"))
    real = int(golden["realistic"])
    half = min(real, max(1, vectors // 2)) if real else 0
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([golden[f"in{i}"][:half], random_wire(spec, max(vectors, 1) - half, rng)])
        for i, spec in enumerate(specs)
    ], half


def _simulate(
    bundle: Bundle, library: Path, wires: Sequence[AnyArray], stall: float, seed: int, say: Report
) -> tuple[RunResult, RunResult]:
    """A short run without stalls, for the cycles, and one with all vectors and stalls."""
    data = [as_frames(wire) for wire in wires]
    repeated = [np.resize(d[:MEASURED_INFERENCES], (MEASURED_INFERENCES, d.shape[1])) for d in data]
    sizes = [spec.wire_bytes for spec in bundle.manifest.outputs]
    with Model(library, bundle.images_dir) as model:
        timed = model.run(
            repeated,
            output_bytes=sizes,
            progress=lambda done, total: say("counting cycles", done, total),
        )
        stalled = model.run(
            data,
            output_bytes=sizes,
            stall=stall,
            seed=seed,
            progress=lambda done, total: say("simulating with stalls", done, total),
        )
    kept = min(len(data[0]), MEASURED_INFERENCES)
    trimmed = RunResult(
        [output[:kept] for output in timed.outputs], timed.first_in, timed.last_out, timed.cycles
    )
    return trimmed, stalled


def _as_wire(bundle: Bundle, result: RunResult) -> list[AnyArray]:
    return [
        spec.of_frames(output)
        for output, spec in zip(result.outputs, bundle.manifest.outputs, strict=True)
    ]


def _onnx_mismatches(
    bundle: Bundle, wires: Sequence[AnyArray], expected: Sequence[AnyArray], say: Report
) -> int:
    session = open_session(bundle.path("slice.onnx"))
    names = [f"wire_out{i}" for i in range(len(expected))]
    wrong = 0
    for k in range(len(wires[0])):
        say("slice.onnx", k, len(wires[0]))
        results = session.run(names, {f"wire_in{i}": wire[k] for i, wire in enumerate(wires)})
        wrong += sum(
            int(np.count_nonzero(got != want[k]))
            for got, want in zip(results, expected, strict=True)
        )
    return wrong


def _against_original(
    bundle: Bundle, wires: Sequence[AnyArray], expected: Sequence[AnyArray], count: int
) -> tuple[Sqnr | None, float | None]:
    """SQNR and top-1 agreement with the original layers, on the first ``count`` vectors."""
    session = open_session(bundle.path("original.onnx"), exact=True)
    specs = bundle.manifest.inputs
    kept = [_Kept(spec) for spec in bundle.manifest.outputs]
    for k in range(count):
        feeds = {}
        for spec, wire in zip(specs, wires, strict=True):
            integers = spec.layout.from_stream(wire[k], spec.shape)
            real = integers if spec.is_integer else spec.qtype.dequantise(integers)
            feeds[spec.name] = real.astype(spec.dtype)
        results = session.run([one.spec.name for one in kept], feeds)
        for one, stream, raw in zip(kept, expected, results, strict=True):
            one.add(stream[k], raw)
    shares = [one.same / one.total for one in kept if one.total]
    ratios = [one.powers.sqnr for one in kept if one.spec.dtype != CLASSES]
    least = min(ratios, key=lambda ratio: ratio.level, default=None)
    return least, min(shares, default=None)


class _Kept:
    """What is kept of one output of the original layers."""

    def __init__(self, spec: TensorSpec) -> None:
        self.spec = spec
        self.powers = SignalAndNoise()
        self.same = self.total = 0

    def add(self, stream: AnyArray, raw: AnyArray) -> None:
        """One vector: the slice's stream, and the original tensor."""
        spec = self.spec
        if spec.dtype == CLASSES:
            self.total += raw.size
            self.same += int(np.count_nonzero(spec.from_wire(stream) == raw))
            return
        got = spec.from_wire(stream).astype(np.float64)
        want = (spec.qtype.dequantise(raw) if spec.is_integer else raw).astype(np.float64)
        self.powers.add(want, got)
        if want.size > 1 and want.size == want.shape[-1]:
            self.total += 1
            self.same += int(want.argmax() == got.argmax())
