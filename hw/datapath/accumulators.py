# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What components that accumulate share: turns, credits, and where accumulators are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..kernels.accumulators import RING, AccumulatorImplementation
from ..kernels.finishing import finish_file
from .arithmetic import delayed
from .counters import counter, position
from .finished import FinishedOutlet
from .ranges import shape_for
from .stream import beats

_Built = TypeVar("_Built", bound=AccumulatorImplementation)


class Accumulators(wiring.Component, Generic[_Built]):
    """Rules V1 and V2 of :mod:`midwire.hw.kernels.accumulators`.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory images' names

    Members
    -------
    i : In(beats of ``lanes`` elements ``x``)
    one for each of ``built.output_names`` : Out(beats of the output's elements)
    """

    def __init__(self, built: _Built, name: str) -> None:
        self._built = built
        self._name = name
        outputs = {
            own: Out(beats(shape_for(port.type), port.lanes))
            for own, port in zip(built.output_names, built.outputs, strict=True)
        }
        super().__init__({"i": In(beats(shape_for(built.x), built.lanes)), **outputs})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        outlets = self._outlets(m)

        take = Signal()
        first = Signal(init=1)
        fold_end = counter(m, "fold", b.folds, take)
        last = counter(m, "step", b.steps, take & fold_end)
        with m.If(take & fold_end):
            m.d.sync += first.eq(last)
        free = Cat(outlet.free for outlet in outlets).all()
        m.d.comb += [
            self.i.ready.eq(free | ~last),
            take.eq(self.i.valid & self.i.ready),
        ]

        terms = self._terms(m, take & fold_end)
        adds = delayed(m, take, b.arithmetic, "adds")
        begins = delayed(m, first, b.arithmetic, "begins")
        before = self._before(m, take)
        totals = []
        for lane, term in enumerate(terms):
            total = Signal(self._state, name=f"total_{lane}")
            m.d.comb += total.eq(self._taken(begins, before[lane], term))
            totals.append(total)
        self._keep(m, adds, totals)

        ends = delayed(m, take & last, b.arithmetic, "ends")
        final = delayed(m, take & self.i.payload.last, b.arithmetic, "final")
        for k, outlet in enumerate(outlets):
            results = [each for total in totals for each in self._results(total, k)]
            m.d.sync += [outlet.acc0[lane].eq(each) for lane, each in enumerate(results)]
            m.d.comb += outlet.take.eq(take & last)
            m.d.sync += [outlet.valid.eq(ends), outlet.final.eq(final)]
        return m

    @property
    def _state(self) -> Shape:
        """Shape of an accumulator."""
        raise NotImplementedError

    def _terms(self, m: Any, step: Value) -> list[Value]:
        """What the beat of ``arithmetic`` cycles ago brings to each accumulator; ``step`` is at the
        end of each turn of them.
        """
        raise NotImplementedError

    def _taken(self, begins: Value, before: Value, term: Value) -> Value:
        """An accumulator with one term more, or (``begins``) with that alone."""
        raise NotImplementedError

    def _results(self, total: Value, output: int) -> Sequence[Value]:
        """What one accumulator gives to an output, in order."""
        raise NotImplementedError

    def _outlets(self, m: Any) -> list[FinishedOutlet]:
        """The ends of all outputs."""
        b = self._built
        found = []
        ends = zip(b.output_names, b.finishing, b.depths, strict=True)
        for k, (own, unit, depth) in enumerate(ends):
            outlet = FinishedOutlet(unit, finish_file(self._name, k), depth)
            m.submodules["outlet" if b.output_names == ("o",) else f"outlet{k}"] = outlet
            wiring.connect(m, outlet.o, wiring.flipped(getattr(self, own)))
            found.append(outlet)
        return found

    def _before(self, m: Any, take: Value) -> list[Value]:
        """The accumulators whose turn it is."""
        b = self._built
        shape = data.ArrayLayout(self._state, b.pe)
        if b.folds <= RING:
            self._ring = [Signal(shape, name=f"ring_{k}") for k in range(b.folds)]
            return [self._ring[-1][lane] for lane in range(b.pe)]
        m.submodules.memory = self._memory = Memory(shape=shape, depth=b.folds, init=[])
        # It comes a cycle after it was asked for, and was written folds - 1 cycles before at least.
        early = delayed(m, take, b.arithmetic - 1, "asks")
        port = self._memory.read_port()
        m.d.comb += port.addr.eq(position(m, "read_at", b.folds, early))
        return [port.data[lane] for lane in range(b.pe)]

    def _keep(self, m: Any, adds: Value, totals: list[Signal]) -> None:
        """Put them back."""
        b = self._built
        if b.folds <= RING:
            with m.If(adds):
                m.d.sync += [self._ring[0][lane].eq(t) for lane, t in enumerate(totals)]
                m.d.sync += [self._ring[k].eq(self._ring[k - 1]) for k in range(1, b.folds)]
            return
        port = self._memory.write_port()
        m.d.comb += [port.en.eq(adds), port.addr.eq(position(m, "write_at", b.folds, adds))]
        m.d.comb += [port.data[lane].eq(total) for lane, total in enumerate(totals)]
