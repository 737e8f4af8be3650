# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Primitives that a netlist of words comes to on a fabric, up to what memories are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .cover import Logic, Passing
from .fixed import REGISTERS, Table, columns, functions, without_copies
from .live import only_live
from .multipliers import Taken
from .sums import ADDERS, Sum, extended, sums_of, trimmed
from .words import Bit, Cell, Word, Words


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
    tile : bits of the wider factor of a hard multiplier; wider ones are added up
    factor, product : fewest bits of a factor and of a product that a hard multiplier makes
    absorbs : bits of a sum that a multiplier takes in, with the registers around it; 0 if none
    """

    inputs: int
    carry_least: int
    pair: bool
    compared: int
    wide: int
    factor: int
    product: int
    tile: int
    absorbs: int


_LUT6 = Fabric(
    inputs=6,
    carry_least=3,
    pair=False,
    compared=3,
    wide=8,
    tile=25,
    factor=2,
    product=9,
    absorbs=0,
)

FABRICS = {
    # CCU2C; Yosys's arith_map_ccu2c.v leaves sums of up to 4 bits to tables.
    "lut4": Fabric(
        inputs=4,
        carry_least=5,
        pair=True,
        compared=1,
        wide=7,
        tile=18,
        factor=2,
        product=0,
        absorbs=0,
    ),
    # CARRY4, as xilinx/arith_map.v and cmp2lcu.v use it.
    "lut6": _LUT6,
    # The same; a DSP48E1 has its neighbours taken in, which Yosys does not do for a DSP48E2.
    "lut6_dsp48": replace(_LUT6, absorbs=48),
}


FEW_ROWS, FEW_BITS = 32, 4096
"""Fixed words up to which logic is what their functions need. Of more, ABC shares functions of
three address bits between columns, each of which then needs more tables to choose among them.
"""


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
    clocked: bool
    through: bool


@dataclass
class Structure:
    """What there is.

    Attributes
    ----------
    tables : look-up tables of logic and carry chains
    registers : flip-flops
    products : widths of the factors of every product that a hard multiplier takes
    memories : those that are written
    roms : width and depth of those that are not
    """

    tables: int = 0
    registers: int = 0
    products: list[tuple[int, int]] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    roms: list[tuple[int, int]] = field(default_factory=list)


def structure_of(
    words: Words,
    fabric: Fabric,
    images: Mapping[str, str],
    logic: Callable[[int, int], bool],
    rom_bits: float,
) -> Structure:
    """The structure of a module on a fabric.

    Parameters
    ----------
    images : texts of memory images, by the names of files in the netlist
    logic : whether fixed words of a width and a depth go into logic
    rom_bits : bits that a table stands for there, where there are many
    """
    tables = {}
    for index, cell in enumerate(words.cells):
        found = columns(cell, images)
        if found and (cell.kind != "mw_rom" or logic(len(found), len(found[0]))):
            tables[index] = found
    kept = without_copies(words, tables)
    # Fixed words in logic are found by their outputs from here on.
    fixed = {id_of(words.cells[index]): found for index, found in tables.items()}
    return _Mapping(only_live(kept), fabric, fixed, rom_bits).found


class _Mapping:
    """Goes over the cells once; what is left is functions of bits."""

    def __init__(
        self,
        words: Words,
        fabric: Fabric,
        tables: Mapping[Word, Sequence[Table]],
        rom_bits: float,
    ) -> None:
        self.words, self.fabric = words, fabric
        self.found = Structure()
        self.logic = Logic()
        self._rom_bits = rom_bits
        self._chains: set[tuple[Word, Word]] = set()
        products = {k: cell for k, cell in enumerate(words.cells) if is_hard(cell, fabric)}
        taken = Taken(words, products, fabric.absorbs).cells if fabric.absorbs else set()
        for index in taken:
            self._box(words.cells[index])
        left = [cell for k, cell in enumerate(words.cells) if k not in taken]
        adders = [cell for cell in left if cell.kind in ADDERS]
        for each in sums_of(words, adders):
            self._sum(trimmed(each))
        for cell in left:
            if id_of(cell) in tables:
                self._fixed(cell, tables[id_of(cell)])
            elif cell.kind not in ADDERS:
                rule = _RULES.get(cell.kind)
                if rule is None:
                    self._box(cell)
                else:
                    rule(self, cell)
        for word in words.outputs:
            self.logic.end(word)
        self.found.tables += self.logic.tables(fabric.inputs)

    def _box(self, cell: Cell) -> None:
        """A cell that reads and drives nets."""
        for port, word in cell.ports.items():
            if port not in ("Y", "Q", "RD_DATA", "data"):
                self.logic.end(word)

    # Sums.

    def _sum(self, each: Sum) -> None:
        width = len(each.y)
        rows: list[list[object]] = [list(extended(term, width)) for term in each.terms]
        self._add(rows, each.y)

    def _add(self, rows: list[list[object]], y: Word) -> None:
        """The sum of rows of bits: full adders make two rows of three, a carry chain one of two.

        Tables of six signals hold two full adders behind each other, so that the sum between them
        is in none of its own.
        """
        passing = False
        while len(rows) > 2:
            passing = not passing and self.fabric.inputs >= 6
            a, b, c, *rest = rows
            total, carry = self._full_adders(a, b, c, passing)
            rows = [total, *rest, ["0", *carry[:-1]]]
        if len(rows) == 1:
            rows.append(["0"] * len(y))
        self._chain(rows[0], rows[1], y)

    def _full_adders(
        self, a: Sequence[object], b: Sequence[object], c: Sequence[object], passing: bool
    ) -> tuple[list[object], list[object]]:
        total, carry = [], []
        seen: dict[tuple[object, ...], tuple[object, object]] = {}
        for bits in zip(a, b, c, strict=True):
            if bits not in seen:
                real = [bit for bit in bits if not isinstance(bit, str)]
                if len(real) > 1:
                    one = Passing(tuple(real)) if passing else self.logic.function(real)
                    seen[bits] = one, self.logic.function(real)
                else:
                    seen[bits] = (real[0] if real else "0", "0")
            one, two = seen[bits]
            total.append(one)
            carry.append(two)
        return total, carry

    def _chain(self, a: Sequence[object], b: Sequence[object], y: Word) -> None:
        """The sum of two words."""
        width = len(y)
        if width < self.fabric.carry_least:
            carry: object = "0"
            for x, z, out in zip(a, b, y, strict=True):
                self.logic.function((x, z, carry), out)
                carry = self.logic.function((x, z, carry))
            return
        if self.fabric.pair:
            self.logic.end((*a, *b))
            self.found.tables += 2 * -(-width // 2)
        else:
            for x, z in zip(a, b, strict=True):
                if isinstance(x, str) or isinstance(z, str):
                    self.logic.end([x, z])
                else:
                    # The table in front of the chain reads both; the chain itself one of them.
                    self.logic.end([self.logic.function((x, z)), z])

    # Products.

    def product(self, cell: Cell) -> None:
        a, b, y = (cell.ports[port] for port in "ABY")
        if not is_hard(cell, self.fabric):
            self._soft_product(a, b, y)
            return
        self._box(cell)
        self.found.products.append((len(a), len(b)))
        if max(len(a), len(b)) > self.fabric.tile and self.fabric.pair:
            self.found.tables += 2 * -(-(len(y) - self.fabric.tile) // 2)

    def _soft_product(self, a: Word, b: Word, y: Word) -> None:
        """Partial products, added up."""
        narrow, wide = sorted((a, b), key=len)
        rows: list[list[object]] = []
        for k, bit in enumerate(narrow):
            row: list[object] = ["0"] * k
            row += [self.logic.function((bit, each)) for each in wide]
            rows.append((row + [row[-1]] * len(y))[: len(y)])
        self._add(rows, y)

    # Functions.

    def bitwise(self, cell: Cell) -> None:
        y = cell.ports["Y"]
        operands = [cell.word(port, len(y)) for port in "AB" if port in cell.ports]
        for out, *read in zip(y, *operands, strict=True):
            self.logic.function(read, out)

    def reduced(self, cell: Cell) -> None:
        self.logic.tree(cell.ports["A"], cell.ports["Y"][0])

    def both(self, cell: Cell) -> None:
        parts = [self.logic.tree(cell.ports[port]) for port in "AB"]
        self.logic.function(parts, cell.ports["Y"][0])

    def equal(self, cell: Cell) -> None:
        width = max(len(cell.ports["A"]), len(cell.ports["B"]))
        pairs = zip(cell.word("A", width), cell.word("B", width), strict=True)
        self.logic.tree(
            [self.logic.function(pair) if _real(pair) > 1 else _only(pair) for pair in pairs],
            cell.ports["Y"][0],
        )

    def ordered(self, cell: Cell) -> None:
        width = max(len(cell.ports["A"]), len(cell.ports["B"]))
        a, b = cell.word("A", width), cell.word("B", width)
        out = cell.ports["Y"][0]
        read = {bit for bit in (*a, *b) if not isinstance(bit, str)}
        constant = not any(isinstance(bit, int) for bit in a) or not any(
            isinstance(bit, int) for bit in b
        )
        if constant and len(read) <= self.fabric.inputs:
            self.logic.function(read, out)
        elif width < self.fabric.carry_least:
            carry: object = "0"
            for x, z in zip(a[:-1], b[:-1], strict=True):
                carry = self.logic.function((x, z, carry))
            self.logic.function((a[-1], b[-1], carry), out)
        elif self.fabric.pair:
            self._compared_in_pairs(a, b, out)
        elif constant and width <= 2 * self.fabric.inputs - 1:
            low = self.fabric.inputs
            part = self.logic.tree((*a[:low], *b[:low]), key=("below", a[:low], b[:low]))
            self.logic.tree((*a[low:], *b[low:], part), out)
        else:
            step = self.fabric.inputs if constant else self.fabric.compared
            for k in range(0, width, step):
                part = (*a[k : k + step], *b[k : k + step])
                for what in ("equal", "below"):
                    self.logic.end([self.logic.tree(part, key=(what, part))])

    def _compared_in_pairs(self, a: Word, b: Word, out: Bit) -> None:
        """A carry chain of which only the last carry is read. Chains of equal words have their
        beginning in common, as those that compare one word with many constants.
        """
        self.logic.end((*a, *b))
        last = -(-len(a) // 2) - 1
        begins = {(a[: 2 * k], b[: 2 * k]) for k in range(1, last + 1)}
        self.found.tables += 2 * len(begins - self._chains)
        self._chains |= begins
        carry = ("carry", a[: 2 * last], b[: 2 * last])
        self.logic.tree((*a[2 * last :], *b[2 * last :], carry), out)

    def multiplexer(self, cell: Cell) -> None:
        (which,) = cell.ports["S"]
        for x, z, out in zip(*(cell.ports[port] for port in "ABY"), strict=True):
            self.logic.function((which, x, z), out)

    def one_of_many(self, cell: Cell) -> None:
        a, b, s, y = (cell.ports[port] for port in "ABSY")
        for k, out in enumerate(y):
            chosen: list[object] = []
            for n, which in enumerate(s):
                bit = b[n * len(y) + k]
                if bit == "1":
                    chosen.append(which)
                elif not isinstance(bit, str):
                    chosen.append(self.logic.function((which, bit)))
            if not isinstance(a[k], str):
                chosen.append(self.logic.function((a[k], self.logic.tree(s))))
            self.logic.tree(chosen, out)

    def shifted(self, cell: Cell) -> None:
        """A barrel of multiplexers, of which only what is read later is left."""
        a, b, y = (cell.ports[port] for port in "ABY")
        left = cell.kind in ("$shl", "$sshl")
        top: Bit = a[-1] if cell.kind == "$sshr" and cell.numbers.get("A_SIGNED") else "0"
        memo: dict[tuple[int, int], object] = {}

        def bit(level: int, place: int) -> object:
            """What is at a place once the lowest ``level`` bits of B have shifted."""
            if level == 0:
                if 0 <= place < len(a):
                    return a[place]
                return "0" if place < 0 else top
            if (level, place) not in memo:
                which = b[level - 1]
                step = -(1 << level - 1) if left else 1 << level - 1
                if isinstance(which, str):
                    memo[level, place] = bit(level - 1, place + (step if which == "1" else 0))
                elif not -len(y) <= place < len(a) + len(y):
                    return "0" if place < 0 else top
                else:
                    here, there = bit(level - 1, place), bit(level - 1, place + step)
                    memo[level, place] = (
                        here if here == there else self.logic.function((which, here, there))
                    )
            return memo[level, place]

        for place, out in enumerate(y):
            self.logic.function((bit(len(b), place),), out)

    # Memories.

    def register(self, cell: Cell) -> None:
        self._box(cell)
        self.found.registers += len(cell.ports["Q"])

    def memory(self, cell: Cell) -> None:
        self._box(cell)
        clocked = bool(cell.numbers.get("RD_CLK_ENABLE", 0))
        through = bool(cell.numbers.get("RD_TRANSPARENCY_MASK", 0))
        self.found.memories.append(
            Memory(cell.numbers["WIDTH"], cell.numbers["SIZE"], clocked, through)
        )

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
        if rows > FEW_ROWS and len(varying) * rows > FEW_BITS:
            self.logic.end(address)
            self.found.tables += round(len(varying) * rows / self._rom_bits)
            return
        for column, net in varying:
            made = functions(self.logic, column, address, self.fabric.inputs, self.fabric.wide)
            if clocked:
                self.logic.end([made])
            else:
                self.logic.function((made,), net)

    def rom(self, cell: Cell) -> None:
        self._box(cell)
        self.found.roms.append((cell.numbers["WIDTH"], cell.numbers["DEPTH"]))

    def ram(self, cell: Cell) -> None:
        self._box(cell)
        self.found.memories.append(
            Memory(cell.numbers["WIDTH"], cell.numbers["DEPTH"], True, False)
        )


def id_of(cell: Cell) -> Word:
    """The first net that a memory drives: a name for it that stays."""
    return cell.ports.get("data", cell.ports.get("RD_DATA", ()))[:1]


def is_hard(cell: Cell, fabric: Fabric) -> bool:
    """Whether a cell is a product that a hard multiplier makes."""
    if cell.kind != "$mul":
        return False
    a, b, y = (len(cell.ports[port]) for port in "ABY")
    return min(a, b) >= fabric.factor and y >= fabric.product


def _real(bits: Sequence[Bit]) -> int:
    return sum(not isinstance(bit, str) for bit in bits)


def _only(bits: Sequence[Bit]) -> Bit:
    return next((bit for bit in bits if not isinstance(bit, str)), "0")


_Rule = Callable[[_Mapping, Cell], None]

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("$and", "$or", "$xor", "$xnor", "$not", "$pos"), _Mapping.bitwise),
    **dict.fromkeys(
        ("$reduce_and", "$reduce_or", "$reduce_xor", "$reduce_bool", "$logic_not"),
        _Mapping.reduced,
    ),
    **dict.fromkeys(("$logic_and", "$logic_or"), _Mapping.both),
    **dict.fromkeys(("$eq", "$ne", "$eqx", "$nex"), _Mapping.equal),
    **dict.fromkeys(("$lt", "$le", "$gt", "$ge"), _Mapping.ordered),
    **dict.fromkeys(("$shl", "$sshl", "$shr", "$sshr", "$shift", "$shiftx"), _Mapping.shifted),
    **dict.fromkeys(REGISTERS, _Mapping.register),
    "$mux": _Mapping.multiplexer,
    "$pmux": _Mapping.one_of_many,
    "$mul": _Mapping.product,
    "$mem_v2": _Mapping.memory,
    "mw_rom": _Mapping.rom,
    "mw_ram": _Mapping.ram,
}
