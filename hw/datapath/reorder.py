# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The reorder buffer: two blocks in memory, one written in order, one read in another."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..kernels.finishing import finish_file
from ..kernels.reorder import PingPong
from .counters import counter
from .finished import FinishedOutlet
from .ranges import shape_for
from .stream import beats


class ReorderBuffer(wiring.Component):
    """Hardware of :class:`~midwire.hw.kernels.reorder.PingPong`, rules M1 to M3 there.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory image's name

    Members
    -------
    i : In(beats of ``lanes_in`` elements)
    o : Out(beats of ``lanes`` elements)
    """

    def __init__(self, built: PingPong, name: str) -> None:
        self._built = built
        self._file = finish_file(name)
        self._x = shape_for(built.x)
        out = beats(shape_for(built.unit.out), built.lanes)
        super().__init__({"i": In(beats(self._x, built.lanes_in)), "o": Out(out)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, self._file, b.depth)
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(self._x, b.lanes), depth=2 * b.words, init=[]
        )
        wiring.connect(m, outlet.o, wiring.flipped(self.o))

        full = Signal(2)
        filling, reading = Signal(), Signal()
        write, read = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(filling, 1)),
            write.eq(self.i.valid & self.i.ready),
            read.eq(full.bit_select(reading, 1) & outlet.free),
            outlet.take.eq(read),
        ]
        written = self._write(m, memory, write, filling)
        done, place = self._address(m, read, reading)
        with m.If(write & written):
            m.d.sync += [full.bit_select(filling, 1).eq(1), filling.eq(~filling)]
        with m.If(read & done):
            m.d.sync += [full.bit_select(reading, 1).eq(0), reading.eq(~reading)]

        last_block = counter(m, "block", b.blocks, read & done)
        port = memory.read_port()
        m.d.comb += [port.addr.eq(place), outlet.acc0.eq(port.data)]
        m.d.sync += [outlet.valid.eq(read), outlet.final.eq(read & done & last_block)]
        return m

    def _write(self, m: Any, memory: Any, write: Any, filling: Any) -> Any:
        """Put beats where the reader expects them; whether this one ends a block."""
        b = self._built
        at = Signal(range(2 * b.words))
        written = counter(m, "beat", b.writes, write)
        other = Mux(filling, 0, b.words)
        if b.lanes_in == b.lanes:
            port = memory.write_port()
            m.d.comb += [port.en.eq(write), port.data.eq(self.i.payload.data)]
            following = at + 1
        else:
            # One lane of a word: words in turn, then the next lane of the same words.
            port = memory.write_port(granularity=1)
            low_end = counter(m, "low", b.stride, write, written)
            lane = Signal(range(b.lanes))
            lane_end = lane == b.lanes - 1
            with m.If(write & low_end):
                m.d.sync += lane.eq(Mux(lane_end, 0, lane + 1))
            with m.If(write & written):
                m.d.sync += lane.eq(0)
            m.d.comb += port.en.eq(write << lane)
            m.d.comb += [port.data[k].eq(self.i.payload.data[0]) for k in range(b.lanes)]
            following = Mux(low_end & ~lane_end, at - (b.stride - 1), at + 1)
        m.d.comb += port.addr.eq(at)
        with m.If(write):
            m.d.sync += at.eq(Mux(written, other, following))
        return written

    def _address(self, m: Any, read: Any, reading: Any) -> tuple[Any, Any]:
        """Whether the read of this cycle is a block's last, and its word (M1)."""
        b = self._built
        at = Signal(range(2 * b.words), init=b.start)
        following = Signal(range(-2 * b.words, 2 * b.words))
        ends = read
        reach = 0
        steps = []
        for k, (count, stride) in reversed(list(enumerate(b.loops))):
            steps.append((ends, stride - reach))
            ends = ends & counter(m, f"turn{k}", count, ends)
            reach += (count - 1) * stride
        # A loop goes on when all inner ones end; the outermost that goes on decides.
        m.d.comb += following.eq(at)
        for goes_on, step in steps:
            with m.If(goes_on):
                m.d.comb += following.eq(at + step)
        start: Any = b.start
        other = reading
        if b.starts:
            start = self._start(m, ends)
            done = ends & counter(m, "start", len(b.starts), ends)
            # The next start is in this block, unless that was the last one.
            other = reading ^ ~done
        else:
            done = ends
        with m.If(ends):
            m.d.comb += following.eq(start + Mux(other, 0, b.words))
        m.d.sync += at.eq(following)
        return done, at

    def _start(self, m: Any, advance: Any) -> Any:
        """The start behind this one, which a table gives a turn ahead."""
        starts = self._built.starts
        count = len(starts)
        upcoming = Signal(range(max(starts) + 1), init=starts[1 % count])
        index = Signal(range(count), init=2 % count, name="start_index")
        with m.If(advance):
            m.d.sync += index.eq(Mux(index == count - 1, 0, index + 1))
            with m.Switch(index):
                for k, start in enumerate(starts):
                    with m.Case(k):
                        m.d.sync += upcoming.eq(start)
        return upcoming
