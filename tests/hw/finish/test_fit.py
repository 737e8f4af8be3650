# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules N4 and N5: fits of a multiply-shift, against the exact functions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwire.hw.finish.base import MAX_EXACT_DOUBLE, FinishError
from midwire.hw.finish.fit import _exact_many, fit_requantiser
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.numeric import Affine, IntArray, QType, rne

from ..exact import FRACTIONS, float32, qtypes

WHOLE = 1 << 13
"""Ranges of up to so many accumulators are checked one by one."""


def n5(fit: MultiplyShift, channel: int, accs: Sequence[int]) -> int:
    """N5 in Python integers, which cannot overflow."""
    p = int(fit.offset[channel])
    for multiplier, acc in zip(fit.multiplier[channel], accs, strict=True):
        p += int(multiplier) * acc
    y = p >> fit.shift
    if fit.tie and (y & 1) != fit.parity and p - (y << fit.shift) < fit.tie:
        y -= 1
    return max(int(fit.lo[channel]), min(int(fit.hi[channel]), y))


def steps(function: Affine, low: int, high: int, out: QType) -> set[int]:
    """Accumulators on both sides of every step, found by bisection: the function is monotone."""
    found = {low, high}
    pending = [(low, function.exact([low], out), high, function.exact([high], out))]
    while pending:
        a, at_a, b, at_b = pending.pop()
        if at_a == at_b:
            continue
        if b - a == 1:
            found.update((a, b))
            continue
        middle = (a + b) // 2
        at_middle = function.exact([middle], out)
        pending += [(a, at_a, middle, at_middle), (middle, at_middle, b, at_b)]
    return found


def prove(
    functions: Sequence[Affine],
    ranges: Sequence[Sequence[tuple[int, int]]],
    out: QType,
    rng: np.random.Generator,
) -> MultiplyShift:
    """Fit, and compare with the definition: everywhere, or at all steps and random points."""
    fit = fit_requantiser(functions, ranges, out)
    for channel, (function, spans) in enumerate(zip(functions, ranges, strict=True)):
        size = int(np.prod([high - low + 1 for low, high in spans], dtype=object))
        if size <= WHOLE:
            points = list(itertools.product(*(range(low, high + 1) for low, high in spans)))
        else:
            points = [tuple(int(rng.integers(a, b + 1)) for a, b in spans) for _ in range(300)]
            if len(spans) == 1:
                points += [(acc,) for acc in steps(function, *spans[0], out)]
        for accs in points:
            wanted = function.exact(accs, out)
            assert n5(fit, channel, accs) == wanted, (channel, accs)
            p = sum(int(m) * a for m, a in zip(fit.multiplier[channel], accs, strict=True))
            assert abs(p) + abs(int(fit.offset[channel])) < MAX_EXACT_DOUBLE
        columns = [np.array(column, np.int64)[:, None] for column in zip(*points, strict=True)]
        vectors: IntArray = fit.apply(*[np.repeat(c, fit.channels, axis=1) for c in columns])
        assert [int(v) for v in vectors[:, channel]] == [
            function.exact(accs, out) for accs in points
        ]
    return fit


@st.composite
def affines(draw: st.DrawFn, terms: int = 1) -> Affine:
    """Scales as products of float32 values, with and without ties; with and without bounds."""
    plain = st.sampled_from(
        [Fraction(1, 64), Fraction(1, 36), Fraction(1, 6), Fraction(1), Fraction(0), Fraction(3, 8)]
    )
    product = st.builds(
        lambda a, b: Fraction(a) * Fraction(b),
        st.floats(2.0**-8, 2.0, width=32),
        st.floats(2.0**-8, 2.0, width=32),
    )
    sign = st.sampled_from([1, 1, -1])
    scale = st.builds(lambda s, k: s * k, st.one_of(plain, product), sign)
    bias = st.one_of(FRACTIONS, st.floats(-4, 4, width=32).map(Fraction))
    function = Affine(tuple(draw(scale) for _ in range(terms)), draw(bias))
    floor = draw(st.none() | st.just(Fraction(0)) | FRACTIONS)
    ceil = draw(st.none() | st.just(Fraction(6)) | FRACTIONS)
    if floor is not None and ceil is not None and floor > ceil:
        floor, ceil = ceil, floor
    return function.clamped(floor, ceil)


@settings(max_examples=60)
@given(
    functions=st.lists(affines(), min_size=1, max_size=4),
    out=qtypes(8),
    lo=st.integers(-2000, 100),
    size=st.integers(0, 3000),
    seed=st.integers(0, 2**32),
)
def test_fit_is_exact_on_whole_ranges(
    functions: list[Affine], out: QType, lo: int, size: int, seed: int
) -> None:
    prove(functions, [((lo, lo + size),)] * len(functions), out, np.random.default_rng(seed))


@settings(max_examples=40)
@given(
    scale=st.floats(2.0**-14, 2.0**-7, width=32),
    bias=st.floats(-4, 4, width=32),
    out=qtypes(8),
    peak=st.integers(10**4, 2**24),
    relu=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_fit_is_exact_at_every_step_of_large_ranges(
    scale: float, bias: float, out: QType, peak: int, relu: bool, seed: int
) -> None:
    function = Affine((Fraction(scale) * out.step / 3,), Fraction(bias))
    function = function.clamped(Fraction(0), None) if relu else function
    prove([function], [((-peak, peak - 1),)], out, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(6))
def test_fit_is_exact_for_layers(seed: int) -> None:
    """Channels of a convolution: their own scale, bias and range, and one output type."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    out = QType(8, bool(seed % 2), float32(rng.uniform(0.01, 0.1)), int(rng.integers(0, 100)))
    input_scale = Fraction(float32(rng.uniform(0.005, 0.05)))
    functions: list[Affine] = []
    ranges: list[tuple[tuple[int, int]]] = []
    for _ in range(16):
        weights = rng.integers(-127, 128, 9 * 16)
        scale = input_scale * Fraction(float32(rng.uniform(0.0005, 0.005)))
        function = Affine((scale,), Fraction(float32(rng.normal())))
        functions.append(function.clamped(Fraction(0), None) if seed % 3 == 0 else function)
        ranges.append(((int(weights[weights < 0].sum()) * 255, int(weights.clip(0).sum()) * 255),))
    prove(functions, ranges, out, rng)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("zero_point", [0, 1, 7, 10])
@pytest.mark.parametrize(
    "scale", [Fraction(1, 64), Fraction(1, 36), Fraction(1, 6), Fraction(-1, 6), Fraction(-1, 64)]
)
def test_ties_go_to_even(signed: bool, zero_point: int, scale: Fraction) -> None:
    """Scales of averages and power-of-two layers hit ties; an odd zero point turns parity."""
    out = QType(8, signed, 1.0, zero_point)
    function = Affine((scale,), Fraction(0))
    ties = [a for a in range(-3000, 3000) if (scale * a * 2) % 2 == 1]
    assert len(ties) > 40
    fit = prove([function], [((-3000, 2999),)], out, np.random.default_rng(0))
    assert fit.tie > 0
    assert fit.parity == zero_point % 2


def test_a_channel_with_ties_beside_one_without() -> None:
    """Thirds of a dyadic scale tie, and no multiplier is exact; the other channel comes close."""
    for out in (QType(4, False, 1.0), QType(8, True, 1.0, 1)):
        functions = [
            Affine((Fraction(1, 384),), Fraction(0)),
            Affine((Fraction(float32(0.00506)) / 3,), Fraction(0)),
        ]
        fit = prove(functions, [((-10_000, 9_999),)] * 2, out, np.random.default_rng(0))
        assert fit.tie > 1


def test_ties_of_an_offset() -> None:
    """A bias of half a step makes every integer a tie."""
    for zero_point in (0, 1):
        out = QType(8, True, 1.0, zero_point)
        prove(
            [Affine((Fraction(1),), Fraction(1, 2))],
            [((-300, 300),)],
            out,
            np.random.default_rng(0),
        )


def test_dead_channels_need_no_multiplier() -> None:
    """Weights of zero, and functions that saturate everywhere, whatever their scale."""
    out = QType(8, True, 1.0, 3)
    functions = [
        Affine((Fraction(10) ** 12,), Fraction(-4)),
        Affine((Fraction(0),), Fraction(5, 2)),
        Affine((Fraction(1),), Fraction(10) ** 9),
        Affine((Fraction(1, 3),), Fraction(0)),
    ]
    ranges = [((0, 0),), ((-50, 50),), ((-50, 50),), ((-50, 50),)]
    fit = prove(functions, ranges, out, np.random.default_rng(0))
    assert fit.multiplier[:3, 0].tolist() == [0, 0, 0]


@settings(max_examples=25)
@given(function=affines(2), out=qtypes(8), data=st.data())
def test_two_terms_are_exact_everywhere(function: Affine, out: QType, data: st.DataObject) -> None:
    spans = []
    for _ in range(2):
        bits, signed = data.draw(st.integers(1, 6)), data.draw(st.booleans())
        spans.append((QType(bits, signed, 1.0).lo, QType(bits, signed, 1.0).hi))
    prove([function], [tuple(spans)], out, np.random.default_rng(0))


@pytest.mark.parametrize("zero_point", [-128, 0, 5])
def test_add_of_bytes_is_exact_for_every_pair(zero_point: int) -> None:
    """The residual Add: 65536 pairs, different scales, with ties (1/2 and 1/4 of a step)."""
    out = QType(8, True, 1.0, zero_point)
    axis = np.arange(-128, 128)
    a, b = (grid.ravel() for grid in np.meshgrid(axis, axis, indexing="ij"))
    for left, right in ((0.5, 0.25), (float32(0.3), float32(0.7)), (float32(1 / 3), 1.0)):
        function = Affine((Fraction(left), Fraction(right)), Fraction(3, 4))
        fit = fit_requantiser([function], [((-128, 127), (-128, 127))], out)
        got = fit.apply(a[:, None], b[:, None])[:, 0]
        # The definition, over the common denominator, in integers of any size.
        common = 4 * Fraction(left).denominator * Fraction(right).denominator
        top = (
            a.astype(object) * int(function.scales[0] * common)
            + b.astype(object) * int(function.scales[1] * common)
            + int(function.offset * common)
        )
        floor, rest = top // common, 2 * (top % common)
        up = (rest > common) | ((rest == common) & (floor % 2 == 1))
        want = np.clip((floor + up + zero_point).astype(np.int64), -128, 127)
        np.testing.assert_array_equal(got, want)


def test_the_cheapest_shift_is_found() -> None:
    """Powers of two need a shift of their own size and no more."""
    out = QType(16, True, 1.0)
    for power in (0, 1, 5):
        fit = fit_requantiser(
            [Affine((Fraction(1, 2**power),), Fraction(0))], [((-512, 511),)], out
        )
        assert (fit.shift, fit.multiplier.tolist()) == (power, [[1]])


def test_a_fit_never_trusts_products_beyond_64_bits() -> None:
    """Wide accumulators: found within 53 bits, or, in one case, refused; never by wrapping."""
    rng = np.random.default_rng(7)
    out = QType(8, True, 1.0)
    refused = []
    for peak in (2**31, 2**40, 2**46):
        for scale in (Fraction(100, peak), Fraction(float32(1.7)), Fraction(2**20 + 1, 2**20)):
            functions = [Affine((scale,), Fraction(1, 3))]
            try:
                prove(functions, [((-peak, peak),)], out, rng)
            except FinishError as error:
                assert "no multiplier of up to 32 bits is exact" in str(error)
                refused.append((peak, scale))
    assert refused == [(2**46, Fraction(float32(1.7)))]


def test_refusals() -> None:
    out = QType(8, True, 1.0)
    third = Affine((Fraction(2**40 + 1, 2**41),), Fraction(0))
    with pytest.raises(FinishError) as caught:
        fit_requantiser([third], [((-300, 300),)], out, max_multiplier_bits=1)
    assert str(caught.value) == (
        "no multiplier of up to 1 bits is exact for output "
        "QType(bits=8, signed=True, scale=1.0, zero_point=0); "
        "use fewer bits for the output, or a narrower accumulator"
    )
    pair = Affine((Fraction(1, 3), Fraction(1)), Fraction(0))
    with pytest.raises(FinishError) as caught:
        fit_requantiser([pair], [((0, 2047), (0, 2047))], out)
    assert str(caught.value) == (
        "a function of 2 tensors with 4194304 value combinations is too large to prove "
        "exhaustively; use at most 20 bits for all its inputs together"
    )
    with pytest.raises(ValueError, match=r"^1 functions but 2 ranges$"):
        fit_requantiser([third], [((0, 1),), ((0, 1),)], out)


def test_points_that_floats_cannot_tell_from_a_tie_are_rounded_exactly() -> None:
    function = Affine((Fraction(1), Fraction(1, 2**60)), Fraction(1, 2))
    out = QType(8, True, 1.0, 3)
    points = np.array([[a, b] for a in (-500, -2, -1, 0, 1, 2, 500) for b in (-1, 0, 1)])
    wanted = [rne(function.real(point)) + out.zero_point for point in points.tolist()]
    assert wanted[9:12] == [3, 3, 4]
    assert _exact_many(function, points, out).tolist() == np.clip(wanted, -129, 128).tolist()
