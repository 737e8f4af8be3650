# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What comes out of the slice, cut into fragments and kept until their frames can be made.

Rules, cited by tests as R1 to R3:

R1. Results leave in the order of their requests. A fragment's frame is asked for when all its bytes
    are here, so its sum is known; the rest of the tensor may still be in the slice. Fragments of
    several outputs leave in any order; those of one output in theirs.
R2. ``fragment_bytes`` is taken over at the start of a tensor, as a multiple of 64 from 64 to 8832,
    and large enough for 65535 fragments to do.
R3. The last fragment says the cycles from the first beat offered to the slice to its last beat
    taken, both counted. So that of each output does, which waits until all outputs are taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.fragments import FRAGMENT_STEP, MAX_FRAGMENTS, MAX_MTU, fragment_bytes
from .bus import BEAT_BYTES, CONFIG, LANE_BITS, LENGTH_BITS, WORD_BITS, sum_lanes
from .deep_fifo import DeepFifo, QuickFifo
from .gearbox import Gearbox
from .outgoing import FRAGMENT
from .shape import WireTensor
from .turns import PIECE, Turns

MAX_FRAGMENT_BYTES = fragment_bytes(MAX_MTU)
MAX_RESULT_BYTES = MAX_FRAGMENTS * MAX_FRAGMENT_BYTES

WORDS = 2048
"""Words that wait for their frames: more than the largest fragment."""

_WAITING_FRAGMENTS = 4


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
        wanted, allowed = Signal(LENGTH_BITS), Signal(LENGTH_BITS)
        left = Signal(signed(33))
        counting = Signal()
        with m.If(self.wanted > MAX_FRAGMENT_BYTES):
            m.d.comb += wanted.eq(MAX_FRAGMENT_BYTES)
        with m.Elif(self.wanted < least):
            m.d.comb += wanted.eq(least)
        with m.Else():
            m.d.comb += wanted.eq(self.wanted & -FRAGMENT_STEP)
        m.d.sync += allowed.eq(wanted)
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


class SliceOutput(wiring.Component):
    """Beats of one of the slice's outputs in, fragments and their words out.

    Parameters
    ----------
    tensor : of the slice

    Members
    -------
    i : In(stream of beats), from the slice
    wanted : In(16), bytes of a fragment, any number
    pieces : Out(stream of PIECE); words : Out(stream of words), those of the pieces in their order
    taken : Out(1), the last beat of a tensor is taken in this cycle
    draining : Out(1), it was taken: the next tensor waits in the slice until ``sent``
    sent : In(1), all of the result is gone
    """

    def __init__(self, tensor: WireTensor) -> None:
        self._beat_bytes, self._tensor_bytes = tensor
        super().__init__(
            {
                "i": In(stream.Signature(8 * tensor.beat_bytes)),
                "wanted": In(16),
                "pieces": Out(stream.Signature(PIECE)),
                "words": Out(stream.Signature(WORD_BITS)),
                "taken": Out(1),
                "draining": Out(1),
                "sent": In(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.gearbox = gearbox = Gearbox(self._beat_bytes, BEAT_BYTES, self._tensor_bytes)
        m.submodules.words = words = DeepFifo(WORD_BITS, WORDS)
        m.submodules.pieces = pieces = QuickFifo(PIECE, _WAITING_FRAGMENTS)
        m.submodules.count = count = FragmentCount(self._tensor_bytes)
        wiring.connect(m, words.o, wiring.flipped(self.words))
        wiring.connect(m, pieces.o, wiring.flipped(self.pieces))
        m.d.comb += count.wanted.eq(self.wanted)

        # Beats of one tensor.
        beats = self._tensor_bytes // self._beat_bytes
        beat = Signal(range(beats))
        m.d.comb += [
            gearbox.i.payload.eq(self.i.payload),
            gearbox.i.valid.eq(self.i.valid & ~self.draining),
            self.i.ready.eq(gearbox.i.ready & ~self.draining),
            self.taken.eq(self.i.valid & self.i.ready & (beat == beats - 1)),
        ]
        with m.If(self.sent):
            m.d.sync += self.draining.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += beat.eq(Mux(beat == beats - 1, 0, beat + 1))
        with m.If(self.taken):
            m.d.sync += self.draining.eq(1)

        # Words of one fragment: counted, summed, kept.
        step, total = Signal(LENGTH_BITS), Signal(16)
        left = Signal(LENGTH_BITS)  # words of the fragment, with this one
        is_full = Signal()  # it is the last one of those
        index, offset = Signal(16), Signal(32)
        so_far, sum_now = Signal(32), Signal(32)
        last_word, ends = Signal(), Signal()
        piece = pieces.i.payload
        m.d.comb += [
            piece.bytes.eq(Mux(last_word, self._tensor_bytes - offset, step)),
            piece.total.eq(sum_now),
            piece.index.eq(index),
            piece.offset.eq(offset),
            piece.last.eq(last_word),
            piece.count.eq(total),
            sum_now.eq(so_far + sum_lanes(gearbox.o.payload.data)),
            last_word.eq(gearbox.o.payload.last),
            ends.eq(last_word | is_full),
            words.i.payload.eq(gearbox.o.payload.data),
        ]
        with m.FSM(name="cutter"):
            with m.State("start"):
                m.d.sync += [
                    step.eq(count.step),
                    total.eq(count.count),
                    left.eq(count.step >> LANE_BITS),
                    is_full.eq(0),
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
                    m.d.sync += [left.eq(left - 1), is_full.eq(left == 2), so_far.eq(sum_now)]
                    with m.If(ends):
                        m.d.sync += [
                            left.eq(step >> LANE_BITS),
                            is_full.eq(0),
                            so_far.eq(0),
                            index.eq(index + 1),
                            offset.eq(offset + step),
                        ]
                    with m.If(last_word):
                        m.next = "start"
        return m


class Results(wiring.Component):
    """Beats of the slice in, fragments and their words out.

    All outputs are taken side by side, each kept by itself: none waits for a frame of another one,
    so the slice may give them in any order. Frames of several outputs leave mixed, each output's in
    their order.

    Parameters
    ----------
    outputs : of the slice

    Members
    -------
    i0, i1, ... : In(stream of beats), from the slice
    context : In(stream of 32), one for each request in the slice: the cycle of its first beat
    config : In(CONFIG); cycle : In(32); cycles : Out(32), R3, of the result whose end is here
    o : Out(stream of FRAGMENT); words : Out(stream of words), those of the fragments in their order
    sent : In(1), the result that ended has left, and its cycles were told
    busy : Out(1)
    """

    def __init__(self, outputs: Sequence[WireTensor]) -> None:
        self._outputs = tuple(outputs)
        super().__init__(
            {
                **{
                    f"i{k}": In(stream.Signature(8 * tensor.beat_bytes))
                    for k, tensor in enumerate(outputs)
                },
                "context": In(stream.Signature(32)),
                "config": In(CONFIG),
                "cycle": In(32),
                "cycles": Out(32),
                "o": Out(stream.Signature(FRAGMENT)),
                "words": Out(stream.Signature(WORD_BITS)),
                "sent": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        outputs = [SliceOutput(tensor) for tensor in self._outputs]
        for k, output in enumerate(outputs):
            m.submodules[f"output{k}"] = output
            wiring.connect(m, wiring.flipped(getattr(self, f"i{k}")), output.i)
            m.d.comb += [
                output.wanted.eq(self.config.fragment_bytes),
                output.sent.eq(self.sent),
            ]
        # The next request's beats wait in the slice until this one's last job is taken, so the
        # context and `cycles` are those of one request.
        ended = Cat(output.taken | output.draining for output in outputs)
        # It was all taken in the cycle before, so its last fragment is not here yet.
        ends = Signal()
        m.d.sync += ends.eq(Cat(output.taken for output in outputs).any() & ended.all())
        with m.If(ends):
            m.d.sync += self.cycles.eq(self.cycle - self.context.payload)

        if len(outputs) == 1:
            pieces, words, output = outputs[0].pieces, outputs[0].words, Const(0)
        else:
            m.submodules.turns = turns = Turns(len(outputs))
            for k, each in enumerate(outputs):
                wiring.connect(m, each.pieces, turns.pieces[k])
                wiring.connect(m, each.words, turns.words_of[k])
            m.d.comb += turns.ended.eq(Cat(each.draining for each in outputs).all())
            pieces, words, output = turns.o, turns.words, turns.output
        wiring.connect(m, words, wiring.flipped(self.words))
        piece = pieces.payload
        m.d.comb += [
            self.o.valid.eq(pieces.valid),
            pieces.ready.eq(self.o.ready),
            *(self.o.payload[name].eq(piece[name]) for name in PIECE.members),
            self.o.payload.output.eq(output),
            self.o.payload.ends.eq(self._ends(m, self.o.valid & self.o.ready, piece.last, output)),
            self.context.ready.eq(self.sent),
            self.busy.eq(words.valid | pieces.valid),
        ]
        return m

    def _ends(self, m: Module, taken: Value, last: Value, output: Value) -> Value:
        """Whether the result ends with a fragment, that may be the last one of an output."""
        if len(self._outputs) == 1:
            return last
        gone = Signal(len(self._outputs))  # outputs before this one
        now = Signal.like(gone)
        m.d.comb += now.eq(gone | (last << output))
        with m.If(taken):
            m.d.sync += gone.eq(Mux(now.all(), 0, now))
        return now.all()
