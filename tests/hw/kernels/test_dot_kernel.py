# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import WidthError
from midwire.hw.kernels.dot import DotKernel
from midwire.hw.kernels.reorder import ReorderKernel
from midwire.hw.numeric import IntType

INT8, UINT8, INT16 = IntType(8, True), IntType(8, False), IntType(16, True)
RNG = np.random.default_rng(23)


def matmul_operands(
    xs: tuple[IntType, IntType], batches: int, rows: int, depth: int, columns: int
) -> tuple[ReorderKernel, ReorderKernel]:
    """Each row of the first factor for every column; the columns of the second for every row."""
    a, b = xs
    return (
        ReorderKernel(a, depth, batches * rows, ((columns, 0), (depth, 1))),
        ReorderKernel(b, depth * columns, batches, ((rows, 0), (columns, 1), (depth, columns))),
    )


def numbers(x: IntType, *shape: int) -> Any:
    """At random, then all at either end."""
    found = RNG.integers(x.lo, x.hi + 1, (4, *shape))
    found[1], found[2] = x.lo, x.hi
    return found


@pytest.mark.parametrize(
    "kernel",
    [
        DotKernel((INT8, UINT8), (-3, 200), 6, 5, 3, 3),
        DotKernel((INT8, INT8), (0, 0), 6, 1, 6),
        DotKernel((INT16, INT16), (-32768, 5), 4, 1000),
    ],
)
def test_onnx(kernel: DotKernel, agree: Any) -> None:
    """K1, K2, P1."""
    agree(kernel, [numbers(x, kernel.macs) for x in kernel.xs])


def test_a_matrix_product() -> None:
    """Two reorder buffers and a product: what MatMul means, batch by batch."""
    batches, rows, depth, columns = 2, 3, 5, 4
    xs, zeros = (INT8, UINT8), (-3, 200)
    a, b = numbers(INT8, batches, rows, depth), numbers(UINT8, batches, depth, columns)
    first, second = matmul_operands(xs, batches, rows, depth, columns)
    ((left,),), ((right,),) = first.run(a.reshape(4, -1)), second.run(b.reshape(4, -1))
    kernel = DotKernel(xs, zeros, batches * rows * columns, depth, columns)
    assert kernel.macs == first.elements == second.elements
    ((got,),) = kernel.run(left.reshape(4, -1), right.reshape(4, -1))
    wanted = (a + 3) @ (b - 200)
    np.testing.assert_array_equal(got.reshape(wanted.shape), wanted)


def test_operands_come_as_fast_as_they_are_multiplied() -> None:
    """Both buffers offer every number of lanes along the depth."""
    for operand in matmul_operands((INT8, INT8), 2, 8, 8, 4):
        finisher = Direct(1, -128, 127)
        offered = operand.implementations([finisher], [INT8])
        assert {p.outputs[0].lanes for p in offered} == {1, 2, 4, 8}
        assert [p.cycles for p in offered] == [2 * 8 * 8 * 4 // p.lanes for p in offered]


def test_folds() -> None:
    """Lanes along the depth, then whole groups along the innermost axis."""
    kernel = DotKernel((INT8, INT8), (0, 0), 12, 4, 6, 6)
    offered = kernel.implementations([Direct(6, *kernel.sums)], [IntType(18, True)])
    assert {p.parallelism: p.cycles for p in offered} == {
        (1, 1): 48,
        (1, 2): 24,
        (1, 4): 12,
        (2, 4): 6,
        (3, 4): 4,
        (6, 4): 2,
    }


def test_refusals() -> None:
    with pytest.raises(ValueError, match="groups a multiple of inner, not 5, 1 and 2"):
        DotKernel((INT8, INT8), (0, 0), 5, 1, 2)
    with pytest.raises(ValueError, match="channels must be 1 or 4, not 2"):
        DotKernel((INT8, INT8), (0, 0), 8, 1, 4, 2)
    wide = IntType(32, True)
    with pytest.raises(WidthError, match=r"sums of 2 terms lie between .* below 2\*\*53"):
        DotKernel((wide, wide), (0, 0), 1, 2)
