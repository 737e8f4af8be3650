# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Linear Resize of images by integer factors (ONNX operator versions 10 to 19), exactly.

Each element comes as often as the factor says, as in a nearest one, and a window of ``factor`` such
elements, or of one more where the new elements lie between the old ones, has the linear weights:
1, 2, ..., 2, 1 over twice the factor, or all 1 over the factor. At the ends the outermost element
is repeated. So it is a Gather for each axis and a depthwise convolution of small integers. Other
factors, and corners on corners, are :mod:`._weighted`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

import numpy as np
import onnx

from ...hw.kernels.geometry import Geometry
from ..ir.graph import Value
from ._model import one_node
from ._weighted import Weighing, weighted
from .base import Case, Const, ImportContext, Imported, check_exact, inner
from .conv import Conv
from .gather import picks
from .scale import Scale
from .window import planar


@dataclass(frozen=True)
class Line:
    """One axis: elements ``indices`` of it, and a window of ``taps`` over them, in steps.

    The sum of the taps divides the result.
    """

    indices: tuple[int, ...]
    taps: tuple[int, ...] = (1,)
    stride: int = 1


def linear(
    context: ImportContext, node: onnx.NodeProto, scales: Sequence[Fraction], coordinates: str
) -> Imported:
    """What the import rule of Resize makes of the mode linear."""
    before, after = context.shape(node.input[0]), context.shape(node.output[0])
    found = [
        line_of(before[axis], after[axis], scales[axis], coordinates)
        for axis in range(2, len(before))
    ]
    lines = [line for line in found if line is not None]
    if len(lines) < len(found):
        return weighted(context, node, scales, coordinates, Weighing())
    chosen = {
        axis: line.indices
        for axis, line in enumerate(lines, 2)
        if line.indices != tuple(range(before[axis]))
    }
    picked = picks(context, node, chosen)
    if all(line.taps == (1,) for line in lines):
        return picked
    return _filtered(context, node, picked, lines)


def line_of(n: int, m: int, scale: Fraction, coordinates: str) -> Line | None:
    """The line of an axis of ``n`` elements that becomes one of ``m``.

    None for factors that are not whole, or one over a whole number, and for coordinates under which
    the weights change from element to element.
    """
    if n == m and scale == 1:
        return Line(tuple(range(n)))
    if coordinates not in ("half_pixel", "pytorch_half_pixel", "asymmetric"):
        return None
    if m == 1 and coordinates == "pytorch_half_pixel":
        return Line((0,))
    half = coordinates != "asymmetric"
    if scale == Fraction(float(np.float32(m / n))):
        scale = Fraction(m, n)  # a third is no float32, but meant
    if scale.denominator == 1 and m == n * scale:
        return _larger(n, int(scale), half)
    inverse = 1 / scale
    if inverse.denominator == 1 and n == m * inverse:
        return _smaller(m, int(inverse), half)
    return None


def _larger(n: int, factor: int, half: bool) -> Line:
    """``factor`` times as many."""
    between = half and factor % 2 == 0
    taps = (1, *(2,) * (factor - 1), 1) if between else (1,) * factor
    before = (len(taps) - 1) // 2 if half else 0
    places = np.arange(-before, n * factor - before + len(taps) - 1) // factor
    return Line(tuple(int(p) for p in places.clip(0, n - 1)), taps)


def _smaller(m: int, factor: int, half: bool) -> Line:
    """One for every ``factor``: the middle one, or both in the middle."""
    middle = np.arange(m) * factor + ((factor - 1) // 2 if half else 0)
    if half and factor % 2 == 0:
        pairs = np.stack([middle, middle + 1], 1).ravel()
        return Line(tuple(int(p) for p in pairs), (1, 1), 2)
    return Line(tuple(int(p) for p in middle))


def _filtered(
    context: ImportContext, node: onnx.NodeProto, picked: Imported, lines: Sequence[Line]
) -> Imported:
    """A depthwise convolution with integers behind what was picked; then the division."""
    before, after = context.shape(node.input[0]), context.shape(node.output[0])
    dtype = context.dtype(node.input[0])
    taps = reduce(np.multiply.outer, [np.array(line.taps, np.int64) for line in lines])
    channels = before[1]
    check_exact([channels])
    window = Geometry(
        planar([len(line.indices) for line in lines]),
        kernel=planar(taps.shape),
        stride=planar([line.stride for line in lines]),
    )
    ones = np.ones((channels, 1, *[1] * window.rank), np.float32)
    weight = Const(
        np.tile(taps.reshape(1, 1, *window.kernel), ones.shape), ones, np.zeros_like(ones, np.int64)
    )
    shape = (*before[:2], *(len(line.indices) for line in lines))
    summed = picked.then(
        Value(inner(node, "picked"), shape, dtype), Conv(weight, None, window, channels)
    )
    divided = Scale((Fraction(1, int(taps.sum())),), (Fraction(0),), ())
    return summed.then(Value(inner(node, "summed"), after, dtype), divided)


def linear_cases() -> Iterator[Case]:
    """Twice and three times, between pixels and on them; one axis of two; smaller; other ranks."""

    def resize(
        name: str, shape: tuple[int, ...], out: tuple[int, ...], mode: str, *scales: float
    ) -> Case:
        constants = {1: np.zeros(0, np.float32), 2: np.array((1, 1, *scales), np.float32)}
        model = one_node(
            "Resize", [shape], out, constants, mode="linear", coordinate_transformation_mode=mode
        )
        return Case(f"resize_linear_{name}", model)

    image = (1, 2, 3, 4)
    yield resize("twice", image, (1, 2, 6, 8), "half_pixel", 2, 2)
    yield resize("thrice", image, (1, 2, 9, 4), "pytorch_half_pixel", 3, 1)
    yield resize("asymmetric", image, (1, 2, 6, 12), "asymmetric", 2, 3)
    yield resize("half", (1, 2, 4, 6), (1, 2, 2, 2), "half_pixel", 0.5, 1 / 3)
    yield resize("line", (1, 3, 5), (1, 3, 20), "half_pixel", 4)
    yield resize("volume", (1, 2, 2, 3, 2), (1, 2, 4, 6, 2), "half_pixel", 2, 2, 1)
