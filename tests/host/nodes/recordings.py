# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recorded files (classic pcap) as tests write and read them, and datagrams in Ethernet frames."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from midwire.host.wire.udp import Address

LITTLE = "<"
BIG = ">"


def write_pcap(path: Path, frames: Iterable[bytes], order: str = LITTLE) -> None:
    with path.open("wb") as out:
        out.write(struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for index, frame in enumerate(frames):
            out.write(struct.pack(order + "IIII", 1, index, len(frame), len(frame)) + frame)


def read_pcap(path: Path) -> list[bytes]:
    data = path.read_bytes()
    assert struct.unpack_from(">IHHiIII", data) == (0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    frames: list[bytes] = []
    at = 24
    while at < len(data):
        seconds, micros, size, whole = struct.unpack_from(">IIII", data, at)
        assert (seconds * 1_000_000 + micros, size) == (len(frames), whole)
        frames.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return frames


def ethernet(**fields: Any) -> Any:
    return Ether(src="02:00:00:00:00:11", dst="02:00:00:00:00:22", **fields)


def frame(payload: bytes, source: Address, target: Address, **ip: Any) -> bytes:
    layers = IP(src=source[0], dst=target[0], **ip) / UDP(sport=source[1], dport=target[1])
    return bytes(ethernet() / layers / payload)
