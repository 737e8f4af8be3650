# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Build a random network, and compare every integer tensor of it with the definition."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from midwire.compiler import ahead
from midwire.compiler.ir.quant import QGraph
from midwire.compiler.map.implement import implement, offers
from midwire.compiler.map.targets import Target
from midwire.compiler.pipeline import Options
from midwire.hw.formats.bundle import Bundle
from midwire.hw.kernels.base import Implementation
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType

from ..ops.conftest import Arithmetic, Exact
from ..ops.joined import Form, compile_form
from ..ops.test_conformance import check_slice, chosen_of, grid_of_weights, random_wires
from .recipes import Array, Recipe

ARITHMETIC = Arithmetic()
SAMPLES = 4
VECTORS = 4
SEED = 20273


def build(recipe: Recipe, folder: Path) -> tuple[Bundle, Form]:
    """Compile a network whole."""
    model = recipe.model()
    rng = np.random.default_rng(SEED)
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input
    }
    samples = {
        name: rng.uniform(recipe.low, recipe.high, (SAMPLES, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    np.savez(folder / "samples.npz", **samples)  # type: ignore[arg-type]
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    options = Options(
        None if not recipe.bits else list(shapes),
        [value.name for value in model.graph.output],
        folder / "samples.npz" if recipe.bits else None,
        recipe.bits or 8,
        strategy=recipe.strategy,
        min_sqnr=-math.inf if recipe.bits else None,
        hold_out=0,
        bias_correction=False,  # the definition knows the model's own
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "implement", picking(recipe.pick))
        bundle, form, _ = compile_form(
            folder / "net.onnx", folder / "bundle", options, repr(recipe)
        )
    return bundle, form


def picking(pick: int) -> Callable[..., Mapping[str, Implementation]]:
    """:func:`implement`, or some implementation of each node, whatever it costs."""

    def choose(
        graph: QGraph, target: Target, interval: int, *, strict: bool, strategy: str
    ) -> Mapping[str, Implementation]:
        if not pick:
            return implement(graph, target, interval, strict=strict, strategy=strategy)
        chosen = {}
        for index, node in enumerate(graph.nodes, 1):
            offered = offers(graph, node, target, interval, strategy)
            chosen[node.name] = offered[pick * index % len(offered)]
        return chosen

    return choose


def check_exact(recipe: Recipe, bundle: Bundle, form: Form) -> None:
    """The reference against ``slice.onnx``, and every integer tensor against the definition."""
    wires = random_wires(bundle, np.random.default_rng(SEED), VECTORS)
    reference = Reference.of_bundle(bundle)
    check_slice(bundle, wires, reference.run_wire(wires))
    streams = reference.run([wire.astype(np.int64) for wire in wires], keep=True)
    streams |= dict(zip(reference.inputs, wires, strict=True))
    model = recipe.model()
    constants = grids_of(model, recipe.bits)
    given_to = {spec.name for spec in bundle.manifest.inputs}
    for k in range(VECTORS):
        found = integers_of(form, model, {name: stream[k] for name, stream in streams.items()})
        measured = {name: value for name, (value, _) in found.items()}
        zeros = {
            name: Exact(np.zeros(shape, object), Fraction(1)) for name, shape in shapes_of(model)
        }
        feeds = {name: measured.get(name, zero) for name, zero in zeros.items()}
        ends = [
            ARITHMETIC.evaluate(model, feeds, constants, measured, lean, chosen_of(bundle))
            for lean in (-1, 1)
        ]
        for name, (value, qtype) in found.items():
            if name in given_to:
                continue
            # An integer tensor of the model is what its QuantizeLinear says.
            low, high = (
                (values[name] if qtype is None else Exact(values[name].grid(qtype), Fraction(1)))
                for values in ends
            )
            got = value.ints if qtype is None else value.ints + qtype.zero_point
            least, most = (np.asarray(v.ints, np.int64) for v in (low, high))
            got = np.asarray(got, np.int64)
            np.testing.assert_array_equal(got, got.clip(least, most), err_msg=f"{name} of {recipe}")


def integers_of(
    form: Form, model: onnx.ModelProto, streams: Mapping[str, Array]
) -> dict[str, tuple[Exact, QType | None]]:
    """What the tensors of the model are, by name, and the grid of those that are real."""
    rounds = {node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    named = {name for node in model.graph.node for name in node.output}
    named |= {name for name, _ in shapes_of(model)}
    last = dict(zip(form.integers.outputs, form.integers.results, strict=True))
    found: dict[str, tuple[Exact, QType | None]] = {}
    for root, stream in streams.items():
        # Views behind the last node rename what it makes.
        for tensor in (form.integers.tensors[root], last.get(root)):
            if tensor is None or tensor.name not in named:
                continue
            q = tensor.layout.from_stream(stream.astype(np.int64), tensor.shape).astype(object)
            if tensor.name in rounds:
                found[tensor.name] = Exact(q, Fraction(1)), None
            else:
                qtype = tensor.qtype
                found[tensor.name] = Exact(q - qtype.zero_point, qtype.step), qtype
    return found


def shapes_of(model: onnx.ModelProto) -> list[tuple[str, list[int]]]:
    """The model's inputs."""
    return [
        (v.name, [d.dim_value for d in v.type.tensor_type.shape.dim]) for v in model.graph.input
    ]


def grids_of(model: onnx.ModelProto, bits: int) -> dict[str, Any]:
    """Weights that midwire quantises, on their grids."""
    if not bits:
        return {}
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    found: dict[str, Any] = {}
    for node in model.graph.node:
        found |= grid_of_weights(node, arrays, bits, ARITHMETIC)
    return found
