# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What hardware takes, in units that every target description can price.

Implementations of a layer are many, and have parts in common: what those cost is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Cost:
    """Primitives of an implementation; costs of parts add up.

    Attributes
    ----------
    products : widths of the operands (a, b) of every multiplier
    memories : (width, depth) of every memory that is written
    adders : bits of all other adders, comparators and multiplexers
    registers : bits of registers outside of memories
    roms : (width, depth) of every memory with fixed words
    """

    products: tuple[tuple[int, int], ...] = ()
    memories: tuple[tuple[int, int], ...] = ()
    adders: int = 0
    registers: int = 0
    roms: tuple[tuple[int, int], ...] = ()

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.products + other.products,
            self.memories + other.memories,
            self.adders + other.adders,
            self.registers + other.registers,
            self.roms + other.roms,
        )


SHALLOW_FIFO = 32
"""Deepest FIFO in registers or distributed memory; deeper ones suit block memory."""


def select_bits(width: int, ways: int) -> int:
    """Adder bits (see :class:`Cost`) of a multiplexer of ``ways`` words of ``width`` bits.

    A look-up table with six inputs selects one bit of four.
    """
    return width * -(-(ways - 1) // 3)


@lru_cache(maxsize=1 << 12)
def counter_cost(values: int) -> Cost:
    """A counter of ``values`` values that wraps around: increment, register, and a comparison where
    it does not wrap by itself.
    """
    bits = (values - 1).bit_length()
    return Cost(adders=bits if values == 1 << bits else 2 * bits, registers=bits)


def ram_cost(width: int, depth: int) -> Cost:
    """A :class:`~midwire.hw.datapath.rom.Ram`: a memory of two banks, the word that was read, and
    where the next one that is written goes.
    """
    memory = width, banked_depth(depth)
    return counter_cost(depth) + Cost(memories=(memory,), registers=width)


def banked_depth(depth: int) -> int:
    """Words of a memory with two banks of ``depth`` words, the highest address bit being the bank:
    the first bank is filled up to a power of two.
    """
    return (1 << (depth - 1).bit_length()) + depth


def fifo_cost(width: int, depth: int) -> Cost:
    """A :class:`~midwire.hw.datapath.stream.Fifo` of ``depth`` words of ``width`` bits."""
    level = counter_cost(depth + 1)
    if depth == 1:
        return level + Cost(registers=width)
    pointers = counter_cost(depth) + counter_cost(depth)
    # A deep memory is read a cycle ahead, so a word that is just being written goes around it.
    around = width if depth > SHALLOW_FIFO else 0
    return level + pointers + Cost(memories=((width, depth),), adders=around, registers=around)


@lru_cache(maxsize=1 << 12)
def outlet_cost(width: int, depth: int) -> Cost:
    """A :class:`~midwire.hw.datapath.stream.Outlet`: a FIFO and its credits."""
    return fifo_cost(width, depth) + counter_cost(depth + 1)
