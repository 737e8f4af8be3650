# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What convolutions and pools share: a window in front, an output FIFO with credits behind.

Nothing stalls inside: a pass starts only when a slot of the output FIFO is reserved for its result.
"""

from __future__ import annotations

from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .stream import beats
from .window import Window


class Windowed(wiring.Component):
    """A component that makes one output beat in each pass of a window.

    Parameters
    ----------
    window : where it reads
    out : shape of an element of the result
    out_lanes : elements of an output beat

    Members
    -------
    i : In(beats of the window's lanes)
    o : Out(beats of ``out_lanes``)
    """

    def __init__(self, window: Window, *, out: Shape, out_lanes: int) -> None:
        self._window = window
        self._out = Shape.cast(out)
        super().__init__(
            {"i": In(beats(window.shape, window.lanes)), "o": Out(beats(self._out, out_lanes))}
        )
