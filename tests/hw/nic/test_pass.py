# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Traffic that is not ours goes through bit for bit: rules A1, A2, and P1 to P3."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from midwire.hw.formats import wire
from midwire.hw.formats.wire import MessageType

from .reading import Address, may_be_ours
from .stacks import NEXT_IP6, OWN_IP, OWN_IP6, OWN_PORT, stacks

US = "10.0.0.2"


def strangers(datagram: bytes) -> dict[str, bytes]:
    """Frames that are not to our address, though they carry a good datagram of ours.

    More of those, with all kinds of headers, are in test_headers.py.
    """
    udp, raw = UDP(sport=40001, dport=5210), Raw(datagram)
    ip6 = IPv6(dst="2001:db8::1")  # not ours
    frames = {
        "arp": Ether() / ARP(pdst="10.0.0.2"),
        "ipv6": Ether() / ip6 / udp / raw,
        "vlan": Ether() / Dot1Q(vlan=5) / IP(dst="10.0.0.4") / udp / raw,
        "double vlan": Ether() / Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP(dst="10.0.0.4") / udp / raw,
        "tcp": Ether() / IP(dst=US) / TCP(sport=40001, dport=5210) / raw,
        "icmp": Ether() / IP(dst=US) / ICMP() / raw,
        "other port": Ether() / IP(dst=US) / UDP(sport=5210, dport=5211) / raw,
        "other address": Ether() / IP(dst="10.0.0.4") / udp / raw,
        "version": Ether() / IP(dst=US, version=6) / udp / raw,
        "first fragment": Ether() / IP(dst=US, flags="MF") / udp / raw,
        "later fragment": Ether() / IP(dst=US, frag=100) / udp / raw,
        "802.3": Ether(type=len(datagram)) / raw,
    }
    return {name: bytes(packet) for name, packet in frames.items()}


def test_a1_strangers(small: Any, tools: Any) -> None:
    (datagram,) = tools.request(small.sizes).datagrams()
    frames = strangers(datagram)
    for name, frame in frames.items():
        assert small.send(frame) == [frame], name
    assert small.check_counters()["passed"] == len(frames)


@pytest.mark.parametrize(("source", "sink"), [(0, 0), (70, 0), (0, 70), (50, 50)])
def test_a1_every_length(small: Any, tools: Any, source: int, sink: int) -> None:
    small.pauses(source, sink, tools.random.getrandbits(31))
    lengths = [*range(1, 130), *range(1440, 1520), 4000, 9014, 9214, 9471, 9472]
    lengths += [tools.random.randint(60, 1514) for _ in range(200)]
    frames = [tools.random.randbytes(length) for length in lengths]
    assert small.send(*frames) == frames
    assert small.check_counters()["passed"] == len(frames)


def test_p1_overlong(small: Any, tools: Any) -> None:
    """Frames that do not fit the store at all still pass, whatever stands in them."""
    request = tools.request(small.sizes)
    (ours,) = request.frames()
    for length in (9473, 9480, 16384, 16392, 40_000):
        frame = ours + tools.random.randbytes(length - len(ours))
        assert small.send(frame) == [frame]
    tools.check_result(request, small.send(ours))
    assert small.check_counters()["passed"] == 5


def test_no_bubble_between_small_frames(small: Any, tools: Any) -> None:
    for _ in range(200):
        small.queue(tools.random.randbytes(60))
    cycles = [frame.cycle for frame in small.drain()]
    assert {b - a for a, b in pairwise(cycles)} == {8}


def test_disabled(small: Any, tools: Any) -> None:
    small.write(control=0)
    (frame,) = tools.request(small.sizes).frames()
    assert small.send(frame) == [frame]
    assert small.check_counters()["passed"] == 1


def test_p1_bad_frames(small: Any, tools: Any) -> None:
    """A frame to our address is dropped; what passes is under way when its end is known."""
    request = tools.request(small.sizes)
    (ours,) = request.frames()
    small.queue(ours, bad=True)
    others = [tools.random.randbytes(length) for length in (1, 60, 100, 12_000)]
    for other in others:
        small.queue(other, bad=True)
        small.queue(other)
    sent = [(other, bad) for other in others for bad in (True, False)]
    assert [(frame.data, frame.bad) for frame in small.drain()] == sent
    tools.check_result(request, small.send(ours))
    counts = small.check_counters()
    assert (counts["dropped_bad_frame"], counts["passed"]) == (1, 8)


def test_a2_latency(small: Any, tools: Any) -> None:
    """First beat in to first beat out, of frames of every kind and length, one behind the other:
    those that cannot be ours by their first 64 bytes."""
    ours = Address.of(OWN_IP, OWN_PORT, OWN_IP6, NEXT_IP6)
    (datagram,) = tools.request(small.sizes).datagrams()
    frames = [stack.frame(datagram, dport=OWN_PORT + 1) for stack in stacks()]
    frames += strangers(datagram).values()
    frames = [frame for frame in frames if not may_be_ours(frame, ours)]
    frames += [tools.random.randbytes(length) for length in (60, 61, 64, 65, 1514, 9014)]
    tools.random.shuffle(frames)
    for frame in frames:
        small.queue(frame)
    out = small.drain()
    assert [frame.data for frame in out] == frames
    waited = [frame.first - entered for frame, entered in zip(out, small.entered(), strict=True)]
    print("cycles waited:", waited)
    assert max(waited) <= 12


def test_p3_not_provably_ours(small: Any, tools: Any) -> None:
    request = tools.request(small.sizes)
    (good,) = request.datagrams()

    def check(counter: str, payload: bytes) -> None:
        before = small.read(counter)
        frame = tools.frame(payload)
        assert small.send(frame) == [frame]
        assert small.read(counter) == before + 1

    check("passed_bad_magic", b"XW" + good[2:])
    check("passed_bad_version", good[:2] + b"\x02" + good[3:])
    for byte in range(3, 64):
        damaged = bytearray(good)
        damaged[byte] ^= 1 << tools.random.randrange(8)
        check("passed_bad_crc", bytes(damaged))
    for kind in (MessageType.REPLY, MessageType.ERROR):
        header = wire.encode(request.with_header(message_type=kind).header)
        check("passed_other_type", header + request.tensor)
    for size in range(64):
        check("passed_malformed", good[:size])
    tools.check_result(request, small.send(tools.frame(good)))
    small.check_counters()


def test_pass_through_while_the_slice_works(large: Any, tools: Any) -> None:
    """Others' frames stay in order and whole, and the result comes too."""
    request = tools.request(large.sizes)
    others = [tools.random.randbytes(tools.random.randint(60, 1514)) for _ in range(100)]
    for frame in request.frames():
        large.queue(frame)
    for frame in others:
        large.queue(frame)
    out = [frame.data for frame in large.drain()]
    assert [frame for frame in out if frame in others] == others
    tools.check_result(request, [frame for frame in out if frame not in others])


def test_others_first(small: Any, tools: Any) -> None:
    """A result waits for all frames of others that are there, but does not wait for ever."""
    request = tools.request(small.sizes)
    small.pauses(0, 90, tools.random.getrandbits(31))  # a slow link: frames wait in the store
    others = [tools.random.randbytes(64) for _ in range(40)]
    small.queue(request.frames()[0])
    for frame in others:
        small.queue(frame)
    out = [frame.data for frame in small.drain()]
    assert out[:40] == others
    tools.check_result(request, out[40:])
