# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules N1 and N3, each against a definition that is written out here."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwire.hw.numeric import IntType, QType, bits_for

from ..exact import float32, half_to_even, qtypes

# N1


def test_ends_of_types() -> None:
    assert [(QType(b, True, 1.0).lo, QType(b, True, 1.0).hi) for b in (1, 2, 8, 32)] == [
        (-1, 0),
        (-2, 1),
        (-128, 127),
        (-(2**31), 2**31 - 1),
    ]
    assert [(QType(b, False, 1.0).lo, QType(b, False, 1.0).hi) for b in (1, 2, 8, 32)] == [
        (0, 1),
        (0, 3),
        (0, 255),
        (0, 2**32 - 1),
    ]


@pytest.mark.parametrize(
    ("bits", "signed", "size", "dtype"),
    [
        (1, False, 1, "<u1"),
        (8, True, 1, "<i1"),
        (9, True, 2, "<i2"),
        (16, False, 2, "<u2"),
        (17, False, 4, "<u4"),
        (32, True, 4, "<i4"),
    ],
)
def test_containers(bits: int, signed: bool, size: int, dtype: str) -> None:
    qtype = QType(bits, signed, 1.0)
    assert (qtype.container_bytes, qtype.wire_dtype) == (size, np.dtype(dtype))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, True, 1.0), "bits must be 1 to 32, not 0"),
        ((33, True, 1.0), "bits must be 1 to 32, not 33"),
        ((8, True, 0.0), "scale must be finite and positive, not 0.0"),
        ((8, True, -0.5), "scale must be finite and positive, not -0.5"),
        ((8, True, float("nan")), "scale must be finite and positive, not nan"),
        ((8, True, float("inf")), "scale must be finite and positive, not inf"),
        ((8, True, 0.1), "scale must be a float32 value, not 0.1"),
        ((8, True, 1e300), "scale must be a float32 value, not 1e+300"),
        ((8, True, 1.0, 128), "zero_point must lie in [-128, 127], not 128"),
        ((8, False, 1.0, -1), "zero_point must lie in [0, 255], not -1"),
        ((4, False, 1.0, 16), "zero_point must lie in [0, 15], not 16"),
    ],
)
def test_what_is_no_type(arguments: tuple[int, bool, float, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        QType(*arguments)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bits": 8.0}, "bits must not be 8.0"),
        ({"bits": True}, "bits must not be True"),
        ({"scale": "1"}, "scale must not be '1'"),
        ({"zero_point": 0.5}, "zero_point must not be 0.5"),
    ],
)
def test_what_is_no_number(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        QType(**{"bits": 8, "signed": True, "scale": 1.0, **changes})


@pytest.mark.parametrize("bits", [-1, 0, 64])
def test_integers_of_no_type(bits: int) -> None:
    with pytest.raises(ValueError, match=f"^bits of an integer must be 1 to 63, not {bits}$"):
        IntType(bits, True)


def test_dequantise_gives_the_real_numbers() -> None:
    qtype = QType(8, True, float32(0.1), -3)
    q = np.arange(-128, 128)
    want = [np.float32(np.float32(0.1) * np.float32(int(v) + 3)) for v in q]
    np.testing.assert_array_equal(qtype.dequantise(q), np.array(want))


def test_a_scalar_stays_an_array() -> None:
    """Which is what ONNX Runtime takes; numpy's own arithmetic makes a number of it."""
    qtype = QType(8, True, 0.5, -3)
    found = qtype.quantise(np.array(1.5)), qtype.dequantise(np.array(4))
    kinds = [(type(one).__name__, str(one.dtype), one.tolist()) for one in found]
    assert kinds == [("ndarray", "int64", 0), ("ndarray", "float32", 3.5)]


# N3


@given(qtype=qtypes(), data=st.data())
def test_quantise_is_n3(qtype: QType, data: st.DataObject) -> None:
    """Float32 and float64 values at, and one unit in the last place beside, ties and ends."""
    step = Fraction(qtype.scale)
    values: list[float] = []
    for half in data.draw(st.lists(st.integers(-3000, 3000), min_size=1, max_size=8)):
        near = float(step * half / 2)
        values += [near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)]
        single = np.float32(near)
        values += [float(np.nextafter(single, np.float32(np.inf))), float(single)]
    values += data.draw(st.lists(st.floats(-1e6, 1e6), max_size=4))
    want = [
        max(qtype.lo, min(qtype.hi, half_to_even(Fraction(float(v)) / step) + qtype.zero_point))
        for v in values
    ]
    assert qtype.quantise(np.array(values)).tolist() == want


@pytest.mark.parametrize("bits", [1, 8, 17, 27, 32])
@pytest.mark.parametrize("scale", [1.0, 1 / 3, 0.1, 3e38, 2.0**-149, 16777215.0])
def test_quantise_is_n3_beside_ties_of_any_size(bits: int, scale: float) -> None:
    qtype = QType(bits, True, float32(scale), -1)
    rng = np.random.default_rng(bits)
    below = np.concatenate([rng.integers(qtype.lo - 2, qtype.hi + 3, 40), np.arange(-3, 3)])
    ends = [2**16 + n for n in range(-2, 2)] + [-(2**16) + n for n in range(-2, 2)]
    ties = (np.concatenate([below, ends]) + 0.5) * qtype.scale
    values = np.concatenate([ties, np.nextafter(ties, np.inf), np.nextafter(ties, -np.inf)])
    want = [
        max(qtype.lo, min(qtype.hi, half_to_even(Fraction(v) / qtype.step) - 1))
        for v in values.tolist()
    ]
    assert qtype.quantise(values).tolist() == want


@pytest.mark.timeout(10)
def test_many_ties_take_no_longer_than_other_values() -> None:
    """As of bytes that a coarser grid takes."""
    q = QType(8, False, 2.0).quantise(np.arange(5_000_000) % 4)
    assert np.bincount(q).tolist() == [2_500_000, 1_250_000, 1_250_000]


@given(qtype=qtypes())
def test_quantise_undoes_dequantise(qtype: QType) -> None:
    q = np.arange(qtype.lo, qtype.hi + 1)
    np.testing.assert_array_equal(qtype.quantise(qtype.dequantise(q)), q)


def test_quantise_saturates_at_any_size() -> None:
    qtype = QType(8, True, float(np.float32(1e-45)), 5)
    huge = np.array([1e308, -1e308, 3e38, -3e38, 0.0])
    assert qtype.quantise(huge).tolist() == [127, -128, 127, -128, 5]


def test_quantise_takes_any_shape() -> None:
    qtype = QType(8, False, 0.5, 4)
    assert qtype.quantise(0.75).shape == ()
    assert int(qtype.quantise(0.75)) == 6
    assert qtype.quantise(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert qtype.quantise([[1.0], [2.0]]).tolist() == [[6], [8]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_quantise_refuses_what_is_no_number(value: float) -> None:
    with pytest.raises(ValueError, match=r"^cannot quantise NaN or infinity$"):
        QType(8, True, 1.0).quantise([0.0, value])


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_bits_for_is_narrowest(lo: int, size: int) -> None:
    hi = lo + size
    bits, signed = bits_for(lo, hi)

    def holds(width: int, two: bool) -> bool:
        if width < 1:
            return False
        if two:
            return -(2 ** (width - 1)) <= lo and hi < 2 ** (width - 1)
        return lo >= 0 and hi < 2**width

    assert holds(bits, signed)
    assert not holds(bits - 1, signed)
    assert signed == (lo < 0)


def test_bits_for_small_ranges() -> None:
    cases = {(0, 0): (1, False), (0, 1): (1, False), (-1, 0): (1, True), (-1, 1): (2, True)}
    assert {pair: bits_for(*pair) for pair in cases} == cases
    with pytest.raises(ValueError, match=r"^lo must not exceed hi, not 2 > 1$"):
        bits_for(2, 1)


@pytest.mark.parametrize("bits", [1, 2, 8, 32, 63])
@pytest.mark.parametrize("signed", [True, False])
def test_integers_of_a_type(bits: int, signed: bool) -> None:
    """An element as hardware knows it: the same ends, and the narrowest type for them."""
    kind = IntType(bits, signed)
    assert kind.hi - kind.lo == 2**bits - 1
    assert kind.lo == (-(2 ** (bits - 1)) if signed else 0)
    assert IntType.holding(kind.lo, kind.hi) == kind
    if bits <= 32:
        assert QType(bits, signed, 0.5).integers == kind
