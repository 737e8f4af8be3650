# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules N4, N6, N7 and F1: what is chosen equals the exact functions, at every accumulator."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from midwire.hw.finish import choose
from midwire.hw.finish.base import Finisher, FinishError
from midwire.hw.finish.direct import Direct
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.finish.table import Table
from midwire.hw.finish.thresholds import Thresholds
from midwire.hw.numeric import (
    Affine,
    DomainError,
    Function,
    IntArray,
    Interval,
    Piecewise,
    QType,
    Unary,
)
from midwire.hw.timing.cost import Cost

from ..exact import Logistic


def price(cost: Cost) -> float:
    """About look-up tables of 6 inputs: which finisher is cheapest is not what is tested here."""
    products = sum(a * b for a, b in cost.products)
    memories = sum(width * -(-depth // 64) for width, depth in (*cost.memories, *cost.roms))
    return products + memories + cost.adders + cost.registers / 2


finish = partial(choose.finish, price=price)

ZERO, ONE = Fraction(0), Fraction(1)
InOnnx = Callable[..., IntArray]


@dataclass(frozen=True)
class Wave(Unary):
    """``x * exp(-x * x / 2)``: turns at -1 and 1, which it may be told more or less about."""

    slack: Fraction = ZERO

    def rational(self, x: Fraction) -> Fraction | None:
        return ZERO if x == 0 else None

    def ball(self, x: arb) -> arb:
        return x * (-x * x / 2).exp()

    @property
    def turns(self) -> tuple[Interval, ...]:
        return (-1 - self.slack, -1 + self.slack), (1 - self.slack, 1 + self.slack)


@dataclass(frozen=True)
class Root(Unary):
    def rational(self, x: Fraction) -> Fraction | None:
        if x < 0:
            raise DomainError(f"the root of {x} is not real; clip what comes before at 0")
        return None

    def ball(self, x: arb) -> arb:
        return x.sqrt()


MAGNITUDE = Piecewise((ZERO,), ((ZERO, -ONE), (ZERO, ONE)))
SIGN = Piecewise((ZERO,), ((-ONE,), (ONE,)), (ZERO,))
STEPS: list[Unary] = [
    Logistic(),
    Wave(),
    Wave(Fraction(1, 5)),
    MAGNITUDE,
    SIGN,
    Piecewise((ZERO,), ((ZERO, Fraction(1, 10)), (ZERO, ONE))),
    Piecewise(
        (Fraction(-3), Fraction(3)), ((ZERO,), (ZERO, Fraction(1, 2), Fraction(1, 6)), (ZERO, ONE))
    ),
]

fractions = st.fractions(-4, 4, max_denominator=60)


@st.composite
def composed(draw: st.DrawFn) -> Function:
    function: Function = Affine((draw(fractions),), draw(fractions))
    for _ in range(draw(st.integers(1, 3))):
        function = function.then(draw(st.sampled_from(STEPS)))
        if draw(st.booleans()):
            function = function.times(draw(fractions)).plus(draw(fractions))
        if draw(st.booleans()):
            function = function.clamped(
                draw(st.none() | st.just(ZERO)), draw(st.none() | st.just(ONE))
            )
    return function


@st.composite
def outs(draw: st.DrawFn) -> QType:
    bits, signed = draw(st.sampled_from([1, 2, 3, 4, 8, 12])), draw(st.booleans())
    scale = draw(st.sampled_from([1.0, 0.5, 2.0**-6, float(np.float32(0.07)), 2.0**-9]))
    kind = QType(bits, signed, scale)
    return QType(bits, signed, scale, draw(st.integers(kind.lo, kind.hi)))


def check(
    finisher: Finisher,
    functions: Sequence[Function],
    ranges: Sequence[tuple[int, int]],
    out: QType,
    in_onnx: InOnnx,
) -> None:
    """Every accumulator of every channel, in numpy and in ONNX; channels taken in any order."""
    size = max(high - low for low, high in ranges) + 1
    accs = np.stack([np.minimum(low + np.arange(size), high) for low, high in ranges], axis=1)
    wanted = np.array(
        [[f.exact([int(acc)], out) for f, acc in zip(functions, row, strict=True)] for row in accs]
    )
    found = finisher.apply(accs)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(in_onnx(finisher, accs), wanted)
    low, high = finisher.span
    assert low <= wanted.min() <= wanted.max() <= high
    order = [len(functions) - 1, 0, 0]
    taken = finisher.take(order)
    assert (taken.channels, finisher.channels) == (3, len(functions))
    np.testing.assert_array_equal(taken.apply(accs[:, order]), wanted[:, order])


@settings(max_examples=40)
@given(
    functions=st.lists(composed(), min_size=1, max_size=3),
    out=outs(),
    lows=st.lists(st.integers(-300, 50), min_size=3, max_size=3),
    size=st.integers(0, 400),
)
def test_composed_functions_are_exact_at_every_accumulator(
    functions: list[Function], out: QType, lows: list[int], size: int, in_onnx: InOnnx
) -> None:
    ranges = [(low, low + size) for low in lows[: len(functions)]]
    finisher = finish(functions, [[r] for r in ranges], out)
    assert isinstance(finisher, Direct | Table | Thresholds)
    check(finisher, functions, ranges, out, in_onnx)


@settings(max_examples=30)
@given(
    functions=st.lists(composed(), min_size=1, max_size=2),
    out=outs(),
    low=st.integers(-(2**20), 100),
    size=st.integers(2**16, 2**20),
    seed=st.integers(0, 2**32),
)
def test_wide_accumulators_are_exact_on_both_sides_of_every_threshold(
    functions: list[Function], out: QType, low: int, size: int, seed: int, in_onnx: InOnnx
) -> None:
    high = low + size
    try:
        finisher = finish(functions, [[(low, high)]] * len(functions), out)
    except FinishError as error:
        # Too many results, or a function that is flat where the next one turns.
        assert re.search(r"steps, and they have more than 16 bits|so near to a turn of", str(error))
        return
    assert isinstance(finisher, Thresholds)
    rng = np.random.default_rng(seed)
    near = finisher.thresholds.ravel()
    points = np.concatenate([near - 1, near, rng.integers(low, high + 1, 50), [low, high]])
    points = np.unique(points.clip(low, high))
    accs = np.repeat(points[:, None], len(functions), axis=1)
    wanted = [[f.exact([int(acc)], out) for f in functions] for acc in points]
    np.testing.assert_array_equal(finisher.apply(accs), wanted)
    np.testing.assert_array_equal(in_onnx(finisher, accs), wanted)


@settings(max_examples=40)
@given(
    scales=st.lists(fractions, min_size=1, max_size=3),
    offset=fractions,
    bound=st.none() | fractions,
    out=outs(),
    low=st.integers(-300, 50),
    size=st.integers(0, 300),
)
def test_which_finisher_does_not_matter(
    scales: list[Fraction],
    offset: Fraction,
    bound: Fraction | None,
    out: QType,
    low: int,
    size: int,
    in_onnx: InOnnx,
) -> None:
    """N7: whatever is dear, the integers are the same."""
    functions = [Affine((s,), offset).clamped(bound, None) for s in scales]
    ranges = [(low, low + size)] * len(scales)
    prices: list[Callable[[Cost], float]] = [
        price,
        lambda cost: len(cost.products),
        lambda cost: len(cost.roms),
        lambda cost: cost.adders,
    ]
    for worth in prices:
        finisher = finish(functions, [[r] for r in ranges], out, price=worth)
        check(finisher, functions, ranges, out, in_onnx)


BYTE = QType(8, True, 1.0)


def kind(functions: Sequence[Function], span: tuple[int, int], out: QType = BYTE) -> type:
    return type(finish(functions, [[span]] * len(functions), out))


def line(scale: Fraction | int, offset: Fraction | int = 0) -> Affine:
    return Affine((Fraction(scale),), Fraction(offset))


def test_what_is_chosen() -> None:
    third = Fraction(1, 3)
    assert kind([line(1)] * 3, (-128, 127)) is Direct
    assert kind([line(1, -7)], (-128, 127), QType(8, True, 1.0, 7)) is Direct
    assert kind([line(1)], (-128, 128)) is not Direct
    assert kind([line(1).clamped(ZERO, None)], (-1, 127)) is not Direct
    assert kind([line(1).clamped(ZERO, None)], (0, 127)) is Direct
    assert kind([line(1).then(MAGNITUDE)], (0, 127)) is Direct
    assert kind([line(third)] * 8, (-40000, 40000)) is MultiplyShift
    assert kind([line(third)] * 8, (-128, 127)) is Table
    assert kind([line(third / 1000)] * 8, (-40000, 40000), QType(2, True, 1.0)) is Thresholds
    assert kind([line(third / 1000).then(Logistic())], (-40000, 40000)) is Thresholds
    assert kind([line(third).then(Logistic())], (-128, 127), QType(8, False, 1 / 256)) is Table
    two = Affine((third, third), ZERO)
    assert type(finish([two], [[(-128, 127)] * 2], BYTE)) is MultiplyShift


def test_adjustable_slopes_are_eased_where_nothing_else_is_exact() -> None:
    out = QType(16, True, 1.0)
    third, spans = line(Fraction(1, 3)), [[(-(2**40), 2**40)]]
    with pytest.raises(FinishError, match="multiply-shift: no multiplier of up to 32 bits"):
        finish([third], spans, out)
    eased = finish([third], spans, out, adjustable=True)
    assert isinstance(eased, MultiplyShift)
    assert abs(Fraction(int(eased.multiplier[0, 0]), 2**eased.shift) * 3 - 1) < Fraction(1, 1000)


def test_given_slopes_are_eased_on_wide_grids_where_nothing_is_exact() -> None:
    out = QType(16, True, 1.0)
    third, spans = line(Fraction(1, 3)), [[(-(2**40), 2**40)]]
    assert isinstance(finish([third], spans, out, wide=True), MultiplyShift)
    exact = finish([third], [[(-300, 300)]], out, wide=True)
    given = finish([third], [[(-300, 300)]], out)
    accs = np.arange(-300, 301)[:, None]
    np.testing.assert_array_equal(exact.apply(accs), given.apply(accs))


def test_eased_slopes_are_those_of_every_finisher() -> None:
    """N7, where the slopes are ours: thresholds have the integers of the multiply-shift."""
    out = QType(12, True, 2.0**-9)
    functions = [line(Fraction(1, 700)), line(Fraction(3, 1000), Fraction(1, 3))]
    accs = np.repeat(np.arange(-500, 501)[:, None], 2, axis=1)
    found = [
        finish(functions, [[(-500, 500)]] * 2, out, adjustable=True, price=worth)
        for worth in (lambda cost: len(cost.products), lambda cost: len(cost.roms))
    ]
    assert [type(f) for f in found] == [Thresholds, MultiplyShift]
    np.testing.assert_array_equal(found[0].apply(accs), found[1].apply(accs))


def test_given_slopes_that_no_multiplier_resolves_have_thresholds() -> None:
    """An accumulator of 24 bits: of all the steps, one is too near to a tie."""
    rng = np.random.default_rng(3)
    out = QType(8, False, float(np.float32(0.0284)))
    step = Fraction(float(np.float32(0.013)))
    slopes = rng.uniform(1e-5, 7e-5, 64).astype(np.float32)
    functions = [line(Fraction(float(s)) * step, Fraction(1, 7)) for s in slopes]
    finisher = finish(functions, [[(-(2**23), 2**23)]] * 64, out)
    assert isinstance(finisher, Thresholds)
    accs = rng.integers(-(2**23), 2**23, 300)
    found = finisher.apply(np.repeat(accs[:, None], 64, axis=1))
    for channel in range(0, 64, 8):
        wanted = [functions[channel].exact([int(a)], out) for a in accs]
        np.testing.assert_array_equal(found[:, channel], wanted)


def test_refusals() -> None:
    curve = Affine((ONE, ONE), ZERO).then(Logistic())
    with pytest.raises(FinishError) as caught:
        finish([curve], [[(0, 9), (0, 9)]], BYTE)
    assert str(caught.value) == (
        "no finisher is exact. multiply-shift: the function is not affine; thresholds and tables: "
        "they have one accumulator, and the function has 2; put a grid between the sum and the "
        "function that is not affine"
    )
    with pytest.raises(FinishError) as caught:
        finish(
            [line(Fraction(1, 2**16)).then(Logistic())],
            [[(-(2**18), 2**18)]],
            QType(12, False, 2.0**-12),
        )
    assert str(caught.value) == (
        "no finisher is exact. multiply-shift: the function is not affine; thresholds and tables: "
        "over accumulators from -262144 to 262144 the function has more than 1023 steps, and they "
        "have more than 16 bits; round before it to a grid of at most 16 bits"
    )
    with pytest.raises(FinishError) as caught:
        finish([line(1).then(Root())], [[(-1, 9)]], BYTE)
    assert str(caught.value).endswith(
        "thresholds and tables: the root of -1 is not real; clip what comes before at 0"
    )
    with pytest.raises(ValueError, match=r"^1 functions but 2 ranges$"):
        finish([line(1)], [[(0, 1)], [(0, 1)]], BYTE)


def test_big_tables_take_seconds_at_most() -> None:
    """Not a timed test: only the number of values that are evaluated is limited."""
    calls = 0

    @dataclass(frozen=True)
    class Counted(Logistic):
        def rational(self, x: Fraction) -> Fraction | None:
            nonlocal calls
            calls += 1
            return super().rational(x)

    out = QType(8, False, 1 / 256)
    same = [line(Fraction(1, 4096)).then(Counted())] * 64
    finish(same, [[(-32768, 32767)]] * 64, out)
    assert calls < 256 * 20
