# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Around the 64-bit pipeline, the *core*, where the network's stream is wider.

::

    i --> splitter -- others' ------> passing --------------------------> arbiter --> o
              |                                                              ^
              | perhaps ours                                                 |
              v                                                              |
            store --> narrower --> core --> widener --> whole frames --------+

What cannot be ours (:mod:`.claim`) never comes near the core, and leaves before all else. The core
judges the rest exactly, 8 bytes a cycle; when more comes than the store holds, it goes on, too, and
is counted (rule A5 of :mod:`.splitter`). So ``i.ready`` goes low for what is ours only if a frame
is longer than ``MAX_FRAME_BYTES``. What leaves the core waits until it is whole, so that no slow
frame holds the wide link.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...datapath.stream import Fifo
from ..arbiter import Arbiter
from ..bus import BEAT, CONFIG, MAX_FRAME_BYTES, SENT, beat_layout, sent_layout
from .convert import Narrower, Widener
from .splitter import Splitter
from .whole import WholeFrames

ROOM_BYTES = 1 << 15
"""Of others' frames while the longest of ours leaves, short ones in whole beats; and of ours."""

STORE_BYTES = 1 << 16
"""Of what may be ours: a burst that comes faster than the core takes it."""

BURST_BYTES = ROOM_BYTES // 2
"""That the store takes at once, after it was full. As much finds room behind the core meanwhile, so
that links which are full both ways do not keep it full."""


class WideFront(wiring.Component):
    """The wide stream's two ends, and the core's.

    Parameters
    ----------
    beat_bytes : of the wide stream: 16, 32 or 64

    Members
    -------
    i : In(stream of wide beats), from the network; o : Out(stream of wide SENT), to it
    to_core : Out(stream of BEAT); from_core : In(stream of SENT)
    config : In(CONFIG)
    arrived : Out(1), the last beat of a frame is taken from ``i`` in this cycle
    went : Out(1), a frame passes without the core in this cycle
    overran : Out(1), with ``went``: for want of room, though it may be ours
    crowded : Out(1), a quarter of the room of others' frames, or of the core's, is taken
    busy : Out(1)
    """

    def __init__(self, beat_bytes: int) -> None:
        self._beat_bytes = beat_bytes
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(beat_bytes))),
                "o": Out(stream.Signature(sent_layout(beat_bytes))),
                "to_core": Out(stream.Signature(BEAT)),
                "from_core": In(stream.Signature(SENT)),
                "config": In(CONFIG),
                "arrived": Out(1),
                "went": Out(1),
                "overran": Out(1),
                "crowded": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        size = self._beat_bytes
        layout, room = beat_layout(size), ROOM_BYTES // size
        m.submodules.splitter = splitter = Splitter(size)
        m.submodules.passing = passing = Fifo(layout, room)
        m.submodules.store = store = Fifo(layout, STORE_BYTES // size)
        m.submodules.narrower = narrower = Narrower(size)
        # What does not fit passes until much does again: fragments of one request come together,
        # and only whole requests are executed. The level is that of the cycle before, to which one
        # beat may have come.
        full = store.depth - -(-MAX_FRAME_BYTES // size)
        with m.If(store.level < full - BURST_BYTES // size):
            m.d.sync += splitter.room.eq(1)
        with m.Elif(store.level >= full):
            m.d.sync += splitter.room.eq(0)
        m.submodules.widener = widener = Widener(size)
        m.submodules.whole = whole = WholeFrames(size, ROOM_BYTES)
        m.submodules.arbiter = arbiter = Arbiter(2, size)
        wiring.connect(m, wiring.flipped(self.i), splitter.i)
        wiring.connect(m, splitter.passed, passing.i)
        wiring.connect(m, splitter.ours, store.i)
        wiring.connect(m, store.o, narrower.i)
        wiring.connect(m, narrower.o, wiring.flipped(self.to_core))
        wiring.connect(m, wiring.flipped(self.from_core), widener.i)
        wiring.connect(m, widener.o, whole.i)
        wiring.connect(m, whole.o, arbiter.i[1])
        wiring.connect(m, arbiter.o, wiring.flipped(self.o))
        moving = [
            splitter.busy,
            passing.o.valid,
            store.o.valid,
            narrower.busy,
            widener.busy,
            whole.level != 0,
            arbiter.o.valid,
        ]
        m.d.comb += [
            arbiter.i[0].payload.beat.eq(passing.o.payload),
            arbiter.i[0].valid.eq(passing.o.valid),
            passing.o.ready.eq(arbiter.i[0].ready),
            splitter.config.eq(self.config),
            self.arrived.eq(splitter.arrived),
            self.went.eq(splitter.went),
            self.overran.eq(splitter.overran),
            self.crowded.eq((passing.level > room // 4) | (whole.level > room // 4)),
            self.busy.eq(reduce(or_, moving)),
        ]
        return m
