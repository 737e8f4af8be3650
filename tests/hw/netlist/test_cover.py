# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Look-up tables of small networks, counted by hand."""

from __future__ import annotations

from midwire.hw.netlist.cover import Logic, Passing


def test_functions_that_one_other_reads_join_it() -> None:
    """Two ANDs into an OR are four signals."""
    logic = Logic()
    logic.end([logic.function((logic.function((1, 2)), logic.function((3, 4))))])
    assert logic.tables(4) == 1
    assert logic.tables(3) == 2


def test_a_function_that_two_others_read_is_a_table_of_its_own() -> None:
    logic = Logic()
    both = logic.function((1, 2))
    logic.end([logic.function((both, 3)), logic.function((both, 4))])
    assert logic.tables(4) == 3


def test_constants_and_what_nobody_reads_cost_nothing() -> None:
    logic = Logic()
    logic.function((1, 2, 3))
    logic.end([logic.function((7, "0")), logic.function(("1", "x")), 5])
    assert logic.tables(4) == 0


def test_what_inverts_joins_what_reads_it() -> None:
    logic = Logic()
    logic.function((1,), 10)
    logic.end([logic.function((10, 2))])
    assert logic.tables(4) == 1


def test_wide_functions_are_trees() -> None:
    """An AND of 16 signals: four tables, and one of them."""
    logic = Logic()
    logic.end([logic.tree(range(16))])
    assert logic.tables(4) == 5
    assert logic.tables(6) == 4  # each joins one of the two that it reads


def test_what_passes_has_no_table() -> None:
    logic = Logic()
    logic.end([logic.function((Passing((1, 2, 3)), 4, 5)), logic.function((Passing((1, 2, 3)), 6))])
    assert logic.tables(6) == 2


def test_equal_keys_are_one_function() -> None:
    logic = Logic()
    logic.end([logic.function((1, 2), key="k"), logic.function((1, 2), key="k")])
    assert logic.tables(4) == 1
