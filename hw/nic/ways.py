# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Two ways out for frames that wait for a verdict, to others and to us."""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value


class Gone(NamedTuple):
    """What happens in this cycle: the last beat of any frame goes, of one that passes, and of one
    that passes for want of room though it is ours."""

    any: Value
    passed: Value
    overran: Value


def divide(
    m: Module,
    beats: Any,
    known: Value,
    to_us: Value,
    passed: Any,
    ours: Any,
    room: Value | int = 1,
) -> Gone:
    """Beats of the stream ``beats`` go one way or the other, each frame as ``to_us`` says while
    ``known`` is set.

    With its first beat a frame is sent one way, whatever becomes of the ``room`` behind ``ours``
    meanwhile.
    """
    offered, kept, aside = Signal(), Signal(), Signal()
    m.d.comb += aside.eq(Mux(offered, kept, to_us & room))
    for way, mine in ((passed, ~aside), (ours, aside)):
        chosen = known & mine
        m.d.comb += [way.payload.eq(beats.payload), way.valid.eq(beats.valid & chosen)]
        with m.If(chosen):
            m.d.comb += beats.ready.eq(way.ready)
    gone = beats.valid & beats.ready & beats.payload.last
    with m.If(beats.valid & known):
        m.d.sync += [offered.eq(~gone), kept.eq(aside)]
    return Gone(gone, gone & ~aside, gone & ~aside & to_us)
