# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Walks through images of any number of axes in raster order: positions, and steps of addresses.

Lists have one entry an axis, the outermost first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add, and_
from typing import Any

import numpy as np
from amaranth.hdl import Const, Mux, Signal, Value

from ..kernels.geometry import Geometry
from ..numeric import IntArray

_AXES = ("x", "y", "z")
"""Names of axes, the innermost first."""

_PARTS = ("column", "row", "plane")
"""What lies along them."""


def axis_name(rank: int, axis: int) -> str:
    """x for the innermost axis, then y and z; beyond these, a number."""
    return _named(_AXES, rank - 1 - axis)


def part_name(rank: int, axis: int) -> str:
    """What lies along an axis: columns along the innermost one, then rows and planes."""
    return _named(_PARTS, rank - 1 - axis)


def end_name(rank: int, axis: int) -> str:
    """What ends with the last pixel along an axis and all in it: a row, a plane, the image."""
    return f"{part_name(rank, axis - 1) if axis else 'image'}_end"


def _named(names: Sequence[str], place: int) -> str:
    return names[place] if place < len(names) else f"axis{place}"


def next_pixel(m: Any, geometry: Geometry) -> tuple[list[Signal], list[Signal]]:
    """Where the window of an output pixel begins, at first of the second one; and for each axis,
    whether it is the last one along it and all in it. :func:`move` goes on.
    """
    g = geometry
    second = np.unravel_index(1 % g.out_pixels, g.out_size)
    at, ends = [], []
    for axis, starts in enumerate(g.starts):
        low, high = int(starts[0]), int(starts[-1])
        init, name = int(starts[second[axis]]), f"next_{axis_name(g.rank, axis)}"
        at.append(Signal(range(low, high + 1), init=init, name=name))
        ends.append(Signal(name=f"next_{end_name(g.rank, axis)}"))
    inner: list[Value] = []
    for axis in reversed(range(g.rank)):
        m.d.comb += ends[axis].eq(reduce(and_, [*inner, at[axis] == int(g.starts[axis][-1])]))
        inner = [ends[axis]]
    return at, ends


def move(m: Any, geometry: Geometry, at: Sequence[Signal], ends: Sequence[Signal]) -> None:
    """Go from one pixel of :func:`next_pixel` to the following one."""
    m.d.sync += at[-1].eq(at[-1] + geometry.stride[-1])
    for axis in reversed(range(geometry.rank)):
        with m.If(ends[axis]):
            m.d.sync += at[axis].eq(int(geometry.starts[axis][0]))
            if axis:
                m.d.sync += at[axis - 1].eq(at[axis - 1] + geometry.stride[axis - 1])


def needed_by(geometry: Geometry, at: Sequence[Value]) -> Value:
    """:attr:`~midwire.hw.kernels.geometry.Geometry.needed` for the window that begins at ``at``."""
    axes = zip(at, geometry.starts, geometry.reach, geometry.size, strict=True)
    *outer, last = [clamped(each, starts, reach, n - 1) for each, starts, reach, n in axes]
    return reduce(add, [*(n * by for n, by in zip(outer, geometry.steps, strict=False)), last])


def kept_by(geometry: Geometry, at: Sequence[Value]) -> Value:
    """The first pixel of the line that :attr:`~midwire.hw.kernels.geometry.Geometry.kept` has for
    the window at ``at``.
    """
    total: Value | None = None
    inside: list[Value] = []
    for axis, (each, starts) in enumerate(zip(at[:-1], geometry.starts, strict=False)):
        here = clamped(each, starts, 0, geometry.size[axis]) * geometry.steps[axis]
        if inside:
            here = Mux(reduce(and_, inside), here, 0)
        total = here if total is None else total + here
        inside += _passing(each, starts, geometry.passing(axis))
    assert total is not None
    return total


def _passing(at: Value, starts: IntArray, passing: Any) -> list[Value]:
    """Conditions that together say whether ``at`` is one of the starts that are ``passing``."""
    if not passing.any():
        return [Const(0, 1)]
    first, last = int(starts[passing][0]), int(starts[passing][-1])
    return [
        *([] if passing[0] else [at >= first]),
        *([] if passing[-1] else [at <= last]),
    ]


def advances(distances: Sequence[int], counts: Sequence[int]) -> list[int]:
    """How far it is from one place to the next one in raster order: for each axis, if it goes on by
    one while all axes in it go back to their first of ``counts`` places, ``distances`` apart.
    """
    back = [(n - 1) * by for n, by in zip(counts, distances, strict=True)]
    return [by - sum(back[axis + 1 :]) for axis, by in enumerate(distances)]


def wrapped(address: Value, by: Any, size: int) -> Value:
    """``(address + by) % size`` for two numbers below ``size``."""
    total = address + by
    return Mux(total >= size, total - size, total)


def clamped(raw: Value, values: IntArray, plus: int, high: int) -> Value:
    """``raw + plus``, brought into [0, high]; compares only where ``values`` need it."""
    result = raw + plus if plus else raw
    if values.max() + plus > high:
        result = Mux(raw > high - plus, high, result)
    if values.min() + plus < 0:
        result = Mux(raw < -plus, 0, result)
    return result
