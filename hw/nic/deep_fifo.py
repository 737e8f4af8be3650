# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A deep FIFO whose output comes out of distributed memory: block memory alone is too slow."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal
from amaranth.lib.memory import Memory

from ..datapath.stream import Fifo

NEAR = 16
"""Words near the output: as many as one cell of distributed memory has."""

NEVER_COLLIDES = {"no_rw_check": 1}
"""Attribute of a memory of which no word is read in the cycle in which it is written.

Amaranth says of such a word that the old one is read, which block memory with two ports does not
do in every family: Yosys would put registers and multiplexers around it.
"""


class DeepFifo(Fifo):
    """As :class:`midwire.hw.datapath.stream.Fifo`: a word taken in cycle ``t`` is offered in cycle
    ``t + 1`` if there is none before it, one can be taken and offered each cycle, and ``ready``
    depends on no input.

    Words go straight to the output's memory while there is room; what comes when there is none goes
    around, through block memory, until that is empty. A word that is read there takes a cycle to
    its output, which takes most of one in many families, and another one from a register on.

    Members
    -------
    i, o : streams of ``payload``

    Attributes
    ----------
    level : range(depth + 1), words inside; no member, as in ``Fifo``
    """

    def __init__(self, payload: ShapeLike, depth: int) -> None:
        if depth <= NEAR:
            raise ValueError(f"a deep FIFO has a depth of more than {NEAR}, not {depth!r}")
        super().__init__(payload, depth)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        shape = Shape.cast(self._payload)
        m.submodules.far = far = Memory(
            shape=shape, depth=self._depth, init=[], attrs=NEVER_COLLIDES
        )
        far_write, far_read = far.write_port(), far.read_port()

        put, get = Signal(), Signal()
        full = Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            put.eq(self.i.valid & self.i.ready),
            get.eq(self.o.valid & self.o.ready),
        ]
        with m.If(put & ~get):
            m.d.sync += [self.level.eq(self.level + 1), full.eq(self.level == self._depth - 1)]
        with m.Elif(get & ~put):
            m.d.sync += [self.level.eq(self.level - 1), full.eq(0)]

        # Room near the output is taken by what is there and by what is on its way to it, each in
        # its place. What comes goes around only while all of it is taken, or something waits: so 15
        # are before each word that is read, which is on its way for 3 cycles. It never is the next.
        taken = Signal(range(NEAR + 1))
        far_words = Signal(range(self._depth + 1))  # in the far memory
        reads, direct, far_put = Signal(), Signal(), Signal()
        m.d.comb += [
            direct.eq(put & (taken != NEAR) & (far_words == 0)),
            far_put.eq(put & ~direct),
            reads.eq((taken != NEAR) & (far_words != 0)),
            self.o.valid.eq(taken != 0),
        ]
        with m.If((direct | reads) & ~get):
            m.d.sync += taken.eq(taken + 1)
        with m.Elif(get & ~(direct | reads)):
            m.d.sync += taken.eq(taken - 1)
        with m.If(far_put & ~reads):
            m.d.sync += far_words.eq(far_words + 1)
        with m.Elif(reads & ~far_put):
            m.d.sync += far_words.eq(far_words - 1)

        tail, head = Signal(range(self._depth)), Signal(range(self._depth))
        m.d.comb += [
            far_write.addr.eq(tail),
            far_write.data.eq(self.i.payload),
            far_write.en.eq(far_put),
            far_read.addr.eq(head),
            far_read.en.eq(reads),
        ]
        for moves, place in ((far_put, tail), (reads, head)):
            with m.If(moves):
                m.d.sync += place.eq(Mux(place == self._depth - 1, 0, place + 1))

        # Near: a memory for each of the two ways, and by which one the word in each place comes.
        near_tail, near_head = Signal(range(NEAR)), Signal(range(NEAR))
        around = Signal(NEAR)
        read, fetched = Signal(), Signal()
        places = Signal.like(near_tail, name="read_place"), Signal.like(near_tail, name="place")
        words = []
        for name, comes, place in (("direct", direct, near_tail), ("around", fetched, places[1])):
            m.submodules[name] = near = Memory(shape=shape, depth=NEAR, init=[])
            write, out = near.write_port(), near.read_port(domain="comb")
            m.d.comb += [write.addr.eq(place), write.en.eq(comes), out.addr.eq(near_head)]
            words.append((write.data, out.data))
        word = Signal(shape)
        m.d.sync += [
            read.eq(reads),
            fetched.eq(read),
            places[0].eq(near_tail),
            places[1].eq(places[0]),
            word.eq(far_read.data),
        ]
        m.d.comb += [
            words[0][0].eq(self.i.payload),
            words[1][0].eq(word),
            self.o.payload.eq(Mux(around.bit_select(near_head, 1), words[1][1], words[0][1])),
        ]
        with m.If(direct | reads):
            m.d.sync += [near_tail.eq(near_tail + 1), around.bit_select(near_tail, 1).eq(reads)]
        with m.If(get):
            m.d.sync += near_head.eq(near_head + 1)
        return m
