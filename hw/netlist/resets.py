# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Resets that show once parts are joined, as Yosys's pass ``opt_dff`` finds them in a flattened
slice: a register that takes the constant of its reset where a multiplexer says so is reset then.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from .words import Bit, Cell, Words

_Choice = tuple[Bit, Bit, Bit]
"""Of a bit of a multiplexer: both that it chooses from, and which."""


def with_resets(words: Words) -> Words:
    """The netlist with multiplexers of constants in registers' resets where they can be."""
    choices = {
        y: (a, b, cell.ports["S"][0])
        for cell in words.cells
        if cell.kind == "$mux" and any(isinstance(bit, str) for bit in cell.ports["B"])
        for a, b, y in zip(*(cell.ports[port] for port in "ABY"), strict=True)
        if isinstance(b, str)
    }
    if not choices:
        return words
    made = _Resets(choices, _fresh(words))
    cells = [part for cell in words.cells for part in made.of(cell)]
    return Words([*cells, *made.cells], words.outputs)


def _fresh(words: Words) -> Iterator[int]:
    nets = (bit for cell in words.cells for word in cell.ports.values() for bit in word)
    return itertools.count(1 + max((bit for bit in nets if isinstance(bit, int)), default=0))


class _Resets:
    """Splits registers. New nets are numbered upwards."""

    def __init__(self, choices: Mapping[Bit, _Choice], fresh: Iterator[int]) -> None:
        self._choices = choices
        self._fresh = fresh
        self._joined: dict[tuple[Bit, Bit], Bit] = {}
        self.cells: list[Cell] = []

    def of(self, cell: Cell) -> Iterator[Cell]:
        """The register, in as many as there are resets now."""
        if cell.kind != "$sdff" or not any(bit in self._choices for bit in cell.ports["D"]):
            yield cell
            return
        (reset,) = cell.ports["SRST"]
        values = cell.texts["SRST_VALUE"][::-1]
        data = list(cell.ports["D"])
        places: dict[Bit, list[int]] = {}
        for k, (bit, value) in enumerate(zip(data, values, strict=True)):
            own = reset
            if bit in self._choices:
                other, constant, which = self._choices[bit]
                if constant == value:
                    data[k], own = other, self._either(which, reset)
            places.setdefault(own, []).append(k)
        for own, those in places.items():
            yield _part(
                replace(cell, ports={**cell.ports, "D": tuple(data), "SRST": (own,)}), those
            )

    def _either(self, which: Bit, reset: Bit) -> Bit:
        if (which, reset) not in self._joined:
            net = next(self._fresh)
            self._joined[which, reset] = net
            self.cells.append(Cell("$reduce_bool", {"A": (which, reset), "Y": (net,)}, {}))
        return self._joined[which, reset]


def _part(cell: Cell, places: Sequence[int]) -> Cell:
    """These bits of a register."""
    ports = {port: tuple(cell.ports[port][k] for k in places) for port in "DQ"}
    values = "".join(cell.texts["SRST_VALUE"][::-1][k] for k in reversed(places))
    numbers = {name: number for name, number in cell.numbers.items() if name != "SRST_VALUE"}
    if len(values) <= 32 and not set(values) - {"0", "1"}:
        numbers["SRST_VALUE"] = int(values, 2)
    return Cell(
        cell.kind,
        {**cell.ports, **ports},
        {**numbers, "WIDTH": len(places)},
        {**cell.texts, "SRST_VALUE": values},
    )
