# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Random frames through the pipeline and through the model in Python: every byte that comes out,
and every counter.
"""

from __future__ import annotations

import ipaddress
import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import google_crc32c
import pytest

from midwire.hw.formats import fragments, wire
from midwire.hw.formats.slots import PRESSED_ASKS

from .conftest import CURSOR, EPOCH, MODEL_HASH, REGISTERS, SLICES, TENANT, Sizes, number
from .golden import Golden, fields_of, frame_of, header_of
from .reading import Address, Elsewhere, read, sum16
from .stacks import (
    NEXT_IP,
    NEXT_IP6,
    NEXT_MAC,
    NEXT_PORT,
    OWN_IP,
    OWN_IP6,
    OWN_PORT,
    decision_place,
    stacks,
)

CLIENTS = tuple(
    (ip, port) for ip in ("10.0.1.1", "10.0.1.2", "2001:db8::1:1") for port in (40_000, 40_001)
)
MACS = bytes.fromhex("02000a000002 02000a000001")
TAGS = (b"", b"", bytes.fromhex("81000123"), bytes.fromhex("88a80456 81002001"))
STACKS = tuple(stacks())
OURS = Address.of(OWN_IP, OWN_PORT, OWN_IP6, NEXT_IP6)
NEXT = Address.of(NEXT_IP, NEXT_PORT, NEXT_IP6, NEXT_IP6)
HOPS = {number(NEXT_MAC).to_bytes(6): NEXT}
"""Next hops by their MAC addresses."""
CYCLES_AT = 52  # of the midwire header
ASK_US = 100
LOOKING_CYCLES = 8 * 1024
"""More than it takes to look at each slot as often as something can be due of it at once."""


def packed(ip: str) -> bytes:
    return ipaddress.ip_address(ip).packed


def sealed(frame: bytes, address: Address) -> bytes:
    """The frame with its CRC and its checksums made right, if it is to that address."""
    try:
        where = read(frame, address)
    except Elsewhere:
        return frame
    out, at, udp = bytearray(frame), where.ip_at, where.udp_at
    end = where.header_at + wire.HEADER_BYTES
    if end > len(frame):
        return frame
    out[end - 4 : end] = google_crc32c.value(frame[where.header_at : end - 4] + bytes(4)).to_bytes(
        4
    )
    if not where.ipv6:
        out[at + 10 : at + 12] = bytes(2)
        out[at + 10 : at + 12] = (0xFFFF ^ sum16(out[at:udp])).to_bytes(2)
    length = bytes(out[udp + 4 : udp + 6])
    out[udp + 6 : udp + 8] = bytes(2)
    pseudo = bytes(out[where.addresses]) + bytes([0, 17]) + length
    total = sum16(pseudo + bytes(out[udp : udp + int.from_bytes(length)]))
    out[udp + 6 : udp + 8] = ((0xFFFF ^ total) or 0xFFFF).to_bytes(2)
    return bytes(out)


class Live:
    """A request of a client, and which of its fragments were never sent."""

    core = 0

    def __init__(self, rng: random.Random, in_bytes: int, **changes: Any) -> None:
        self.client = rng.choice(CLIENTS)
        self.tensor = rng.randbytes(in_bytes)
        header = wire.Header(
            tenant=TENANT,
            model_hash=MODEL_HASH,
            cursor=CURSOR,
            slice_count=SLICES,
            epoch=EPOCH,
            request_id=rng.getrandbits(64),
            hop_limit=rng.randrange(1, 9),
            deadline_us=rng.randrange(1, 1 << 32),
        )
        self.header = replace(header, **changes)
        self.mtu = rng.choice((300, 700, 1500))
        self.tags = rng.choice(TAGS)
        self.frames = [self.frame(d) for d in self.datagrams()]
        self.unsent = list(self.frames)
        rng.shuffle(self.unsent)

    def datagrams(self) -> Iterable[bytes]:
        return fragments.datagrams(self.header, self.tensor, self.mtu)

    def frame(self, datagram: bytes) -> bytes:
        ip, port = self.client
        own = OWN_IP6 if ":" in ip else OWN_IP
        ports = port, OWN_PORT
        return frame_of(datagram, MACS + self.tags, packed(ip) + packed(own), ports, 0x28, 61)

    @property
    def place(self) -> tuple[int, int]:
        """Its core, and where decisions on it are remembered there."""
        return self.core, decision_place(self.header.request_id, *self.client)


class Campaign:
    """Batches of frames; after each one, everything is compared."""

    hops: Mapping[bytes, Address] = HOPS

    def __init__(self, nic: Any, seed: int) -> None:
        self.nic, self.rng = nic, random.Random(seed)
        sizes = nic.sizes
        registers = {
            **REGISTERS,
            "fragment_bytes": fragments.fragment_bytes(),
            "clock_mhz": 0,
            "time_us": self.rng.getrandbits(32),
            "timeout_us": 0,
            "ask_us": ASK_US,
        }
        self.golden = self.model(registers)
        nic.write(clock_mhz=0, time_us=registers["time_us"], timeout_us=0, ask_us=ASK_US)
        nic.pauses(20, 20, seed & 0xFFFF)
        self.live: list[Live] = []
        self.done: list[Live] = []  # in this batch
        self.ended: list[Live] = []
        self.sent = 0
        self.declined = 0  # as busy, when there was no request in a slot
        # Of what is ours, a wide stream brings more than the core takes; all of these fit (A5).
        self.most = 60 if sizes.network_beat == 8 else 30

    def model(self, registers: dict[str, int]) -> Any:
        """The golden model."""
        return Golden(registers, *bytes_of(self.nic.sizes), self.execute)

    def execute(self, tensors: list[bytes]) -> list[bytes]:
        """As the stand-in slice does."""
        (tensor,) = tensors
        size = len(tensor)
        out = range(self.nic.sizes.out_bytes)
        return [bytes((tensor[k % size] + 1 + k // size) & 255 for k in out)]

    def run(self, frames: int) -> None:
        while self.sent < frames:
            count = self.rng.randrange(1, self.most)
            for _ in range(count):
                # Each is known to the model before the next one is chosen (see `remembered`).
                frame, bad = self.one()
                self.nic.queue(frame, bad)
                self.golden.frame(frame, bad)
            self.sent += count
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
        if kind < 0.45 and (again := self.remembered()):
            return self.rng.choice(self.rng.choice(again).frames), False
        return self.fragment(), False

    def request(self) -> Live:
        """A new one."""
        return Live(self.rng, self.nic.sizes.in_bytes)

    def remembered(self) -> list[Live]:
        """Requests that were executed, and are known to be, whatever is executed meanwhile."""
        taken = {live.place for live in self.live + self.done}
        taken |= set(self.golden.open_places())
        return [live for live in self.ended if live.place not in taken]

    def fragment(self) -> bytes:
        """One of a request under way, or the first of a new one; or one that was sent before."""
        if not self.live or (len(self.live) < 12 and self.rng.random() < 0.2):
            self.live.append(self.request())
        live = self.rng.choice(self.live)
        sent = [frame for frame in live.frames if frame not in live.unsent]
        if sent and self.rng.random() < 0.1:
            return self.rng.choice(sent)
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
        frame = bytearray(self.headed(self.request()))
        frame[rng.randrange(12, 100)] ^= 1 << rng.randrange(8)
        return bytes(frame[: rng.randrange(14, len(frame) + 1)])

    def headed(self, live: Live) -> bytes:
        """A fragment of a request, behind options or extension headers now and then."""
        datagram = self.rng.choice(list(live.datagrams()))
        if self.rng.random() < 0.7:
            return live.frame(datagram)
        return self.rng.choice(STACKS).frame(datagram)

    def wrong(self) -> bytes:
        """A good fragment of what we do not execute."""
        live = self.request()
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
        frame = bytearray(self.headed(self.request()))
        for _ in range(rng.choice((0, 1, 1, 2))):
            frame[rng.randrange(14, min(len(frame), 200))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            del frame[rng.randrange(14, len(frame)) :]
        if rng.random() < 0.2:
            frame += rng.randbytes(rng.randrange(1, 40))
        return sealed(bytes(frame), OURS) if rng.random() < 0.7 else bytes(frame)

    def pause(self) -> None:
        """Between two batches: time passes, or what is unfinished is given up.

        Who was declined for want of a slot makes the NIC give up old requests (D4), and which of
        them goes first, if any, depends on cycles. So none is old while somebody may be.
        """
        golden, rng = self.golden, self.rng
        if golden.crowded():
            self.give_up()
        elif rng.random() < 0.3:
            microseconds = rng.choice((1, ASK_US - 1, ASK_US, 3 * ASK_US, 1 << 20))
            if golden.outcomes["declined_busy"] != self.declined and self.oldest(microseconds):
                self.give_up()
            golden.wait(microseconds)
            self.nic.write(time_us=golden.now)
            self.nic.cycles(LOOKING_CYCLES)
            self.compare()
            if self.oldest():
                self.give_up()

    def oldest(self, later: int = 0) -> bool:
        """Whether a request is unfinished for so long that another may have its slot, or will be
        in some microseconds.
        """
        at = self.golden.now + later
        waited = ((at - each) % (1 << 32) for each in self.golden.lacking_since())
        return any(each >= ASK_US << PRESSED_ASKS for each in waited)

    def give_up(self) -> None:
        """All of what is unfinished: its slots are free, so nobody waits for one."""
        self.golden.disable()
        self.nic.write(control=0)
        self.nic.cycles(LOOKING_CYCLES)
        self.compare()
        self.golden.registers["control"] = 1
        self.nic.write(control=1)
        self.live.clear()
        self.declined = self.golden.outcomes["declined_busy"]

    def compare(self) -> None:
        """What came out is what the model says, and so are all counters."""
        out = self.nic.drain()
        golden = self.golden
        golden.settle()
        ambiguous = {place for place, times in golden.written.items() if times > 1}
        golden.written.clear()
        groups = [
            deque(golden.others),
            deque((frame, False) for frame in golden.passed),
            deque((frame, False) for frame in golden.sent_on),
            *(deque((frame, False) for frame in frames) for frames in golden.results),
            *(deque((frame, False) for frame in frames) for frames in golden.given_up),
            *(deque([(frame, False)]) for frame in golden.asked),
        ]
        for frame in out:
            found = (without_cycles(frame.data, self.hops), frame.bad)
            mine = next((group for group in groups if group and group[0] == found), None)
            assert mine is not None, (found, [group[0] for group in groups if group])
            mine.popleft()
        assert not any(groups), [group[0] for group in groups if group]
        assert Counter(self.nic.counters()) == golden.outcomes + golden.events + golden.hits
        for gone in (golden.others, golden.passed, golden.sent_on, golden.results):
            gone.clear()
        golden.given_up.clear()
        golden.asked.clear()
        self.ended = [live for live in self.ended + self.done if live.place not in ambiguous][-50:]
        self.done = []


def bytes_of(sizes: Sizes) -> tuple[list[int], list[int]]:
    """Bytes of each tensor that a stand-in slice takes, and of each that it gives."""
    shape = sizes.shape
    inputs, outputs = (
        [tensor.tensor_bytes for tensor in side] for side in (shape.inputs, shape.outputs)
    )
    return inputs, outputs


def without_cycles(frame: bytes, hops: Mapping[bytes, Address] = HOPS) -> bytes:
    """The frame as the model says it: what a result says of cycles is 0, its checksums with it."""
    hop = hops.get(frame[:6])
    if hop is None:
        return frame
    try:
        at = read(frame, hop).header_at
    except Elsewhere:
        return frame
    if len(frame) < at + wire.HEADER_BYTES:
        return frame
    header = fields_of(frame[at:])
    if not (header["magic"] == wire.MAGIC and header["result"] and header["telemetry"]):
        return frame
    assert sealed(frame, hop) == frame, "CRC or checksums"
    if not header["cycles"]:
        return frame
    cycles = slice(at + CYCLES_AT, at + CYCLES_AT + 4)
    return sealed(frame[: cycles.start] + bytes(4) + frame[cycles.stop :], hop)


@pytest.mark.parametrize("frames", [1500, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_random_frames(frames: int, large: Any, request: pytest.FixtureRequest) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"{request.node.name}: seed {seed}")
    Campaign(large, seed).run(frames)


@pytest.mark.parametrize("frames", [600, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_random_frames_on_a_wide_stream(
    frames: int, wide: Any, request: pytest.FixtureRequest
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"{request.node.name}: seed {seed}")
    Campaign(wide, seed).run(frames)
