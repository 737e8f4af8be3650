# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Resize and Upsample (ONNX operator versions 7 to 19): nearest; linear is :mod:`._linear`, cubic
:mod:`._weighted`.

An axis becomes a whole number of times as long, each element coming that often; or it keeps every
so manieth element; else it is a Gather. Which element is nearest is decided in rational arithmetic;
factors for which float32 (ONNX Runtime) decides otherwise are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.numeric import IntArray
from ..ir.lowered import Call, OutputSpec, single
from ..ir.quant import QTensor
from ._linear import linear, linear_cases
from ._model import one_node
from ._moving import MovingOp, Turn, moved, reading
from ._weighted import Weighing, weighted, weighted_cases
from .base import Case, ImportContext, Imported, Unsupported, one
from .gather import picks
from .window import MOST_AXES


@dataclass(frozen=True)
class Walk:
    """Elements of an axis: ``count`` of them from ``start`` on in steps, each ``repeat`` times."""

    start: int
    step: int
    count: int
    repeat: int


@dataclass(frozen=True)
class Resize(MovingOp):
    """A walk for each axis."""

    walks: tuple[Walk, ...]

    onnx_types = ("Resize", "Upsample")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Scales or sizes are constants."""
        attributes = context.attributes(node)
        mode = attributes.get("mode", "nearest")
        if mode not in ("nearest", "linear", "cubic"):
            raise Unsupported(f"expected the mode nearest, linear or cubic, found {mode}")
        before, after = context.shape(node.input[0]), context.shape(node.output[0])
        scales = _scales(context, node, before, after)
        first = node.op_type == "Upsample" or context.opset < 11
        coordinates = "asymmetric"
        rounding = "floor"
        if not first:
            coordinates = attributes.get("coordinate_transformation_mode", "half_pixel")
            rounding = attributes.get("nearest_mode", "round_prefer_floor")
        if mode != "nearest":
            return _smooth(context, node, scales, coordinates)
        taken = [
            _taken(axis, n, m, scale, coordinates, rounding)
            for axis, (n, m, scale) in enumerate(zip(before, after, scales, strict=True))
        ]
        found = [_walk(n, indices) for n, indices in zip(before, taken, strict=True)]
        walks = tuple(walk for walk in found if walk is not None)
        every = {axis: indices.tolist() for axis, indices in enumerate(taken)}
        chosen = {axis: at for axis, at in every.items() if at != list(range(before[axis]))}
        if chosen and len(walks) == len(found):
            return one(cls(walks), [node.input[0]])
        return picks(context, node, chosen)

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """A buffer that is read by the walks of its axes."""
        (x,), (output,) = inputs, outputs
        turns = [
            turn
            for axis in x.layout.perm
            for walk in [self.walks[axis]]
            for turn in (Turn(walk.count, axis, walk.step), Turn(walk.repeat, None))
        ]
        starts = {axis: walk.start for axis, walk in enumerate(self.walks) if walk.start}
        layout = Layout(output.shape, x.layout.perm)
        return single(reading(x, turns, starts), moved(x.qtype, layout))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Twice as large, as torch and as TensorFlow say it; other factors; every other pixel;
        linear, cubic.
        """
        shape = (1, 4, 3, 5)

        def scales(*values: float) -> dict[int, np.ndarray]:
            return {1: np.zeros(0, np.float32), 2: np.array(values, np.float32)}

        yield Case(
            "resize_twice",
            one_node(
                "Resize",
                [shape],
                (1, 4, 6, 10),
                scales(1, 1, 2, 2),
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            ),
        )
        yield Case(
            "resize_half_pixel", one_node("Resize", [shape], (1, 4, 9, 5), scales(1, 1, 3, 1))
        )
        yield Case(
            "resize_smaller",
            one_node(
                "Resize",
                [(1, 2, 4, 6)],
                (1, 2, 2, 3),
                scales(1, 1, 0.5, 0.5),
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            ),
        )
        factors = np.array([1, 1, 2, 3], np.float32)
        yield from linear_cases()
        yield from weighted_cases()
        yield Case(
            "resize_other_factor",
            one_node("Resize", [shape], (1, 4, 7, 7), scales(1, 1, 2.5, 1.5)),
        )
        twice = {1: np.array([1, 1, 2, 2], np.float32)}
        smooth = one_node("Upsample", [shape], (1, 4, 6, 10), twice, opset=9, mode="linear")
        yield Case("upsample_linear", smooth)
        yield Case("upsample", one_node("Upsample", [shape], (1, 4, 6, 15), {1: factors}, opset=9))


def _scales(
    context: ImportContext, node: onnx.NodeProto, before: Sequence[int], after: Sequence[int]
) -> list[Fraction]:
    """The factor of each axis: what the model says, or (sizes) what the shapes say."""
    attributes = context.attributes(node)
    if attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("expected the policy stretch, found another")
    shapes = [Fraction(m, n) for n, m in zip(before, after, strict=True)]
    given = attributes.get("scales")
    position = 1 if node.op_type == "Upsample" or context.opset < 11 else 2
    names = list(node.input[position:])
    for name in names:
        if name and context.const(name) is None:
            raise Unsupported(f"expected a constant {name!r}, found a computed one")
    if names and names[0]:
        constant = context.const(names[0])
        assert constant is not None
        given = [float(v) for v in constant.values.ravel()]
    if not given:
        return shapes
    axes = attributes.get("axes") or range(len(before))
    found = [Fraction(1)] * len(before)
    for axis, scale in zip(axes, given, strict=True):
        found[axis] = Fraction(float(scale))
    return found


def _smooth(
    context: ImportContext, node: onnx.NodeProto, scales: Sequence[Fraction], coordinates: str
) -> Imported:
    """The modes linear and cubic, of images."""
    attributes = context.attributes(node)
    before, after = context.shape(node.input[0]), context.shape(node.output[0])
    mode = attributes["mode"]
    if attributes.get("antialias", 0):
        raise Unsupported("expected antialias 0, found 1; AveragePool makes smaller")
    if not 3 <= len(before) <= 2 + MOST_AXES or before[:2] != after[:2]:
        raise Unsupported(
            f"expected a {mode} mode along one to {MOST_AXES} spatial axes, "
            f"found {list(before)} to {list(after)}"
        )
    if mode == "linear":
        return linear(context, node, scales, coordinates)
    coefficient = Fraction(float(attributes.get("cubic_coeff_a", -0.75)))
    kernel = Weighing(coefficient, inside=bool(attributes.get("exclude_outside", 0)))
    return weighted(context, node, scales, coordinates, kernel)


def _taken(axis: int, n: int, m: int, scale: Fraction, coordinates: str, rounding: str) -> IntArray:
    """The elements of an axis of ``n`` that ``m`` elements are nearest to."""
    if coordinates not in _COORDINATES or rounding not in _ROUNDING:
        raise Unsupported(
            f"expected coordinates that midwire knows, found {coordinates}, {rounding}"
        )
    if max(n, m) > _LONGEST:
        raise Unsupported(
            f"expected an axis {axis} of at most {_LONGEST} elements, found {n} and {m}"
        )
    if not 1 <= scale * _LONGEST <= _LONGEST**2:
        raise Unsupported(
            f"expected a factor of axis {axis} from 1/{_LONGEST} to {_LONGEST}, found "
            f"{float(scale)}"
        )
    if scale == 1:
        return np.arange(n)
    if coordinates == "pytorch_half_pixel" and m == 1:
        return np.zeros(1, np.int64)
    taken = _nearest(n, m, scale, coordinates, rounding)
    in_float32 = _nearest_in_float32(n, m, scale, coordinates, rounding)
    if not np.array_equal(taken, in_float32):
        raise Unsupported(
            f"expected a factor of axis {axis} for which float32 finds the nearest elements "
            f"{taken[:8].tolist()} too, found {in_float32[:8].tolist()} ({coordinates}, "
            f"{rounding}, factor {float(scale)})"
        )
    return taken


def _walk(n: int, taken: IntArray) -> Walk | None:
    """The walk over elements of an axis of ``n``, if it is one."""
    m = len(taken)
    walks = [Walk(0, 1, n, m // n)] if m % n == 0 else []
    if m > 1 and taken[1] > taken[0]:
        walks.append(Walk(int(taken[0]), int(taken[1] - taken[0]), m, 1))
    if m == 1:
        walks.append(Walk(int(taken[0]), 1, 1, 1))
    for walk in walks:
        every = walk.start + walk.step * np.arange(walk.count)
        if np.array_equal(np.repeat(every, walk.repeat), taken):
            return walk
    return None


def _nearest(n: int, m: int, scale: Fraction, coordinates: str, rounding: str) -> IntArray:
    """Which element of ``n`` each of ``m`` is nearest to, exactly.

    An element's place is ``over / under``. Of a float32 factor in the range above, numerator and
    denominator have at most 40 bits, so both have less than 60.
    """
    before, after = _COORDINATES[coordinates]
    k = np.arange(m, dtype=np.int64)
    under = 2 * scale.numerator
    over = (2 * k + before) * scale.denominator - after * scale.numerator
    up, shift = _ROUNDING[rounding]
    over = over + shift * scale.numerator
    return np.clip(-(-over // under) if up else over // under, 0, n - 1)


def _nearest_in_float32(
    n: int, m: int, scale: Fraction, coordinates: str, rounding: str
) -> IntArray:
    """The same elements, as ONNX Runtime computes them."""
    before, after = (np.float32(x) / 2 for x in _COORDINATES[coordinates])
    up, shift = _ROUNDING[rounding]
    place = (np.arange(m, dtype=np.float32) + before) / np.float32(scale) - after
    place = place + np.float32(shift) / 2
    return np.clip((np.ceil if up else np.floor)(place), 0, n - 1).astype(np.int64)


_LONGEST = 1 << 16
"""Elements of an axis."""

_COORDINATES: Mapping[str, tuple[int, int]] = {
    "asymmetric": (0, 0),
    "half_pixel": (1, 1),
    "pytorch_half_pixel": (1, 1),
    "tf_half_pixel_for_nn": (1, 0),
}
"""Halves: what is added to an element's place before the division, and taken off behind it."""

_ROUNDING: Mapping[str, tuple[bool, int]] = {
    "floor": (False, 0),
    "ceil": (True, 0),
    "round_prefer_floor": (True, -1),
    "round_prefer_ceil": (False, 1),
}
"""Whether up or down, and the halves that are added before."""
