# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Element by element: requantise one stream, or the sum of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from amaranth.hdl import Cat, Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels import integer as kernels
from ..numeric import IntArray, Requantiser
from ..timing.components import REQUANTISE_LATENCY, Edge, Schedule, outlet_depth
from .ranges import ends_of
from .requantize import Requantize
from .stream import Outlet, beat, beats


class _Eltwise(wiring.Component):
    """Streams of one tensor shape to one stream, a beat each cycle."""

    def __init__(
        self,
        name: str,
        ports: Sequence[str],
        *,
        lanes: int,
        xs: Sequence[Shape],
        out: Shape,
        requantiser: Requantiser,
        depth: int | None,
    ) -> None:
        shapes = [Shape.cast(x) for x in xs]
        self._name = name
        self._ports = list(ports)
        self._lanes = lanes
        self._out = Shape.cast(out)
        self._depth = outlet_depth(1, REQUANTISE_LATENCY) if depth is None else depth
        self._requantize = Requantize(
            requantiser,
            [ends_of(x) for x in shapes],
            lanes,
            self._out,
            f"{name}_requantize.hex",
        )
        members: dict[str, Any] = {
            port: In(beats(x, lanes)) for port, x in zip(ports, shapes, strict=True)
        }
        super().__init__({**members, "o": Out(beats(self._out, lanes))})

    @property
    def name(self) -> str:
        """Prefix of the memory image's name."""
        return self._name

    @property
    def depth(self) -> int:
        """Depth of the output FIFO."""
        return self._depth

    @property
    def files(self) -> dict[str, str]:
        """Memory images by file name."""
        return self._requantize.files

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.requantize = requantize = self._requantize
        m.submodules.outlet = outlet = Outlet(beat(self._out, self._lanes), self._depth)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        inputs = [getattr(self, port) for port in self._ports]
        for term, port in enumerate(inputs):
            others = [other.valid for other in inputs if other is not port]
            m.d.comb += port.ready.eq(outlet.free & Cat(others, 1).all())
            acc = getattr(requantize, f"acc{term}")
            m.d.comb += [acc[k].eq(port.payload.data[k]) for k in range(self._lanes)]
        m.d.comb += [
            outlet.take.eq(outlet.free & Cat(port.valid for port in inputs).all()),
            requantize.valid.eq(outlet.take),
            requantize.final.eq(inputs[0].payload.last),
            outlet.write.eq(requantize.o_valid),
            outlet.payload.data.eq(requantize.y),
            outlet.payload.last.eq(requantize.o_final),
        ]
        return m


class EltwiseScale(_Eltwise):
    """Rule N5 with one term, element by element.

    Parameters
    ----------
    name : prefix of the memory image's name
    lanes : channels of a beat
    x, out : shapes of an element
    requantiser : parameters for every channel
    depth : depth of the output FIFO, default just enough for full throughput

    Members
    -------
    i : In(beats of ``x``)
    o : Out(beats of ``out``)
    """

    def __init__(
        self,
        name: str,
        *,
        lanes: int,
        x: Shape,
        out: Shape,
        requantiser: Requantiser,
        depth: int | None = None,
    ) -> None:
        super().__init__(
            name,
            ["i"],
            lanes=lanes,
            xs=[x],
            out=out,
            requantiser=requantiser,
            depth=depth,
        )

    def reference(self, x: npt.NDArray[Any]) -> IntArray:
        """What the component computes; the last axis is the channel axis."""
        return kernels.requantise(self._requantize.requantiser, x)

    def timing(self, schedule: Schedule, i: Edge, o: Edge) -> None:
        """Add the timing process of this component between two edges."""
        schedule.stream(self._name, [i], o, latency=REQUANTISE_LATENCY, depth=self._depth)


class EltwiseAdd(_Eltwise):
    """Rule N5 with two terms: the requantised sum of two tensors of one shape.

    Parameters
    ----------
    a, b : shapes of an element of either input

    The others are those of :class:`EltwiseScale`.

    Members
    -------
    a, b : In(beats)
    o : Out(beats of ``out``)
    """

    def __init__(
        self,
        name: str,
        *,
        lanes: int,
        a: Shape,
        b: Shape,
        out: Shape,
        requantiser: Requantiser,
        depth: int | None = None,
    ) -> None:
        super().__init__(
            name,
            ["a", "b"],
            lanes=lanes,
            xs=[a, b],
            out=out,
            requantiser=requantiser,
            depth=depth,
        )

    def reference(self, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> IntArray:
        """What the component computes; the last axis is the channel axis."""
        return kernels.add(self._requantize.requantiser, a, b)

    def timing(self, schedule: Schedule, a: Edge, b: Edge, o: Edge) -> None:
        """Add the timing process of this component between three edges."""
        schedule.stream(self._name, [a, b], o, latency=REQUANTISE_LATENCY, depth=self._depth)
