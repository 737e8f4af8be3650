# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Add (ONNX operator versions 7, 13, 14): of two streams, or of a stream and a constant a channel.

A constant goes into the producer's requantiser. Two streams keep their own scales: the real number
is ``s_a * (a - z_a) + s_b * (b - z_b)``, requantised in one step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx

from ...hw.datapath import eltwise as hardware
from ...hw.formats.tensor import Layout
from ...hw.numeric import Affine, QType
from ..ir.dataflow import Folding, Stage
from ..ir.quant import Core, QNode, QTensor
from . import _build
from ._model import one_node, weights
from .base import (
    Case,
    Const,
    ImportContext,
    Imported,
    Op,
    Unsupported,
    along_channels,
    one,
    one_axis,
)


@dataclass(frozen=True, eq=False)
class Add(Op):
    """A sum. ``constant`` is None for two streams."""

    constant: Const | None = None

    onnx_types = ("Add",)

    def __repr__(self) -> str:
        return f"Add(constant={self.constant.shape})" if self.constant else "Add()"

    @property
    def arity(self) -> int:  # type: ignore[override]
        """Two streams, or one and a constant."""
        return 1 if self.constant else 2

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Two streams must have the same shape."""
        left, right = node.input[0], node.input[1]
        output = context.shape(node.output[0])
        for name, other in ((left, right), (right, left)):
            constant = context.const(name)
            if constant is not None:
                if context.shape(other) != output:
                    raise Unsupported(
                        f"expected a constant that broadcasts to {list(context.shape(other))}, "
                        f"found {list(constant.shape)}"
                    )
                return one(cls(one_axis(constant)), [other])
        if context.shape(left) != context.shape(right):
            raise Unsupported(
                f"expected two streams of one shape, found {list(context.shape(left))} and "
                f"{list(context.shape(right))}"
            )
        return one(cls(), [left, right])

    @property
    def is_core(self) -> bool:
        """Two streams meet in hardware of their own."""
        return self.constant is None

    @property
    def absorbable(self) -> bool:
        """A constant does not need hardware."""
        return self.constant is not None

    def absorb(
        self, functions: Sequence[Affine], shape: tuple[int, ...], axis: int
    ) -> list[Affine]:
        """Add each channel's constant."""
        assert self.constant is not None
        values = along_channels(
            self.constant.exact(), self.constant.shape, shape, axis, len(functions)
        )
        return [f.plus(value) for f, value in zip(functions, values, strict=True)]

    def wanted_layout(self, shape: tuple[int, ...]) -> Layout | None:
        """Any order, if both have it."""
        return None

    def output_layout(self, inputs: Sequence[QTensor], output: tuple[int, ...]) -> Layout:
        """That of the inputs."""
        del output
        return inputs[0].layout

    def lower(self, inputs: Sequence[QTensor], output: tuple[int, ...]) -> Core:
        """See the module's docstring."""
        del output
        a, b = inputs
        if not a.layout.same_order(b.layout):
            raise Unsupported(f"expected two streams of one order, found {a.layout} and {b.layout}")
        return AddCore(a, b)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Two streams, and a constant a channel on its own."""
        shape = (1, 4, 3, 5)
        yield Case("add", one_node("Add", [shape, shape], shape))
        yield Case("add_constant", one_node("Add", [shape], shape, {1: weights(1, 4, 1, 1)}))


def _inner_axis(x: QTensor) -> tuple[int, int]:
    """The axis along which the stream's innermost elements lie, and its length.

    An axis of one element where there is none, as in the stream of a flattened image: then all
    elements are requantised alike.
    """
    depth = x.layout.stream_shape[-1]
    turns = np.arange(int(np.prod(x.shape))) % depth
    for axis, size in enumerate(x.shape):
        along = np.arange(size).reshape([-1 if i == axis else 1 for i in range(len(x.shape))])
        if size == depth and np.array_equal(
            x.layout.to_stream(np.broadcast_to(along, x.shape)), turns
        ):
            return axis, size
    return 0, 1


class AddCore(Core):
    """Two-term requantisation of two streams in the same order; channels as in ScaleCore."""

    kernel = "add"

    def __init__(self, a: QTensor, b: QTensor) -> None:
        self.types = (a.qtype, b.qtype)
        self.elements = int(np.prod(a.shape))
        self.depth = a.layout.stream_shape[-1]
        self.attributes = {}
        self.arrays = {}
        offset = -a.qtype.step * a.qtype.zero_point - b.qtype.step * b.qtype.zero_point
        self.channel_axis, count = _inner_axis(a)
        self.functions = (Affine((a.qtype.step, b.qtype.step), offset),) * count
        self.ranges = (((a.qtype.lo, a.qtype.hi), (b.qtype.lo, b.qtype.hi)),) * count

    def foldings(self) -> list[Folding]:
        """Any number of lanes that divides the innermost axis."""
        return [Folding(n, n) for n in _build.divisors(self.depth)]

    def cycles(self, folding: Folding) -> int:
        """One beat a cycle."""
        return self.elements // folding.pe

    def stage(self, node: QNode, out: QType, folding: Folding, name: str) -> Stage:
        """Two operands, one requantiser a lane."""
        a, b = self.types

        @cache
        def component() -> hardware.EltwiseAdd:
            return hardware.EltwiseAdd(
                name,
                lanes=folding.pe,
                a=_build.shape_of(a),
                b=_build.shape_of(b),
                out=_build.shape_of(out),
                requantiser=_build.narrowed(node.requantiser, folding.pe),
            )

        return _build.make_stage(
            name,
            node.name,
            component,
            inputs=[_build.port(t, folding.pe, self.elements) for t in self.types],
            output=_build.port(out, folding.pe, self.elements),
            folding=folding,
            cycles=self.cycles(folding),
            images=component().files,
            input_names=("a", "b"),
        )


class ScaleCore(Core):
    """One-term requantisation of a stream: an absorbed operator that has no producer to go into.

    Channels lie along the innermost stream axis where that is an axis of the tensor; in a stream of
    another order (a flattened image) all elements are one channel.
    """

    kernel = "scale"

    def __init__(self, x: QTensor) -> None:
        self.x = x.qtype
        self.elements = int(np.prod(x.shape))
        self.depth = x.layout.stream_shape[-1]
        self.attributes = {}
        self.arrays = {}
        step = x.qtype.step
        self.channel_axis, count = _inner_axis(x)
        self.functions = (Affine((step,), -step * x.qtype.zero_point),) * count
        self.ranges = (((x.qtype.lo, x.qtype.hi),),) * count

    def foldings(self) -> list[Folding]:
        """Any number of lanes that divides the innermost axis."""
        return [Folding(n, n) for n in _build.divisors(self.depth)]

    def cycles(self, folding: Folding) -> int:
        """One beat a cycle."""
        return self.elements // folding.pe

    def stage(self, node: QNode, out: QType, folding: Folding, name: str) -> Stage:
        """One requantiser a lane."""

        @cache
        def component() -> hardware.EltwiseScale:
            return hardware.EltwiseScale(
                name,
                lanes=folding.pe,
                x=_build.shape_of(self.x),
                out=_build.shape_of(out),
                requantiser=_build.narrowed(node.requantiser, folding.pe),
            )

        return _build.make_stage(
            name,
            node.name,
            component,
            inputs=[_build.port(self.x, folding.simd, self.elements)],
            output=_build.port(out, folding.pe, self.elements),
            folding=folding,
            cycles=self.cycles(folding),
            images=component().files,
        )
