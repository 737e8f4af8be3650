# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Our frames behind any headers, and what looks like them: rules A1 to A3, P3, P4 and F1."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scapy.layers.inet6 import (
    IPv6ExtHdrHopByHop,
    Jumbo,
)

from midwire.hw.formats.headers import HEADERS_WITHIN
from midwire.hw.formats.wire import DeclineReason

from .conftest import Nic, Request, Tools
from .reading import Address, Elsewhere, Unread, Where, read, sum16, udp_is_right, well_formed
from .stacks import (
    NEXT_IP6,
    OWN_IP,
    OWN_IP6,
    OWN_PORT,
    Stack,
    destination,
    hop_by_hop,
    ipv4,
    ipv6,
    mutated,
    routing,
    stacks,
    strange,
    tags,
    tags_of,
)

US = Address.of(OWN_IP, OWN_PORT, OWN_IP6, NEXT_IP6)
STACKS = [*stacks()]
CORNERS = [
    Stack(tags(0), ipv4()),
    Stack(tags(2), ipv4(40)),
    Stack(tags(1), ipv6()),
    Stack(tags(0), ipv6(hop_by_hop(), routing(), destination())),
    Stack(tags(2), ipv6(routing(1), destination(16))),
]


def request_in(tools: Tools, nic: Nic, stack: Stack, **changes: object) -> Request:
    request = tools.request(nic.sizes, **changes)
    return replace(request, stack=stack, client=stack.client)


def good_again(nic: Nic, tools: Tools, stack: Stack) -> None:
    request = request_in(tools, nic, stack)
    tools.check_result(request, nic.send(*request.frames()))


def test_a1_every_stack_is_executed(small: Nic, tools: Tools) -> None:
    """And the result has the request's tags and IP version, and checksums that are right."""
    for stack in STACKS:
        request = request_in(tools, small, stack)
        (sent,) = request.frames()
        (got,) = small.send(sent)
        tools.check_result(request, [got])
        assert tags_of(got) == tags_of(sent), stack
    assert small.check_counters()["results"] == len(STACKS)


def test_a1_requests_of_several_fragments(large: Nic, tools: Tools) -> None:
    """With pauses, fragments cut at any lane, and results of several frames."""
    for index, stack in enumerate(STACKS):
        large.pauses(20 * (index % 3), 30 * (index % 2), tools.random.getrandbits(31))
        request = replace(request_in(tools, large, stack), mtu=tools.random.randrange(300, 1600))
        tools.check_result(request, large.send(*request.frames()))
    large.check_counters()


def test_f1_every_stack_is_declined(small: Nic, tools: Tools) -> None:
    for stack in STACKS:
        (whole,) = request_in(tools, small, stack, tenant=0).datagrams()
        size = tools.random.randrange(1, 49)
        request = tools.request(small.sizes, tenant=0)
        cut = replace(request, tensor=tools.random.randbytes(size), stack=stack)
        for sent in (stack.frame(whole), *cut.frames()):
            (got,) = small.send(sent)
            tools.check_declined(sent, got, DeclineReason.WRONG_TENANT)
            assert tags_of(got) == tags_of(sent), stack
    small.check_counters()


def test_f1_declined_one_behind_the_other(small: Nic, tools: Tools) -> None:
    """No headers are lost or mixed up when frames wait for each other."""
    sent = []
    for _ in range(4):
        for stack in tools.random.sample(STACKS, len(STACKS)):
            sent += request_in(tools, small, stack, tenant=0).frames()
    for frame in sent:
        small.queue(frame)
    for before, after in zip(sent, small.drain(), strict=True):
        tools.check_declined(before, after.data, DeclineReason.WRONG_TENANT)
        assert tags_of(after.data) == tags_of(before)


def test_a1_every_stack_passes_to_another_address(small: Nic, tools: Tools) -> None:
    (datagram,) = tools.request(small.sizes).datagrams()
    frames = [stack.frame(datagram, dport=OWN_PORT + 1) for stack in STACKS]
    for bit in range(128):
        other = ipv6(hop_by_hop(), dst=int_to_ip6(US.ip6 ^ 1 << bit))
        frames.append(Stack(tags(bit % 3), other).frame(datagram))
    for bit in range(32):
        elsewhere = ".".join(str(byte) for byte in (US.ip ^ 1 << bit).to_bytes(4, "big"))
        frames.append(Stack(tags(bit % 3), ipv4(4 * (bit % 11), dst=elsewhere)).frame(datagram))
    assert small.send(*frames) == frames
    counts = small.check_counters()
    assert (counts["passed"], counts["unread"]) == (len(frames), 0)


def int_to_ip6(number: int) -> str:
    return ":".join(f"{number >> 16 * k & 0xFFFF:x}" for k in reversed(range(8)))


def test_p4_every_stack_is_dropped(small: Nic, tools: Tools) -> None:
    """A wrong UDP checksum, over any part of what it is made of, and no hops left."""
    for stack in STACKS:
        request = request_in(tools, small, stack)
        (good,) = request.frames()
        where = read(good, US)
        places = [where.addresses.start + 3, where.udp_at, where.udp_at + 7, len(good) - 1]
        for place in places:
            damaged = bytearray(good)
            damaged[place] ^= 0x10
            if place < where.udp_at:
                repair_ip(damaged, where)
            assert small.send(bytes(damaged)) == [], (stack, place)
        last = request_in(tools, small, stack, hop_limit=0)
        assert small.send(*last.frames()) == []
        tools.check_result(request, small.send(good))
    counts = small.check_counters()
    assert counts["dropped_bad_checksum"] == 4 * len(STACKS)
    assert counts["dropped_hop_limit"] == len(STACKS)


def repair_ip(frame: bytearray, where: Where) -> None:
    """Make IPv4's checksum right again."""
    if not where.ipv6:
        at = where.ip_at
        frame[at + 10 : at + 12] = bytes(2)
        check = 0xFFFF ^ sum16(frame[at : where.udp_at])
        frame[at + 10 : at + 12] = check.to_bytes(2, "big")


def test_p4_no_udp_checksum(small: Nic, tools: Tools) -> None:
    """Is none in IPv4, and wrong in IPv6."""
    for stack in STACKS:
        request = request_in(tools, small, stack)
        frame = bytearray(request.frames()[0])
        where = read(bytes(frame), US)
        frame[where.udp_at + 6 : where.udp_at + 8] = bytes(2)
        out = small.send(bytes(frame))
        if where.ipv6:
            assert out == []
        else:
            tools.check_result(request, out)
    good_again(small, tools, CORNERS[-1])
    small.check_counters()


def test_a1_what_looks_like_ours(small: Nic, tools: Tools) -> None:
    (datagram,) = tools.request(small.sizes).datagrams()
    frames = strange(datagram)
    for name, frame in frames.items():
        assert small.send(frame) == [frame], name
        assert small.read("passed") == small.read("frames_in"), name
    good_again(small, tools, CORNERS[3])
    assert small.check_counters()["unread"] == 0


@pytest.mark.parametrize("missing", ["own_ip6", "next_ip6"])
def test_a1_without_an_ipv6_address_ipv6_passes(missing: str, small: Nic, tools: Tools) -> None:
    small.write(**{missing: 0})
    frames = [f for s in STACKS for f in request_in(tools, small, s).frames() if s.ip.version == 6]
    assert small.send(*frames) == frames
    good_again(small, tools, CORNERS[1])
    small.write(**{missing: 1})  # one bit is enough
    if missing == "next_ip6":
        assert frames[0] not in small.send(frames[0])


def test_a3_headers_that_are_too_long_pass_and_are_counted(small: Nic, tools: Tools) -> None:
    """The UDP header may end with byte 112 of the frame, and not behind it."""
    (datagram,) = tools.request(small.sizes).datagrams()
    room = {0: 48, 1: 40, 2: 40}
    for count, size in room.items():
        good_again(small, tools, Stack(tags(count), ipv6(destination(size))))
        good_again(small, tools, Stack(tags(count), ipv6(hop_by_hop(), destination(size - 8))))
    seen = 0
    for count, size in room.items():
        for extensions in (
            (destination(size + 8),),
            (hop_by_hop(size + 8),),
            (destination(), destination(size)),
            (hop_by_hop(16), routing(), destination(size - 16)),
            (destination(256),),
            (routing(60, left=3),),
        ):
            frame = Stack(tags(count), ipv6(*extensions)).frame(datagram)
            with pytest.raises(Unread):
                read(frame, US)
            assert small.send(frame) == [frame]
            seen += 1
            assert small.read("unread") == seen
    good_again(small, tools, CORNERS[2])
    assert small.check_counters()["passed"] == seen


def test_p3_jumbograms_pass(small: Nic, tools: Tools) -> None:
    """A payload length of 0, whatever the option says."""
    (datagram,) = tools.request(small.sizes).datagrams()
    option = IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=len(datagram) + 16)])
    frame = Stack((), ipv6(option, plen=0)).frame(datagram)
    assert small.send(frame) == [frame]
    good_again(small, tools, CORNERS[0])
    assert small.check_counters()["passed_malformed"] == 1


def test_p3_lying_headers_pass(small: Nic, tools: Tools) -> None:
    """Lengths of IP and UDP that contradict each other or the frame, and IPv4's checksum."""
    malformed = 0
    for stack in STACKS:
        (good,) = request_in(tools, small, stack).frames()
        where = read(good, US)
        length_at = where.ip_at + (4 if where.ipv6 else 2)
        lies = []
        for at in (length_at, where.udp_at + 4):
            old = int.from_bytes(good[at : at + 2], "big")
            for value in (0, 1, old - 1, old + 1, old + 8, 0x7FFF, 0xFFFF):
                lies.append(good[:at] + value.to_bytes(2, "big") + good[at + 2 :])
                lie = bytearray(lies[-1])
                repair_ip(lie, where)
                lies.append(bytes(lie))
        both = bytearray(good)
        for at in (length_at, where.udp_at + 4):  # they agree, but the frame ends before
            value = int.from_bytes(good[at : at + 2], "big") + 1
            both[at : at + 2] = value.to_bytes(2, "big")
        repair_ip(both, where)
        lies.append(bytes(both))
        if not where.ipv6:
            for at in (where.ip_at + 4, where.ip_at + 10):  # identification, checksum
                lies.append(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        assert not any(well_formed(lie, where) for lie in lies)
        if where.ip_at != 14:
            lies = lies[::3]
        assert small.send(*lies) == lies, stack
        malformed += len(lies)
        good_again(small, tools, stack)
    assert small.check_counters()["passed_malformed"] == malformed


def test_a1_internet_header_lengths(small: Nic, tools: Tools) -> None:
    """Every IHL over options of every length: what is no header of ours passes."""
    for options in (0, 4, 40):
        for count in range(3):
            (good,) = request_in(tools, small, Stack(tags(count), ipv4(options))).frames()
            at = 14 + 4 * count
            for words in range(16):
                frame = good[:at] + bytes([0x40 + words]) + good[at + 1 :]
                if words == 5 + options // 4:
                    continue
                assert small.send(frame) == [frame], (options, words)
    good_again(small, tools, CORNERS[1])


@pytest.mark.parametrize("stack", CORNERS, ids=str)
def test_a1_cut_at_every_byte(stack: Stack, small: Nic, tools: Tools) -> None:
    (good,) = request_in(tools, small, stack).frames()
    for size in range(1, stack.udp_at + 8 + 64 + 8):
        assert small.send(good[:size]) == [good[:size]], size
        if size % 8 == 0:
            good_again(small, tools, stack)
    good_again(small, tools, stack)
    small.check_counters()


@pytest.mark.parametrize("stack", CORNERS, ids=str)
def test_a1_extension_headers_that_run_out_of_the_frame(
    stack: Stack, small: Nic, tools: Tools
) -> None:
    """Any header may say any length, in whole frames and in such that end behind it."""
    counts = small.counters()
    (good,) = request_in(tools, small, stack).frames()
    begins = 14 + 4 * len(stack.tags) + (40 if stack.ip.version == 6 else 20)
    for at in range(begins, stack.udp_at, 8):
        for size in (0, 1, 2, 3, 5, 8, 100, 255):
            for end in (at + 1, at + 2, at + 8, at + 8 + 8 * size, len(good)):
                frame = bytearray(good[:end])
                frame[at + 1 : at + 2] = bytes([size])[: max(0, end - at - 1)]
                check_reading(small, bytes(frame), counts)
    good_again(small, tools, stack)


def check_reading(nic: Nic, frame: bytes, counts: dict[str, int], address: Address = US) -> str:
    """Send one frame; whether it is to our address, as the golden model says. Returns which.

    ``counts`` are those before it, and then those behind it.
    """
    out = nic.send(frame)
    after = nic.check_counters()
    rose = {name for name in after if after[name] != counts[name]} - {"frames_in"}
    counts.update(after)
    try:
        where = read(frame, address)
    except Unread:
        assert (rose, out) == ({"passed", "unread"}, [frame]), frame.hex()
        return "unread"
    except Elsewhere:
        assert (rose, out) == ({"passed"}, [frame]), frame.hex()
        return "elsewhere"
    assert "passed" not in rose, frame.hex()
    if not well_formed(frame, where):
        assert (rose, out) == ({"passed_malformed"}, [frame]), frame.hex()
        return "malformed"
    if not any(name.startswith("passed") for name in rose):
        bad = not udp_is_right(frame, where)
        assert ("dropped_bad_checksum" in rose) == bad, frame.hex()
        return "bad checksum" if bad else "ours"
    assert out == [frame]
    return "ours"


def check_random_frames(nic: Nic, tools: Tools, count: int) -> None:
    address, counts = US, nic.counters()
    seen = set()
    for number in range(count):
        if number % 500 == 499:  # other registers: any IPv4 address, one IPv6 address less
            address = replace(
                US,
                ip=tools.random.choice((0, US.ip)),
                next_ip6=tools.random.choice((0, US.next_ip6, US.next_ip6)),
            )
            nic.write(own_ip=address.ip, next_ip6=address.next_ip6)
        stack = tools.random.choice(STACKS)
        (good,) = request_in(tools, nic, stack).frames()
        seen.add(check_reading(nic, mutated(good, tools.random), counts, address))
    nic.write(own_ip=US.ip, next_ip6=US.next_ip6)
    good_again(nic, tools, STACKS[-1])
    assert seen == {"unread", "elsewhere", "malformed", "bad checksum", "ours"}


def test_a1_random_headers(small: Nic, tools: Tools) -> None:
    """Mutated headers, against the golden model; the seed is printed."""
    check_random_frames(small, tools, 2000)


@pytest.mark.sweep
def test_a1_many_random_headers(small: Nic, tools: Tools) -> None:
    check_random_frames(small, tools, 50_000)


def test_a2_long_headers_keep_nobody_waiting(small: Nic, tools: Tools) -> None:
    """What can be decided late only, one behind the other and between the shortest frames.

    No beat waits at the input. A frame leaves 5 cycles after its last beat that had to be read.
    """
    (datagram,) = tools.request(small.sizes).datagrams()
    frames = [stack.frame(datagram, dport=1) for stack in STACKS]
    frames += [tools.random.randbytes(60) for _ in range(60)]
    tools.random.shuffle(frames)
    for frame in frames:
        small.queue(frame)
    out = small.drain()
    assert [frame.data for frame in out] == frames
    assert small.stalls() == 0
    waited = [frame.first - entered for frame, entered in zip(out, small.entered(), strict=True)]
    print("cycles waited:", waited)
    assert max(waited) == (HEADERS_WITHIN - 1) // 8 + 5
