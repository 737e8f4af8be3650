# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Grids of divisors: as fine as the smallest needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from midwire.compiler.errors import CalibrationError
from midwire.compiler.ir.graph import Graph
from midwire.compiler.quantise.divisors import check_divisors, widened
from midwire.compiler.quantise.grids import Observed
from midwire.compiler.quantise.insert import missing_grids
from midwire.compiler.quantise.widths import Widths, layers_of

TEXT = """
g (float[N, 4] a, float[N, 2, 2] b) => (float[N, 4] y)
{ r = Exp(b)
  f = Flatten(r)
  y = Div(a, f) }
"""


def seen(low: float, high: float) -> Observed:
    return Observed(low, high, 2, np.array([low, high], np.float32))


@pytest.fixture
def graph(lower: Callable[..., Any]) -> Graph:
    """A division by a tensor whose grid lies before a view."""
    found: Graph = lower(TEXT).real
    return found


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0.5, 0.75, 8), (0.5, 1.0, 8), (0.5, 4.0, 10), (-4.0, -0.5, 10), (1e-3, 1e3, 16)],
)
def test_bits(graph: Graph, low: float, high: float, bits: int) -> None:
    missing = missing_grids(graph)
    observed = {name: seen(-1, 1) for name in missing} | {"r": seen(low, high)}
    layers = layers_of(graph, missing)
    found = widened(graph, observed, layers, Widths())
    assert {layer.tensor: found.of(layer) for layer in layers} == {
        **dict.fromkeys(missing, 8),
        "r": bits,
    }
    check_divisors(graph, observed)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 0.0), (-1.0, 1.0)])
def test_zero_is_refused(graph: Graph, low: float, high: float) -> None:
    observed = {name: seen(-1, 1) for name in missing_grids(graph)} | {"r": seen(low, high)}
    with pytest.raises(CalibrationError, match=f"found {low:g} to {high:g} in the calibration"):
        check_divisors(graph, observed)
