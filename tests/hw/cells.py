# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Random recurrent layers as kernels, and what they mean, unit by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from midwire.hw.kernels.folded_recurrent import Given
from midwire.hw.kernels.gru import GruKernel
from midwire.hw.kernels.lstm import LstmKernel
from midwire.hw.kernels.recurrent import RecurrentKernel
from midwire.hw.kernels.rnn import RnnKernel
from midwire.hw.numeric import IntArray, IntType
from midwire.hw.numeric.cells import Grid, Lane

INT8 = IntType(8, True)

GIVEN = {"hidden": IntType(11, True), "cell": IntType(12, True)}
"""Types of first states that are streams."""

CELLS: dict[str, tuple[type[RecurrentKernel], list[Lane]]] = {
    "lstm": (LstmKernel, [Lane(k, 0, 14 + k) for k in range(4)]),
    "gru": (GruKernel, [Lane(0, 0, 14), Lane(1, 0, 15), Lane(0, 1, 13, joined=False)]),
    "halved": (GruKernel, [Lane(0, 0, 14), Lane(1, 0, 15), Lane(0, 1, 13)]),
    "rnn": (RnnKernel, [Lane(1, 0, 14)]),
}
"""For each kind of cell its kernel and where its products lie."""


def random_cell(
    kind: str,
    steps: int,
    width: int,
    units: int,
    *,
    x: IntType = INT8,
    last: bool = False,
    begins: bool = False,
    given: Sequence[str] = (),
    remembers: bool = False,
    sequences: int = 1,
    channels: int = 1,
) -> RecurrentKernel:
    """A cell whose gates take all values; with a first state other than zero, if it ``begins``, or
    states that are ``given`` by streams; whose last cell is a result, if it ``remembers``.
    """
    rng = np.random.default_rng(units)
    grid = Grid(9, 5)
    at = np.arange(-grid.reach, grid.reach) / (1 << grid.steps)
    sigmoid, tanh = 1 / (1 + np.exp(-at)), np.tanh(at)
    made, lanes = CELLS[kind]
    reals = {"rnn": {"f": tanh}, "lstm": {"f": sigmoid, "g": tanh, "h": 1.5 * tanh}}
    tables = reals.get(kind, {"f": sigmoid, "g": tanh})
    own: dict[str, Any] = {
        letter: np.rint(grid.one * table).astype(np.int64) for letter, table in tables.items()
    }
    if kind == "lstm":
        own["cell"] = rng.integers(-900, 900, units) * begins
        own["remembers"] = remembers
    return made(
        x=x,
        steps=steps,
        sequences=sequences,
        last=last,
        channels=channels,
        grid=grid,
        lanes=tuple(lanes),
        weight=rng.integers(-127, 128, (units, len(lanes), width + units)),
        bias=rng.integers(-20000, 20000, (sum(2 - lane.joined for lane in lanes), units)),
        given=tuple(Given(word, GIVEN[word]) for word in given),
        hidden=rng.integers(-700, 700, units) * begins,
        **own,
    )


def random_tensors(kernel: RecurrentKernel, rng: np.random.Generator, count: int) -> list[IntArray]:
    """One array a stream: at random, then all at either end."""
    elements = kernel.sequences * kernel.steps * kernel.width
    first = [(each.type, kernel.sequences * kernel.units) for each in kernel.given]
    found = []
    for kind, size in ((kernel.x, elements), *first):
        found.append(rng.integers(kind.lo, kind.hi + 1, (count, size)))
        found[-1][0], found[-1][1] = kind.hi, kind.lo
    return found


def by_definition(kernel: RecurrentKernel, tensors: Sequence[IntArray]) -> list[list[list[int]]]:
    """The results of one tensor, and of its first states, by the text of rules N12 to N14, N18, in
    rational numbers: for each output its rows.
    """
    parts = [tensor.reshape(kernel.sequences, -1).tolist() for tensor in tensors]
    hidden: list[list[int]] = []
    cells: list[list[int]] = []
    for row, *given in zip(*parts, strict=True):
        firsts = {word: array.tolist() for word, array in kernel.firsts.items()}
        firsts |= {each.state: first for each, first in zip(kernel.given, given, strict=True)}
        states, cell = _of_sequence(kernel, np.array(row), firsts)
        hidden += states
        cells.append(cell)
    return [hidden, cells][: len(kernel.ranges)]


def _of_sequence(
    kernel: RecurrentKernel, sequence: IntArray, firsts: Mapping[str, list[int]]
) -> tuple[list[list[int]], list[int]]:
    hidden, cell = firsts["hidden"], firsts.get("cell", [0] * kernel.units)
    found: list[list[int]] = []
    units = range(kernel.units)
    for x in sequence.reshape(kernel.steps, kernel.width).tolist():
        halves = [hidden]
        if isinstance(kernel, GruKernel) and kernel.lanes[2].joined:
            resets = [_entry(kernel, "f", _sums(kernel, k, x, hidden)[1]) for k in units]
            one = kernel.grid.one
            halves.append(
                [round(Fraction(r * h, one)) for r, h in zip(resets, hidden, strict=True)]
            )
        made = [_unit(kernel, unit, x, halves, cell[unit]) for unit in units]
        hidden, cell = [h for h, _ in made], [c for _, c in made]
        found.append(hidden)
    return found[-kernel.results :], cell


def _entry(kernel: RecurrentKernel, letter: str, value: Fraction) -> int:
    """What a table makes of a place."""
    reach = kernel.grid.reach
    return int(kernel.curves[letter][min(max(round(value), -reach), reach - 1) + reach])


def _sums(kernel: RecurrentKernel, unit: int, x: list[int], hidden: list[int]) -> list[Fraction]:
    """Sums of a unit as places."""
    steps = 2**kernel.grid.steps
    bias = kernel.bias[:, unit].tolist()
    sums = []
    for lane, row in zip(kernel.lanes, kernel.weight[unit].tolist(), strict=True):
        over_x = sum(a * b for a, b in zip(row, x, strict=False)) * 2**lane.x_left
        over_h = sum(a * b for a, b in zip(row[len(x) :], hidden, strict=True)) * 2**lane.h_left
        parts = [over_x + over_h] if lane.joined else [over_x, over_h]
        sums += [Fraction((p + bias.pop(0)) * steps, 2**lane.fraction) for p in parts]
    return sums


def _unit(
    kernel: RecurrentKernel, unit: int, x: list[int], halves: list[list[int]], cell: int
) -> tuple[int, int]:
    """Both states of a unit, behind a step."""
    one, hidden = kernel.grid.one, halves[0]
    sums = _sums(kernel, unit, x, hidden)
    if isinstance(kernel, RnnKernel):
        return _entry(kernel, "f", sums[0]), cell
    if isinstance(kernel, GruKernel):
        z, r = (_entry(kernel, "f", gate) for gate in sums[:2])
        place = sums[2] + Fraction(r, one) * sums[3] if len(sums) == 4 else None
        if place is None:
            place = _sums(kernel, unit, x, halves[1])[2]
        n = _entry(kernel, "g", place)
        return round(Fraction((one - z) * n + z * hidden[unit], one)), cell
    i, o, f = (_entry(kernel, "f", gate) for gate in sums[:3])
    cell = round(Fraction(f * cell + i * _entry(kernel, "g", sums[3]), one))
    place = Fraction(cell * 2**kernel.grid.steps, one)
    return round(Fraction(o * _entry(kernel, "h", place), one)), cell
