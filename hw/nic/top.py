# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The NIC shell: a bump in the wire around a slice, or several side by side.

::

    s_axis --> ingress -- others' ----------> passing --------------> arbiter --> m_axis
                  |                                                    ^   ^
                  | to us  parser ---- frames --> decider              |   |
                  v          |                       v      pass       |   |
                  +----------+---> store ------> dispatcher -----------+   |
                                                |      |  decline          |
                                                |      +--> packetiser ----+
                                                | collect       ^
                                                v               | results, what is given up,
                                             executor ----------+ questions

Frames that are not to our address go straight through (:mod:`.ingress`), before all else. The
others are stored whole, judged (:mod:`.parser`), decided on (:mod:`.decide`), and leave in order:
passed, dropped, declined or collected. Decider and executor are a core's (:mod:`.core`); of several
slices, each has one (:mod:`.cores`). What is made here (:mod:`.executor`) waits for everything: it
leaves when no frame does, and not while a quarter of either room is taken, so that what is added
to full links never keeps a frame out.

All of this takes 8 bytes a cycle. Where the network's stream is wider, :mod:`.wide.around` goes
around it.

When frames come faster than they leave, ``s_axis_tready`` goes low: nothing is dropped here for
want of room.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..datapath.axi import add_domain, clocking
from ..formats.bundle import MAX_TENSORS
from ..formats.csr import ADDRESS_BITS, MAX_CORES, FrameOutcome
from .arbiter import Arbiter
from .bus import (
    BEAT,
    BEAT_BYTES,
    FOUND,
    NETWORK_BEAT_BYTES,
    SENT,
    VERDICT_OURS,
    AxiLite,
)
from .core import EVENTS, Core
from .cores import Cores
from .deep_fifo import DeepFifo, QuickFifo
from .dispatch import Dispatcher
from .entries import Entries
from .ingress import Ingress
from .origins import WAITING_FRAMES, Origins
from .packetise import Packetiser
from .parser import TO_ORIGINS, Parser
from .register_file import RegisterFile
from .result import MAX_RESULT_BYTES
from .shape import SliceShape, WireTensor, slice_modules
from .wide.around import WideFront

STORE_BEATS = 2048
"""Room for others' frames while the longest of ours leaves, and as much for ours."""


class NicShell(wiring.Component):
    """The NIC shell around the black box ``mw_slice``, which is another file; around several, which
    are ``mw_slice_0`` and on.

    The parser and the packetiser know in which beat of 8 bytes each header field is; wider streams
    towards the network are split and converted around them (:mod:`.wide.around`).

    Parameters
    ----------
    slices : with the tensors that each takes and gives, whole beats: those of its ports
        ``s0_axis``, ``m0_axis`` and on; and its side ports
    network_beat_bytes : of ``s_axis_tdata`` and ``m_axis_tdata``, one of ``NETWORK_BEAT_BYTES``

    Members
    -------
    clk, aresetn : as :mod:`midwire.hw.datapath.axi`
    s_axis_*, m_axis_* : AXI4-Stream with tkeep and tuser (bit 0: bad frame)
    m_axis_tdest : Out(1), the frame goes back to where frames come from, not to the next hop; for
        a shell with a port each way
    m_axis_tid : Out(1), the frame was made here; 0 is one that came in and passes. For a shell in
        which those go to a host (:mod:`midwire.hw.shells`).
    s_axil_* : AXI4-Lite, the registers of :mod:`midwire.hw.formats.csr`

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(
        self, slices: Sequence[SliceShape], *, network_beat_bytes: int = BEAT_BYTES
    ) -> None:
        if network_beat_bytes not in NETWORK_BEAT_BYTES:
            raise ValueError(
                f"the network's beats have {', '.join(map(str, NETWORK_BEAT_BYTES))} bytes, "
                f"not {network_beat_bytes!r}"
            )
        if not 1 <= len(slices) <= MAX_CORES:
            raise ValueError(f"a NIC has 1 to {MAX_CORES} slices, not {len(slices)}")
        for shape in slices:
            _check(shape)
        self._beat_bytes = network_beat_bytes
        self._slices = tuple(slices)
        axis = {
            "tdata": 8 * network_beat_bytes,
            "tkeep": network_beat_bytes,
            "tvalid": 1,
            "tlast": 1,
            "tuser": 1,
        }
        axil = AxiLite(ADDRESS_BITS).flip().members
        super().__init__(
            {
                **clocking(),
                **{f"s_axis_{name}": In(bits) for name, bits in axis.items()},
                "s_axis_tready": Out(1),
                **{f"m_axis_{name}": Out(bits) for name, bits in axis.items()},
                "m_axis_tready": In(1),
                "m_axis_tdest": Out(1),
                "m_axis_tid": Out(1),
                **{f"s_axil_{name}": member for name, member in axil.items()},
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        add_domain(m, self)
        several = len(self._slices) > 1
        cores = Cores(self._slices) if several else Core(self._slices[0], slice_modules(1)[0])
        m.submodules.cores = cores
        m.submodules.registers = registers = RegisterFile(
            [
                {
                    "capability": self._beat_bytes | core.room.slots << 8 | _counts(shape),
                    "input_bytes": _only(shape.inputs),
                    "output_bytes": _only(shape.outputs),
                    "weights_ports": len(shape.sides),
                }
                for shape, core in zip(self._slices, cores.cores, strict=True)
            ]
        )
        m.submodules.ingress = ingress = Ingress()
        m.submodules.others = others = QuickFifo(BEAT)
        m.submodules.passing = passing = DeepFifo(BEAT, STORE_BEATS)
        m.submodules.parser = parser = Parser()
        m.submodules.origins = origins = Origins()
        m.submodules.found = found = QuickFifo(FOUND, WAITING_FRAMES + 1)
        m.submodules.store = store = DeepFifo(BEAT, STORE_BEATS)
        m.submodules.entries = entries = Entries()
        m.submodules.dispatcher = dispatcher = Dispatcher()
        m.submodules.packetiser = packetiser = Packetiser(2, likely=1)
        m.submodules.arbiter = arbiter = Arbiter(3)
        config = registers.config
        came, leaves = ingress.i, arbiter.o
        front = None
        if self._beat_bytes != BEAT_BYTES:
            m.submodules.front = front = WideFront(self._beat_bytes)
            wiring.connect(m, front.to_pipeline, ingress.i)
            wiring.connect(m, arbiter.o, front.from_pipeline)
            m.d.comb += front.config.eq(config)
            came, leaves = front.i, front.o

        # Frames in, and aside. What comes is kept for two cycles on its way into the store, which
        # is far: whether there is room is known three cycles late.
        beat, arrives, stored, stores = Signal(BEAT), Signal(), Signal(BEAT), Signal()
        m.d.sync += [
            beat.eq(ingress.ours.payload),
            arrives.eq(ingress.ours.valid & ingress.ours.ready),
            stored.eq(beat),
            stores.eq(arrives),
            parser.where.eq(ingress.where),
            ingress.ours.ready.eq(origins.room & (store.level <= STORE_BEATS - 4)),
        ]
        # What is found of a frame comes some cycles after its origin, by which all is looked up
        # meanwhile.
        judged, ours = Signal(), Signal()
        m.d.comb += [
            judged.eq(found.o.valid & origins.o.valid),
            ours.eq(judged & (found.o.payload.verdict == VERDICT_OURS)),
            found.i.payload.eq(parser.found),
            found.i.valid.eq(parser.found_valid),
            found.o.ready.eq(origins.o.valid & cores.i.ready),
        ]
        m.d.comb += [
            came.payload.data.eq(self.s_axis_tdata),
            came.payload.keep.eq(self.s_axis_tkeep),
            came.payload.last.eq(self.s_axis_tlast),
            came.payload.bad.eq(self.s_axis_tuser),
            came.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(came.ready),
            store.i.payload.eq(stored),
            store.i.valid.eq(stores),
            parser.beat.eq(beat),
            parser.beat_valid.eq(arrives),
            *(getattr(origins, name).eq(getattr(parser, name)) for name in TO_ORIGINS),
            *(cores.i.payload[name].eq(found.o.payload[name]) for name in FOUND.members),
            cores.i.payload.origin.eq(origins.o.payload),
            cores.i.valid.eq(judged),
            cores.comes.eq(origins.o.valid),
            origins.o.ready.eq(judged & cores.i.ready),
            entries.origin.eq(origins.o.payload),
            entries.comes.eq(origins.o.valid),
            entries.ours.eq(ours),
            entries.others.eq(judged & ~ours),
            cores.steered.eq(entries.o),
        ]
        wiring.connect(m, cores.o, dispatcher.frame)
        m.d.comb += [
            dispatcher.coming.eq(cores.i.payload),
            dispatcher.comes.eq(ours),
        ]
        m.submodules.next_beats = next_beats = QuickFifo(BEAT)
        wiring.connect(m, store.o, next_beats.i)
        wiring.connect(m, next_beats.o, dispatcher.beats)
        if front:
            m.d.comb += ingress.room.eq(1)
        else:
            self._pass_behind_overlong(m, ingress, others, passing, parser, dispatcher)

        # Frames out. What is made here is more than what comes in, and waits while much does.
        wiring.connect(m, ingress.passed, others.i)
        wiring.connect(m, others.o, passing.i)
        m.d.sync += packetiser.crowded.eq(
            (passing.level > STORE_BEATS // 4)
            | (store.level > STORE_BEATS // 4)
            | (front.crowded if front else 0)
        )
        wiring.connect(m, dispatcher.declined, packetiser.jobs[0])
        wiring.connect(m, dispatcher.declined_words, packetiser.words[0])
        m.submodules.behind_store = behind_store = QuickFifo(BEAT)
        m.submodules.made = made = QuickFifo(SENT)
        wiring.connect(m, dispatcher.passed, behind_store.i)
        wiring.connect(m, packetiser.o, made.i)
        for source, passed in enumerate((passing.o, behind_store.o)):
            m.d.comb += [
                arbiter.i[source].payload.beat.eq(passed.payload),
                arbiter.i[source].valid.eq(passed.valid),
                passed.ready.eq(arbiter.i[source].ready),
            ]
        wiring.connect(m, made.o, arbiter.i[2])
        m.d.comb += [
            self.m_axis_tdata.eq(leaves.payload.beat.data),
            self.m_axis_tkeep.eq(leaves.payload.beat.keep),
            self.m_axis_tlast.eq(leaves.payload.beat.last),
            self.m_axis_tuser.eq(leaves.payload.beat.bad),
            self.m_axis_tdest.eq(leaves.payload.back),
            self.m_axis_tid.eq(leaves.payload.made),
            self.m_axis_tvalid.eq(leaves.valid),
            leaves.ready.eq(self.m_axis_tready),
        ]

        # Time. Whether this is a microsecond's last cycle is found in the one before.
        microsecond, part, ends, now = Signal(32), Signal(16), Signal(), Signal(32)
        clock_mhz, given = Signal(16), Signal()  # the time is given
        m.d.sync += [
            clock_mhz.eq(config.clock_mhz),
            given.eq(config.clock_mhz == 0),
            part.eq(Mux(ends, 0, part + 1)),
            ends.eq(Mux(ends, clock_mhz <= 1, part + 2 >= clock_mhz)),
            microsecond.eq(microsecond + ends),
            now.eq(Mux(given, config.time_us, microsecond)),
        ]
        for timed in (parser, cores, entries, dispatcher):
            m.d.comb += timed.now.eq(now)

        # Registers.
        for configured in (ingress, cores, entries, packetiser):
            m.d.comb += configured.config.eq(config)
        for model, its in zip(registers.models, cores.models, strict=True):
            m.d.comb += its.eq(model)
        for weights, its in zip(registers.weights, cores.weights, strict=True):
            wiring.connect(m, weights, its)
        for name, member in AxiLite(ADDRESS_BITS).members.items():
            mine, its = getattr(self, f"s_axil_{name}"), getattr(registers.bus, name)
            m.d.comb += its.eq(mine) if member.flow == Out else mine.eq(its)
        m.d.comb += [
            entries.staged.eq(registers.staged),
            entries.commit.eq(registers.commit),
            registers.committed.eq(entries.committed),
            registers.hit.eq(entries.hit),
            registers.place.eq(entries.place),
            registers.shown.eq(entries.shown),
            registers.shows.eq(entries.shows),
        ]
        # Collect, and say what became of requests.
        wiring.connect(m, dispatcher.collected, cores.collected)
        m.d.comb += cores.stored.eq(dispatcher.stored)
        for name in EVENTS:
            m.d.comb += getattr(registers, name).eq(getattr(cores, name))
        wiring.connect(m, cores.job, packetiser.jobs[1])
        wiring.connect(m, cores.words, packetiser.words[1])
        moving: list[Any] = [
            ingress.busy,
            others.o.valid,
            arrives,
            stores,
            passing.o.valid,
            store.o.valid,
            next_beats.o.valid,
            origins.busy,
            cores.busy,
            packetiser.busy,
            behind_store.o.valid,
            made.o.valid,
            arbiter.o.valid,
            *([front.busy] if front else []),
        ]
        m.d.sync += registers.status.eq(Cat(reduce(or_, moving), cores.collecting, cores.computing))
        m.d.comb += [
            registers.outcome.eq(dispatcher.outcome),
            registers.outcome_valid.eq(dispatcher.outcome_valid),
            registers.frames_in.eq(front.arrived if front else ingress.arrived),
            registers.went.eq(ingress.went + (front.went if front else 0)),
            registers.unread.eq(front.unread if front else ingress.unread),
            registers.overrun.eq(front.overran if front else ingress.overran),
        ]
        return m

    def _pass_behind_overlong(
        self,
        m: Module,
        ingress: Ingress,
        others: QuickFifo,
        passing: DeepFifo,
        parser: Parser,
        dispatcher: Dispatcher,
    ) -> None:
        """An overlong frame (P1) has filled half the store when it is known to be one. What is to
        our address behind it passes, until nothing waits: there may be more small frames than the
        decider has room for."""
        inside, waits = Signal(), Signal()
        some, overlong = Signal(), Signal()
        m.d.sync += [
            some.eq(ingress.went | others.o.valid | (passing.level != 0)),
            overlong.eq(parser.found_valid & (parser.found.outcome == FrameOutcome.PASSED)),
        ]
        m.d.comb += ingress.room.eq(~waits)
        with m.If(overlong):
            m.d.sync += [inside.eq(1), waits.eq(1)]
        with m.Else():
            with m.If(dispatcher.outcome_valid & (dispatcher.outcome == FrameOutcome.PASSED)):
                m.d.sync += inside.eq(0)
            with m.If(~inside & ~some):
                m.d.sync += waits.eq(0)


def _check(shape: SliceShape) -> None:
    """Raise ValueError where the shell cannot be around a slice."""
    inputs, outputs = shape.inputs, shape.outputs
    if not (1 <= len(inputs) <= MAX_TENSORS and 1 <= len(outputs) <= MAX_TENSORS):
        raise ValueError(
            f"a slice has 1 to {MAX_TENSORS} inputs and outputs, not {len(inputs)} and "
            f"{len(outputs)}"
        )
    for what, tensors in (("input", inputs), ("output", outputs)):
        for beat, tensor in tensors:
            if not 1 <= beat <= tensor <= MAX_RESULT_BYTES or tensor % beat:
                raise ValueError(
                    f"the slice's {what} tensor must be whole beats and fit 65535 fragments "
                    f"({MAX_RESULT_BYTES} bytes), not {tensor!r} bytes in beats of {beat!r}"
                )


def _counts(shape: SliceShape) -> int:
    """Of tensors, as register ``capability`` has them."""
    return len(shape.inputs) << 16 | len(shape.outputs) << 24


def _only(tensors: Sequence[WireTensor]) -> int:
    """Bytes of a tensor, if there is one."""
    return tensors[0].tensor_bytes if len(tensors) == 1 else 0
