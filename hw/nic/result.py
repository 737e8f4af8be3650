# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What comes out of the slice, cut into fragments and kept until their frames can be made.

Rules, cited by tests as R1 to R3:

R1. Results leave in the order of their requests. A fragment's frame is asked for when all its bytes
    are here, so its sum is known; the rest of the tensor may still be in the slice.
R2. ``fragment_bytes`` is taken over at the start of a tensor, as a multiple of 64 from 64 to 8832,
    and large enough for 65535 fragments to do.
R3. The last fragment says the cycles from the first beat offered to the slice to its last beat
    taken, both counted.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from ..formats.fragments import FRAGMENT_STEP, MAX_FRAGMENTS, MAX_MTU, fragment_bytes
from . import header as hdr
from .bus import BEAT_BYTES, CONFIG, CONTEXT, JOB, LENGTH_BITS, WORD_BITS, folded, sum_lanes
from .gearbox import Gearbox

MAX_FRAGMENT_BYTES = fragment_bytes(MAX_MTU)
MAX_RESULT_BYTES = MAX_FRAGMENTS * MAX_FRAGMENT_BYTES

WORDS = 2048
"""Words that wait for their frames: more than the largest fragment."""

_WAITING_FRAGMENTS = 4
_PIECE = data.StructLayout(
    {"bytes": LENGTH_BITS, "sum": 16, "index": 16, "offset": 32, "last": 1, "count": 16}
)


class FragmentCount(wiring.Component):
    """How many fragments a tensor makes, by counting: a divider would be larger.

    Members
    -------
    wanted : In(16), bytes of a fragment, any number
    step : Out(LENGTH_BITS), bytes of a fragment as in R2; count : Out(16); valid : Out(1)
    """

    def __init__(self, tensor_bytes: int) -> None:
        self._tensor_bytes = tensor_bytes
        super().__init__(
            {
                "wanted": In(16),
                "step": Out(LENGTH_BITS),
                "count": Out(16),
                "valid": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        steps = -(-self._tensor_bytes // (MAX_FRAGMENTS * FRAGMENT_STEP))
        least = steps * FRAGMENT_STEP
        allowed = Signal(LENGTH_BITS)
        left = Signal(signed(33))
        counting = Signal()
        with m.If(self.wanted > MAX_FRAGMENT_BYTES):
            m.d.comb += allowed.eq(MAX_FRAGMENT_BYTES)
        with m.Elif(self.wanted < least):
            m.d.comb += allowed.eq(least)
        with m.Else():
            m.d.comb += allowed.eq(self.wanted & -FRAGMENT_STEP)
        m.d.comb += self.valid.eq(~counting & (allowed == self.step))
        with m.If(allowed != self.step):
            m.d.sync += [
                self.step.eq(allowed),
                self.count.eq(0),
                left.eq(self._tensor_bytes),
                counting.eq(1),
            ]
        with m.Elif(counting & (left > 0)):
            m.d.sync += [self.count.eq(self.count + 1), left.eq(left - self.step)]
        with m.Else():
            m.d.sync += counting.eq(0)
        return m


class Results(wiring.Component):
    """Beats of the slice in, jobs and words for the packetiser out.

    Parameters
    ----------
    tensor_bytes, beat_bytes : of the slice's output

    Members
    -------
    i : In(stream of ``8 * beat_bytes`` bits), from the slice
    context : In(stream of CONTEXT), one for each tensor in the slice
    config : In(CONFIG); now : In(32), microseconds; cycle : In(32)
    job : Out(stream of JOB); words : Out(stream of words), those of the jobs in their order
    sent : Out(1), the job taken in this cycle is the last of a result
    busy : Out(1)
    """

    def __init__(self, tensor_bytes: int, beat_bytes: int) -> None:
        self._tensor_bytes = tensor_bytes
        self._beat_bytes = beat_bytes
        super().__init__(
            {
                "i": In(stream.Signature(8 * beat_bytes)),
                "context": In(stream.Signature(CONTEXT)),
                "config": In(CONFIG),
                "now": In(32),
                "cycle": In(32),
                "job": Out(stream.Signature(JOB)),
                "words": Out(stream.Signature(WORD_BITS)),
                "sent": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.gearbox = gearbox = Gearbox(self._beat_bytes, BEAT_BYTES, self._tensor_bytes)
        m.submodules.words = words = Fifo(WORD_BITS, WORDS)
        m.submodules.pieces = pieces = Fifo(_PIECE, _WAITING_FRAGMENTS)
        m.submodules.count = count = FragmentCount(self._tensor_bytes)
        wiring.connect(m, words.o, wiring.flipped(self.words))
        m.d.comb += count.wanted.eq(self.config.fragment_bytes)

        # Beats of one tensor. The next tensor waits in the slice until this one's last job is
        # taken, so the context and `cycles` are those of one tensor.
        beats = self._tensor_bytes // self._beat_bytes
        beat = Signal(range(beats))
        cycles = Signal(32)
        draining = Signal()
        m.d.comb += [
            gearbox.i.payload.eq(self.i.payload),
            gearbox.i.valid.eq(self.i.valid & ~draining),
            self.i.ready.eq(gearbox.i.ready & ~draining),
        ]
        with m.If(self.sent):
            m.d.sync += draining.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += beat.eq(Mux(beat == beats - 1, 0, beat + 1))
            with m.If(beat == beats - 1):
                m.d.sync += draining.eq(1)
                m.d.sync += cycles.eq(self.cycle - self.context.payload.start + 1)

        # Words of one fragment: counted, summed, kept.
        step, total = Signal(LENGTH_BITS), Signal(16)
        inside = Signal(LENGTH_BITS)  # bytes of the fragment before this word
        index, offset = Signal(16), Signal(32)
        so_far, sum_now = Signal(32), Signal(32)
        last_word, ends = Signal(), Signal()
        piece = pieces.i.payload
        m.d.comb += [
            sum_now.eq(so_far + sum_lanes(gearbox.o.payload.data)),
            last_word.eq(gearbox.o.payload.last),
            ends.eq(last_word | (inside + BEAT_BYTES == step)),
            words.i.payload.eq(gearbox.o.payload.data),
            piece.bytes.eq(Mux(last_word, self._tensor_bytes - offset, step)),
            piece.sum.eq(folded(m, sum_now, "piece_sum")),
            piece.index.eq(index),
            piece.offset.eq(offset),
            piece.last.eq(last_word),
            piece.count.eq(total),
        ]
        with m.FSM(name="cutter"):
            with m.State("start"):
                m.d.sync += [
                    step.eq(count.step),
                    total.eq(count.count),
                    inside.eq(0),
                    index.eq(0),
                    offset.eq(0),
                    so_far.eq(0),
                ]
                with m.If(count.valid & ~gearbox.empty):
                    m.next = "cut"
            with m.State("cut"):
                moves = Signal()
                m.d.comb += [
                    moves.eq(gearbox.o.valid & words.i.ready & pieces.i.ready),
                    gearbox.o.ready.eq(words.i.ready & pieces.i.ready),
                    words.i.valid.eq(moves),
                    pieces.i.valid.eq(moves & ends),
                ]
                with m.If(moves):
                    m.d.sync += [inside.eq(inside + BEAT_BYTES), so_far.eq(sum_now)]
                    with m.If(ends):
                        m.d.sync += [
                            inside.eq(0),
                            so_far.eq(0),
                            index.eq(index + 1),
                            offset.eq(offset + step),
                        ]
                    with m.If(last_word):
                        m.next = "start"

        # The job: the request's header, changed.
        ready = pieces.o.payload
        origin = self.context.payload.origin
        m.d.comb += [
            self.job.valid.eq(pieces.o.valid),
            self.job.payload.bytes.eq(ready.bytes),
            self.job.payload.sum.eq(ready.sum),
            self.job.payload.origin.eq(origin),
            self.job.payload.hop.eq(self.context.payload.hop),
            self.job.payload.origin.header.eq(
                hdr.passed_on(
                    origin.header,
                    self.now - origin.stamp,
                    last=ready.last,
                    result=1,
                    declined=0,
                    reason=0,
                    telemetry=ready.last,
                    cycles=Mux(ready.last, cycles, 0),
                    cursor=hdr.get(origin.header, "cursor") + 1,
                    fragment_index=ready.index,
                    fragment_count=ready.count,
                    offset=ready.offset,
                    total_bytes=self._tensor_bytes,
                    tensor_index=0,
                    source_count=1,
                    element_type=self.config.element_type,
                )
            ),
            pieces.o.ready.eq(self.job.ready),
            self.sent.eq(self.job.valid & self.job.ready & ready.last),
            self.context.ready.eq(self.sent),
            self.busy.eq(words.o.valid | pieces.o.valid),
        ]
        return m
