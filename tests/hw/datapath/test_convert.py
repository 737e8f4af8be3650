# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Verilog from Amaranth, several components at a time."""

from __future__ import annotations

import json
import re

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from midwire.hw.datapath.convert import to_batch, to_part
from midwire.hw.datapath.stream import Fifo, Outlet, beat

COMPONENTS = (Fifo(beat(8, 1), 4), Outlet(beat(3, 2), 40))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Both, and the first again."""
    every = (*COMPONENTS, COMPONENTS[0])
    parts = [to_part(each, index) for index, each in enumerate(every)]
    return [each.verilog for each in to_batch(parts, "some", [True, False, True])]


def test_netlists_are_made_where_they_are_asked_for() -> None:
    parts = [to_part(each, index) for index, each in enumerate(COMPONENTS)]
    first, second = to_batch(parts, "some", [False, True])
    assert first.netlist is None and second.netlist is not None
    cells = json.loads(second.netlist)["cells"].values()
    assert "$mem_v2" in {cell["type"] for cell in cells}


def test_every_module_has_the_name_given(texts: list[str]) -> None:
    modules = [re.findall(r"^module \\?([^\s(]+)", text, re.M) for text in texts]
    assert modules[0] == modules[2] == ["some"]
    assert sorted(modules[1]) == ["some", "some.fifo"]
    assert not any("MwBatch" in text for text in texts)


def test_the_text_does_not_depend_on_what_is_converted_beside_it(texts: list[str]) -> None:
    """It goes into a cache, and a bundle's hash, by what the component is."""
    assert texts[0] == texts[2]
    assert texts[1] == to_batch([to_part(COMPONENTS[1], 0)], "some", [False])[0].verilog


def test_what_yosys_says_is_told() -> None:
    with pytest.raises(RuntimeError, match="Yosys failed: ERROR: Parser error in line 1: "):
        to_batch(["nonsense"], "some", [False])


class Inner(wiring.Component):
    """Has a port of no bits."""

    def __init__(self) -> None:
        super().__init__({"nothing": Out(0), "some": Out(1)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.d.sync += self.some.eq(~self.some)
        return m


class Corner(wiring.Component):
    """Has an index into one thing, and ports that sort by number."""

    def __init__(self) -> None:
        super().__init__({**{f"o{k}": Out(1) for k in (10, 9)}, "a": In(1), "nothing": Out(0)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.inner = inner = Inner()
        m.d.comb += self.nothing.eq(inner.nothing)
        index = Signal(range(1))
        with m.If(index == 0):
            m.d.sync += self.o9.eq(self.a)
        m.d.sync += index.eq(index + 1)
        m.d.comb += self.o10.eq(self.a)
        return m


def test_signals_of_no_bits_are_none_in_verilog() -> None:
    text = to_batch([to_part(Corner(), 0)], "some", [False])[0].verilog
    assert "[-1:0]" not in text and "index" not in text and "nothing" not in text
    assert re.search(r"o9 +<= ", text)


def test_ports_stand_in_the_order_of_their_names() -> None:
    """Whatever order they were declared or found in."""
    text = to_batch([to_part(Corner(), 0)], "some", [False])[0].verilog
    assert text.startswith("module some (\n  clk,\n  rst,\n  a,\n  o9,\n  o10\n);\n")
    assert text.endswith("\nendmodule\n")
