# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a hard multiplier takes in of its neighbourhood, as Yosys's pass ``xilinx_dsp`` finds it.

A DSP48 (Xilinx UG479) has registers for its factors, for their product and for the result, and an
adder between the last two.
"""

from __future__ import annotations

from collections.abc import Mapping

from .fixed import REGISTERS
from .words import Bit, Cell, Word, Words


class Taken:
    """Cells that multipliers take in.

    Attributes
    ----------
    cells : their indices; what they drive comes out of a multiplier

    Parameters
    ----------
    most : bits of a multiplier's adder
    """

    def __init__(self, words: Words, products: Mapping[int, Cell], most: int) -> None:
        self.words = words
        self._most = most
        self.cells: set[int] = set()
        self._registers: dict[Bit, int] = {}
        self._readers: dict[Bit, list[int]] = {}
        for index, cell in enumerate(words.cells):
            if cell.kind in REGISTERS:
                self._registers |= dict.fromkeys(cell.ports["Q"], index)
            for word in cell.read:
                for bit in dict.fromkeys(word):
                    if not isinstance(bit, str):
                        self._readers.setdefault(bit, []).append(index)
        self._products = products
        for cell in products.values():
            self._behind(cell.ports["Y"])
        for port in "AB":
            for cell in products.values():
                # Two registers fit in front of a factor.
                self._before(self._before(cell.ports[port]))

    def _behind(self, product: Word) -> None:
        """A register, an adder, and a register."""
        word = self._register_of(product) or product
        index = self._only_reader(word)
        if index is not None:
            adder = self.words.cells[index]
            fits = len(adder.ports.get("Y", ())) <= self._most
            if adder.kind in ("$add", "$sub") and fits and index not in self.cells:
                self.cells.add(index)
                self._register_of(adder.ports["Y"])
                self._before(adder.ports["B" if adder.ports["A"] == word else "A"])

    def _register_of(self, word: Word) -> Word | None:
        """Takes in the register that alone reads a word; returns what it holds."""
        index = self._only_reader(word)
        if index is None or index in self.cells:
            return None
        cell = self.words.cells[index]
        if cell.kind not in REGISTERS or cell.ports["D"] != word:
            return None
        self.cells.add(index)
        return cell.ports["Q"]

    def _only_reader(self, word: Word) -> int | None:
        readers = {index for bit in word for index in self._readers.get(bit, ())}
        return readers.pop() if len(readers) == 1 else None

    def _before(self, word: Word) -> Word:
        """Takes in the register in front of a word, if nothing but multipliers reads it; returns
        what it reads, or nothing.
        """
        held = {self._registers.get(bit, -1) for bit in word if not isinstance(bit, str)}
        if len(held) != 1 or -1 in held:
            return ()
        (index,) = held
        cell = self.words.cells[index]
        readers = {reader for bit in cell.ports["Q"] for reader in self._readers.get(bit, ())}
        if not readers <= self.cells | self._products.keys():
            return ()
        self.cells.add(index)
        return cell.ports["D"]
