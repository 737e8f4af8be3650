# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What requests are remembered by is in hardware what it is in software (D6)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from midwire.hw.formats.slots import request_fingerprint
from midwire.hw.nic.bus import ORIGIN, fingerprint_of, key_of

FIELDS = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0xFEDCBA9876543210, 0x0A000001, 40001)]


@pytest.mark.parametrize("address_bytes", [4, 16])
def test_same_as_in_software(address_bytes: int) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    values = random.Random(seed)
    sizes = (64, 8 * address_bytes, 16)
    origin, request_id, found = Signal(ORIGIN), Signal(64), Signal(24)
    m = Module()
    m.d.comb += found.eq(fingerprint_of(key_of(origin, request_id)))

    async def bench(ctx: Any) -> None:
        more = [tuple(map(values.getrandbits, sizes)) for _ in range(200)]
        for number, address, port in (*FIELDS, *more):
            ctx.set(request_id, number)
            ctx.set(origin.src_ip, int.from_bytes(address.to_bytes(address_bytes, "big"), "little"))
            ctx.set(origin.src_port, int.from_bytes(port.to_bytes(2, "big"), "little"))
            assert ctx.get(found) == request_fingerprint(number, address, port)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
