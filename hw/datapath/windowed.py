# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What convolutions and pools share: a window in front, an output FIFO with credits behind.

Nothing stalls inside: a pass starts only when a slot of the output FIFO is reserved for its result.
"""

from __future__ import annotations

from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.integer import Geometry
from ..timing.components import Edge, Schedule, outlet_depth
from .stream import beats
from .window import Window


class Windowed(wiring.Component):
    """A component that makes one output beat in each pass of a window.

    Parameters
    ----------
    name : prefix of the memory images' names
    window : where it reads
    out : shape of an element of the result
    out_lanes : elements of an output beat
    latency : cycles from the last step of a pass to the written result
    depth : depth of the output FIFO; None for just enough for full throughput

    Members
    -------
    i : In(beats of the window's lanes)
    o : Out(beats of ``out_lanes``)
    """

    def __init__(
        self,
        name: str,
        window: Window,
        *,
        out: Shape,
        out_lanes: int,
        latency: int,
        depth: int | None,
    ) -> None:
        self._name = name
        self._window = window
        self._out = Shape.cast(out)
        self._out_lanes = out_lanes
        self._latency = latency
        self._depth = outlet_depth(window.steps, latency) if depth is None else depth
        super().__init__(
            {"i": In(beats(window.shape, window.lanes)), "o": Out(beats(self._out, out_lanes))}
        )

    @property
    def name(self) -> str:
        """Prefix of the memory images' names."""
        return self._name

    @property
    def geometry(self) -> Geometry:
        """The window."""
        return self._window.geometry

    @property
    def out(self) -> Shape:
        """Shape of an element of the result."""
        return self._out

    @property
    def depth(self) -> int:
        """Depth of the output FIFO."""
        return self._depth

    @property
    def rows(self) -> int:
        """Image rows in memory."""
        return self._window.rows

    @property
    def steps(self) -> int:
        """Cycles of a pass."""
        return self._window.steps

    def timing(self, schedule: Schedule, i: Edge, o: Edge) -> None:
        """Add the timing process of this component between two edges."""
        schedule.window(
            self._name,
            i,
            o,
            geometry=self.geometry,
            folds=self._window.folds,
            passes=self._window.passes,
            steps=self.steps,
            latency=self._latency,
            rows=self.rows,
            depth=self._depth,
        )
