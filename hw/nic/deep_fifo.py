# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""FIFOs whose outputs are there early in a cycle."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.utils import ceil_log2

from ..datapath.stream import Fifo

NEAR = 16
"""Words near the output: as many as one cell of distributed memory has."""

NEVER_COLLIDES = {"no_rw_check": 1}
"""Attribute of a memory of which no word that is read in the cycle in which it is written is used.

Amaranth says of such a word that the old one is read, which block memory with two ports does not
do in every family: Yosys would put registers and multiplexers around it.
"""


def _step(m: Module, count: Signal, up: Value, down: Value) -> None:
    """A count by one, or not: what is late only says whether it changes."""
    with m.If(up ^ down):
        m.d.sync += count.eq(count + Mux(down, -1, 1))


def _count(m: Module, fifo: Fifo, put: Value, get: Value, full: Signal) -> None:
    """Words inside, and whether these are all that fit, as a register."""
    _step(m, fifo.level, put, get)
    m.d.sync += full.eq((full | (put & (fifo.level == fifo.depth - 1))) & ~get)


class QuickFifo(Fifo):
    """As :class:`midwire.hw.datapath.stream.Fifo` of the same depth, but ``ready``, ``valid`` and
    the word that is offered are registers: what they lead to may take most of a cycle.

    Members
    -------
    i, o : streams of ``payload``

    Attributes
    ----------
    level : range(depth + 1), words inside; no member, as in ``Fifo``
    """

    def __init__(self, payload: ShapeLike, depth: int = 2) -> None:
        if depth < 2:
            raise ValueError(f"a quick FIFO has a depth of at least 2, not {depth!r}")
        super().__init__(payload, depth)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        word, next_word = Signal.like(self.i.payload), Signal.like(self.i.payload)
        some, both = Signal(), Signal()  # of these two words
        full, put, get = Signal(), Signal(), Signal()
        comes, coming = Signal(), Signal.like(self.i.payload)  # what goes to them
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.valid.eq(some),
            self.o.payload.eq(word),
            put.eq(self.i.valid & ~full),
            get.eq(some & self.o.ready),
        ]
        m.d.sync += [
            some.eq(comes | both | (some & ~get)),
            both.eq((some & comes & ~get) | (both & ~get)),
        ]
        with m.If(~both):
            m.d.sync += next_word.eq(coming)
        with m.If(~some | get):
            m.d.sync += word.eq(Mux(both, next_word, coming))
        if self._depth == 2:
            m.d.comb += [
                comes.eq(put),
                coming.eq(self.i.payload),
                full.eq(both),
                self.level.eq(some + both),
            ]
            return m

        # While there is no room for them, or others wait for it, words wait behind the two. Whether
        # any do is a register of its own; the place behind them is free unless all is full, so it
        # is written always.
        m.submodules.behind = behind = Memory(
            shape=Shape.cast(self._payload), depth=1 << ceil_log2(self._depth - 1), init=[]
        )
        write, read = behind.write_port(), behind.read_port(domain="comb")
        wait, waits, some_wait = Signal(), Signal(range(self._depth)), Signal()
        follows = some_wait & ~both
        m.d.comb += [
            wait.eq(put & (some_wait | both)),
            comes.eq(~both & (some_wait | put)),
            coming.eq(Mux(some_wait, read.data, Value.cast(self.i.payload))),
            write.data.eq(self.i.payload),
            write.en.eq(~full),
        ]
        m.d.sync += some_wait.eq(wait | (some_wait & (both | (waits > 1))))
        _step(m, waits, wait, follows)
        for moves, place in ((wait, write.addr), (follows, read.addr)):
            with m.If(moves):
                m.d.sync += place.eq(place + 1)
        _count(m, self, put, get, full)
        return m


class WideFifo(Fifo):
    """As :class:`midwire.hw.datapath.stream.Fifo` of depth 1, for words of a thousand bits: one is
    taken over in each cycle while there is none, so that a register says to all bits what to do.

    Members
    -------
    i, o : streams of ``payload``

    Attributes
    ----------
    level : range(2), words inside; no member, as in ``Fifo``
    """

    def __init__(self, payload: ShapeLike) -> None:
        super().__init__(payload, 1)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        word, some, empty = Signal.like(self.i.payload), Signal(), Signal(init=1)
        m.d.comb += [
            self.i.ready.eq(~some),
            self.o.valid.eq(some),
            self.o.payload.eq(word),
            self.level.eq(some),
        ]
        m.d.sync += [
            some.eq(Mux(some, ~self.o.ready, self.i.valid)),
            empty.eq(Mux(some, self.o.ready, ~self.i.valid)),
        ]
        with m.If(empty):
            m.d.sync += word.eq(self.i.payload)
        return m


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
        _count(m, self, put, get, full)

        # Room near the output is taken by what is there and by what is on its way to it, each in
        # its place. What comes goes around only while all of it is taken, or something waits: so 15
        # are before each word that is read, which is on its way for 3 cycles. It never is the next.
        # Whether it is all, or none, and whether anything waits, are registers of their own.
        taken, near_full, near_some = Signal(range(NEAR + 1)), Signal(), Signal()
        far_words, far_some = Signal(range(self._depth + 1)), Signal()  # in the far memory
        reads, direct, far_put = Signal(), Signal(), Signal()
        m.d.comb += [
            direct.eq(put & ~near_full & ~far_some),
            far_put.eq(put & (near_full | far_some)),
            reads.eq(~near_full & far_some),
            self.o.valid.eq(near_some),
        ]
        comes = direct | reads
        m.d.sync += [
            near_full.eq(~get & (near_full | (comes & (taken == NEAR - 1)))),
            near_some.eq(comes | (taken > 1) | (near_some & ~get)),
            far_some.eq(far_put | (far_words > 1) | (far_some & ~reads)),
        ]
        _step(m, taken, comes, get)
        _step(m, far_words, far_put, reads)

        # As so many are near while anything is far, the place behind those is free: it is written
        # always, and one is read always, so that nothing has to be decided for all memories.
        tail, head = Signal(range(self._depth)), Signal(range(self._depth))
        m.d.comb += [
            far_write.addr.eq(tail),
            far_write.data.eq(self.i.payload),
            far_write.en.eq(1),
            far_read.addr.eq(head),
        ]
        for moves, place in ((far_put, tail), (reads, head)):
            with m.If(moves):
                m.d.sync += place.eq(Mux(place == self._depth - 1, 0, place + 1))

        # Near: a memory for each of the two ways, and by which one the word in each place comes.
        near_tail, near_head = Signal(range(NEAR)), Signal(range(NEAR))
        m.submodules.ways = ways = Memory(shape=1, depth=NEAR, init=[])
        way, around = ways.write_port(), ways.read_port(domain="comb")
        read, fetched = Signal(), Signal()
        places = Signal.like(near_tail, name="read_place"), Signal.like(near_tail, name="place")
        words = []
        for name, stores, place in (("direct", direct, near_tail), ("around", fetched, places[1])):
            m.submodules[name] = near = Memory(shape=shape, depth=NEAR, init=[])
            write, out = near.write_port(), near.read_port(domain="comb")
            m.d.comb += [write.addr.eq(place), write.en.eq(stores), out.addr.eq(near_head)]
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
            way.addr.eq(near_tail),
            way.data.eq(reads),
            way.en.eq(comes),
            around.addr.eq(near_head),
            self.o.payload.eq(Mux(around.data, words[1][1], words[0][1])),
        ]
        with m.If(comes):
            m.d.sync += near_tail.eq(near_tail + 1)
        with m.If(get):
            m.d.sync += near_head.eq(near_head + 1)
        return m
