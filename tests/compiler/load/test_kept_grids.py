# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules K1 to K3: constants that stay integers with a scale, and those that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.load.constants import Context
from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops.base import Const

ModelFile = Callable[..., Path]
RunOnnx = Callable[..., dict[str, Any]]


def integers(count: int) -> str:
    """Small ones, some negative."""
    return ", ".join(str((7 * i) % 23 - 11) for i in range(count))


CONSTANTS = f"""
int8[8, 3] w = {{{integers(24)}}}, float[8] s = {{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}},
int8[8] z = {{0, 1, 2, 3, -1, -2, -3, 4}}, int32[8, 3] wide = {{{integers(24)}}},
float[8, 1] steps = {{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}}, int8[8, 1] thin = {{{integers(8)}}},
float[8, 3] f = {{{integers(24)}}}, float third = {{0.3}}, float two = {{2}},
float[3] minus = {{1, -2, 3}}, int64[1] begin = {{1}}, int64[1] end = {{5}},
int64[3] rows = {{5, 0, 2}}, int64[2] parts = {{3, 5}}, int64[2] shape = {{8, 3}},
int64[2] again = {{1, 2}}
"""

D = "d = DequantizeLinear <axis = 0> (w, s, z)"
KEPT = {
    "sliced": f"{D} c = Slice (d, begin, end)",
    "gathered": f"{D} c = Gather <axis = 0> (d, rows)",
    "split": f"{D} other, c = Split <axis = 0> (d, parts)",
    "repeated": f"{D} c = Tile (d, again)",
    "expanded": "d = DequantizeLinear <axis = 0> (thin, s, z) c = Expand (d, shape)",
    "joined": f"{D} e = DequantizeLinear (w, third) c = Concat <axis = 0> (d, e, d)",
    "doubled": f"{D} c = Mul (d, two)",
    "cast": "c = Cast <to = 1> (w)",
    "cast and scaled": "d = Cast <to = 1> (w) c = Mul (steps, d)",
    "with a zero point": "d = Cast <to = 1> (w) e = Sub (d, minus) c = Mul (e, third)",
    "integers sliced": "i = Slice (w, begin, end) c = DequantizeLinear (i, third)",
}
SPENT = {
    "joined with reals": f"{D} c = Concat <axis = 0> (d, f)",
    "a product that is rounded": f"{D} c = Mul (d, third)",
    "turned": "d = Cast <to = 1> (w) n = Neg (two) c = Mul (d, n)",
    "shifted on another grid": f"{D} c = Sub (d, two)",
    "shifted by a part": "d = Cast <to = 1> (w) c = Sub (d, third)",
    "more than weights": "c = Cast <to = 1> (wide)",
}


def resolved(model_file: ModelFile, body: str) -> tuple[onnx.ModelProto, Const]:
    text = f"g (float[N] x) => (float[A, B] c, float[N] y) <{CONSTANTS}> {{ {body} y = Relu(x) }}"
    source = load_model(model_file(text))
    constant = Context(source).const("c")
    assert constant is not None
    return source.model, constant


@pytest.mark.parametrize("body", [*KEPT, *SPENT])
def test_the_same_reals(model_file: ModelFile, run_onnx: RunOnnx, body: str) -> None:
    """As in ONNX Runtime, on a grid or on none."""
    model, constant = resolved(model_file, {**KEPT, **SPENT}[body])
    assert (constant.scale is not None) == (body in KEPT)
    want = run_onnx(model, {"x": np.zeros(1, np.float32)})["c"]
    np.testing.assert_array_equal(constant.real.astype(np.float32), want)
    if constant.scale is not None:
        assert constant.values.dtype == np.int64
        assert np.broadcast_shapes(constant.shape, constant.scale.shape) == constant.shape
