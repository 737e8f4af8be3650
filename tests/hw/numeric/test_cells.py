# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule N12: tables and roundings. Steps of cells are tested with their kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from flint import arb

from midwire.hw.numeric import Affine, IntArray, Piecewise, QType, Unary
from midwire.hw.numeric.cells import Grid, shifted, shifted_onnx


@dataclass(frozen=True)
class Tangent(Unary):
    def rational(self, x: Fraction) -> Fraction | None:
        return x if x == 0 else None

    def ball(self, x: arb) -> arb:
        return x.tanh()


@dataclass(frozen=True)
class Logistic(Unary):
    def rational(self, x: Fraction) -> Fraction | None:
        return Fraction(1, 2) if x == 0 else None

    def ball(self, x: arb) -> arb:
        return 1 / (1 + (-x).exp())


@pytest.mark.parametrize(("function", "low"), [(Tangent(), -1), (Logistic(), 0)])
@pytest.mark.parametrize(("bits", "steps"), [(6, 2), (1, 0), (9, 3)])
def test_tables_are_correctly_rounded(function: Unary, low: int, bits: int, steps: int) -> None:
    """Every entry; half of them come from the other half."""
    grid = Grid(bits, steps)
    table = grid.table(function, low)
    exact = Affine((Fraction(1, 1 << steps),), Fraction(0)).then(function)
    whole = QType(32, True, 1.0)
    values = exact.times(Fraction(grid.one))
    assert table.tolist() == [values.exact([k], whole) for k in range(-grid.reach, grid.reach)]


def test_tables_of_what_is_clipped() -> None:
    """N12: the same up to the clip, then as there."""
    grid, clip = Grid(9, 3), Fraction(1.3)
    table = grid.table(Tangent(), -1, clip)
    places = np.arange(-grid.reach, grid.reach)
    inside = abs(places) <= 10  # 1.3 * 8 is 10.4
    assert (table[inside] == grid.table(Tangent(), -1)[inside]).all()
    end = round(512 * np.tanh(1.3))
    assert set(table[places > 10]) == {end} and set(table[places < -10]) == {-end}


def test_tables_of_other_functions() -> None:
    """Each entry by itself; they may reach farther than 8."""
    relu = Piecewise((Fraction(0),), ((Fraction(0),), (Fraction(0), Fraction(1))))
    grid = Grid(6, 2, span=4)
    wanted = [max(0, k) * 16 for k in range(-64, 64)]
    assert grid.table(relu).tolist() == wanted


def test_numbers_are_rounded_half_to_even(run_onnx: Callable[..., IntArray]) -> None:
    """In numpy and on doubles; ties of either sign."""
    values = np.concatenate([np.arange(-70, 70), np.array([2**52 - 1, 1 - 2**52])])
    for bits in (0, 1, 3, 5):
        wanted = [round(Fraction(int(v), 1 << bits)) for v in values]
        assert shifted(values, bits).tolist() == wanted
        found = run_onnx(lambda w, names, n=bits: shifted_onnx(w, names[0], n), [values])
        assert found.tolist() == wanted


def test_places_are_clamped() -> None:
    values = np.array([-1000, -257, -256, -5, 0, 6, 10, 247, 248, 1000])
    assert Grid(8, 2).place(values, 3).tolist() == [0, 0, 0, 31, 32, 33, 33, 63, 63, 63]


def test_grids_that_are_too_fine_are_refused() -> None:
    for bits, steps in ((8, 9), (20, 13), (25, 4)):
        with pytest.raises(ValueError, match=f"found {bits} and {steps}"):
            Grid(bits, steps)
