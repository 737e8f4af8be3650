# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Primitives that a netlist of words comes to on a fabric, up to what memories are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .cover import Logic
from .fabrics import Fabric
from .fixed import REGISTERS, Table, columns, functions, without_copies
from .live import only_live
from .memories import Memory
from .multipliers import Taken, split
from .sums import ADDERS, Sum, extended, sums_of, trimmed
from .words import Bit, Cell, Word, Words

FEW_CARRIES = 2
"""Steps of a carry chain up to which Yosys's maps leave it to tables."""

TURNED = {"$lt": "$gt", "$gt": "$lt", "$le": "$ge", "$ge": "$le"}
"""Comparisons with their operands exchanged."""

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
    tables = {}
    for index, cell in enumerate(words.cells):
        if not _in_blocks(cell, fabric) and (found := columns(cell, images)):
            tables[index] = found
    kept = without_copies(words, tables)
    # Fixed words in logic are found by their outputs from here on.
    fixed = {id_of(words.cells[index]): found for index, found in tables.items()}
    return _Mapping(split(only_live(kept), fabric.multiplier), fabric, fixed).found


def images_of(words: Words, fabric: Fabric) -> list[str]:
    """The memory images that a structure depends on: of block memories only the size counts."""
    roms = [cell for cell in words.cells if cell.kind == "mw_rom"]
    return [cell.texts["FILE"].strip() for cell in roms if not _in_blocks(cell, fabric)]


def _in_blocks(cell: Cell, fabric: Fabric) -> bool:
    """Whether it is a memory of fixed words that goes into block memories."""
    if cell.kind != "mw_rom":
        return False
    shape = cell.numbers["WIDTH"], cell.numbers["DEPTH"]
    return fabric.memories.place_fixed(shape) is not None


class _Mapping:
    """Goes over the cells once; what is left is functions of bits."""

    def __init__(
        self,
        words: Words,
        fabric: Fabric,
        tables: Mapping[Word, Sequence[Table]],
    ) -> None:
        self.words, self.fabric = words, fabric
        self.found = Structure()
        self.logic = Logic()
        self._held = {
            bit for cell in words.cells if cell.kind in REGISTERS for bit in cell.ports["Q"]
        }
        self._full = {cell.ports["Y"][0]: cell.ports["A"] for cell in words.cells if _is_full(cell)}
        self._following = {
            cell.ports["Y"]: cell.ports["A"]
            for cell in words.cells
            if cell.kind == "$add" and cell.word("B", len(cell.ports["Y"])) == _one(cell)
        }
        self._chains: set[frozenset[Word]] = set()
        products = {k: cell for k, cell in enumerate(words.cells) if is_hard(cell, fabric)}
        taken = Taken(
            words, products if fabric.multiplier.absorbs else {}, fabric.multiplier.absorbs
        )
        self._absorbed = taken.registers
        for index in taken.cells:
            self._box(words.cells[index])
        left = [cell for k, cell in enumerate(words.cells) if k not in taken.cells]
        adders = [cell for cell in left if cell.kind in ADDERS]
        self._differences = {
            tuple(cell.word(port, len(cell.ports["Y"])) for port in "AB")
            for cell in adders
            if cell.kind == "$sub"
        }
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
        if rows:
            self._add(rows, each.y)

    def _add(self, rows: list[list[object]], y: Word, *, held: bool = False) -> None:
        """The sum of rows of bits: full adders make two rows of three, a carry chain one of two.

        ABC could compute what is between full adders in every table that reads it, and does so by
        far less than area alone asks for: not in a product (``held``), and of a sum not the carries
        of every other level (components ``mul``, ``sum`` of ``tests/hw/netlist/test_structure.py``
        are what this was fitted to).
        """
        odd = False
        while len(rows) > 2:
            a, b, c, *rest = rows
            total, carry = self._full_adders(a, b, c)
            if held:
                self.logic.end(total)
            if held or odd:
                self.logic.end(carry)
            odd = not odd
            rows = [total, *rest, ["0", *carry[:-1]]]
        if len(rows) == 1:
            rows.append(["0"] * len(y))
        self._chain(rows[0], rows[1], y)

    def _full_adders(
        self, a: Sequence[object], b: Sequence[object], c: Sequence[object]
    ) -> tuple[list[object], list[object]]:
        total, carry = [], []
        seen: dict[tuple[object, ...], tuple[object, object]] = {}
        for bits in zip(a, b, c, strict=True):
            if bits not in seen:
                real = [bit for bit in bits if not isinstance(bit, str)]
                if len(real) > 1:
                    seen[bits] = self.logic.function(real), self.logic.function(real)
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
        self.found.products += 1

    def _soft_product(self, a: Word, b: Word, y: Word) -> None:
        """Partial products, added up."""
        narrow, wide = sorted((a, b), key=len)
        rows: list[list[object]] = []
        for k, bit in enumerate(narrow):
            row: list[object] = ["0"] * k
            row += [self.logic.function((bit, each)) for each in wide]
            rows.append((row + [row[-1]] * len(y))[: len(y)])
        self._add(rows, y, held=True)

    # Functions.

    def bitwise(self, cell: Cell) -> None:
        y = cell.ports["Y"]
        operands = [cell.word(port, len(y)) for port in "AB" if port in cell.ports]
        for out, *read in zip(y, *operands, strict=True):
            self.logic.function(read, out, kind=cell.kind)

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
        kind = cell.kind
        if not any(isinstance(bit, int) for bit in a):
            a, b, kind = b, a, TURNED[kind]
        fixed = not any(isinstance(bit, int) for bit in b)
        if self.fabric.pair and width >= self.fabric.carry_least:
            self._compared_in_pairs(a, b, kind, out)
        elif fixed:
            self._compared_with(a, b, kind, bool(cell.numbers.get("A_SIGNED")), out)
        elif width <= 2 * self.fabric.compared:
            carry: object = "0"
            for x, z in zip(a[:-1], b[:-1], strict=True):
                carry = self.logic.function((x, z, carry))
            self.logic.function((a[-1], b[-1], carry), out)
        else:
            for k in range(0, width, self.fabric.compared):
                part = (*a[k : k + self.fabric.compared], *b[k : k + self.fabric.compared])
                for what in ("equal", "below"):
                    self.logic.end([self.logic.tree(part, kind=what)])

    def _compared_with(self, a: Word, b: Word, kind: str, signed: bool, out: Bit) -> None:
        """A comparison with a constant ``b``. Its low bits may not matter: whether a number is
        above 127 is told by the bits from the eighth on.
        """
        step = self.fabric.inputs
        starts = range(len(a) % step - step if len(a) % step else 0, len(a), step)
        if self.fabric.pair or len(starts) <= FEW_CARRIES:
            low = free_bits(b, kind)
            self.logic.tree(a[low:], out, kind=(kind, b[low:]))
            return
        never = "1" if kind in ("$gt", "$le") else "0"
        for start in starts:
            part, constant = (word[max(0, start) : start + step] for word in (a, b))
            self.logic.end([self.logic.tree(part, kind=("equal", constant))])
            if signed and start + step == len(a):
                constant = (*constant[:-1], "10"[int(constant[-1])])
            if set(constant) != {never}:
                self.logic.end([self.logic.tree(part, kind=("beyond", constant))])

    def _compared_in_pairs(self, a: Word, b: Word, kind: str, out: Bit) -> None:
        """A carry chain of which only the last carry is read; it is there already where the words
        are subtracted too. Low bits that are 0 in a constant ``b`` borrow nothing.
        """
        fixed = not any(isinstance(bit, int) for bit in b)
        low = next((k for k, bit in enumerate(b) if bit != "0"), len(b)) if fixed else 0
        a, b = a[low:], b[low:]
        if len(a) < self.fabric.carry_least or len(set(a) - {"0", "1"}) <= self.fabric.inputs:
            self.logic.tree((*a, *b), out, kind=(kind, b) if fixed else None)
            return
        self.logic.end((*a, *b))
        last = -(-len(a) // 2) - 1
        halves = range(len(a) // 2, len(a) + 1)
        if not any(ends in self._differences for k in halves for ends in _both(a[:k], b[:k])):
            self.found.tables += 0 if _either(a, b) in self._chains else 2 * last
            self._chains.add(_either(a, b))
        carry = ("carry", a[: 2 * last], b[: 2 * last])
        top: tuple[object, ...] = (*a[2 * last :], *b[2 * last :], carry)
        if fixed and kind in ("$gt", "$le"):
            # The difference of a constant and a word: its carries are not seen to be simple.
            part = self.logic.tree(top)
            self.logic.end([part])
            top = (*a[-1:], part)
        self.logic.tree(top, out)

    def multiplexer(self, cell: Cell) -> None:
        (which,) = cell.ports["S"]
        if self._wraps(cell):
            for x, out in zip(cell.ports["A"], cell.ports["Y"], strict=True):
                self.logic.function((x,), out)
            return
        for x, z, out in zip(*(cell.ports[port] for port in "ABY"), strict=True):
            self.logic.function((which, x, z), out, kind="$mux")

    def _wraps(self, cell: Cell) -> bool:
        """Whether a multiplexer makes a counter begin anew that would do so by itself: ABC sees
        through carry chains that 0 follows after the last number.
        """
        counted = self._following.get(cell.ports["A"])
        full = self._full.get(cell.ports["S"][0])
        return counted is not None and counted == full and set(cell.ports["B"]) == {"0"}

    def one_of_many(self, cell: Cell) -> None:
        a, b, s, y = (cell.ports[port] for port in "ABSY")
        for k, out in enumerate(y):
            chosen: list[object] = []
            for n, which in enumerate(s):
                bit = b[n * len(y) + k]
                if bit == "1":
                    chosen.append(which)
                elif not isinstance(bit, str):
                    chosen.append(self.logic.function((which, bit), kind="$and"))
            if not isinstance(a[k], str):
                chosen.append(self.logic.function((a[k], self.logic.tree(s))))
            self.logic.tree(chosen, out, kind="$or")

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
        self.found.registers += sum(bit not in self._absorbed for bit in cell.ports["Q"])

    def memory(self, cell: Cell) -> None:
        self._box(cell)
        memory = Memory(
            cell.numbers["WIDTH"],
            cell.numbers["SIZE"],
            bool(cell.numbers.get("RD_CLK_ENABLE", 0)),
            bool(cell.numbers.get("RD_TRANSPARENCY_MASK", 0)),
        )
        ports = cell.ports
        self._placed(memory, ports["RD_ADDR"], ports["RD_DATA"], ports["WR_ADDR"], ports["WR_EN"])

    def ram(self, cell: Cell) -> None:
        self._box(cell)
        memory = Memory(cell.numbers["WIDTH"], cell.numbers["DEPTH"])
        ports = cell.ports
        self._placed(memory, ports["addr"], ports["data"], ports["write_addr"], ports["write"])

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
            self.found.registers += memory.width
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


def _both(a: Word, b: Word) -> tuple[tuple[Word, Word], tuple[Word, Word]]:
    return (a, b), (b, a)


def _either(a: Word, b: Word) -> frozenset[Word]:
    return frozenset((a, b))


def free_bits(constant: Word, kind: str) -> int:
    """How many low bits of a word do not matter where it is compared with a constant."""
    last = "1" if kind in ("$gt", "$le") else "0"
    return next((k for k, bit in enumerate(constant) if bit != last), len(constant))


def _is_full(cell: Cell) -> bool:
    """Whether a cell tells that all bits of a word are set."""
    return cell.kind == "$reduce_and" or (cell.kind == "$eq" and set(cell.ports["B"]) == {"1"})


def _one(cell: Cell) -> Word:
    return ("1", *("0" for _ in cell.ports["Y"][1:]))


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
