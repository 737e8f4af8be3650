# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules N8 to N11, N15: against rational arithmetic, the real functions, and ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from midwire.hw.numeric import IntArray, QType
from midwire.hw.numeric.norms import (
    EXACT,
    DeviationRule,
    SoftmaxRule,
    quotient,
    quotient_onnx,
    root,
    root_onnx,
)

RunOnnx = Callable[..., IntArray]
EPSILON = Fraction(float(np.float32(1e-5)))


def hard_pairs(rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Quotients at, just below and just above integers and ties, of up to 51 bits."""
    bits = rng.integers(1, 50, 4000)
    b = np.array([int(rng.integers(1 << (n - 1), 1 << n)) for n in bits])
    k = np.array([int(rng.integers(0, max(1, EXACT // int(d)) + 1)) for d in b])
    a = k * b + rng.choice([0, -1, 1], 4000) + rng.choice([0, 1], 4000) * (b // 2)
    a = np.minimum(np.abs(a), EXACT) * rng.choice([-1, 1], 4000)
    return a, b


def test_quotients_are_rounded_half_to_even(run_onnx: RunOnnx) -> None:
    """N8, in numpy and on doubles."""
    rng = np.random.default_rng(1)
    print("seed 1")
    a, b = hard_pairs(rng)
    wanted = [round(Fraction(int(x), int(y))) for x, y in zip(a, b, strict=True)]
    assert quotient(a, b).tolist() == wanted
    found = run_onnx(lambda writer, names: quotient_onnx(writer, *names), [a, b])
    np.testing.assert_array_equal(found, wanted)


def test_roots_are_rounded_down(run_onnx: RunOnnx) -> None:
    """N8, beside squares of every size."""
    rng = np.random.default_rng(2)
    print("seed 2")
    bits = rng.integers(1, 26, 4000)
    k = np.array([int(rng.integers(0, 1 << n)) for n in bits])
    n = np.minimum(np.maximum(k * k + rng.integers(-2, 3, 4000), 0), EXACT)
    n = np.concatenate([n, [0, 1, 2, 3, 4, EXACT - 1, EXACT]])
    wanted = [math.isqrt(int(v)) for v in n]
    assert root(n).tolist() == wanted
    np.testing.assert_array_equal(run_onnx(lambda w, names: root_onnx(w, *names), [n]), wanted)


def real_softmax(q: IntArray, step: Fraction) -> list[arb]:
    powers = [(arb((int(v) * step).numerator) / (int(v) * step).denominator).exp() for v in q]
    return [p / sum(powers, arb(0)) for p in powers]


@settings(max_examples=25)
@given(
    bits=st.integers(1, 8),
    signed=st.booleans(),
    scale=st.sampled_from([0.5, 0.11, 2.0**-6, 3.0]),
    count=st.integers(1, 40),
    fraction=st.integers(4, 16),
    seed=st.integers(0, 2**32),
)
def test_softmax(
    bits: int,
    signed: bool,
    scale: float,
    count: int,
    fraction: int,
    seed: int,
    run_onnx: RunOnnx,
) -> None:
    """N9: by rational arithmetic; within 3/4 of a unit of the real function; by ONNX Runtime."""
    x = QType(bits, signed, float(np.float32(scale)))
    rule = SoftmaxRule.of(x, count, fraction)
    rng = np.random.default_rng(seed)
    q = rng.integers(x.lo, x.hi + 1, (6, count))
    q[0], q[1, 0] = x.hi, x.lo
    found = rule.apply(q)
    with ctx.workprec(200):
        for row, results in zip(q, found, strict=True):
            e = [int(rule.table[int(row.max()) - int(v)]) for v in row]
            assert results.tolist() == [round(Fraction(v << fraction, sum(e))) for v in e]
            for y, p in zip(results, real_softmax(row, x.step), strict=True):
                assert abs(p * 2**fraction - int(y)) <= 0.75
        unit = 1 << (fraction + 1 + count.bit_length())
        steps = arb(fmpq(x.step.numerator, x.step.denominator))
        for difference, e in enumerate(rule.table.tolist()):
            value = (-steps * difference).exp() * unit
            assert (value + 0.5).floor() == e, "no tie: exp is rational at 0 only"
    assert rule.table[0] == unit
    np.testing.assert_array_equal(run_onnx(lambda w, names: rule.onnx(w, *names), [q]), found)


@settings(max_examples=25)
@given(
    bits=st.integers(1, 8),
    count=st.integers(1, 40),
    fraction=st.integers(1, 16),
    seed=st.integers(0, 2**32),
)
def test_a_softmax_never_falls(bits: int, count: int, fraction: int, seed: int) -> None:
    """What is larger before it is not smaller behind it, so the largest stays the largest."""
    x = QType(bits, True, 0.25)
    q = np.sort(np.random.default_rng(seed).integers(x.lo, x.hi + 1, (6, count)))
    assert (np.diff(SoftmaxRule.of(x, count, fraction).apply(q)) >= 0).all()


def real_deviation(q: IntArray, x: QType, centred: bool) -> list[float]:
    values = [(int(v) - x.zero_point) * x.step for v in q]
    mean = sum(values, Fraction(0)) / len(values) if centred else Fraction(0)
    spread = sum(((v - mean) ** 2 for v in values), Fraction(0)) / len(values) + EPSILON
    return [float(v - mean) / math.sqrt(spread) for v in values]


@settings(max_examples=40)
@given(
    bits=st.integers(1, 12),
    signed=st.booleans(),
    scale=st.sampled_from([0.5, 0.11, 2.0**-10]),
    count=st.integers(1, 64),
    fraction=st.integers(4, 14),
    centred=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_deviations(
    bits: int,
    signed: bool,
    scale: float,
    count: int,
    fraction: int,
    centred: bool,
    seed: int,
    run_onnx: RunOnnx,
) -> None:
    """N10, N11: by the text of the rules; near the real function; by ONNX Runtime."""
    rng = np.random.default_rng(seed)
    kind = QType(bits, signed, 1.0)
    zero = int(rng.integers(kind.lo, kind.hi + 1))
    x = QType(bits, signed, float(np.float32(scale)), zero)
    rule = DeviationRule.of(x, count, EPSILON, fraction, centred=centred)
    h = rule.root_bits
    assert rule.epsilon == max(1, round(4**h * count**2 * EPSILON / x.step**2))
    q = rng.integers(x.lo, x.hi + 1, (6, count))
    q[0], q[1], q[1, 0] = x.hi, x.lo, x.hi
    found = rule.apply(q)
    for row, results in zip(q, found, strict=True):
        ints = [int(v) for v in row]
        if centred:
            c = [count * v - sum(ints) for v in ints]
            w = count * sum(v * v for v in ints) - sum(ints) ** 2
        else:
            c = [count * (v - zero) for v in ints]
            w = count * sum((v - zero) ** 2 for v in ints)
        r = math.isqrt(4**h * w + rule.epsilon)
        assert results.tolist() == [round(Fraction(v << (fraction + h), r)) for v in c]
        for y, real in zip(results, real_deviation(row, x, centred), strict=True):
            # The root is off by less than 1 of r, and E by 1 of r squared.
            bound = abs(real) * 2**fraction * 2 / r + 0.5 + 1e-6
            assert abs(int(y) - real * 2**fraction) <= bound
        low, high = rule.span
        assert low <= results.min() <= results.max() <= high
    np.testing.assert_array_equal(run_onnx(lambda w, names: rule.onnx(w, *names), [q]), found)


@settings(max_examples=40)
@given(
    bits=st.integers(1, 12),
    scale=st.sampled_from([0.5, 0.11, 2.0**-10]),
    count=st.integers(1, 64),
    fraction=st.integers(4, 14),
    power=st.sampled_from([0, 1, 2]),
    epsilon=st.sampled_from([Fraction(0), EPSILON]),
    seed=st.integers(0, 2**32),
)
def test_vector_norms(
    bits: int,
    scale: float,
    count: int,
    fraction: int,
    power: int,
    epsilon: Fraction,
    seed: int,
    run_onnx: RunOnnx,
) -> None:
    """N15: by the text of the rule; near the real function; by ONNX Runtime."""
    rng = np.random.default_rng(seed)
    zero = int(rng.integers(0, 2**bits))
    x = QType(bits, False, float(np.float32(scale)), zero)
    rule = DeviationRule.of_norm(x, count, power, epsilon, fraction)
    h = rule.root_bits
    q = rng.integers(x.lo, x.hi + 1, (6, count))
    q[0], q[1], q[2] = x.hi, zero, x.lo
    found = rule.apply(q)
    for row, results in zip(q, found, strict=True):
        c = [int(v) - zero for v in row]
        if power == 0:
            r = abs(max(c)) or 1
            c = [-v for v in c] if max(c) < 0 else c
            real = [v / r for v in c]
        elif power == 1:
            r = max(1, sum(abs(v) for v in c))
            real = [v / r for v in c]
        else:
            added = max(1, round(4**h * epsilon / x.step**2))
            r = math.isqrt(4**h * sum(v * v for v in c) + added)
            whole = math.sqrt(sum(v * v for v in c) + float(epsilon / x.step**2)) or 1.0
            real = [v / whole for v in c]
        assert results.tolist() == [round(Fraction(v << (fraction + h), r)) for v in c]
        bound = 0.5 + 1e-6 + (0 if power < 2 else 2 ** (fraction + 1) / r)
        assert np.abs(results - np.array(real) * 2.0**fraction).max() <= bound
        low, high = rule.span
        assert low <= results.min() <= results.max() <= high
    np.testing.assert_array_equal(run_onnx(lambda w, names: rule.onnx(w, *names), [q]), found)


@pytest.mark.parametrize("bits", [1, 8, 12])
@pytest.mark.parametrize("count", [1, 5, 1000])
@pytest.mark.parametrize("fraction", [4, 20, 28, 34])
def test_a_root_is_as_fine_as_there_is_room(bits: int, count: int, fraction: int) -> None:
    """``H``: neither what is under the root nor twice a numerator has more than 51 bits."""
    x = QType(bits, True, 0.5)

    def most(h: int) -> int:
        added = max(1, round(4**h * count**2 * EPSILON / x.step**2))
        squares = 4**h * count**2 * x.lo**2 + added
        return max(squares, 2 * count * -x.lo * 2 ** (fraction + h))

    if most(0) > EXACT:
        with pytest.raises(ValueError, match="needs integers of more than 51 bits"):
            DeviationRule.of(x, count, EPSILON, fraction, centred=False)
        return
    rule = DeviationRule.of(x, count, EPSILON, fraction, centred=False)
    assert most(rule.root_bits) <= EXACT
    assert rule.root_bits == fraction or most(rule.root_bits + 1) > EXACT


def test_what_needs_too_many_bits() -> None:
    with pytest.raises(ValueError) as caught:
        SoftmaxRule.of(QType(8, True, 1.0), 1 << 20, 12)
    assert str(caught.value) == (
        "a softmax over 1048576 elements to 12 bits needs exponentials of 34 bits, more than 31; "
        "use fewer bits for the result"
    )
    with pytest.raises(ValueError) as caught:
        DeviationRule.of(QType(16, True, 1.0), 1 << 14, EPSILON, 8, centred=True)
    assert str(caught.value) == (
        "a normalisation of 16384 integers of 16 bits to 8 fractional bits needs integers of more "
        "than 51 bits; use fewer bits, or a coarser grid"
    )
    # What attention and transformers have does fit.
    assert SoftmaxRule.of(QType(8, True, 0.125), 4096, 16).table[0] == 1 << 30
    assert DeviationRule.of(QType(8, True, 0.125), 4096, EPSILON, 12, centred=True).root_bits >= 4


@pytest.mark.timeout(20)
def test_a_softmax_of_wide_integers_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        SoftmaxRule.of(QType(32, True, 1.0), 4, 8)
    assert str(caught.value) == (
        "a softmax of integers of 32 bits needs a table of 2**32 exponentials; use a grid of at "
        "most 16 bits"
    )
