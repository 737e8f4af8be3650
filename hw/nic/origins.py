# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What frames came with, from the words that :mod:`.parser` has found to the frame that is decided
on: a thousand bits each, and several frames wait.

They wait in block memory, as words of 64 bits. The frame behind the one that is decided on is read
from there word by word, as soon as its words come: all of it is there when its end has come, but
for a payload of a few bytes.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.headers import IPV6_BYTES
from ..formats.wire import HEADER_BYTES
from .bus import ORIGIN, WHERE, WORD_BITS
from .deep_fifo import NEVER_COLLIDES, WideFifo

WAITING_FRAMES = 32
"""Of which one may be on its way."""

_WORDS_BITS = 4  # of the number of a frame's word, in either memory

IP_WORDS = IPV6_BYTES // 8
L4_WORDS = 1 + HEADER_BYTES // 8
"""Words of UDP's header and the one behind it."""

ARRIVAL, MAC, TAGS, IP = range(4)
"""Numbers of the words in front of UDP: IP's header has the last ``IP_WORDS`` of them."""

ARRIVED = data.StructLayout({"stamp": 32, "tags": WHERE["tags"].shape, "ipv6": 1})
"""The first of these words."""

L3_WORD = data.StructLayout({"number": _WORDS_BITS, "word": WORD_BITS})
"""One of these words: ``word`` is ``ARRIVED``, the source address, the bytes in which tags are if
there are any, or a word of IP's header (the first 20 or 40 bytes)."""


class Origins(wiring.Component):
    """Words of frames in, ``ORIGIN`` out.

    Members
    -------
    l3 : In(L3_WORD), while l3_valid : In(1); all that is looked at before the second one of UDP.
        Words behind the 20 bytes of IPv4 are not.
    l4 : In(64), the words from UDP on, one after the other, while l4_valid : In(1)
    ended : In(1), the frame has ended; at least a cycle behind its last word
    room : Out(1), a frame may come; that is 2 cycles late
    o : Out(stream of ORIGIN), a cycle behind the frame's end at the earliest
    busy : Out(1)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "l3": In(L3_WORD),
                "l3_valid": In(1),
                "l4": In(WORD_BITS),
                "l4_valid": In(1),
                "ended": In(1),
                "room": Out(1, init=1),
                "o": Out(stream.Signature(ORIGIN)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.head = head = WideFifo(ORIGIN)
        wiring.connect(m, head.o, wiring.flipped(self.o))

        # Frames that have ended and are not at the head. The one on its way has the place behind.
        level, some = Signal(range(WAITING_FRAMES)), Signal()
        coming, going = Signal(range(WAITING_FRAMES)), Signal(range(WAITING_FRAMES))
        moves, whole = Signal(), Signal()
        m.d.comb += [
            head.i.valid.eq(whole & (some | self.ended)),
            moves.eq(head.i.valid & head.i.ready),
            self.busy.eq(some | self.ended | head.o.valid),
        ]
        m.d.sync += self.room.eq(level < WAITING_FRAMES - 1)
        with m.If(self.ended & ~moves):
            m.d.sync += [level.eq(level + 1), some.eq(1)]
        with m.Elif(moves & ~self.ended):
            m.d.sync += [level.eq(level - 1), some.eq(level != 1)]

        # In. What is written behind the last word of UDP is never read, so it is written always.
        count = Signal(_WORDS_BITS)  # of words from UDP on
        with m.If(self.l4_valid):
            m.d.sync += count.eq(count + 1)
        with m.If(self.ended):
            m.d.sync += [count.eq(0), coming.eq(coming + 1)]
        number, reads, busy = Signal(_WORDS_BITS), Signal(), Signal()
        words = []
        for name, at, word, valid in (
            ("l3_words", self.l3.number, self.l3.word, self.l3_valid),
            ("l4_words", count, self.l4, Const(1, 1)),
        ):
            m.submodules[name] = memory = Memory(
                shape=WORD_BITS,
                depth=WAITING_FRAMES << _WORDS_BITS,
                init=[],
                attrs=dict(NEVER_COLLIDES),
            )
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(Cat(at, coming)),
                write.data.eq(word),
                write.en.eq(valid),
                read.addr.eq(Cat(number, going)),
            ]
            words.append(read.data)

        # Out, one of each a cycle. Words of a frame that was cut short are whatever was there.
        loads = Signal(L4_WORDS)
        m.d.comb += reads.eq(~busy & (some | ((count > number) & (count > 1))))
        m.d.sync += loads.eq(reads << number)
        with m.If(reads):
            m.d.sync += [number.eq(number + 1), busy.eq(number == L4_WORDS - 1)]
        with m.If(loads[-1]):
            m.d.sync += whole.eq(1)
        with m.If(moves):
            m.d.sync += [number.eq(0), busy.eq(0), whole.eq(0), going.eq(going + 1)]
        self._load(m, head.i.payload, loads, *words)
        return m

    def _load(self, m: Module, origin: data.View[Any], loads: Value, l3: Value, l4: Value) -> None:
        """Words into a register, from which ``origin`` is. An IPv4 address has the low 32 bits."""
        its: Any = Signal(ORIGIN, name="next")
        m.d.comb += origin.eq(its)
        ipv6, header = its.ipv6, its.header
        with m.If(loads[ARRIVAL]):
            arrived = data.View(ARRIVED, l3[: ARRIVED.size])
            m.d.sync += [
                its.stamp.eq(arrived.stamp),
                its.tag_count.eq(arrived.tags),
                ipv6.eq(arrived.ipv6),
            ]
        with m.If(loads[MAC]):
            m.d.sync += its.src_mac.eq(l3[: len(its.src_mac)])
        with m.If(loads[TAGS]):
            m.d.sync += its.tags.eq(l3)
        source, destination = its.src_ip, its.dst_ip
        with m.If(loads[IP]):
            m.d.sync += [
                its.tos.eq(Mux(ipv6, Cat(l3[12:16], l3[:4]), l3[8:16])),
                its.ttl.eq(l3[56:]),
            ]
        with m.If(loads[IP + 1]):
            m.d.sync += source[:64].eq(Mux(ipv6, l3, l3[32:]))
            with m.If(~ipv6):
                m.d.sync += its.ttl.eq(l3[:8])
        with m.If(loads[IP + 2]):
            m.d.sync += [source[64:].eq(Mux(ipv6, l3, 0)), destination[:64].eq(l3[:32])]
        with m.If(loads[IP + 3] & ipv6):
            m.d.sync += destination[:64].eq(l3)
        with m.If(loads[IP + 4]):
            m.d.sync += destination[64:].eq(Mux(ipv6, l3, 0))
        with m.If(loads[0]):
            m.d.sync += its.src_port.eq(l4[:16])
        for k in range(1, L4_WORDS):
            with m.If(loads[k]):
                m.d.sync += header.word_select(k - 1, WORD_BITS).eq(l4)
