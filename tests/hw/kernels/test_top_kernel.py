# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The most extreme few as numbers: K1, K2, V1, Z1, Z2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import WidthError
from midwire.hw.kernels.top import PARTS, TopKernel
from midwire.hw.numeric import IntType

INT3, UINT8 = IntType(3, True), IntType(8, False)


def plainly(kernel: TopKernel, elements: list[int]) -> list[tuple[int, int]]:
    """Values and places of the best, by sorting pairs."""
    sign = -1 if kernel.largest else 1
    late = -1 if kernel.latest else 1
    order = sorted(range(len(elements)), key=lambda n: (sign * elements[n], late * n))
    return [(elements[n], n) for n in order[: kernel.k]]


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(("k", "latest"), [(1, False), (1, True), (3, False), (7, False)])
@pytest.mark.parametrize("x", [INT3, UINT8], ids=str)
def test_ties_and_order(x: IntType, k: int, latest: bool, largest: bool, agree: Any) -> None:
    """Few values of 3 bits: ties everywhere."""
    seed = 31
    print(f"seed {seed}")
    kernel = TopKernel(x, 2, 7, 3, k, PARTS, largest, latest)
    stream = np.random.default_rng(seed).integers(x.lo, x.hi + 1, (4, kernel.elements))
    stream[0], stream[1] = x.lo, x.hi
    agree(kernel, [stream])
    (values,), (places,) = kernel.run(stream)
    for n, tensor in enumerate(stream.reshape(4, 2, 7, 3)):
        wanted = [plainly(kernel, tensor[o, :, i].tolist()) for o in range(2) for i in range(3)]
        assert values[n].ravel().tolist() == [v for row in wanted for v, _ in row]
        assert places[n].ravel().tolist() == [p for row in wanted for _, p in row]


def test_parts(agree: Any) -> None:
    """Only what is read is made."""
    stream = np.random.default_rng(32).integers(0, 256, (3, 12))
    both = TopKernel(UINT8, 1, 12, 1, 4, PARTS).run(stream)
    for part, wanted in zip(PARTS, both, strict=True):
        kernel = TopKernel(UINT8, 1, 12, 1, 4, (part,))
        agree(kernel, [stream])
        np.testing.assert_array_equal(kernel.run(stream), [wanted])
    assert TopKernel(UINT8, 1, 12, 1, 4, PARTS).ranges == ((((0, 255),),), (((0, 11),),))


def test_wide(agree: Any) -> None:
    """An element and its place in a double."""
    x = IntType(24, True)
    stream = np.random.default_rng(33).integers(x.lo, x.hi + 1, (3, 1000))
    agree(TopKernel(x, 1, 1000, 1, 5, PARTS), [stream])


def test_lanes_on_offer() -> None:
    """Results at a time; where there is one, elements of it, unless several are in order."""
    for kernel, wanted in (
        (TopKernel(UINT8, 2, 4, 6, 1, ("places",)), {(1, 1), (2, 2), (3, 3), (6, 6)}),
        (TopKernel(UINT8, 2, 4, 1, 1, ("places",)), {(1, 1), (1, 2), (1, 4)}),
        (TopKernel(UINT8, 2, 4, 1, 2, ("places",)), {(2, 1)}),
    ):
        offered = kernel.implementations([Direct(1, 0, 3)], [IntType(2, False)])
        assert {each.parallelism for each in offered} == wanted
        assert all(each.cycles * each.lanes == kernel.elements for each in offered)


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"^outer, count and inner must be at least 1, and k from"):
        TopKernel(UINT8, 1, 4, 1, 5, PARTS)
    with pytest.raises(ValueError, match=r"^parts must be one or more of .*, not \('places', 'va"):
        TopKernel(UINT8, 1, 4, 1, 1, ("places", "values"))
    with pytest.raises(ValueError, match=r"^latest must be false for more than one result, not f"):
        TopKernel(UINT8, 1, 4, 1, 2, PARTS, True, True)
    with pytest.raises(WidthError):
        TopKernel(IntType(32, False), 1, 1 << 22, 1, 1, PARTS)
