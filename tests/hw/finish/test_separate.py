# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a layer knows of a finisher that is a module of its own."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from midwire.hw.elaborate import verilog_of
from midwire.hw.finish.base import FinisherUnit
from midwire.hw.finish.direct import Direct
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.finish.separate import FinisherModule, SeparateUnit, separated
from midwire.hw.numeric import IntType

INT8 = IntType(8, True)


def unit(multiplier: int, peak: int = 100) -> FinisherUnit:
    factors = np.array([[multiplier], [multiplier + 1]])
    ends = np.array([-128, -128]), np.array([127, 127])
    return MultiplyShift(factors, np.array([3, 4]), 5, 0, 0, *ends).unit(1, [(-peak, peak)], INT8)


@dataclass(frozen=True)
class Two:
    """A layer of two outputs."""

    lanes: int
    units: tuple[FinisherUnit, ...]


def test_a_layer_is_the_same_whatever_its_finisher_computes() -> None:
    one, other = (separated(Two(3, (unit(5, peak), unit(7)))) for peak in (65, 127))
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert list(one[1]) == [0, 1]
    assert one[1][1] == FinisherModule(unit(7).widened)


def test_numbers_that_make_the_same_hardware_are_one_description(requantiser: Any) -> None:
    """Its Verilog is that of the exact numbers, to the letter; few of them are left."""
    seed = 20264
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    exact: list[FinisherModule] = []
    for _ in range(12):
        low = int(rng.integers(-900, -300))
        spans = [(low, low + int(rng.integers(600, 1200)))] * int(rng.integers(1, 3))
        made = requantiser(rng, 4, spans, (8, True), shared=bool(rng.integers(0, 2)))
        exact.append(FinisherModule(made.unit(2, spans, INT8)))
    wide = [FinisherModule(each.unit.widened) for each in exact]
    assert verilog_of(wide) == verilog_of(exact)
    assert [each.unit.widened for each in wide] == [each.unit for each in wide]
    assert [each.unit.cost for each in wide] == [each.unit.cost for each in exact]
    # What differs in some number of no consequence is equal now.
    wider, narrower = unit(5, peak=120), unit(5, peak=115)
    assert wider != narrower and wider.widened == narrower.widened


def test_the_layer_knows_what_its_hardware_depends_on() -> None:
    own = unit(5, peak=65)
    seen = SeparateUnit.of(own)
    assert (seen.lanes, seen.out, seen.latency, seen.writable) == (1, INT8, own.latency, None)
    assert seen.ranges == ((-128, 127),), "all that 8 bits hold"
    loadable = MultiplyShift(
        np.array([[5]]), np.array([0]), 3, 0, 0, np.array([-128]), np.array([127])
    ).loadable(1, [(-100, 100)], INT8)
    assert loadable is not None
    assert SeparateUnit.of(loadable).writable == loadable.writable
    assert {field.name for field in fields(seen)} == {"lanes", "out", "ranges", "cycles", "word"}


def test_what_has_no_registers_stays() -> None:
    """And the number of an output is its own, whichever stay."""
    direct = Direct(1, -100, 100).unit(1, [(-100, 100)], INT8)
    layer = Two(1, (direct, unit(5)))
    own, found = separated(layer)
    assert own == replace(layer, units=(direct, SeparateUnit.of(unit(5))))
    assert found == {1: FinisherModule(unit(5).widened)}
    assert separated(replace(layer, units=(direct,))) == (replace(layer, units=(direct,)), {})
