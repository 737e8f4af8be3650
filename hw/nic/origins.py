# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What frames came with, from the words that :mod:`.parser` has found to the frame that is decided
on: a thousand bits each, and several frames wait.

They wait in block memory, as words of 64 bits. The frame behind the one that is decided on is read
from there word by word, as soon as its words come: all of it is there when its end has come, but
for a payload of a few words.
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
    ended : In(1), the frame has ended; not before its last word
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
        coming = Signal(range(WAITING_FRAMES))
        moves, moved, whole = Signal(), Signal(), Signal()
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
        number, going = Signal(_WORDS_BITS), Signal(range(WAITING_FRAMES))
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
            # From a register: it goes to many, and block memory takes most of a cycle.
            found = Signal(WORD_BITS, name=f"{name}_found")
            m.d.sync += found.eq(read.data)
            words.append(found)

        # Out, one of each a cycle, from the cycle in which a frame is at the head on. Words of a
        # frame that was cut short are whatever was there. Whether the frame on its way has more of
        # them, whose second one of UDP comes with all in front of it, is known a cycle late.
        reads, more, busy = Signal(), Signal(), Signal()
        # A bit for each number.
        turn, comes, loads = Signal(L4_WORDS, init=1), Signal(L4_WORDS), Signal(L4_WORDS)
        m.d.comb += reads.eq((~busy | moved) & (some | more))
        behind = Mux(reads, count > number + 1, count > number)
        m.d.sync += [
            more.eq(behind & (count > 1) & ~self.ended),
            comes.eq(turn & reads.replicate(L4_WORDS)),
            loads.eq(comes),
            moved.eq(moves),
            whole.eq(loads[-1] | (whole & ~moved)),
            busy.eq((reads & turn[-1]) | (busy & ~moved)),
        ]
        with m.If(reads):
            m.d.sync += [number.eq(number + 1), turn.eq(turn.rotate_left(1))]
        with m.If(reads & turn[-1]):
            m.d.sync += [number.eq(0), going.eq(going + 1)]
        self._load(m, head.i.payload, loads, *words)
        return m

    def _load(self, m: Module, origin: data.View[Any], loads: Value, l3: Value, l4: Value) -> None:
        """Words into registers, and ``origin`` from those."""
        arrived, ip = Signal(ARRIVED), [Signal(WORD_BITS, name=f"ip_{k}") for k in range(IP_WORDS)]
        with m.If(loads[ARRIVAL]):
            m.d.sync += arrived.eq(l3)
        mac, tags, port = (Signal.like(origin[name]) for name in ("src_mac", "tags", "src_port"))
        header = Signal.like(origin.header)
        taken = [(MAC, mac, l3), (TAGS, tags, l3), (0, port, l4)]
        taken += [(IP + k, word, l3) for k, word in enumerate(ip)]
        taken += [(k, header.word_select(k - 1, WORD_BITS), l4) for k in range(1, L4_WORDS)]
        for k, register, word in taken:
            with m.If(loads[k]):
                m.d.sync += register.eq(word)
        # An IPv4 address has the low 32 bits.
        ipv6 = arrived.ipv6
        m.d.comb += [
            origin.stamp.eq(arrived.stamp),
            origin.tag_count.eq(arrived.tags),
            origin.ipv6.eq(ipv6),
            origin.src_mac.eq(mac),
            origin.tags.eq(tags),
            origin.tos.eq(Mux(ipv6, Cat(ip[0][12:16], ip[0][:4]), ip[0][8:16])),
            origin.ttl.eq(Mux(ipv6, ip[0][56:], ip[1][:8])),
            origin.src_ip.eq(Mux(ipv6, Cat(ip[1], ip[2]), ip[1][32:])),
            origin.dst_ip.eq(Mux(ipv6, Cat(ip[3], ip[4]), ip[2][:32])),
            origin.src_port.eq(port),
            origin.header.eq(header),
        ]
