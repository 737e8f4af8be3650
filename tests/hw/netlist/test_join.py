# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts of a slice as one netlist."""

from __future__ import annotations

from typing import Any

from midwire.hw.netlist.fabrics import XCUP
from midwire.hw.netlist.join import PartModule, joined
from midwire.hw.netlist.structure import structure_of


def part(kind: str) -> dict[str, Any]:
    """Registers of two bits of a stream, each a function of both, and the flag beside them."""
    ports = {
        "clk": ("input", [2]),
        "i__payload": ("input", [3, 4]),
        "i__valid": ("input", [5]),
        "i__ready": ("output", [6]),
        "o__payload": ("output", [8, 9]),
        "o__valid": ("output", [5]),
        "o__ready": ("input", [6]),
    }
    cells = [
        {"type": kind, "parameters": {}, "connections": {"A": [3], "B": [4], "Y": [7]}},
        {"type": "$dff", "parameters": {}, "connections": {"D": [7, 4], "Q": [8, 9]}},
    ]
    return {
        "ports": {name: {"direction": way, "bits": bits} for name, (way, bits) in ports.items()},
        "cells": dict(enumerate(cells)),
    }


STREAM = [(("a", "o"), ("b", "i"))]


def test_parts_apart_are_their_sum() -> None:
    words = joined([PartModule("a", "a", part("$and")), PartModule("b", "b", part("$or"))], [])
    assert len(words.outputs) == 6
    found = structure_of(words, XCUP, {})
    assert (found.tables, found.registers) == (2, 4)


def test_a_stream_joins_its_source_to_its_sink() -> None:
    """What the sink drives is what it does not read of the source: the way back."""
    words = joined([PartModule("a", "a", part("$and")), PartModule("b", "b", part("$or"))], STREAM)
    first, second = (cell for cell in words.cells if cell.kind == "$dff")
    sink = next(cell for cell in words.cells if cell.kind == "$or")
    assert sink.ports["A"] + sink.ports["B"] == first.ports["Q"]
    assert second.ports["Q"] in words.outputs and first.ports["Q"] not in words.outputs


def test_what_the_sink_does_not_read_is_not_there() -> None:
    blind = part("$or")
    blind["cells"] = {0: blind["cells"][0] | {"connections": {"A": [3], "B": ["0"], "Y": [8]}}}
    blind["ports"]["o__payload"]["bits"] = [8, "0"]
    found = structure_of(
        joined([PartModule("a", "a", part("$and")), PartModule("b", "b", blind)], STREAM), XCUP, {}
    )
    assert (found.tables, found.registers) == (1, 1)


def test_a_cell_stands_for_another_module_of_its_part() -> None:
    """A function of the outer module and one of the inner are one table."""
    outer = part("$and")
    connected = {"A": [7], "B": [4], "Y": [10], "clk": [2]}
    outer["cells"][1] = {"type": "a_finish", "parameters": {}, "connections": connected}
    outer["cells"][2] = {"type": "$dff", "parameters": {}, "connections": {"D": [10], "Q": [8]}}
    outer["ports"]["o__payload"]["bits"] = [8, "0"]
    ways = {"A": "input", "B": "input", "Y": "output", "clk": "input"}
    inner = {
        "ports": {
            name: {"direction": way, "bits": [2 + k]} for k, (name, way) in enumerate(ways.items())
        },
        "cells": {
            0: {"type": "$or", "parameters": {}, "connections": {"A": [2], "B": [3], "Y": [4]}}
        },
    }
    words = joined([PartModule("a", "a", outer), PartModule("a", "a_finish", inner)], [])
    assert [cell.kind for cell in words.cells] == ["$and", "$dff", "$or"]
    found = structure_of(words, XCUP, {})
    assert (found.tables, found.registers) == (1, 1)
