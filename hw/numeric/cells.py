# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers: LSTM and GRU over a sequence (rules N12 to N14).

States and gates are integers of ``A`` fractional bits, sums of products are exact, and each step of
a cell rounds where the rules say so and nowhere else.

N12. A gate's sum ``acc = (sum w * x << a) + (sum r * h << b) + c`` is exact, of ``u`` fractional
    bits. ``sigmoid[k]`` and ``tanh[k]`` are ``rne(2**A * f(k / 2**F))``, correctly rounded (N6),
    for ``k`` from ``-8 * 2**F`` to ``8 * 2**F - 1``; a gate is ``f[clamp(rne(acc / 2**(u - F)))]``.
N13. *LSTM* (Hochreiter and Schmidhuber 1997, with a forget gate): ``c' = rne((f * c + i * g) /
    2**A)`` and ``h' = rne(o * tanh[clamp(rne(c' / 2**(A - F)))] / 2**A)``.
N14. *GRU* (Cho et al. 2014) with the reset behind the product, ``linear_before_reset``: ``n =
    tanh[clamp(rne((2**A * p + r * q) / 2**(A + u - F)))]``, where ``p`` and ``q`` are the sums over
    ``x`` and over ``h``; ``h' = rne(((2**A - z) * n + z * h) / 2**A)``.

Nothing overflows, and nothing is clamped but what stands before a table: a hidden state is at most
1, or what it was at first, and the cell's state grows by at most 1 a step, so their ranges are
known. At 8, tanh is within 2**-22 of 1, and a sigmoid within 2**-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .function import Affine
from .qtype import IntArray, QType
from .unary import Unary

if TYPE_CHECKING:
    from ..finish.base import OnnxWriter

REACH_BITS = 3
"""Tables hold what lies from -8 to 8: ``2**REACH_BITS``."""

MOST_TABLE_BITS = 16
"""Address bits of a table, at most."""


@dataclass(frozen=True)
class Grid:
    """How finely a cell computes (N12).

    Attributes
    ----------
    bits : ``A``, fractional bits of states and gates
    steps : ``F``, fractional bits of what a table is asked for; at most ``bits``

    Raises
    ------
    ValueError
        If steps are finer than states, or tables too large.
    """

    bits: int
    steps: int

    def __post_init__(self) -> None:
        most = MOST_TABLE_BITS - REACH_BITS - 1
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
        return 1 << (self.steps + REACH_BITS)

    def table(self, function: Unary, low: int) -> IntArray:
        """The table of a function that rises from ``low``, 0 or -1, to 1, and for which ``f(-x)``
        is ``1 + low - f(x)``; int64.
        """
        upper = np.array(_upper_half(function, self.bits, self.steps), np.int64)
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
def _upper_half(function: Unary, bits: int, steps: int) -> tuple[int, ...]:
    """From 0 to ``reach``. A function that rises to 1 stays there once it is rounded to it."""
    exact = Affine((Fraction(1, 1 << steps),), Fraction(0)).then(function)
    values = exact.times(Fraction(1 << bits))
    whole = QType(32, True, 1.0)
    count = (1 << (steps + REACH_BITS)) + 1
    found: list[int] = []
    while len(found) < count and (not found or found[-1] < 1 << bits):
        found.append(values.exact([len(found)], whole))
    return (*found, *[1 << bits] * (count - len(found)))


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
    tables: tuple[IntArray, IntArray],
    drops: tuple[int, ...],
    sums: list[IntArray],
    cell: IntArray,
) -> tuple[IntArray, IntArray]:
    """N13: the states ``h`` and ``c`` that follow, of the sums of gates i, o, f, g."""
    sigmoid, tanh = tables
    places = [grid.place(acc, drop) for acc, drop in zip(sums, drops, strict=True)]
    i, o, f = (sigmoid[place] for place in places[:3])
    cell = shifted(f * cell + i * tanh[places[3]], grid.bits)
    squashed = tanh[grid.place(cell, grid.bits - grid.steps)]
    return shifted(o * squashed, grid.bits), cell


def lstm_onnx(
    writer: OnnxWriter,
    grid: Grid,
    tables: tuple[str, str],
    drops: tuple[int, ...],
    sums: list[str],
    cell: str,
) -> tuple[str, str]:
    """The same on doubles."""
    sigmoid, tanh = tables

    def gate(table: str, acc: str, drop: int) -> str:
        return writer.op("Gather", table, grid.place_onnx(writer, acc, drop), axis=0)

    kinds = (sigmoid, sigmoid, sigmoid, tanh)
    i, o, f, g = (gate(*each) for each in zip(kinds, sums, drops, strict=True))
    kept, added = writer.op("Mul", f, cell), writer.op("Mul", i, g)
    cell = shifted_onnx(writer, writer.op("Add", kept, added), grid.bits)
    squashed = gate(tanh, cell, grid.bits - grid.steps)
    return shifted_onnx(writer, writer.op("Mul", o, squashed), grid.bits), cell


def gru(
    grid: Grid,
    tables: tuple[IntArray, IntArray],
    drops: tuple[int, ...],
    sums: list[IntArray],
    hidden: IntArray,
) -> IntArray:
    """N14: the state that follows, of the sums z, r, and those over ``x`` and ``h`` of n."""
    sigmoid, tanh = tables
    z, r = (sigmoid[grid.place(acc, drop)] for acc, drop in zip(sums[:2], drops[:2], strict=True))
    inner = (sums[2] << grid.bits) + r * sums[3]
    n = tanh[grid.place(inner, drops[2] + grid.bits)]
    return shifted((grid.one - z) * n + z * hidden, grid.bits)


def gru_onnx(
    writer: OnnxWriter,
    grid: Grid,
    tables: tuple[str, str],
    drops: tuple[int, ...],
    sums: list[str],
    hidden: str,
) -> str:
    """The same on doubles."""
    sigmoid, tanh = tables
    z, r = (
        writer.op("Gather", sigmoid, grid.place_onnx(writer, acc, drop), axis=0)
        for acc, drop in zip(sums[:2], drops[:2], strict=True)
    )
    one = _number(writer, grid.one)
    inner = writer.op("Add", writer.op("Mul", sums[2], one), writer.op("Mul", r, sums[3]))
    place = grid.place_onnx(writer, inner, drops[2] + grid.bits)
    n = writer.op("Gather", tanh, place, axis=0)
    new = writer.op("Mul", writer.op("Sub", one, z), n)
    return shifted_onnx(writer, writer.op("Add", new, writer.op("Mul", z, hidden)), grid.bits)
