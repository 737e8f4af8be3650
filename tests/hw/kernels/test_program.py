# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Kernels, finishers and implementations as text and back (K1)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel
from midwire.hw.kernels.program import (
    FINISHERS,
    KERNELS,
    canonical,
    describe,
    described_by,
    finisher_of,
    kernel_of,
)
from midwire.hw.kernels.reduce import ReduceKernel
from midwire.hw.numeric import IntType

INT8, UINT4 = IntType(8, True), IntType(4, False)
WEIGHT = np.array([[[[1, -300]], [[2, 0]]]])
CONV = ConvKernel(Geometry((3, 2), (2, 1), pads=(1, 0, 0, 0)), 2, INT8, WEIGHT, False, 7)


def test_a_kernel_as_json_and_arrays() -> None:
    """Arrays go in the smallest type that holds them; everything else is JSON."""
    arrays: dict[str, Any] = {}
    described = describe(CONV, "3", arrays)
    assert described.kind == "conv"
    assert described.arrays == {"weight": "3.weight"}
    assert arrays["3.weight"].dtype == np.int16
    assert json.loads(json.dumps(described.parameters)) == {
        "geometry": {
            "size": [3, 2],
            "kernel": [2, 1],
            "stride": [1, 1],
            "dilation": [1, 1],
            "pads": [1, 0, 0, 0],
        },
        "channels": 2,
        "x": {"bits": 8, "signed": True},
        "depthwise": False,
        "pad_value": 7,
    }
    again = kernel_of(described, arrays)
    assert isinstance(again, ConvKernel)
    assert (again.geometry, again.x, again.pad_value) == (CONV.geometry, CONV.x, CONV.pad_value)
    np.testing.assert_array_equal(again.weight, WEIGHT)
    assert again.weight.dtype == np.int64


@pytest.mark.parametrize(
    "kernel",
    [
        CONV,
        PoolKernel(Geometry((2, 2), (2, 2)), 3, UINT4, "sum", 0),
        EltwiseKernel((INT8, UINT4), 12, 3, 1),
        ReduceKernel(INT8, 2, 6, 4, "squares", -3, 4),
    ],
    ids=lambda kernel: kernel.name,
)
def test_kernels_of_every_kind_come_back(kernel: Any) -> None:
    arrays: dict[str, Any] = {}
    described = describe(kernel, "k", arrays)
    again = kernel_of(described, arrays)
    assert type(again) is type(kernel) is KERNELS[kernel.name]
    # Where there are no arrays, which nothing compares, equal parameters are equal kernels.
    assert described.arrays or (again == kernel and hash(again) == hash(kernel))
    second: dict[str, Any] = {}
    assert describe(again, "k", second) == described
    assert arrays.keys() == second.keys()


def test_finishers_come_back(requantiser: Any) -> None:
    fit = requantiser(np.random.default_rng(1), 3, [(-9, 9), (0, 7)], (8, True))
    for finisher in (fit, Direct(4, -3, 9)):
        arrays: dict[str, Any] = {}
        described = describe(finisher, "f", arrays)
        again = finisher_of(described, arrays)
        assert type(again) is type(finisher) is FINISHERS[finisher.kind]
        assert (again.channels, again.terms, again.span) == (
            finisher.channels,
            finisher.terms,
            finisher.span,
        )
    assert isinstance(fit, MultiplyShift)
    accs = [np.arange(-9, 9)[:, None], np.arange(18)[:, None] % 8]
    described = describe(fit, "f", arrays)
    np.testing.assert_array_equal(finisher_of(described, arrays).apply(*accs), fit.apply(*accs))


@pytest.mark.parametrize(
    ("parameters", "error", "sentence"),
    [
        ({"channels": "2"}, TypeError, "expected int, not '2'"),
        ({"channels": True}, TypeError, "expected int, not True"),
        ({"mode": 1}, TypeError, "expected str, not 1"),
        ({"x": {"bits": 8.0, "signed": True}}, TypeError, "expected int, not 8.0"),
        ({"geometry": {"size": [2, 2], "pads": 0}}, TypeError, "expected a list, not 0"),
        ({"x": 8}, TypeError, "expected an object, not 8"),
        ({"x": {"bits": 0, "signed": True}}, ValueError, "bits of an integer must be 1 to 63"),
        ({"mode": "mean"}, ValueError, "mode must be 'max' or 'sum', not 'mean'"),
        ({"odd": 1}, KeyError, "odd"),
        ({"geometry": {"size": [0, 2]}}, ValueError, "size must be two or more numbers"),
    ],
)
def test_damage_is_refused(parameters: Any, error: type[Exception], sentence: str) -> None:
    """A bundle's reader turns these into a teaching error."""
    arrays: dict[str, Any] = {}
    described = describe(PoolKernel(Geometry((2, 2)), 3, UINT4, "max", 0), "k", arrays)
    damaged = type(described)("pool", {**described.parameters, **parameters}, {})
    with pytest.raises(error, match=sentence):
        kernel_of(damaged, arrays)


def test_arrays_of_fractions_are_refused() -> None:
    arrays: dict[str, Any] = {}
    described = describe(CONV, "k", arrays)
    arrays["k.weight"] = arrays["k.weight"] + 0.5
    with pytest.raises(TypeError, match=r"^expected an array of integers, not of float64$"):
        kernel_of(described, arrays)


def test_canonical_text_is_equal_for_equal_descriptions_only() -> None:
    direct = Direct(1, 0, 15)
    kernel = PoolKernel(Geometry((4, 4), (2, 2)), 3, UINT4, "max", 0)
    for built in kernel.implementations([Direct(3, 0, 15)], [UINT4]):
        text = canonical(built)
        assert described_by(text) == built
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
        assert ".pool:FoldedPooling" in text and "midwire" not in text
    assert canonical(direct.unit(2, [(0, 15)], UINT4)) != canonical(
        direct.unit(3, [(0, 15)], UINT4)
    )
    assert canonical(Geometry((2, 2))) == canonical(Geometry((2, 2), (1, 1)))


def test_what_has_no_text() -> None:
    with pytest.raises(
        TypeError, match=r"expected an integer, a text, a tuple or a dataclass, not 1"
    ):
        canonical((1, 1.5))
