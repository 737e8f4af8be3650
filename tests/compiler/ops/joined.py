# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Many compiled models side by side in one design of many ports, so that they share one build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler import pipeline
from midwire.compiler.emit.rtl import slice_files
from midwire.compiler.emit.write import emit
from midwire.compiler.ir.dataflow import Channel, Dataflow, Stage
from midwire.compiler.ir.quant import QGraph
from midwire.compiler.load.source import Source
from midwire.compiler.map.balance import balance
from midwire.compiler.pipeline import Options
from midwire.hw.formats.bundle import MEASURED_INFERENCES, Bundle
from midwire.hw.kernels.base import Implementation
from midwire.hw.kernels.reference import Reference
from midwire.sim.build import build_model
from midwire.sim.model import Model


@dataclass
class Form:
    """A model up to its balanced dataflow."""

    name: str
    integers: QGraph
    flow: Dataflow

    @property
    def stages(self) -> list[Implementation]:
        """What its nodes became."""
        return [stage.built for stage in self.flow.stages if stage.node]


def compile_form(
    path: Path, folder: Path, options: Options, name: str
) -> tuple[Bundle, Form, Source]:
    """A model's bundle, the same as a form, and the model as it was loaded."""
    seen: list[Any] = []

    def watched(*arguments: Any) -> Bundle:
        seen.extend(arguments)
        return emit(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "emit", watched)
        bundle = pipeline.compile_model(path, folder, options).bundle
    _, source, _, integers, balanced, *_ = seen
    return bundle, Form(name, integers, balanced.flow), source


def joined(forms: Sequence[Form]) -> Dataflow:
    """All of them side by side."""
    stages: list[Stage] = []
    channels: list[Channel] = []
    inputs: list[Any] = []
    outputs: list[Any] = []
    for k, form in enumerate(forms):

        def at(end: tuple[str, int], border: int, k: int = k) -> tuple[str, int]:
            return (f"c{k}_{end[0]}", end[1]) if end[0] else ("", end[1] + border)

        for stage in form.flow.stages:
            images = {f"c{k}_{name}": text for name, text in stage.images.items()}
            stages.append(replace(stage, name=f"c{k}_{stage.name}", contents=images.copy))
        for channel in form.flow.channels:
            source, sink = at(channel.source, len(inputs)), at(channel.sink, len(outputs))
            channels.append(replace(channel, source=source, sink=sink))
        inputs += form.flow.inputs
        outputs += form.flow.outputs
    return Dataflow("joined", tuple(stages), tuple(channels), tuple(inputs), tuple(outputs))


def check(forms: Sequence[Form], folder: Path, seed: int) -> None:
    """RTL against the reference, with stalls and without; cycles as predicted."""
    flow = joined(forms)
    balanced = balance(flow)
    assert balanced.flow.channels == flow.channels
    files = slice_files(flow)
    for name, text in files.items():
        (folder / name).write_text(text)
    verilog = [folder / name for name in files if name.endswith(".v")]
    rng = np.random.default_rng(seed)
    wires, wanted = [], []
    for form in forms:
        own = []
        for spec in form.flow.inputs:
            lo, hi = spec.qtype.lo, spec.qtype.hi
            wire = rng.integers(lo, hi + 1, (MEASURED_INFERENCES, spec.elements))
            wire[0], wire[1] = lo, hi
            own.append(wire.astype(spec.qtype.wire_dtype))
        reference = Reference(form.integers.inputs, form.integers.outputs, form.integers.nodes)
        wires += [wire.view(np.uint8).reshape(len(wire), -1) for wire in own]
        wanted += [(form.name, y) for y in reference.run_wire(own)]
    sizes = [spec.wire_bytes for spec in flow.outputs]
    with Model(build_model(verilog, "midwire_slice"), folder) as model:
        for stall in (0.0, 0.4):
            print(f"seed {seed}, stall {stall}")
            result = model.run(wires, output_bytes=sizes, stall=stall, seed=seed, watchdog=100_000)
            for (name, want), got, spec in zip(wanted, result.outputs, flow.outputs, strict=True):
                kind = spec.qtype.wire_dtype
                numbers = got.reshape(-1).view(kind).reshape(len(want), -1).astype(np.int64)
                np.testing.assert_array_equal(numbers, want, err_msg=name)
            if not stall:
                assert result.interval_cycles == balanced.cycles_per_inference
                assert result.latency_cycles == balanced.latency_cycles
