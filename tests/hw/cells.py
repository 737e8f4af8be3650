# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Random recurrent layers as kernels, and what they mean, unit by unit."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from midwire.hw.kernels.gru import GruKernel
from midwire.hw.kernels.lstm import LstmKernel
from midwire.hw.kernels.recurrent import RecurrentKernel
from midwire.hw.numeric import IntArray, IntType
from midwire.hw.numeric.cells import Grid, Lane

INT8 = IntType(8, True)


def random_cell(
    kind: type[RecurrentKernel],
    steps: int,
    width: int,
    units: int,
    *,
    x: IntType = INT8,
    last: bool = False,
    begins: bool = False,
    channels: int = 1,
) -> RecurrentKernel:
    """A cell whose gates take all values; with a first state other than zero, if it ``begins``."""
    rng = np.random.default_rng(units)
    grid = Grid(9, 5)
    at = np.arange(-grid.reach, grid.reach) / (1 << grid.steps)
    lanes = [Lane(k, 0, 14 + k) for k in range(4)]
    own: dict[str, Any] = {}
    if kind is LstmKernel:
        own["cell"] = rng.integers(-900, 900, units) * begins
    else:
        lanes = [*lanes[:2], Lane(0, 1, 13, joined=False)]
    return kind(
        x=x,
        steps=steps,
        last=last,
        channels=channels,
        grid=grid,
        lanes=tuple(lanes),
        weight=rng.integers(-127, 128, (units, len(lanes), width + units)),
        bias=rng.integers(-20000, 20000, (4, units)),
        sigmoid=np.rint(grid.one / (1 + np.exp(-at))).astype(np.int64),
        tanh=np.rint(grid.one * np.tanh(at)).astype(np.int64),
        hidden=rng.integers(-700, 700, units) * begins,
        **own,
    )


def by_definition(kernel: RecurrentKernel, sequence: IntArray) -> list[list[int]]:
    """The states of one sequence by the text of rules N12 to N14, in rational numbers."""
    hidden = kernel.hidden.tolist()
    cell = kernel.cell.tolist() if isinstance(kernel, LstmKernel) else [0] * kernel.units
    found: list[list[int]] = []
    for x in sequence.reshape(kernel.steps, kernel.width).tolist():
        made = [_unit(kernel, unit, x, hidden, cell[unit]) for unit in range(kernel.units)]
        hidden, cell = [h for h, _ in made], [c for _, c in made]
        found.append(hidden)
    return found[-kernel.results :]


def _unit(
    kernel: RecurrentKernel, unit: int, x: list[int], hidden: list[int], cell: int
) -> tuple[int, int]:
    """Both states of a unit, behind a step."""
    one, reach, steps = kernel.grid.one, kernel.grid.reach, 2**kernel.grid.steps
    bias = kernel.bias[:, unit].tolist()
    sums = []
    for lane, row in zip(kernel.lanes, kernel.weight[unit].tolist(), strict=True):
        over_x = sum(a * b for a, b in zip(row, x, strict=False)) * 2**lane.x_left
        over_h = sum(a * b for a, b in zip(row[len(x) :], hidden, strict=True)) * 2**lane.h_left
        parts = [over_x + over_h] if lane.joined else [over_x, over_h]
        sums += [Fraction((p + bias.pop(0)) * steps, 2**lane.fraction) for p in parts]

    def entry(table: IntArray, value: Fraction) -> int:
        return int(table[min(max(round(value), -reach), reach - 1) + reach])

    if isinstance(kernel, GruKernel):
        z, r = (entry(kernel.sigmoid, gate) for gate in sums[:2])
        n = entry(kernel.tanh, sums[2] + Fraction(r, one) * sums[3])
        return round(Fraction((one - z) * n + z * hidden[unit], one)), cell
    i, o, f = (entry(kernel.sigmoid, gate) for gate in sums[:3])
    cell = round(Fraction(f * cell + i * entry(kernel.tanh, sums[3]), one))
    return round(Fraction(o * entry(kernel.tanh, Fraction(cell * steps, one)), one)), cell
