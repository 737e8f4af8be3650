# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams of tensors, and the components that only move their beats.

Stream rules, cited by tests as S1 to S4:

S1. A tensor goes in raster order, channels innermost (H, W, C), ``lanes`` elements a beat, the
    first element in lane 0. ``last`` is set on its final beat and on no other. Where ``lanes`` does
    not divide a *run* of elements (the channels of a pixel), the last beat of each run is not full:
    its upper lanes carry what nobody reads.
S2. ``valid`` and ``payload`` hold until the beat is taken; ``valid`` never waits for ``ready``.
S3. Beats are neither lost, repeated nor reordered.
S4. Cycles are exactly those of :mod:`midwire.hw.timing.components`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, ShapeLike, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..formats.bundle import WEIGHT_BANK
from ..timing.cost import SHALLOW_FIFO
from .axi import add_domain, clocking


def beat(shape: Shape, lanes: int) -> data.StructLayout:
    """Layout of one beat: ``data`` (an array of ``lanes`` elements) and ``last``."""
    if lanes < 1:
        raise ValueError(f"a beat needs at least 1 lane, not {lanes!r}")
    return data.StructLayout({"data": data.ArrayLayout(Shape.cast(shape), lanes), "last": 1})


def beats(shape: Shape, lanes: int) -> stream.Signature:
    """Signature of a stream of tensors with ``lanes`` elements of ``shape`` in a beat."""
    return stream.Signature(beat(shape, lanes))


class Fifo(wiring.Component):
    """First in, first out: a beat taken in cycle ``t`` is offered in cycle ``t + 1`` (T2).

    ``ready`` depends on no input, so it also cuts combinational paths. One beat each cycle needs a
    depth of 2.

    Members
    -------
    i, o : streams of ``payload``

    Attributes
    ----------
    level : range(depth + 1), beats inside; no member, so it is no port where nobody reads it
    """

    def __init__(self, payload: ShapeLike, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"a FIFO needs a depth of at least 1, not {depth!r}")
        self._payload = payload
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(payload)),
                "o": Out(stream.Signature(payload)),
            }
        )
        self.level = Signal(range(depth + 1))

    @property
    def depth(self) -> int:
        """Beats that fit."""
        return self._depth

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        put = Signal()
        get = Signal()
        m.d.comb += [
            self.i.ready.eq(self.level != self._depth),
            self.o.valid.eq(self.level != 0),
            put.eq(self.i.valid & self.i.ready),
            get.eq(self.o.valid & self.o.ready),
        ]
        with m.If(put & ~get):
            m.d.sync += self.level.eq(self.level + 1)
        with m.Elif(get & ~put):
            m.d.sync += self.level.eq(self.level - 1)

        if self._depth == 1:
            word = Signal.like(self.i.payload)
            with m.If(put):
                m.d.sync += word.eq(self.i.payload)
            m.d.comb += self.o.payload.eq(word)
            return m

        m.submodules.memory = memory = Memory(
            shape=Shape.cast(self._payload), depth=self._depth, init=[]
        )
        write = memory.write_port()
        tail = Signal(range(self._depth))
        head = Signal(range(self._depth))
        m.d.comb += [write.addr.eq(tail), write.data.eq(self.i.payload), write.en.eq(put)]
        with m.If(put):
            m.d.sync += tail.eq(Mux(tail == self._depth - 1, 0, tail + 1))
        coming = Signal(range(self._depth))
        m.d.comb += coming.eq(Mux(get, Mux(head == self._depth - 1, 0, head + 1), head))
        m.d.sync += head.eq(coming)
        if self._depth <= SHALLOW_FIFO:
            read = memory.read_port(domain="comb")
            m.d.comb += read.addr.eq(head)
        else:
            # The address of the next cycle, and a look at what is written right now.
            read = memory.read_port(transparent_for=[write])
            m.d.comb += read.addr.eq(coming)
        m.d.comb += self.o.payload.eq(read.data)
        return m


class Outlet(wiring.Component):
    """Output FIFO of a pipeline that cannot stall, with credits.

    A pass may start while ``free`` is set, and sets ``take`` in its first cycle, which reserves a
    slot. Its result comes later on ``write``, in order. A credit is back in the cycle after its
    beat left.

    Members
    -------
    free : Out(1)
    take : In(1)
    write : In(1)
    payload : In(payload)
    o : Out(stream of payload)
    """

    def __init__(self, payload: ShapeLike, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"an output FIFO needs a depth of at least 1, not {depth!r}")
        self._payload = payload
        self._depth = depth
        super().__init__(
            {
                "free": Out(1),
                "take": In(1),
                "write": In(1),
                "payload": In(payload),
                "o": Out(stream.Signature(payload)),
            }
        )

    @property
    def depth(self) -> int:
        """Results that may be on their way or waiting."""
        return self._depth

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.fifo = fifo = Fifo(self._payload, self._depth)
        wiring.connect(m, wiring.flipped(self.o), fifo.o)
        left = Signal(range(self._depth + 1), init=self._depth)
        back = Signal()
        m.d.comb += [
            self.free.eq(left != 0),
            back.eq(self.o.valid & self.o.ready),
            fifo.i.valid.eq(self.write),
            fifo.i.payload.eq(self.payload),
        ]
        with m.If(self.take & ~back):
            m.d.sync += left.eq(left - 1)
        with m.Elif(back & ~self.take):
            m.d.sync += left.eq(left + 1)
        return m


class Fork(wiring.Component):
    """One stream to ``n`` branches; each takes a beat when it likes (T5).

    Members
    -------
    i : In(stream of payload)
    o : array of ``n`` Out(stream of payload)
    """

    def __init__(self, payload: ShapeLike, n: int) -> None:
        if n < 1:
            raise ValueError(f"a fork needs at least 1 branch, not {n!r}")
        self._n = n
        super().__init__(
            {
                "i": In(stream.Signature(payload)),
                "o": Out(stream.Signature(payload)).array(n),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        done = Signal(self._n)
        now = Signal(self._n)
        for k, branch in enumerate(self.o):
            m.d.comb += [
                branch.payload.eq(self.i.payload),
                branch.valid.eq(self.i.valid & ~done[k]),
                now[k].eq(done[k] | branch.ready),
            ]
        m.d.comb += self.i.ready.eq(now.all())
        with m.If(self.i.valid):
            m.d.sync += done.eq(Mux(now.all(), 0, now))
        return m


class AxisTop(wiring.Component):
    """A component's streams as AXI4-Stream ports with Verilog names, for a slice or a test.

    Input ``k`` gets the ports ``s{k}_axis_tdata``, ``_tvalid``, ``_tready``, ``_tlast``, output
    ``k`` the same with ``m{k}``. Each lane has a container of 1, 2 or 4 bytes; outputs are sign- or
    zero-extended into it. Side port ``k`` has the same ports with ``w{k}``, and whole bytes for a
    word; with side ports comes ``weight_bank``. Clock and reset are those of :mod:`.axi`.

    Parameters
    ----------
    inner : the component
    inputs, outputs : names of its stream members, for example ``["i"]``; ``"o.1"`` is entry 1 of an
        array
    sides : names of its side ports
    """

    def __init__(
        self,
        inner: wiring.Component,
        inputs: Sequence[str],
        outputs: Sequence[str],
        sides: Sequence[str] = (),
    ) -> None:
        self._inner = inner
        self._inputs = [(f"s{k}_axis", _member(inner, name)) for k, name in enumerate(inputs)]
        self._outputs = [(f"m{k}_axis", _member(inner, name)) for k, name in enumerate(outputs)]
        self._sides = [(f"w{k}_axis", _member(inner, name)) for k, name in enumerate(sides)]
        members = clocking()
        for ports, mine, theirs in ((self._inputs, In, Out), (self._outputs, Out, In)):
            for prefix, port in ports:
                lanes, container, _ = _lanes(port)
                members |= _axis(prefix, lanes * container, mine, theirs)
        for prefix, port in self._sides:
            members |= _axis(prefix, -(-len(port.payload.data) // 8) * 8, In, Out)
        if self._sides:
            members[WEIGHT_BANK] = In(1)
        super().__init__(members)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        add_domain(m, self)
        m.submodules.inner = self._inner
        for prefix, port in self._inputs:
            lanes, container, bits = _lanes(port)
            tdata = getattr(self, f"{prefix}_tdata")
            m.d.comb += [
                port.payload.data.as_value().eq(
                    Cat(tdata[k * container : k * container + bits] for k in range(lanes))
                ),
                port.payload.last.eq(getattr(self, f"{prefix}_tlast")),
                port.valid.eq(getattr(self, f"{prefix}_tvalid")),
                getattr(self, f"{prefix}_tready").eq(port.ready),
            ]
        if self._sides:
            m.d.comb += getattr(self._inner, WEIGHT_BANK).eq(getattr(self, WEIGHT_BANK))
        for prefix, port in self._sides:
            m.d.comb += [
                port.payload.data.eq(getattr(self, f"{prefix}_tdata")),
                port.payload.last.eq(getattr(self, f"{prefix}_tlast")),
                port.valid.eq(getattr(self, f"{prefix}_tvalid")),
                getattr(self, f"{prefix}_tready").eq(port.ready),
            ]
        for prefix, port in self._outputs:
            lanes, container, _ = _lanes(port)
            tdata = getattr(self, f"{prefix}_tdata")
            for k in range(lanes):
                # Assignment extends by the sign of the element's shape.
                m.d.comb += tdata[k * container : (k + 1) * container].eq(port.payload.data[k])
            m.d.comb += [
                getattr(self, f"{prefix}_tlast").eq(port.payload.last),
                getattr(self, f"{prefix}_tvalid").eq(port.valid),
                port.ready.eq(getattr(self, f"{prefix}_tready")),
            ]
        return m


def _axis(prefix: str, bits: int, mine: Any, theirs: Any) -> dict[str, Any]:
    """Members of an AXI4-Stream with tdata of so many bits."""
    return {
        f"{prefix}_tdata": mine(bits),
        f"{prefix}_tvalid": mine(1),
        f"{prefix}_tready": theirs(1),
        f"{prefix}_tlast": mine(1),
    }


def _member(inner: wiring.Component, name: str) -> Any:
    member: Any = inner
    for part in name.split("."):
        member = member[int(part)] if part.isdigit() else getattr(member, part)
    return member


def _lanes(port: Any) -> tuple[int, int, int]:
    """Lanes, bits of a container, bits of an element."""
    layout = port.payload.data.shape()
    bits = Shape.cast(layout.elem_shape).width
    container = next((size for size in (8, 16, 32) if bits <= size), None)
    if container is None:
        raise ValueError(f"an element of {bits} bits fits no container; at most 32 bits do")
    return layout.length, container, bits
