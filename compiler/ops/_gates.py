# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Integers of recurrent layers: how finely their weights and first states are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...hw.numeric import IntArray, QType
from ...hw.numeric.cells import Grid, Lane
from ._directions import Direction, Reals
from .base import Unsupported

_MORE_BITS, _ENOUGH_BITS = 2, 12
"""Bits that weights have beyond those of other layers, and how many need no more. Others have a
step of any size for each channel. Here it is a power of two for all units, and what it is off by
goes into every element of the sequence.
"""

DEFAULT_WEIGHT_BITS = 8
"""In models with grids of their own, which say nothing of a recurrent layer's weights."""

_MOST_FINER = 16
"""Bits by which a weight's step may be finer than what a table is asked for; more tell nothing."""

_MOST_APART = 24
"""Bits by which products may be shifted before they are added."""


def finer(bits: int) -> int:
    """Bits of a weight where other layers have so many."""
    return max(bits, min(bits + _MORE_BITS, _ENOUGH_BITS))


def as_integers(
    direction: Direction, x: QType, grid: Grid, bits: int, joined: Sequence[bool]
) -> dict[str, Any]:
    """What all kernels have: weights, biases, tables and first state (N12). ``bits`` are those of a
    weight, 0 where nobody chose them; ``joined`` says of each gate whether its products with the
    input and with the state are added.
    """
    lanes: list[Lane] = []
    rows: list[IntArray] = []
    biases: list[IntArray] = []
    bits = bits or finer(DEFAULT_WEIGHT_BITS)
    both = zip(direction.weight, direction.recurrence, strict=True)
    for gate, (over_x, over_h) in enumerate(both):
        w, w_bits = _on_grid(over_x * float(x.step), bits, grid)
        r, r_bits = _on_grid(over_h / grid.one, bits, grid)
        fraction = max(w_bits, r_bits, grid.steps)
        lane = Lane(fraction - w_bits, fraction - r_bits, fraction, joined[gate])
        if max(lane.x_left, lane.h_left) > _MOST_APART:
            raise Unsupported(
                "expected products with the input and with the state within "
                f"2**{_MOST_APART} of each other, found those of gate {gate} farther apart"
            )
        own = _whole(direction.bias[:, gate] * 2.0**fraction, "biases")
        own[0] -= x.zero_point * w.sum(axis=1) << lane.x_left
        biases += [own.sum(axis=0)] if lane.joined else list(own)
        lanes.append(lane)
        rows.append(np.concatenate([w, r], axis=1))
    return {
        "x": x.integers,
        "channels": direction.weight.shape[1],
        "grid": grid,
        "lanes": tuple(lanes),
        "weight": np.stack(rows, axis=1),
        "bias": np.stack(biases),
        **{k: curve.table(grid) for k, curve in zip("fgh", direction.curves, strict=False)},
        "hidden": as_state(direction.first[0], grid),
    }


def as_state(reals: Reals, grid: Grid) -> IntArray:
    """A first state as integers."""
    return _whole(reals * grid.one, "first states")


_MOST_WHOLE = 2.0**62
"""What integers of 64 bits hold, with room for a sum."""


def _whole(reals: Reals, what: str) -> IntArray:
    """Rounded to integers; refused where they are larger than any hardware's."""
    largest = float(np.abs(reals).max(initial=0.0))
    if not largest < _MOST_WHOLE:
        raise Unsupported(
            f"expected {what} of less than 2**62 steps of their grid, found {largest:.3g}"
        )
    return np.rint(reals).astype(np.int64)


def _on_grid(reals: Reals, bits: int, grid: Grid) -> tuple[IntArray, int]:
    """Numbers as integers of so many bits, and the fractional bits of those: as many as the largest
    number allows.
    """
    most = grid.steps + _MOST_FINER
    top = max(1, (1 << (bits - 1)) - 1)
    largest = float(np.abs(reals).max())
    while np.rint(largest * 2.0**most) > top:
        most -= 1
    return np.rint(reals * 2.0**most).astype(np.int64), most
