# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A netlist without the bits that nothing reads, such as those that rounding cuts off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .words import Bit, Cell, Word, Words

_Used = Callable[[Bit], bool]


def only_live(words: Words) -> Words:
    """The same without cells, and bits of cells, whose outputs nobody reads."""
    while True:
        used = words.users.__contains__
        cells = [kept for cell in words.cells if (kept := _kept(cell, used)) is not None]
        same = len(cells) == len(words.cells)
        if same and all(a is b for a, b in zip(cells, words.cells, strict=True)):
            return words
        words = Words(cells, words.outputs)


def _kept(cell: Cell, used: _Used) -> Cell | None:
    """The cell, with the bits that are read; itself if those are all."""
    name = next((port for port in ("Y", "Q", "RD_DATA", "data") if port in cell.ports), None)
    if name is None:
        return cell
    word = cell.ports[name]
    live = [used(bit) for bit in word]
    if not any(live):
        return None
    if all(live) or name in ("RD_DATA", "data"):
        return cell
    if cell.kind in _ALONE:
        return _bits(cell, [k for k, each in enumerate(live) if each])
    if cell.kind in _RISING and not live[-1]:
        return _bits(cell, range(max(k for k, each in enumerate(live) if each) + 1), cut=True)
    return cell


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
