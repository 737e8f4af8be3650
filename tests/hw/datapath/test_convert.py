# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Verilog from Amaranth, several components at a time."""

from __future__ import annotations

import re

import pytest

from midwire.hw.datapath.convert import to_part, to_verilog_batch
from midwire.hw.datapath.stream import Fifo, Outlet, beat

COMPONENTS = (Fifo(beat(8, 1), 4), Outlet(beat(3, 2), 40))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Both, and the first again."""
    every = (*COMPONENTS, COMPONENTS[0])
    return to_verilog_batch([to_part(each, index) for index, each in enumerate(every)], "some")


def test_every_module_has_the_name_given(texts: list[str]) -> None:
    modules = [re.findall(r"^module \\?([^\s(]+)", text, re.M) for text in texts]
    assert modules[0] == modules[2] == ["some"]
    assert sorted(modules[1]) == ["some", "some.fifo"]
    assert not any("MwBatch" in text for text in texts)


def test_the_text_does_not_depend_on_what_is_converted_beside_it(texts: list[str]) -> None:
    """It goes into a cache, and a bundle's hash, by what the component is."""
    assert texts[0] == texts[2]
    assert texts[1:2] == to_verilog_batch([to_part(COMPONENTS[1], 0)], "some")


def test_what_yosys_says_is_told() -> None:
    with pytest.raises(RuntimeError, match="Yosys failed: ERROR: Parser error in line 1: "):
        to_verilog_batch(["nonsense"], "some")
