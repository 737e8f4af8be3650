# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the correctly rounded value of a function of one accumulator changes, all over a range.

Where a function is monotone and has one result at two accumulators, it has it between them too. So
a proof evaluates both sides of each step and no others; what is monotone, the function's own turns
say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from ..numeric import Affine, Composed, Function, IntArray, Piecewise, QType, UndecidedError
from ..numeric.unary import Interval, ball_of
from .base import Range


@dataclass(frozen=True, eq=False)
class Steps:
    """A function of the integers from ``lo`` to ``hi`` as runs of equal results.

    Attributes
    ----------
    starts : int64 array, ascending: the first accumulator of every run but the first
    values : int64 array, one more: the result of every run
    """

    lo: int
    hi: int
    starts: IntArray
    values: IntArray

    @property
    def table(self) -> IntArray:
        """The result at every accumulator from ``lo`` to ``hi``."""
        edges = np.concatenate([[self.lo], self.starts, [self.hi + 1]])
        return np.repeat(self.values, np.diff(edges))


@lru_cache(maxsize=256)
def steps(function: Function, acc: Range, out: QType, most: int) -> Steps | None:
    """Every step of a function of one accumulator over a range; None if there are more than
    ``most``. Kept: heads and gates are alike, and whoever tries widths changes few at a time.

    Raises
    ------
    DomainError, UndecidedError
        As :meth:`~midwire.hw.numeric.Function.exact`.
    """
    lo, hi = acc
    found: list[_Runs] = []
    count = 0
    for piece in _runs_of_pieces(function, acc, out, most + 1):
        same = bool(found) and found[-1].values[-1] == piece.values[0]
        found.append(piece.behind(1) if same else piece)
        count += len(found[-1].values)
        if count > most + 1:
            return None
        if same and not len(found[-1].values):
            found.pop()
    starts = np.concatenate([piece.starts for piece in found])[1:]
    values = np.concatenate([piece.values for piece in found])
    for array in (starts, values):
        array.setflags(write=False)  # it is shared
    return Steps(lo, hi, starts, values)


@dataclass(frozen=True, eq=False)
class _Runs:
    """Runs of a monotone piece: int64 arrays of the first accumulator of each, and its result."""

    starts: IntArray
    values: IntArray

    def behind(self, count: int) -> _Runs:
        """All but the first ones."""
        return _Runs(self.starts[count:], self.values[count:])


def _runs_of_pieces(function: Function, acc: Range, out: QType, most: int) -> Iterator[_Runs]:
    """Of each monotone piece its runs; of one that has more than ``most``, more than those."""
    lines = lines_of(function, acc)
    if lines is not None:
        yield from (_runs_of_line(line, piece, out, most) for piece, line in lines)
        return
    for piece in monotone(function, acc):
        yield _runs(lambda a: function.exact([a], out), piece, most)


def _runs_of_line(line: Affine, piece: Range, out: QType, most: int) -> _Runs:
    low, high = piece
    first, last = line.exact([low], out), line.exact([high], out)
    if abs(last - first) > _MOST_RESULTS:
        return _runs(lambda a: line.exact([a], out), piece, most)
    if first <= last:
        starts = line_starts(line, out, first, last)
        values = np.arange(first + 1, last + 1)
    else:
        # What falls comes to y one behind the last accumulator at which it is y + 1 or more.
        rising = Affine((-line.scales[0],), line.offset)
        starts = (1 - line_starts(rising, out, last, first))[::-1]
        values = np.arange(first - 1, last - 1, -1)
    starts, values = np.append(low, starts), np.append(first, values)
    # Of the results that one accumulator comes to at once, the last one is there.
    kept = np.append(starts[1:] != starts[:-1], True)
    return _Runs(starts[kept], values[kept])


_MOST_RESULTS = 1 << 16
"""Results that are looked at all at once; of more, only as many as there may be steps."""


def line_starts(line: Affine, out: QType, first: int, last: int) -> IntArray:
    """For each result behind ``first``, up to ``last``, the least accumulator of which a rising
    function of one, without bounds, gives that or more; (last - first,) int64.
    """
    if first == last:
        return np.empty(0, dtype=np.int64)
    (scale,) = line.scales
    # It comes to y where (scale * acc + offset) / step is y - zero_point - 1/2: an even one there,
    # an odd one behind it.
    slope, base = out.step / scale / 2, -line.offset / scale
    common = math.lcm(slope.denominator, base.denominator)
    factor, constant = int(slope * common), int(base * common)
    y = np.arange(first + 1, last + 1) - out.zero_point
    largest = 2 * max(abs(int(y[0])), abs(int(y[-1]))) + 1
    if max(largest * abs(factor) + abs(constant), common) >= 1 << 62:
        y = y.astype(object)
    edges = (2 * y - 1) * factor + constant
    found: IntArray = ((edges - (y + 1) % 2) // common + 1).astype(np.int64)
    return found


def lines_of(function: Function, acc: Range) -> list[tuple[Range, Affine]] | None:
    """Closed ranges, one behind the other, and the line that a function of one accumulator is on
    each; None if it is none of lines.
    """
    if isinstance(function, Affine):
        function = Composed(function, ())
    if not isinstance(function, Composed):
        return None
    inner, lines = function.inner, []
    for step in (Piecewise.clamp(inner.floor, inner.ceil), *function.steps):
        if not isinstance(step, Piecewise) or any(any(piece[2:]) for piece in step.pieces):
            return None
        lines.append(step)
    pieces = [(acc, Affine(inner.scales, inner.offset))]
    for step in lines:
        pieces = [part for piece, line in pieces for part in _through(step, piece, line)]
    return pieces


def _through(step: Piecewise, piece: Range, line: Affine) -> list[tuple[Range, Affine]]:
    """A line that goes through another function, of lines."""
    (scale,), offset = line.scales, line.offset
    low, high = piece
    if scale < 0:
        turned = _through(step, (-high, -low), Affine((-scale,), offset))
        return [((-b, -a), Affine((-f.scales[0],), f.offset)) for (a, b), f in reversed(turned)]
    if scale == 0:
        return [(piece, Affine((scale,), step.rational(offset)))]
    found: list[tuple[Range, Affine]] = []
    begin = low
    for index, coefficients in enumerate(step.pieces):
        constant, slope = (*coefficients, Fraction(0))[:2]
        here = Affine((slope * scale,), slope * offset + constant)
        if index and step.at and (value := step.at[index - 1]) is not None:
            at = (step.breaks[index - 1] - offset) / scale
            if at == begin <= high:
                found.append(((begin, begin), Affine((Fraction(0),), value)))
                begin += 1
        # The accumulator from which on the next piece is there.
        behind = high + 1
        if index < len(step.breaks):
            behind = min(behind, math.ceil((step.breaks[index] - offset) / scale))
        if begin < behind:
            found.append(((begin, behind - 1), here))
            begin = behind
    return found


def _runs(value: Callable[[int], int], piece: Range, most: int) -> _Runs:
    """The runs of a monotone piece; more than ``most`` if there are."""
    first, last = piece
    pending = [(first, value(first), last, value(last))]
    runs = [(first, pending[0][1])]
    while pending and len(runs) <= most:
        a, at_a, b, at_b = pending.pop()
        if at_a == at_b:
            continue
        if b - a == 1:
            runs.append((b, at_b))
            continue
        middle = (a + b) // 2
        at_middle = value(middle)
        pending += [(middle, at_middle, b, at_b), (a, at_a, middle, at_middle)]
    starts, values = np.array(runs, dtype=np.int64).T
    return _Runs(starts, values)


def monotone(function: Function, acc: Range) -> list[Range]:
    """Closed ranges, one behind the other, on each of which a function of one accumulator is
    monotone.

    Raises
    ------
    UndecidedError
        If too many accumulators are so near to a turn that their side is not known.
    """
    pieces = [acc]
    if isinstance(function, Affine):
        return pieces
    assert isinstance(function, Composed), "how to follow other functions is not known"
    for index, step in enumerate(function.steps):
        for turn in step.turns:
            pieces = [part for piece in pieces for part in _split(function, index, piece, turn)]
    return pieces


def _split(function: Composed, step: int, piece: Range, turn: Interval) -> list[Range]:
    """A piece on which what comes before a step is monotone, cut where that step may turn.

    What provably lies on one side of the turn stays together, and so does what lies exactly on a
    turn that is a point. Each other accumulator, of which there are few if any, is by itself.
    """
    from flint import ctx

    def side(a: int) -> int:
        value = function.real([a], step)
        low, high = turn
        if isinstance(value, Fraction):
            return (value > high) - (value < low)
        return int(value > ball_of(high)) - int(value < ball_of(low))

    with ctx.workprec(_TURN_PRECISION):
        first, last = piece
        at_first, at_last = side(first), side(last)
        if at_first == at_last and at_first != 0:
            return [piece]
        # Sides go from one to the other by way of 0, for what comes before is monotone.
        begin = first if at_first == 0 else _edge(side, at_first, first, last) + 1
        end = last if at_last == 0 else _edge(side, at_last, last, max(first, begin - 1)) - 1
        on_it = turn[0] == turn[1] and all(
            isinstance(function.real([a], step), Fraction) for a in {begin, end} if begin <= end
        )
    if not on_it and end - begin >= MAX_BESIDE_TURN:
        raise UndecidedError(
            f"at {end - begin + 1} accumulators, from {begin} to {end}, {function} is so near to a "
            f"turn of {function.steps[step]} that their side is not known, and at most "
            f"{MAX_BESIDE_TURN} are evaluated one by one; use a narrower accumulator, or a coarser "
            "scale before the function"
        )
    middle = [(begin, end)] if on_it else [(a, a) for a in range(begin, end + 1)]
    parts = [(first, begin - 1), *middle, (end + 1, last)]
    return [(low, high) for low, high in parts if low <= high]


def _edge(side: Callable[[int], int], wanted: int, inside: int, outside: int) -> int:
    """The last accumulator found on the wanted side, on the way from one that is to one that is
    not.
    """
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        if side(middle) == wanted:
            inside = middle
        else:
            outside = middle
    return inside


MAX_BESIDE_TURN = 1 << 16
"""Most accumulators whose side of a turn may be left open."""

_TURN_PRECISION = 128
"""Bits at which the side of a turn is told; what it leaves open is evaluated one by one."""
