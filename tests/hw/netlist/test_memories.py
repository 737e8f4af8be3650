# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where memories go: what Yosys 0.70 did with them, and what it says that they cost."""

from __future__ import annotations

import pytest

from midwire.hw.netlist.fabrics import ECP5, XC7, XCUP
from midwire.hw.netlist.memories import Memory


def test_costs_are_those_that_yosys_names() -> None:
    """Of ``memory_libmap``, with its debug messages."""
    assert ECP5.memories.place(Memory(9, 3, clocked=False)).cost == 14
    assert ECP5.memories.place(Memory(8, 192)).cost == 142


@pytest.mark.parametrize(
    ("width", "depth", "blocks", "luts"),
    [(8, 192, 1, 0), (8, 144, 0, 108), (16, 48, 0, 72), (16, 192, 1, 0), (64, 24, 0, 192)],
)
def test_on_ecp5(width: int, depth: int, blocks: int, luts: int) -> None:
    placed = ECP5.memories.place(Memory(width, depth))
    assert (placed.blocks, placed.luts) == (blocks, luts)


def test_parts_behind_each_other() -> None:
    """A unit of ecp5 has 16 words; of the others, 64 where words are narrow."""
    assert ECP5.memories.place(Memory(8, 48)).rows == 3
    assert XC7.memories.place(Memory(3, 64)).rows == 1
    assert XCUP.memories.place(Memory(7, 64)).rows == 1


def test_what_is_read_without_a_clock_is_never_in_blocks() -> None:
    assert XC7.memories.place(Memory(32, 4096, clocked=False)).blocks == 0
    assert XC7.memories.place(Memory(32, 4096)).blocks == 8


def test_logic_around_blocks_gives_the_word_wanted() -> None:
    """Blocks of ecp5 give no word that is right at all; the others the old one."""
    assert ECP5.memories.place(Memory(36, 512)).emulated
    assert not XC7.memories.place(Memory(36, 512)).emulated
    assert XC7.memories.place(Memory(36, 512, through=True)).emulated


def test_fixed_words_stay_in_logic_while_they_are_few() -> None:
    assert ECP5.memories.place_fixed((8, 144)) is None
    assert XCUP.memories.place_fixed((128, 60)) is None
    placed = ECP5.memories.place_fixed((36, 512))
    assert placed is not None and placed.blocks == 1
