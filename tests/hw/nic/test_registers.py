# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The register file over AXI-Lite (rules C1 and C2), and the generator's refusals."""

from __future__ import annotations

from typing import Any

import pytest

from midwire.hw.formats import csr
from midwire.hw.nic.shape import SliceShape, WireTensor
from midwire.hw.nic.top import NicShell

OKAY, SLVERR = 0, 2


def test_identification(small: Any) -> None:
    assert small.read("type") == csr.TYPE
    assert small.read("version") == csr.BLOCK_VERSION
    assert small.read("capability") == 0x01014008
    assert small.read("input_bytes") == 48
    assert small.read("output_bytes") == 10


def test_config_keeps_what_is_written_up_to_its_width(small: Any) -> None:
    for register in csr.REGISTERS:
        if register.access in {"config", "model"} and register.name != "control":
            for value in (0xFFFFFFFF, 0x12345678, 0):
                assert small.write_at(register.offset, value) == OKAY
                expected = value & (1 << register.width) - 1
                assert small.read_at(register.offset) == (OKAY, expected), register


def test_c2_read_only(small: Any) -> None:
    for register in csr.REGISTERS:
        if register.access in {"config", "model", "entry", "command"}:
            continue
        for address in register.addresses:
            before = small.read_at(address)
            assert small.write_at(address, 0xFFFFFFFF) == SLVERR
            assert small.read_at(address) == before


def test_c5_counters_read_as_of_the_last_snapshot(small: Any, tools: Any) -> None:
    at, frames = csr.ADDRESS, tools.request(small.sizes).frames()
    before = small.counters()
    small.send(*frames)
    for address in (at["frames_in"], at["frames_in"] + 4):
        assert small.read_at(address) == (OKAY, 0)  # nobody took one
    assert small.read_at(at["snapshot"]) == (OKAY, 0)
    after = small.counters()
    rose = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert rose == dict.fromkeys(
        ["frames_in", "requests", "results", "result_frames", "collected"], 1
    )


def test_c8_registers_of_a_core_that_is_not_there(small: Any) -> None:
    assert small.read("cores") == 1
    of_core = [r for r in csr.REGISTERS if r.access == "model" or r.name in csr.OF_CORE]
    before = {register: small.read_at(register.offset) for register in of_core}
    for index in (1, 2, 255):
        small.write(core_index=index)
        for register in of_core:
            assert small.read_at(register.offset) == (OKAY, 0)
            assert small.write_at(register.offset, 0xFFFFFFFF) == SLVERR
    small.write(core_index=0)
    assert {register: small.read_at(register.offset) for register in of_core} == before


def test_c2_unmapped(small: Any) -> None:
    mapped = {address for register in csr.REGISTERS for address in register.addresses}
    for address in range(0, 1 << csr.ADDRESS_BITS, 4):
        if address not in mapped:
            assert small.read_at(address) == (SLVERR, 0)
    for address in (0x1, 0x1D, csr.COUNTERS_AT - 4, csr.COUNTERS_AT + 1, 0xFFC):
        assert small.write_at(address, 1) == SLVERR
        assert small.read_at(address) == (SLVERR, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (3, 64, 8, 64),
            r"input tensor .* fit 65535 fragments \(578805120 bytes\), not 64 bytes in beats of 3",
        ),
        (
            (8, 64, 8, 4),
            r"output tensor must be whole beats .*, not 4 bytes in beats of 8",
        ),
        (
            (8, 64, 8, 578805120 + 8),
            r"output tensor .*, not 578805128 bytes in beats of 8",
        ),
    ],
)
def test_refusals(arguments: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NicShell([SliceShape((WireTensor(*arguments[:2]),), (WireTensor(*arguments[2:]),))])


def test_bounds_are_allowed() -> None:
    """A tensor of one beat, and the largest."""
    NicShell([SliceShape((WireTensor(8, 8),), (WireTensor(8, 578805120),))])
