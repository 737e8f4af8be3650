# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Request slots of a datapath, on recorded frames: rules D2 to D6 of midwire.hw.nic.decide."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from midwire.host.wire.udp import Address
from midwire.hw.formats import fragments
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.slots import (
    MAX_ASKS,
    MAX_SLOTS,
    QUICK_ASKS,
    SHARE,
    request_fingerprint,
    slots_of,
)
from midwire.hw.formats.wire import (
    BadLength,
    DeclineReason,
    Header,
    MessageType,
    decode,
    encode,
)

from .loop import DATAPATHS, SMALL_MTU
from .recordings import CLIENT, HOP, NIC, frame, header_of, replay, timeless

OTHER = ("10.0.0.5", 4001)
ASKS = QUICK_ASKS + MAX_ASKS
"""Of a request whose last fragment is here."""

Scene = tuple[list[bytes], dict[str, int]]
"""Frames, and the counters that are not 0 afterwards."""


def pieces(header: Header, tensor: bytes, source: Address = CLIENT, **changes: Any) -> list[bytes]:
    """A request's four fragments, as frames."""
    header = replace(header, **changes)
    return [frame(d, source, NIC) for d in fragments.datagrams(header, tensor, SMALL_MTU)]


def any_order(header: Header, tensor: bytes) -> Scene:
    """Three requests, two of them of one id, mixed, every fragment twice or three times."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    each = [
        *pieces(header, tensor, request_id=1),
        *pieces(header, tensor, request_id=2),
        *pieces(header, tensor, OTHER, request_id=1),
    ]
    frames = [*each, *each, *each[:5]]
    rng.shuffle(frames)
    results = {"requests": 3, "results": 3, "result_frames": 3}
    return frames, {**results, "collected": 12, "dropped_duplicate": 17}


def cut(
    header: Header,
    tensor: bytes,
    index: int,
    count: int,
    start: int,
    end: int,
    source: Address = CLIENT,
) -> bytes:
    """A fragment of any bytes, as a frame."""
    part = replace(
        header,
        fragment_index=index,
        fragment_count=count,
        offset=start,
        last=index + 1 == count,
        total_bytes=len(tensor),
    )
    return frame(encode(part) + tensor[start:end], source, NIC)


def liars(header: Header, tensor: bytes) -> Scene:
    """Fragments that contradict those before them; the first to come are right."""
    sound = pieces(header, tensor)
    lies = [
        cut(header, tensor, 2, 5, 256, 384),  # another number of fragments
        cut(header, tensor, 2, 4, 128, 192),  # another size
        cut(header, tensor, 3, 4, 448, 512),  # the last one not where the others end
    ]
    other = replace(header, request_id=9)
    late = [
        cut(other, tensor, 3, 4, 448, 512),  # the liar is the first
        *pieces(other, tensor)[:3],
    ]
    alone = cut(replace(header, request_id=10), tensor, 2, 4, 128, 256)  # contradicts itself
    frames = [sound[1], *lies, *late, alone, sound[3], sound[0], sound[2]]
    results = {"requests": 1, "results": 1, "result_frames": 1}
    given_up = {"evicted": 1, "evicted_fragments": 1}
    return frames, {**results, **given_up, "collected": 5, "dropped_bad_length": 7}


def last_first(header: Header, tensor: bytes) -> Scene:
    """The last fragment comes first, and of another size; and a tensor in one fragment."""
    uneven = [
        cut(header, tensor, 2, 3, 384, 512),
        cut(header, tensor, 0, 3, 0, 192),
        cut(header, tensor, 1, 3, 192, 384),
    ]
    whole = cut(replace(header, request_id=8), tensor, 0, 1, 0, 512)
    results = {"requests": 2, "results": 2, "result_frames": 2}
    return [*uneven, whole], {**results, "collected": 4}


@dataclass
class Collected:
    """What D3 knows of a request of one tensor."""

    total: int
    count: int = 0
    step: int = 0
    tail: int = 0
    here: set[int] = field(default_factory=set)

    @property
    def whole(self) -> bool:
        return 0 < self.count == len(self.here)

    def fate(self, header: Header, size: int) -> str:
        """What becomes of a fragment of so many bytes; it is taken where it can be."""
        index, count, offset, last = (
            header.fragment_index, header.fragment_count, header.offset, header.last,
        )  # fmt: skip
        try:
            fragments.check_fragment(header, size)
        except BadLength:
            return "dropped_bad_length"
        if self.whole:
            return "dropped_duplicate"
        possible = count <= -(-self.total // 64) and (last or offset == index * size)
        same = not self.here or count == self.count
        as_long = last or self.step in (0, size)
        step, tail = (self.step, offset) if last else (size, self.tail)
        if not (
            possible and same and as_long and (not step or not tail or tail == (count - 1) * step)
        ):
            return "dropped_bad_length"
        if index in self.here:
            return "dropped_duplicate"
        self.count = count
        self.here.add(index)
        if last:
            self.tail = offset
        else:
            self.step = size
        return "collected"


def chaos(header: Header, tensor: bytes) -> Scene:
    """Fragments as they should be and as they should not, of too few requests to fill the slots."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    held: dict[tuple[Address, int], Collected] = {}
    counts: Counter[str] = Counter()
    frames = []
    for _ in range(600):
        # No two of them are remembered in the same place (D6).
        source, first = rng.choice([(CLIENT, 0), (OTHER, 64)])
        request = first + rng.randrange(18)
        step = 128 if rng.random() < 0.7 else rng.choice([64, 192, 256, 320])
        count = -(-512 // step) if rng.random() < 0.9 else rng.randrange(1, 12)
        index = rng.randrange(count)
        start = index * step if rng.random() < 0.9 else 64 * rng.randrange(8)
        end = 512 if index + 1 == count else min(start + step, 512)
        if start < end:
            its = replace(header, request_id=request)
            frames.append(cut(its, tensor, index, count, start, end, source))
            known = held.setdefault((source, request), Collected(512))
            sent = header_of(frames[-1])
            assert sent is not None
            counts[known.fate(sent, end - start)] += 1
    whole = sum(known.whole for known in held.values())
    counts.update({"requests": whole, "results": whole, "result_frames": whole})
    for known in held.values():
        counts["evicted"] += bool(known.here) and not known.whole
        counts["evicted_fragments"] += 0 if known.whole else len(known.here)
    return frames, {name: count for name, count in counts.items() if count}


def crowd(header: Header, tensor: bytes) -> Scene:
    """More requests than slots, of several senders, and none ever whole."""
    assert slots_of(len(tensor)) == MAX_SLOTS
    held: Counter[Address] = Counter()
    first, second = [], []
    taken = 0
    for number, count in enumerate((70, 20, 10, 3, 2)):
        source = (f"10.0.1.{number}", 4000)
        for request in range(count):
            parts = pieces(header, tensor, source, request_id=1000 * number + request)
            first.append(parts[0])
            second.append(parts[2])
            free = MAX_SLOTS - held.total()
            may = free > 0 and (held[source] == 0 or held[source] < SHARE * (free - 1))
            held[source] += may
            taken += 2 * may
    assert held.total() == MAX_SLOTS and len(held) == 5
    counts = {"evicted": MAX_SLOTS, "evicted_fragments": taken, "collected": taken}
    return [*first, *second], {**counts, "declined_busy": 210 - taken}


def same_fingerprint(header: Header, tensor: bytes) -> Scene:
    """Of two requests that cannot be told apart when they are remembered, one is executed."""
    one, other = 1 << 24 | 5, 5 << 24 | 1
    assert request_fingerprint(one) == request_fingerprint(other)
    first, second = (pieces(header, tensor, request_id=number) for number in (one, other))
    frames = [first[0], *second, *first[1:]]
    results = {"requests": 1, "results": 1, "result_frames": 1}
    return frames, {**results, "collected": 4, "declined_busy": 4}


SCENES: list[Callable[[Header, bytes], Scene]] = [
    any_order,
    liars,
    last_first,
    chaos,
    crowd,
    same_fingerprint,
]


@pytest.mark.parametrize("datapath", DATAPATHS)
@pytest.mark.parametrize("scene", SCENES)
def test_fates_of_recorded_frames(
    scene: Callable[[Header, bytes], Scene],
    datapath: str,
    digits: Bundle,
    header: Header,
    tensor: bytes,
    tmp_path: Path,
) -> None:
    frames, expected = scene(header, tensor)
    registers = {"ask_us": 0, "timeout_us": 1_000_000}
    sent, counted = replay(digits, datapath, frames, tmp_path, **registers)
    assert {k: n for k, n in counted.items() if n} == {"frames_in": len(frames), **expected}
    again, _ = replay(digits, "reference", frames, tmp_path, **registers)
    assert timeless(sent) == timeless(again)
    check_addresses(sent)


def check_addresses(frames: list[bytes]) -> None:
    """To the next hop, in the name of whoever sent it, with good checksums."""
    for data in frames:
        read, again = Ether(data), Ether(data)
        del again[IP].chksum, again[UDP].chksum
        again = Ether(bytes(again))
        assert (read[IP].chksum, read[UDP].chksum) == (again[IP].chksum, again[UDP].chksum)
        assert (read[IP].dst, read[UDP].dport) == HOP


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_what_lacks_is_asked_for_and_sent_on_in_the_end(
    datapath: str, digits: Bundle, header: Header, tensor: bytes, tmp_path: Path
) -> None:  # D4, W8
    given = pieces(header, tensor)
    lost = [given[3], given[0]]
    sent, counted = replay(digits, datapath, lost, tmp_path, ask_us=4000, timeout_us=400_000)
    assert {k: n for k, n in counted.items() if n} == {
        "frames_in": 2, "collected": 2, "asked": ASKS, "evicted": 1, "evicted_fragments": 2,
    }  # fmt: skip
    asking = [data for data in sent if decode(data[42:]).message_type == MessageType.MISSING]
    assert len(asking) == ASKS and len(set(timeless(asking))) == 1
    read = Ether(asking[0])
    assert (read.src, read.dst) == ("02:00:0a:00:00:02", Ether(given[0]).src)
    assert (read[IP].src, read[UDP].sport, read[IP].dst, read[UDP].dport) == (*NIC, *CLIENT)
    assert read[IP].ttl == 64
    found, payload = decode(asking[0][42:]), asking[0][42 + 64 :]
    first = header_of(lost[0])
    assert first is not None
    expected = replace(first, message_type=MessageType.MISSING, fragment_index=0, offset=0)
    assert replace(found, hop_limit=8, deadline_us=first.deadline_us) == expected
    assert payload == bytes([0b0110_0000, *bytes(7)])
    declined = [data for data in sent if data not in asking]
    check_addresses(declined)
    used = []
    for data in declined:
        its = header_of(data)
        assert its is not None
        wanted = decode(given[its.fragment_index][42:])
        used.append(wanted.deadline_us - its.deadline_us)
        left = replace(its, deadline_us=wanted.deadline_us)
        reason = DeclineReason.INCOMPLETE
        assert left == replace(wanted, declined=True, reason=reason, hop_limit=7)
        assert data[42 + 64 :] == given[its.fragment_index][42 + 64 :]
    assert [decode(data[42:]).fragment_index for data in declined] == [0, 3]
    assert min(used) >= 400_000 and max(used) < 5_000_000


def test_the_reference_asks_for_what_is_overtaken_before_its_time(
    digits: Bundle, header: Header, tensor: bytes, tmp_path: Path
) -> None:  # D4: by time, it would be given up before it asks
    eight = [cut(header, tensor, k, 8, 64 * k, 64 * k + 64) for k in range(8)]
    frames = [eight[k] for k in (0, 2, 4, 3, 5)]
    sent, counted = replay(digits, "reference", frames, tmp_path, ask_us=60_000, timeout_us=30_000)
    [asking] = [data for data in sent if decode(data[42:]).message_type == MessageType.MISSING]
    assert (counted["asked"], counted["evicted_fragments"]) == (1, 5)
    assert asking[42 + 64 :] == bytes([0b0100_0000, *bytes(7)])


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_more_fragments_than_there_can_be_open_no_slot(
    datapath: str, digits: Bundle, header: Header, tensor: bytes, tmp_path: Path
) -> None:  # D3
    lie = cut(header, tensor, 99, 100, 448, 512)
    sent, counted = replay(digits, datapath, [lie, *pieces(header, tensor)], tmp_path)
    assert (counted["dropped_bad_length"], counted["results"]) == (1, 1)
    assert len(sent) == 1


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_a_recording_of_half_a_request_ends_though_it_is_never_given_up(
    datapath: str, digits: Bundle, header: Header, tensor: bytes, tmp_path: Path
) -> None:
    half = pieces(header, tensor)[:1]
    sent, counted = replay(digits, datapath, half, tmp_path, ask_us=0, timeout_us=0)
    assert sent == []
    assert (counted["collected"], counted["evicted"]) == (1, 0)
