# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The host's frames and ours on their way to the network."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from .frames import sized_beat

MOST_BEFORE = 8
"""Frames of the host that go before one of ours that waits, at most."""


class Merge(wiring.Component):
    """Whole frames of the host first, then ours; a frame is chosen with its first beat.

    Ours go when the host has none, and after :data:`MOST_BEFORE` of its frames anyway: the pipeline
    behind would stand still, with all that comes from the network. The output is registered in both
    directions.

    Parameters
    ----------
    beat_bytes : bytes of a beat
    user_bits : what goes beside each beat of the host's, unchanged; beside ours it is 0

    Members
    -------
    host : In(stream of {"sized": sized_beat, "user"}), without sizes
    ours : In(stream of sized_beat)
    o : Out(stream of {"sized", "user"})
    """

    def __init__(self, beat_bytes: int, user_bits: int) -> None:
        if user_bits < 1:
            raise ValueError(f"there must be at least 1 user bit, not {user_bits!r}")
        self.layout = data.StructLayout({"sized": sized_beat(beat_bytes), "user": user_bits})
        super().__init__(
            {
                "host": In(stream.Signature(self.layout)),
                "ours": In(stream.Signature(sized_beat(beat_bytes))),
                "o": Out(stream.Signature(self.layout)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.skid = skid = Fifo(self.layout, 2)
        wiring.connect(m, skid.o, wiring.flipped(self.o))
        before = Signal(range(MOST_BEFORE + 1))
        inside, held, mine = Signal(), Signal(), Signal()
        into = skid.i
        with m.If(inside):
            m.d.comb += mine.eq(held)
        with m.Else():
            turn = ~self.host.valid | (before == MOST_BEFORE)
            m.d.comb += mine.eq(self.ours.valid & turn)
        with m.If(mine):
            m.d.comb += [
                into.payload.sized.eq(self.ours.payload),
                into.valid.eq(self.ours.valid),
                self.ours.ready.eq(into.ready),
            ]
        with m.Else():
            m.d.comb += [
                into.payload.eq(self.host.payload),
                into.valid.eq(self.host.valid),
                self.host.ready.eq(into.ready),
            ]
        with m.If(into.valid & into.ready):
            m.d.sync += [inside.eq(~into.payload.sized.beat.last), held.eq(mine)]
            with m.If(~inside & mine):
                m.d.sync += before.eq(0)
            with m.Elif(~inside & self.ours.valid):
                m.d.sync += before.eq(before + 1)
        return m
