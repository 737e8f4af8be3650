# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What convolutions and pools share: a window in front, an output FIFO with credits behind.

Nothing stalls inside: a pass starts only when a slot of the output FIFO is reserved for its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..kernels.base import SidePort
from .finished import FinishedOutlet
from .rom import words
from .stream import beats
from .window import Window


class Windowed(wiring.Component):
    """A component that makes one output beat in each pass of a window.

    Parameters
    ----------
    window : where it reads
    outlet : where its accumulators go
    sides : side ports

    Members
    -------
    i : In(beats of the window's lanes)
    o : Out(beats of the outlet's lanes)
    the side ports : In(stream of words); weight_bank : In(1), where there are any
    """

    def __init__(
        self, window: Window, outlet: FinishedOutlet, *, sides: Sequence[SidePort] = ()
    ) -> None:
        self._window = window
        self._outlet = outlet
        super().__init__(
            {
                "i": In(beats(window.shape, window.lanes)),
                "o": Out(outlet.o.signature),
                **{side.name: In(words(side.width)) for side in sides},
                **({"weight_bank": In(1)} if sides else {}),
            }
        )

    def _ends(self, m: Any) -> tuple[Window, FinishedOutlet]:
        """The window and the outlet, connected but for what is computed in between."""
        m.submodules.window = window = self._window
        m.submodules.outlet = outlet = self._outlet
        wiring.connect(m, wiring.flipped(self.i), window.i)
        wiring.connect(m, outlet.o, wiring.flipped(self.o))
        m.d.comb += [window.enable.eq(outlet.free), outlet.take.eq(window.start)]
        return window, outlet
