# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What components of normalisations share: a ring of beats, totals of a group, its statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..kernels.finishing import finish_file
from ..kernels.groups import GroupImplementation
from ..timing.components import tree_stages
from .arithmetic import delayed, tree
from .counters import counter
from .finished import FinishedOutlet
from .ranges import Range, shape_for, shape_of
from .stream import Fifo, beats

_Built = TypeVar("_Built", bound=GroupImplementation)


class Grouped(wiring.Component, Generic[_Built]):
    """Rules U1 to U4 of :mod:`midwire.hw.kernels.groups`.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory images' names

    Members
    -------
    i : In(beats of ``lanes`` elements ``x``)
    o : Out(beats of ``lanes`` elements ``out``)
    """

    def __init__(self, built: _Built, name: str) -> None:
        self._built = built
        self._name = name
        self._x = shape_for(built.x)
        out = beats(shape_for(built.unit.out), built.lanes)
        super().__init__({"i": In(beats(self._x, built.lanes)), "o": Out(out)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        m.submodules.outlet = outlet = FinishedOutlet(b.unit, finish_file(self._name), b.depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        write, read = Signal(), Signal()
        stored = self._ring(m, write, read)

        first = Signal(init=1)
        ends = counter(m, "written", b.beats, write)
        with m.If(write):
            m.d.sync += first.eq(ends)
        elements = [self.i.payload.data[k] for k in range(b.lanes)]
        totals = self._totals(m, elements, write, first)
        m.submodules.totals = queue = Fifo(_layout(b.totals), b.queue)
        m.d.comb += queue.i.valid.eq(delayed(m, write & ends, b.reduction, "whole"))
        m.d.comb += [queue.i.payload[field(k)].eq(total) for k, total in enumerate(totals)]
        if b.busy:
            m.submodules.statistics = known = Fifo(_layout(b.statistics), b.queue)
            self._prepare(m, queue.o, known.i)
        else:
            known = queue

        group_ends = counter(m, "read", b.beats, read)
        last = counter(m, "group", b.groups, read & group_ends)
        m.d.comb += [
            read.eq(known.o.valid & outlet.free),
            known.o.ready.eq(read & group_ends),
            outlet.take.eq(read),
        ]
        current = Signal(_layout(b.statistics))
        m.d.sync += current.eq(known.o.payload)
        of_group = [current[field(k)] for k in range(len(b.statistics))]
        accumulators = self._accumulators(m, stored, of_group)
        m.d.comb += [outlet.acc0[k].eq(acc) for k, acc in enumerate(accumulators)]
        m.d.comb += [
            outlet.valid.eq(delayed(m, read, 1 + b.arithmetic, "valid")),
            outlet.final.eq(delayed(m, read & group_ends & last, 1 + b.arithmetic, "final")),
        ]
        return m

    def _ring(self, m: Any, write: Signal, read: Signal) -> list[Value]:
        """Set ``write``; gives the elements of the beat that was ``read`` a cycle ago (U2)."""
        b = self._built
        row = data.ArrayLayout(self._x, b.lanes)
        m.submodules.ring = memory = Memory(shape=row, depth=b.ring, init=[])
        used = Signal(range(b.ring + 1))
        head, tail = Signal(range(b.ring)), Signal(range(b.ring))
        m.d.comb += [
            self.i.ready.eq(used != b.ring),
            write.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += used.eq(used + write - read)
        for at, moves in ((tail, write), (head, read)):
            with m.If(moves):
                m.d.sync += at.eq(Mux(at == b.ring - 1, 0, at + 1))
        port = memory.write_port()
        m.d.comb += [port.en.eq(write), port.addr.eq(tail), port.data.eq(self.i.payload.data)]
        # The word that is written is never the one that is read.
        out = memory.read_port()
        m.d.comb += out.addr.eq(head)
        return [out.data[k] for k in range(b.lanes)]

    def _total(
        self,
        m: Any,
        terms: Sequence[Value],
        write: Value,
        first: Value,
        ends: Range,
        join: Callable[[Value, Value], Value],
        name: str,
        late: int = 0,
    ) -> Value:
        """A total of terms that come ``late`` cycles behind their beat."""
        joined = tree(m, terms, name, join)
        late += tree_stages(len(terms))
        adds = delayed(m, write, late, f"{name}_adds")
        begins = delayed(m, first, late, f"{name}_begins")
        total = Signal(shape_of(ends), name=f"{name}_total")
        with m.If(adds):
            m.d.sync += total.eq(Mux(begins, joined, join(total, joined)))
        return total

    def _totals(self, m: Any, elements: Sequence[Value], write: Value, first: Value) -> list[Value]:
        """The totals of a group, ``reduction`` cycles behind its last beat."""
        raise NotImplementedError

    def _prepare(self, m: Any, totals: Any, statistics: Any) -> None:
        """From the stream of totals to that of statistics, where those are others (U3)."""
        raise NotImplementedError

    def _accumulators(
        self, m: Any, elements: Sequence[Value], statistics: Sequence[Value]
    ) -> list[Value]:
        """What elements become, ``arithmetic`` cycles later."""
        raise NotImplementedError


def _layout(ranges: Sequence[Range]) -> data.StructLayout:
    return data.StructLayout({field(k): shape_of(ends) for k, ends in enumerate(ranges)})


def field(k: int) -> str:
    """Name of a total, or of a statistic, in the payload of their queue."""
    return f"value{k}"
