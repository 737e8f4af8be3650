# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What is known of requests of several tensors: rule D7 of :mod:`.decide`."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory

from ..formats.wire import DeclineReason
from .bus import sender_of
from .known_requests import KnownRequests
from .tags import SENDER_BITS, first_of


class JoinedRequests(KnownRequests):
    """Requests are named by their id, and each of their tensors has a sender and a cut.

    A record says of which tensors any fragment is here (``begun``), of which all (``complete``),
    and of which the last one (``ended``). The rest is in a memory of its own, a word for each
    tensor, which means nothing before the tensor has begun.
    """

    def _sender(self) -> Value:
        sender = Signal(SENDER_BITS)
        self.m.d.sync += sender.eq(sender_of(self.owner.i.payload.origin))
        self.sender = sender
        return sender

    def _of_parts(self) -> dict[str, Any]:
        return dict.fromkeys(("begun", "complete", "ended"), len(self.room.tensors))

    def _parts(self, m: Module) -> None:
        owner, room = self.owner, self.room
        known = {"cut": room.cut, "lacks": room.count}
        kept = data.StructLayout({**known, "sender": SENDER_BITS})
        m.submodules.parts = parts = Memory(shape=kept, depth=len(room.part), init=[])
        read, shown, self.part_write = parts.read_port(), parts.read_port(), parts.write_port()
        self.begun: Value = Signal()
        self.foreign = Signal()
        tensors = len(room.tensors)
        self.bit = (Const(1, tensors) << self.tensor[: len(Signal(room.tensor))])[:tensors]
        self.part = Signal(data.StructLayout(known))
        self.new_part = self.part_write.data
        m.d.comb += [
            read.addr.eq(room.part_of(self.slot, self.tensor)),
            self.begun.eq((self.record.begun & self.bit).any()),
            # One that has not begun is cut as its first fragment says.
            self.part.cut.count.eq(self.count),
            self.part.lacks.eq(self.count),
            self.part_write.addr.eq(room.part_of(self.slot, self.tensor)),
            self.new_part.cut.eq(self.part.cut),
            self.new_part.sender.eq(self.sender),
            shown.addr.eq(owner.part),
            owner.cut.eq(shown.data.cut),
        ]
        with m.If(self.begun):
            m.d.comb += [self.part.cut.eq(read.data.cut), self.part.lacks.eq(read.data.lacks)]
        m.d.sync += self.foreign.eq(self.begun & (read.data.sender != self.sender))

    def _decline_foreign(self) -> None:
        with self.m.Elif(self.foreign):
            self.owner.send_on(self.m, DeclineReason.WRONG_TENSOR)

    def _as_collected(self, lacks: Value, here: Value) -> None:
        self.m.d.comb += [
            self.part_write.en.eq(1),
            self.new.begun.eq(self._with(self.record.begun, Const(1))),
            self.new.complete.eq(self._with(self.record.complete, lacks == 1)),
            self.new.ended.eq(self._with(self.record.ended, self.last)),
        ]
        super()._as_collected(lacks, here)

    def _with(self, tensors: Value, this: Value) -> Value:
        """Those of the record, none if the request begins; and this one if it is so."""
        return Mux(self.opens, 0, tensors) | Mux(this, self.bit, 0)

    def _completes(self, opens: bool) -> Value:
        tensors = 0 if opens else self.record.complete
        return (tensors | Mux(super()._completes(opens), self.bit, 0)).all()

    def _ended(self) -> Value:
        return self.new.ended.all()

    def _instruct(self, evict: Value) -> Value:
        m, record = self.m, self.record
        wanted = Signal(len(self.room.tensors))
        m.d.comb += wanted.eq(record.begun & Mux(evict, -1, ~record.complete))
        m.d.sync += [self.chore.tensor.eq(first_of(m, wanted)), self.chore.begun.eq(record.begun)]
        return wanted.any()
