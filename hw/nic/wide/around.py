# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Around the 64-bit pipeline, where the network's stream is wider.

::

    i --> splitter -- others' ------> passing --------------------------> arbiter --> o
              |                                                            ^   ^
              | ours                                                       |   |
              v                                                            |   |
            gate -- overlong ----------------------------------------------+   |
              |                                                                |
              v                                                                |
            store --> narrower --> pipeline --> widener --> whole frames ------+

What is not ours (:mod:`.claim`) never comes near the pipeline, and leaves before what does. The
pipeline judges the rest, 8 bytes a cycle; when more comes than the store holds, it goes on, too,
and is counted (rule A5 of :mod:`.splitter`), and so does what is too long for the pipeline (A6 of
:mod:`.gate`). So ``i.ready`` never goes low for what is ours. What leaves the pipeline waits until
it is whole, so that no slow frame holds the wide link.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...datapath.stream import Fifo
from ..arbiter import Arbiter
from ..bus import BEAT, CONFIG, MAX_FRAME_BYTES, SENT, beat_layout, sent_layout
from .convert import Narrower, Widener
from .gate import Gate
from .splitter import Splitter
from .whole import WholeFrames

ROOM_BYTES = 1 << 15
"""Of others' frames while the longest of ours leaves, short ones in whole beats; of ours; and of
overlong ones."""

STORE_BYTES = 1 << 16
"""Of what may be ours: a burst that comes faster than the pipeline takes it."""

BURST_BYTES = ROOM_BYTES // 2
"""That the store takes at once, after it was full. As much finds room behind the pipeline
meanwhile, so that links which are full both ways do not keep it full."""

_SPARE_BEATS = 8
"""That may come before a level is seen, and that a whole frame may have more than the longest."""


class WideFront(wiring.Component):
    """The wide stream's two ends, and the pipeline's.

    Parameters
    ----------
    beat_bytes : of the wide stream: 16, 32 or 64

    Members
    -------
    i : In(stream of wide beats), from the network; o : Out(stream of wide SENT), to it
    to_pipeline : Out(stream of BEAT); from_pipeline : In(stream of SENT)
    config : In(CONFIG)
    arrived : Out(1), the last beat of a frame is taken from ``i`` in this cycle
    went : Out(2), so many frames pass without the pipeline in this cycle
    overran : Out(1), with ``went``: one of them for want of room, though it is ours
    unread : Out(1), for one cycle of a frame that passes because its headers are too long (A3)
    crowded : Out(1), a quarter of the room of others' frames, or of the pipeline's, is taken
    busy : Out(1)
    """

    def __init__(self, beat_bytes: int) -> None:
        self._beat_bytes = beat_bytes
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(beat_bytes))),
                "o": Out(stream.Signature(sent_layout(beat_bytes))),
                "to_pipeline": Out(stream.Signature(BEAT)),
                "from_pipeline": In(stream.Signature(SENT)),
                "config": In(CONFIG),
                "arrived": Out(1),
                "went": Out(2),
                "overran": Out(1),
                "unread": Out(1),
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
        m.submodules.gate = gate = Gate(size, ROOM_BYTES)
        m.submodules.store = store = Fifo(layout, STORE_BYTES // size)
        m.submodules.narrower = narrower = Narrower(size)
        # What does not fit passes until much does again: fragments of one request come together,
        # and only whole requests are executed.
        waiting, room_behind = Signal(range(gate.depth + store.depth + 1)), Signal()
        full = store.depth - -(-MAX_FRAME_BYTES // size) - _SPARE_BEATS
        m.d.sync += waiting.eq(gate.level + store.level)
        with m.If(waiting < full - BURST_BYTES // size):
            m.d.sync += room_behind.eq(1)
        with m.Elif(waiting >= full):
            m.d.sync += room_behind.eq(0)
        m.d.comb += splitter.room.eq(room_behind & ~gate.closed)
        m.submodules.widener = widener = Widener(size)
        m.submodules.whole = whole = WholeFrames(size, ROOM_BYTES)
        m.submodules.arbiter = arbiter = Arbiter(3, size)
        wiring.connect(m, wiring.flipped(self.i), splitter.i)
        wiring.connect(m, splitter.passed, passing.i)
        wiring.connect(m, splitter.ours, gate.i)
        wiring.connect(m, gate.whole, store.i)
        wiring.connect(m, store.o, narrower.i)
        wiring.connect(m, narrower.o, wiring.flipped(self.to_pipeline))
        wiring.connect(m, wiring.flipped(self.from_pipeline), widener.i)
        wiring.connect(m, widener.o, whole.i)
        wiring.connect(m, whole.o, arbiter.i[2])
        wiring.connect(m, arbiter.o, wiring.flipped(self.o))
        moving = [
            splitter.busy,
            gate.level != 0,
            passing.o.valid,
            store.o.valid,
            narrower.busy,
            widener.busy,
            whole.level != 0,
            arbiter.o.valid,
        ]
        # What is overlong came before others' frames that wait now.
        for source, way in enumerate((gate.overlong, passing.o)):
            m.d.comb += [
                arbiter.i[source].payload.beat.eq(way.payload),
                arbiter.i[source].valid.eq(way.valid),
                way.ready.eq(arbiter.i[source].ready),
            ]
        m.d.comb += [
            splitter.config.eq(self.config),
            self.arrived.eq(splitter.arrived),
            self.went.eq(splitter.went + gate.went),
            self.overran.eq(splitter.overran),
            self.unread.eq(splitter.unread),
            self.crowded.eq((passing.level > room // 4) | (whole.level > room // 4)),
            self.busy.eq(reduce(or_, moving)),
        ]
        return m
