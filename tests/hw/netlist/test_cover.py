# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Look-up tables of small networks, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from midwire.hw.netlist.cover import Logic


def test_functions_that_one_other_reads_join_it() -> None:
    """Two ANDs into an OR are four signals."""
    logic = Logic()
    logic.end([logic.function((logic.function((1, 2)), logic.function((3, 4))))])
    assert logic.tables(4) == 1
    assert logic.tables(3) == 2


def test_a_function_that_two_others_read_is_computed_in_both_if_that_saves_its_table() -> None:
    logic = Logic()
    both = logic.function((1, 2))
    logic.end([logic.function((both, 3)), logic.function((both, 4))])
    assert logic.tables(4) == 2
    assert logic.tables(2) == 3


def test_what_many_places_make_of_few_signals_is_a_table_each() -> None:
    """Four decoded values of two signals, and ORs of three of them: no table decodes."""
    logic = Logic()
    values = [logic.function((1, 2), kind=k) for k in range(4)]
    ends = [logic.tree(values[:k] + values[k + 1 :], kind="or") for k in range(4)]
    logic.end(ends)
    assert logic.tables(4) == 4


def test_a_table_of_its_own_where_it_does_not_fit_in_what_reads_it() -> None:
    logic = Logic()
    wide = logic.function((1, 2, 3, 4))
    logic.end(logic.function((wide, k, k + 1)) for k in (10, 20, 30))
    assert logic.tables(4) == 4


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


def test_wide_functions_are_chains() -> None:
    """An AND of 16 signals: each table but the first takes one less than its inputs."""
    logic = Logic()
    logic.end([logic.tree(range(16))])
    assert logic.tables(4) == 5
    assert logic.tables(6) == 3


def test_equal_keys_are_one_function() -> None:
    logic = Logic()
    logic.end([logic.function((1, 2), key="k"), logic.function((1, 2), key="k")])
    assert logic.tables(4) == 1


def test_functions_of_one_kind_that_read_the_same_are_one() -> None:
    """Also through what inverts; but not if a constant stands elsewhere."""
    logic = Logic()
    inverse = logic.function((2,), 20)
    logic.end([logic.function((1, 2), kind="and"), logic.function((1, inverse), kind="and")])
    assert logic.tables(4) == 1
    logic.end([logic.function((1, "0", 2), kind="mux"), logic.function((1, 2, "0"), kind="mux")])
    assert logic.tables(4) == 3


def test_who_reads_what_is_there_in_any_case_pays_nothing_for_it() -> None:
    """Three functions of four signals that something else reads too, and one of these and of three
    of those: it fits in a table if it computes none of them again.
    """
    logic = Logic()
    ends = [logic.function((logic.function((1, 10 + k, 20 + k)), 30 + k)) for k in range(3)]
    logic.end(ends)
    logic.end([logic.tree((*ends, 30, 31, 32))])
    assert logic.tables(6) == 4


@pytest.mark.parametrize("seed", range(6))
def test_equal_parts_take_as_many_tables_each(seed: int) -> None:
    """Wherever they are among others, and however many signals the others have."""
    print(f"seed {seed}")

    def add(logic: Logic, own: object) -> None:
        rng = np.random.default_rng(seed)
        signals: list[object] = [(own, k) for k in range(8)]
        for _ in range(40):
            read = rng.choice(len(signals), rng.integers(1, 5), replace=False)
            signals.append(logic.function([signals[k] for k in read]))
        logic.end(signals[-3:])
        logic.end([signals[k] for k in rng.choice(len(signals), 4)])

    one = Logic()
    add(one, "a")
    several = Logic()
    for k in range(5):
        several.end([several.function([("other", k, n) for n in range(2 + k)])])
        add(several, k)
    assert several.tables(6) == 5 * one.tables(6) + 5
