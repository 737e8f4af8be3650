# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames that the NIC makes of jobs: rules F1 to F3 of hw/nic/prepare.py."""

from __future__ import annotations

from typing import Any, NamedTuple

import google_crc32c
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from midwire.hw.formats import csr

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
    tags_of,
)

REGISTERS = {
    "own_mac": number(OWN_MAC),
    "own_port": OWN_PORT,
}
NAMES = {register.offset: register.name for register in csr.REGISTERS}


def lanes(data: bytes) -> int:
    return int.from_bytes(data, "little")


def set_registers(ctx: Any, config: Any) -> None:
    """Those that headers depend on."""
    for register, value in csr.settings(**REGISTERS):
        ctx.set(config[NAMES[register]], value)


class MadeFrame(NamedTuple):
    """A frame to be made: of a request with headers ``stack``, ``back`` to its sender or onward."""

    stack: Stack
    back: bool
    header: bytes
    payload: bytes

    def offer(self, ctx: Any, job: Any) -> None:
        """Set a job's fields."""
        came = self.stack.frame(b"")
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
            "header": lanes(self.header),
        }
        address = number(NEXT_IP6).to_bytes(16) if origin["ipv6"] else number(NEXT_IP).to_bytes(4)
        hop = {
            "mac": lanes(number(NEXT_MAC).to_bytes(6)),
            "ip": lanes(address),
            "port": lanes(NEXT_PORT.to_bytes(2)),
        }
        for name, value in origin.items():
            ctx.set(job.origin[name], value)
        for name, value in hop.items():
            ctx.set(job.hop[name], value)
        ctx.set(job.back, self.back)
        ctx.set(job.bytes, len(self.payload))
        # A sum of little-endian lanes is that of network order with its bytes swapped (B3).
        ctx.set(job.sum, lanes(sum16(self.payload).to_bytes(2, "big")))

    def check(self, frame: bytes) -> None:
        """Whether this is the frame that is to be made."""
        packet, again, came = Ether(frame), Ether(frame), Ether(self.stack.frame(b""))
        ip, request = ip_of(packet), ip_of(came)
        del again[UDP].chksum, again[UDP].len
        if isinstance(ip, IPv6):
            del ip_of(again).plen
            assert (ip.nh, ip.fl, ip.tc, ip.hlim) == (17, 0, 0x28, 64 if self.back else 61)
        else:
            del ip_of(again).chksum, ip_of(again).len
            ttl = 64 if self.back else 61
            assert (ip.ihl, ip.id, int(ip.flags), ip.tos, ip.ttl) == (5, 0, 2, 0x28, ttl)
        assert bytes(again) == frame, "checksums or lengths"
        assert tags_of(frame) == tags_of(self.stack.frame(b""))
        next_ip = NEXT_IP if not isinstance(ip, IPv6) else NEXT_IP6
        onward = (NEXT_MAC, request.src, next_ip, CLIENT_PORT, NEXT_PORT)
        to_sender = (CLIENT_MAC, request.dst, request.src, OWN_PORT, CLIENT_PORT)
        told = (packet.dst, ip.src, ip.dst, packet[UDP].sport, packet[UDP].dport)
        assert told == (to_sender if self.back else onward) and packet.src == OWN_MAC

        mine = bytes(packet[UDP].payload)
        crc = google_crc32c.value(self.header[:-4] + bytes(4)).to_bytes(4, "big")
        assert mine == self.header[:-4] + crc + self.payload
