# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Random frames through the pipeline and through the model in Python: every byte that comes out,
and every counter.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

import google_crc32c
import pytest

from midwire.hw.formats import fragments, wire
from midwire.hw.formats.slots import DECISIONS, request_fingerprint

from . import conftest as nic_tests
from .golden import HEADER_AT, PAYLOAD_AT, Golden, fields_of, frame_of, header_of, sum16

CLIENTS = tuple((f"10.0.1.{host}", 40_000 + port) for host in range(3) for port in range(2))
MACS = bytes.fromhex("02000a000002 02000a000001")
CYCLES_AT = HEADER_AT + 52
ASK_US = 100


def packed(ip: str) -> bytes:
    return nic_tests.number(ip).to_bytes(4)


def sealed(frame: bytearray) -> bytes:
    """The frame with its CRC and its checksums made right, as far as it has those fields."""
    if len(frame) < PAYLOAD_AT:
        return bytes(frame)
    crc = google_crc32c.value(bytes(frame[HEADER_AT : PAYLOAD_AT - 4]) + bytes(4))
    frame[PAYLOAD_AT - 4 : PAYLOAD_AT] = crc.to_bytes(4)
    frame[24:26] = bytes(2)
    frame[24:26] = (0xFFFF ^ sum16(bytes(frame[14:34]))).to_bytes(2)
    length = int.from_bytes(frame[38:40])
    frame[40:42] = bytes(2)
    pseudo = bytes(frame[26:34]) + bytes([0, 17]) + bytes(frame[38:40])
    total = sum16(pseudo + bytes(frame[34 : 34 + length]))
    frame[40:42] = ((0xFFFF ^ total) or 0xFFFF).to_bytes(2)
    return bytes(frame)


class Live:
    """A request of a client, and which of its fragments were never sent."""

    def __init__(self, rng: random.Random, in_bytes: int, resend: bool = False) -> None:
        self.client = rng.choice(CLIENTS)
        self.tensor = rng.randbytes(in_bytes)
        self.header = wire.Header(
            tenant=nic_tests.TENANT,
            model_hash=nic_tests.MODEL_HASH,
            cursor=nic_tests.CURSOR,
            slice_count=nic_tests.SLICES,
            epoch=nic_tests.EPOCH,
            request_id=rng.getrandbits(64),
            hop_limit=rng.randrange(1, 9),
            deadline_us=rng.randrange(1, 1 << 32),
            resend=resend,
        )
        self.mtu = rng.choice((300, 700, 1500))
        self.frames = [self.frame(d) for d in self.datagrams()]
        self.unsent = list(self.frames)
        rng.shuffle(self.unsent)

    def datagrams(self) -> Iterable[bytes]:
        return fragments.datagrams(self.header, self.tensor, self.mtu)

    def frame(self, datagram: bytes) -> bytes:
        ip, port = self.client
        addresses = packed(ip) + packed(nic_tests.OWN_IP)
        return frame_of(datagram, MACS, addresses, (port, nic_tests.OWN_PORT), 0x28, 61)

    @property
    def place(self) -> int:
        ip, port = self.client
        return request_fingerprint(self.header.request_id, nic_tests.number(ip), port) % DECISIONS


class Campaign:
    """Batches of frames; after each one, everything is compared."""

    def __init__(self, nic: Any, seed: int) -> None:
        self.nic, self.rng = nic, random.Random(seed)
        sizes = nic.sizes
        registers = {
            "model_hash": int.from_bytes(nic_tests.MODEL_HASH),
            "tenant": nic_tests.TENANT,
            "cursor": nic_tests.CURSOR,
            "slice_count": nic_tests.SLICES,
            "epoch": nic_tests.EPOCH,
            "element_type": wire.ElementType.INT8,
            "own_mac": nic_tests.number(nic_tests.OWN_MAC),
            "own_ip": nic_tests.number(nic_tests.OWN_IP),
            "own_port": nic_tests.OWN_PORT,
            "next_mac": nic_tests.number(nic_tests.NEXT_MAC),
            "next_ip": nic_tests.number(nic_tests.NEXT_IP),
            "next_port": nic_tests.NEXT_PORT,
            "fragment_bytes": fragments.fragment_bytes(),
            "clock_mhz": 0,
            "time_us": self.rng.getrandbits(32),
            "timeout_us": 0,
            "ask_us": ASK_US,
            "control": 1,
        }
        self.golden = Golden(registers, sizes.in_bytes, sizes.out_bytes, self.execute)
        nic.write(clock_mhz=0, time_us=registers["time_us"], timeout_us=0, ask_us=ASK_US)
        nic.pauses(20, 20, seed & 0xFFFF)
        self.live: list[Live] = []
        self.done: list[Live] = []  # in this batch
        self.ended: list[Live] = []
        self.sent = 0

    def execute(self, tensor: bytes) -> bytes:
        """As the stand-in slice does."""
        size = len(tensor)
        return bytes(
            (tensor[k % size] + 1 + k // size) & 255 for k in range(self.nic.sizes.out_bytes)
        )

    def run(self, frames: int) -> None:
        while self.sent < frames:
            batch = [self.one() for _ in range(self.rng.randrange(1, 60))]
            for frame, bad in batch:
                self.nic.queue(frame, bad)
                self.golden.frame(frame, bad)
            self.sent += len(batch)
            self.compare()
            self.pause()

    def one(self) -> tuple[bytes, bool]:
        """The next frame, and whether it has the bad-frame bit."""
        kind = self.rng.random()
        if kind < 0.15:
            return self.foreign(), self.rng.random() < 0.1
        if kind < 0.20:
            return self.wrong(), False
        if kind < 0.35:
            return self.mutated(), self.rng.random() < 0.05
        if kind < 0.45 and self.ended:
            return self.rng.choice(self.rng.choice(self.ended).frames), False
        return self.fragment(), False

    def fragment(self) -> bytes:
        """One of a request under way, or the first of a new one; or one that was sent before."""
        if not self.live or (len(self.live) < 12 and self.rng.random() < 0.2):
            self.live.append(Live(self.rng, self.nic.sizes.in_bytes))
        live = self.rng.choice(self.live)
        if self.rng.random() < 0.1:
            return self.rng.choice(live.frames)
        if self.rng.random() < 0.01:
            live.unsent.pop()  # lost on the way
        frame = live.unsent.pop() if live.unsent else live.frames[0]
        if not live.unsent:
            self.live.remove(live)
            self.done.append(live)
        return frame

    def foreign(self) -> bytes:
        """Not to our address, or nothing at all."""
        rng = self.rng
        if rng.random() < 0.5:
            return rng.randbytes(rng.randrange(1, 300))
        frame = bytearray(Live(rng, self.nic.sizes.in_bytes).frames[0])
        at = rng.choice((12, 13, 14, 20, 21, 23, 30, 33, 36, 37))
        frame[at] ^= 1 << rng.randrange(8)
        return bytes(frame[: rng.randrange(14, len(frame) + 1)])

    def wrong(self) -> bytes:
        """A good fragment of what we do not execute."""
        live = Live(self.rng, self.nic.sizes.in_bytes)
        datagram = self.rng.choice(list(live.datagrams()))
        header = fields_of(datagram)
        name = self.rng.choice(
            ("tenant", "model_hash", "cursor", "slice_count", "epoch", "tensor_index",
             "source_count", "may_execute", "result", "declined", "reason", "element_type",
             "reserved", "reserved_flags", "congestion", "message_type", "deadline_us", "hop_limit")
        )  # fmt: skip
        bits = next(f.bits for f in wire.FIELDS if f.name == name)
        header[name] ^= self.rng.randrange(1, 1 << bits)
        if header["result"] == 0 and self.rng.random() < 0.3:
            header["result"] = 1
        return live.frame(header_of(header) + datagram[wire.HEADER_BYTES :])

    def mutated(self) -> bytes:
        """Bits turned, bytes lost or added; perhaps with checksums that hide it."""
        rng = self.rng
        live = Live(rng, self.nic.sizes.in_bytes)
        frame = bytearray(rng.choice(live.frames))
        for _ in range(rng.choice((0, 1, 1, 2))):
            frame[rng.randrange(14, min(len(frame), 120))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            del frame[rng.randrange(14, len(frame)) :]
        if rng.random() < 0.2:
            frame += rng.randbytes(rng.randrange(1, 40))
        return sealed(frame) if rng.random() < 0.7 else bytes(frame)

    def pause(self) -> None:
        """Between two batches: time passes, or what is unfinished is given up."""
        golden, rng = self.golden, self.rng
        if len(golden.slots) > golden.slot_count // 3:
            golden.disable()
            self.nic.write(control=0)
            self.compare()
            golden.registers["control"] = 1
            self.nic.write(control=1)
            self.live.clear()
        elif rng.random() < 0.3:
            golden.wait(rng.choice((1, ASK_US - 1, ASK_US, 3 * ASK_US, 1 << 20)))
            self.nic.write(time_us=golden.now)
            self.compare()

    def compare(self) -> None:
        """What came out is what the model says, and so are all counters."""
        out = self.nic.drain()
        golden = self.golden
        ambiguous = {place for place, times in golden.written.items() if times > 1}
        golden.settle()
        groups = [
            deque(golden.others),
            deque((frame, False) for frame in golden.passed),
            deque((frame, False) for frame in golden.sent_on),
            *(deque((frame, False) for frame in frames) for frames in golden.results),
            *(deque((frame, False) for frame in frames) for frames in golden.given_up),
            *(deque([(frame, False)]) for frame in golden.asked),
        ]
        for frame in out:
            found = (without_cycles(frame.data), frame.bad)
            mine = next((group for group in groups if group and group[0] == found), None)
            assert mine is not None, (found, [group[0] for group in groups if group])
            mine.popleft()
        assert not any(groups), [group[0] for group in groups if group]
        assert Counter(self.nic.counters()) == golden.outcomes + golden.events
        for gone in (golden.others, golden.passed, golden.sent_on, golden.results):
            gone.clear()
        golden.given_up.clear()
        golden.asked.clear()
        self.ended = [live for live in self.ended + self.done if live.place not in ambiguous][-50:]
        self.done = []


def without_cycles(frame: bytes) -> bytes:
    """The frame as the model says it: what a result says of cycles is 0, its checksums with it."""
    if len(frame) < PAYLOAD_AT or frame[HEADER_AT : HEADER_AT + 2] != b"MW":
        return frame
    header = fields_of(frame[HEADER_AT:])
    if not (header["result"] and header["telemetry"] and frame[:6] == packed_mac()):
        return frame
    assert sealed(bytearray(frame)) == frame, "CRC or checksums"
    if header["cycles"]:
        changed = bytearray(frame)
        changed[CYCLES_AT : CYCLES_AT + 4] = bytes(4)
        return sealed(changed)
    return frame


def packed_mac() -> bytes:
    return nic_tests.number(nic_tests.NEXT_MAC).to_bytes(6)


@pytest.mark.parametrize("frames", [1500, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_random_frames(frames: int, large: Any, request: pytest.FixtureRequest) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"{request.node.name}: seed {seed}")
    Campaign(large, seed).run(frames)
