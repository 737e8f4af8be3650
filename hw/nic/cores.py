# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Several slices side by side, each in a core of its own; one to what is around them.

::

                +--> core 0 --+
    frames -----+--> core 1 --+--> fates, in the order of frames
      choice ---+--> ...    --+--> jobs and words, by turns (:mod:`.core_turns`)

Rules, cited by tests as D8 and D9, behind D0 to D7 of :mod:`.decide`:

D8. A frame is its core's alone, which decides on it by D0 to D7 and its own registers (access
    ``model``), slots and memory of decisions: another one's requests change nothing of it. That
    core has most of the header's tenant, model hash, cursor (with the number of slices) and epoch,
    compared in this order up to the first that differs. So a frame that no core executes is
    declined for what is wrong with it where it comes closest: the model is wrong only if no core
    with its tenant has that model. A result of an earlier hop is forwarded if no core has its
    tenant, model and cursor.
D9. Among several cores of which D8 is true alike, as where one slice is there twice, requests are
    shared out by their ids: all 8 bytes XORed, the bits of that byte in reverse order, times the
    number of these cores, shifted right by 8 bits, is the number among them. Ids that follow each
    other go to them by turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_, xor
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..datapath.stream import Fifo
from . import header as hdr
from .bus import AHEAD, MODEL
from .core import EVENTS, Core, core_signature
from .core_turns import CoreTurns
from .shape import SliceShape, slice_modules
from .tags import first_of


class CoreChoice(wiring.Component):
    """Which core a frame is for: rules D8 and D9. It takes a cycle.

    Parameters
    ----------
    cores : how many, at least 2

    Members
    -------
    header : In, while it ``comes`` : In(1); models : In(MODEL), of each core
    core : Out, that it is for, while ``known`` : Out(1); taken : In(1), by that core
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        super().__init__(
            {
                "header": In(hdr.HEADER_BITS),
                "comes": In(1),
                "models": In(MODEL).array(cores),
                "core": Out(range(cores)),
                "known": Out(1),
                "taken": In(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        header = self.header
        levels = [Signal(self._cores, name=f"level{k}") for k in range(4)]
        for core, model in enumerate(self.models):
            same: Any = Const(1)
            for level, agrees in zip(levels, _agreements(header, model), strict=True):
                same = same & agrees
                # Kept while the frame is decided on, whatever is written to registers.
                with m.If(~self.known):
                    m.d.sync += level[core].eq(same)
        request_id = hdr.get(header, "request_id")
        folded = reduce(xor, (request_id[at : at + 8] for at in range(0, 64, 8)))
        share = Signal(8)
        m.d.sync += [
            share.eq(Cat(reversed(list(folded)))),
            self.known.eq(self.comes & ~self.taken),
        ]

        closest = Signal(self._cores)
        m.d.comb += closest.eq(-1)
        for level in levels:
            with m.If(level.any()):
                m.d.comb += closest.eq(level)
        ranks = [Signal(range(self._cores + 1), name=f"rank{k}") for k in range(self._cores + 1)]
        for core in range(self._cores):
            m.d.comb += ranks[core + 1].eq(ranks[core] + closest[core])
        number, chosen = Signal(range(self._cores)), Signal(self._cores)
        m.d.comb += [
            number.eq((share * ranks[-1]) >> 8),
            chosen.eq(Cat(closest[k] & (ranks[k] == number) for k in range(self._cores))),
            self.core.eq(first_of(m, chosen)),
        ]
        return m


class Cores(wiring.Component):
    """Members are those of :func:`.core.core_signature`.

    Parameters
    ----------
    slices : at least 2
    """

    def __init__(self, slices: Sequence[SliceShape]) -> None:
        modules = slice_modules(len(slices))
        self.cores = [
            Core(shape, module, len(slices)) for shape, module in zip(slices, modules, strict=True)
        ]
        super().__init__(core_signature(len(slices)))

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        cores = self.cores
        for k, core in enumerate(cores):
            m.submodules[f"core{k}"] = core
            m.d.comb += [
                core.config.eq(self.config),
                core.models[0].eq(self.models[k]),
                core.now.eq(self.now),
                core.steered.eq(self.steered),
            ]
            wiring.connect(m, wiring.flipped(self.weights[k]), core.weights[0])
        self._decide(m)
        m.submodules.turns = turns = CoreTurns(len(cores))
        for k, core in enumerate(cores):
            wiring.connect(m, core.job, turns.jobs_of[k])
            wiring.connect(m, core.words, turns.words_of[k])
        wiring.connect(m, turns.job, wiring.flipped(self.job))
        wiring.connect(m, turns.words, wiring.flipped(self.words))
        # Of what each job tells, there is one in a cycle at most, and so of what is stored. Several
        # cores may give up a request in one cycle: what was not counted yet is counted later.
        evicted = Signal(range(4 * len(cores)))
        more = sum(core.evicted for core in cores)
        m.d.sync += evicted.eq(evicted + more - (evicted != 0))
        for name in (*EVENTS, "busy", "collecting", "computing"):
            found: Value = reduce(or_, (getattr(core, name) for core in cores))
            if name == "evicted":
                found = evicted != 0
            elif name == "busy":
                found = found | (evicted != 0)
            m.d.comb += getattr(self, name).eq(found)
        return m

    def _decide(self, m: Module) -> None:
        """A frame goes to its core, and fates come back in the order of frames."""
        count = len(self.cores)
        m.submodules.choice = choice = CoreChoice(count)
        m.submodules.order = order = Fifo(range(count), AHEAD)
        m.d.comb += [
            choice.header.eq(self.i.payload.origin.header),
            choice.comes.eq(self.comes),
            self.i.ready.eq(choice.taken),
            order.i.payload.eq(choice.core),
            order.i.valid.eq(choice.taken),
        ]
        for k, model in enumerate(self.models):
            m.d.comb += choice.models[k].eq(model)
        now = order.o.payload
        for k, core in enumerate(self.cores):
            m.d.comb += [
                core.i.payload.eq(self.i.payload),
                core.comes.eq(self.comes & choice.known & order.i.ready & (choice.core == k)),
                core.i.valid.eq(self.i.valid & core.comes),
                core.o.ready.eq(self.o.ready & order.o.valid & (now == k)),
                core.collected.payload.eq(self.collected.payload),
                core.collected.valid.eq(self.collected.valid & (now == k)),
                core.stored.eq(self.stored & (now == k)),
            ]
        m.d.comb += [
            choice.taken.eq(reduce(or_, (core.i.valid & core.i.ready for core in self.cores))),
            self.o.valid.eq(order.o.valid & Array(core.o.valid for core in self.cores)[now]),
            self.o.payload.eq(Array(core.o.payload.as_value() for core in self.cores)[now]),
            order.o.ready.eq(self.o.valid & self.o.ready),
        ]


def _agreements(header: Any, model: Any) -> list[Value]:
    """Whether the header has a core's tenant, model hash, cursor and epoch."""

    def same(name: str, value: Value) -> Value:
        found: Value = hdr.get(header, name) == value
        return found

    return [
        same("tenant", model.tenant),
        same("model_hash", Cat(model.model_hash_low, model.model_hash_high)),
        same("cursor", model.cursor) & same("slice_count", model.slice_count),
        same("epoch", model.epoch),
    ]
