# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the parts that everybody uses take."""

from __future__ import annotations

from midwire.hw.timing.cost import (
    SHALLOW_FIFO,
    Cost,
    counter_cost,
    fifo_cost,
    outlet_cost,
    select_bits,
)


def test_costs_add_up() -> None:
    a = Cost(((8, 8),), ((9, 4),), 3, 5, ((7, 2),))
    b = Cost(((4, 4),), (), 10, 20, ((1, 1),))
    assert a + b == Cost(((8, 8), (4, 4)), ((9, 4),), 13, 25, ((7, 2), (1, 1)))
    assert a + Cost() == a


def test_multiplexers() -> None:
    """A LUT of six inputs selects one of four bits."""
    assert [select_bits(8, ways) for ways in (1, 2, 4, 5, 7, 8)] == [0, 8, 8, 16, 16, 24]


def test_counters() -> None:
    """One that wraps by itself needs no comparison; one of a single value is nothing."""
    assert counter_cost(1) == Cost()
    assert counter_cost(8) == Cost(adders=3, registers=3)
    assert counter_cost(9) == Cost(adders=8, registers=4)


def test_fifos() -> None:
    """One word is a register; what a deep one is read ahead for goes around its memory."""
    assert fifo_cost(9, 1) == Cost(adders=1, registers=10)
    assert fifo_cost(9, SHALLOW_FIFO).registers == 5 + 5 + 6
    assert fifo_cost(9, SHALLOW_FIFO).memories == ((9, SHALLOW_FIFO),)
    assert fifo_cost(9, SHALLOW_FIFO + 1).registers == 6 + 6 + 6 + 9
    assert outlet_cost(9, 4) == fifo_cost(9, 4) + counter_cost(5)
