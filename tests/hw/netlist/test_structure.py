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


def constant(value: int, width: int) -> Word:
    return tuple(str(value >> k & 1) for k in range(width))


def tables_of(*cells: Cell, output: Word) -> int:
    return structure_of(Words(cells, [output]), XCUP, {}).tables


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


def test_a_part_that_nobody_reads_is_not_there() -> None:
    """Nor what would be written into it: of 9 bits the highest one is the third part of ecp5."""
    whole = memory(9, 8, clocked=True)
    (cell,) = whole.cells
    last = cell.ports["WR_DATA"][-1]
    both = Cell("$and", {"A": (200,), "B": (201,), "Y": (last,)}, {})
    found = structure_of(Words([both, cell], whole.outputs), ECP5, {})
    assert found == Structure(tables=1, memory_tables=18, registers=9)
    some = Words([both, cell], [cell.ports["RD_DATA"][:8]])
    assert structure_of(some, ECP5, {}) == Structure(memory_tables=12, registers=8)


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


def fixed_words(contents: list[int], width: int) -> Words:
    """Words that are never written, read where the address comes from outside."""
    text = "".join(f"{word:0{width}b}" for word in reversed(contents))
    ports = {"RD_ADDR": nets(2, (len(contents) - 1).bit_length()), "RD_DATA": nets(100, width)}
    numbers = {"WIDTH": width, "SIZE": len(contents), "WR_PORTS": 0}
    return Words([Cell("$mem_v2", ports, numbers, {"INIT": text})], [ports["RD_DATA"]])


def test_tables_that_a_multiplexer_joins_are_of_one_column_only() -> None:
    """Two columns of five signals, of which the lower halves are the same: Yosys 0.70 counts four
    tables on ecp5. Of four signals they are two columns, and two tables.
    """
    rng = random.Random(1)
    low, first, second = ([rng.randrange(2) for _ in range(16)] for _ in range(3))
    both = [2 * a + a for a in low] + [2 * a + b for a, b in zip(first, second, strict=True)]
    assert structure_of(fixed_words(both, 2), ECP5, {}).tables == 4
    assert structure_of(fixed_words(both[16:], 2), ECP5, {}).tables == 2


def test_the_last_of_eight_signals_are_a_function_that_chooses_among_four() -> None:
    """It is of six signals itself: four tables that multiplexers join, behind four times four.
    On xcup multiplexers join eight. Yosys 0.70 counts 203 on ecp5 for eight random columns, 32 on
    xc7.
    """
    rng = random.Random(3)
    words = fixed_words([rng.randrange(256) for _ in range(256)], 8)
    assert structure_of(words, ECP5, {}).tables == 8 * (4 * 4 + 4)
    assert structure_of(words, XC7, {}).tables == 8 * 4
