# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from midwire.hw.datapath.rom import Ram, Rom
from midwire.hw.timing.cost import banked_depth, ram_cost


def test_sizes() -> None:
    rom = Rom(8, 5, "a.hex")
    assert (rom.width, rom.depth, rom.file) == (8, 5, "a.hex")
    assert len(rom.addr) == 3


def test_messages() -> None:
    with pytest.raises(ValueError, match="file must be a plain file name"):
        Rom(8, 4, "a/b.hex")
    with pytest.raises(ValueError, match="a memory needs width and depth of at least 1, not 8 x 0"):
        Rom(8, 0, "b.hex")


def test_two_banks_are_one_memory_with_an_address_bit_more() -> None:
    """The first bank is filled up to a power of two, so the bank is the highest bit."""
    assert [banked_depth(depth) for depth in (1, 2, 3, 5, 8)] == [2, 4, 7, 13, 16]
    assert ram_cost(8, 5).memories == ((8, 13),)
    ram = Ram(8, 5, "a.hex")
    assert (ram.depth, len(ram.addr), len(ram.weight_bank)) == (5, 3, 1)
