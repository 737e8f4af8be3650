# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Interval arithmetic holds every point, and the ends of what is exact are reached."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from .interval import Interval
from .intervals import image, runner

Array = np.ndarray[Any, Any]

SEED = 20272
OPSET = 24
EXACTLY = {"bits": 99, "layers": []}
SIX = {"bits": 6, "layers": []}

NODES: dict[str, list[tuple[int, ...]]] = {
    "Abs (x)": [(5,)],
    "BatchNormalization (x, s, b, m, v)": [(1, 3, 2), (3,), (3,), (3,), (3,)],
    "Conv <pads = [1, 1]> (x, w, b)": [(1, 2, 5), (3, 2, 3), (3,)],
    "ConvTranspose <strides = [2]> (x, w)": [(1, 2, 4), (2, 3, 3)],
    "Div (x, y)": [(4,), (4,)],
    "Gelu (x)": [(6,)],
    'Gelu <approximate = "tanh"> (x)': [(6,)],
    "Gemm <alpha = -0.5, beta = -2.0, transB = 1> (x, w, c)": [(2, 3), (4, 3), (4,)],
    "GroupNormalization <num_groups = 2> (x, s, b)": [(2, 4, 3), (4,), (4,)],
    "HardSwish (x)": [(6,)],
    "InstanceNormalization (x, s, b)": [(2, 3, 4), (3,), (3,)],
    "LayerNormalization (x, s, b)": [(2, 5), (5,), (5,)],
    "LpNormalization (x)": [(3, 4)],
    "LpNormalization <axis = 0> (x)": [(3, 4)],
    "MatMul (x, y)": [(2, 3, 4), (2, 4, 2)],
    "MaxPool <kernel_shape = [2]> (x)": [(1, 1, 6)],
    "Mish (x)": [(6,)],
    "Mul (x, y)": [(3, 2), (2,)],
    "Neg (x)": [(4,)],
    "RMSNormalization (x, s)": [(2, 5), (5,)],
    "ReduceL1 (x)": [(2, 3)],
    "ReduceL2 (x)": [(2, 3)],
    "ReduceSumSquare (x)": [(2, 3)],
    "Softmax (x)": [(2, 5)],
    "Sub (x, y)": [(4,), (4,)],
    "Swish <alpha = 2.0> (x)": [(6,)],
}
CONSTANTS = {
    "BatchNormalization": 1,
    "GroupNormalization": 1,
    "InstanceNormalization": 1,
    "LayerNormalization": 1,
    "RMSNormalization": 1,
}
"""The first input that is a point, where not all are intervals."""

EXACT = {"Abs", "Gelu", "HardSwish", "MaxPool", "Mish", "Mul", "Neg", "Sub", "Swish"}
"""Whose ends are values of points that the test tries: corners, turns, or near them."""


def model_of(text: str) -> onnx.ModelProto:
    inputs = text[text.rindex("(") + 1 : -1].split(", ")
    values = ", ".join(f"float[?] {name}" for name in inputs)
    header = f'<ir_version: 10, opset_import: ["" : {OPSET}]>'
    return onnx.parser.parse_model(f"{header} g ({values}) => (float[?] out) {{ out = {text} }}")


@pytest.mark.parametrize("text", NODES)
def test_every_point_is_inside(text: str) -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    model = model_of(text)
    (node,) = model.graph.node
    point = CONSTANTS.get(node.op_type, len(NODES[text]))
    inputs = []
    for index, shape in enumerate(NODES[text]):
        middle, radius = rng.uniform(-2, 2, shape), rng.uniform(0.1, 1, shape)
        if node.op_type == "Div" and index:
            middle = 2 + np.abs(middle)
        if index >= point:
            middle, radius = np.abs(middle), 0 * radius
        inputs.append(Interval.at(middle - radius, middle + radius))
    (bound,) = image(node, inputs, OPSET, EXACTLY)
    run = runner(node, OPSET)
    least, most = np.full(bound.lo.shape, np.inf), np.full(bound.lo.shape, -np.inf)
    for trial in range(400):
        shares = [rng.uniform(0, 1, x.lo.shape) for x in inputs]
        if trial % 2:
            shares = [np.rint(share) for share in shares]
        (found,) = run([x.lo + (x.hi - x.lo) * s for x, s in zip(inputs, shares, strict=True)])
        assert np.all(found >= bound.lo - 1e-12) and np.all(found <= bound.hi + 1e-12)
        least, most = np.minimum(least, found), np.maximum(most, found)
    if node.op_type in EXACT:
        width = bound.hi - bound.lo
        assert np.all(least - bound.lo <= 0.01 * width) and np.all(bound.hi - most <= 0.01 * width)


def test_softmax_reaches_its_ends() -> None:
    """With one element at an end, and all others at the other."""
    x = Interval(np.array([[-1.0, 0.5, 0.2]]), np.array([[0.0, 1.0, 2.0]]))
    model = model_of("Softmax (x)")
    (node,) = model.graph.node
    (bound,) = image(node, [x], OPSET, EXACTLY)
    run = runner(node, OPSET)
    for k in range(3):
        low, high = x.hi.copy(), x.lo.copy()
        low[0, k], high[0, k] = x.lo[0, k], x.hi[0, k]
        assert bound.lo[0, k] == pytest.approx(run([low])[0][0, k], rel=1e-12)
        assert bound.hi[0, k] == pytest.approx(run([high])[0][0, k], rel=1e-12)


def test_integers_are_points() -> None:
    found = Interval.at(np.array([1, 2]))
    assert found.is_point and found.lo.dtype == np.int64
    assert not Interval.at(np.array([1.0]), np.array([2.0])).is_point


def test_normalisations_add_their_unit() -> None:
    """Rules N9 to N11."""
    x = Interval.at(np.array([[0.0, 1.0, 2.0]]))
    for text, widening in (("Softmax (x)", 0.75), ("LayerNormalization (x, s)", 1.0)):
        model = model_of(text)
        (node,) = model.graph.node
        inputs = [x, Interval.at(np.full(3, 2.0))][: len(node.input)]
        (exact,), (wide,) = (image(node, inputs, OPSET, chosen) for chosen in (EXACTLY, SIX))
        assert np.all(wide.hi - exact.hi >= widening * 2.0**-6 - 1e-12)
