# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Lets only frames into the store that the pipeline looks at.

Rule, cited by tests as A6:

A6. What is ours goes on to the store when it is whole. A frame longer than ``MAX_FRAME_BYTES``
    passes (P1) as soon as it is known to be that long, at the full width, however long it is.
"""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...datapath.stream import Fifo
from ..bus import MAX_FRAME_BYTES, beat_layout
from ..ways import divide


class Gate(wiring.Component):
    """Rule A6. Whole frames leave as fast as they come, so an overlong one is the first inside when
    it is found out, if there is always room behind ``whole``.

    Parameters
    ----------
    beat_bytes : of the streams
    room_bytes : for the beginning of an overlong frame, and what comes of it while it cannot leave

    Members
    -------
    i : In(stream of beats), what is ours
    whole : Out(stream of beats), frames that the pipeline looks at
    overlong : Out(stream of beats), those that pass
    closed : Out(1), an overlong frame is inside
    went : Out(1), its last beat leaves in this cycle

    Attributes
    ----------
    level, depth : beats inside, and that fit
    """

    def __init__(self, beat_bytes: int, room_bytes: int) -> None:
        if room_bytes <= MAX_FRAME_BYTES + beat_bytes:
            raise ValueError(
                f"there must be room for more than {MAX_FRAME_BYTES + beat_bytes} bytes, "
                f"not {room_bytes!r}"
            )
        layout = beat_layout(beat_bytes)
        self._longest = -(-MAX_FRAME_BYTES // beat_bytes)
        self._fifo = Fifo(layout, room_bytes // beat_bytes)
        self.level, self.depth = self._fifo.level, self._fifo.depth
        super().__init__(
            {
                "i": In(stream.Signature(layout)),
                "whole": Out(stream.Signature(layout)),
                "overlong": Out(stream.Signature(layout)),
                "closed": Out(1),
                "went": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.fifo = fifo = self._fifo
        wiring.connect(m, wiring.flipped(self.i), fifo.i)
        frames = Signal(range(fifo.depth + 1))  # whole ones inside
        known = frames != 0
        gone = divide(m, fifo.o, known | self.closed, ~self.closed, self.overlong, self.whole)
        came = self.i.valid & self.i.ready & self.i.payload.last
        m.d.comb += self.went.eq(gone & self.closed)
        m.d.sync += frames.eq(frames + came - gone)
        with m.If(self.went):
            m.d.sync += self.closed.eq(0)
        with m.Elif(~known & (self.level > self._longest)):
            m.d.sync += self.closed.eq(1)
        return m
