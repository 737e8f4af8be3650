# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A netlist without the bits that nothing reads, such as those that rounding cuts off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .words import Bit, Cell, Word, Words

_Used = Callable[[Bit], bool]
_Parts = Callable[[Cell], int]


def only_live(words: Words, parts: _Parts) -> Words:
    """The same without cells, and bits of cells, whose outputs nobody reads.

    Parameters
    ----------
    parts : tells of memories that are written how many bits are together in one; of others 0
    """
    while True:
        used = words.users.__contains__
        cells = [kept for cell in words.cells if (kept := _kept(cell, used, parts)) is not None]
        same = len(cells) == len(words.cells)
        if same and all(a is b for a, b in zip(cells, words.cells, strict=True)):
            return words
        words = Words(cells, words.outputs)


def _kept(cell: Cell, used: _Used, parts: _Parts) -> Cell | None:
    """The cell, with the bits that are read; itself if those are all."""
    name = next((port for port in ("Y", "Q", "RD_DATA", "data") if port in cell.ports), None)
    if name is None:
        return cell
    word = cell.ports[name]
    live = [used(bit) for bit in word]
    if not any(live):
        return None
    if all(live):
        return cell
    if name in ("RD_DATA", "data"):
        return _narrowed(cell, live, parts(cell))
    if cell.kind in _ALONE:
        return _bits(cell, [k for k, each in enumerate(live) if each])
    if cell.kind in _RISING and not live[-1]:
        return _bits(cell, range(max(k for k, each in enumerate(live) if each) + 1), cut=True)
    return cell


def _narrowed(cell: Cell, live: Sequence[bool], part: int) -> Cell:
    """A memory without the parts of which nothing is read."""
    if not part:
        return cell
    width = len(live)
    starts = [start for start in range(0, width, part) if any(live[start : start + part])]
    places = [k for start in starts for k in range(start, min(start + part, width))]
    ports = {
        port: tuple(word[k] for k in places) if port in _STORED and len(word) == width else word
        for port, word in cell.ports.items()
    }
    if len(places) == width:
        return cell
    return replace(cell, ports=ports, numbers={**cell.numbers, "WIDTH": len(places)})


_STORED = ("RD_DATA", "WR_DATA", "WR_EN", "data", "write_data")
"""Ports of memories that are words."""

_ALONE = {
    "$mux": ("A", "B", "Y"),
    **dict.fromkeys(("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce"), ("D", "Q")),
    **dict.fromkeys(("$and", "$or", "$xor", "$xnor", "$not"), ("A", "B", "Y")),
}
"""Cells whose bits do not know of each other, and the ports that are words of them."""

_RISING = dict.fromkeys(("$add", "$sub", "$neg", "$mul"), ("A", "B", "Y"))
"""Cells whose bits depend on no higher ones."""


def _bits(cell: Cell, places: range | list[int], *, cut: bool = False) -> Cell:
    """The cell with these bits of its words."""
    ports = dict(cell.ports)
    for port in (_RISING if cut else _ALONE)[cell.kind]:
        if port not in ports:
            continue
        word: Word = ports[port]
        if cut or port in ("Y", "Q"):
            ports[port] = tuple(word[k] for k in places if k < len(word))
        else:
            whole = cell.word(port, max(places) + 1)
            ports[port] = tuple(whole[k] for k in places)
    return replace(cell, ports=ports)
