# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.reorder import ReorderKernel
from midwire.hw.numeric import IntType

INT8 = IntType(8, True)

CASES = {
    "copy": (ReorderKernel(INT8, 6, 2, ((6, 1),)), 3),
    "transpose": (ReorderKernel(INT8, 12, 1, ((4, 1), (3, 4))), 1),
    "transpose_by_lanes": (ReorderKernel(INT8, 24, 2, ((4, 1), (6, 4))), 3),
    "channels_last": (ReorderKernel(IntType(5, False), 24, 1, ((4, 1), (6, 4))), 2),
    "resize": (ReorderKernel(INT8, 12, 3, ((2, 0), (3, 4), (2, 0), (4, 1)), 0, 4), 2),
    "resize_one_channel": (ReorderKernel(INT8, 3, 2, ((2, 0), (3, 1), (2, 0))), 1),
    "slice": (ReorderKernel(INT8, 20, 2, ((2, 8), (2, 1)), 6), 2),
    "backwards": (ReorderKernel(INT8, 12, 1, ((3, -4), (4, 1)), 8), 4),
    "mirrored": (ReorderKernel(INT8, 5, 2, ((5, -1),), 4), 1),
    "depth_to_space": (ReorderKernel(INT8, 24, 2, ((2, 4), (3, 8), (4, 1))), 4),
    "rows_for_a_product": (ReorderKernel(INT8, 4, 3, ((5, 0), (4, 1))), 2),
    "columns_for_a_product": (ReorderKernel(INT8, 20, 1, ((3, 0), (5, 1), (4, 5))), 2),
    "one": (ReorderKernel(INT8, 1, 7, ((1, 1),)), 1),
    "picked": (ReorderKernel(INT8, 12, 3, ((4, 1),), starts=(8, 0, 8, 4, 0)), 2),
    "picked_elements": (ReorderKernel(INT8, 5, 2, (), starts=(4, 0, 2)), 1),
    "picked_one": (ReorderKernel(INT8, 6, 3, ((2, 1),), starts=(2,)), 1),
    "picked_columns": (ReorderKernel(INT8, 12, 2, ((2, 6), (2, 0), (3, 1)), starts=(3, 0)), 3),
    "within_a_stride": (ReorderKernel(INT8, 30, 1, ((2, 12), (2, 1), (4, 3)), 1), 2),
}


@pytest.mark.parametrize("case", CASES)
def test_reorder(case: str, exercise: Any) -> None:
    """M1 to M3, S1 to S4, T7."""
    kernel, lanes = CASES[case]
    finisher = Direct(kernel.channels, kernel.x.lo, kernel.x.hi)
    offered = {each.lanes: each for each in kernel.implementations([finisher], [kernel.x])}
    rng = np.random.default_rng(11)
    x = rng.integers(kernel.x.lo, kernel.x.hi + 1, (5, kernel.blocks * kernel.block))
    exercise(kernel, offered[lanes], [finisher], [x])


def test_a_finisher_of_its_own(exercise: Any, requantiser: Any) -> None:
    """F4: rows twice, each channel with its own scale."""
    kernel = ReorderKernel(INT8, 12, 2, ((2, 0), (12, 1)), 0, 6)
    rng = np.random.default_rng(12)
    finisher = requantiser(rng, 6, [(-128, 127)], (4, False))
    offered = kernel.implementations([finisher], [IntType(4, False)])
    (built,) = (each for each in offered if each.lanes == 2)
    exercise(kernel, built, [finisher], [rng.integers(-128, 128, (4, 24))])
