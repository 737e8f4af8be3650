# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Products split for hard multipliers, and what these take in."""

from __future__ import annotations

import numpy as np
import pytest

from midwire.hw.netlist.fabrics import ECP5, XC7, XCUP
from midwire.hw.netlist.multipliers import Taken, split
from midwire.hw.netlist.words import Bit, Cell, Word, Words

SEED = 9
FABRICS = {"xcup": XCUP, "xc7": XC7, "ecp5": ECP5}


def product(a: int, b: int, y: int, signed: bool) -> Words:
    """A product of two ports, in nets from 2 on."""
    ports = {"A": nets(2, a), "B": nets(2 + a, b), "Y": nets(2 + a + b, y)}
    numbers = {"A_SIGNED": int(signed), "B_SIGNED": int(signed)}
    return Words([Cell("$mul", ports, numbers)], [ports["Y"]])


def nets(first: int, size: int) -> Word:
    return tuple(range(first, first + size))


def integer(word: Word, bits: dict[Bit, int], signed: bool) -> int:
    found = sum(bits[bit] << k for k, bit in enumerate(word))
    return found - (1 << len(word)) if signed and bits[word[-1]] else found


def evaluated(words: Words, bits: dict[Bit, int]) -> int:
    """The output of a netlist of products and sums, in the order in which they read each other."""
    left = list(words.cells)
    while left:
        cell = next(c for c in left if all(b in bits for p in "AB" for b in c.ports[p]))
        left.remove(cell)
        a, b = (integer(cell.ports[p], bits, bool(cell.numbers.get(f"{p}_SIGNED"))) for p in "AB")
        value = a * b if cell.kind == "$mul" else a + b
        bits |= {net: value >> k & 1 for k, net in enumerate(cell.ports["Y"])}
    return integer(words.outputs[0], bits, signed=False)


@pytest.mark.parametrize("family", FABRICS)
@pytest.mark.parametrize("signed", [False, True])
def test_parts_add_up_to_the_product(family: str, signed: bool) -> None:
    rng = np.random.default_rng(SEED)
    for a, b, y in ((18, 18, 36), (25, 19, 44), (40, 30, 70), (12, 45, 50), (33, 20, 41)):
        whole = product(a, b, y, signed)
        parts = split(whole, FABRICS[family].multiplier)
        for _ in range(20):
            drawn = rng.integers(0, 2, a + b)
            bits: dict[Bit, int] = {"0": 0, "1": 1}
            bits |= {2 + k: int(bit) for k, bit in enumerate(drawn)}
            assert evaluated(parts, dict(bits)) == evaluated(whole, bits), (SEED, a, b, y)


@pytest.mark.parametrize("family", FABRICS)
def test_as_many_parts_as_are_priced(family: str) -> None:
    hard = FABRICS[family].multiplier
    for a, b in ((8, 8), (25, 18), (25, 19), (28, 18), (40, 30), (36, 36)):
        cells = split(product(a, b, a + b, signed=True), hard).cells
        made = [c for c in cells if c.kind == "$mul"]
        count = sum(hard.makes(*(len(c.ports[p]) for p in "ABY")) for c in made)
        assert count == hard.tiles(a, b), (a, b)


def registered(first: int, d: Word) -> Cell:
    return Cell("$dff", {"D": d, "Q": nets(first, len(d))}, {})


def accumulator() -> Words:
    """Factors in registers, their product in one, and a sum with a port in another."""
    a, b = registered(100, nets(2, 8)), registered(120, nets(10, 8))
    factors = {"A": a.ports["Q"], "B": b.ports["Q"], "Y": nets(140, 16)}
    times = Cell("$mul", factors, {"A_SIGNED": 1, "B_SIGNED": 1})
    held = registered(160, times.ports["Y"])
    total = Cell("$add", {"A": held.ports["Q"], "B": nets(20, 16), "Y": nets(180, 16)}, {})
    out = registered(200, total.ports["Y"])
    return Words([a, b, times, held, total, out], [out.ports["Q"]])


def test_a_dsp48_takes_in_registers_and_the_adder() -> None:
    words = accumulator()
    taken = Taken(words, {2: words.cells[2]}, XC7.multiplier.absorbs)
    assert taken.cells == {4}
    assert len(taken.registers) == 8 + 8 + 16 + 16


def test_others_take_in_nothing() -> None:
    words = accumulator()
    taken = Taken(words, {2: words.cells[2]}, XCUP.multiplier.absorbs)
    assert not taken.cells and not taken.registers


def test_a_register_that_others_read_stays() -> None:
    words = accumulator()
    read = Words(words.cells, [*words.outputs, words.cells[3].ports["Q"]])
    taken = Taken(read, {2: words.cells[2]}, XC7.multiplier.absorbs)
    assert not set(words.cells[5].ports["Q"]) & taken.registers


def test_a_part_of_a_factor_that_is_zero_makes_no_product() -> None:
    """As where constants are small: 30 bits of which the highest 13 are 0."""
    ports = {"A": (*nets(2, 17), *("0",) * 13), "B": nets(40, 18), "Y": nets(60, 48)}
    words = Words([Cell("$mul", ports, {"A_SIGNED": 1, "B_SIGNED": 1})], [ports["Y"]])
    kinds = [cell.kind for cell in split(words, XCUP.multiplier).cells]
    assert kinds == ["$mul", "$add"]
