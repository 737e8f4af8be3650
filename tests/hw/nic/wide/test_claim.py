# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule A4: by Yosys's SAT solver, the pipeline is given what rule A1 calls ours, and nothing else;
by models in Python, in two steps, in time, whatever frames come one behind the other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import (
    Assert,
    Assume,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from midwire.hw.formats.headers import HEADERS_WITHIN
from midwire.hw.nic.bus import CONFIG, NETWORK_BEAT_BYTES, beat_layout
from midwire.hw.nic.wide.claim import Claim
from midwire.hw.nic.wide.head import HEAD_BYTES

from ..reading import Address, Elsewhere, Unread, may_be_ours, read
from ..stacks import NEXT_IP6, OWN_IP, OWN_IP6, OWN_PORT, mutated, stacks, strange
from ..test_proof import constant, head_of, prove, to_us, whole_but_last

OURS = Address.of(OWN_IP, OWN_PORT, OWN_IP6, NEXT_IP6)
WIDTHS = [size for size in NETWORK_BEAT_BYTES if size > 8]


class Alone(wiring.Component):
    """The claim by itself, in any state, over the last beat of any frame, then a frame of any
    length, and any frames behind it, all without a pause."""

    def __init__(self, beat_bytes: int) -> None:
        self._size = beat_bytes
        self._dut = Claim(beat_bytes)
        super().__init__({"beat": In(beat_layout(beat_bytes)), "config": In(CONFIG)})

    @property
    def beats(self) -> int:
        """That are looked at."""
        return -(-HEADERS_WITHIN // self._size)

    @property
    def steps(self) -> int:
        """After reset, until all is said."""
        return 1 + self.beats + self._dut.patience

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        # Reset tells it nothing, so it begins in any state.
        m.domains.free = ClockDomain(reset_less=True)
        m.d.comb += ClockSignal("free").eq(ClockSignal())
        dut = self._dut
        m.submodules.dut = DomainRenamer("free")(dut)
        began, ended = Signal(), Signal()
        m.d.sync += began.eq(1)
        constant(m, began, self.config, "config")
        whole_but_last(m, self.beat)
        m.d.comb += Assume(began | self.beat.last)
        comes = began & ~ended
        with m.If(comes & self.beat.last):
            m.d.sync += ended.eq(1)
        m.d.comb += [
            dut.beat.eq(self.beat),
            dut.beat_valid.eq(1),
            dut.config.eq(self.config),
        ]
        at = Signal(range(self.beats + 2))
        with m.If(comes & (at != self.beats)):
            m.d.sync += at.eq(at + 1)
        head, size, _ = head_of(m, self.beat, comes, at, self.beats)
        right = to_us(m, head[: 8 * HEADERS_WITHIN], size, self.config)

        def decides(beats: int) -> Value:
            """Whether so many beats of the frame have come with this one, or all of it."""
            return comes & (at < beats) & (self.beat.last | (at == beats - 1))

        def later(now: Value, cycles: int) -> Value:
            for _ in range(cycles):
                before = Signal()
                m.d.sync += before.eq(now)
                now = before
            return now

        # In time, and right.
        opened = Signal()
        decided = later(decides(HEAD_BYTES // self._size), 2)
        judged = later(decides(self.beats), dut.patience)
        with m.If(decided):
            m.d.sync += opened.eq(dut.open)
        m.d.comb += [
            Assert(~decided | dut.decided),
            Assert(~judged | (dut.judged == opened)),
            Assert(~judged | ((opened & dut.ours) == right)),
        ]
        return m


@pytest.mark.parametrize("beat_bytes", WIDTHS)
def test_a4_what_is_ours_and_nothing_else(tmp_path: Path, beat_bytes: int) -> None:
    design = Alone(beat_bytes)
    done = prove(tmp_path, design, design.steps, any_state=True)
    assert done.returncode == 0, done.stdout + done.stderr


def is_unread(frame: bytes) -> bool:
    try:
        read(frame, OURS)
    except Elsewhere as why:
        return isinstance(why, Unread)
    return False


def is_ours(frame: bytes) -> bool:
    try:
        read(frame, OURS)
    except Elsewhere:
        return False
    return True


def deep(datagram: bytes, source: random.Random) -> Iterator[bytes]:
    """IPv6 with extension headers that say other lengths, some of them cut off right there."""
    for stack in stacks():
        first = 14 + 4 * len(stack.tags) + 40
        for at in range(first, stack.udp_at, 8) if "IPv6" in str(stack) else ():
            for _ in range(3):
                frame = bytearray(stack.frame(datagram))
                frame[at + 1] = source.choice((*range(8), 255))
                yield bytes(frame)
                yield bytes(frame[: at + source.randrange(1, 12)])


def kinds(tools: Any) -> list[bytes]:
    """Frames of every kind, with some bytes changed, in any order."""
    datagram = tools.random.randbytes(100)
    frames = [stack.frame(datagram) for stack in stacks()]
    frames += [stack.frame(datagram, dport=OWN_PORT + 1) for stack in stacks()]
    frames += [mutated(frame, tools.random) for frame in frames for _ in range(4)]
    frames += [frame[: tools.random.randint(1, len(frame))] for frame in frames[:200]]
    frames += strange(datagram).values()
    frames += deep(datagram, tools.random)
    tools.random.shuffle(frames)
    return frames


def say(claim: Claim, size: int, frames: Sequence[bytes], source: Any, pause: float) -> Any:
    """Verdicts on those frames: whether they are open, and whether those that are, are ours, and
    unread."""
    opens: list[bool] = []
    verdicts: list[tuple[bool, bool]] = []

    async def ask(ctx: Any) -> None:
        for name in ("own_ip", "own_port"):
            ctx.set(claim.config[name], getattr(OURS, name.removeprefix("own_")))
        for name, value in (("own_ip6", OURS.ip6), ("next_ip6", OURS.next_ip6)):
            for part in range(4):
                ctx.set(claim.config[f"{name}_{part}"], value >> 96 - 32 * part & 0xFFFF_FFFF)
        ctx.set(claim.config.control, 1)
        await ctx.tick()
        for frame in frames:
            for at in range(0, len(frame), size):
                ctx.set(claim.beat_valid, 0)
                while source.random() < pause:
                    await tick(ctx)
                here = frame[at : at + size]
                ctx.set(claim.beat.data, int.from_bytes(here, "little"))
                ctx.set(claim.beat.keep, (1 << len(here)) - 1)
                ctx.set(claim.beat.last, at + size >= len(frame))
                ctx.set(claim.beat_valid, 1)
                await tick(ctx)
        ctx.set(claim.beat_valid, 0)
        for _ in range(claim.patience + 1):
            await tick(ctx)

    async def tick(ctx: Any) -> None:
        await ctx.tick()
        if ctx.get(claim.decided):
            opens.append(bool(ctx.get(claim.open)))
        if ctx.get(claim.judged):
            verdicts.append((bool(ctx.get(claim.ours)), bool(ctx.get(claim.unread))))

    simulator = Simulator(claim)
    simulator.add_clock(1e-6)
    simulator.add_testbench(ask)
    simulator.run()
    return opens, verdicts


@pytest.mark.parametrize("pause", [0.0, 0.4])
@pytest.mark.parametrize("beat_bytes", WIDTHS)
def test_a4_by_models(tools: Any, beat_bytes: int, pause: float) -> None:
    frames = kinds(tools)
    opens, verdicts = say(Claim(beat_bytes), beat_bytes, frames, tools.random, pause)
    assert len(opens) == len(frames)
    later = iter(verdicts)
    for frame, is_open in zip(frames, opens, strict=True):
        if len(frame) >= HEAD_BYTES:
            assert is_open == may_be_ours(frame, OURS)
        said = next(later) if is_open else (False, False)
        assert said == (is_ours(frame), is_unread(frame)), frame.hex()
    assert not list(later)
    ours, unread = (sum(column) for column in zip(*verdicts, strict=True))
    print(len(opens), sum(opens), ours, unread)
    assert len(opens) - sum(opens) > 100
    assert ours > 100 and len(verdicts) - ours > 100 and unread > 10


def test_a4_of_nobody(tools: Any) -> None:
    """Of no width that units do not fit."""
    with pytest.raises(ValueError, match="16, 32 or 64 bytes, not 8"):
        Claim(8)
