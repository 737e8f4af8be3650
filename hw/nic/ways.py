# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Two ways out for frames that wait for a verdict, to others and to us."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value


def divide(m: Module, beats: Any, known: Value, aside: Value, passed: Any, ours: Any) -> Signal:
    """Beats of the stream ``beats`` go one way or the other: to ``ours`` if ``aside`` is set, which
    holds for all of a frame, while ``known`` is.

    Returns
    -------
    that the last beat of any frame goes in this cycle
    """
    gone = Signal()
    for way, mine in ((passed, ~aside), (ours, aside)):
        chosen = known & mine
        m.d.comb += [way.payload.eq(beats.payload), way.valid.eq(beats.valid & chosen)]
        with m.If(chosen):
            m.d.comb += beats.ready.eq(way.ready)
    m.d.comb += gone.eq(beats.valid & beats.ready & beats.payload.last)
    return gone
