# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the first frames of tensors that are collected came from."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .bus import HOP, ORIGIN
from .deep_fifo import NEVER_COLLIDES
from .room import Room

KEPT = data.StructLayout({"origin": ORIGIN, "hop": HOP})
"""Where a tensor came from, and where what comes of it goes."""


class KeptOrigins(wiring.Component):
    """Kept by parts of slots. None is written while it is read.

    Parameters
    ----------
    room : of the slots

    Members
    -------
    begins : In(1), a tensor begins in part ``begun`` with a frame from ``origin``; what comes of it
        goes to the next hop ``hop``
    bank : In(1), of weights
    coming : In, a part, while it is chosen : In(1); old : Out(1), since the cycle behind that:
        another bank was in use when the tensor began
    part : In, it, from a register, as the memory is far away; found : Out(KEPT), three cycles later
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        super().__init__(
            {
                "begins": In(1),
                "begun": In(room.part),
                "origin": In(ORIGIN),
                "hop": In(HOP),
                "bank": In(1),
                "coming": In(room.part),
                "chosen": In(1),
                "part": In(room.part),
                "found": Out(KEPT),
                "old": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        parts = len(self._room.part)
        m.submodules.kept = kept = Memory(shape=KEPT, depth=parts, init=[], attrs=NEVER_COLLIDES)
        m.submodules.banks = banks = Memory(shape=1, depth=parts, init=[])
        keep, read = kept.write_port(), kept.read_port()
        keep_bank, read_bank = banks.write_port(), banks.read_port(domain="comb")
        its_bank = Signal()
        m.d.comb += [
            keep.addr.eq(self.begun),
            keep.data.origin.eq(self.origin),
            keep.data.hop.eq(self.hop),
            keep.en.eq(self.begins),
            keep_bank.addr.eq(self.begun),
            keep_bank.data.eq(self.bank),
            keep_bank.en.eq(self.begins),
            read_bank.addr.eq(self.coming),
            read.addr.eq(self.part),
            self.old.eq(its_bank != self.bank),
        ]
        with m.If(self.chosen):
            m.d.sync += its_bank.eq(read_bank.data)
        # Reading takes most of a cycle, and who uses it is far away: two registers.
        near = Signal(KEPT)
        m.d.sync += [near.eq(read.data), self.found.eq(near)]
        return m
