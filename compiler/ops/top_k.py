# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ArgMax and ArgMin (ONNX operator versions 1 to 13), TopK (1 to 24), along any axis.

Integers of one grid have the order of the real numbers that they stand for, so comparing them is
exact; what a coarse grid makes equal goes by ONNX's rule for equal elements. TopK's values stay on
their grid. Places are integers on the slice's ports, of as few bits as there are places; the parts
around it have them as int64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.base import MOST_PORT_BITS
from ...hw.kernels.top import PARTS, TopKernel
from ...hw.numeric import Affine, QType
from ..ir.lowered import Call, Meaning, OutputSpec
from ..ir.quant import QTensor
from ._model import one_node
from ._moving import axis_order, value_of
from .base import Case, ImportContext, Imported, Op, Unsupported, axis_of, one


@dataclass(frozen=True)
class Top(Op):
    """The ``k`` largest or smallest of the ``count`` elements along an axis, best first.

    ``parts`` are the outputs that are read, of :data:`~midwire.hw.kernels.top.PARTS`; of equal
    elements the first counts, or (``latest``) the last.
    """

    axis: int
    count: int
    k: int
    parts: tuple[str, ...]
    largest: bool = True
    latest: bool = False

    onnx_types = ("ArgMax", "ArgMin", "TopK")

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """``k`` is a constant. Whatever ``sorted`` says, results are sorted: any order would do."""
        shape = context.shape(node.input[0])
        attributes = context.attributes(node)
        top = node.op_type == "TopK"
        axis = axis_of(int(attributes.get("axis", -1 if top else 0)), shape)
        count = shape[axis]
        if not top:
            latest = bool(attributes.get("select_last_index", 0))
            largest = node.op_type == "ArgMax"
            return one(cls(axis, count, 1, PARTS[1:], largest, latest), [node.input[0]])
        k = _number(context, node)
        if not 1 <= k <= count:
            raise Unsupported(f"expected a k from 1 to the {count} elements of its axis, found {k}")
        read = [name for name in node.output if name and context.is_read(name)]
        if not read:
            raise Unsupported("expected an output that is read, found none")
        names = zip(PARTS, node.output, strict=False)
        parts = tuple(part for part, name in names if name in read)
        largest = bool(attributes.get("largest", 1))
        return one(cls(axis, count, k, parts, largest), [node.input[0]], read)

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def compares(self) -> bool:
        """All that it does."""
        return True

    def keeps(self, output: int) -> bool:
        """Values do."""
        return self.parts[output] == "values"

    def made_grid(self, output: int) -> QType | None:
        """Places are what they are."""
        if self.parts[output] == "values":
            return None
        return QType(max(1, (self.count - 1).bit_length()), False, 1.0)

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """Any order of the axes."""
        return [axis_order(x) for x in inputs]

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """One kernel with all outputs."""
        (x,) = inputs
        places = self.made_grid(self.parts.index("places")) if "places" in self.parts else None
        bits = max(x.qtype.bits, places.bits if places else 0)
        if self.k * bits > MOST_PORT_BITS:
            raise Unsupported(
                f"expected a k of at most {MOST_PORT_BITS // bits}, of which {bits} bits each "
                f"leave it at a time, found {self.k}"
            )
        perm = x.layout.perm
        place = perm.index(self.axis)
        inner = math.prod(x.shape[axis] for axis in perm[place + 1 :])
        outer = math.prod(x.shape) // self.count // inner
        kernel = TopKernel(
            x.qtype.integers,
            outer,
            self.count,
            inner,
            self.k,
            self.parts,
            self.largest,
            self.latest,
        )
        functions = {"values": value_of(x.qtype), "places": Affine((Fraction(1),), Fraction(0))}
        meanings = tuple(
            Meaning([functions[part]], 0, self._order(x, output.shape))
            for part, output in zip(self.parts, outputs, strict=True)
        )
        return (Call(kernel, (0,), meanings),)

    def _order(self, x: QTensor, shape: tuple[int, ...]) -> Layout:
        """The order of a result: its own axis is innermost, if it still has that."""
        others = [axis for axis in x.layout.perm if axis != self.axis]
        if len(shape) == len(x.shape):
            return Layout(shape, (*others, self.axis))
        return Layout(shape, tuple(axis - (axis > self.axis) for axis in others))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Channels, rows, a vector; kept and dropped axes; the last of equal ones; the smallest;
        one output and both, in order or not.
        """
        shape = (1, 4, 3, 5)
        yield Case(
            "arg_max", one_node("ArgMax", [shape], (1, 1, 3, 5), places=(0,), axis=1), bits=3
        )
        last = one_node(
            "ArgMax", [shape], (1, 4, 5), places=(0,), axis=-2, keepdims=0, select_last_index=1
        )
        yield Case("arg_max_last", last, bits=2)
        vector = one_node("ArgMin", [(1, 12)], (1,), places=(0,), axis=1, keepdims=0)
        yield Case("arg_min", vector, bits=3)
        k = {1: np.array([3], np.int64)}
        both = one_node("TopK", [(1, 10)], (1, 3), k, further=[(1, 3)], places=(1,))
        yield Case("top_k", both, bits=4)
        rows = one_node(
            "TopK", [shape], (1, 3, 3, 5), k, further=[(1, 3, 3, 5)], places=(1,), axis=1, largest=0
        )
        yield Case("top_k_smallest", rows, bits=3)


def _number(context: ImportContext, node: onnx.NodeProto) -> int:
    """How many: an attribute before opset 10, then an input."""
    if len(node.input) < 2:
        return int(context.attributes(node).get("k", 0))
    constant = context.const(node.input[1])
    if constant is None:
        raise Unsupported("expected a constant k, found a computed one")
    return int(constant.values.ravel()[0])
