# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames made by hand: trains, as TCP hands them to hardware that cuts, and what they become."""

from __future__ import annotations

import struct

NEEDS_CHECKSUM = 1
GSO = {4: 1, 6: 4}  # as struct virtio_net_hdr has it
FIN_PSH_ACK_CWR = 0x99
MACS = bytes.fromhex("020000000202020000000101")
ENDS = {
    4: bytes([10, 111, 0, 1, 10, 111, 0, 2]),
    6: bytes.fromhex("fd000111000000000000000000000001fd000111000000000000000000000002"),
}


def checksum(data: bytes) -> int:
    """RFC 1071, of big-endian words."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(
    version: int, tag: bytes, payload: bytes, *, at: int, flags: int, ident: int, whole: bool = True
) -> bytes:
    """An Ethernet frame of TCP; if not ``whole``, its checksum is of the pseudo header only."""
    length = 20 + len(payload)
    pseudo = ENDS[version] + struct.pack(">II", length, 6)
    tcp = struct.pack(">HHIIBBHHH", 7000, 7001, 1000 + at, 5, 0x50, flags, 512, 0, 0)
    value = checksum(pseudo + tcp + payload) if whole else ~checksum(pseudo) & 0xFFFF
    tcp = tcp[:16] + struct.pack(">H", value) + tcp[18:]
    if version == 4:
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, ident, 0, 64, 6, 0) + ENDS[4]
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    else:
        ip = struct.pack(">IHBB", 0x60000000, length, 6, 64) + ENDS[6]
    return MACS + tag + (b"\x08\x00" if version == 4 else b"\x86\xdd") + ip + tcp + payload


def train(version: int, tag: bytes, payload: bytes, chunk: int) -> bytes:
    """One large frame, behind what says how it is to be cut (``PACKET_VNET_HDR``)."""
    made = frame(version, tag, payload, at=0, flags=FIN_PSH_ACK_CWR, ident=0xFFFE, whole=False)
    start = len(made) - len(payload) - 20
    about = struct.pack("=BBHHHH", NEEDS_CHECKSUM, GSO[version], start + 20, chunk, start, 16)
    return about + made


def cut(version: int, tag: bytes, payload: bytes, chunk: int) -> list[bytes]:
    """Its frames: FIN and PSH are in the last one only, CWR in the first one only."""
    made = []
    for at in range(0, len(payload), chunk):
        last, first = at + chunk >= len(payload), at == 0
        flags = 0x10 | (0x09 if last else 0) | (0x80 if first else 0)
        ident = (0xFFFE + at // chunk) & 0xFFFF
        part = payload[at : at + chunk]
        made.append(frame(version, tag, part, at=at, flags=flags, ident=ident))
    return made
