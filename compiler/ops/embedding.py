# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Look-up of embeddings: rows of a constant table at computed integers.

A Gather with a constant operand (ONNX operator versions 1 to 13), and what the patterns of one-hot
products make, which read a row of zeros where a Gather has none. The import rule of Gather leads
here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.rows import RowsKernel
from ...hw.numeric import Affine, IntType, Listed, QType
from ..ir.graph import Value
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node, weights
from .base import Case, Const, ImportContext, Imported, Op, Unsupported, axis_of, inner, one
from .reshape import Reshape

MOST_ENTRIES = 1 << 16
"""Most rows of a table: a finisher's table has up to 16 address bits."""

MOST_NUMBERS = 1 << 20
"""Most numbers of a table; each is rounded exactly, by itself."""


@dataclass(frozen=True, eq=False)
class Embedding(Op):
    """``table[clip(q + wrap if q < 0 else q, low, low + len(table) - 1) - low]`` of integers ``q``.

    Attributes
    ----------
    table : real numbers (rows, columns)
    low : the integer of the first row
    wrap : what negative integers gain; 0 if they gain nothing
    """

    table: npt.NDArray[np.float64]
    low: int = 0
    wrap: int = 0

    onnx_types = ("Embedding",)

    def __repr__(self) -> str:
        rows, columns = self.table.shape
        return f"Embedding({rows} rows from {self.low}, {columns} columns)"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """What a pattern makes: integers, and a table with the rows at both ends that all integers
        beyond them read. Attributes as those of the class.
        """
        options = context.attributes(node)
        table = context.const(node.input[1])
        assert table is not None, "patterns make constant tables"
        return one(cls._of(table, int(options["low"]), int(options["wrap"])), [node.input[0]])

    @classmethod
    def of_gather(cls, context: ImportContext, node: onnx.NodeProto, table: Const) -> Imported:
        """Rows of a constant. Negative indices count from its end; those that ONNX has no row for
        read the nearest one.
        """
        axis = axis_of(int(context.attributes(node).get("axis", 0)), table.shape)
        if axis:
            raise Unsupported(
                f"expected rows of a constant table (axis 0), found axis {axis}; a transposed "
                "table, and a Transpose behind the Gather, would work"
            )
        if not table.values.size:
            raise Unsupported(f"expected a table with rows, found the shape {list(table.shape)}")
        rows = table.shape[0]
        flat = table.map(lambda array: array.reshape(rows, -1))
        op = cls._of(flat, 0, rows)
        shape, output = context.shape(node.input[1]), context.shape(node.output[0])
        made = (*shape, flat.shape[1])
        found = one(op, [node.input[1]])
        if output in (made, made[:-1]):
            return found
        return found.then(
            Value(inner(node, "rows"), made, context.dtype(node.output[0])), Reshape()
        )

    @classmethod
    def _of(cls, table: Const, low: int, wrap: int) -> Embedding:
        rows, columns = table.shape
        if rows > MOST_ENTRIES or rows * columns > MOST_NUMBERS:
            raise Unsupported(
                f"expected a table of at most {MOST_ENTRIES} rows and {MOST_NUMBERS} numbers, "
                f"found {rows} rows and {rows * columns} numbers; the edge does the look-up where "
                "the slice begins behind it"
            )
        return cls(table.real, low, wrap)

    @property
    def high(self) -> int:
        """The integer of the last row."""
        return self.low + len(self.table) - 1

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def tabulates(self) -> bool:
        """Its result is an entry of a table."""
        return True

    @property
    def integers(self) -> QType:
        """All that lead to another row; what is beyond leads to the rows at both ends."""
        least = min(self.low, self.low - self.wrap if self.wrap else 0)
        own = IntType.holding(least, max(self.high, 0))
        return QType(own.bits, own.signed, 1.0)

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Integers in the order in which their rows lie."""
        return Layout.raster(shapes[index])

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """A row of the kernel for each integer; every column is a function of it."""
        (x,), (output,) = inputs, outputs
        if (x.qtype.scale, x.qtype.zero_point) != (1.0, 0):
            raise Unsupported(
                "expected integers that mean themselves, found a grid of the scale "
                f"{x.qtype.scale} and the zero point {x.qtype.zero_point}"
            )
        own = x.qtype.integers
        ends = [max(own.lo, 0), own.hi]
        if own.lo < 0:
            ends += [own.lo + self.wrap, self.wrap - 1]
        low, high = (min(max(end, self.low), self.high) for end in (min(ends), max(ends)))
        columns = self.table[low - self.low : high - self.low + 1].T.tolist()
        integer = Affine((Fraction(1),), Fraction(0))
        functions = [integer.then(Listed(low, tuple(column))) for column in columns]
        wrap = self.wrap if own.lo < 0 else 0
        width = len(columns)
        kernel = RowsKernel(own, math.prod(x.shape), width, low, high, wrap, width)
        axis = 0 if width == 1 else len(output.shape) - 1
        return single(kernel, Meaning(functions, axis, Layout.raster(output.shape)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Rows of a table, numbers of a list, rows of two axes; integers of one sign only."""

        def case(name: str, table: Sequence[int], shape: tuple[int, ...], dtype: str) -> Case:
            made = (*shape, *table[1:])
            data = {0: weights(table[0], *table)}
            model = one_node("Gather", [shape], made, data, dtypes=[dtype])
            return Case(f"embedding_{name}", model, -table[0], table[0])

        yield case("rows", (10, 6), (1, 7), "int64")
        yield case("list", (12,), (1, 9), "int32")
        yield case("axes", (5, 2, 3), (1, 4), "int64")
        yield case("grid", (16, 4), (1, 3, 2), "int32")
