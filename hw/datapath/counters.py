# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Counters that wrap around, nested or taking turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Mux, Signal, Value


def counter(m: Any, name: str, count: int, enable: Value, restart: Value | int = 0) -> Value:
    """A counter of the cycles with ``enable``, modulo ``count``: whether it is at its end.

    With ``restart`` it begins anew after a cycle with ``enable``.
    """
    at = Signal(range(count), name=name)
    end = Signal(name=f"{name}_end")
    m.d.comb += end.eq(at == count - 1)
    if count > 1:
        with m.If(enable):
            m.d.sync += at.eq(Mux(end | restart, 0, at + 1))
    return end


def position(m: Any, name: str, count: int, enable: Value) -> Signal:
    """The number, modulo ``count``, of cycles with ``enable`` so far; no bits if ``count`` is 1."""
    at = Signal(range(count), name=name)
    if count > 1:
        with m.If(enable):
            m.d.sync += at.eq(Mux(at == count - 1, 0, at + 1))
    return at


def turns(m: Any, lengths: Sequence[int], enable: Value) -> Signal:
    """Whose turn it is: ``lengths[k]`` cycles with ``enable`` are those of ``k``, then the next."""
    turn = Signal(range(len(lengths)), name="turn")
    at = Signal(range(max(lengths)), name="turn_at")
    end = Signal(name="turn_end")
    with m.Switch(turn):
        for k, length in enumerate(lengths):
            with m.Case(k):
                m.d.comb += end.eq(at == length - 1)
    with m.If(enable):
        m.d.sync += at.eq(Mux(end, 0, at + 1))
    with m.If(enable & end):
        m.d.sync += turn.eq(Mux(turn == len(lengths) - 1, 0, turn + 1))
    return turn
