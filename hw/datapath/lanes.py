# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Components that change the lanes of a stream. Rules S1 to S4 of :mod:`.stream` hold; and:

L1. Elements keep their order; none is lost or repeated.
L2. A beat that a run does not fill has its elements in the lowest lanes. :class:`Fill` puts zeros
    into the others, :class:`Trim` does not look at them.
"""

from __future__ import annotations

from math import lcm
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .stream import Fifo, beat, beats


class Fill(wiring.Component):
    """Up to ``ratio`` beats become one, which is offered in the cycle after the last of them (L2).

    A beat goes out when it is full, and at the end of each run. The register empties and takes the
    first beat of the next group in one cycle, so ``i.ready`` depends on ``o.ready``.

    Parameters
    ----------
    shape : of an element
    lanes, ratio : elements of an input beat; input beats of a full output beat
    run : elements of a run, a multiple of ``lanes``; 0 if every beat is full

    Members
    -------
    i : In(beats of ``lanes``)
    o : Out(beats of ``lanes * ratio``)
    """

    def __init__(self, shape: Shape, lanes: int, ratio: int, run: int) -> None:
        self._run = _Run(lanes, ratio, run)
        super().__init__({"i": In(beats(shape, lanes)), "o": Out(beats(shape, lanes * ratio))})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        run = self._run
        parts = [
            Signal.like(self.i.payload.data.as_value(), name=f"part{k}") for k in range(run.used)
        ]
        last = Signal()
        full = Signal()
        at = Signal(range(run.used))
        end = run.end(m, at, self.i.valid & self.i.ready)
        m.d.comb += [
            self.o.payload.data.as_value().eq(Cat(parts)),
            self.o.payload.last.eq(last),
            self.o.valid.eq(full),
            self.i.ready.eq(~full | self.o.ready),
        ]
        with m.If(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += last.eq(self.i.payload.last)
            for k, part in enumerate(parts):
                with m.If(at == k):
                    m.d.sync += part.eq(self.i.payload.data.as_value())
                if run.rest and k >= run.rest:
                    with m.Elif(at == 0):
                        m.d.sync += part.eq(0)
            with m.If(end):
                m.d.sync += [at.eq(0), full.eq(1)]
            with m.Else():
                m.d.sync += at.eq(at + 1)
        return m


class Trim(wiring.Component):
    """One beat becomes up to ``ratio`` beats of ``lanes``; no cycle passes inside (L2).

    Parameters
    ----------
    shape : of an element
    lanes, ratio : elements of an output beat; output beats of a full input beat
    run : elements of a run, a multiple of ``lanes``; 0 if every beat is full

    Members
    -------
    i : In(beats of ``lanes * ratio``)
    o : Out(beats of ``lanes``)
    """

    def __init__(self, shape: Shape, lanes: int, ratio: int, run: int) -> None:
        self._run = _Run(lanes, ratio, run)
        super().__init__({"i": In(beats(shape, lanes * ratio)), "o": Out(beats(shape, lanes))})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        run = self._run
        at = Signal(range(run.used))
        final = Signal()
        part = self.o.payload.data.as_value()
        end = run.end(m, at, self.o.valid & self.o.ready)
        m.d.comb += [
            final.eq(end),
            part.eq(self.i.payload.data.as_value().word_select(at, len(part))),
            self.o.payload.last.eq(self.i.payload.last & final),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & final),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += at.eq(Mux(final, 0, at + 1))
        return m


class _Run:
    """Where in a run the parts of wide beats are.

    Attributes
    ----------
    used : parts of the fullest beat
    full : full beats of a run
    rest : parts of the beat that ends a run, if that is not full; else 0
    """

    def __init__(self, lanes: int, ratio: int, run: int) -> None:
        if ratio < 2:
            raise ValueError(f"the ratio of an adapter must be at least 2, not {ratio!r}")
        if run % lanes:
            raise ValueError(f"a run of {run} elements is no whole number of beats of {lanes}")
        self.full, self.rest = divmod(run // lanes, ratio)
        if not self.rest:
            self.full = 1
        self.used = ratio if self.full else self.rest

    def end(self, m: Any, at: Value, moved: Value) -> Value:
        """Whether part ``at`` is the last of its wide beat; a part is ``moved`` in this cycle."""
        if not self.rest or not self.full:
            return at == self.used - 1
        wide = Signal(range(self.full + 1), name="wide")
        short = Signal(name="short")
        end = Signal(name="end")
        m.d.comb += [
            short.eq(wide == self.full),
            end.eq(at == Mux(short, self.rest - 1, self.used - 1)),
        ]
        with m.If(moved & end):
            m.d.sync += wide.eq(Mux(short, 0, wide + 1))
        return end


class Widen(Fill):
    """``ratio`` beats become one: a :class:`Fill` without runs."""

    def __init__(self, shape: Shape, lanes: int, ratio: int) -> None:
        super().__init__(shape, lanes, ratio, 0)


class Narrow(Trim):
    """One beat becomes ``ratio`` beats: a :class:`Trim` without runs."""

    def __init__(self, shape: Shape, lanes: int, ratio: int) -> None:
        super().__init__(shape, lanes, ratio, 0)


class Adapter(wiring.Component):
    """Between any two numbers of lanes; the tensor must be a whole number of beats of both.

    A multiple takes a :class:`Widen` or :class:`Narrow`; any other pair goes through beats of the
    least common multiple.

    Members
    -------
    i : In(beats of ``lanes_in``)
    o : Out(beats of ``lanes_out``)
    """

    def __init__(self, shape: Shape, lanes_in: int, lanes_out: int) -> None:
        self._shape = shape
        self._lanes_in = lanes_in
        self._lanes_out = lanes_out
        super().__init__({"i": In(beats(shape, lanes_in)), "o": Out(beats(shape, lanes_out))})

    @property
    def lanes_in(self) -> int:
        """Elements of an input beat."""
        return self._lanes_in

    @property
    def lanes_out(self) -> int:
        """Elements of an output beat."""
        return self._lanes_out

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        common = lcm(self._lanes_in, self._lanes_out)
        first = wiring.flipped(self.i)
        if common != self._lanes_in:
            m.submodules.widen = widen = Widen(
                self._shape, self._lanes_in, common // self._lanes_in
            )
            wiring.connect(m, first, widen.i)
            first = widen.o
        if common not in (self._lanes_in, self._lanes_out):
            # The next group is collected while this one goes out.
            m.submodules.queue = queue = Fifo(beat(self._shape, common), 2)
            wiring.connect(m, first, queue.i)
            first = queue.o
        if common != self._lanes_out:
            m.submodules.narrow = narrow = Narrow(
                self._shape, self._lanes_out, common // self._lanes_out
            )
            wiring.connect(m, first, narrow.i)
            first = narrow.o
        wiring.connect(m, first, wiring.flipped(self.o))
        return m
