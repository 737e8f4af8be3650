# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Primitives that a netlist of words comes to on a fabric, up to what memories are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from .fabrics import Fabric
from .fixed import REGISTERS, Table, columns, functions, without_copies
from .live import only_live
from .memories import Memory
from .multipliers import Taken, split
from .resets import with_resets
from .techmap import KINDS, Techmap
from .words import Cell, Word, Words

FEW_ROWS, FEW_BITS = 32, 8192
"""Fixed words up to which logic is what their functions need. Of more, ABC shares functions of
three address bits between columns, each of which then needs more tables to choose among them; of
any number of bits where the address stands in registers, as that of weights does: then slower paths
leave time for it.
"""


@dataclass
class Structure:
    """What there is.

    Attributes
    ----------
    tables : look-up tables of logic and carry chains
    memory_tables : those that memories are made of
    registers : flip-flops
    products : hard multipliers
    blocks : block memories of 18 kbit
    """

    tables: int = 0
    memory_tables: int = 0
    registers: int = 0
    products: int = 0
    blocks: int = 0


def structure_of(words: Words, fabric: Fabric, images: Mapping[str, str]) -> Structure:
    """The structure of a module on a fabric.

    Parameters
    ----------
    images : texts of memory images, by the names of files in the netlist
    """
    words = with_resets(words)
    tables = {}
    for index, cell in enumerate(words.cells):
        if not _in_blocks(cell, fabric) and (found := columns(cell, images)):
            tables[index] = found
    kept = without_copies(words, tables)
    # Fixed words in logic are found by their outputs from here on.
    fixed = {id_of(words.cells[index]): found for index, found in tables.items()}
    live = only_live(kept, partial(_part, fabric=fabric))
    return _Mapping(split(live, fabric.multiplier), fabric, fixed).found


def images_of(words: Words, fabric: Fabric) -> list[str]:
    """The memory images that a structure depends on: of block memories only the size counts."""
    roms = [cell for cell in words.cells if cell.kind == "mw_rom"]
    return [cell.texts["FILE"].strip() for cell in roms if not _in_blocks(cell, fabric)]


def _part(cell: Cell, fabric: Fabric) -> int:
    """Bits of a part of a memory that is written; 0 of other cells."""
    memory = Memory.of(cell)
    return fabric.memories.place(memory).bits if memory else 0


def _in_blocks(cell: Cell, fabric: Fabric) -> bool:
    """Whether it is a memory of fixed words that goes into block memories."""
    if cell.kind != "mw_rom":
        return False
    shape = cell.numbers["WIDTH"], cell.numbers["DEPTH"]
    return fabric.memories.place_fixed(shape) is not None


class _Mapping:
    """Puts each cell where it goes: multipliers, memories and registers; the rest is logic."""

    def __init__(
        self,
        words: Words,
        fabric: Fabric,
        tables: Mapping[Word, Sequence[Table]],
    ) -> None:
        self.words, self.fabric = words, fabric
        self.found = Structure()
        self._held = {
            bit for cell in words.cells if cell.kind in REGISTERS for bit in cell.ports["Q"]
        }
        products = {k: cell for k, cell in enumerate(words.cells) if is_hard(cell, fabric)}
        taken = Taken(
            words, products if fabric.multiplier.absorbs else {}, fabric.multiplier.absorbs
        )
        self._absorbed = taken.registers
        techmap = Techmap(words, fabric)
        self.logic = techmap.logic
        logic = []
        for k, cell in enumerate(words.cells):
            if k in taken.cells:
                self._box(cell)
            elif id_of(cell) in tables:
                self._fixed(cell, tables[id_of(cell)])
            elif k in products:
                self._box(cell)
                self.found.products += 1
            elif cell.kind in KINDS:
                logic.append(cell)
            else:
                _RULES.get(cell.kind, _Mapping._box)(self, cell)
        techmap.add(logic)
        for word in words.outputs:
            self.logic.end(word)
        self.found.tables += techmap.tables()

    def _box(self, cell: Cell) -> None:
        """A cell that reads and drives nets."""
        for port, word in cell.ports.items():
            if port not in ("Y", "Q", "RD_DATA", "data"):
                self.logic.end(word)

    def register(self, cell: Cell) -> None:
        self._box(cell)
        self.found.registers += sum(bit not in self._absorbed for bit in cell.ports["Q"])

    def memory(self, cell: Cell) -> None:
        self._box(cell)
        memory = Memory.of(cell)
        if memory is None:
            return
        ports = cell.ports
        names = ("RD_ADDR", "RD_DATA", "WR_ADDR", "WR_EN")
        if cell.kind == "mw_ram":
            names = ("addr", "data", "write_addr", "write")
        self._placed(memory, *(ports[name] for name in names))

    def _placed(
        self, memory: Memory, address: Word, data: Word, written: Word, enable: Word
    ) -> None:
        """A memory, the multiplexers between its parts, and what gives the right word where one is
        read while it is written: then registers keep what is written, and a comparison of addresses
        chooses.
        """
        placed = self.fabric.memories.place(memory)
        self.found.blocks += placed.blocks
        self.found.memory_tables += placed.luts
        low = (placed.words - 1).bit_length()
        if placed.rows > 1:
            for row in range(placed.rows):
                self.logic.end([self.logic.function((*written[low:], enable[0]), key=(data, row))])
        for k, net in enumerate(data):
            parts: list[object] = [("part", data, row, k) for row in range(placed.rows)]
            for bit in address[low:]:
                parts = [
                    self.logic.function((bit, *parts[n : n + 2])) for n in range(0, len(parts), 2)
                ]
            if memory.clocked and not placed.blocks:
                self.logic.end(parts)
            else:
                self.logic.function(parts, net)
        if memory.clocked and not placed.blocks:
            self.found.registers += sum(self.words.users[net] > 0 for net in data)
        elif placed.blocks:
            self.found.registers += len(address[low:])
        if placed.emulated:
            around = memory.width + 1
            # Where the old word is wanted, what is written waits for a cycle, with its address.
            waits = 0 if memory.through else memory.width + len(address) + 1
            self.found.registers += around + waits
            self.found.tables += around + -(-len(address) // 2)

    def _fixed(self, cell: Cell, found: Sequence[Table]) -> None:
        """Fixed words in logic, with a register behind them if they are clocked."""
        clocked = cell.kind == "mw_rom"
        address = cell.ports["addr" if clocked else "RD_ADDR"]
        nets = cell.ports["data" if clocked else "RD_DATA"]
        varying = [
            (column, net)
            for column, net in zip(found, nets, strict=False)
            if len(set(column) - {"x"}) > 1 and self.words.users[net]
        ]
        if clocked:
            self.found.registers += len(varying)
        rows = len(found[0])
        many, idle = len(varying) * rows > FEW_BITS, self._held.issuperset(address)
        if rows > FEW_ROWS and (many or idle):
            self.logic.end(address)
            per_table = self.fabric.rom_bits if many else self.fabric.idle_bits
            self.found.tables += round(len(varying) * rows / per_table)
            return
        for column, net in varying:
            made = functions(self.logic, column, address, self.fabric.inputs, self.fabric.wide)
            if clocked:
                self.logic.end([made])
            else:
                self.logic.function((made,), net)

    def rom(self, cell: Cell) -> None:
        """Fixed words in block memories."""
        self._box(cell)
        placed = self.fabric.memories.place_fixed((cell.numbers["WIDTH"], cell.numbers["DEPTH"]))
        self.found.blocks += placed.blocks if placed else 0


def id_of(cell: Cell) -> Word:
    """The first net that a memory drives: a name for it that stays."""
    return cell.ports.get("data", cell.ports.get("RD_DATA", ()))[:1]


def is_hard(cell: Cell, fabric: Fabric) -> bool:
    """Whether a cell is a product that a hard multiplier makes."""
    if cell.kind != "$mul":
        return False
    return fabric.multiplier.makes(*(len(cell.ports[port]) for port in "ABY"))


_Rule = Callable[[_Mapping, Cell], None]

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(REGISTERS, _Mapping.register),
    "$mem_v2": _Mapping.memory,
    "mw_rom": _Mapping.rom,
    "mw_ram": _Mapping.memory,
}
