# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One netlist of the parts of a slice: what no neighbour reads is not made, and functions of two
parts are one table where they fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .words import Bit, Cell, Word, Words, driven, shifted

Stream = tuple[str, str]
"""A part, and the name of one of its streams."""

COMMON = ("clk", "rst")
"""Ports that are one net in all parts."""


def joined(
    modules: Mapping[str, Mapping[str, Any]], streams: Sequence[tuple[Stream, Stream]]
) -> Words:
    """The netlist of modules whose streams are connected.

    Parameters
    ----------
    modules : by the names of the parts, as :meth:`.words.Words.of` takes them
    streams : sources, each with its sink; those that are not here are ports of the whole
    """
    cells: list[Cell] = []
    ports: dict[Stream, Word] = {}
    driver: dict[Bit, Bit] = {}
    outputs: dict[Stream, Word] = {}
    first = len(COMMON)
    for name, module in modules.items():
        cells += Words.of(module, first).cells
        own = {port: shifted(each["bits"], first) for port, each in module["ports"].items()}
        ports |= {(name, port): word for port, word in own.items()}
        driver |= {bit: k for k, port in enumerate(COMMON) for bit in own.get(port, ())}
        outputs |= {
            (name, port): own[port]
            for port, each in module["ports"].items()
            if each["direction"] == "output"
        }
        first += 1 + _last(module)
    for (source, out), (sink, into) in streams:
        forth, back = (source, out), (sink, into)
        for (part, port), (reader, read), kind in (
            (forth, back, "payload"),
            (forth, back, "valid"),
            (back, forth, "ready"),
        ):
            drives = part, f"{port}__{kind}"
            driver.update(zip(ports[reader, f"{read}__{kind}"], ports[drives], strict=True))
            del outputs[drives]
    return driven(cells, list(outputs.values()), driver)


def _last(module: Mapping[str, Any]) -> int:
    """The highest number of a net."""
    words = [port["bits"] for port in module["ports"].values()]
    words += [bits for cell in module["cells"].values() for bits in cell["connections"].values()]
    return max((bit for bits in words for bit in bits if not isinstance(bit, str)), default=0)
