# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The memory in which a request's tensor is collected, and its way into the slice."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .bus import BEAT_BYTES, ORIGIN, WORD_BITS
from .gearbox import Gearbox

CONTEXT = data.StructLayout({"origin": ORIGIN, "start": 32})
"""A tensor in the slice: where it came from, and the cycle in which its first beat was offered."""


class TensorBuffer(wiring.Component):
    """Words of fragments in, the tensor's beats out.

    Parameters
    ----------
    tensor_bytes, beat_bytes : of the slice's input

    Members
    -------
    i : In(stream of words), of one fragment; always taken
    offset : In(32), byte of the tensor at which the fragment starts, a multiple of 64; must hold
    stored : In(1), the fragment is whole
    full : In(1), all fragments are there, ``request`` says whose; must hold until ``release``
    release : Out(1), the last word was read: fragments of another request may come
    request : In(ORIGIN); cycle : In(32)
    context : Out(stream of CONTEXT), one for each tensor, ahead of its first beat
    o : Out(stream of {"data", "last"}), into the slice
    """

    def __init__(self, tensor_bytes: int, beat_bytes: int) -> None:
        self._tensor_bytes = tensor_bytes
        self._beat_bytes = beat_bytes
        beat = data.StructLayout({"data": 8 * beat_bytes, "last": 1})
        super().__init__(
            {
                "i": In(stream.Signature(WORD_BITS, always_ready=True)),
                "offset": In(32),
                "stored": In(1),
                "full": In(1),
                "release": Out(1),
                "request": In(ORIGIN),
                "cycle": In(32),
                "context": Out(stream.Signature(CONTEXT)),
                "o": Out(stream.Signature(beat)),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        words = -(-self._tensor_bytes // BEAT_BYTES)
        m.submodules.memory = memory = Memory(shape=WORD_BITS, depth=words, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.submodules.gearbox = gearbox = Gearbox(BEAT_BYTES, self._beat_bytes, self._tensor_bytes)
        wiring.connect(m, gearbox.o, wiring.flipped(self.o))

        written = Signal(range(words + 1))
        m.d.comb += [
            write.addr.eq((self.offset >> 3) + written),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid),
        ]
        with m.If(self.i.valid):
            m.d.sync += written.eq(written + 1)
        with m.If(self.stored):
            m.d.sync += written.eq(0)

        at = Signal(range(words + 1))  # of the word read next; the one before is at the read port
        loaded, step = Signal(), Signal()
        m.d.comb += [
            read.addr.eq(at),
            read.en.eq(step),
            gearbox.i.payload.eq(read.data),
            gearbox.i.valid.eq(loaded),
            self.context.payload.origin.eq(self.request),
            # A read, and as many words as the first beat needs, later.
            self.context.payload.start.eq(self.cycle + 1 + -(-self._beat_bytes // BEAT_BYTES)),
        ]
        with m.FSM(name="reader"):
            with m.State("idle"):
                # The gearbox may still hold the tensor before; this one's time in the slice starts
                # when its first beat can be offered.
                m.d.comb += self.context.valid.eq(self.full & gearbox.empty)
                with m.If(self.context.valid & self.context.ready):
                    m.d.comb += step.eq(1)
                    m.d.sync += [at.eq(1), loaded.eq(1)]
                    m.next = "reading"
            with m.State("reading"), m.If(gearbox.i.ready):
                with m.If(at == words):
                    m.d.comb += self.release.eq(1)
                    m.d.sync += [at.eq(0), loaded.eq(0)]
                    m.next = "idle"
                with m.Else():
                    m.d.comb += step.eq(1)
                    m.d.sync += at.eq(at + 1)
        return m
