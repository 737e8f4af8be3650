# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Headers that the NIC writes, onward and back, in Amaranth's simulator: rules F1 to F3."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import google_crc32c
import pytest
from amaranth.sim import Simulator
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from midwire.hw.formats import csr
from midwire.hw.formats.wire import HEADER_BYTES
from midwire.hw.nic.outer_headers import FRONT_WORDS
from midwire.hw.nic.prepare import HEADER_WORDS, Preparer

from .conftest import number
from .reading import sum16
from .stacks import (
    CLIENT_MAC,
    CLIENT_PORT,
    NEXT_IP,
    NEXT_IP6,
    NEXT_MAC,
    NEXT_PORT,
    OWN_MAC,
    OWN_PORT,
    Stack,
    ip_of,
    ipv4,
    ipv6,
    tags,
    tags_of,
)

REGISTERS = {
    "own_mac": number(OWN_MAC),
    "own_port": OWN_PORT,
}
NAMES = {register.offset: register.name for register in csr.REGISTERS}


def lanes(data: bytes) -> int:
    return int.from_bytes(data, "little")


def prepared(stack: Stack, back: bool, header: bytes, payload: bytes) -> tuple[bytes, int]:
    """The frame that is made of a job, and the cycles until its headers were offered."""
    came = stack.frame(b"")
    packet, ip = Ether(came), ip_of(Ether(came))
    fields = ("tc", "hlim") if isinstance(ip, IPv6) else ("tos", "ttl")
    origin = {
        "src_mac": lanes(came[6:12]),
        "tag_count": len(tags_of(came)) // 4,
        # What is behind a tag is in the same bytes, whatever it is.
        "tags": lanes(came[12:20]),
        "ipv6": int(isinstance(ip, IPv6)),
        "src_ip": lanes(number(ip.src).to_bytes(16 if isinstance(ip, IPv6) else 4, "big")),
        "dst_ip": lanes(number(ip.dst).to_bytes(16 if isinstance(ip, IPv6) else 4, "big")),
        "src_port": lanes(packet[UDP].sport.to_bytes(2, "big")),
        "tos": getattr(ip, fields[0]),
        "ttl": getattr(ip, fields[1]),
        "header": lanes(header),
    }
    address = number(NEXT_IP6).to_bytes(16) if origin["ipv6"] else number(NEXT_IP).to_bytes(4)
    hop = {
        "mac": lanes(number(NEXT_MAC).to_bytes(6)),
        "ip": lanes(address),
        "port": lanes(NEXT_PORT.to_bytes(2)),
    }
    component = Preparer()
    found: list[tuple[bytes, int]] = []

    async def bench(ctx: Any) -> None:
        for register, value in csr.settings(**REGISTERS):
            ctx.set(component.config[NAMES[register]], value)
        job = component.i.payload
        for name, value in origin.items():
            ctx.set(job.origin[name], value)
        for name, value in hop.items():
            ctx.set(job.hop[name], value)
        ctx.set(job.back, back)
        ctx.set(job.bytes, len(payload))
        # A sum of little-endian lanes is that of network order with its bytes swapped (B3).
        ctx.set(job.sum, lanes(sum16(payload).to_bytes(2, "big")))
        ctx.set(component.i.valid, 1)
        await ctx.tick()
        ctx.set(component.i.valid, 0)
        cycles = 1
        while not ctx.get(component.o.valid):
            await ctx.tick()
            cycles += 1
        # Taken at once, and a word read in each cycle from then on: none may come too late.
        made = component.o.payload
        ctx.set(component.o.ready, 1)
        buffer, begin, words = (ctx.get(made[name]) for name in ("buffer", "begin", "words"))
        first = {name: ctx.get(made.first[name]) for name in ("odd", "fits", "tail", "back")}
        start = ctx.get(made.first.bytes).to_bytes(6, "little")
        frame = start if first["odd"] else start[-2:]
        ctx.set(component.buffer, buffer)
        for at in range(begin, FRONT_WORDS + HEADER_WORDS):
            await ctx.tick()
            ctx.set(component.o.ready, 0)
            ctx.set(component.at, at)
            frame += ctx.get(component.word).to_bytes(8, "little")
        assert first["back"] == back and words == -(-len(payload) // 8)
        end = len(frame + payload) - 1
        assert first["tail"] == end % 8
        assert first["fits"] == (end // 8 == (end - (len(payload) - 1) % 8) // 8)
        assert ctx.get(component.i.ready)
        found.append((frame + payload, cycles))

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found[0]


@pytest.mark.parametrize(("version", "count"), [*product((4, 6), range(3))])
@pytest.mark.parametrize("back", [False, True])
def test_f1(version: int, count: int, back: bool) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    stack = Stack(tags(count, seed), ipv4(8) if version == 4 else ipv6())
    header, payload = source.randbytes(HEADER_BYTES), source.randbytes(source.randrange(1, 90))
    frame, cycles = prepared(stack, back, header, payload)
    assert cycles == 6

    packet, again, came = Ether(frame), Ether(frame), Ether(stack.frame(b""))
    ip, request = ip_of(packet), ip_of(came)
    del again[UDP].chksum, again[UDP].len
    if version == 6:
        del ip_of(again).plen
        assert (ip.nh, ip.fl, ip.tc, ip.hlim) == (17, 0, 0x28, 64 if back else 61)
    else:
        del ip_of(again).chksum, ip_of(again).len
        assert (ip.ihl, ip.id, int(ip.flags), ip.tos, ip.ttl) == (5, 0, 2, 0x28, 64 if back else 61)
    assert bytes(again) == frame, "checksums or lengths"
    assert tags_of(frame) == tags_of(stack.frame(b""))
    next_ip = NEXT_IP if version == 4 else NEXT_IP6
    onward = (NEXT_MAC, request.src, next_ip, CLIENT_PORT, NEXT_PORT)
    to_sender = (CLIENT_MAC, request.dst, request.src, OWN_PORT, CLIENT_PORT)
    told = (packet.dst, ip.src, ip.dst, packet[UDP].sport, packet[UDP].dport)
    assert told == (to_sender if back else onward) and packet.src == OWN_MAC

    mine = bytes(packet[UDP].payload)
    crc = google_crc32c.value(header[:-4] + bytes(4)).to_bytes(4, "big")
    assert mine == header[:-4] + crc + payload
