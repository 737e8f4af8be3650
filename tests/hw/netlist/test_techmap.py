# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables of cells of logic, counted by hand."""

from __future__ import annotations

from midwire.hw.netlist.fabrics import XCUP
from midwire.hw.netlist.structure import structure_of
from midwire.hw.netlist.words import Cell, Words

from .test_structure import constant, nets, tables_of


def counter(last: int) -> int:
    """Tables of a counter of 4 bits from 0 up to a number."""
    held, more, next_ = nets(2, 4), nets(10, 4), nets(20, 4)
    cells = [
        Cell("$add", {"A": held, "B": ("1",), "Y": more}, {}),
        Cell("$eq", {"A": held, "B": constant(last, 4), "Y": (30,)}, {}),
        Cell("$mux", {"A": more, "B": constant(0, 4), "S": (30,), "Y": next_}, {}),
        Cell("$dff", {"D": next_, "Q": held}, {}),
    ]
    return structure_of(Words(cells, [held]), XCUP, {}).tables


def test_a_counter_of_a_power_of_two_begins_anew_by_itself() -> None:
    assert counter(15) == 0
    assert counter(11) == 4


def test_what_is_undefined_is_not_chosen() -> None:
    """What is behind the choice is not there either."""
    which = Cell("$eq", {"A": nets(2, 6), "B": constant(5, 6), "Y": (30,)}, {})
    ports = {"A": ("x", 41), "B": nets(42, 2), "S": (30,), "Y": nets(50, 2)}
    choice = Cell("$mux", ports, {})
    assert tables_of(which, choice, output=(50,)) == 0
    assert tables_of(which, choice, output=(51,)) == 2


def one_of(count: int, otherwise: str) -> int:
    """Tables of one of some bits."""
    ports = {"A": (otherwise,), "B": nets(10, count), "S": nets(20, count), "Y": (50,)}
    return tables_of(Cell("$pmux", ports, {}), output=(50,))


def test_the_last_choice_is_what_is_left() -> None:
    """Of four undefined otherwise, seven signals are read; of three, five."""
    assert one_of(3, "x") == 1
    assert one_of(4, "x") == one_of(4, "0") == 2
    assert one_of(3, "0") == one_of(3, "1") == 1
