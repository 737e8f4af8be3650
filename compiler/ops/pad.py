# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pad (ONNX operator versions 2 to 25): with constants, edge, reflect and wrap.

Zeros around an image are a 1 x 1 window that pads: real zero is the integer zero point, so the
output keeps its input's grid. Another constant is added where the zeros are. The other modes take
elements of the axis itself: from a buffer that holds it, or, where that would be large, from one
for what comes before it and one for what comes behind it, while the axis passes by.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.geometry import Geometry
from ..ir.graph import Value
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node
from .base import (
    MOST_EXACT,
    Case,
    ImportContext,
    Imported,
    Op,
    Piece,
    Unsupported,
    axis_of,
    check_exact,
    inner,
    one,
)
from .concat import Concat
from .gather import picking, picks
from .pool import pooling
from .reshape import Reshape
from .scale import Scale
from .window import MOST_AXES, planar

_LARGE = 1024
"""Elements of a tensor beyond which it is not stored for what is taken from its ends."""

_MODES = ("constant", "edge", "reflect", "wrap")


@dataclass(frozen=True)
class Pad(Op):
    """Zeros around each channel of an image, as ``window`` says."""

    window: Geometry

    onnx_types = ("Pad",)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Attributes up to opset 10, constant inputs from 11."""
        attributes = context.attributes(node)
        shape = context.shape(node.input[0])
        if not context.dtype(node.input[0]).startswith("float"):
            raise Unsupported(f"expected real numbers, found {context.dtype(node.input[0])} values")
        mode = attributes.get("mode", "constant")
        if mode not in _MODES:
            raise Unsupported(f"expected a mode of {', '.join(_MODES)}, found {mode}")
        inputs = dict(enumerate(node.input))
        constants = {i: context.const(inputs[i]) for i in (1, 2, 3) if inputs.get(i)}
        if None in constants.values():
            raise Unsupported("expected constant pads, value and axes, found computed ones")
        values = {i: c.exact() for i, c in constants.items() if c is not None}
        pads = _amounts(attributes, values, shape)
        if min(min(pair) for pair in pads) < 0:
            raise Unsupported(f"expected pads of at least 0, found {pads}; Slice crops")
        if mode != "constant":
            return _picked(context, node, pads, mode)
        if not values.get(2, [0]):
            raise Unsupported("expected one value to pad with, found none")
        value = Fraction(values.get(2, [Fraction(attributes.get("value", 0))])[0])
        if not 3 <= len(shape) <= 2 + MOST_AXES or any(map(any, pads[:2])):
            return _filled(context, node, pads, value)
        begins, ends = zip(*pads[2:], strict=True)
        image = Geometry(planar(shape[2:]), pads=(*planar(begins, 0), *planar(ends, 0)))
        zeros = one(cls(image.over(shape[0])), [node.input[0]])
        if not value:
            return zeros
        output = context.shape(node.output[0])
        return _placed(context, node, zeros, _border(pads, output, value, keep=True))

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def keeps_grid(self) -> bool:
        """Zero lies on every grid."""
        return True

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """The largest of one value."""
        (x,), (output,) = inputs, outputs
        channels, zero = x.shape[1], x.qtype.zero_point
        kernel, functions = pooling(self.window, channels, x.qtype, zero)
        return single(kernel, Meaning(functions, 1, Layout.channels_last(output.shape)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Asymmetric, wider than the image, other ranks; each mode; a value that is on no grid."""

        def pad(
            name: str, shape: tuple[int, ...], out: tuple[int, ...], *amounts: int, **more: Any
        ) -> Case:
            constants: dict[int, np.ndarray] = {1: np.array(amounts, np.int64)}
            if value := more.pop("value", 0.0):
                constants[2] = np.array(value, np.float32)
            return Case(name, one_node("Pad", [shape], out, constants, opset=19, **more))

        yield pad("pad", (1, 4, 3, 5), (1, 4, 4, 7), 0, 0, 0, 2, 0, 0, 1, 0)
        yield pad("pad_wide", (1, 2, 2, 2), (1, 2, 7, 6), 0, 0, 3, 2, 0, 0, 2, 2)
        yield pad("pad_1d", (1, 4, 6), (1, 4, 9), 0, 0, 1, 0, 0, 2)
        yield pad("pad_3d", (1, 2, 2, 3, 2), (1, 2, 5, 4, 5), 0, 0, 2, 0, 1, 0, 0, 1, 1, 2)
        image, wide = (1, 3, 3, 4), (1, 3, 5, 7)
        around = (0, 0, 1, 2, 0, 0, 1, 1)
        yield pad("pad_edge", image, wide, *around, mode="edge")
        yield pad("pad_reflect", image, wide, *around, mode="reflect")
        large = (1, 8, 12, 12)
        yield pad("pad_reflect_large", large, (1, 8, 14, 15), *around, mode="reflect")
        yield pad("pad_edge_large", large, (1, 8, 14, 15), *around, mode="edge")
        yield pad("pad_wrap", (1, 3, 4), (1, 3, 6), 0, 0, 1, 0, 0, 1, mode="wrap")
        yield pad("pad_channels", (1, 2, 3, 2), (1, 5, 3, 2), 0, 1, 0, 0, 0, 2, 0, 0)
        yield pad("pad_vector", (1, 4), (1, 7), 0, 2, 0, 1, value=0.5)
        yield pad("pad_value", image, wide, *around, value=-0.7)


def _amounts(
    attributes: Any, values: dict[int, list[Fraction]], shape: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Pads before and behind each axis."""
    amounts = [int(v) for v in values.get(1, attributes.get("pads", ()))]
    rank = len(shape)
    axes = [axis_of(int(v), shape) for v in values.get(3, range(rank))]
    if len(amounts) != 2 * len(axes):
        raise Unsupported(f"expected {2 * len(axes)} pads, found {len(amounts)}")
    pads = [(0, 0)] * rank
    for axis, begin, end in zip(axes, amounts, amounts[len(axes) :], strict=False):
        pads[axis] = begin, end
    return pads


def _picked(
    context: ImportContext, node: onnx.NodeProto, pads: Sequence[tuple[int, int]], mode: str
) -> Imported:
    """Elements of one axis after the other."""
    shape = context.shape(node.input[0])
    chosen = {}
    for axis, amounts in enumerate(pads):
        if any(amounts):
            check_exact([shape[axis] + sum(amounts)])
            indices = np.pad(np.arange(shape[axis]), amounts, mode)  # type: ignore[call-overload]
            chosen[axis] = [int(index) for index in indices]
    if not chosen or math.prod(shape) < _LARGE:
        return picks(context, node, chosen)
    made = Imported((), ())
    for axis, indices in chosen.items():
        made = _around(context, node, made, axis, indices, pads[axis])
    last = replace(made.pieces[-1], outputs=())
    return Imported((*made.pieces[:-1], last), made.inner[:-1])


def _around(
    context: ImportContext,
    node: onnx.NodeProto,
    made: Imported,
    axis: int,
    indices: Sequence[int],
    amounts: tuple[int, int],
) -> Imported:
    """What was made of a node's input so far, and its elements before and behind an axis.

    The last value made is the result.
    """
    source = made.inner[-1] if made.inner else None
    name = source.name if source else node.input[0]
    shape = source.shape if source else context.shape(name)
    pieces, values, ends = list(made.pieces), list(made.inner), []

    def then(op: Op, read: Sequence[str], size: int, what: str) -> str:
        result = (*shape[:axis], size, *shape[axis + 1 :])
        value = Value(inner(node, f"{what}{axis}"), result, context.dtype(node.input[0]))
        values.append(value)
        pieces.append(Piece(op, tuple(read), (value.name,)))
        return value.name

    begin, end = amounts
    for what, taken in (("begin", indices[:begin]), ("end", indices[len(indices) - end :])):
        part = []
        if taken:
            low, count = min(taken), max(taken) - min(taken) + 1
            near = (*shape[:axis], count, *shape[axis + 1 :])
            crop = picking(shape, axis, range(low, low + count))
            cropped = then(crop, [name], count, f"{what}_near")
            turned = picking(near, axis, [index - low for index in taken])
            part = [then(turned, [cropped], len(taken), what)]
        ends.append(part)
    parts = [*ends[0], name, *ends[1]]
    then(Concat(axis, len(parts), alike_parts=True), parts, len(indices), "around")
    return Imported(tuple(pieces), tuple(values))


def _filled(
    context: ImportContext, node: onnx.NodeProto, pads: Sequence[tuple[int, int]], value: Fraction
) -> Imported:
    """Constants around any axes: some elements, which then are replaced."""
    if not any(map(any, pads)):
        return one(Reshape(True), [node.input[0]])
    output = context.shape(node.output[0])
    border = _border(pads, output, value, keep=False)
    return _placed(context, node, _picked(context, node, pads, "edge"), border)


def _placed(
    context: ImportContext, node: onnx.NodeProto, padded: Imported, border: Scale
) -> Imported:
    """What was padded, followed by the constants of its border."""
    shape, dtype = context.shape(node.output[0]), context.dtype(node.input[0])
    return padded.then(Value(inner(node, "padded"), shape, dtype), border)


def _border(
    pads: Sequence[tuple[int, int]], output: tuple[int, ...], value: Fraction, *, keep: bool
) -> Scale:
    """A value around a tensor: added to what is there, or (not ``keep``) in place of it."""
    own = [n - sum(pair) if any(pair) else 1 for n, pair in zip(output, pads, strict=True)]
    check_exact([n for n, pair in zip(output, pads, strict=True) if any(pair)])
    around = np.pad(np.zeros(own), list(pads), constant_values=1)
    if around.size > MOST_EXACT:
        raise Unsupported(
            f"expected zeros around an image, or at most {MOST_EXACT} places inside and around, "
            f"found {float(value)} around {own}"
        )
    outside = [bool(each) for each in around.ravel()]
    factor = tuple(Fraction(int(keep or not each)) for each in outside)
    offset = tuple(value if each else Fraction(0) for each in outside)
    return Scale(factor, offset, around.shape)
