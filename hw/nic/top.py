# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The NIC shell: a bump in the wire around one slice.

::

    s_axis --> ingress -- others' ----------> passing --------------> arbiter --> m_axis
                  |                                                    ^   ^
                  | to us  parser ---- frames ----+                    |   |
                  v          |                    v      pass          |   |
                  +----------+---> store ---> dispatcher --------------+   |
                                                |      |  decline          |
                                                |      +--> packetiser ----+
                                                | collect       ^ results
                                                v               |
                              decider, tensor buffer ---> slice ---> results

Frames that are not to our address go straight through (:mod:`.ingress`), before all else. The
others are stored whole, judged (:mod:`.parser`), and leave in order: passed, dropped, declined or
collected. Results wait for everything: they leave when no frame does, and not while a quarter of
either room is taken, so that what is added to full links never keeps a frame out.

What this version does not do, and where it will go: 64-bit streams only (:class:`NicShell` says
why), one slot with fragments in order (:mod:`.decide`). The shell of a slice with several inputs or
outputs has no slice in it, and declines every tensor as ``wrong_tensor``: a request's tensors come
one by one, and would have to be joined. The next hops execute it.

When frames come faster than they leave, ``s_axis_tready`` goes low: nothing is dropped here for
want of room.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..datapath.axi import add_domain, clocking
from ..datapath.stream import Fifo
from ..formats.bundle import MAX_TENSORS
from ..formats.csr import ADDRESS_BITS
from .arbiter import Arbiter
from .bus import BEAT, BEAT_BYTES, FRAME, AxiLite
from .decide import Decider
from .dispatch import Dispatcher
from .ingress import Ingress
from .packetise import Packetiser
from .parser import Parser
from .register_file import RegisterFile
from .result import MAX_RESULT_BYTES, Results
from .tensor_buffer import CONTEXT, TensorBuffer

STORE_BEATS = 2048
"""Room for others' frames while the longest of ours leaves, and as much for ours."""

_WAITING_FRAMES = 32
_TENSORS_IN_SLICE = 4


class NicShell(wiring.Component):
    """The NIC shell around the black box ``mw_slice``, which is another file.

    Its streams towards the network are 64 bits wide: the parser and the packetiser know in which
    beat of 8 bytes each header field is. Others need a width converter around it.

    Parameters
    ----------
    in_beat_bytes, out_beat_bytes : bytes of the slice's ``s0_axis_tdata`` and ``m0_axis_tdata``
    in_tensor_bytes, out_tensor_bytes : bytes of its wire tensors, whole beats
    inputs, outputs : tensors that the slice takes and gives. Where either is not 1, the shell has
        no slice, never executes, and does not look at the sizes of tensors.
    sides : bits of tdata of the slice's side ports; nothing is loaded through them yet

    Members
    -------
    clk, aresetn : as :mod:`midwire.hw.datapath.axi`
    s_axis_*, m_axis_* : AXI4-Stream with tkeep and tuser (bit 0: bad frame)
    s_axil_* : AXI4-Lite, the registers of :mod:`midwire.hw.formats.csr`

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(
        self,
        in_beat_bytes: int,
        in_tensor_bytes: int,
        out_beat_bytes: int,
        out_tensor_bytes: int,
        *,
        inputs: int = 1,
        outputs: int = 1,
        sides: Sequence[int] = (),
    ) -> None:
        if not (1 <= inputs <= MAX_TENSORS and 1 <= outputs <= MAX_TENSORS):
            raise ValueError(
                f"a slice has 1 to {MAX_TENSORS} inputs and outputs, not {inputs!r} and {outputs!r}"
            )
        self._tensors = (inputs, outputs)
        self._executes = self._tensors == (1, 1)
        self._sides = tuple(sides)
        for what, beat, tensor in (
            ("input", in_beat_bytes, in_tensor_bytes),
            ("output", out_beat_bytes, out_tensor_bytes),
        ):
            fits = 1 <= beat <= tensor <= MAX_RESULT_BYTES and tensor % beat == 0
            if self._executes and not fits:
                raise ValueError(
                    f"the slice's {what} tensor must be whole beats and fit 65535 fragments "
                    f"({MAX_RESULT_BYTES} bytes), not {tensor!r} bytes in beats of {beat!r}"
                )
        self._in = (in_tensor_bytes, in_beat_bytes)
        self._out = (out_tensor_bytes, out_beat_bytes)
        axil = AxiLite(ADDRESS_BITS).flip().members
        super().__init__(
            {
                **clocking(),
                **{f"s_axis_{name}": In(bits) for name, bits in _AXIS.items()},
                "s_axis_tready": Out(1),
                **{f"m_axis_{name}": Out(bits) for name, bits in _AXIS.items()},
                "m_axis_tready": In(1),
                **{f"s_axil_{name}": member for name, member in axil.items()},
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        add_domain(m, self)
        inputs, outputs = self._tensors
        m.submodules.registers = registers = RegisterFile(
            {
                "capability": BEAT_BYTES | int(self._executes) << 8 | inputs << 16 | outputs << 24,
                "input_bytes": self._in[0] if self._executes else 0,
                "output_bytes": self._out[0] if self._executes else 0,
            }
        )
        m.submodules.ingress = ingress = Ingress()
        m.submodules.passing = passing = Fifo(BEAT, STORE_BEATS)
        m.submodules.parser = parser = Parser()
        m.submodules.frames = frames = Fifo(FRAME, _WAITING_FRAMES)
        m.submodules.store = store = Fifo(BEAT, STORE_BEATS)
        m.submodules.dispatcher = dispatcher = Dispatcher()
        m.submodules.decider = decider = Decider(self._in[0] if self._executes else None)
        if self._executes:
            m.submodules.tensor = tensor = TensorBuffer(*self._in)
            m.submodules.contexts = contexts = Fifo(CONTEXT, _TENSORS_IN_SLICE)
            m.submodules.results = results = Results(*self._out)
        m.submodules.packetiser = packetiser = Packetiser()
        m.submodules.arbiter = arbiter = Arbiter(3)
        config = registers.config

        # Frames in, and aside. A verdict may come in the cycle after any beat, and one may be on
        # its way.
        m.d.comb += [
            ingress.i.payload.data.eq(self.s_axis_tdata),
            ingress.i.payload.keep.eq(self.s_axis_tkeep),
            ingress.i.payload.last.eq(self.s_axis_tlast),
            ingress.i.payload.bad.eq(self.s_axis_tuser),
            ingress.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(ingress.i.ready),
            ingress.ours.ready.eq(store.i.ready & (frames.level <= _WAITING_FRAMES - 2)),
            store.i.payload.eq(ingress.ours.payload),
            store.i.valid.eq(ingress.ours.valid & ingress.ours.ready),
            parser.beat.eq(store.i.payload),
            parser.beat_valid.eq(store.i.valid),
            parser.where.eq(ingress.where),
            frames.i.payload.eq(parser.frame),
            frames.i.valid.eq(parser.frame_valid),
        ]
        wiring.connect(m, frames.o, dispatcher.frame)
        wiring.connect(m, store.o, dispatcher.beats)

        # Collect or decline.
        m.d.comb += [
            decider.origin.eq(frames.o.payload.origin),
            decider.size.eq(frames.o.payload.bytes),
            dispatcher.forward.eq(decider.forward),
            dispatcher.reason.eq(decider.reason),
            decider.accept.eq(dispatcher.accept),
            decider.stored.eq(dispatcher.stored),
        ]
        if self._executes:
            m.d.comb += [
                decider.release.eq(tensor.release),
                tensor.offset.eq(decider.offset),
                tensor.stored.eq(dispatcher.stored),
                tensor.full.eq(decider.full),
                tensor.request.eq(decider.request),
            ]
            wiring.connect(m, dispatcher.collected, tensor.i)
            wiring.connect(m, tensor.context, contexts.i)
            wiring.connect(m, contexts.o, results.context)
            self._slice(m, tensor, results)

        # Frames out. Results are more than what comes in, and wait while much of that does.
        wiring.connect(m, ingress.passed, passing.i)
        m.d.comb += packetiser.crowded.eq(
            (passing.level > STORE_BEATS // 4) | (store.level > STORE_BEATS // 4)
        )
        wiring.connect(m, dispatcher.declined, packetiser.declined)
        wiring.connect(m, dispatcher.declined_words, packetiser.declined_words)
        if self._executes:
            wiring.connect(m, results.job, packetiser.results)
            wiring.connect(m, results.words, packetiser.results_words)
        for source, frames_out in enumerate((passing.o, dispatcher.passed, packetiser.o)):
            wiring.connect(m, frames_out, arbiter.i[source])
        m.d.comb += [
            self.m_axis_tdata.eq(arbiter.o.payload.data),
            self.m_axis_tkeep.eq(arbiter.o.payload.keep),
            self.m_axis_tlast.eq(arbiter.o.payload.last),
            self.m_axis_tuser.eq(arbiter.o.payload.bad),
            self.m_axis_tvalid.eq(arbiter.o.valid),
            arbiter.o.ready.eq(self.m_axis_tready),
        ]

        # Time.
        cycle, microsecond, part = Signal(32), Signal(32), Signal(16)
        m.d.sync += [cycle.eq(cycle + 1), part.eq(part + 1)]
        with m.If(part + 1 >= config.clock_mhz):
            m.d.sync += [part.eq(0), microsecond.eq(microsecond + 1)]
        now = Mux(config.clock_mhz == 0, config.time_us, microsecond)
        if self._executes:
            m.d.comb += [tensor.cycle.eq(cycle), results.cycle.eq(cycle)]
        timed: list[Any] = [parser, dispatcher]
        configured: list[Any] = [ingress, decider]
        if self._executes:
            timed.append(results)
            configured.append(results)
        for component in timed:
            m.d.comb += component.now.eq(now)

        # Registers.
        for component in (*configured, packetiser):
            m.d.comb += component.config.eq(config)
        for name, member in AxiLite(ADDRESS_BITS).members.items():
            mine, its = getattr(self, f"s_axil_{name}"), getattr(registers.bus, name)
            m.d.comb += its.eq(mine) if member.flow == Out else mine.eq(its)
        computing = contexts.o.valid if self._executes else Const(0)
        moving = [
            ingress.busy,
            passing.o.valid,
            store.o.valid,
            frames.o.valid,
            parser.frame_valid,
            decider.full,
            *([contexts.o.valid, results.busy] if self._executes else []),
            packetiser.busy,
            arbiter.o.valid,
        ]
        busy = Signal()
        m.d.comb += busy.eq(reduce(or_, moving))
        m.d.comb += [
            registers.status.eq(Mux(busy, 1, 0) | decider.collecting << 1 | computing << 2),
            registers.outcome.eq(dispatcher.outcome),
            registers.outcome_valid.eq(dispatcher.outcome_valid),
            registers.frames_in.eq(ingress.arrived),
            registers.went.eq(ingress.went),
            registers.unread.eq(ingress.unread),
        ]
        if self._executes:
            m.d.comb += [
                registers.requests.eq(tensor.release),
                registers.evicted.eq(decider.evicted),
                registers.results.eq(results.sent),
                registers.result_frames.eq(results.job.valid & results.job.ready),
            ]
        return m

    def _slice(self, m: Module, tensor: TensorBuffer, results: Results) -> None:
        idle: dict[str, Any] = {}
        for k, bits in enumerate(self._sides):
            idle |= {f"i_w{k}_axis_{name}": Const(0) for name in ("tvalid", "tlast")}
            idle[f"i_w{k}_axis_tdata"] = Const(0, bits)
            idle[f"o_w{k}_axis_tready"] = Signal(name=f"side_ready_{k}")
        m.submodules.slice = Instance(
            "mw_slice",
            i_clk=self.clk,
            i_aresetn=self.aresetn,
            i_s0_axis_tdata=tensor.o.payload.data,
            i_s0_axis_tvalid=tensor.o.valid,
            i_s0_axis_tlast=tensor.o.payload.last,
            o_s0_axis_tready=tensor.o.ready,
            o_m0_axis_tdata=results.i.payload,
            o_m0_axis_tvalid=results.i.valid,
            o_m0_axis_tlast=Signal(name="slice_last"),  # beats are counted
            i_m0_axis_tready=results.i.ready,
            **idle,
        )


_AXIS = {"tdata": 64, "tkeep": 8, "tvalid": 1, "tlast": 1, "tuser": 1}
