# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Concatenation and splitting: streams that take turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import Implementation
from midwire.hw.kernels.concat import ConcatKernel
from midwire.hw.kernels.split import SplitKernel
from midwire.hw.numeric import IntType

INT8, UINT4, INT3 = IntType(8, True), IntType(4, False), IntType(3, True)


def numbers(rng: np.random.Generator, x: IntType, elements: int) -> Any:
    return rng.integers(x.lo, x.hi + 1, (5, elements))


def with_lanes(offered: Any, lanes: int) -> Implementation:
    (found,) = (each for each in offered if each.lanes == lanes)
    return found


@pytest.mark.parametrize(
    ("kernel", "lanes"),
    [
        (ConcatKernel((INT8, UINT4, INT3), (4, 6, 2), 5, 12), 2),
        (ConcatKernel((INT8, UINT4), (1, 1), 6, 2), 1),
        (ConcatKernel((INT8, UINT4), (9, 3), 1), 3),
        (ConcatKernel((UINT4,), (4,), 2, 4), 4),
    ],
    ids=["channels", "one_each", "whole_tensors", "one_stream"],
)
def test_concat(kernel: ConcatKernel, lanes: int, exercise: Any, requantiser: Any) -> None:
    """C1, C2, T8: streams of several types, each channel with its own scale."""
    rng = np.random.default_rng(31)
    finisher = requantiser(rng, kernel.channels, [(-128, 127)], (6, True))
    built = with_lanes(kernel.implementations([finisher], [IntType(6, True)]), lanes)
    streams = [
        numbers(rng, x, block * kernel.turns)
        for x, block in zip(kernel.xs, kernel.blocks, strict=True)
    ]
    exercise(kernel, built, [finisher], streams)


def test_concat_of_streams_as_they_are(exercise: Any) -> None:
    rng = np.random.default_rng(32)
    kernel = ConcatKernel((UINT4, INT3), (2, 4), 3)
    out = IntType(5, True)
    built = with_lanes(kernel.implementations([Direct(1, -4, 15)], [out]), 2)
    streams = [numbers(rng, UINT4, 6), numbers(rng, INT3, 12)]
    exercise(kernel, built, [Direct(1, -4, 15)], streams)


@pytest.mark.parametrize(
    ("kernel", "lanes"),
    [
        (SplitKernel(INT8, (4, 2, 6), (0, 1, 2), 3, (1, 1, 1)), 2),
        (SplitKernel(INT8, (3, 5), (0, 1), 1, (1, 1)), 1),
        (SplitKernel(UINT4, (1, 1), (1, 0), 4, (1, 1)), 1),
        (SplitKernel(INT8, (2, 6, 4), (-1, 0, -1), 3, (1,)), 2),
        (SplitKernel(INT8, (1, 2, 1, 3, 2), (0, -1, 1, 0, -1), 2, (1, 1)), 1),
    ],
    ids=["channels", "parts", "one_each", "slice", "several_blocks"],
)
def test_split(kernel: SplitKernel, lanes: int, exercise: Any) -> None:
    """D1, D2, T8."""
    rng = np.random.default_rng(33)
    finishers = [Direct(1, kernel.x.lo, kernel.x.hi) for _ in kernel.channels]
    outs = [kernel.x] * len(finishers)
    built = with_lanes(kernel.implementations(finishers, outs), lanes)
    exercise(kernel, built, finishers, [numbers(rng, kernel.x, kernel.turns * sum(kernel.blocks))])


def test_split_with_finishers_of_other_lengths(exercise: Any, requantiser: Any) -> None:
    """F4: one output as it is, one with scales for its four channels."""
    rng = np.random.default_rng(34)
    kernel = SplitKernel(INT8, (2, 4), (0, 1), 4, (1, 4))
    finishers = [Direct(1, -128, 127), requantiser(rng, 4, [(-128, 127)], (4, False))]
    built = with_lanes(kernel.implementations(finishers, [INT8, UINT4]), 2)
    assert sorted(kernel.images(built, finishers, "dut")) == ["dut_finish1.hex"]
    exercise(kernel, built, finishers, [numbers(rng, INT8, 24)])
