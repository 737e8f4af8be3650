# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Steps of functions, and the pieces on which they are monotone."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from flint import arb

from midwire.hw.finish.steps import MAX_BESIDE_TURN, lines_of, monotone, steps
from midwire.hw.numeric import (
    Affine,
    Exponential,
    Function,
    Interval,
    Piecewise,
    QType,
    Unary,
    UndecidedError,
)

ZERO, ONE = Fraction(0), Fraction(1)
MAGNITUDE = Piecewise((ZERO,), ((ZERO, -ONE), (ZERO, ONE)))
OUT = QType(8, True, 1.0)


def line(scale: Fraction | int, offset: Fraction | int = 0) -> Affine:
    return Affine((Fraction(scale),), Fraction(offset))


def test_an_affine_function_is_one_piece() -> None:
    function = line(Fraction(1, 4), -3).clamped(ZERO, None)
    assert monotone(function, (-100, 100)) == [(-100, 100)]
    found = steps(function, (-100, 22), OUT, 9)
    assert found is not None
    # 2.5 is a tie, and goes to 2.
    assert (found.starts.tolist(), found.values.tolist()) == ([15, 18], [0, 1, 2])
    assert found.table.tolist() == [function.exact([a], OUT) for a in range(-100, 23)]


def test_a_turn_at_a_point_cuts_there() -> None:
    assert monotone(line(1).then(MAGNITUDE), (-5, 9)) == [(-5, -1), (0, 0), (1, 9)]
    assert monotone(line(1, Fraction(1, 2)).then(MAGNITUDE), (-5, 9)) == [(-5, -1), (0, 9)]
    assert monotone(line(-1).then(MAGNITUDE), (0, 9)) == [(0, 0), (1, 9)]
    assert monotone(line(1).then(MAGNITUDE), (3, 9)) == [(3, 9)]
    # What lies on the turn all along is one piece, however long.
    flat = line(1).clamped(None, ZERO).then(MAGNITUDE)
    assert monotone(flat, (-5, 10**9)) == [(-5, -1), (0, 10**9)]


def test_a_turn_behind_a_curve_is_found_by_bisection() -> None:
    """exp(x / 100) - 2 turns its sign between 69 and 70."""
    function = line(Fraction(1, 100)).then(Exponential()).plus(Fraction(-2)).then(MAGNITUDE)
    assert monotone(function, (-(10**6), 10**3)) == [(-(10**6), 69), (70, 10**3)]
    out = QType(8, False, 2.0**-6)
    found = steps(function, (-500, 150), out, 1000)
    assert found is not None
    assert found.table.tolist() == [function.exact([a], out) for a in range(-500, 151)]


@dataclass(frozen=True)
class Square(Unary):
    """It turns somewhere from -2 to 2."""

    def rational(self, x: Fraction) -> Fraction | None:
        return x * x

    def ball(self, x: arb) -> arb:
        return x * x

    @property
    def turns(self) -> tuple[Interval, ...]:
        return ((-2 * ONE, 2 * ONE),)


def test_an_uncertain_turn_leaves_its_inside_one_by_one() -> None:
    function = line(1).then(Square())
    pieces = monotone(function, (-9, 9))
    assert pieces == [(-9, -3), *((a, a) for a in range(-2, 3)), (3, 9)]
    found = steps(function, (-9, 9), OUT, 99)
    assert found is not None
    np.testing.assert_array_equal(found.table, np.arange(-9, 10) ** 2)


@pytest.mark.timeout(20)
def test_an_uncertain_turn_of_many_accumulators_is_refused() -> None:
    function = line(Fraction(1, 2**14)).then(Square())
    within = [part for part in monotone(function, (-(2**16), 2**15 - 1)) if part[0] == part[1]]
    assert len(within) == MAX_BESIDE_TURN
    for low in (-(2**16), -(2**62)):
        with pytest.raises(UndecidedError) as caught:
            monotone(function, (low, 2**15))
        assert str(caught.value) == (
            f"at 65537 accumulators, from -32768 to 32768, {function} is so near to a turn of "
            "Square() that their side is not known, and at most 65536 are evaluated one by one; "
            "use a narrower accumulator, or a coarser scale before the function"
        )
    with pytest.raises(UndecidedError, match=r"^at \d{18} accumulators, from -\d{17} to \d{17}, "):
        monotone(line(Fraction(1, 2**55)).then(Square()), (-(2**62), 2**62))


def test_functions_of_lines_are_followed_line_by_line() -> None:
    """Steep and flat, rising and falling, with jumps and values of their own at breaks."""
    rng = random.Random(3)

    def number(most: int) -> Fraction:
        return Fraction(rng.randint(-60, 60), rng.choice([1, 2, 3, 7, 64, 1000])) * most

    for _ in range(300):
        function: Function = line(number(1), number(10))
        if rng.random() < 0.4:
            function = function.clamped(*sorted([number(5), number(5)]))
        for _ in range(rng.randint(0, 2)):
            breaks = tuple(sorted({number(rng.choice([1, 20])) for _ in range(rng.randint(0, 3))}))
            pieces = [tuple(number(1) for _ in range(rng.randint(1, 2))) for _ in (0, *breaks)]
            at = tuple(rng.choice([None, number(3)]) for _ in breaks)
            function = function.then(Piecewise(breaks, tuple(pieces), at))
        low = rng.randint(-80, 80)
        high = low + rng.randint(0, 90)
        out = replace(OUT, scale=rng.choice([1.0, 0.5, 2.0]), zero_point=rng.randint(-128, 127))
        found, lines = steps(function, (low, high), out, 1 << 16), lines_of(function, (low, high))
        assert found is not None and lines is not None
        wanted = [function.exact([a], out) for a in range(low, high + 1)]
        assert found.table.tolist() == wanted, (function, low, high, out)
        assert (found.values[1:] != found.values[:-1]).all()
        assert lines[0][0][0] == low and lines[-1][0][1] == high
        assert all(a[0][1] + 1 == b[0][0] for a, b in pairwise(lines))


@pytest.mark.timeout(20)
def test_of_many_results_only_as_many_as_allowed_are_looked_at() -> None:
    wide = QType(32, True, 2.0**-20)
    for scale in (1, -1, Fraction(1, 2**20)):
        assert steps(line(scale).then(MAGNITUDE), (-(2**40), 2**40), wide, 255) is None
    steep = steps(line(2**11), (-2, 2), wide, 255)
    assert steep is not None
    assert steep.values.tolist() == [-(2**31), 0, 2**31 - 1]


def test_other_functions_are_no_lines() -> None:
    assert lines_of(line(1).then(Exponential()), (0, 9)) is None
    parabola = Piecewise((ZERO,), ((ZERO,), (ZERO, ZERO, ONE)))
    assert lines_of(line(1).then(MAGNITUDE).then(parabola), (0, 9)) is None


def test_too_many_steps_are_none() -> None:
    assert steps(line(1), (0, 9), OUT, 8) is None
    exact = steps(line(1), (0, 9), OUT, 9)
    assert exact is not None and len(exact.starts) == 9
    waves = line(1).then(MAGNITUDE)
    assert steps(waves, (-4, 4), OUT, 7) is None
    assert steps(waves, (-4, 4), OUT, 8) is not None
    constant = steps(line(0, 5), (-(10**9), 10**9), OUT, 1)
    assert constant is not None
    assert (constant.starts.tolist(), constant.values.tolist()) == ([], [5])
