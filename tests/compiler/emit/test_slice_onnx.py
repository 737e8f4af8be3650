# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``slice.onnx`` gives the reference's integers, however wide the tensors are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from midwire.compiler.emit.slice_onnx import slice_model
from midwire.compiler.ir.quant import QGraph, QNode, QTensor
from midwire.hw.finish.fit import fit_requantiser
from midwire.hw.formats.tensor import Layout
from midwire.hw.kernels.base import Kernel
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import Affine, QType

Array = np.ndarray[Any, Any]
SEED = 3


def check(graph: QGraph, wires: Sequence[Array]) -> onnx.ModelProto:
    """Zero mismatches, with graph rewrites of ONNX Runtime and without them."""
    model = slice_model(graph)
    want = Reference(graph.inputs, graph.outputs, graph.nodes).run_wire(wires)
    levels = onnxruntime.GraphOptimizationLevel
    for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        for k in range(len(wires[0])):
            found = session.run(None, {f"wire_in{i}": wire[k] for i, wire in enumerate(wires)})
            for got, expected in zip(found, want, strict=True):
                np.testing.assert_array_equal(got, expected[k])
    return model


def extremes(tensor: QTensor, rng: np.random.Generator, count: int = 6) -> Array:
    """All at the bottom, all at the top, ends at random, then anything."""
    lo, hi = tensor.qtype.lo, tensor.qtype.hi
    size = int(np.prod(tensor.shape))
    wires = rng.integers(lo, hi + 1, (count, size))
    wires[0], wires[1] = lo, hi
    wires[2] = rng.choice([lo, hi], size)
    return wires.astype(tensor.qtype.wire_dtype)


def one_node(
    kernel: Kernel,
    x: QType,
    shape: tuple[int, ...],
    outs: tuple[int, ...],
    scale: Fraction = Fraction(1),
) -> QGraph:
    """A graph of one kernel whose output type takes in its whole range."""
    (ranges,) = kernel.ranges
    peak = max(1, *(max(abs(low), abs(high)) for ((low, high),) in ranges))
    out = QType(8, True, float(2.0 ** int(np.ceil(np.log2(peak * float(scale) / 100)))), 1)
    fit = fit_requantiser([Affine((scale,), Fraction(0))] * len(ranges), ranges, out)
    tensors = {
        "x": QTensor("x", shape, x, Layout.channels_last(shape)),
        "y": QTensor("y", outs, out, Layout.channels_last(outs)),
    }
    node = QNode("only", kernel, (fit,), ("x",), ("y",))
    return QGraph("g", (node,), tensors, ("x",), ("y",), (tensors["y"],))


@pytest.mark.parametrize("weight_bits", [2, 8, 12, 16])
@pytest.mark.parametrize("bits", [4, 8, 9, 12, 16])
@pytest.mark.parametrize("depthwise", [False, True])
def test_convolutions_of_any_width(weight_bits: int, bits: int, depthwise: bool) -> None:
    """Sums far beyond 2**24, at the ends of both types."""
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    top = 2 ** (weight_bits - 1)
    channels = 6
    shape = (channels, 3, 3, 1 if depthwise else channels)
    weight = rng.integers(-top, top, shape)
    weight[0], weight[1] = top - 1, -top
    x = QType(bits, bits % 2 == 0, 1.0, 1)
    geometry = Geometry((5, 4), (3, 3), pads=(1, 1, 1, 1))
    kernel = ConvKernel(geometry, channels, x.integers, weight, depthwise, x.zero_point)
    image = (1, channels, 5, 4)
    graph = one_node(kernel, x, image, image)
    check(graph, [extremes(graph.tensors["x"], rng)])


def test_a_window_of_a_thousand_taps() -> None:
    """A filter bank over a line: bytes, but more of them than float32 sums exactly."""
    rng = np.random.default_rng(SEED)
    weight = rng.choice([-127, 127], (3, 1400, 1, 1))
    weight[0] = 127
    x = QType(8, False, 1.0, 0)
    geometry = Geometry((1500, 1), (1400, 1), (50, 1))
    kernel = ConvKernel(geometry, 1, x.integers, weight, False, x.zero_point)
    graph = one_node(kernel, x, (1, 1, 1500, 1), (1, 3, 3, 1))
    check(graph, [extremes(graph.tensors["x"], rng)])


@pytest.mark.parametrize("bits", [8, 16])
def test_the_mean_of_a_large_image(bits: int) -> None:
    rng = np.random.default_rng(SEED)
    x = QType(bits, True, 1.0, 3)
    kernel = PoolKernel(Geometry((40, 32), (40, 32)), 2, x.integers, "sum", x.zero_point)
    graph = one_node(kernel, x, (1, 2, 40, 32), (1, 2, 1, 1), Fraction(1, 40 * 32))
    check(graph, [extremes(graph.tensors["x"], rng)])


NET = """
g (float[N, 3, 4, 4] x) => (float[N, 5] y)
<float[4, 3, 3, 3] w = {W}, float[4, 1, 1, 1] d = {1, -1, 2, 0.5}, float[4, 5] m = {M}>
{ a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w)
  b = Relu (a)
  c = Conv <group = 4> (b, d)
  e = Add (c, b)
  f = AveragePool <kernel_shape = [2, 2]> (e)
  h = Flatten (f)
  y = MatMul (h, m) }
"""

Lower = Callable[..., Any]


@pytest.fixture
def whole(lower: Lower) -> Callable[[Mapping[str, QType]], QGraph]:
    rng = np.random.default_rng(SEED)

    def numbers(count: int) -> str:
        return "{" + ", ".join(f"{v:.6f}" for v in rng.standard_normal(count)) + "}"

    text = NET.replace("{W}", numbers(108)).replace("{M}", numbers(20))

    def run(grids: Mapping[str, QType]) -> QGraph:
        graph: QGraph = lower(text, grids).integers
        return graph

    return run


@pytest.mark.parametrize(
    "grids",
    [
        {},
        {"x": QType(8, False, 2.0**-3, 100), "e": QType(8, False, 2.0**-3, 7)},
        {"b": QType(3, False, 1.0), "y": QType(2, True, 4.0)},
        {"x": QType(12, True, 2.0**-6), "y": QType(16, True, 2.0**-9)},
    ],
)
def test_a_net(grids: Mapping[str, QType], whole: Callable[[Mapping[str, QType]], QGraph]) -> None:
    graph = whole(grids)
    model = check(graph, [extremes(graph.tensors["x"], np.random.default_rng(SEED))])
    onnx.checker.check_model(model, full_check=True)


def test_anyone_can_run_it(whole: Callable[[Mapping[str, QType]], QGraph]) -> None:
    """Standard operators of one opset; flat integers at both ends; no machine's name in it."""
    model = slice_model(whole({}))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert {node.domain for node in model.graph.node} == {""}
    ends = [
        (v.name, v.type.tensor_type.elem_type, [d.dim_value for d in v.type.tensor_type.shape.dim])
        for v in (*model.graph.input, *model.graph.output)
    ]
    assert ends == [
        ("wire_in0", onnx.TensorProto.INT8, [48]),
        ("wire_out0", onnx.TensorProto.INT8, [5]),
    ]
    again = slice_model(whole({}))
    assert model.SerializeToString(deterministic=True) == again.SerializeToString(
        deterministic=True
    )
