# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from midwire.compiler.load.constants import Context
from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops import REGISTRY
from midwire.compiler.ops.base import Unsupported, WrongTensor
from midwire.compiler.select.support import import_all

ModelFile = Callable[..., Path]

WEIGHTS = """
g (float[N, 3] x) => (float[N, 2] y)
<int8[2, 3] q = {1, -2, 3, -4, 5, -6}, float[2] s = {0.5, 0.25}, int8[2] z = {0, 1}>
{ d = DequantizeLinear<axis = 0>(q, s, z)
  w = Transpose(d)
  y = MatMul(x, w) }
"""


def context(path: Path) -> Context:
    return Context(load_model(path))


def test_grid_survives_moves(model_file: ModelFile) -> None:
    weights = context(model_file(WEIGHTS)).const("w")
    assert weights is not None and weights.scale is not None
    assert weights.values.tolist() == [[1, -4], [-2, 5], [3, -6]]
    np.testing.assert_array_equal(weights.real, [[0.5, -1.25], [-1.0, 1.0], [1.5, -1.75]])
    assert weights.exact()[1] == Fraction(-5, 4)


@pytest.mark.parametrize(
    ("move", "shape"),
    [
        ("Reshape(d, t)", (3, 2)),
        ("Flatten<axis = 0>(d)", (1, 6)),
        ("Unsqueeze(d, a)", (1, 2, 3)),
        ("Identity(d)", (2, 3)),
        ("Cast<to = 11>(d)", (2, 3)),
    ],
)
def test_views_of_a_grid(model_file: ModelFile, move: str, shape: tuple[int, ...]) -> None:
    text = f"""
    g (float[N, 3] x) => (float[N, 3] y, float[A] z)
    <int8[2, 3] q = {{1, -2, 3, -4, 5, -6}}, float s = {{0.5}},
     int64[2] t = {{3, -1}}, int64[1] a = {{0}}>
    {{ d = DequantizeLinear(q, s)
       z = {move}
       y = Relu(x) }}
    """
    constant = context(model_file(text)).const("z")
    assert constant is not None and constant.scale is not None
    assert constant.shape == shape
    assert constant.values.ravel().tolist() == [1, -2, 3, -4, 5, -6]


def test_blocks_of_a_grid(model_file: ModelFile) -> None:
    text = """
    g (float[N, 3] x) => (float[N, 3] y, float[A] z)
    <int8[2, 3] q = {1, -2, 3, -4, 5, -6}, float[2, 2] s = {1, 2, 4, 8}>
    { z = DequantizeLinear<axis = 1, block_size = 2>(q, s)
      y = Relu(x) }
    """
    constant = context(model_file(text, opset=21)).const("z")
    assert constant is not None
    assert constant.real.tolist() == [[1, -2, 6], [-16, 20, -48]]


def test_a_block_is_no_longer_than_its_axis(model_file: ModelFile) -> None:
    """Whatever the model says, which may be more than there is memory."""
    text = """
    g (float[N, 3] x) => (float[N, 3] y, float[A] z)
    <int8[2, 3] q = {1, -2, 3, -4, 5, -6}, float[2, 1] s = {1, 4}>
    { z = DequantizeLinear<axis = 1, block_size = 40000000000>(q, s)
      y = Relu(x) }
    """
    constant = context(model_file(text, opset=21)).const("z")
    assert constant is not None
    assert constant.real.tolist() == [[1, -2, 3], [-16, 20, -24]]


def test_scales_on_a_grid_of_their_own(model_file: ModelFile) -> None:
    """Weights and activations that are quantised with scales that are quantised."""
    text = """
    g (float[N, 2] x) => (float[N, 2] y)
    <int8[2, 2] q = {1, 2, 3, -4}, int8[2] t = {4, 6}, int8 u = {3}, float half = {0.5}>
    { s = DequantizeLinear(t, half)
      w = DequantizeLinear<axis = 0>(q, s)
      r = DequantizeLinear(u, half)
      a = QuantizeLinear(x, r)
      b = DequantizeLinear(a, r)
      y = MatMul(b, w) }
    """
    source = load_model(model_file(text))
    constant = Context(source).const("w")
    assert constant is not None
    assert constant.real.tolist() == [[2, 4], [9, -12]]
    pieces = {v.name: v.pieces[0].op.grid for v in import_all(source) if not v.constant}
    grids = [pieces[name] for name in ("QuantizeLinear_3", "DequantizeLinear_4")]
    assert [grid.scale for grid in grids if grid is not None] == [1.5, 1.5]


def test_expressions_are_evaluated(model_file: ModelFile) -> None:
    text = """
    g (float[N, 3] x) => (float[N, 3] y)
    <float[3] a = {1, 2, 3}, int8[3] q = {1, 2, 4}, float s = {0.5}>
    { c = Constant<value = float {2}>()
      b = Mul(a, c)
      d = DequantizeLinear(q, s)
      e = Sub(b, d)
      y = Add(x, e) }
    """
    constant = context(model_file(text)).const("e")
    assert constant is not None and constant.scale is None
    assert constant.values.tolist() == [1.5, 3.0, 4.0]


def test_elements_of_a_long_axis_are_gathered(model_file: ModelFile) -> None:
    """By indices of fewer elements along the other axes too, as position embeddings are."""
    count = 40
    numbers = ", ".join(map(str, range(2 * count)))
    text = f"""
    g (float[N, 3] x) => (float[N, 3] y)
    <float[2, {count}] t = {{{numbers}}}, int64[1, 3] i = {{39, -1, 5}}>
    {{ c = GatherElements<axis = 1>(t, i)
       y = Add(x, c) }}
    """
    found = context(model_file(text)).const("c")
    assert found is not None
    assert found.values.tolist() == [[39, 39, 5]]


def test_weights_quantised_by_nodes(model_file: ModelFile) -> None:
    text = """
    g (float[N, 3] x) => (float[N, 3] y)
    <float[3] a = {0.3, -0.8, 99}, float s = {0.5}, int8 z = {0}>
    { q = QuantizeLinear(a, s, z)
      d = DequantizeLinear(q, s, z)
      y = Add(x, d) }
    """
    constant = context(model_file(text)).const("d")
    assert constant is not None and constant.scale is not None
    assert constant.values.tolist() == [1, -2, 127]


@pytest.mark.parametrize("first", ["a2000", "a80", "a1"])
def test_long_chains_whatever_is_asked_first(model_file: ModelFile, first: str) -> None:
    chain = " ".join(f"a{i + 1} = Add(a{i}, one)" for i in range(2000))
    text = f"g (float[N] x) => (float[N] y) <float one = {{1}}, float a0 = {{0}}> {{ {chain} "
    asked = context(model_file(text + "y = Add(x, a2000) }"))
    for name in (first, "a80", "a2000"):
        constant = asked.const(name)
        assert constant is not None and constant.values.tolist() == float(name[1:])


@pytest.mark.parametrize(
    "node",
    [
        "Range(zero, huge, one)",
        "Expand(one, sizes)",
        "ConstantOfShape(sizes)",
        "Tile(ones, count)",
    ],
)
def test_bombs_are_not_evaluated(model_file: ModelFile, node: str) -> None:
    text = f"""
    g (float[N, 3] x) => (float[N, 3] y, int64[M] z)
    <int64 zero = {{0}}, int64 one = {{1}}, int64 huge = {{1099511627776}},
     int64[1] ones = {{1}}, int64[2] sizes = {{1048576, 1048576}},
     int64[1] count = {{1099511627776}}>
    {{ z = {node}
       y = Relu(x) }}
    """
    assert context(model_file(text)).const("z") is None


def test_computed_tensors_are_no_constants(model_file: ModelFile) -> None:
    asked = context(model_file(WEIGHTS))
    assert asked.const("x") is None
    assert asked.const("y") is None
    assert asked.const("no such tensor") is None


def test_unknown_and_empty_shapes_are_refused(model_file: ModelFile) -> None:
    text = (
        "g (float[N, 3] x) => (int64[2, M] z, float[N, 3] y, float[N, 0] e) "
        "<int64[1] a = {0}, int64[1] b = {1}> "
        "{ z = NonZero(x) y = Relu(x) e = Slice(x, a, a, b) }"
    )
    asked = context(model_file(text))
    with pytest.raises(Unsupported, match=r"^expected a known shape, found none for 'z'$"):
        asked.shape("z")
    with pytest.raises(Unsupported, match=r"^expected elements, found the shape \[1, 0\] for 'e'$"):
        asked.shape("e")
    with pytest.raises(WrongTensor, match=r"^expected a known element type, found none for 'z'$"):
        asked.dtype("z")


def test_wide_types(model_file: ModelFile) -> None:
    model = onnx.load(model_file(WEIGHTS))
    for name, array in (
        ("half", np.array([1.5], np.float16)),
        ("flag", np.array([True])),
        ("long", np.array([-(2**40)], np.int64)),
        ("exact", np.array([2**53 + 1], np.uint64)),
        ("wide", np.array([1, 2**63], np.uint64)),
        ("text", np.array(["a"], object)),
        ("complex", np.array([1j], np.complex64)),
        ("tiny", np.array([-8, 7], ml_dtypes.int4)),
        ("brain", np.array([0.5], ml_dtypes.bfloat16)),
        ("byte", np.array([-1.5], ml_dtypes.float8_e4m3fn)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    asked = context(model_file(model))
    half, flag, long = (asked.const(name) for name in ("half", "flag", "long"))
    assert half is not None and half.values.dtype == np.float32
    assert flag is not None and flag.values.tolist() == [1]
    assert long is not None and long.values.tolist() == [-(2**40)]
    assert all(asked.const(name) is None for name in ("text", "complex", "wide"))
    values = {name: asked.const(name) for name in ("exact", "tiny", "brain", "byte")}
    assert {n: c.values.tolist() for n, c in values.items() if c is not None} == {
        "exact": [2**53 + 1],
        "tiny": [-8, 7],
        "brain": [0.5],
        "byte": [-1.5],
    }


def test_every_refusal_at_once(model_file: ModelFile) -> None:
    text = """
    g (float[N, 3] x) => (float[N, 3] y)
    { a = Hardmax(x)
      b = Relu(a)
      c = Pow(b, k)
      k = Abs(b)
      y = Hardmax(c) }
    """
    support = import_all(load_model(model_file(text)))
    verdicts = {v.op_type: v for v in support}
    assert [v.supported for v in support].count(False) == 3
    supported = ", ".join(sorted(REGISTRY))
    assert (
        verdicts["Hardmax"].reason == f"operator Hardmax is not supported (supported: {supported})"
    )
    assert (
        verdicts["Hardmax"].reason == f"operator Hardmax is not supported (supported: {supported})"
    )
    assert verdicts["Pow"].reason == "expected a constant exponent, found a computed one"
    assert verdicts["Relu"].supported and verdicts["Relu"].inputs == ("a",)


def test_constant_nodes_are_supported(model_file: ModelFile) -> None:
    support = import_all(load_model(model_file(WEIGHTS)))
    assert [(v.op_type, v.supported, v.constant) for v in support] == [
        ("DequantizeLinear", True, True),
        ("Transpose", True, True),
        ("MatMul", True, False),
    ]
    assert [v.macs for v in support] == [0, 0, 6]


def test_more_scales_than_channels_are_no_grid(model_file: ModelFile) -> None:
    """Along an axis of length 1 they would make the constant larger."""
    text = """
    g (float[N, 3] x) => (float[N, 3] y, float[A, B] d)
    <int8[1, 3] q = {1, 2, 3}, float[2] s = {0.5, 0.25}>
    { d = DequantizeLinear<axis = 0>(q, s) y = Relu(x) }
    """
    constant = context(model_file(text)).const("d")
    assert constant is None or constant.scale is None
