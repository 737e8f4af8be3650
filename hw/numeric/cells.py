# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers: LSTM, GRU and plain ones over a sequence (rules N12 to N14, N18).

States and gates are integers of ``A`` fractional bits, sums of products are exact, and each step of
a cell rounds where the rules say so and nowhere else.

N12. A gate's sum ``acc = (sum w * x << a) + (sum r * h << b) + c`` is exact, of ``u`` fractional
    bits. An activation is a table: ``f[k]`` is ``rne(2**A * f(k / 2**F))``, correctly rounded (N6),
    for ``k`` from ``-2**(S + F)`` to ``2**(S + F) - 1``; ``f[clamp(rne(acc / 2**(u - F)))]`` is
    what it makes of a sum. With a ``clip``, ``f(k / 2**F)`` is ``f`` of that clipped.
N13. *LSTM* (Hochreiter and Schmidhuber 1997, with a forget gate): ``c' = rne((f * c + i * g) /
    2**A)`` and ``h' = rne(o * h[clamp(rne(c' / 2**(A - F)))] / 2**A)``; gates are from 0 to 1.
N14. *GRU* (Cho et al. 2014): ``h' = rne(((2**A - z) * n + z * h) / 2**A)``; gates are from 0 to 1.
    With the reset behind the product, ``linear_before_reset``, ``n = g[clamp(rne((2**A * p + r *
    q) / 2**(A + u - F)))]``, where ``p`` and ``q`` are the sums over ``x`` and over ``h``. With the
    reset before it, ``n`` is ``g`` of one sum over ``x`` and over ``rne(r * h / 2**A)``.
N18. *Plain* (Elman 1990): ``h' = f[clamp(rne(acc / 2**(u - F)))]``.

Nothing overflows, and nothing is clamped but what stands before a table: a hidden state is at most
what the last activation gives, or what it was at first, and the cell's state grows by one value of
its activation a step, so their ranges are known. ``S`` is 3 unless an activation needs more: at 8,
tanh is within 2**-22 of 1, and a sigmoid within 2**-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .function import Affine, Function
from .qtype import IntArray, QType
from .unary import Unary

if TYPE_CHECKING:
    from ..finish.base import OnnxWriter

SPAN = 3
"""Tables hold what lies from -8 to 8, ``2**SPAN``, unless more is asked."""

MOST_TABLE_BITS = 16
"""Address bits of a table, at most."""

_WHOLE = QType(32, True, 1.0)
"""Any entry of a table."""


@dataclass(frozen=True)
class Grid:
    """How finely a cell computes (N12).

    Attributes
    ----------
    bits : ``A``, fractional bits of states and gates
    steps : ``F``, fractional bits of what a table is asked for; at most ``bits``
    span : ``S``, a table reaches from ``-2**S`` to ``2**S``

    Raises
    ------
    ValueError
        If steps are finer than states, or tables too large.
    """

    bits: int
    steps: int
    span: int = SPAN

    def __post_init__(self) -> None:
        most = MOST_TABLE_BITS - self.span - 1
        if not 0 <= self.steps <= min(self.bits, most) or self.bits > 24:
            raise ValueError(
                f"a cell has at most 24 fractional bits, and steps of at most as many and {most}; "
                f"found {self.bits} and {self.steps}"
            )

    @property
    def one(self) -> int:
        """The integer that means 1."""
        return 1 << self.bits

    @property
    def reach(self) -> int:
        """Half the entries of a table."""
        return 1 << (self.steps + self.span)

    def table(
        self, function: Unary, low: int | None = None, clip: Fraction | None = None
    ) -> IntArray:
        """The table of a function, of numbers that are clipped to ``-clip`` and ``clip``; int64.

        Where ``low`` is given, 0 or -1, the function rises from there to 1, and ``f(-x)`` is
        ``1 + low - f(x)``: half of it tells all.
        """
        table = self._every(function) if low is None else self._mirrored(function, low)
        if clip is not None:
            limit = int(clip * (1 << self.steps))  # places beyond it are clipped
            exact = self.scaled(function, clip)
            places = np.arange(-self.reach, self.reach)
            table[places > limit] = exact.exact([self.reach], _WHOLE)
            table[places < -limit] = exact.exact([-self.reach], _WHOLE)
        return table

    def scaled(self, function: Unary, clip: Fraction | None = None) -> Function:
        """What an entry of a table is rounded from, of its place."""
        real = Affine((Fraction(1, 1 << self.steps),), Fraction(0))
        if clip is not None:
            real = real.clamped(-clip, clip)
        return real.then(function).times(Fraction(self.one))

    def _every(self, function: Unary) -> IntArray:
        return np.array(_entries(function, self), np.int64)

    def _mirrored(self, function: Unary, low: int) -> IntArray:
        upper = np.array(_upper_half(function, self), np.int64)
        return np.concatenate([(1 + low) * self.one - upper[:0:-1], upper[:-1]])

    def place(self, acc: IntArray, drop: int) -> IntArray:
        """The place in a table, from 0, of a number of ``drop`` bits more than it needs."""
        return shifted(acc, drop).clip(-self.reach, self.reach - 1) + self.reach

    def place_onnx(self, writer: OnnxWriter, acc: str, drop: int) -> str:
        """The same on doubles; gives int64."""
        low, high = (_number(writer, end) for end in (-self.reach, self.reach - 1))
        rounded = writer.op("Max", shifted_onnx(writer, acc, drop), low)
        place = writer.op("Add", writer.op("Min", rounded, high), _number(writer, self.reach))
        return writer.cast(place, np.int64)


@lru_cache(maxsize=16)
def _entries(function: Unary, grid: Grid) -> tuple[int, ...]:
    """From ``-reach`` to below ``reach``."""
    exact = grid.scaled(function)
    return tuple(exact.exact([k], _WHOLE) for k in range(-grid.reach, grid.reach))


@lru_cache(maxsize=16)
def _upper_half(function: Unary, grid: Grid) -> tuple[int, ...]:
    """From 0 to ``reach``. A function that rises to 1 stays there once it is rounded to it."""
    exact = grid.scaled(function)
    found: list[int] = []
    while len(found) <= grid.reach and (not found or found[-1] < grid.one):
        found.append(exact.exact([len(found)], _WHOLE))
    return (*found, *[grid.one] * (grid.reach + 1 - len(found)))


def shifted(value: IntArray, bits: int) -> IntArray:
    """``rne(value / 2**bits)``, int64."""
    if bits == 0:
        return value
    odd = (value >> bits) & 1
    return (value + ((1 << (bits - 1)) - 1) + odd) >> bits


def shifted_onnx(writer: OnnxWriter, value: str, bits: int) -> str:
    """The same on doubles: a quotient by a power of two is exact."""
    if bits == 0:
        return value
    return writer.op("Round", writer.op("Mul", value, _number(writer, 2.0**-bits)))


def _number(writer: OnnxWriter, value: float) -> str:
    return writer.constant(np.array(value), np.float64)


@dataclass(frozen=True)
class Lane:
    """What one multiplier of a unit sums over a step (N12).

    Attributes
    ----------
    x_left, h_left : ``a`` and ``b``, how far the products with ``x`` and ``h`` are shifted
    fraction : ``u``, fractional bits of the sum
    joined : whether both go into one sum; else there are two, that over ``x`` first
    """

    x_left: int
    h_left: int
    fraction: int
    joined: bool = True


def lstm(
    grid: Grid,
    curves: Sequence[IntArray],
    drops: tuple[int, ...],
    sums: list[IntArray],
    cell: IntArray,
) -> tuple[IntArray, IntArray]:
    """N13: the states ``h`` and ``c`` that follow, of the sums of gates i, o, f, g."""
    f, g, h = curves
    places = [grid.place(acc, drop) for acc, drop in zip(sums, drops, strict=True)]
    let_in, let_out, keep = (f[place] for place in places[:3])
    cell = shifted(keep * cell + let_in * g[places[3]], grid.bits)
    squashed = h[grid.place(cell, grid.bits - grid.steps)]
    return shifted(let_out * squashed, grid.bits), cell


def lstm_onnx(
    writer: OnnxWriter,
    grid: Grid,
    curves: Sequence[str],
    drops: tuple[int, ...],
    sums: list[str],
    cell: str,
) -> tuple[str, str]:
    """The same on doubles."""
    f, g, h = curves
    let_in, let_out, keep, new = (
        _looked_up(writer, grid, curve, acc, drop)
        for curve, acc, drop in zip((f, f, f, g), sums, drops, strict=True)
    )
    kept, added = writer.op("Mul", keep, cell), writer.op("Mul", let_in, new)
    cell = shifted_onnx(writer, writer.op("Add", kept, added), grid.bits)
    squashed = _looked_up(writer, grid, h, cell, grid.bits - grid.steps)
    return shifted_onnx(writer, writer.op("Mul", let_out, squashed), grid.bits), cell


def gru(
    grid: Grid,
    curves: Sequence[IntArray],
    drops: tuple[int, ...],
    sums: list[IntArray],
    hidden: IntArray,
) -> IntArray:
    """N14: the state that follows, of the sums z, r and n. That of n is one, over ``x`` and what
    :func:`reset` gives, or two, over ``x`` and over ``h``, if the reset is behind the product.
    """
    f, g = curves
    z, r = (f[grid.place(acc, drop)] for acc, drop in zip(sums[:2], drops[:2], strict=True))
    acc, drop = sums[2], drops[2]
    if len(sums) == 4:
        acc, drop = (sums[2] << grid.bits) + r * sums[3], drop + grid.bits
    n = g[grid.place(acc, drop)]
    return shifted((grid.one - z) * n + z * hidden, grid.bits)


def gru_onnx(
    writer: OnnxWriter,
    grid: Grid,
    curves: Sequence[str],
    drops: tuple[int, ...],
    sums: list[str],
    hidden: str,
) -> str:
    """The same on doubles."""
    f, g = curves
    one = _number(writer, grid.one)
    z = _looked_up(writer, grid, f, sums[0], drops[0])
    acc, drop = sums[2], drops[2]
    if len(sums) == 4:
        r = _looked_up(writer, grid, f, sums[1], drops[1])
        acc = writer.op("Add", writer.op("Mul", acc, one), writer.op("Mul", r, sums[3]))
        drop += grid.bits
    n = _looked_up(writer, grid, g, acc, drop)
    new = writer.op("Mul", writer.op("Sub", one, z), n)
    return shifted_onnx(writer, writer.op("Add", new, writer.op("Mul", z, hidden)), grid.bits)


def reset(grid: Grid, f: IntArray, drop: int, acc: IntArray, hidden: IntArray) -> IntArray:
    """N14: the state as a reset before the product leaves it, of the sum r."""
    return shifted(f[grid.place(acc, drop)] * hidden, grid.bits)


def reset_onnx(writer: OnnxWriter, grid: Grid, f: str, drop: int, acc: str, hidden: str) -> str:
    """The same on doubles."""
    r = _looked_up(writer, grid, f, acc, drop)
    return shifted_onnx(writer, writer.op("Mul", r, hidden), grid.bits)


def rnn(grid: Grid, f: IntArray, drop: int, acc: IntArray) -> IntArray:
    """N18: the state that follows, of the sum."""
    return f[grid.place(acc, drop)]


def rnn_onnx(writer: OnnxWriter, grid: Grid, f: str, drop: int, acc: str) -> str:
    """The same on doubles."""
    return _looked_up(writer, grid, f, acc, drop)


def _looked_up(writer: OnnxWriter, grid: Grid, curve: str, acc: str, drop: int) -> str:
    return writer.op("Gather", curve, grid.place_onnx(writer, acc, drop), axis=0)
