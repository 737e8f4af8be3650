# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of recurrent layers, as a node gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...hw.numeric import IntType
from ._activations import Curve
from .base import ImportContext, Unsupported

Reals = npt.NDArray[np.float64]

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""For each direction of ONNX, whether its parts are reversed."""

FIRST = 5
"""The place of the first state among a node's inputs."""

_FINER = 4
"""Bits that weights have beyond those of a grid of their own, which the layer's cannot be: what is
rounded is then 1/32 of a step of theirs at most.
"""


@dataclass(frozen=True, eq=False)
class Direction:
    """Parameters of one direction.

    Attributes
    ----------
    reverse : whether the last element of the sequence comes first
    weight : (gates, units, elements of x)
    recurrence : (gates, units, units)
    bias : (2, gates, units), what is added to the products with ``x`` and with ``h``
    first : (states, units), before the first step; zeros where that is computed
    curves : activations f, g, h
    """

    reverse: bool
    weight: Reals
    recurrence: Reals
    bias: Reals
    first: Reals
    curves: tuple[Curve, ...]


def directions_of(
    context: ImportContext,
    given: Sequence[str],
    sizes: tuple[int, int, int, int],
    turns: Sequence[bool],
    curves: Sequence[tuple[Curve, ...]],
) -> tuple[tuple[Direction, ...], tuple[int, ...]]:
    """The directions of a node of these inputs, with so many gates, states, sequences and elements
    of x, and which of its first states are computed; ``turns`` and ``curves`` say of each direction
    whether it is reversed, and its activations.
    """
    gates, states, batch, width = sizes
    count = len(turns)
    recurrence = reals_of(context, given[2], "recurrence weights")
    units = recurrence.shape[-1] if recurrence.ndim == 3 else 0
    rows = gates * units
    if not units or recurrence.shape != (count, rows, units):
        raise Unsupported(
            f"expected recurrence weights of shape [{count}, {gates} * units, units], "
            f"found {list(recurrence.shape)}"
        )

    def array(position: int, what: str, *shape: int) -> Reals:
        if not given[position]:
            return np.zeros(shape)
        found = reals_of(context, given[position], what)
        _check_shape(what, shape, found.shape)
        return found

    weight = array(1, "weights", count, rows, width)
    bias = array(3, "biases", count, 2 * rows)
    names = given[FIRST : FIRST + states]
    computed = tuple(k for k, name in enumerate(names) if name and context.const(name) is None)
    first = []
    for k, name in enumerate(names):
        if k in computed:
            _check_shape("first states", (count, batch, units), context.shape(name))
        shape = count, batch, units
        first.append(np.zeros(shape) if k in computed else array(FIRST + k, "first states", *shape))
    if any((state != state[:, :1]).any() for state in first):
        raise Unsupported(
            "expected constant first states that are the same for all sequences of a batch, found "
            "others; one sequence at a time, or states that are inputs, would work"
        )
    parts = tuple(
        Direction(
            reverse,
            weight[k].reshape(gates, units, width),
            recurrence[k].reshape(gates, units, units),
            bias[k].reshape(2, gates, units),
            np.stack([state[k, 0] for state in first]),
            curves[k],
        )
        for k, reverse in enumerate(turns)
    )
    return parts, computed


def _check_shape(what: str, wanted: Sequence[int], found: Sequence[int]) -> None:
    if tuple(found) != tuple(wanted):
        raise Unsupported(f"expected {what} of shape {list(wanted)}, found {list(found)}")


def reals_of(context: ImportContext, name: str, what: str) -> Reals:
    """A constant's values, also where they lie on a grid."""
    constant = context.const(name)
    if constant is None:
        raise Unsupported(
            f"expected constant {what}, found computed ones; give them as initialisers"
        )
    return constant.real


def kept_bits(context: ImportContext, names: Sequence[str]) -> int:
    """Bits of weights that keep what those on a grid of their own say; 0 if none are."""
    found = 0
    for name in names:
        constant = context.const(name)
        if constant is not None and constant.scale is not None:
            centred = constant.values - constant.zero_point
            held = IntType.holding(min(-1, int(centred.min())), max(0, int(centred.max())))
            found = max(found, held.bits + _FINER)
    return found


def length_of(context: ImportContext, name: str, shape: Sequence[int]) -> int:
    """How many elements of a sequence count, by a layer's sequence_lens; 0 for all."""
    if not name:
        return 0
    steps, batch = shape[:2]
    lengths = context.const(name)
    found = [] if lengths is None else lengths.values.ravel().tolist()
    if len(found) != batch or len(set(found)) != 1 or not 1 <= found[0] <= steps:
        raise Unsupported(
            f"expected sequence_lens from {[1] * batch} to {[steps] * batch}, all alike, found "
            f"{found or 'computed ones'}"
        )
    return int(found[0]) % steps
