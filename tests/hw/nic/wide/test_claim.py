# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule A4 by Yosys's SAT solver: what rule A1 calls ours, the core is given, whatever comes."""

from __future__ import annotations

from pathlib import Path

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from midwire.hw.formats.headers import HEADERS_WITHIN
from midwire.hw.nic.bus import CONFIG
from midwire.hw.nic.wide.claim import HEAD_BYTES, may_be_ours

from ..test_proof import prove, to_us


class Claim(wiring.Component):
    """Any head of any size, and any configuration."""

    def __init__(self) -> None:
        super().__init__(
            {
                "head": In(8 * HEADERS_WITHIN),
                "size": In(range(HEADERS_WITHIN + 1)),
                "config": In(CONFIG),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        ours = to_us(m, self.head, self.size, self.config)
        claimed = may_be_ours(self.head[: 8 * HEAD_BYTES], self.config)
        broken = Signal()
        m.d.sync += broken.eq(ours & ~claimed)
        m.d.comb += Assert(~broken)
        return m


def test_a4_what_is_ours_may_be_ours(tmp_path: Path) -> None:
    done = prove(tmp_path, Claim(), 2)
    assert done.returncode == 0, done.stdout + done.stderr
