# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The bias takes back, on average over the outputs, what rounded weights add."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.compiler.ops._model import one_node
from midwire.compiler.ops.base import Const
from midwire.compiler.ops.conv import Conv
from midwire.compiler.ops.conv_transpose import ConvTranspose, spreads
from midwire.compiler.ops.window import window_of

from .conftest import Exact

SEED = 20265


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_correction(kind: str, rank: int, group: int, arithmetic: Any) -> None:
    """Padding and what strides leave out is no part of the mean."""
    print(f"seed {SEED}")
    rng = np.random.default_rng([SEED, rank, group])
    spatial, kernel = [5, 4, 3][:rank], [3, 1, 2][:rank]
    attributes: dict[str, Any] = {
        "strides": [2, 1, 1][:rank],
        "dilations": [1, 1, 2][:rank],
        "pads": [1, 0, 1][:rank] + [0, 0, 1][:rank],
    }
    depth = 1 if kind == "Conv" and group > 1 else 2  # other groups are dense by then
    channels = depth * group
    per = 1 if depth == 1 else 3
    weight = rng.standard_normal((per * group, depth, *kernel)).astype(np.float32)
    op: Conv | ConvTranspose
    if kind == "Conv":
        window = window_of(attributes, kernel, (1, channels, *spatial))
        op = Conv(Const(weight), None, window, group)
    else:
        op = ConvTranspose(Const(weight), None, tuple(spreads(attributes, kernel, spatial)), group)
    rounded = op.quantise_weights(3)
    assert isinstance(rounded, type(op))
    mean = rng.standard_normal((1, channels, *spatial)).astype(np.float32)
    corrected = rounded.corrected(op, mean)
    assert isinstance(corrected, type(op)) and corrected.bias is not None

    error = (rounded.weight.real - weight).astype(np.float32)
    if kind == "ConvTranspose":  # ONNX has (I, O / group, ...)
        split = error.reshape(group, per, depth, *kernel).swapaxes(1, 2)
        error = split.reshape(channels, per, *kernel)
    model = one_node(kind, [mean.shape], (), {1: error}, group=group, **attributes)
    made = arithmetic.evaluate(model, {"x0": Exact.of(mean)}, {})["y"]
    outputs = made.ints.reshape(per * group, -1)
    assert outputs.shape[1] > 1
    wanted = np.array(outputs.mean(axis=1) * made.unit, np.float64)
    np.testing.assert_allclose(corrected.bias.real, -wanted, rtol=0, atol=1e-5)
