# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Headers in front of a datagram, of every kind that the NIC reads, built by scapy."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from scapy.layers.inet import IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from midwire.hw.formats.slots import DECISIONS, request_fingerprint

CLIENT_IP, OWN_IP, NEXT_IP = "10.0.0.1", "10.0.0.2", "10.0.0.3"
CLIENT_IP6, OWN_IP6, NEXT_IP6 = "2001:db8:1::a1", "2001:db8:2::b2:2", "2001:db8:3:4:5:6:7:c3"
CLIENT_PORT, OWN_PORT, NEXT_PORT = 40001, 5210, 5211
CLIENT_MAC, OWN_MAC, NEXT_MAC = "02:00:0a:00:00:01", "02:00:0a:00:00:02", "02:00:0a:00:00:03"


def decision_place(request_id: int, ip: str, port: int) -> int:
    """Where what is decided on a request of one tensor is remembered (D6)."""
    return request_fingerprint(request_id, int(ipaddress.ip_address(ip)), port) % DECISIONS


@dataclass(frozen=True)
class Stack:
    """Ethernet with tags, and the IP header with what belongs to it."""

    tags: tuple[Packet, ...]
    ip: Packet

    def frame(self, datagram: bytes, sport: int = CLIENT_PORT, dport: int = OWN_PORT) -> bytes:
        """A whole frame, its lengths and checksums filled in."""
        packet = Ether(src=CLIENT_MAC, dst=OWN_MAC)
        for tag in self.tags:
            packet /= tag
        return bytes(packet / self.ip / UDP(sport=sport, dport=dport) / Raw(datagram))

    @property
    def client(self) -> tuple[str, int]:
        """Who sends it."""
        return self.ip.src, CLIENT_PORT

    @property
    def udp_at(self) -> int:
        """Byte of the frame at which UDP begins."""
        return 14 + 4 * len(self.tags) + len(bytes(self.ip))

    def __str__(self) -> str:
        kinds = [type(layer).__name__ for layer in (*self.tags, *_layers(self.ip))]
        return f"{'/'.join(kinds)} of {self.udp_at} bytes"


def ip_of(packet: Packet) -> Any:
    """The IP header of a frame."""
    return packet[IPv6] if IPv6 in packet else packet[IP]


def tags_of(frame: bytes) -> bytes:
    """The VLAN tags of a frame as they are in it."""
    end = 12
    while frame[end : end + 2] in (b"\x81\x00", b"\x88\xa8"):
        end += 4
    return frame[12:end]


def ipv4(options: int = 0, **fields: Any) -> Packet:
    """An IPv4 header with so many bytes of options: no operation, but for a last end of list."""
    values: dict[str, Any] = {"src": CLIENT_IP, "dst": OWN_IP, "tos": 0x28, "ttl": 61, "id": 99}
    values |= fields
    return IP(**values, options=[IPOption(bytes([1] * (options - 1) + [0]))] if options else [])


def ipv6(*extensions: Packet, **fields: Any) -> Packet:
    """An IPv6 header with extension headers."""
    values: dict[str, Any] = {"src": CLIENT_IP6, "dst": OWN_IP6, "tc": 0x28, "hlim": 61}
    values |= {"fl": 0xABCDE} | fields
    packet = IPv6(**values)
    for extension in extensions:
        packet /= extension
    return packet


def hop_by_hop(size: int = 8) -> Packet:
    return IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(size - 4))])


def destination(size: int = 8) -> Packet:
    return IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(size - 4))])


def routing(addresses: int = 0, left: int = 0) -> Packet:
    """So many addresses, and segments left."""
    return IPv6ExtHdrRouting(addresses=["2001:db8::1"] * addresses, segleft=left)


EXTENSIONS = (
    (),
    (hop_by_hop(),),
    (destination(16),),
    (routing(),),
    (routing(1),),
    (hop_by_hop(16), routing()),
    (hop_by_hop(), destination(24)),
    (destination(), routing(), destination(24)),
    (hop_by_hop(), routing(1), destination()),
)
"""Of 0 to 40 bytes."""


def tags(count: int, seed: int = 1) -> tuple[Packet, ...]:
    """So many tags with any values, the outer one of two a service tag."""
    chosen = random.Random(seed + count)
    kinds = (Dot1Q,) if count == 1 else (Dot1AD, Dot1Q)[:count]
    return tuple(
        kind(vlan=chosen.randrange(4096), prio=chosen.randrange(8), dei=chosen.randrange(2))
        for kind in kinds
    )


def stacks() -> Iterator[Stack]:
    """Tags by IPv4 options or IPv6 extension headers: all that are read."""
    inner = [ipv4(options) for options in range(0, 41, 4)]
    inner += [ipv6(*extensions) for extensions in EXTENSIONS]
    for count, ip in product(range(3), inner):
        yield Stack(tags(count), ip)
    yield Stack((Dot1AD(vlan=7),), ipv4())
    yield Stack((Dot1Q(vlan=7), Dot1Q(vlan=8)), ipv6())
    yield Stack((Dot1Q(vlan=7), Dot1AD(vlan=8)), ipv4(8))


def strange(datagram: bytes) -> dict[str, bytes]:
    """Frames that are not to our address, though they carry a good datagram of ours."""
    udp = UDP(sport=40001, dport=OWN_PORT) / Raw(datagram)
    ether = Ether(dst="02:00:00:00:00:01")
    plain = bytes(ether / ipv6() / udp)
    frames: dict[str, Any] = {
        "three tags": ether / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / ipv4() / udp,
        "unknown tag": ether / Dot1Q(vlan=1, type=0x9100) / ipv4() / udp,
        "first fragment": ether / Dot1Q(vlan=1) / ipv4(8, flags="MF") / udp,
        "later fragment": ether / ipv4(40, frag=8) / udp,
        "version 6 in IPv4": ether / ipv4(version=6) / udp,
        "version 4 in IPv6": ether / ipv6(version=4) / udp,
        "tcp": ether / Dot1Q(vlan=1) / ipv6(hop_by_hop()) / TCP(dport=OWN_PORT) / Raw(datagram),
        "icmp": ether / ipv6() / ICMPv6EchoRequest() / Raw(datagram),
        "fragment header": ether / ipv6(IPv6ExtHdrFragment(m=1)) / udp,
        "atomic fragment": ether / ipv6(hop_by_hop(), IPv6ExtHdrFragment()) / udp,
        "esp": ether / ipv6(destination()) / ESP(spi=1, seq=1, data=bytes(udp)),
        "ah": ether / ipv6(AH(spi=1, icv=bytes(12))) / udp,
        "unknown header": plain[:20] + b"\xfd" + plain[21:],
        "no next header": plain[:20] + b"\x3b" + plain[21:],
        "hop-by-hop behind another": ether / ipv6(destination(), hop_by_hop()) / udp,
        "segments left": ether / ipv6(routing(1, left=1)) / udp,
        "segments left, later": ether / Dot1Q(vlan=1) / ipv6(destination(), routing(1, 1)) / udp,
    }
    return {name: bytes(packet) for name, packet in frames.items()}


def mutated(good: bytes, source: random.Random) -> bytes:
    """A frame with some bytes of its headers changed, cut short or lengthened."""
    likely = (0, 1, 4, 5, 6, 17, 43, 44, 45, 60, 0x46, 0x4F, 0x60, 0x81, 0x88, 0xA8, 0xDD, 255)
    frame = bytearray(good)
    for _ in range(source.choice((0, 1, 1, 1, 2, 3, 6))):
        place = source.randrange(12, min(len(frame), 112))
        choice = source.choice
        frame[place] = choice((choice(likely), source.randrange(256), frame[place] ^ 1))
    kind = source.random()
    if kind < 0.1:
        del frame[source.randrange(1, len(frame)) :]
    elif kind < 0.2:
        frame += source.randbytes(source.randrange(1, 60))
    elif kind < 0.3:  # something taken out or put in, in whole words of 4 bytes
        at = source.randrange(12, min(len(frame), 60), 4)
        words = 4 * source.randrange(1, 4)
        frame[at:at] = frame[at : at + words]
    elif kind < 0.4:
        at = source.randrange(12, min(len(frame), 60), 4)
        del frame[at : at + 4 * source.randrange(1, 4)]
    return bytes(frame)


def _layers(packet: Packet) -> Iterator[Packet]:
    while packet and not isinstance(packet, Raw):
        yield packet
        packet = packet.payload
