# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One netlist of the parts of a slice: what no neighbour reads is not made, and functions of two
parts are one table where they fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .words import Bit, Cell, Word, Words, driven, shifted

Stream = tuple[str, str]
"""A part, and the name of one of its streams."""

COMMON = ("clk", "rst")
"""Ports that are one net in all parts."""


@dataclass(frozen=True)
class PartModule:
    """A module of a part of a slice.

    Attributes
    ----------
    name : of the part, which its outer module has too
    module : its own name; cells of the part's other modules that are of this kind stand for it
    netlist : as :meth:`.words.Words.of` takes it
    """

    name: str
    module: str
    netlist: Mapping[str, Any]


def joined(parts: Sequence[PartModule], streams: Sequence[tuple[Stream, Stream]]) -> Words:
    """The netlist of parts whose streams are connected.

    ``streams`` are sources, each with its sink; those that are not here are ports of the whole.
    """
    cells: list[tuple[str, Cell]] = []
    ports: dict[tuple[str, str, str], Word] = {}
    driver: dict[Bit, Bit] = {}
    outputs: set[tuple[str, str, str]] = set()
    first = len(COMMON)
    for part in parts:
        cells += ((part.name, cell) for cell in Words.of(part.netlist, first).cells)
        for port, each in part.netlist["ports"].items():
            key = part.name, part.module, port
            ports[key] = shifted(each["bits"], first)
            if each["direction"] == "output":
                outputs.add(key)
            if port in COMMON:
                driver |= dict.fromkeys(ports[key], COMMON.index(port))
        first += 1 + _last(part.netlist)

    def connect(source: Word, sink: Word) -> None:
        driver.update(zip(sink, source, strict=True))

    modules = {(part.name, part.module) for part in parts}
    kept = []
    for name, cell in cells:
        if (name, cell.kind) not in modules:
            kept.append(cell)
            continue
        for port, word in cell.ports.items():
            key = name, cell.kind, port
            if key in outputs:
                connect(ports[key], word)
                outputs.discard(key)
            elif port not in COMMON:
                connect(word, ports[key])
    for (source, out), (sink, into) in streams:
        for begin, port, end, read in (
            (source, f"{out}__payload", sink, f"{into}__payload"),
            (source, f"{out}__valid", sink, f"{into}__valid"),
            (sink, f"{into}__ready", source, f"{out}__ready"),
        ):
            connect(ports[begin, begin, port], ports[end, end, read])
            outputs.discard((begin, begin, port))
    return driven(kept, [word for key, word in ports.items() if key in outputs], driver)


def _last(module: Mapping[str, Any]) -> int:
    """The highest number of a net."""
    words = [port["bits"] for port in module["ports"].values()]
    words += [bits for cell in module["cells"].values() for bits in cell["connections"].values()]
    return max((bit for bits in words for bit in bits if not isinstance(bit, str)), default=0)
