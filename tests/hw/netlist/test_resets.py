# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Registers that a multiplexer of a constant resets."""

from __future__ import annotations

from midwire.hw.netlist.resets import with_resets
from midwire.hw.netlist.words import Cell, Word, Words

RESET, WHICH = 1, 2


def register(d: Word, value: str) -> Cell:
    q = tuple(bit + 100 for bit in range(len(d)))
    numbers = {"WIDTH": len(d), "SRST_VALUE": int(value, 2)}
    return Cell("$sdff", {"D": d, "Q": q, "SRST": (RESET,)}, numbers, {"SRST_VALUE": value})


def choice(constant: Word) -> Cell:
    """10, 11, ... or a constant, to 20, 21, ..."""
    size = range(len(constant))
    ports = {"A": tuple(10 + k for k in size), "B": constant, "S": (WHICH,)}
    return Cell("$mux", {**ports, "Y": tuple(20 + k for k in size)}, {})


def test_bits_whose_constant_is_that_of_the_reset_are_a_register_of_their_own() -> None:
    found = with_resets(Words([choice(("0", "1", "0")), register((20, 21, 22), "100")], []))
    mux, one, other, both = found.cells
    assert mux == choice(("0", "1", "0"))
    (net,) = both.ports["Y"]
    assert (both.kind, both.ports["A"]) == ("$reduce_bool", (WHICH, RESET))
    assert one.ports == {"D": (10,), "Q": (100,), "SRST": (net,)}
    assert (one.numbers, one.texts) == ({"WIDTH": 1, "SRST_VALUE": 0}, {"SRST_VALUE": "0"})
    assert other.ports == {"D": (21, 22), "Q": (101, 102), "SRST": (RESET,)}
    assert (other.numbers, other.texts) == ({"WIDTH": 2, "SRST_VALUE": 2}, {"SRST_VALUE": "10"})
    assert net not in {bit for cell in (mux, register((20, 21, 22), "100")) for bit in cell.ports}


def test_all_registers_of_one_choice_have_one_reset() -> None:
    cells = [choice(("0",)), register((20,), "0"), register((20,), "0")]
    _, first, second, _both = with_resets(Words(cells, [])).cells
    assert first.ports["SRST"] == second.ports["SRST"] != (RESET,)


def test_what_has_no_constant_stays() -> None:
    words = Words([choice((3, 4)), register((20, 21), "00")], [])
    assert with_resets(words) is words
    kept = Words([choice(("1", "1")), register((20, 21), "00")], [])
    assert with_resets(kept).cells[1].ports == kept.cells[1].ports
