# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Components of normalisations: rules U1 to U4, N8 to N11, N15, T10."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.deviation import DeviationKernel
from midwire.hw.kernels.powers import PowersKernel
from midwire.hw.kernels.shares import SharesKernel
from midwire.hw.numeric import IntType, QType
from midwire.hw.numeric.norms import DeviationRule, SoftmaxRule


def direct(kernel: Any) -> tuple[Direct, IntType]:
    """No finisher, and the narrowest type."""
    ((low, high),) = kernel.ranges[0][0]
    return Direct(kernel.channels, low, high), IntType.holding(low, high)


def offered(kernel: Any, lanes: int, finisher: Any, out: IntType) -> Any:
    (found,) = (b for b in kernel.implementations([finisher], [out]) if b.lanes == lanes)
    return found


@pytest.mark.parametrize(
    ("bits", "signed", "groups", "count", "lanes"),
    [(8, True, 3, 10, 1), (8, False, 4, 12, 4), (5, True, 1, 7, 7), (3, False, 5, 1, 1)],
)
def test_powers(
    bits: int, signed: bool, groups: int, count: int, lanes: int, exercise: Any
) -> None:
    """The first half of N9."""
    x = QType(bits, signed, 0.0625)
    table = SoftmaxRule.of(x, count, 9).table
    kernel = PowersKernel(x.integers, groups, count, 1, table)
    finisher, out = direct(kernel)
    rng = np.random.default_rng(1)
    q = rng.integers(x.lo, x.hi + 1, (5, groups * count))
    q[0], q[1] = x.hi, x.lo
    exercise(kernel, offered(kernel, lanes, finisher, out), [finisher], [q])


@pytest.mark.parametrize(
    ("width", "groups", "count", "lanes", "bits"),
    [(14, 3, 10, 1, 8), (11, 2, 12, 4, 7), (9, 1, 7, 7, 1), (20, 4, 1, 1, 12), (4, 2, 16, 16, 5)],
)
def test_shares(width: int, groups: int, count: int, lanes: int, bits: int, exercise: Any) -> None:
    """The second half of N9; ties and all of a sum among the quotients."""
    x = IntType(width, False)
    kernel = SharesKernel(x, groups, count, 1, bits)
    finisher, out = direct(kernel)
    rng = np.random.default_rng(2)
    e = rng.integers(0, x.hi + 1, (6, groups, count))
    e[1] = 1
    e[2] = 0
    e[:3, :, 0] = x.hi
    e[3] = np.minimum(e[3], 3) + 1
    exercise(kernel, offered(kernel, lanes, finisher, out), [finisher], [e.reshape(6, -1)])


@pytest.mark.parametrize(
    ("bits", "zero", "centred", "groups", "count", "lanes", "fraction"),
    [
        (8, 3, True, 3, 10, 1, 8),
        (8, -128, False, 2, 12, 4, 7),
        (5, 9, False, 4, 3, 1, 12),
        (4, 0, True, 1, 60, 12, 6),
        (8, 0, True, 2, 48, 1, 12),
        (3, 0, True, 3, 1, 1, 4),
        (8, 0, True, 6, 4, 4, 5),
    ],
)
def test_deviations(
    bits: int,
    zero: int,
    centred: bool,
    groups: int,
    count: int,
    lanes: int,
    fraction: int,
    exercise: Any,
) -> None:
    """N10, N11; constant groups and such with one odd element among them."""
    x = QType(bits, bits != 5, 0.125, zero)
    rule = DeviationRule.of(x, count, Fraction(1, 100000), fraction, centred=centred)
    kernel = DeviationKernel(x.integers, groups, 1, rule)
    finisher, out = direct(kernel)
    rng = np.random.default_rng(4)
    q = rng.integers(x.lo, x.hi + 1, (7, groups, count))
    q[0], q[1], q[2] = x.hi, x.lo, zero
    q[3] = x.lo
    q[3, :, 0] = x.hi
    exercise(kernel, offered(kernel, lanes, finisher, out), [finisher], [q.reshape(7, -1)])


@pytest.mark.parametrize(
    ("power", "zero", "groups", "count", "lanes", "fraction"),
    [
        (0, -128, 3, 6, 2, 8),
        (0, 5, 4, 3, 3, 10),
        (1, -128, 3, 6, 2, 8),
        (1, 5, 4, 3, 3, 10),
        (2, 3, 3, 10, 1, 9),
    ],
)
def test_norms(
    power: int, zero: int, groups: int, count: int, lanes: int, fraction: int, exercise: Any
) -> None:
    """N15; groups of zeros, and of one element that is none."""
    x = QType(8, True, 0.125, zero)
    rule = DeviationRule.of_norm(x, count, power, Fraction(0), fraction)
    kernel = DeviationKernel(x.integers, groups, 1, rule)
    finisher, out = direct(kernel)
    rng = np.random.default_rng(5)
    q = rng.integers(x.lo, x.hi + 1, (7, groups, count))
    q[0], q[1], q[2:4] = x.hi, x.lo, zero
    q[3, :, 0] = x.hi
    exercise(kernel, offered(kernel, lanes, finisher, out), [finisher], [q.reshape(7, -1)])


def test_a_finisher_of_its_own(exercise: Any, requantiser: Any) -> None:
    """F4: each channel with its own scale."""
    kernel = SharesKernel(IntType(10, False), 2, 12, 6, 8)
    rng = np.random.default_rng(3)
    finisher = requantiser(rng, 6, [(0, 256)], (4, False))
    built = offered(kernel, 2, finisher, IntType(4, False))
    exercise(kernel, built, [finisher], [rng.integers(1, 1024, (4, 24))])
