# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requantisers of wide grids: ratios that are integers over powers of two need no search (N4)."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwire.hw.finish.base import FinishError
from midwire.hw.finish.fit import eased, fit_requantiser
from midwire.hw.numeric import Affine, QType

POWERS = st.integers(-20, 6).map(lambda e: Fraction(2) ** e)
FACTORS = st.builds(lambda k, p: k * p, st.integers(-255, 255), POWERS)
OFFSETS = st.one_of(
    st.integers(-(2**16), 2**16).map(lambda k: Fraction(k, 2)),
    st.fractions(-1000, 1000, max_denominator=3000),
    st.sampled_from([Fraction(10) ** 30, -(Fraction(10) ** 30)]),
)
BOUNDS = st.one_of(st.none(), st.fractions(-50, 50, max_denominator=64))


@st.composite
def channels(draw: st.DrawFn, terms: int) -> Affine:
    scales = tuple(draw(FACTORS) for _ in range(terms))
    function = Affine(scales, draw(OFFSETS))
    low, high = draw(BOUNDS), draw(BOUNDS)
    if low is not None and high is not None and low > high:
        low, high = high, low
    return function.clamped(low, high)


@settings(max_examples=150)
@given(data=st.data(), terms=st.integers(1, 2))
def test_dyadic_ratios_are_exact(data: st.DataObject, terms: int) -> None:
    """At random accumulators, at both ends, and beside every tie that is near one of them."""
    bits, signed = data.draw(st.integers(9, 16)), data.draw(st.booleans())
    kind = QType(bits, signed, 1.0)
    out = QType(
        bits,
        signed,
        2.0 ** data.draw(st.integers(-12, 3)),
        data.draw(st.integers(kind.lo, kind.hi)),
    )
    functions = data.draw(st.lists(channels(terms), min_size=1, max_size=4))
    span = (-(2 ** data.draw(st.integers(0, 20))), 2 ** data.draw(st.integers(0, 20)))
    try:
        fit = fit_requantiser(functions, [(span,) * terms] * len(functions), out)
    except FinishError as error:
        # Only sums of two tensors whose products are too large, and their values too many to try.
        assert terms == 2 and "value combinations is too large to prove exhaustively" in str(error)
        return
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    accs = [rng.integers(span[0], span[1] + 1, 64) for _ in range(terms)]
    for acc in accs:
        acc[:2] = span
        acc[2:40] += rng.integers(-2, 3, 38) - acc[2:40] % 2
        np.clip(acc, *span, out=acc)
    got = fit.apply(*(np.repeat(acc[:, None], len(functions), axis=1) for acc in accs))
    for channel, function in enumerate(functions):
        want = [function.exact([int(a) for a in row], out) for row in zip(*accs, strict=True)]
        np.testing.assert_array_equal(got[:, channel], want)


def test_sixteen_bit_layer_beside_ties() -> None:
    """Every accumulator around zero of channels with ties, without, and with a bias of no power."""
    out = QType(16, True, 2.0**-10, 3)
    offsets = (Fraction(0), Fraction(1, 2**11), Fraction(1, 3), Fraction(float(np.float32(0.1))))
    factors = (128, 255, 192, 129)
    functions = [Affine((Fraction(k, 2**20),), o) for k, o in zip(factors, offsets, strict=True)]
    fit = fit_requantiser(functions, [((-(2**30), 2**30),)] * 4, out)
    accs = np.arange(-5000, 5000)
    got = fit.apply(np.repeat(accs[:, None], 4, axis=1))
    for channel, function in enumerate(functions):
        want = [function.exact([int(a)], out) for a in accs]
        np.testing.assert_array_equal(got[:, channel], want)


def test_a_sum_of_two_wide_tensors_needs_no_enumeration() -> None:
    out = QType(16, False, 2.0**-9)
    pair = Affine((Fraction(1, 2**9), Fraction(1, 2**12)), Fraction(-7))
    fit = fit_requantiser([pair], [((0, 65535), (0, 65535))], out)
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 65536, (2, 4000))
    want = [pair.exact([int(x), int(y)], out) for x, y in zip(a, b, strict=True)]
    np.testing.assert_array_equal(fit.apply(a[:, None], b[:, None])[:, 0], want)


def test_channels_that_are_alike_are_fitted_once_and_stay_in_order() -> None:
    out = QType(8, True, 1.0)
    kinds = [Affine((Fraction(1, 3),), Fraction(k)) for k in (0, 5, 0, 7, 5)]
    fit = fit_requantiser(kinds, [((-100, 100),)] * 5, out)
    accs = np.arange(-100, 101)
    got = fit.apply(np.repeat(accs[:, None], 5, axis=1))
    for channel, kind in enumerate(kinds):
        np.testing.assert_array_equal(got[:, channel], [kind.exact([int(a)], out) for a in accs])


def test_eased_slopes_have_a_requantiser_where_given_ones_have_none() -> None:
    """An accumulator of 24 bits: of all the steps, one is too near to a tie."""
    rng = np.random.default_rng(3)
    out = QType(8, False, float(np.float32(0.0284)))
    step = Fraction(float(np.float32(0.013)))
    functions = [
        Affine((Fraction(float(s)) * step,), Fraction(float(b)))
        for s, b in zip(
            rng.uniform(1e-5, 7e-5, 64).astype(np.float32),
            rng.normal(0, 1, 64).astype(np.float32),
            strict=True,
        )
    ]
    functions.append(Affine((Fraction(1),), Fraction(3)))  # dead: its accumulator stands still
    ranges = [((-(2**23), 2**23),)] * 64 + [((0, 0),)]
    with pytest.raises(FinishError, match="no multiplier"):
        fit_requantiser(functions, ranges, out)
    changed = eased(functions, ranges, out)
    for before, after in zip(functions, changed, strict=True):
        assert abs(after.scales[0] / before.scales[0] - 1) < 2.0**-20
        assert after.offset == before.offset
    fit = fit_requantiser(changed, ranges, out)
    accs = rng.integers(-(2**23), 2**23, 500)
    got = fit.apply(np.repeat(accs[:, None], 65, axis=1))
    for channel in range(0, 64, 8):
        want = [changed[channel].exact([int(a)], out) for a in accs]
        np.testing.assert_array_equal(got[:, channel], want)


@pytest.mark.timeout(20)
def test_what_a_wide_grid_never_reaches_is_not_looked_at() -> None:
    """Few accumulators, or few results, of a type that has 2**32."""
    out = QType(32, True, 1.0, 5)
    for scale, acc in ((Fraction(10**6, 3), (-100, 90)), (Fraction(1, 1001), (0, 10**5))):
        function = Affine((scale,), Fraction(2, 7))
        fit = fit_requantiser([function], [[acc]], out)
        accs = np.linspace(*acc, 191).astype(np.int64)
        want = [function.exact([int(a)], out) for a in accs]
        np.testing.assert_array_equal(fit.apply(accs[:, None])[:, 0], want)


@pytest.mark.timeout(20)
def test_a_wide_grid_whose_results_are_all_passed_is_refused() -> None:
    with pytest.raises(FinishError) as caught:
        fit_requantiser(
            [Affine((Fraction(1, 3),), Fraction(0))], [[(0, 2**30)]], QType(32, True, 1.0)
        )
    assert str(caught.value) == (
        "a function that passes 357913941 results of QType(bits=32, signed=True, scale=1.0, "
        "zero_point=0) is too large to prove; use at most 20 bits for the output, or scales that "
        "are powers of two"
    )


def test_a_shift_beyond_64_bits_is_refused() -> None:
    """An offset that leaves nothing but a tie does not make room for any slope."""
    tiny = Affine((Fraction(1, 2**100),), Fraction(-1, 2))
    with pytest.raises(FinishError, match="no multiplier of up to 32 bits is exact"):
        fit_requantiser([tiny], [[(-5, 5)]], QType(16, True, 1.0))


@pytest.mark.parametrize("scale", [Fraction(1, 3), Fraction(2**40 + 1, 2**41)])
def test_what_is_too_wide_is_refused(scale: Fraction) -> None:
    with pytest.raises(FinishError, match="no multiplier of up to 32 bits is exact"):
        fit_requantiser(
            [Affine((scale,), Fraction(0))], [((-(2**40), 2**40),)], QType(16, True, 1.0)
        )


def test_few_results_of_a_wide_grid_have_any_shift() -> None:
    """What counts is how large results become, not how large their type lets them."""
    function = Affine((Fraction(1, 3 << 18),), Fraction(1, 7))
    span = (-(2**24), 2**24 - 1)
    for bits in (8, 24, 32):
        out = QType(bits, True, 1.0)
        fit = fit_requantiser([function], [[span]], out)
        assert fit.shift > 30
        steps = [int((y + Fraction(5, 14)) * (3 << 18)) for y in range(-21, 21)]
        accs = np.array([*span, *steps, *(a - 1 for a in steps), *(a + 1 for a in steps)])
        want = [function.exact([int(a)], out) for a in accs]
        assert len(set(want)) > 40
        np.testing.assert_array_equal(fit.apply(accs[:, None])[:, 0], want)


def test_channels_of_many_steps_are_looked_at_one_by_one() -> None:
    """Memory is that of one channel, however many there are."""
    out = QType(16, True, float(np.float32(1e-3)))
    rng = np.random.default_rng(2)

    def peak(channels: int) -> int:
        scales = (Fraction(float(s)) for s in rng.uniform(5e-4, 1e-3, channels).astype(np.float32))
        functions = [Affine((s,), Fraction(1, 3)) for s in scales]
        tracemalloc.start()
        try:
            fit_requantiser(functions, [[(-(2**15), 2**15)]] * channels, out)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(16) < 2 * peak(1)


def test_more_accumulators_and_results_than_can_be_looked_at_are_refused() -> None:
    with pytest.raises(FinishError, match=r"passes 2796203 results of .* is too large to prove"):
        fit_requantiser(
            [Affine((Fraction(4, 3),), Fraction(0))], [[(0, 2**21)]], QType(32, True, 1.0)
        )
