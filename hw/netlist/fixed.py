# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixed words: what their contents make superfluous, and the functions that they come to in logic.

A synthesiser that puts fixed words into logic sees that a column is constant, or equals another
one, and leaves out all registers that would only hold the same once more. Parameters of a few
channels are mostly such columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .cover import Logic
from .words import OUTPUTS, Bit, Cell, Word, Words

Table = tuple[str, ...]
"""A column: a bit for each word."""


def columns(cell: Cell, images: Mapping[str, str]) -> list[Table] | None:
    """The columns of a memory that is never written; None of others, or of unknown contents."""
    if cell.kind == "mw_rom":
        text = images.get(cell.texts["FILE"].strip())
        if text is None:
            return None
        width = cell.numbers["WIDTH"]
        rows = [f"{int(word, 16):0{width}b}"[::-1] for word in text.split()]
    elif cell.kind == "$mem_v2" and not cell.numbers["WR_PORTS"]:
        width, size, bits = cell.numbers["WIDTH"], cell.numbers["SIZE"], cell.texts["INIT"][::-1]
        rows = [bits[k * width : (k + 1) * width] for k in range(size)]
    else:
        return None
    return [tuple(column) for column in zip(*rows, strict=True)]


def without_copies(words: Words, tables: Mapping[int, Sequence[Table]]) -> Words:
    """The netlist without registers that hold a constant, or what another one holds.

    Parameters
    ----------
    tables : for fixed words in logic, by the index of their cell, their columns
    """
    same: dict[Bit, Bit] = {}
    for index, found in tables.items():
        cell = words.cells[index]
        first: dict[Table, Bit] = {}
        for net, column in zip(cell.ports[_output(cell)], found, strict=True):
            held = set(column) - {"x"}
            same[net] = held.pop() if len(held) == 1 else first.setdefault(column, net)
    registers = [cell for cell in words.cells if cell.kind in REGISTERS]
    before = -1
    while before != len(same):
        before = len(same)
        seen: dict[object, Bit] = {}
        for cell in registers:
            control = (cell.kind, *(_through(same, cell.ports.get(p, ())) for p in ("EN", "SRST")))
            reset = cell.numbers.get("SRST_VALUE", 0) if "SRST" in cell.ports else None
            for k, (d, q) in enumerate(zip(cell.ports["D"], cell.ports["Q"], strict=True)):
                if q in same:
                    continue
                d = same.get(d, d)
                begin = None if reset is None else str(reset >> k & 1)
                if isinstance(d, str) and begin in (None, d):
                    same[q] = d
                    continue
                other = seen.setdefault((*control, begin, d), q)
                if other != q:
                    same[q] = other
    return Words([_renamed(cell, same) for cell in words.cells], _outputs(words, same))


REGISTERS = ("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce", "$adff", "$adffe")


def _output(cell: Cell) -> str:
    return "data" if cell.kind == "mw_rom" else "RD_DATA"


def _through(same: Mapping[Bit, Bit], word: Word) -> Word:
    return tuple(same.get(bit, bit) for bit in word)


def _outputs(words: Words, same: Mapping[Bit, Bit]) -> list[Word]:
    return [_through(same, word) for word in words.outputs]


def _renamed(cell: Cell, same: Mapping[Bit, Bit]) -> Cell:
    """The cell, which reads what is the same, and whose registers are those that are left."""
    ports = {
        port: word if port in OUTPUTS else _through(same, word) for port, word in cell.ports.items()
    }
    if cell.kind in REGISTERS:
        kept = [k for k, q in enumerate(cell.ports["Q"]) if q not in same]
        ports |= {port: tuple(ports[port][k] for k in kept) for port in ("D", "Q")}
    return replace(cell, ports=ports)


def functions(
    logic: Logic, table: Table, address: Word, inputs: int, wide: int, *, within: object = None
) -> object:
    """A column as functions of its address.

    Parameters
    ----------
    inputs : signals of a look-up table
    wide : signals up to which multiplexers of tables take none themselves
    within : which of such tables this is, if it is one. ABC knows a function of that many signals
        as one cell, and Yosys makes tables of it after everything that could merge them: each has
        tables of its own, even where two hold the same.
    """
    if len(set(table) - {"x"}) < 2:
        return next(iter(set(table) - {"x"}), "0")
    bits = (len(table) - 1).bit_length()
    half = 1 << bits - 1
    low, high = table[:half], table[half:]
    if all(a == b or "x" in (a, b) for a, b in zip(low, high, strict=False)):
        return functions(logic, low, address, inputs, wide, within=within)
    key = (address, _or_inverse(table)) if within is None else within
    if bits <= inputs:
        return logic.function(address[:bits], key=key)
    if bits > wide:
        return _quarters(logic, table, address, inputs, wide)
    # A half of fewer bits takes as many tables in there as a whole one would.
    whole = bits == inputs + 1 or len(high) > half // 2
    parts = [
        functions(logic, part, address, inputs, wide, within=(key, k) if whole else None)
        for k, part in enumerate((low, high))
    ]
    if whole:
        return logic.joined(parts, key=key)
    return logic.function((address[bits - 1], *parts), key=key)


def _quarters(logic: Logic, table: Table, address: Word, inputs: int, wide: int) -> object:
    """A column of more signals than multiplexers join. ABC shortens the path by a last function
    that chooses by two bits of the address.
    """
    bits = (len(table) - 1).bit_length()
    quarter = 1 << bits - 2
    parts = [
        functions(logic, table[k : k + quarter], address, inputs, wide)
        for k in range(0, len(table), quarter)
    ]
    read = list(dict.fromkeys((*address[bits - 2 : bits], *parts)))
    read = [each for each in read if not isinstance(each, str)]
    key = address, _or_inverse(table)
    if len(read) <= inputs:
        return logic.function(read, key=key)
    tables = range(1 << len(read) - inputs)
    made = [logic.function(read[-inputs:], key=(key, "last", k)) for k in tables]
    return logic.joined(made, key=key)


def _or_inverse(table: Table) -> Table:
    """The same for a column and its inverse: ABC makes one of the other, and an inverter is no
    table.
    """
    first = next((bit for bit in table if bit != "x"), "0")
    return table if first == "0" else tuple(_INVERSE[bit] for bit in table)


_INVERSE = {"0": "1", "1": "0", "x": "x"}
