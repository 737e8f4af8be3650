# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Proofs by Yosys's SAT solver: whatever comes, it goes the way that rule A1 says, and others'
frames leave unchanged, and in order."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from midwire.hw.formats.headers import HEADERS_WITHIN
from midwire.hw.nic import ingress
from midwire.hw.nic.bus import BEAT, BEAT_BYTES, CONFIG
from midwire.hw.nic.classify import DECISION_CYCLES, Classifier
from midwire.hw.nic.ingress import Ingress
from midwire.sim.synth import find_yosys

STEPS = 11
"""Cycles after reset, over all inputs: frames of one to eight beats, and pauses anywhere. Each one
more takes the solver twice as long."""

ROOM = 8
"""Beats that wait inside, at most: the first 5 of a frame are looked at."""


class Oracle(wiring.Component):
    """Any classifier: bits of the frame say when it decides, and what; once a frame, and in time.

    Nothing else depends on these bits, so the solver tries all decisions. That the real one keeps
    to that, and what it says, is proven of it alone.
    """

    def __init__(self, beats: int) -> None:
        self._beats = beats
        super().__init__(Classifier(beats).signature)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        at, known, decides = Signal(range(self._beats)), Signal(), Signal()
        last, bits = self.beat.last, self.beat.data
        now = bits[0] | last | (at == self._beats - 1)
        m.d.comb += decides.eq(self.beat_valid & ~known & now)
        says = Cat(decides, bits[1], bits[2:])
        for _ in range(DECISION_CYCLES):
            before = Signal.like(says)
            m.d.sync += before.eq(says)
            says = before
        m.d.comb += Cat(self.decided, self.to_us, self.where).eq(says)
        with m.If(self.beat_valid):
            m.d.sync += [known.eq(~last & (known | now)), at.eq(Mux(last, 0, at + 1))]
        return m


class Environment(wiring.Component):
    """Ingress between free neighbours, and what must hold of any beat of any frame.

    Which beat it is, is told by inputs that keep their first values: the solver tries all of them.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(BEAT)),
                "passed_ready": In(1),
                "ours_ready": In(1),
                "frame": In(4),
                "beat": In(4),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.dut = dut = Ingress(ROOM)
        began = Signal()
        m.d.sync += began.eq(1)
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        m.d.comb += [
            dut.passed.ready.eq(self.passed_ready),
            dut.ours.ready.eq(self.ours_ready),
            dut.room.eq(1),
        ]
        for name in ("frame", "beat"):
            constant(m, began, getattr(self, name), name)

        whole_but_last(m, self.i.payload)
        _steady(m, began, dut.i, "source", Assume)
        _steady(m, began, dut.passed, "passed", Assert)
        _steady(m, began, dut.ours, "ours", Assert)

        comes = dut.i.valid & dut.i.ready
        frame_in, beat_in = _place(m, comes, dut.i.payload.last, "in")
        payload, seen = Signal(len(Value.cast(dut.i.payload))), Signal()
        with m.If(comes & (frame_in == self.frame) & (beat_in == self.beat)):
            m.d.sync += [payload.eq(dut.i.payload), seen.eq(1)]
        goes = (dut.passed.valid & dut.passed.ready) | (dut.ours.valid & dut.ours.ready)
        beat = Mux(dut.passed.valid, dut.passed.payload, dut.ours.payload)
        last = Mux(dut.passed.valid, dut.passed.payload.last, dut.ours.payload.last)
        frame_out, beat_out = _place(m, goes, last, "out")
        gone = goes & (frame_out == self.frame) & (beat_out == self.beat)
        m.d.comb += [
            Assert(~(dut.passed.valid & dut.ours.valid)),
            Assert(~gone | (seen & (beat == payload))),
        ]

        # It goes the way that was decided, with where its headers are.
        to_us, where, known = self._decision(m, comes)
        went = Signal()
        with m.If(gone):
            m.d.sync += went.eq(1)
        m.d.comb += [
            Assert(~gone | (known & (dut.ours.valid == to_us))),
            Assert(~gone | ~to_us | (Value.cast(dut.where) == where)),
        ]

        # And it goes: once that is known, a beat leaves in each cycle that lets it.
        asked = Signal(range(ROOM + 3))
        with m.If(seen & known & ~went & self.passed_ready & self.ours_ready):
            m.d.sync += asked.eq(asked + 1)
        m.d.comb += Assert(asked <= ROOM + 1)
        return m

    def _decision(self, m: Module, comes: Value) -> tuple[Signal, Signal, Signal]:
        """What is decided on the frame, and whether it is. Decisions come in the frames' order."""
        m.submodules.oracle = oracle = Oracle(ROOM - 3)
        m.d.comb += [oracle.beat.eq(self.i.payload), oracle.beat_valid.eq(comes)]
        to_us, known, decided = Signal(), Signal(), Signal(5)
        where = Signal(len(Value.cast(oracle.where)))
        with m.If(oracle.decided):
            m.d.sync += decided.eq(decided + 1)
            with m.If(decided == self.frame):
                m.d.sync += [to_us.eq(oracle.to_us), where.eq(oracle.where), known.eq(1)]
        return to_us, where, known


class Alone(wiring.Component):
    """The classifier by itself, over one frame of any length that comes without a pause."""

    def __init__(self, beats: int) -> None:
        self._beats = beats
        super().__init__({"beat": In(BEAT), "config": In(CONFIG)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.dut = dut = Classifier(self._beats)
        began, ended = Signal(), Signal()
        m.d.sync += began.eq(1)
        constant(m, began, self.config, "config")
        whole_but_last(m, self.beat)
        comes = ~ended
        with m.If(self.beat.last):
            m.d.sync += ended.eq(1)
        m.d.comb += [
            dut.beat.eq(self.beat),
            dut.beat_valid.eq(comes),
            dut.config.eq(self.config),
        ]
        at = Signal(range(self._beats + 2))
        with m.If(comes & (at != self._beats)):
            m.d.sync += at.eq(at + 1)
        head, size, known = head_of(m, self.beat, comes, at, self._beats)
        right = to_us(m, head, size, self.config)

        # Decided once, by the end of what is looked at or of the frame; what it is, is known then.
        decided, said = Signal(), Signal()
        m.d.comb += Assert(~(decided & dut.decided))
        with m.If(dut.decided):
            m.d.sync += [decided.eq(1), said.eq(dut.to_us)]
        over = known | (at == self._beats)
        late = Signal()
        m.d.sync += late.eq(over)
        m.d.comb += [
            Assert(~late | decided),
            Assert(~(late & decided) | (said == right)),
        ]
        return m


def whole_but_last(m: Module, beat: Any) -> None:
    """Only the last beat of a frame is not full (B1)."""
    lanes = len(beat.keep)
    full = (1 << lanes) - 1
    some = reduce(or_, (beat.keep == full >> lane for lane in range(lanes)))
    m.d.comb += Assume(Mux(beat.last, some, beat.keep == full))


def head_of(
    m: Module, payload: Any, comes: Value, at: Value, beats: int
) -> tuple[Signal, Signal, Signal]:
    """The first beats of the frame, how many bytes they are, and whether the frame has ended."""
    lanes = len(payload.keep)
    head = Signal(8 * lanes * beats)
    size, known = Signal(range(beats * lanes + 1)), Signal()
    for index in range(beats):
        with m.If(comes & (at == index)):
            m.d.sync += [
                head.word_select(index, 8 * lanes).eq(payload.data),
                size.eq(index * lanes + sum(payload.keep)),
            ]
    with m.If(comes & payload.last):
        m.d.sync += known.eq(1)
    return head, size, known


def to_us(m: Module, head: Value, size: Value, config: Any) -> Signal:
    """Rule A1 on so many bytes of a frame."""
    room = len(head) // 8

    def number(at: int, size: int) -> Value:
        return Cat(head[8 * k : 8 * k + 8] for k in reversed(range(at, at + size)))

    def udp_at(at: int) -> Value:
        """Whether that is a UDP header for us."""
        if at + 8 > room:
            return Const(0)
        return (size >= at + 8) & (number(at + 2, 2) == config.own_port)

    def ipv4_at(at: int) -> Value:
        if at + 20 > room:
            return Const(0)
        lengths = ((number(at, 1) == 0x40 + n) & udp_at(at + 4 * n) for n in range(5, 16))
        return (
            ~number(at + 6, 2)[:14].any()
            & (number(at + 9, 1) == 17)
            & ((config.own_ip == 0) | (number(at + 16, 4) == config.own_ip))
            & reduce(or_, lengths)
        )

    own = Cat(config[f"own_ip6_{part}"] for part in reversed(range(4)))
    following = Cat(config[f"next_ip6_{part}"] for part in range(4))
    behind: dict[int, Signal] = {}

    def behind_ipv6(at: int) -> Signal:
        """Whether UDP for us comes in the end, behind an extension header at this byte."""
        if at not in behind:
            behind[at] = Signal(name=f"behind_{at}")
            lengths = range((room - 8 - at) // 8)
            ways = [
                (number(at + 1, 1) == length) & follows(number(at, 1), at + 8 + 8 * length)
                for length in lengths
            ]
            m.d.comb += behind[at].eq(reduce(or_, ways, Const(0)))
        return behind[at]

    def follows(kind: Value, at: int) -> Value:
        """Whether UDP for us comes in the end, if a header at this byte is said to be of a kind."""
        if at + 8 > room:
            return Const(0)
        last = number(at + 3, 1) == 0
        return ((kind == 17) & udp_at(at)) | (
            ((kind == 60) | ((kind == 43) & last)) & behind_ipv6(at)
        )

    def ipv6_at(at: int) -> Value:
        if at + 48 > room:
            return Const(0)
        kind = number(at + 6, 1)
        return (
            (number(at, 1)[4:] == 6)
            & own.any()
            & following.any()
            & (number(at + 24, 16) == own)
            & (follows(kind, at + 40) | ((kind == 0) & behind_ipv6(at + 40)))
        )

    def type_at(at: int) -> Value:
        """Whether IP for us comes in the end, after tags or none."""
        kind = number(at, 2)
        found = ((kind == 0x0800) & ipv4_at(at + 2)) | ((kind == 0x86DD) & ipv6_at(at + 2))
        if at == 20:
            return found
        return found | (((kind == 0x8100) | (kind == 0x88A8)) & type_at(at + 4))

    found = Signal()
    m.d.comb += found.eq(config.control & type_at(12))
    return found


def constant(m: Module, began: Signal, port: Any, name: str) -> None:
    now = Value.cast(port)
    before = Signal(len(now), name=f"{name}_before")
    m.d.sync += before.eq(now)
    m.d.comb += Assume(~began | (now == before))


def _steady(m: Module, began: Signal, port: Any, name: str, claim: Callable[[Value], Any]) -> None:
    """What is offered stays until it is taken."""
    now = Value.cast(port.payload)
    waits, offered = Signal(name=f"{name}_waits"), Signal(len(now), name=f"{name}_offered")
    m.d.sync += [waits.eq(port.valid & ~port.ready), offered.eq(now)]
    m.d.comb += claim(~waits | (port.valid & (now == offered)))


def _place(m: Module, moves: Value, last: Value, name: str) -> tuple[Signal, Signal]:
    """Number of the frame whose beat moves, and of the beat in it."""
    frame, beat = Signal(5, name=f"{name}_frame"), Signal(5, name=f"{name}_beat")
    with m.If(moves):
        m.d.sync += beat.eq(beat + 1)
        with m.If(last):
            m.d.sync += [beat.eq(0), frame.eq(frame + 1)]
    return frame, beat


def prove(
    folder: Path, design: wiring.Component, steps: int, any_state: bool = False
) -> subprocess.CompletedProcess[str]:
    """Yosys's verdict on all assertions of a design, for so many cycles after reset; with
    ``any_state``, what has no reset begins with any value."""
    (folder / "design.il").write_text(rtlil.convert(design, name="design"))
    resets = " ".join(f"-set-at {step} rst {int(step == 1)}" for step in range(1, steps + 2))
    forget = "setattr -unset init w:*; " if any_state else ""
    script = (
        "read_rtlil design.il; hierarchy -top design; proc; flatten; chformal -lower; "
        f"memory -nomap; memory_map; async2sync; {forget}opt -full; "
        f"sat -seq {steps + 1} -prove-asserts -set-assumes -prove-skip 1 {resets} -verify"
    )
    return subprocess.run(
        [*find_yosys(), "-q", "-p", script], cwd=folder, capture_output=True, text=True, check=False
    )


def test_others_frames_leave_unchanged_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingress, "Classifier", Oracle)
    done = prove(tmp_path, Environment(), STEPS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a1_the_classifier_says_what_the_rule_says(tmp_path: Path) -> None:
    beats = HEADERS_WITHIN // BEAT_BYTES
    done = prove(tmp_path, Alone(beats), beats + 3)
    assert done.returncode == 0, done.stdout + done.stderr
