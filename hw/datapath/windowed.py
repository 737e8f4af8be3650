# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What convolutions and pools share: a window in front, an output FIFO with credits behind.

Nothing stalls inside: a pass starts only when a slot of the output FIFO is reserved for its result.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.base import SidePort
from .rom import words
from .stream import beats
from .window import Window


class Windowed(wiring.Component):
    """A component that makes one output beat in each pass of a window.

    Parameters
    ----------
    window : where it reads
    out : shape of an element of the result
    out_lanes : elements of an output beat
    sides : side ports

    Members
    -------
    i : In(beats of the window's lanes)
    o : Out(beats of ``out_lanes``)
    the side ports : In(stream of words)
    """

    def __init__(
        self, window: Window, *, out: Shape, out_lanes: int, sides: Sequence[SidePort] = ()
    ) -> None:
        self._window = window
        self._out = Shape.cast(out)
        super().__init__(
            {
                "i": In(beats(window.shape, window.lanes)),
                "o": Out(beats(self._out, out_lanes)),
                **{side.name: In(words(side.width)) for side in sides},
            }
        )
