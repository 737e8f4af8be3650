# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule A1 in Python, over bytes: the golden model of the classifier, in hardware and in C++."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from midwire.hw.formats.headers import HEADERS_WITHIN
from midwire.hw.nic.wide.head import HEAD_BYTES


class Elsewhere(Exception):
    """The frame is not to our address."""


class Unread(Elsewhere):
    """It cannot be known (A3)."""


@dataclass(frozen=True)
class Address:
    """What the registers say. IPv6 addresses of 0 are none."""

    ip: int
    port: int
    ip6: int = 0
    next_ip6: int = 0

    @classmethod
    def of(cls, ip: str, port: int, ip6: str = "::", next_ip6: str = "::") -> Address:
        """From text."""
        numbers = [int(ipaddress.ip_address(text)) for text in (ip, ip6, next_ip6)]
        return cls(numbers[0], port, numbers[1], numbers[2])


@dataclass(frozen=True)
class Where:
    """Bytes of the frame at which headers begin."""

    ipv6: bool
    ip_at: int
    udp_at: int

    @property
    def header_at(self) -> int:
        """Of the midwire header."""
        return self.udp_at + 8

    @property
    def addresses(self) -> slice:
        """Of the IP addresses, source and destination."""
        first, size = (8, 32) if self.ipv6 else (12, 8)
        return slice(self.ip_at + first, self.ip_at + first + size)

    def datagram(self, frame: bytes) -> bytes:
        """What UDP says that it carries."""
        length = int.from_bytes(frame[self.udp_at + 4 : self.udp_at + 6], "big")
        return frame[self.header_at : self.udp_at + length]


def read(frame: bytes, address: Address) -> Where:
    """Where the headers of a frame to our address are.

    Raises
    ------
    Elsewhere, Unread
        If it is not to our address, or too much would have to be read to know.
    """

    def number(at: int, size: int) -> int:
        if at + size > len(frame):
            raise Elsewhere
        return int.from_bytes(frame[at : at + size], "big")

    def must(right: bool) -> None:
        if not right:
            raise Elsewhere

    ip_at = 14
    while ip_at < 22 and number(ip_at - 2, 2) in (0x8100, 0x88A8):
        ip_at += 4
    if number(ip_at - 2, 2) == 0x0800:
        version, words = divmod(number(ip_at, 1), 16)
        must(version == 4 and words >= 5)
        must(not number(ip_at + 6, 2) & 0x3FFF)
        must(number(ip_at + 9, 1) == 17)
        must(address.ip in (0, number(ip_at + 16, 4)))
        found = Where(False, ip_at, ip_at + 4 * words)
    else:
        must(number(ip_at - 2, 2) == 0x86DD and address.ip6 != 0 and address.next_ip6 != 0)
        must(number(ip_at, 1) >> 4 == 6)
        kind, allowed = number(ip_at + 6, 1), (0, 17, 43, 60)
        must(kind in allowed)
        must(number(ip_at + 24, 16) == address.ip6)
        at = ip_at + 40
        while kind != 17:
            following, size = number(at, 1), 8 + 8 * number(at + 1, 1)
            must(following in allowed[1:])
            if at + size + 8 > HEADERS_WITHIN:
                raise Unread
            must(kind != 43 or number(at + 3, 1) == 0)
            kind, at = following, at + size
        found = Where(True, ip_at, at)
    must(number(found.udp_at + 2, 2) == address.port)
    must(len(frame) >= found.header_at)
    return found


def may_be_ours(frame: bytes, address: Address) -> bool | None:
    """Rule A4, of a frame with all bytes that it looks at; None if some are not there."""
    if len(frame) < HEAD_BYTES:
        return None

    def number(at: int, size: int) -> int:
        return int.from_bytes(frame[at : at + size], "big")

    def is_port(at: int) -> bool:
        return at + 4 > HEAD_BYTES or number(at + 2, 2) == address.port

    at = 14
    while at < 22 and number(at - 2, 2) in (0x8100, 0x88A8):
        at += 4
    version, words = divmod(number(at, 1), 16)
    if number(at - 2, 2) == 0x0800:
        return (
            version == 4
            and words >= 5
            and not number(at + 6, 2) & 0x3FFF
            and number(at + 9, 1) == 17
            and address.ip in (0, number(at + 16, 4))
            and (words > 5 or is_port(at + 20))
        )
    kind = number(at + 6, 1)
    return (
        number(at - 2, 2) == 0x86DD
        and version == 6
        and 0 not in (address.ip6, address.next_ip6)
        and number(at + 24, 16) == address.ip6
        and (kind in (0, 43, 60) or (kind == 17 and is_port(at + 40)))
    )


def sum16(data: bytes | bytearray) -> int:
    """The sum of RFC 1071, folded; an odd last byte is padded with zero."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) & ~1]))
    total += data[-1] << 8 if len(data) & 1 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def well_formed(frame: bytes, where: Where) -> bool:
    """Whether IPv4's checksum and all lengths are right, and there is room for a header (P3)."""
    length = int.from_bytes(frame[where.udp_at + 4 : where.udp_at + 6], "big")
    at = where.ip_at
    if where.ipv6:
        end = at + 40 + int.from_bytes(frame[at + 4 : at + 6], "big")
    else:
        end = at + int.from_bytes(frame[at + 2 : at + 4], "big")
        if sum16(frame[at : where.udp_at]) != 0xFFFF:
            return False
    return end == where.udp_at + length and length >= 72 and len(frame) >= end


def udp_is_right(frame: bytes, where: Where) -> bool:
    """Whether the UDP checksum is right; 0 is in IPv4, and is not in IPv6 (P4)."""
    udp = where.udp_at
    length = int.from_bytes(frame[udp + 4 : udp + 6], "big")
    if frame[udp + 6 : udp + 8] == bytes(2):
        return not where.ipv6
    pseudo = frame[where.addresses] + bytes([0, 17]) + frame[udp + 4 : udp + 6]
    return sum16(pseudo + frame[udp : udp + length]) == 0xFFFF
