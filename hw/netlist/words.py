# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A netlist of words: cells such as adders, multiplexers and registers, as Yosys's ``write_json``
writes them once processes are cells and constants are gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

Bit = int | str
"""A net, or a constant: "0", "1" or "x"."""

Word = tuple[Bit, ...]
"""Bits, the least significant one first."""

OUTPUTS = ("Y", "Q", "RD_DATA", "data")
"""Ports of cells that drive nets; ``data`` is that of ``mw_rom`` and ``mw_ram``."""


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes
    ----------
    kind : Yosys's type, such as "$add", or a module's name
    ports : what is connected
    numbers : parameters that are numbers
    texts : parameters as they were written, such as a file's name, or many binary digits
    """

    kind: str
    ports: Mapping[str, Word]
    numbers: Mapping[str, int]
    texts: Mapping[str, str] = field(default_factory=dict)

    def word(self, port: str, width: int) -> Word:
        """An operand, extended to a width or cut off as the cell does."""
        bits = self.ports[port]
        top: Bit = bits[-1] if bits and self.numbers.get(f"{port}_SIGNED") else "0"
        return (bits + (top,) * (width - len(bits)))[:width]

    @property
    def read(self) -> Iterator[Word]:
        """What it reads."""
        return (word for port, word in self.ports.items() if port not in OUTPUTS)


class Words:
    """The cells of a module.

    Attributes
    ----------
    cells : in the order of the netlist
    outputs : words of the module's outputs
    """

    def __init__(self, cells: Sequence[Cell], outputs: Sequence[Word]) -> None:
        self.cells = cells
        self.outputs = outputs

    @cached_property
    def users(self) -> Counter[Bit]:
        """For each net, how many inputs of cells and of the module's outputs read it."""
        found: Counter[Bit] = Counter()
        for cell in self.cells:
            for word in cell.read:
                found.update(word)
        for word in self.outputs:
            found.update(word)
        return found

    @classmethod
    def of(cls, module: Mapping[str, Any], first: int = 0) -> Words:
        """Of one module of the JSON text; its nets are numbered from ``first`` on."""
        cells = [
            Cell(
                each["type"],
                {port: shifted(bits, first) for port, bits in each["connections"].items()},
                _numbers(each["parameters"]),
                {name: str(value) for name, value in each["parameters"].items()},
            )
            for each in module["cells"].values()
            if each["type"] != "$scopeinfo"
        ]
        ports = module["ports"].values()
        outputs = [each["bits"] for each in ports if each["direction"] == "output"]
        return cls(cells, [shifted(bits, first) for bits in outputs])


def shifted(bits: Sequence[Bit], first: int) -> Word:
    """The same with nets numbered from ``first`` on."""
    return tuple(bit if isinstance(bit, str) else bit + first for bit in bits)


def driven(cells: Iterable[Cell], outputs: Sequence[Word], driver: Mapping[Bit, Bit]) -> Words:
    """The netlist of cells in which some nets are others, and which has these outputs."""

    def origin(bit: Bit) -> Bit:
        while (other := driver.get(bit, bit)) != bit:
            bit = other
        return bit

    same = {bit: origin(bit) for bit in driver}

    def renamed(word: Word) -> Word:
        return tuple(same.get(bit, bit) for bit in word)

    connected = [
        replace(cell, ports={port: renamed(word) for port, word in cell.ports.items()})
        for cell in cells
    ]
    return Words(connected, [renamed(word) for word in outputs])


def _numbers(parameters: Mapping[str, Any]) -> dict[str, int]:
    """Those that are integers: text of at most 32 binary digits."""
    return {
        name: value if isinstance(value, int) else int(value, 2)
        for name, value in parameters.items()
        if isinstance(value, int) or (0 < len(value) <= 32 and not set(value) - {"0", "1"})
    }
