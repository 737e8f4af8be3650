# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a frame's fragment is compared with, of what :mod:`.decide` knows of its request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from .bus import LENGTH_BITS
from .header import get
from .room import HERE_BITS, Room
from .visits import Visits

if TYPE_CHECKING:
    from .decide import Decider

_BYTE = 8
_PARTS = 16  # a key is compared in so many


class Comparisons(Visits):
    """Fields of the frame's header, and registers that say how they compare with the record that is
    read: one cycle behind it, or two where it is said so."""

    def __init__(self, m: Module, owner: Decider, room: Room) -> None:
        super().__init__(m, owner, room)
        frame = owner.i.payload
        header = frame.origin.header
        # As of the cycle before: the frame is far away.
        names = ("last", "resend", "fragment_index", "fragment_count", "offset")
        fields = {name: get(header, name) for name in names}
        kept = {name: Signal.like(field, name=name) for name, field in fields.items()}
        m.d.sync += [kept[name].eq(field) for name, field in fields.items()]
        self.last, self.resend, self.index, self.count, self.offset = kept.values()
        self.bytes = Signal.like(frame.bytes)
        self.product = Signal(32)  # where a fragment of this number and size begins
        self.factors = Signal(room.count), Signal(LENGTH_BITS)  # of the one multiplier
        before_last = Signal(room.count)
        self.before_last, self.step = before_last, Signal(LENGTH_BITS)
        self.address = Signal(room.address)  # of its first word, from three cycles behind its slot
        slot, words = Signal(room.slot), Signal(room.address)  # in the slot
        self.sound = Signal()  # there can be such a fragment
        self.has_product = Signal()  # and the verdict
        m.d.sync += [
            self.bytes.eq(frame.bytes),
            self.factors[0].eq(fields["fragment_index"]),
            self.factors[1].eq(frame.bytes),
            self.product.eq(self.factors[0] * self.factors[1]),
            before_last.eq(self.count - 1),
            self.has_product.eq(owner.judged),
            slot.eq(self.slot),
            words.eq(room.of(self.tensor, lambda part: part.first_word) + (self.offset >> 3)),
            self.address.eq(room.first_word(slot) + words),
        ]

    def _compares(self, m: Module) -> None:
        """What is compared all the time, for the state that is next."""
        record, cut, byte = self.record, self.part.cut, Signal(_BYTE)
        pieces = self.room.of(self.tensor, lambda part: part.pieces)
        part_bits = len(self.key) // _PARTS
        same = Signal(_PARTS + 1)
        self.same, self.is_here, self.offset_any = Signal(), Signal(), Signal()
        self.few, self.at_product = Signal(), Signal()
        self.as_many, self.as_large = Signal(), Signal()
        self.tail, self.has_tail = Signal(32), Signal()
        ends = [(at * part_bits, (at + 1) * part_bits) for at in range(_PARTS)]
        padded = Cat(self.here, Const(0, HERE_BITS - len(self.here)))
        m.d.sync += [
            same.eq(Cat(~self._old(), *(record.key[a:b] == self.key[a:b] for a, b in ends))),
            self.same.eq(same.all()),
            byte.eq(padded.word_select(self.index[3:6], _BYTE)),
            self.is_here.eq(byte.bit_select(self.index[:3], 1)),
            self.offset_any.eq(self.offset != 0),
            self.few.eq(self.count <= pieces),
            self.at_product.eq(self.offset == self.product),
            self.as_many.eq(self.count == cut.count),
            self.as_large.eq((cut.step == 0) | (self.bytes == cut.step)),
            self.tail.eq(Mux(self.last, self.offset, cut.tail)),
            self.has_tail.eq(cut.tail != 0),
        ]

    def _possible(self) -> Value:
        """Whether there can be such a fragment; ``product`` was its number times its bytes."""
        return self.few & (self.last | self.at_product)

    # What differs where requests have several tensors.

    def _parts(self, m: Module) -> None:
        """``cut`` and ``lacks`` of the frame's tensor, as they are known and as they will be; and
        whether it has ``begun``."""
        del m
        self.part, self.new_part = self.record, self.new
        self.begun: Value = Const(1)

    def _completes(self, opens: bool) -> Value:
        """Whether the request is whole with this frame, which ``opens`` its slot or not."""
        lacks = self.count if opens else self.part.lacks
        return lacks == 1
