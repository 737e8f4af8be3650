# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules N2 and N6, against definitions that are written out here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st

from midwire.hw.finish.steps import steps
from midwire.hw.numeric import (
    Affine,
    Composed,
    DomainError,
    Listed,
    Piecewise,
    QType,
    Unary,
    UndecidedError,
)

from ..exact import FRACTIONS, Logistic, half_to_even, qtypes


def by_definition(function: Affine, accs: Sequence[int], out: QType) -> int:
    """N2 and N3, from nothing but the fields."""
    real = function.offset
    for scale, acc in zip(function.scales, accs, strict=True):
        real += scale * acc
    if function.floor is not None and real < function.floor:
        real = function.floor
    if function.ceil is not None and real > function.ceil:
        real = function.ceil
    q = half_to_even(real / Fraction(out.scale)) + out.zero_point
    return max(out.lo, min(out.hi, q))


# Affine


@given(
    scales=st.lists(FRACTIONS, min_size=1, max_size=2),
    offset=FRACTIONS,
    steps_=st.lists(
        st.one_of(
            st.tuples(st.just("plus"), FRACTIONS),
            st.tuples(st.just("times"), FRACTIONS),
            st.tuples(st.just("clamped"), st.none() | FRACTIONS, st.none() | FRACTIONS),
        ),
        max_size=6,
    ),
    accs=st.lists(st.integers(-40, 40), min_size=2, max_size=2),
    out=qtypes(),
)
def test_composition_equals_one_step_after_another(
    scales: list[Fraction],
    offset: Fraction,
    steps_: list[tuple[str, Fraction] | tuple[str, Fraction | None, Fraction | None]],
    accs: list[int],
    out: QType,
) -> None:
    accs = accs[: len(scales)]
    function = Affine(tuple(scales), offset)
    real = offset + sum((s * a for s, a in zip(scales, accs, strict=True)), Fraction(0))
    for step in steps_:
        if step[0] == "clamped":
            floor, ceil = step[1], step[2] if len(step) > 2 else None
            if floor is not None and ceil is not None and floor > ceil:
                floor, ceil = ceil, floor
            function = function.clamped(floor, ceil)
            real = real if floor is None else max(real, floor)
            real = real if ceil is None else min(real, ceil)
        else:
            assert step[1] is not None
            function = function.plus(step[1]) if step[0] == "plus" else function.times(step[1])
            real = real + step[1] if step[0] == "plus" else real * step[1]
    want = half_to_even(real / Fraction(out.scale)) + out.zero_point
    want = max(out.lo, min(out.hi, want))
    assert function.exact(accs, out) == want
    assert by_definition(function, accs, out) == want
    low, high = function.ends(out)
    assert out.lo <= low <= want <= high <= out.hi


def test_a_floor_above_the_ceiling_is_refused() -> None:
    one = Fraction(1)
    assert Affine((one,), one, one, one).real([9]) == 1
    with pytest.raises(ValueError, match=r"^floor must not exceed ceil, not 3/2 > 1$"):
        Affine((one,), one, Fraction(3, 2), one)
    # Clamping comes in an order, so any bounds will do there.
    assert Affine((one,), one).clamped(Fraction(3, 2), one).real([9]) == 1


# N6


@dataclass(frozen=True)
class Root(Unary):
    def rational(self, x: Fraction) -> Fraction | None:
        if x < 0:
            raise DomainError(f"the root of {x} is not real")
        return None

    def ball(self, x: arb) -> arb:
        return x.sqrt()


@dataclass(frozen=True)
class Roundabout(Unary):
    """The identity, in a way that no precision tells to be rational."""

    def rational(self, x: Fraction) -> Fraction | None:
        return None

    def ball(self, x: arb) -> arb:
        return x.exp().log()


def logistic(x: Fraction) -> Fraction:
    with localcontext(prec=80):
        power = (-Decimal(x.numerator) / Decimal(x.denominator)).exp()
        return Fraction(1 / (1 + power))


@given(scale=FRACTIONS, offset=FRACTIONS, acc=st.integers(-40, 40), out=qtypes(16))
def test_a_transcendental_value_is_rounded_right(
    scale: Fraction, offset: Fraction, acc: int, out: QType
) -> None:
    """By 80 decimal digits, which decide where no tie is near; at 0 the value is one half."""
    function = Affine((scale,), offset).then(Logistic()).times(Fraction(3, 7)).plus(Fraction(-1, 9))
    x = scale * acc + offset
    value = Fraction(1, 2) if x == 0 else logistic(x)
    ratio = (value * Fraction(3, 7) - Fraction(1, 9)) / out.step
    rest = ratio - ratio.numerator // ratio.denominator - Fraction(1, 2)
    if x != 0 and abs(rest) < Fraction(1, 10**60):
        return
    want = half_to_even(ratio) + out.zero_point
    assert function.exact([acc], out) == max(out.lo, min(out.hi, want))


def test_what_is_beside_a_tie_takes_more_bits() -> None:
    """1 / (1 + exp(-1000)) is below 1 by less than 10**-434: half of it is no tie."""
    function = Affine((Fraction(1),), Fraction(0)).then(Logistic())
    out = QType(8, True, 2.0)
    assert [function.exact([acc], out) for acc in (-1000, 0, 1000)] == [0, 0, 0]
    above = Affine((Fraction(1),), Fraction(0)).then(Logistic()).times(Fraction(-1))
    assert above.plus(Fraction(2)).exact([1000], out) == 1
    assert above.plus(Fraction(2)).exact([40000], out) == 1


def test_a_rational_value_may_be_a_tie() -> None:
    function = Affine((Fraction(1),), Fraction(0)).then(Logistic()).plus(Fraction(1))
    for zero_point in (0, 1):
        assert function.exact([0], QType(8, True, 1.0, zero_point)) == 2 + zero_point
    assert Affine((Fraction(1),), Fraction(0)).then(Root()).exact([4], QType(8, True, 4.0)) == 0
    assert Affine((Fraction(9),), Fraction(0)).then(Root()).exact([4], QType(8, True, 4.0)) == 2


def test_constant_pieces_are_exact_around_a_ball() -> None:
    """Clipped at 3/4 and scaled by 2/3: a tie, which no ball decides."""
    function = Affine((Fraction(1),), Fraction(0)).then(Logistic())
    clipped = function.clamped(None, Fraction(3, 4)).times(Fraction(2, 3)).plus(Fraction(1))
    assert clipped.exact([9], QType(8, True, 1.0)) == 2
    # Hundreds of ReLUs in a row are one.
    once = clipped.clamped(Fraction(0), None)
    assert once.clamped(Fraction(0), None) == once != once.clamped(Fraction(1), None)
    sign = Piecewise((Fraction(0),), ((Fraction(-1),), (Fraction(1),)), (Fraction(0),))
    assert [function.then(sign).exact([acc], QType(8, True, 1.0)) for acc in (-9, 9)] == [1, 1]


def test_huge_values_saturate() -> None:
    @dataclass(frozen=True)
    class Exponential(Logistic):
        def ball(self, x: arb) -> arb:
            return x.exp()

    function = Affine((Fraction(10**9),), Fraction(0)).then(Exponential())
    assert [function.exact([acc], QType(8, True, 0.5)) for acc in (-1, 1)] == [0, 127]


def test_what_cannot_be_decided_says_so() -> None:
    function = Affine((Fraction(1, 2),), Fraction(0)).then(Roundabout())
    out = QType(4, True, 1.0)
    assert function.exact([2], out) == 1
    with pytest.raises(UndecidedError) as caught:
        function.exact([3], out)
    message = str(caught.value)
    assert message.startswith("the value of Composed(inner=Affine(scales=(Fraction(1, 2),)")
    assert message.endswith(
        "at [3] is within 2**-65536 of a tie of QType(bits=4, signed=True, scale=1.0, "
        "zero_point=0), or it is one that no step knows to be rational; choose another scale for "
        "the output, or state the value in the function's 'rational'"
    )
    with pytest.raises(DomainError, match="the root of -1 is not real"):
        Affine((Fraction(1),), Fraction(0)).then(Root()).exact([-1], out)


def test_steps_come_one_after_another() -> None:
    function = Affine((Fraction(2),), Fraction(1)).then(Piecewise.line(Fraction(3), Fraction(0)))
    assert function == Composed(function.inner, function.steps)
    function = function.clamped(Fraction(-9), Fraction(30)).times(Fraction(-1)).plus(Fraction(5))
    found = [function.exact([acc], QType(16, True, 1.0)) for acc in (-9, 0, 1, 7)]
    assert found == [14, 2, -4, -25]


# Piecewise

PIECES = st.lists(FRACTIONS, min_size=1, max_size=3).map(tuple)


@st.composite
def piecewise(draw: st.DrawFn) -> Piecewise:
    breaks = tuple(sorted(draw(st.sets(FRACTIONS, max_size=3))))
    pieces = tuple(draw(PIECES) for _ in range(len(breaks) + 1))
    at = tuple(draw(st.none() | FRACTIONS) for _ in breaks)
    return Piecewise(breaks, pieces, draw(st.sampled_from([(), at])))


@given(function=piecewise(), x=FRACTIONS, wide=st.integers(0, 90))
def test_a_ball_holds_the_values(function: Piecewise, x: Fraction, wide: int) -> None:
    index = sum(b < x for b in function.breaks)
    value: Fraction | None = None
    if x in function.breaks:
        value = function.at[index] if function.at else None
        index += 1
    if value is None:
        value = sum((c * x**k for k, c in enumerate(function.pieces[index])), Fraction(0))
    assert function.rational(x) == value
    with ctx.workprec(64):
        radius = arb(0, 2.0**-wide)
        ball = function.ball(arb(x.numerator) / x.denominator + radius)
        exact = arb(value.numerator) / value.denominator
        assert ball.overlaps(exact) and (ball + arb(0, 2.0**-40)).contains(exact)


@given(function=piecewise(), seed=st.integers(0, 2**32))
def test_it_is_monotone_between_turns(function: Piecewise, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = [Fraction(-80), *(turn[0] for turn in function.turns), Fraction(80)]
    assert all(low == high for low, high in function.turns) and ends == sorted(ends)
    for low, high in itertools.pairwise(ends):
        parts = np.sort(rng.integers(1, 10**6, 30))
        values = [function.rational(low + (high - low) * int(p) / 10**6) for p in parts]
        assert values in (sorted(values), sorted(values, reverse=True))


def test_turns_of_some() -> None:
    zero, one, half = Fraction(0), Fraction(1), Fraction(1, 2)
    sign = Piecewise((zero,), ((-one,), (one,)), (zero,))
    assert sign.turns == ((zero, zero),)
    assert [sign.rational(Fraction(x)) for x in (-2, 0, 3)] == [-1, 0, 1]
    magnitude = Piecewise((zero,), ((zero, -one), (zero, one)))
    assert magnitude.turns == ((zero, zero),)
    assert Piecewise((zero,), ((zero, half), (zero, one))).turns == ()
    hill = Piecewise((), ((zero, one, -one),))
    assert hill.turns == ((half, half),)
    table = Piecewise((zero, one), ((zero, one), (zero,), (one, -one)))
    assert table.turns == ((one, one),)
    assert Piecewise.clamp(zero, one).turns == ()
    assert Piecewise.clamp(one, zero).rational(Fraction(9)) == 0
    assert Piecewise.clamp(None, None).rational(Fraction(9)) == 9


def test_directions() -> None:
    """Of lines, steps, clamps and parabolas, and of one behind the other."""
    zero, one = Fraction(0), Fraction(1)
    step = Piecewise((zero,), ((-one,), (one,)), (zero,))
    spike = Piecewise((zero,), ((zero,), (zero,)), (one,))
    square = Piecewise((), ((zero, zero, one),))
    half = Piecewise((zero,), ((zero,), (zero, zero, one)))
    found = [f.direction for f in (step, spike, square, half, Piecewise.line(-one, zero))]
    assert found == [1, None, None, 1, -1]
    assert Piecewise((), ((one,),)).direction == 0 and Logistic().direction is None
    falls = Affine((Fraction(-2),), one)
    assert falls.direction == falls.clamped(zero, one).direction == -1
    assert falls.then(step).direction == -1 and falls.then(step).times(-one).direction == 1
    assert falls.then(square).direction is None and falls.times(zero).then(step).direction == 0
    assert Affine((one, -one), zero).direction is None


@pytest.mark.parametrize(
    ("breaks", "pieces", "at", "sentence"),
    [
        ((0,), ((1,),), (), "1 breaks need 2 pieces and as many values as breaks, not 1 and 0"),
        ((0,), ((1,), (1,)), (1, 1), "1 breaks need 2 pieces and as many values as breaks, not 2"),
        ((1, 0), ((1,), (1,), (1,)), (), "breaks must ascend"),
        ((), ((0, 0, 0, 1),), (), "pieces must have 1 to 3 coefficients, of degree 2 at most"),
    ],
)
def test_what_is_no_piecewise_function(
    breaks: tuple[int, ...], pieces: tuple[tuple[int, ...], ...], at: tuple[int, ...], sentence: str
) -> None:
    def exact(values: Sequence[int]) -> tuple[Fraction, ...]:
        return tuple(Fraction(v) for v in values)

    with pytest.raises(ValueError, match=f"^{sentence}"):
        Piecewise(exact(breaks), tuple(exact(p) for p in pieces), exact(at))


def test_a_table_is_known_at_its_integers_only() -> None:
    """N17: exactly, and nothing is taken from one entry to the next."""
    column = Listed(-1, (0.0, 0.1, -2.0))
    assert [column(Fraction(q)) for q in (-1, 0, 1)] == [0, Fraction(0.1), -2]
    for x in (Fraction(-2), Fraction(2), Fraction(1, 2)):
        sentence = rf"^a table has entries at integers from -1 to 1, not {x}$"
        with pytest.raises(DomainError, match=sentence):
            column(x)
    with pytest.raises(DomainError, match=r"^a table has entries at integers only, not at "):
        column(arb(1))
    out = QType(8, True, 0.5)
    rising = Affine((Fraction(1),), Fraction(0)).then(column).plus(Fraction(1, 2))
    found = steps(rising, (-1, 1), out, 10)
    assert found is not None
    assert found.table.tolist() == [1, 1, -3]
