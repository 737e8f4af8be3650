# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Linear and cubic Resize of images where each element has weights of its own (ONNX operator
versions 11 to 19), exactly: align_corners, factors that are not whole.

Along an axis of n elements that becomes one of m, element k lies at a rational place between the
old ones, and so many of those around it (2 linear, 4 cubic) have rational weights. All weights over
one denominator are integers. So it is a Gather of the taps for each axis, which pixels then have as
channels, and a depthwise convolution of integers over those channels; then the division.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.kernels.geometry import Geometry
from ..ir.graph import Value
from ._model import one_node
from .base import Case, Const, ImportContext, Imported, Op, Unsupported, inner
from .conv import Conv
from .gather import picks
from .reshape import Reshape
from .scale import Scale
from .transpose import Transpose

MOST_PIXELS = 1 << 16
"""Elements of the resized image; each has weights of its own in a memory."""

MOST_BITS = 24
"""Of a weight, without its sign."""


@dataclass(frozen=True)
class Weighing:
    """What weighs the elements around a place.

    ``cubic`` is the coefficient of the cubic one, or None: linear. ``inside`` leaves out elements
    beyond the ends, which otherwise are those at the ends.
    """

    cubic: Fraction | None = None
    inside: bool = False

    @property
    def reach(self) -> range:
        """The elements that have a weight, from the one before the place on."""
        return range(2) if self.cubic is None else range(-1, 3)

    def weigh(self, distance: Fraction) -> Fraction:
        """The weight at a distance of less than 1 (linear) or 2 (cubic: Keys, "Cubic Convolution
        Interpolation for Digital Image Processing", 1981, equation 15).
        """
        x, a = abs(distance), self.cubic
        if a is None:
            return max(1 - x, Fraction(0))
        if x <= 1:
            return ((a + 2) * x - (a + 3)) * x * x + 1
        return ((x - 5) * x + 8) * x * a - 4 * a if x < 2 else Fraction(0)


@dataclass(frozen=True)
class Axis:
    """For each new element the old ones, and their weights over ``denominator``."""

    indices: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[int, ...], ...]
    denominator: int


def weighted(
    context: ImportContext,
    node: onnx.NodeProto,
    scales: Sequence[Fraction],
    coordinates: str,
    kernel: Weighing,
) -> Imported:
    """What the import rule of Resize makes of it; the last one or two axes are spatial."""
    before, after = context.shape(node.input[0]), context.shape(node.output[0])
    if len(before) > 4:
        raise Unsupported(
            "expected one or two spatial axes where each pixel has weights of its own, found "
            f"{list(before)} to {list(after)}; whole factors with half_pixel would work"
        )
    pixels = math.prod(after[2:])
    if pixels > MOST_PIXELS:
        raise Unsupported(
            f"expected a linear or cubic mode of at most {MOST_PIXELS} pixels where each has "
            f"weights of its own, found {pixels}; a whole factor with half_pixel would work"
        )
    axes = [
        axis_of(n, m, scale, coordinates, kernel)
        for n, m, scale in zip(before[2:], after[2:], scales[2:], strict=True)
    ]
    chosen = {
        place: tuple(index for element in axis.indices for index in element)
        for place, axis in enumerate(axes, 2)
    }
    chosen = {k: v for k, v in chosen.items() if v != tuple(range(before[k]))}
    return _Pixels(context, node, axes).summed(picks(context, node, chosen))


def axis_of(n: int, m: int, scale: Fraction, coordinates: str, kernel: Weighing) -> Axis:
    """The weights along an axis of ``n`` elements that becomes one of ``m``."""
    if n == m and scale == 1:
        return Axis(tuple((k,) for k in range(n)), ((1,),) * n, 1)
    found: list[dict[int, Fraction]] = []
    for k in range(m):
        place = _place(k, n, m, scale, coordinates)
        if kernel.cubic is None:
            place = min(max(place, Fraction(0)), Fraction(n - 1))
        at = [math.floor(place) + step for step in kernel.reach]
        weights = {i: kernel.weigh(place - i) for i in at if not kernel.inside or 0 <= i < n}
        clipped: dict[int, Fraction] = {}
        for i, weight in weights.items():
            clipped[min(max(i, 0), n - 1)] = clipped.get(min(max(i, 0), n - 1), 0) + weight
        total = sum(weights.values())
        found.append({i: weight / total for i, weight in clipped.items() if weight})
    return _common(found)


def _common(elements: Sequence[dict[int, Fraction]]) -> Axis:
    """As many taps for each element, and one denominator."""
    taps = max(len(element) for element in elements)
    under = math.lcm(*(w.denominator for element in elements for w in element.values()))
    indices, weights = [], []
    for element in elements:
        more = taps - len(element)
        indices.append((*element, *[next(reversed(element))] * more))
        weights.append((*(int(w * under) for w in element.values()), *[0] * more))
    return Axis(tuple(indices), tuple(weights), under)


def _place(k: int, n: int, m: int, scale: Fraction, coordinates: str) -> Fraction:
    """Where element ``k`` of ``m`` lies between those of ``n``."""
    if abs(scale - Fraction(m, n)) < Fraction(1, 1 << 20):
        scale = Fraction(m, n)  # a third is no float32, but meant
    if coordinates == "align_corners":
        if scale != Fraction(m, n):  # ONNX and ONNX Runtime differ in where the last element lies
            raise Unsupported(
                f"expected a factor that makes {m} elements of {n} with align_corners, found "
                f"{float(scale):g}; sizes in place of scales would work"
            )
        return Fraction(k * (n - 1), m - 1) if m > 1 else Fraction(0)
    if coordinates == "asymmetric":
        return k / scale
    if coordinates == "pytorch_half_pixel" and m == 1:
        return Fraction(0)
    if coordinates in ("half_pixel", "pytorch_half_pixel"):
        return (k + Fraction(1, 2)) / scale - Fraction(1, 2)
    raise Unsupported(
        "expected the coordinates half_pixel, pytorch_half_pixel, asymmetric or align_corners, "
        f"found {coordinates}"
    )


@dataclass(frozen=True)
class _Pixels:
    """From the elements that :func:`~.gather.picks` took, taps next to each other, to the node's
    output.
    """

    context: ImportContext
    node: onnx.NodeProto
    axes: Sequence[Axis]

    def summed(self, picked: Imported) -> Imported:
        """Taps become the last axis, pixels channels; each channel is a sum of its taps."""
        after = self.context.shape(self.node.output[0])
        samples, channels = after[:2]
        rows, columns = (*self.axes, Axis(((0,),), ((1,),), 1))[:2]
        down, across = (len(axis.weights[0]) for axis in (rows, columns))
        high, wide = len(rows.weights), len(columns.weights)
        apart = (samples, channels, high, down, wide, across)
        image = (samples, high * wide, channels, down * across)
        taken = tuple(len(axis.weights) * len(axis.weights[0]) for axis in self.axes)
        graph = self._then(picked, "picked", (*after[:2], *taken), Reshape())
        graph = self._then(graph, "taps", apart, Transpose((0, 2, 4, 1, 3, 5)))
        moved = tuple(apart[axis] for axis in (0, 2, 4, 1, 3, 5))
        graph = self._then(graph, "inner", moved, Reshape())
        weight, under = self._weights(rows, columns)
        taps = down * across
        window = Geometry((channels, taps), kernel=(1, taps), stride=(1, taps))
        graph = self._then(graph, "pixels", image, Conv(weight, None, window, high * wide))
        divided = Scale((Fraction(1, under),), (Fraction(0),), ())
        graph = self._then(graph, "sums", (*image[:3], 1), divided)
        graph = self._then(graph, "means", (*image[:3], 1), Reshape())
        flat = (samples, high * wide, channels)
        graph = self._then(graph, "flat", flat, Transpose((0, 2, 1)))
        return self._then(graph, "outer", (samples, channels, high * wide), Reshape())

    def _then(self, graph: Imported, name: str, shape: tuple[int, ...], op: Op) -> Imported:
        value = Value(inner(self.node, name), shape, self.context.dtype(self.node.input[0]))
        return graph.then(value, op)

    def _weights(self, rows: Axis, columns: Axis) -> tuple[Const, int]:
        """Integers (pixels, 1, 1, taps), and what divides them."""
        products = np.einsum(
            "yi,xj->yxij", np.array(rows.weights, object), np.array(columns.weights, object)
        )
        under = rows.denominator * columns.denominator
        shared = math.gcd(under, *products.ravel())
        taps = (products // shared).reshape(len(rows.weights) * len(columns.weights), 1, 1, -1)
        largest = max(abs(int(value)) for value in taps.ravel())
        if largest.bit_length() > MOST_BITS:
            raise Unsupported(
                f"expected weights of at most {MOST_BITS} bits, found {largest} of "
                f"{under // shared} ({rows.denominator} by rows, {columns.denominator} by columns);"
                " factors of smaller numbers would work"
            )
        ones = np.ones((len(taps), 1, 1, 1), np.float32)
        return Const(taps.astype(np.int64), ones, np.zeros_like(ones, np.int64)), under // shared


def weighted_cases() -> Iterator[Case]:
    """Corners on corners; a factor that is not whole; cubic ones; a line."""

    def resize(
        name: str, shape: tuple[int, ...], out: tuple[int, ...], mode: str, how: str
    ) -> Case:
        factors = [m / n for n, m in zip(shape, out, strict=True)]
        constants = {1: np.zeros(0, np.float32), 2: np.array(factors, np.float32)}
        model = one_node(
            "Resize", [shape], out, constants, mode=mode, coordinate_transformation_mode=how
        )
        return Case(f"resize_weighted_{name}", model)

    image = (1, 2, 3, 4)
    yield resize("corners", image, (1, 2, 6, 8), "linear", "align_corners")
    yield resize("fraction", image, (1, 2, 4, 6), "linear", "half_pixel")
    yield resize("smaller", image, (1, 2, 2, 3), "linear", "align_corners")
    yield resize("cubic", image, (1, 2, 6, 4), "cubic", "half_pixel")
    yield resize("cubic_smaller", image, (1, 2, 3, 2), "cubic", "half_pixel")
    yield resize("cubic_four", (1, 1, 2, 2), (1, 1, 8, 8), "cubic", "half_pixel")
    yield resize("line", (1, 3, 5), (1, 3, 8), "linear", "align_corners")
