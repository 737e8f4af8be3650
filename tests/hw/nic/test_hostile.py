# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""After any input whatever, the next good request succeeds; rule P4, and the rules as a whole."""

from __future__ import annotations

from typing import Any, NamedTuple

import google_crc32c
import pytest

from midwire.hw.formats import fragments, wire
from midwire.hw.formats.csr import FIRST_DECLINED, FrameOutcome
from midwire.hw.formats.wire import DeclineReason, MessageType

from .reading import Address, Elsewhere, read, sum16, udp_is_right, well_formed
from .stacks import NEXT_IP6, OWN_IP, OWN_IP6, OWN_PORT, tags_of

UDP_AT, HEADER_AT, PAYLOAD_AT = 34, 42, 106
US = Address.of(OWN_IP, OWN_PORT, OWN_IP6, NEXT_IP6)


def good_again(nic: Any, tools: Any) -> None:
    request = tools.request(nic.sizes)
    tools.check_result(request, nic.send(*request.frames()))


def repaired(frame: bytearray, crc: bool = True, ip: bool = True, udp: bool = True) -> bytes:
    """The frame with its CRC and checksums made right again, as far as its lengths make sense."""
    if crc:
        head = bytes(frame[HEADER_AT : PAYLOAD_AT - 4])
        frame[PAYLOAD_AT - 4 : PAYLOAD_AT] = google_crc32c.value(head + bytes(4)).to_bytes(4, "big")
    if ip:
        frame[24:26] = bytes(2)
        frame[24:26] = (0xFFFF ^ sum16(frame[14:34])).to_bytes(2, "big")
    if udp:
        length = int.from_bytes(frame[38:40], "big")
        frame[40:42] = bytes(2)
        pseudo = bytes(frame[26:34]) + bytes([0, 17]) + bytes(frame[38:40])
        total = sum16(pseudo + bytes(frame[UDP_AT : UDP_AT + length]))
        frame[40:42] = ((0xFFFF ^ total) or 0xFFFF).to_bytes(2, "big")
    return bytes(frame)


class Fate(NamedTuple):
    """What the golden model says of a frame."""

    outcome: FrameOutcome
    passes: bool


def golden(frame: bytes, tools: Any, sizes: Any) -> Fate:
    """Rules P2 to P5, D1 and D2 in Python, for a NIC whose slots are free."""

    try:
        where = read(frame, US)
    except Elsewhere:
        return Fate(FrameOutcome.PASSED, True)
    if not well_formed(frame, where):
        return Fate(FrameOutcome.PASSED_MALFORMED, True)
    datagram = where.datagram(frame)
    sealed = wire.decode(wire.encode(tools.request(sizes).header))  # enums are not looked at there
    try:
        header = wire.decode(datagram)
    except wire.BadMagic:
        return Fate(FrameOutcome.PASSED_BAD_MAGIC, True)
    except wire.BadVersion:
        return Fate(FrameOutcome.PASSED_BAD_VERSION, True)
    except wire.BadCrc:
        return Fate(FrameOutcome.PASSED_BAD_CRC, True)
    except wire.BadField as error:
        if error.where == "message_type":
            return Fate(FrameOutcome.PASSED_OTHER_TYPE, True)
        header = wire.decode(neutral(datagram))
    if header.message_type is not MessageType.TENSOR:
        return Fate(FrameOutcome.PASSED_OTHER_TYPE, True)
    if not udp_is_right(frame, where):
        return Fate(FrameOutcome.DROPPED_BAD_CHECKSUM, False)
    try:
        fragments.check_fragment(header, len(datagram) - 64 - (16 if header.encrypted else 0))
    except wire.BadLength:
        return Fate(FrameOutcome.DROPPED_BAD_LENGTH, False)
    if header.hop_limit == 0:
        return Fate(FrameOutcome.DROPPED_HOP_LIMIT, False)
    ours = (sealed.tenant, sealed.model_hash, sealed.cursor, sealed.slice_count)
    asked = (header.tenant, header.model_hash, header.cursor, header.slice_count)
    if header.result and asked != ours:
        return Fate(FrameOutcome.FORWARDED, False)
    checks = (
        (header.encrypted, DeclineReason.ENCRYPTED),
        (header.tenant != sealed.tenant, DeclineReason.WRONG_TENANT),
        (header.model_hash != sealed.model_hash, DeclineReason.WRONG_MODEL),
        (
            (header.cursor, header.slice_count) != (sealed.cursor, sealed.slice_count),
            DeclineReason.WRONG_CURSOR,
        ),
        (header.epoch != sealed.epoch, DeclineReason.WRONG_EPOCH),
        ((header.tensor_index, header.source_count) != (0, 1), DeclineReason.WRONG_TENSOR),
        (not header.may_execute, DeclineReason.POLICY),
        (header.deadline_us == 0, DeclineReason.DEADLINE),
        (header.total_bytes != sizes.in_bytes, DeclineReason.BAD_LENGTH),
    )
    for wrong, reason in checks:
        if wrong:
            return Fate(FrameOutcome(FIRST_DECLINED - 1 + reason), False)
    step = len(datagram) - 64
    moved = not header.last and header.offset != header.fragment_index * step
    if header.fragment_count > -(-sizes.in_bytes // 64) or moved:
        return Fate(FrameOutcome.DROPPED_BAD_LENGTH, False)
    return Fate(FrameOutcome.COLLECTED, False)


def neutral(datagram: bytes) -> bytes:
    """The datagram with enums that hardware does not look at set to known values."""
    data = bytearray(datagram[:64])
    data[7] = 0  # reason
    data[45] = 0  # element type
    return data[:60] + google_crc32c.value(bytes(data[:60]) + bytes(4)).to_bytes(4, "big")


def check_fate(nic: Any, tools: Any, frame: bytes, before: dict[str, int]) -> dict[str, int]:
    """Send one frame into an idle NIC and compare with the golden model."""
    fate = golden(frame, tools, nic.sizes)
    out = nic.send(frame)
    counts: dict[str, int] = nic.check_counters()
    changed = {o for o in FrameOutcome if counts[o.name.lower()] != before[o.name.lower()]}
    assert changed == {fate.outcome}, frame.hex()
    if fate.passes:
        assert out == [frame]
    elif fate.outcome >= FrameOutcome.FORWARDED:
        assert len(out) == 1
        where = read(frame, US)
        datagram = where.datagram(frame)
        got = out[0][HEADER_AT + len(tags_of(frame)) + 20 * where.ipv6 :]
        assert got[64:] == datagram[64:]
        forwarded = fate.outcome is FrameOutcome.FORWARDED
        assert got[7] == (datagram[7] if forwarded else fate.outcome - FIRST_DECLINED + 1)
        assert google_crc32c.value(got[:60] + bytes(4)) == int.from_bytes(got[60:64], "big")
    elif fate.outcome != FrameOutcome.COLLECTED:
        assert out == []
    return counts


def test_cut_at_every_byte(small: Any, tools: Any) -> None:
    counts = small.counters()
    (frame,) = tools.request(small.sizes).frames()
    for size in range(1, len(frame)):
        counts = check_fate(small, tools, frame[:size], counts)
        if size % 16 == 0:
            good_again(small, tools)
            counts = small.counters()
    good_again(small, tools)


@pytest.mark.parametrize(
    ("where", "size"),
    [(16, 2), (38, 2), (74, 2), (76, 2), (78, 4), (82, 4)],
    ids=["ip length", "udp length", "index", "count", "offset", "total"],
)
def test_lying_lengths(small: Any, tools: Any, where: int, size: int) -> None:
    counts = small.counters()
    (frame,) = tools.request(small.sizes).frames()
    old = int.from_bytes(frame[where : where + size], "big")
    top = (1 << 8 * size) - 1
    for value in {0, 1, old - 1, old + 1, old + 8, old * 2, top // 2, top - 1, top}:
        lie = bytearray(frame)
        lie[where : where + size] = (value & top).to_bytes(size, "big")
        counts = check_fate(small, tools, repaired(lie), counts)
        good_again(small, tools)
        counts = small.counters()


def test_p4_drops(small: Any, tools: Any) -> None:
    request = tools.request(small.sizes)
    (frame,) = request.frames()
    damaged = bytearray(frame)
    damaged[PAYLOAD_AT + 5] ^= 1
    assert small.send(bytes(damaged)) == []
    assert small.send(*request.with_header(hop_limit=0).frames()) == []
    counts = small.check_counters()
    assert (counts["dropped_bad_checksum"], counts["dropped_hop_limit"]) == (1, 1)
    tools.check_result(request, small.send(frame))


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"total_bytes": 0}, 0),
        ({"encrypted": True, "total_bytes": 0}, 16),
        ({"last": False, "fragment_index": 1, "offset": 64, "total_bytes": 200}, 64),
        ({"fragment_count": 2}, 48),
        ({"fragment_index": 1, "fragment_count": 2}, 48),
        ({"last": False, "fragment_count": 2}, 64),
        ({"total_bytes": 100}, 48),
        ({"last": False, "fragment_count": 2, "total_bytes": 64}, 32),
        ({"fragment_index": 1, "fragment_count": 2, "offset": (1 << 32) - 64}, 112),
    ],
    ids=[
        "nothing",
        "nothing but a tag",
        "index not below count",
        "last is not last",
        "second without offset",
        "behind the total",
        "last ends early",
        "no whole steps",
        "end beyond 32 bits",
    ],
)  # fmt: skip
def test_p4_lengths_that_contradict(
    small: Any, tools: Any, changes: dict[str, int], size: int
) -> None:
    """All is right but one thing."""
    values = {"last": True, "fragment_count": 1, "total_bytes": 48} | changes
    header = tools.request(small.sizes).with_header(**values).header
    frame = tools.frame(wire.encode(header) + bytes(size))
    assert golden(frame, tools, small.sizes).outcome == FrameOutcome.DROPPED_BAD_LENGTH
    check_fate(small, tools, frame, small.counters())


def test_random_damage(small: Any, tools: Any) -> None:
    """Random bytes of a good frame changed, checksums repaired or not, against the golden model."""
    seen = set()
    counts = small.counters()
    for number in range(2500):
        changes: dict[str, object] = {}
        if tools.random.random() < 0.3:
            changes = {"encrypted": True} if tools.random.random() < 0.2 else {"hop_limit": 0}
        (sent,) = tools.request(small.sizes, **changes).frames()
        frame = bytearray(sent)
        for _ in range(tools.random.choice((0, 1, 1, 1, 2, 5))):
            place = tools.random.randrange(12, len(frame))
            frame[place] = tools.random.choice((0, 255, tools.random.randrange(256)))
        if tools.random.random() < 0.1:
            del frame[tools.random.randrange(1, len(frame)) :]
        if len(frame) >= PAYLOAD_AT:
            repair = [tools.random.random() < 0.9 for _ in range(3)]
            frame = bytearray(repaired(frame, *repair))
        if tools.random.random() < 0.2:
            frame += tools.random.randbytes(tools.random.randrange(1, 60))
        seen.add(golden(bytes(frame), tools, small.sizes).outcome)
        counts = check_fate(small, tools, bytes(frame), counts)
        if number % 100 == 99:
            good_again(small, tools)
            counts = small.counters()
    good_again(small, tools)
    assert len(seen) >= 15, seen


def test_storm(large: Any, tools: Any) -> None:
    """Good, padded, damaged, foreign and bad frames without a break, pauses on both sides."""
    large.write(timeout_us=2)
    for round_number in range(4):
        large.pauses(20 * round_number, 15 * round_number, tools.random.getrandbits(31))
        requests = {}
        foreign = []
        for _ in range(150):
            kinds = ("good", "padded", "cut", "damaged", "foreign", "bad", "mixed")
            kind = tools.random.choice(kinds)
            request = tools.request(large.sizes)
            frames = request.frames()
            if kind in ("good", "padded"):
                requests[request.header.request_id] = request
            if kind == "padded":
                frames = [
                    frame + tools.random.randbytes(tools.random.randint(1, 200)) for frame in frames
                ]
            elif kind == "cut":
                frames = [frame[: tools.random.randint(1, len(frame))] for frame in frames]
            elif kind == "damaged":
                frames = [
                    repaired(bytearray(f[:42] + tools.random.randbytes(64) + f[106:]))
                    for f in frames
                ]
            elif kind == "foreign":
                frames = [tools.random.randbytes(tools.random.randint(60, 1514))]
                foreign += frames
            elif kind == "mixed":
                tools.random.shuffle(frames)
            for frame in frames:
                large.queue(frame, bad=kind == "bad")
        out = [frame.data for frame in large.drain()]
        assert [frame for frame in out if frame in foreign] == foreign
        results: dict[int, list[bytes]] = {}
        for data in out:
            if data[36:38] == (5211).to_bytes(2, "big") and tools.is_result(data):
                results.setdefault(tools.unwrap(data)[0].request_id, []).append(data)
        for number, frames in results.items():
            if number in requests:
                tools.check_result(requests[number], frames)
        counts = large.check_counters()
        large.cycles(4000)
        large.drain()  # what was left unfinished is given up
        assert large.read("status") == 0
        good_again(large, tools)
    assert counts["results"] >= 100
