# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Loadable units: parameters move into the words of one memory, their meaning stays (F5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.direct import Direct
from midwire.hw.finish.multiply_shift import MAX_PRODUCT_BITS, MultiplyShift, loaded_shift
from midwire.hw.finish.table import Table
from midwire.hw.finish.thresholds import Thresholds
from midwire.hw.numeric import IntType
from midwire.hw.timing.cost import ram_cost

BYTE, NIBBLE = IntType(8, True), IntType(4, False)
SPAN = (-70_000, 70_000)


@pytest.fixture
def fitted(requantiser: Any) -> MultiplyShift:
    made = requantiser(np.random.default_rng(6), 6, [(-3000, 3000)], (8, True))
    assert isinstance(made, MultiplyShift) and made.tie
    return made


def test_a_larger_shift_is_the_same_function(fitted: MultiplyShift) -> None:
    """Ties included, at every accumulator."""
    accs = np.arange(-3000, 3001)[:, None]
    wanted = fitted.apply(accs)
    for shift in (fitted.shift, fitted.shift + 1, 29):
        again = fitted.shifted(shift)
        assert again.shift == shift
        np.testing.assert_array_equal(again.apply(accs), wanted)


def test_hardware_depends_on_types_only(fitted: MultiplyShift, requantiser: Any) -> None:
    other = requantiser(np.random.default_rng(7), 6, [(-3000, 3000)], (8, True), shared=True)
    unit = fitted.loadable(2, [SPAN], BYTE)
    assert unit is not None and unit == other.loadable(2, [SPAN], BYTE)
    assert fitted.unit(2, [SPAN], BYTE) != other.unit(2, [SPAN], BYTE)
    assert all(field.values is None for field in unit.fields)
    assert unit.writable is not None
    assert ram_cost(*unit.writable).memories == unit.cost.memories and not unit.cost.roms
    assert fitted.unit(2, [SPAN], BYTE).writable is None
    assert unit.shift == loaded_shift(18, BYTE) == 34
    low, high = unit.sums
    assert max(-low, high).bit_length() < MAX_PRODUCT_BITS


def test_the_image_has_all_parameters_at_the_unit_s_shift(fitted: MultiplyShift) -> None:
    unit = fitted.loadable(2, [SPAN], BYTE)
    assert unit is not None and unit.writable is not None
    width, words = unit.writable
    lines = fitted.images(unit, "f.hex")["f.hex"].split()
    assert len(lines) == words == 3
    found = int(lines[1], 16) >> (width // 2)  # channel 3: second word, second lane
    again = fitted.shifted(unit.shift)
    columns = (again.multiplier[:, 0], again.offset, again.lo, again.hi)
    values = [*(int(column[3]) for column in columns), again.tie, again.parity]
    for field, value in zip(unit.fields, values, strict=True):
        bits = field.type.bits
        assert found & ((1 << bits) - 1) == value & ((1 << bits) - 1), field.name
        found >>= bits
    assert found == 0


def test_parameters_that_do_not_fit_have_no_loadable_hardware(fitted: MultiplyShift) -> None:
    assert fitted.loadable(2, [(-3, 3)], IntType(8, True)) is not None
    large = replace(fitted, multiplier=fitted.multiplier << 20)
    assert large.loadable(2, [SPAN], BYTE) is None
    fine = replace(fitted, shift=40)
    assert fine.loadable(2, [SPAN], BYTE) is None
    beyond = replace(fitted, hi=np.full(6, 128))
    assert beyond.loadable(2, [SPAN], BYTE) is None
    both = replace(fitted, multiplier=np.repeat(fitted.multiplier, 2, axis=1))
    assert both.loadable(2, [SPAN, SPAN], BYTE) is None


def test_wires_are_loadable_where_every_accumulator_fits() -> None:
    direct = Direct(4, -5, 9)
    assert direct.loadable(2, [(-128, 127)], BYTE) == direct.unit(2, [(-128, 127)], BYTE)
    assert direct.loadable(2, [(-129, 127)], BYTE) is None


def test_thresholds_to_all_results() -> None:
    """Channels that skip results, share thresholds or end early have the same comparators."""
    rng = np.random.default_rng(2)
    some = Thresholds(4, np.sort(rng.integers(-90, 91, (4, 15)), axis=1), np.arange(16)[None])
    few = Thresholds(4, np.array([[-5, 3, 3]]), np.array([[2, 3, 7, 8]]))
    one = Thresholds(
        4, np.array([[-9], [4], [91], [0]]), np.array([[0, 1], [3, 3], [5, 9], [2, 4]])
    )
    units = [each.loadable(2, [(-90, 90)], NIBBLE) for each in (some, few, one)]
    assert units[0] is not None and units[0].writable == (2 * 15 * 8, 2)
    assert units[0] == units[1] == units[2] and units[0].parallel
    accs = np.arange(-90, 91)[:, None]
    for finisher in (some, few, one):
        (text,) = finisher.images(units[0], "t.hex").values()
        words = [int(line, 16) for line in text.split()]
        for channel in range(4):
            word = words[channel // 2] >> (channel % 2 * 120)
            fields = [(word >> (8 * k)) & 255 for k in range(15)]
            points = np.array([f - 256 if f > 127 else f for f in fields])
            counted = (accs >= points).sum(axis=1)
            np.testing.assert_array_equal(counted, finisher.apply(accs)[:, channel])


def test_what_is_not_compared_at_once_is_not_loadable() -> None:
    rising = Thresholds(1, np.array([[0]]), np.array([[0, 1]]))
    assert rising.loadable(1, [(-9, 9)], IntType(5, False)) is None
    falling = Thresholds(1, np.array([[0]]), np.array([[1, 0]]))
    assert falling.loadable(1, [(-9, 9)], NIBBLE) is None
    assert Table(1, -9, np.zeros((1, 19), np.int64)).loadable(1, [(-9, 9)], NIBBLE) is None
