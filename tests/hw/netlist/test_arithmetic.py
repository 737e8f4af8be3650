# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables of sums, products and comparisons, counted by hand or by Yosys."""

from __future__ import annotations

from midwire.hw.netlist.fabrics import ECP5, XCUP
from midwire.hw.netlist.structure import structure_of
from midwire.hw.netlist.words import Cell, Word, Words

from .test_structure import constant, nets, tables_of


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


def test_low_zeros_of_what_is_subtracted_make_no_carries() -> None:
    """Yosys 0.70 counts four carry cells on ecp5 for a word of 12 bits from which 96 is taken."""
    ports = {"A": nets(2, 12), "B": constant(96, 12), "Y": nets(40, 12)}
    words = Words([Cell("$sub", ports, {})], [ports["Y"]])
    assert structure_of(words, ECP5, {}).tables == 2 * 4


SUMS = {3: 16, 4: 26, 5: 44, 8: 85}
PRODUCTS = {(4, 4): 26, (5, 4): 31, (5, 3): 21}
"""Tables that Yosys 0.70 counts on xcup: of sums of words of 8 bits, by how many; and of products
that no multiplier makes, by the bits of the factors.
"""


def test_sums_of_many_words() -> None:
    """Within a fourteenth."""
    for count, tables in SUMS.items():
        terms = [nets(100 * k, 8) for k in range(1, count + 1)]
        total, cells = terms[0], []
        for k, term in enumerate(terms[1:]):
            y = nets(2000 + 100 * k, 8 + (count - 1).bit_length())
            signed = {"A_SIGNED": 1, "B_SIGNED": 1}
            cells.append(Cell("$add", {"A": total, "B": term, "Y": y}, signed))
            total = y
        found = structure_of(Words(cells, [total]), XCUP, {}).tables
        assert abs(found - tables) <= tables / 14, (count, found)


def test_products_that_no_multiplier_makes() -> None:
    """Within a tenth, or three."""
    for (a, b), tables in PRODUCTS.items():
        ports = {"A": nets(2, a), "B": nets(20, b), "Y": nets(40, 8)}
        cell = Cell("$mul", ports, {"A_SIGNED": 1, "B_SIGNED": 1})
        found = structure_of(Words([cell], [ports["Y"]]), XCUP, {}).tables
        assert abs(found - tables) <= max(3, tables / 10), (a, b, found)


def joined_bits(signed: int) -> int:
    """Tables of a conjunction of four bits, added to a word that is shifted by four."""
    low = [Cell("$and", {"A": (k,), "B": (k + 10,), "Y": (k + 20,)}, {}) for k in range(2, 6)]
    ports = {"A": nets(22, 4), "B": (*constant(0, 4), *nets(40, 8)), "Y": nets(60, 12)}
    add = Cell("$add", ports, {"A_SIGNED": signed, "B_SIGNED": signed})
    return tables_of(*low, add, output=nets(60, 12))


def test_bits_of_one_word_are_not_added() -> None:
    """Of words that do not overlap there is no sum, but a sign reaches into all higher bits."""
    assert joined_bits(0) == 4
    assert joined_bits(1) == 4 + 8


def taken(kind: str, left: Word, right: Word) -> int:
    """Tables of a sum or difference with a word of 8 bits that is chosen by another bit."""
    choice = Cell("$mux", {"A": nets(2, 8), "B": nets(10, 8), "S": (1,), "Y": nets(20, 8)}, {})
    sum_ = Cell(kind, {"A": left, "B": right, "Y": nets(40, 8)}, {})
    return tables_of(choice, sum_, output=nets(40, 8))


def test_of_what_is_added_a_register_goes_into_the_chain() -> None:
    """The other word is computed in front of it. Of a difference, it is the first word: Yosys 0.70
    counts 8, 8, 9 and 17 on xcup, with the carry that begins it.
    """
    chosen, held = nets(20, 8), nets(30, 8)
    assert taken("$add", chosen, held) == taken("$add", held, chosen) == 8
    assert taken("$sub", held, chosen) == 8
    assert taken("$sub", chosen, held) == 16


def rest(chosen: bool) -> int:
    """Tables of a step of a division: whether 12 bits are at least others, and their difference."""
    x = nets(60, 12)
    choice = Cell("$mux", {"A": nets(2, 12), "B": nets(20, 12), "S": (1,), "Y": x}, {})
    fits = Cell("$ge", {"A": x, "B": nets(80, 12), "Y": (120,)}, {})
    less = Cell("$sub", {"A": x, "B": nets(80, 12), "Y": nets(100, 12)}, {})
    cells = [choice, fits, less] if chosen else [fits, less]
    return structure_of(Words(cells, [(120,), nets(100, 12)]), XCUP, {}).tables


def test_a_comparison_takes_from_a_difference_which_bits_differ() -> None:
    """As Yosys 0.70 counts it."""
    assert rest(chosen=False) == 12 + 8
    assert rest(chosen=True) == 12 + 12 + 8


def rounded(bit: int) -> int:
    """Tables of 10 bits less one that is set if another one is, and a tie."""
    x = nets(2, 10)
    odd = Cell("$and", {"A": (bit,), "B": (30,), "Y": (31,)}, {})
    less = Cell("$sub", {"A": x, "B": (31, "0"), "Y": nets(40, 10)}, {})
    return structure_of(Words([odd, less], [nets(40, 10)]), ECP5, {}).tables


def test_an_odd_number_less_one_borrows_nothing() -> None:
    assert rounded(2) == 1
    assert rounded(3) == 10 + 1


def test_a_bit_more_is_what_a_chain_begins_with() -> None:
    """A word, a constant, and a bit: no table in front of the chain of xcup reads two nets."""
    signed = {"A_SIGNED": 1, "B_SIGNED": 1}
    first = {"A": nets(2, 16), "B": (9, "0"), "Y": nets(40, 18)}
    then = {"A": nets(40, 18), "B": constant(127, 18), "Y": nets(60, 18)}
    cells = Cell("$add", first, signed), Cell("$add", then, signed)
    assert tables_of(*cells, output=nets(60, 18)) == 0
