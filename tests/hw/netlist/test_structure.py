# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Primitives of small netlists, counted by hand."""

from __future__ import annotations

import random

from midwire.hw.netlist.fabrics import ECP5, XC7, XCUP
from midwire.hw.netlist.structure import Structure, structure_of
from midwire.hw.netlist.words import Cell, Word, Words


def nets(first: int, size: int) -> Word:
    return tuple(range(first, first + size))


def memory(width: int, depth: int, *, clocked: bool) -> Words:
    bits = (depth - 1).bit_length()
    ports = {
        "RD_ADDR": nets(2, bits),
        "WR_ADDR": nets(20, bits),
        "WR_EN": (40,) * width,
        "WR_DATA": nets(50, width),
        "RD_DATA": nets(100, width),
    }
    numbers = {"WIDTH": width, "SIZE": depth, "RD_CLK_ENABLE": int(clocked), "WR_PORTS": 1}
    return Words([Cell("$mem_v2", ports, numbers)], [ports["RD_DATA"]])


def test_parts_of_a_memory_have_multiplexers() -> None:
    """Three parts of 16 words: two multiplexers a bit, and an enable each; one bit of address and
    the enable in what chooses the third.
    """
    found = structure_of(memory(8, 48, clocked=True), ECP5, {})
    assert found == Structure(tables=2 * 8 + 3, memory_tables=36, registers=8)


def test_one_part_has_none() -> None:
    assert structure_of(memory(6, 32, clocked=False), XC7, {}) == Structure(memory_tables=4)


def test_a_comparison_shares_the_carries_of_a_difference() -> None:
    """But for the last two bits of both and the carry into them, which are two tables."""
    a, b, y = nets(2, 16), nets(20, 16), nets(40, 16)
    difference = Cell("$sub", {"A": a, "B": b, "Y": y}, {})
    compare = Cell("$ge", {"A": a, "B": b, "Y": (60,)}, {})
    assert structure_of(Words([difference], [y]), ECP5, {}).tables == 16
    assert structure_of(Words([compare], [(60,)]), ECP5, {}).tables == 14 + 2
    turned = Cell("$le", {"A": b, "B": a, "Y": (60,)}, {})
    assert structure_of(Words([turned, difference], [y, (60,)]), ECP5, {}).tables == 16 + 2
    both = Words([compare, difference], [y, (60,)])
    assert structure_of(both, ECP5, {}).tables == 16 + 2


def test_registers_that_hold_one_constant_are_one() -> None:
    """A constant that differs from what reset gives says whether there was a first cycle."""
    numbers = {"SRST_VALUE": 0}
    ports = {"D": ("1", "1", "0", "1"), "Q": nets(2, 4), "SRST": (9,)}
    words = Words([Cell("$sdff", ports, numbers)], [nets(2, 4)])
    assert structure_of(words, XCUP, {}).registers == 1


def test_products_wider_than_a_multiplier_are_added_up() -> None:
    """25 by 19 bits: two multipliers, and an adder of all but 17 bits."""
    ports = {"A": nets(2, 25), "B": nets(40, 19), "Y": nets(70, 44)}
    words = Words([Cell("$mul", ports, {"A_SIGNED": 1, "B_SIGNED": 1})], [ports["Y"]])
    assert structure_of(words, XCUP, {}) == Structure(tables=27, products=2)


def constant(value: int, width: int) -> Word:
    return tuple(str(value >> k & 1) for k in range(width))


def compared(kind: str, value: int, width: int = 11) -> int:
    """Tables of a comparison of a signed word with a constant on xcup."""
    ports = {"A": nets(2, width), "B": constant(value, width), "Y": (60,)}
    words = Words([Cell(kind, ports, {"A_SIGNED": 1, "B_SIGNED": 1})], [(60,)])
    return structure_of(words, XCUP, {}).tables


def test_low_bits_may_not_matter_to_a_comparison() -> None:
    """Above 127, or below -128, is told by four bits; above 126, by all eleven."""
    assert compared("$gt", 127) == compared("$lt", -128) == compared("$ge", 128) == 1
    assert compared("$gt", 126) == compared("$lt", -127) == 2


def test_a_carry_chain_compares_with_a_constant_six_bits_a_step() -> None:
    """Four steps of a table that tells equality. A second one tells that a part is above the
    constant's: nothing is above ones.
    """
    assert compared("$gt", 0, 24) == 4 + 4
    assert compared("$gt", (1 << 18) - 1, 24) == 4 + 1


def on_pairs(kind: str, value: int) -> int:
    """As Yosys 0.70 counts a comparison of 8 bits on ecp5 before placement."""
    ports = {"A": nets(2, 8), "B": constant(value, 8), "Y": (60,)}
    words = Words([Cell(kind, ports, {"A_SIGNED": 1, "B_SIGNED": 1})], [(60,)])
    return structure_of(words, ECP5, {}).tables


def test_a_chain_of_pairs_has_no_part_for_low_zeros_of_a_constant() -> None:
    assert on_pairs("$lt", 37) == on_pairs("$ge", -35) == 2 * 3 + 1
    assert on_pairs("$lt", 36) == on_pairs("$ge", -36) == 2 * 2 + 1
    assert on_pairs("$le", 37) == on_pairs("$gt", 39) == 2 * 3 + 2


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


def test_a_column_and_its_inverse_are_one_table() -> None:
    """Whether the bits of an address are an odd or an even number of ones."""
    ports = {"RD_ADDR": nets(2, 3), "RD_DATA": nets(100, 2)}
    text = "".join("10" if k.bit_count() % 2 else "01" for k in range(8))
    numbers = {"WIDTH": 2, "SIZE": 8, "WR_PORTS": 0}
    words = Words([Cell("$mem_v2", ports, numbers, {"INIT": text})], [ports["RD_DATA"]])
    assert structure_of(words, ECP5, {}).tables == 1


def test_words_read_from_a_register_take_more_tables() -> None:
    """Seven signals are two tables and a dedicated multiplexer; where slower paths leave time, ABC
    shares parts of them between columns.
    """
    address, held = nets(2, 7), nets(20, 7)
    rng = random.Random(1)
    numbers = {"WIDTH": 8, "SIZE": 128, "WR_PORTS": 0}
    text = "".join(rng.choice("01") for _ in range(8 * 128))
    rows = {"RD_DATA": nets(100, 8)}
    read = Cell("$mem_v2", rows | {"RD_ADDR": address}, numbers, {"INIT": text})
    later = Cell("$mem_v2", rows | {"RD_ADDR": held}, numbers, {"INIT": text})
    register = Cell("$dff", {"D": address, "Q": held}, {})
    assert structure_of(Words([read], [nets(100, 8)]), XCUP, {}).tables == 16
    assert structure_of(Words([register, later], [nets(100, 8)]), XCUP, {}).tables == 79


SUMS = {3: 16, 4: 26, 5: 44, 8: 85}
PRODUCTS = {(4, 4): 26, (5, 4): 31, (5, 3): 21}
"""Tables that Yosys 0.70 counts on xcup: of sums of words of 8 bits, by how many; and of products
that no multiplier makes, by the bits of the factors.
"""


def test_sums_of_many_words() -> None:
    """Within an eighth."""
    for count, tables in SUMS.items():
        terms = [nets(100 * k, 8) for k in range(1, count + 1)]
        total, cells = terms[0], []
        for k, term in enumerate(terms[1:]):
            y = nets(2000 + 100 * k, 8 + (count - 1).bit_length())
            signed = {"A_SIGNED": 1, "B_SIGNED": 1}
            cells.append(Cell("$add", {"A": total, "B": term, "Y": y}, signed))
            total = y
        found = structure_of(Words(cells, [total]), XCUP, {}).tables
        assert abs(found - tables) <= tables / 8, (count, found)


def test_products_that_no_multiplier_makes() -> None:
    """Within a tenth."""
    for (a, b), tables in PRODUCTS.items():
        ports = {"A": nets(2, a), "B": nets(20, b), "Y": nets(40, 8)}
        cell = Cell("$mul", ports, {"A_SIGNED": 1, "B_SIGNED": 1})
        found = structure_of(Words([cell], [ports["Y"]]), XCUP, {}).tables
        assert abs(found - tables) <= tables / 10, (a, b, found)
