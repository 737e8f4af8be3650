# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sums, products and comparisons as full adders and carry chains, as Yosys's maps of a family make
them.
"""

from __future__ import annotations

from collections.abc import Sequence

from .cover import Logic
from .fabrics import Fabric
from .sums import ADDERS, Sum, alone, extended, packed, sums_of
from .words import Bit, Cell, Word, Words

FEW_CARRIES = 2
"""Steps of a carry chain up to which Yosys's maps leave it to tables."""

TURNED = {"$lt": "$gt", "$gt": "$lt", "$le": "$ge", "$ge": "$le"}
"""Comparisons with their operands exchanged."""

ORDERS = tuple(TURNED)

KINDS = (*ADDERS, *ORDERS, "$mul")


class Arithmetic:
    """Functions, and carry chains, of the arithmetic of a netlist.

    Attributes
    ----------
    tables : those of carry chains that are none of a function
    """

    def __init__(self, words: Words, fabric: Fabric, logic: Logic) -> None:
        self.words, self.fabric, self.logic = words, fabric, logic
        self.tables = 0
        self._conjoined = {
            out: operands
            for cell in words.cells
            if cell.kind == "$and"
            for out, *operands in zip(*(cell.ports[port] for port in "YAB"), strict=False)
        }
        self._differences: set[tuple[Word, Word]] = set()
        self._chains: set[frozenset[Word]] = set()
        self._made: set[Bit] = set()
        self._fronts: dict[tuple[object, object], object] = {}

    def add(self, cells: Sequence[Cell]) -> None:
        """Take in cells of these kinds; adders before comparisons, which may share their carry
        chains. Others tell what is computed.
        """
        adders = [cell for cell in cells if cell.kind in ADDERS]
        self._differences |= {
            (cell.word("A", len(cell.ports["Y"])), cell.word("B", len(cell.ports["Y"])))
            for cell in adders
            if cell.kind == "$sub"
        }
        self._made |= {bit for cell in cells if cell.kind not in ADDERS for bit in cell.ports["Y"]}
        for each in sums_of(self.words, adders):
            self._sum(each)
        for cell in cells:
            if cell.kind == "$mul":
                self._product(cell)
            elif cell.kind in ORDERS:
                self._ordered(cell)

    # Sums.

    def _sum(self, each: Sum) -> None:
        width = len(each.y)
        words = [extended(term, width) for term in each.terms]
        minus = [term.minus for term in each.terms]
        if len(words) > 2:
            ones = f"{sum(minus):b}"[::-1]
            terms = [self._inverted(w) if m else w for w, m in zip(words, minus, strict=True)]
            self._add([*terms, ones], each.y)
            return
        if self._borrows_nothing(each):
            first, second = words
            self.logic.function((first[0], second[0]), each.y[0])
            for bit, out in zip(first[1:], each.y[1:], strict=True):
                self.logic.function((bit,), out)
            return
        low = alone(each)
        for *bits, out in zip(*(word[:low] for word in (*words, each.y)), strict=True):
            self.logic.function((next((bit for bit in bits if bit != "0"), "0"),), out)
        if low < width:
            first, second = words if len(words) == 2 else (words[0], ("0",) * width)
            if self._is_second(each):
                first, second = second, first
            self._chain(first[low:], second[low:], each.y[low:], minus=any(minus))

    def _borrows_nothing(self, each: Sum) -> bool:
        """Whether a bit is subtracted that is set only if the lowest one is, as where ties become
        even: ABC sees through the carry chain that the others stay.
        """
        if [term.minus for term in each.terms] != [False, True]:
            return False
        bits = extended(each.terms[1], len(each.y))
        return set(bits[1:]) == {"0"} and each.terms[0].word[0] in self._conjoined.get(bits[0], ())

    def _is_second(self, each: Sum) -> bool:
        """Whether the first term of a sum of up to two is the second one of its adder: what is
        subtracted is. Of what is added, ``alumacc`` of Yosys puts first what has the earlier name,
        which registers mostly have before what is computed of them.
        """
        first, *others = each.terms
        if any(term.minus for term in each.terms):
            return first.minus
        return not others or not self._made.isdisjoint(first.word)

    def _inverted(self, word: Word) -> list[object]:
        """The bits, inverted: no function, but other signals to full adders."""
        return [
            "10"[int(bit == "1")]
            if isinstance(bit, str)
            else self.logic.function((bit,), key=("not", bit))
            for bit in word
        ]

    def _add(self, words: Sequence[Sequence[object]], y: Word) -> None:
        """The sum of many words: full adders make two rows of three, level by level, a carry chain
        one of two.
        """
        rows, carried = packed(words, len(y))
        while len(rows) > 2:
            threes = len(rows) - len(rows) % 3
            left = rows[threes:]
            rows, done = [], rows
            for k in range(0, threes, 3):
                total, carry = self._full_adders(*done[k : k + 3])
                rows += [total, [carried.pop() if carried else "0", *carry[:-1]]]
            rows += left
        rows += [["0"] * len(y)] * (2 - len(rows))
        self.logic.end(carried)
        self._chain(rows[0], rows[1], y)

    def _full_adders(self, *rows: Sequence[object]) -> tuple[list[object], list[object]]:
        """The sums and the carries of three rows."""
        made = [
            self._full_adder([bit for bit in bits if bit != "0"])
            for bits in zip(*rows, strict=True)
        ]
        return [total for total, _ in made], [carry for _, carry in made]

    def _full_adder(self, bits: Sequence[object]) -> tuple[object, object]:
        """The sum and the carry of up to three bits that are not 0: functions of all of them, since
        ABC finds better gates for these than ``techmap.v`` of Yosys gives it.
        """
        real = [bit for bit in bits if bit != "1"]
        ones = len(bits) - len(real)
        if len(real) < 2:
            only = real[0] if real else str(ones & 1)
            return only, (only if ones == 1 and real else str(int(ones > 1)))
        return self.logic.function(bits, kind="sum"), self.logic.function(bits, kind="carry")

    def _chain(
        self, a: Sequence[object], b: Sequence[object], y: Word, *, minus: bool = False
    ) -> None:
        """The sum or difference of two words, of which the first one goes into the chain too."""
        width = len(y)
        if width < self.fabric.carry_least:
            carry: object = "0"
            for x, z, out in zip(a, b, y, strict=True):
                self.logic.function((x, z, carry), out)
                carry = self.logic.function((x, z, carry))
            return
        if self.fabric.pair:
            self.logic.end((*a, *b))
            self.tables += 2 * -(-width // 2)
        else:
            for x, z in zip(a, b, strict=True):
                if isinstance(x, str) or isinstance(z, str):
                    self.logic.end([x, z])
                else:
                    # The table in front of the chain reads both; the chain itself the first one.
                    front = self.logic.function((x, z), kind="$xnor" if minus else "$xor")
                    self._fronts[x, z] = self._fronts[z, x] = front
                    self.logic.end([front, x])

    def _product(self, cell: Cell) -> None:
        """Partial products, added up. The sign of the narrower factor counts negative: then the
        other one is inverted, and one is added.
        """
        y = cell.ports["Y"]
        wide, narrow = sorted(("A", "B"), key=lambda port: -len(cell.ports[port]))
        whole, bits = cell.word(wide, len(y)), cell.ports[narrow]
        signed = bool(cell.numbers.get(f"{narrow}_SIGNED"))
        rows: list[list[object]] = []
        for k, bit in enumerate(bits):
            negative = signed and k == len(bits) - 1
            factor = self._inverted(whole) if negative else whole
            rows.append(["0"] * k + [self._both_of(bit, each) for each in factor])
            if negative:
                rows.append(["0"] * k + [bit])
        self._add(rows, y)

    def _both_of(self, x: object, z: object) -> object:
        """A partial product."""
        return "0" if "0" in (x, z) else self.logic.function((x, z), kind="$and")

    def _ordered(self, cell: Cell) -> None:
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
            self._compared_in_steps(a, b)

    def _compared_in_steps(self, a: Word, b: Word) -> None:
        """A carry chain, of which each step is told whether some bits are equal, and whether they
        are below. Where the words are subtracted too, ABC takes from there in which bits they
        differ.
        """
        for k in range(0, len(a), self.fabric.compared):
            x, z = a[k : k + self.fabric.compared], b[k : k + self.fabric.compared]
            pairs = [each for each in zip(x, z, strict=True) if not {"0", "1"} & {*each}]
            differ = [self._fronts[each] for each in pairs if each in self._fronts]
            if pairs and len(differ) == len(pairs):
                self.logic.end([self.logic.tree(differ), self.logic.tree((*differ, *z))])
            else:
                self.logic.end([self.logic.tree((*x, *z), kind=k) for k in ("equal", "below")])

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
            self.tables += 0 if _either(a, b) in self._chains else 2 * last
            self._chains.add(_either(a, b))
        carry = ("carry", a[: 2 * last], b[: 2 * last])
        top: tuple[object, ...] = (*a[2 * last :], *b[2 * last :], carry)
        if fixed and kind in ("$gt", "$le"):
            # The difference of a constant and a word: its carries are not seen to be simple.
            part = self.logic.tree(top)
            self.logic.end([part])
            top = (*a[-1:], part)
        self.logic.tree(top, out)


def _both(a: Word, b: Word) -> tuple[tuple[Word, Word], tuple[Word, Word]]:
    return (a, b), (b, a)


def _either(a: Word, b: Word) -> frozenset[Word]:
    return frozenset((a, b))


def free_bits(constant: Word, kind: str) -> int:
    """How many low bits of a word do not matter where it is compared with a constant."""
    last = "1" if kind in ("$gt", "$le") else "0"
    return next((k for k, bit in enumerate(constant) if bit != last), len(constant))
