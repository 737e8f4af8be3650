# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams as terms: K1 and K2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.numeric import IntType

INT8, UINT4 = IntType(8, True), IntType(4, False)


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_onnx_gives_the_same_accumulators(channels: int, agree: Any) -> None:
    rng = np.random.default_rng(2)
    kernel = EltwiseKernel((INT8, UINT4), 12, 3, channels)
    agree(kernel, [rng.integers(-128, 128, (4, 12)), rng.integers(0, 16, (4, 12))])
    assert kernel.ranges == ((((-128, 127), (0, 15)),) * channels,)
    assert kernel.uniform().channels == 1


@pytest.mark.parametrize("mode", ["max", "min"])
def test_extremes(mode: str, agree: Any) -> None:
    rng = np.random.default_rng(4)
    kernel = EltwiseKernel((INT8, UINT4), 12, 3, 3, mode)
    agree(kernel, [rng.integers(-128, 128, (4, 12)), rng.integers(0, 16, (4, 12))])


def test_lanes_that_are_on_offer() -> None:
    """Any that change the number of beats; where all channels are alike, those that divide them."""
    kernel = EltwiseKernel((INT8,), 20, 5, 5)
    for each, lanes in ((kernel, [1, 2, 3, 5]), (kernel.uniform(), [1, 5])):
        offered = each.implementations([Direct(each.channels, -128, 127)], [INT8])
        assert [built.outputs[0].lanes for built in offered] == lanes


def test_channels_of_several_axes() -> None:
    """Lanes divide the innermost axis, so that beats are full."""
    offered = EltwiseKernel((INT8,), 24, 6, 12).implementations([Direct(12, -128, 127)], [INT8])
    assert [built.outputs[0].lanes for built in offered] == [1, 2, 3, 6]
