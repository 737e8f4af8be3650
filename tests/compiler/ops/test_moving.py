# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Tensors that move, meet in other orders, and part and join again: exact, in whole slices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops._model import one_node
from midwire.compiler.ops.gather import Gather
from midwire.compiler.ops.resize import Resize
from midwire.compiler.ops.slice import Slice
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.select.support import import_all
from midwire.hw.formats.bundle import Bundle
from midwire.hw.kernels.reference import Reference
from midwire.sim.verify import verify

Array = np.ndarray[Any, Any]

SEED = 61

MODELS = {
    # The same tensor in two orders: one of them needs a reorder buffer.
    "transposed_sum": """
g (float[1, 4, 4] x) => (float[1, 4, 4] y)
{ t = Transpose <perm = [0, 2, 1]> (x)
  y = Add (x, t) }
""",
    "scores": """
g (float[1, 3, 8] x) => (float[1, 3, 3] y)
{ t = Transpose <perm = [0, 2, 1]> (x)
  y = MatMul (x, t) }
""",
    "rotated": """
g (float[1, 6, 2, 3] x) => (float[1, 6, 2, 3] y)
<int64[1] zero = {0}, int64[1] two = {2}, int64[1] end = {9}, int64[1] one = {1}>
{ a = Slice (x, two, end, one)
  b = Slice (x, zero, two, one)
  y = Concat <axis = 1> (a, b) }
""",
    "swapped_halves": """
g (float[1, 4, 2, 3] x) => (float[1, 4, 2, 3] y)
{ a, b = Split <axis = 1> (x)
  y = Concat <axis = 1> (b, a) }
""",
    # What nobody reads, or only what no output depends on, is dropped.
    "half_unread": """
g (float[1, 4, 2, 3] x) => (float[1, 2, 2, 3] y)
{ a, b = Split <axis = 1> (x)
  c = Relu (b)
  y = Relu (a) }
""",
    "indices_unread": """
g (float[1, 2, 4, 4] x) => (float[1, 2, 3, 3] y)
{ y, indices = MaxPool <kernel_shape = [2, 2]> (x) }
""",
    # What squeeze-and-excite is: a number a channel over the image that it was made of.
    "below_the_largest": """
g (float[1, 4, 2, 3] x) => (float[1, 4, 2, 3] y)
{ p = GlobalMaxPool (x)
  y = Sub (x, p) }
""",
    "gated": """
g (float[1, 6, 2, 2] x) => (float[1, 3, 2, 2] y)
{ a, b = Split <axis = 1> (x)
  y = Mul (a, b) }
""",
    # One order suits both pools, but not the shuffle between them.
    "shuffled_channels": """
g (float[1, 4, 4, 4] x) => (float[1, 4, 2, 2] y)
<int64[5] cut = {1, 2, 2, 3, 3}, int64[4] whole = {1, 4, 3, 3}>
{ a = MaxPool <kernel_shape = [2, 2]> (x)
  b = Reshape (a, cut)
  c = Transpose <perm = [0, 2, 1, 3, 4]> (b)
  d = Reshape (c, whole)
  y = MaxPool <kernel_shape = [2, 2]> (d) }
""",
    # Axes of 3 and of 8 cross each other, so no loops lead from one order to the other.
    "crossing_axes": """
g (float[1, 3, 5, 5] x) => (float[1, 8, 5] y)
<int64[3] whole = {1, 8, 6}>
{ a = MaxPool <kernel_shape = [2, 2]> (x)
  b = Reshape (a, whole)
  y = MaxPool <kernel_shape = [2]> (b) }
""",
}

KERNELS = {
    "transposed_sum": ["eltwise", "reorder"],
    "scores": ["dot", "reorder", "reorder"],
    "rotated": ["concat", "split", "split"],
    "swapped_halves": ["concat", "split"],
    "half_unread": ["eltwise", "split"],
    "indices_unread": ["pool"],
    "below_the_largest": ["eltwise", "reduce", "reorder"],
    "gated": ["dot", "split"],
    "shuffled_channels": ["pool", "pool", "reorder"],
    "crossing_axes": ["pool", "pool", "reorder", "reorder"],
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("no_nic")
def test_exact(name: str, tmp_path: Path, model_file: Callable[..., Path], arithmetic: Any) -> None:
    """Reference, ``slice.onnx``, RTL with stalls and cycles; the reference by the definition."""
    path = model_file(MODELS[name], opset=11)
    model = onnx.load(path)
    rng = np.random.default_rng(SEED)
    (value,) = model.graph.input
    shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
    samples = rng.uniform(-1, 1, (8, *shape)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", in0=samples)
    bundle = compile_model(
        path, tmp_path / "bundle", Options(calibrate=tmp_path / "samples.npz")
    ).bundle
    assert sorted(step.kernel.kind for step in bundle.manifest.steps) == KERNELS[name]
    check_definition(bundle, model, arithmetic)
    found = verify(bundle, vectors=5, stall=0.4, seed=SEED)
    assert found.passed, found


def check_definition(bundle: Bundle, model: onnx.ModelProto, arith: Any) -> None:
    """Nothing is rounded but the result, so that one evaluation in rational numbers decides."""
    (spec,), (out,) = bundle.manifest.inputs, bundle.manifest.outputs
    rng = np.random.default_rng(SEED)
    wires = rng.integers(spec.qtype.lo, spec.qtype.hi + 1, (4, spec.elements))
    (results,) = Reference.of_bundle(bundle).run_wire([wires])
    for wire, result in zip(wires, results, strict=True):
        q = spec.layout.from_stream(wire, spec.shape) - spec.qtype.zero_point
        values = arith.evaluate(model, {spec.name: arith.exact(q.astype(object), spec.qtype.step)})
        got = out.layout.from_stream(result, out.shape)
        np.testing.assert_array_equal(got, values[out.name].grid(out.qtype))


SHUFFLE = """
g (int8[N, 4, 3, 3] x) => (int8[N, 4, 2, 2] y)
<float s = {0.5}, float one = {1}, int8 zero = {0}, int8 off = {-3},
 int64[5] cut = {1, 2, 2, 3, 3}, int64[4] whole = {1, 4, 3, 3},
 int8[4, 2, 1, 1] v = {1, -2, 3, 4, -5, 6, 7, -8}, int8[4, 2, 2, 2] w = {WEIGHTS}>
{ xr = DequantizeLinear (x, s, off)
  vr = DequantizeLinear (v, s, zero)
  a = Conv <group = 2> (xr, vr)
  aq = QuantizeLinear (a, one, off)
  ar = DequantizeLinear (aq, one, off)
  b = Reshape (ar, cut)
  c = Transpose <perm = [0, 2, 1, 3, 4]> (b)
  d = Reshape (c, whole)
  wr = DequantizeLinear (w, s, zero)
  e = Conv <group = 2> (d, wr)
  y = QuantizeLinear (e, one, off) }
"""


@pytest.mark.usefixtures("no_nic")
def test_channel_shuffle(tmp_path: Path, model_file: Callable[..., Path], run_onnx: Any) -> None:
    """Between two convolutions, as ShuffleNet has it: views, and one buffer for the second.

    All scales are powers of two, so that ONNX Runtime's float32 is exact.
    """
    rng = np.random.default_rng(SEED)
    weights = ", ".join(map(str, rng.integers(-9, 10, 32).tolist()))
    path = model_file(SHUFFLE.replace("WEIGHTS", weights))
    bundle = compile_model(path, tmp_path / "bundle", Options(from_="x", to="y")).bundle
    kinds = [step.kernel.kind for step in bundle.manifest.steps]
    assert kinds == ["conv", "reorder", "conv"]
    found = verify(bundle, vectors=5, stall=0.4, seed=SEED)
    assert found.passed, found
    (spec,), (out,) = bundle.manifest.inputs, bundle.manifest.outputs
    x = rng.integers(-128, 128, (20, *spec.shape)).astype(np.int8)
    (got,) = Reference.of_bundle(bundle).run_wire([np.stack([spec.layout.to_stream(i) for i in x])])
    model = load_model(path).model
    for sample, result in zip(x, got, strict=True):
        want = run_onnx(model, {"x": sample})["y"]
        np.testing.assert_array_equal(out.layout.from_stream(result, out.shape), want)


def random_moves(rng: np.random.Generator) -> tuple[onnx.ModelProto, list[int]]:
    """A few operators in a row that only move elements, and a pool that wants channels last."""
    shape = [1, *(int(rng.choice([1, 2, 3, 4, 6])) for _ in range(3))]
    first = list(shape)
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Array] = {}

    def node(kind: str, outputs: int = 1, *rows: list[int], **attributes: Any) -> list[str]:
        name = f"n{len(nodes)}"
        names = [f"{name}_{k}" for k in range(len(rows))]
        constants.update(
            (key, np.array(row, np.int64)) for key, row in zip(names, rows, strict=True)
        )
        made = [f"{name}:{k}" for k in range(outputs)]
        nodes.append(helper.make_node(kind, [value, *names], made, name, **attributes))
        return made

    value = "x"
    for _ in range(int(rng.integers(2, 5))):
        axis = int(rng.integers(1, 4))
        size = shape[axis]
        kind = str(rng.choice(["slice", "turn", "rotate", "repeat", "cut"]))
        if kind == "slice":
            start, step = int(rng.integers(0, size)), int(rng.choice([-2, -1, 1, 1, 1, 2]))
            end = int(rng.integers(start + 1, size + 1)) if step > 0 else -size - 1
            (value,) = node("Slice", 1, [start], [end], [axis], [step])
            shape[axis] = len(range(size)[start:end:step])
        elif kind == "turn":
            perm = [0, *(int(p) for p in rng.permutation([1, 2, 3]))]
            (value,) = node("Transpose", perm=perm)
            shape = [shape[p] for p in perm]
        elif kind == "rotate" and size > 1:
            cut = int(rng.integers(1, size))
            parts = node("Split", 2, [cut, size - cut], axis=axis)
            value = f"n{len(nodes)}:0"
            nodes.append(helper.make_node("Concat", parts[::-1], [value], axis=axis))
        elif kind == "repeat" and size == 1:
            shape[axis] = 3
            (value,) = node("Expand", 1, list(shape))
        elif kind == "cut":
            total = int(np.prod(shape))
            wide = int(rng.choice([d for d in range(1, total + 1) if total % d == 0]))
            shape = [1, wide, 1, total // wide]
            (value,) = node("Reshape", 1, list(shape))
    nodes.append(helper.make_node("MaxPool", [value], ["y"], kernel_shape=[1, 1]))
    graph = helper.make_graph(
        nodes,
        "moves",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, first)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True), first


@pytest.mark.parametrize("seed", range(40))
def test_random_moves(seed: int, lower: Callable[..., Any], arithmetic: Any) -> None:
    """The integer graph by the definition."""
    rng = np.random.default_rng([20261, seed])
    model, shape = random_moves(rng)
    print(f"seed {seed}: {onnx.printer.to_text(model.graph)}")
    graph = lower(model).integers
    (x,), (out,) = (graph.tensors[name] for name in graph.inputs), graph.results
    wires = rng.integers(x.qtype.lo, x.qtype.hi + 1, (3, math.prod(shape)))
    (results,) = Reference(graph.inputs, graph.outputs, graph.nodes).run_wire([wires])
    for wire, result in zip(wires, results, strict=True):
        q = x.layout.from_stream(wire, x.shape) - x.qtype.zero_point
        values = arithmetic.evaluate(model, {"x": arithmetic.exact(q.astype(object), x.qtype.step)})
        got = out.layout.from_stream(result, out.shape)
        np.testing.assert_array_equal(got, values["y"].grid(out.qtype))


MODES = list(
    itertools.product(
        ["asymmetric", "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "align_corners"],
        ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"],
    )
)


@pytest.mark.parametrize(("coordinates", "rounding"), MODES)
def test_resize_is_what_onnx_runtime_does(coordinates: str, rounding: str, tmp_path: Path) -> None:
    """Every factor that is taken, at every length; what is refused is refused with a reason."""
    taken = 0
    factors = (0.2, 0.25, 0.5, 1.0, 2.0, 2.5, 3.0, 5.0)
    for size, factor in itertools.product((1, 4, 5, 6), factors):
        length = int(size * factor)
        if length < 1:
            continue
        scales = np.array([1, factor], np.float32)
        model = one_node(
            "Resize",
            [(1, size)],
            (1, length),
            {1: np.zeros(0, np.float32), 2: scales},
            coordinate_transformation_mode=coordinates,
            nearest_mode=rounding,
        )
        path = tmp_path / "net.onnx"
        path.write_bytes(model.SerializeToString())
        (verdict,) = import_all(load_model(path))
        if not verdict.supported:
            assert verdict.reason.startswith("expected "), verdict.reason
            continue
        x = np.arange(size, dtype=np.float32)[None]
        (want,) = onnxruntime.InferenceSession(str(path)).run(None, {"x0": x})
        op = verdict.pieces[0].op
        got = x[0]
        if isinstance(op, Resize):
            walk = op.walks[1]
            got = got[walk.start :][:: walk.step][: walk.count].repeat(walk.repeat)
        elif isinstance(op, Gather):
            got = got[list(op.indices)]
        elif isinstance(op, Slice):
            first, step, count = op.ranges[1]
            got = got[first::step][:count]
        np.testing.assert_array_equal(got, want[0])
        taken += 1
    assert taken == 0 if coordinates == "align_corners" else taken >= 3


def model_of(kind: str, *constants: Any, **attributes: Any) -> onnx.ModelProto:
    """A node on an image, with constants in further positions."""
    arrays = {k: np.asarray(value) for k, value in enumerate(constants, 1)}
    return one_node(kind, [(1, 4, 3, 5)], (1, 4, 3, 5), arrays, **attributes)


AREA = model_of("Resize", np.zeros(0, np.float32), np.ones(4, np.float32), mode="area")
CONSTANT = one_node(
    "Concat",
    [(1, 4, 3, 5), (1, 1, 3, 5)],
    (1, 6, 3, 5),
    {2: np.ones((1, 1, 3, 5), np.float32)},
    axis=1,
)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            one_node(
                "Resize",
                [(1, 1, 300, 5)],
                (1, 1, 301, 300),
                {1: np.zeros(0, np.float32), 2: np.array([1, 1, 301 / 300, 60], np.float32)},
                mode="linear",
                coordinate_transformation_mode="align_corners",
            ),
            (
                "expected a linear or cubic mode of at most 65536 pixels where each has weights of "
                "its own, found 90000; a whole factor with half_pixel would work"
            ),
        ),
        (
            one_node(
                "Resize",
                [(1, 1, 4, 4)],
                (1, 1, 2, 4),
                {1: np.zeros(0, np.float32), 2: np.array([1, 1, 0.625, 1], np.float32)},
                mode="linear",
                coordinate_transformation_mode="align_corners",
            ),
            (
                "expected a factor that makes 2 elements of 4 with align_corners, found 0.625; "
                "sizes in place of scales would work"
            ),
        ),
        (
            one_node(
                "Resize",
                [(1, 1, 2, 2, 2)],
                (1, 1, 3, 3, 3),
                {1: np.zeros(0, np.float32), 2: np.array([1, 1, 1.5, 1.5, 1.5], np.float32)},
                mode="cubic",
            ),
            (
                "expected one or two spatial axes in the mode cubic, as ONNX Runtime has, found 3; "
                "the mode linear would work"
            ),
        ),
        (
            one_node(
                "Resize",
                [(1, 1, 2, 2)],
                (1, 1, 16, 16),
                {1: np.zeros(0, np.float32), 2: np.array([1, 1, 8, 8], np.float32)},
                mode="cubic",
            ),
            (
                "expected weights of at most 24 bits, found 331203601 of 268435456 (16384 by 16384 "
                "along the axes); factors of smaller numbers would work"
            ),
        ),
        (
            one_node(
                "Resize",
                [(1, 4, 3, 5)],
                (1, 4, 6, 10),
                {1: np.zeros(0, np.float32), 2: np.array([1, 1, 2, 2], np.float32)},
                mode="linear",
                coordinate_transformation_mode="tf_crop_and_resize",
            ),
            (
                "expected the coordinates half_pixel, pytorch_half_pixel, asymmetric or "
                "align_corners, found tf_crop_and_resize"
            ),
        ),
        (AREA, "expected the mode nearest, linear or cubic, found area"),
        (
            one_node(
                "Resize",
                [(1, 5)],
                (1, 1),
                {1: np.zeros(0, np.float32), 2: np.array([1, 0.2], np.float32)},
                nearest_mode="floor",
            ),
            (
                "expected a factor of axis 1 for which float32 finds the nearest elements [1] too, "
                "found [2] (half_pixel, floor, factor 0.20000000298023224)"
            ),
        ),
        (
            one_node("Upsample", [(1, 1)], (1, 65537), {1: np.array([1, 65537], np.float32)}, 9),
            "expected an axis 1 of at most 65536 elements, found 1 and 65537",
        ),
        (
            one_node("Upsample", [(1, 1)], (1, 1 << 39), {1: np.array([1, 2**39], np.float32)}, 9),
            (
                "expected tensors of at most 16777216 elements, found the shape [1, 549755813888] "
                "for 'y'"
            ),
        ),
        (
            CONSTANT,
            (
                "expected one computed operand beside constants, found 2; a Concat of the computed "
                "ones, then one with the constants, would work"
            ),
        ),
        (
            model_of("Slice", np.array([2]), np.array([2]), np.array([1])),
            "expected at least one element of axis 1, found none",
        ),
        (
            model_of("Split", np.array([1, 4]), axis=1, further=[(1, 3, 3, 5)]),
            "expected 2 sizes of at least 1 whose sum is 4, found [1, 4]",
        ),
        (
            model_of("Split", np.ones(1 << 20, np.int64), axis=1, further=[(1, 3, 3, 5)]),
            f"expected 2 sizes of at least 1 whose sum is 4, found [{'1, ' * 16}...]",
        ),
        (
            one_node("MatMul", [(1, 4), (4,)], (1,)),
            "expected two matrices, found the shapes [1, 4] and [4]",
        ),
    ],
)
def test_refusals(model: onnx.ModelProto, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    (verdict,) = import_all(load_model(path))
    assert (verdict.supported, verdict.reason) == (False, reason)
