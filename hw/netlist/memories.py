# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where memories go: into block memories, into LUTs, or, of fixed words, into logic.

Costs are those of Yosys's pass ``memory_libmap`` with its descriptions of the families
(``brams_*.txt`` and ``lutrams_*.txt``): the cheapest way wins, multiplexers between parts included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .words import Cell

Shape = tuple[int, int]
"""Bits of a word, words."""

_PER_MULTIPLEXER = 0.5
"""Cost of a multiplexer of a bit, or of a write enable, where parts stand behind each other."""

_PER_EMULATION = 2.0
"""Cost of a point of what is emulated around a memory."""

_OLD_WORDS, _NEW_WORDS = 6, 3
"""Points for giving the old, or the new, word where one is read while it is written."""


@dataclass(frozen=True)
class Memory:
    """A memory that is written.

    Attributes
    ----------
    width, depth : bits of a word, and words
    clocked : whether the word that is read is in a register
    through : whether a word that is read while it is written is the new one
    """

    width: int
    depth: int
    clocked: bool = True
    through: bool = False

    @classmethod
    def of(cls, cell: Cell) -> Memory | None:
        """That of a cell; None of others, and of fixed words."""
        numbers = cell.numbers
        if cell.kind == "mw_ram":
            return cls(numbers["WIDTH"], numbers["DEPTH"])
        if cell.kind != "$mem_v2" or not numbers["WR_PORTS"]:
            return None
        clocked, through = "RD_CLK_ENABLE", "RD_TRANSPARENCY_MASK"
        flags = (bool(numbers.get(name, 0)) for name in (clocked, through))
        return cls(numbers["WIDTH"], numbers["SIZE"], *flags)


@dataclass(frozen=True)
class Placed:
    """Where a memory is.

    Attributes
    ----------
    cost : of the synthesiser's choice
    rows : parts behind each other, which multiplexers choose from
    words, bits : words of each part, and their bits
    blocks, luts : block memories of 18 kbit, and LUTs as memory
    emulated : whether logic around a block memory gives the word where one is read while written
    """

    cost: float
    rows: int
    words: int
    bits: int
    blocks: int = 0
    luts: int = 0
    emulated: bool = False


@dataclass(frozen=True)
class Memories:
    """Memories of a family.

    Attributes
    ----------
    blocks, block_cost : shapes that a block memory of 18 kbit can take, and its cost
    units, unit_cost, unit_luts : the same of the smallest memory of LUTs, and how many these are
    unit_used : share of a unit's cost that only the bits in use take
    fixed_cost : of a bit of fixed words in logic
    old_words : whether a block memory gives the old word where one is read while it is written
    """

    blocks: tuple[Shape, ...]
    block_cost: float
    units: tuple[Shape, ...]
    unit_cost: float
    unit_used: float
    unit_luts: int
    fixed_cost: float
    old_words: bool

    def place(self, memory: Memory) -> Placed:
        """Where a memory that is written goes."""
        return _place(self, memory)

    def place_fixed(self, shape: Shape) -> Placed | None:
        """Where fixed words go; None if that is logic."""
        return _place_fixed(self, shape)

    def in_luts(self, shape: Shape) -> Placed:
        """The cheapest way to make a memory of LUTs."""
        return min(self._in_units(shape), key=_cost)

    def in_blocks(self, shape: Shape, points: int) -> Placed:
        """The same of block memories, with so many points of emulation."""
        return min(self._in_blocks(shape, points), key=_cost)

    def points(self, memory: Memory) -> int:
        """Points of emulation that it costs in block memories."""
        if memory.through:
            return _NEW_WORDS
        return 0 if self.old_words else _OLD_WORDS

    def _in_blocks(self, shape: Shape, points: int) -> Iterator[Placed]:
        for each in self.blocks:
            rows, columns = _tiled(shape, each)
            cost = rows * columns * self.block_cost + _multiplexed(shape[0], rows)
            cost += (1 + points) * _PER_EMULATION
            yield Placed(cost, rows, each[1], each[0], blocks=rows * columns, emulated=points > 0)

    def _in_units(self, shape: Shape) -> Iterator[Placed]:
        for each in self.units:
            rows, columns = _tiled(shape, each)
            used = shape[0] / each[0] * self.unit_used + columns * (1 - self.unit_used)
            cost = rows * used * self.unit_cost + _multiplexed(shape[0], rows) + _PER_EMULATION
            yield Placed(cost, rows, each[1], each[0], luts=rows * columns * self.unit_luts)


@lru_cache(maxsize=1 << 12)
def _place(memories: Memories, memory: Memory) -> Placed:
    """:meth:`Memories.place`, kept: layers, and ways to build one, have memories in common."""
    shape = memory.width, memory.depth
    in_luts = memories.in_luts(shape)
    if not memory.clocked:
        return in_luts
    return min(in_luts, memories.in_blocks(shape, memories.points(memory)), key=_cost)


@lru_cache(maxsize=1 << 12)
def _place_fixed(memories: Memories, shape: Shape) -> Placed | None:
    in_blocks = memories.in_blocks(shape, 0)
    return in_blocks if in_blocks.cost < shape[0] * shape[1] * memories.fixed_cost else None


def _cost(placed: Placed) -> float:
    return placed.cost


def _tiled(shape: Shape, tile: Shape) -> tuple[int, int]:
    """Rows and columns of tiles."""
    return -(-shape[1] // tile[1]), -(-shape[0] // tile[0])


def _multiplexed(width: int, rows: int) -> float:
    return 0.0 if rows == 1 else _PER_MULTIPLEXER * ((rows - 1) * width + rows)
