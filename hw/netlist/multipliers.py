# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Hard multipliers: which products they make, how wider ones are split, and what they take in.

Splitting is that of Yosys's ``mul2dsp.v``; what is taken in of the neighbourhood, that of its pass
``xilinx_dsp``: a DSP48 (Xilinx UG479) has registers for its factors, for their product and for the
result, and an adder between the last two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .fixed import REGISTERS
from .words import Bit, Cell, Word, Words


@dataclass(frozen=True)
class Multiplier:
    """A hard multiplier.

    Attributes
    ----------
    wide, narrow : most bits of its factors
    part : bits of the wider port that parts of a wider factor fill, so that they can be cascaded
    factor, product : fewest bits of a factor and of a product for which it is taken
    signed : whether it takes signed factors only, so that the lower parts of a wider one lose a bit
    absorbs : bits of a sum that it takes in, with the registers around it; 0 if none
    """

    wide: int
    narrow: int
    part: int
    factor: int
    product: int
    signed: bool
    absorbs: int = 0

    def makes(self, a: int, b: int, y: int) -> bool:
        """Whether it is taken for a product of factors of ``a`` and ``b`` bits, of which ``y``
        are read.
        """
        return min(a, b) >= self.factor and y >= self.product

    def tiles(self, a: int, b: int) -> int:
        """Hard multipliers of a product."""
        narrow, wide = sorted((a, b))
        return sum(
            self.makes(one, other, one + other)
            for one in self._parts(wide, self.wide, self.part)
            for other in self._parts(narrow, self.narrow, self.narrow)
        )

    def _parts(self, width: int, most: int, part: int) -> list[int]:
        """Bits of a factor that each part takes, the lowest first."""
        step = part - self.signed
        lower = max(0, -(-(width - most) // step))
        return [part] * lower + [width - lower * step]


class _Split:
    """Splits products. New nets are numbered upwards."""

    def __init__(self, most: Multiplier, fresh: Iterator[int]) -> None:
        self._most = most
        self._fresh = fresh
        self.cells: list[Cell] = []

    def product(self, a: tuple[Word, bool], b: tuple[Word, bool], size: int) -> Word:
        """The product of two words, each with its sign, cut off to a size."""
        if {"0"} in (set(a[0]), set(b[0])):
            return ("0",) * size
        most = self._most
        if most.makes(len(a[0]), len(b[0]), size):
            if len(a[0]) > most.wide:
                return self._sliced(a, b, size, most.wide, most.part, swapped=False)
            if len(b[0]) > most.narrow:
                return self._sliced(b, a, size, most.narrow, most.narrow, swapped=True)
        numbers = {"A_SIGNED": int(a[1]), "B_SIGNED": int(b[1])}
        return self._cell("$mul", a[0], b[0], size, numbers)

    def _sliced(
        self,
        a: tuple[Word, bool],
        b: tuple[Word, bool],
        size: int,
        widest: int,
        part: int,
        *,
        swapped: bool,
    ) -> Word:
        """The sum of products of slices of ``a``, each added to those below it."""
        word, signed = a
        head = self._most.signed
        step = part - head
        both = signed and b[1]

        def times(piece: tuple[Word, bool], bits: int) -> Word:
            return self.product(b, piece, bits) if swapped else self.product(piece, b, bits)

        done: Word = ()
        total: Word = ()
        while len(word) > widest:
            low = word[:step] + ("0",) * head
            total = self._sum(times((low, head), min(size, len(b[0]) + part)), total, both)
            done, total = done + total[:step], total[step:]
            word = word[step:]
        last = times((word, signed), len(word) + len(b[0]))
        whole = done + self._sum(last, total, both)
        top: Bit = whole[-1] if both else "0"
        return (whole + (top,) * size)[:size]

    def _sum(self, a: Word, b: Word, signed: bool) -> Word:
        if not b:
            return a
        return self._cell("$add", a, b, max(len(a), len(b)), dict.fromkeys(_SIGNS, int(signed)))

    def _cell(self, kind: str, a: Word, b: Word, size: int, numbers: Mapping[str, int]) -> Word:
        y = tuple(next(self._fresh) for _ in range(size))
        self.cells.append(Cell(kind, {"A": a, "B": b, "Y": y}, numbers))
        return y


_SIGNS = ("A_SIGNED", "B_SIGNED")


def split(words: Words, most: Multiplier) -> Words:
    """The netlist with products that fit, added up."""
    if not any(_is_wide(cell, most) for cell in words.cells):
        return words
    nets = (bit for cell in words.cells for word in cell.ports.values() for bit in word)
    last = max((bit for bit in nets if isinstance(bit, int)), default=0)
    made = _Split(most, itertools.count(last + 1))
    instead: dict[Bit, Bit] = {}
    kept = []
    for cell in words.cells:
        factors = (
            sorted((cell.ports[port] for port in "AB"), key=len) if _is_wide(cell, most) else ()
        )
        if not factors:
            kept.append(cell)
            continue
        signed = bool(cell.numbers.get("A_SIGNED"))
        spare = ("0",) if most.signed and not signed else ()
        factors = sorted((cell.ports[port] for port in "AB"), key=len)
        narrow, wide = ((word + spare, signed or most.signed) for word in factors)
        y = cell.ports["Y"]
        instead.update(zip(y, made.product(wide, narrow, len(y)), strict=True))
    outputs = [tuple(instead.get(bit, bit) for bit in word) for word in words.outputs]
    return Words([_with(cell, instead) for cell in (*kept, *made.cells)], outputs)


def _is_wide(cell: Cell, most: Multiplier) -> bool:
    if cell.kind != "$mul":
        return False
    a, b, y = (len(cell.ports[port]) for port in "ABY")
    return most.makes(a, b, y) and (max(a, b) > most.wide or min(a, b) > most.narrow)


def _with(cell: Cell, instead: Mapping[Bit, Bit]) -> Cell:
    ports = {p: tuple(instead.get(bit, bit) for bit in word) for p, word in cell.ports.items()}
    return replace(cell, ports=ports)


_PRE_ADDER = 25
"""Bits of the adder in front of a DSP48E1's wider factor."""


class Taken:
    """What multipliers take in.

    Attributes
    ----------
    cells : indices of adders; what they drive comes out of a multiplier
    registers : what registers hold

    Parameters
    ----------
    products : what hard multipliers make, by the index of the cell
    most : bits of a multiplier's adder; 0 if it takes nothing in
    """

    def __init__(self, words: Words, products: Mapping[int, Cell], most: int) -> None:
        self.words = words
        self._most = most
        self.cells: set[int] = set()
        self.registers: set[Bit] = set()
        self._holding: dict[Bit, int] = {}
        self._adding: dict[Bit, int] = {}
        self._choosing: dict[Bit, int] = {}
        self._readers: dict[Bit, list[int]] = {}
        if not most:
            return
        for index, cell in enumerate(words.cells):
            if cell.kind in REGISTERS:
                self._holding |= dict.fromkeys(cell.ports["Q"], index)
            elif cell.kind == "$mux":
                self._choosing |= dict.fromkeys(cell.ports["Y"], index)
            elif cell.kind == "$add":
                self._adding |= dict.fromkeys(cell.ports["Y"], index)
            for word in cell.read:
                for bit in dict.fromkeys(word):
                    if not isinstance(bit, str):
                        self._readers.setdefault(bit, []).append(index)
        self._outputs = {bit for word in words.outputs for bit in word}
        self._products = products
        self._factors = {bit for cell in products.values() for p in "AB" for bit in cell.ports[p]}
        for cell in products.values():
            self._behind(cell.ports["Y"])
        for port in "AB":
            for cell in products.values():
                # Two registers fit in front of a factor.
                self._before(self._before(cell.ports[port]))
        for index, cell in products.items():
            self._added_before(index, max(cell.ports["A"], cell.ports["B"], key=len))

    def _behind(self, product: Word) -> None:
        """A register, an adder, and a register."""
        word = self._register_of(product) or product
        index = self._only_reader(word)
        if index is not None:
            adder = self.words.cells[index]
            fits = len(adder.ports.get("Y", ())) <= self._most
            if adder.kind in ("$add", "$sub") and fits and index not in self.cells:
                self.cells.add(index)
                held = self._register_of(adder.ports["Y"], total=True)
                other = adder.ports["B" if adder.ports["A"] == word else "A"]
                if not (held and self._fed_back(held, other, index)):
                    self._before(other)

    def _fed_back(self, held: Word, other: Word, adder: int) -> bool:
        """Takes in the multiplexer that begins a sum with something else than what is held."""
        (chosen,) = {self._choosing.get(bit, -1) for bit in other[:1]} or {-1}
        if chosen < 0 or self._only_reader(self.words.cells[chosen].ports["Y"]) != adder:
            return False
        multiplexer = self.words.cells[chosen]
        if not any(multiplexer.ports[port][: len(held)] == held for port in "AB"):
            return False
        self.cells.add(chosen)
        return True

    def _added_before(self, product: int, factor: Word) -> None:
        """An adder in front of the wider factor, with registers around it."""
        held = {self._holding.get(bit, -1) for bit in factor if bit in self.registers}
        allowed = {product, *held}
        word: Word = factor
        if held:
            register = self.words.cells[min(held)]
            pairs = zip(register.ports["D"], register.ports["Q"], strict=True)
            word = tuple(d for d, q in pairs if q in factor)
        adders = {self._adding.get(bit, -1) for bit in word if not isinstance(bit, str)}
        if len(adders) != 1 or -1 in adders or adders & self.cells:
            return
        (index,) = adders
        adder = self.words.cells[index]
        y = adder.ports["Y"]
        readers = {reader for bit in y for reader in self._readers.get(bit, ())}
        if readers <= allowed and len(y) <= _PRE_ADDER and not self._outputs & set(y):
            self.cells.add(index)
            self._before(adder.ports["A"])
            self._before(adder.ports["B"])

    def _register_of(self, word: Word, *, total: bool = False) -> Word | None:
        """Takes in the register that alone reads a word, or what is read of it; returns what it
        holds. What is a factor as well is taken in there, but for a total: Yosys comes to the
        products of a layer before those of what finishes it.
        """
        word = tuple(bit for bit in word if bit in self._readers)
        index = self._only_reader(word)
        if index is None or self.words.cells[index].kind not in REGISTERS:
            return None
        cell = self.words.cells[index]
        held = tuple(q for d, q in zip(cell.ports["D"], cell.ports["Q"], strict=True) if d in word)
        factor = not total and self._factors & set(held)
        if len(held) != len(word) or factor or self.registers & set(held):
            return None
        self.registers |= set(held)
        return held

    def _only_reader(self, word: Word) -> int | None:
        if self._outputs & set(word):
            return None
        readers = {index for bit in word for index in self._readers.get(bit, ())}
        return readers.pop() if len(readers) == 1 else None

    def _before(self, word: Word) -> Word:
        """Takes in the register in front of a word, if nothing but multipliers reads it; returns
        what it reads, or nothing.
        """
        bits = {bit for bit in word if not isinstance(bit, str)}
        held = {self._holding.get(bit, -1) for bit in bits}
        if len(held) != 1 or -1 in held:
            return ()
        (index,) = held
        readers = {reader for bit in bits for reader in self._readers.get(bit, ())}
        if not readers <= self.cells | self._products.keys() or self._outputs & bits:
            return ()
        self.registers |= bits
        cell = self.words.cells[index]
        pairs = zip(cell.ports["D"], cell.ports["Q"], strict=True)
        return tuple(d for d, q in pairs if q in bits)
