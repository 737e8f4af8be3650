# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Cells of logic as functions of bits, as Yosys's ``techmap`` makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import arithmetic
from .arithmetic import Arithmetic
from .cover import Logic
from .fabrics import Fabric
from .words import Bit, Cell, Word, Words


class Techmap:
    """Functions of the cells of a netlist.

    Attributes
    ----------
    logic : the functions
    """

    def __init__(self, words: Words, fabric: Fabric) -> None:
        self.words, self.fabric = words, fabric
        self.logic = Logic()
        self._arithmetic = Arithmetic(words, fabric, self.logic)
        self._full = {cell.ports["Y"][0]: cell.ports["A"] for cell in words.cells if _is_full(cell)}
        self._following = {
            cell.ports["Y"]: cell.ports["A"]
            for cell in words.cells
            if cell.kind == "$add" and cell.word("B", len(cell.ports["Y"])) == _one(cell)
        }

    def tables(self) -> int:
        """Tables of all functions and carry chains."""
        return self._arithmetic.tables + self.logic.tables(self.fabric.inputs)

    def add(self, cells: Sequence[Cell]) -> None:
        """Take in cells."""
        self._arithmetic.add(cells)
        for cell in cells:
            if cell.kind in _RULES:
                _RULES[cell.kind](self, cell)

    def bitwise(self, cell: Cell) -> None:
        y = cell.ports["Y"]
        operands = [cell.word(port, len(y)) for port in "AB" if port in cell.ports]
        for out, *read in zip(y, *operands, strict=True):
            self.logic.function(read, out, kind=cell.kind)

    def reduced(self, cell: Cell) -> None:
        self.logic.tree(cell.ports["A"], cell.ports["Y"][0])

    def logical(self, cell: Cell) -> None:
        parts = [self.logic.tree(cell.ports[port]) for port in "AB"]
        self.logic.function(parts, cell.ports["Y"][0])

    def equal(self, cell: Cell) -> None:
        width = max(len(cell.ports["A"]), len(cell.ports["B"]))
        pairs = zip(cell.word("A", width), cell.word("B", width), strict=True)
        self.logic.tree(
            [self.logic.function(pair) if _real(pair) > 1 else _only(pair) for pair in pairs],
            cell.ports["Y"][0],
        )

    def multiplexer(self, cell: Cell) -> None:
        (which,) = cell.ports["S"]
        if self._wraps(cell):
            for x, out in zip(cell.ports["A"], cell.ports["Y"], strict=True):
                self.logic.function((x,), out)
            return
        for x, z, out in zip(*(cell.ports[port] for port in "ABY"), strict=True):
            self._chosen(which, x, z, out)

    def _chosen(self, which: object, x: object, z: object, out: object) -> None:
        """A multiplexer of two bits, of which what is undefined is left out."""
        if "x" in (x, z) or x == z:
            self.logic.function((z if x == "x" else x,), out)
        else:
            self.logic.function((which, x, z), out, kind="$mux")

    def _wraps(self, cell: Cell) -> bool:
        """Whether a multiplexer makes a counter begin anew that would do so by itself: ABC sees
        through carry chains that 0 follows after the last number.
        """
        counted = self._following.get(cell.ports["A"])
        full = self._full.get(cell.ports["S"][0])
        return counted is not None and counted == full and set(cell.ports["B"]) == {"0"}

    def one_of_many(self, cell: Cell) -> None:
        """Where what is given without a choice is undefined, it is the last one of the others
        (Yosys's ``opt_expr -mux_undef``).
        """
        a, b, s, y = (cell.ports[port] for port in "ABSY")
        if set(a) == {"x"}:
            a, b, s = b[-len(y) :], b[: -len(y)], s[:-1]
        for k, out in enumerate(y):
            if len(s) == 1:
                self._chosen(s[0], a[k], b[k], out)
                continue
            chosen: list[object] = []
            for n, which in enumerate(s):
                bit = b[n * len(y) + k]
                if bit == "1":
                    chosen.append(which)
                elif not isinstance(bit, str):
                    chosen.append(self.logic.function((which, bit), kind="$and"))
            if a[k] in ("0", "x"):
                self.logic.tree(chosen, out, kind="$or")
            else:
                parts = self.logic.tree(s), a[k], self.logic.tree(chosen, kind="$or")
                self.logic.function(parts, out, kind="$mux")

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


def _is_full(cell: Cell) -> bool:
    """Whether a cell tells that all bits of a word are set."""
    return cell.kind == "$reduce_and" or (cell.kind == "$eq" and set(cell.ports["B"]) == {"1"})


def _one(cell: Cell) -> Word:
    return ("1", *("0" for _ in cell.ports["Y"][1:]))


def _real(bits: Sequence[Bit]) -> int:
    return sum(not isinstance(bit, str) for bit in bits)


def _only(bits: Sequence[Bit]) -> Bit:
    return next((bit for bit in bits if not isinstance(bit, str)), "0")


_Rule = Callable[[Techmap, Cell], None]

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("$and", "$or", "$xor", "$xnor", "$not", "$pos"), Techmap.bitwise),
    **dict.fromkeys(
        ("$reduce_and", "$reduce_or", "$reduce_xor", "$reduce_bool", "$logic_not"),
        Techmap.reduced,
    ),
    **dict.fromkeys(("$logic_and", "$logic_or"), Techmap.logical),
    **dict.fromkeys(("$eq", "$ne", "$eqx", "$nex"), Techmap.equal),
    **dict.fromkeys(("$shl", "$sshl", "$shr", "$sshr", "$shift", "$shiftx"), Techmap.shifted),
    "$mux": Techmap.multiplexer,
    "$pmux": Techmap.one_of_many,
}

KINDS = frozenset((*arithmetic.KINDS, *_RULES))
"""Kinds of cells that are logic; of products those that no hard multiplier makes."""
