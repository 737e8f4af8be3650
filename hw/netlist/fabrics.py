# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the logic, multipliers and memories of a family are made of, as Yosys's scripts use them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .memories import Memories
from .multipliers import Multiplier


@dataclass(frozen=True)
class Fabric:
    """Logic of a family.

    Attributes
    ----------
    inputs : of a look-up table
    carry_least : bits of the narrowest adder that goes into a carry chain
    pair : whether a carry cell is two tables, whatever is in front of it; otherwise a bit of a
        chain is the table in front of it
    compared : bits of two words that one step of a carry chain compares
    wide : signals up to which dedicated multiplexers join tables
    rom_bits : bits that a table stands for in logic of many fixed words
    idle_bits : the same of fewer words, whose address stands in registers
    multiplier, memories : the hard ones
    """

    inputs: int
    carry_least: int
    pair: bool
    compared: int
    wide: int
    rom_bits: float
    idle_bits: float
    multiplier: Multiplier
    memories: Memories


_BLOCKS = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))

XCUP = Fabric(
    # CARRY4, as Yosys's maps of sums and comparisons use it.
    inputs=6,
    carry_least=3,
    pair=False,
    compared=3,
    wide=8,
    rom_bits=13.0,
    idle_bits=13.0,
    multiplier=Multiplier(wide=27, narrow=18, part=18, factor=2, product=9, signed=True),
    memories=Memories(
        blocks=_BLOCKS,
        block_cost=129,
        units=((14, 32), (7, 64)),
        unit_cost=16,
        unit_used=1.0,
        unit_luts=8,
        fixed_cost=1 / 64,
        old_words=True,
    ),
)

XC7 = replace(
    XCUP,
    # A DSP48E1 has its neighbours taken in, which Yosys does not do for a DSP48E2.
    multiplier=replace(XCUP.multiplier, wide=25, absorbs=48),
    memories=replace(
        XCUP.memories, units=((6, 32), (3, 64)), unit_cost=8, unit_used=7 / 8, unit_luts=4
    ),
)

ECP5 = Fabric(
    # CCU2C; Yosys's arith_map_ccu2c.v leaves sums of up to 4 bits to tables.
    inputs=4,
    carry_least=5,
    pair=True,
    compared=1,
    wide=7,
    rom_bits=6.0,
    idle_bits=8.9,
    multiplier=Multiplier(wide=18, narrow=18, part=18, factor=2, product=0, signed=False),
    memories=Memories(
        blocks=_BLOCKS,
        block_cost=128,
        units=((4, 16),),
        unit_cost=4,
        unit_used=0.0,
        unit_luts=6,
        fixed_cost=1 / 16,
        old_words=False,
    ),
)

FABRICS = {"xcup": XCUP, "xc7": XC7, "ecp5": ECP5}
"""Fabrics by the names of their families."""
