# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The tensors of a request out of their slot, each into its input of the slice, side by side.

A slice may take its inputs in any order: beat by beat in turns, or all of one before another. So a
word is read only for an input that has room for it, and no word ever waits behind one of another
input: whichever input the slice waits for, its words come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from .bus import BEAT_BYTES, WORD_BITS
from .gearbox import Gearbox
from .reader import beats_of
from .room import Room, SlotPart
from .shape import WireTensor
from .tags import first_of

_WAITING_WORDS = 4  # of an input: enough for a word each cycle while the others have none left
_WAITING_ZEROES = 4


class Feeder(wiring.Component):
    """A word a cycle, for the inputs that have room by turns; zeroed behind what is read.

    Parameters
    ----------
    room : of the slots; inputs : of the slice

    Members
    -------
    start : In(1), the request whose words begin at ``base``; only while ``empty``
    begins : Out(1), the first beat is offered from the next cycle on
    ends : Out(1), all words of the request are read, and zero; not before it ``begins``
    empty : Out(1), the slice has taken all of them
    read_address, read_word, zero : of :class:`.slot_memory.SlotMemory`
    o0, o1, ... : Out(stream of {"data", "last"}), into the slice
    """

    def __init__(self, room: Room, inputs: Sequence[WireTensor]) -> None:
        self._room = room
        self._inputs = tuple(inputs)
        members: dict[str, Any] = {
            "start": In(1),
            "base": In(room.address),
            "begins": Out(1),
            "ends": Out(1),
            "empty": Out(1),
            "read_address": Out(room.address),
            "read_word": In(WORD_BITS),
            "zero": Out(stream.Signature(room.address)),
        }
        members |= {f"o{k}": Out(beats_of(tensor)) for k, tensor in enumerate(inputs)}
        super().__init__(members)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        count = len(self._inputs)
        m.submodules.zeroes = zeroes = Fifo(self._room.address, _WAITING_ZEROES)
        wiring.connect(m, zeroes.o, wiring.flipped(self.zero))
        base = Signal(self._room.address)
        self._unread, self._wants, self._comes = Signal(count), Signal(count), Signal(count)
        self._offered, self._held = Signal(count), Signal(count)
        self._offering = Signal()
        read, chosen, before = Signal(), Signal(range(count)), Signal(range(count))
        places = [
            self._input(m, k, tensor, part, read & (chosen == k))
            for k, (tensor, part) in enumerate(zip(self._inputs, self._room.parts, strict=True))
        ]
        later = Signal(count)  # of those that want a word, the ones behind the one before
        m.d.comb += [
            later.eq(self._wants & Cat(before < k for k in range(count))),
            chosen.eq(Mux(later.any(), first_of(m, later), first_of(m, self._wants))),
            read.eq(self._wants.any() & zeroes.i.ready),
            self.read_address.eq(base + Array(places)[chosen]),
            zeroes.i.payload.eq(self.read_address),
            zeroes.i.valid.eq(read),
            self.begins.eq(self._offered.any() & ~self._offering),
            self.ends.eq(self._offering & ~(self._unread.any() | zeroes.o.valid)),
            self.empty.eq(~(self._unread.any() | self._held.any())),
        ]
        m.d.sync += self._comes.eq(0)
        with m.If(read):
            m.d.sync += [self._comes.bit_select(chosen, 1).eq(1), before.eq(chosen)]
        with m.If(self.begins):
            m.d.sync += self._offering.eq(1)
        with m.If(self.start):
            m.d.sync += [base.eq(self.base), before.eq(count - 1), self._offering.eq(0)]
        return m

    def _input(self, m: Module, k: int, tensor: WireTensor, part: SlotPart, read: Value) -> Value:
        """Words to beats of one input; returns where its next word is in the slot."""
        m.submodules[f"queue{k}"] = queue = Fifo(WORD_BITS, _WAITING_WORDS)
        m.submodules[f"gearbox{k}"] = gearbox = Gearbox(BEAT_BYTES, *tensor)
        wiring.connect(m, queue.o, gearbox.i)
        at = Signal(range(part.words + 1), init=part.words, name=f"at{k}")
        unread = at != part.words
        o = getattr(self, f"o{k}")
        m.d.comb += [
            self._unread[k].eq(unread),
            # The word that was read in the cycle before is not in the queue yet.
            self._wants[k].eq(unread & (queue.level + self._comes[k] < _WAITING_WORDS)),
            queue.i.payload.eq(self.read_word),
            queue.i.valid.eq(self._comes[k]),
            self._held[k].eq(self._comes[k] | queue.o.valid | ~gearbox.empty),
            self._offered[k].eq(gearbox.o.valid),
            o.payload.eq(gearbox.o.payload),
            o.valid.eq(gearbox.o.valid & self._offering),
            gearbox.o.ready.eq(o.ready & self._offering),
        ]
        with m.If(self.start):
            m.d.sync += at.eq(0)
        with m.Elif(read):
            m.d.sync += at.eq(at + 1)
        return part.first_word + at
