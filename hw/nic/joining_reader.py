# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What is done with a collected request of several tensors: rule D7 of :mod:`.decide`."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .feed import Feeder
from .reader import Reader
from .tags import first_of


class JoiningReader(Reader):
    """All tensors of a request go into the slice at once (:mod:`.feed`). Of one that is given up,
    they go on one after the other, each with what is kept of it.

    Members
    -------
    part : Out, of a slot; cut : In, how its tensor is cut, of :class:`.decide.Decider`
    """

    def _more(self) -> dict[str, Any]:
        return {"part": Out(self._room.part), "cut": In(self._room.cut)}

    def _feed(self, m: Module) -> Value:
        m.submodules.feeder = self._feeder = feeder = Feeder(self._room, self._inputs)
        self._begun = Signal(len(self._inputs))
        m.d.comb += [
            self.part.eq(self._part),
            feeder.base.eq(self._base),
            feeder.read_word.eq(self.read_word),
            self.context.payload.eq(self.cycle + 1),
        ]
        for k in range(len(self._inputs)):
            wiring.connect(m, getattr(feeder, f"o{k}"), wiring.flipped(getattr(self, f"o{k}")))
        return feeder.empty

    def _begin(self, m: Module, slot: Value) -> None:
        chore = self.chore.payload
        tensor = Mux(self._has_chore, chore.tensor, 0)
        m.d.comb += self._coming.eq(self._room.part_of(slot, tensor))
        m.d.sync += [self._tensor.eq(tensor), self._begun.eq(chore.begun)]

    def _on_fetch(self, m: Module) -> None:
        m.next = "cut"

    def _into_slice(self, m: Module) -> None:
        feeder = self._feeder
        with m.State("start"):
            m.d.comb += feeder.start.eq(~self._old)
            m.next = "read"
            with m.If(self._old):
                self._turn_away(m)
        with m.State("read"):
            m.d.comb += [
                self.context.valid.eq(feeder.begins),
                self.read_address.eq(feeder.read_address),
                self.zero.payload.eq(feeder.zero.payload),
                self.zero.valid.eq(feeder.zero.valid),
                feeder.zero.ready.eq(self.zero.ready),
            ]
            with m.If(feeder.ends):
                m.next = "zero"  # none that are left
        with m.State("cut"):
            m.d.sync += [self._cut.eq(self.cut), *(place.eq(0) for place in self._fragment)]
            self._attend(m)

    def _next_tensor(self, m: Module) -> None:
        others = Signal(len(self._inputs))
        following = first_of(m, others)
        m.d.comb += others.eq(self._begun & ~(Const(1) << self._tensor))
        with m.If(others.any()):
            m.d.comb += [
                self._chosen.eq(1),
                self._coming.eq(self._room.part_of(self._slot, following)),
            ]
            m.d.sync += [
                self._fetches.eq(1),
                self._begun.eq(others),
                self._tensor.eq(following),
            ]
            m.next = "fetch"
