# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers: what LSTM, GRU and plain ones share.

Each direction has a kernel, and one copy of its weights. A reversed one reads its sequence from the
end, out of a buffer, and its states are turned again. All states and the last ones may be outputs,
both or either, and those of an LSTM's cell beside them. The sequences of a batch follow each other.
States before the first step are constants, or inputs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.folded_recurrent import Given
from ...hw.kernels.recurrent import RecurrentKernel
from ...hw.numeric import QType
from ...hw.numeric.cells import MOST_TABLE_BITS, Grid
from ..ir.lowered import Call, OutputSpec
from ..ir.quant import QTensor
from ._activations import curves_of
from ._directions import (
    DIRECTIONS,
    FIRST,
    Direction,
    directions_of,
    kept_bits,
    length_of,
    reals_of,
)
from ._gates import as_integers, finer
from ._groups import GUARD_BITS, fraction_bits
from ._sequences import Sequences, in_order, one_by_one
from .base import ImportContext, Imported, Op, Unsupported, one

_MOST_SPAN = 10
"""Of a table: its steps are 1/32 then."""


@dataclass(frozen=True, eq=False)
class Recurrent(Op):
    """A cell over sequences.

    Attributes
    ----------
    directions : one or two
    wanted : which outputs are read: all states, the last ones, the last ones of the cell
    computed : the states, by number, that are inputs before the first step
    bits : of a weight, once they are chosen
    length : elements of the sequence that count, the first ones; 0 for all
    """

    directions: tuple[Direction, ...]
    wanted: tuple[bool, bool, bool]
    computed: tuple[int, ...] = ()
    bits: int = 0
    length: int = 0

    gates: ClassVar[int]
    states: ClassVar[tuple[str, ...]]
    activations: ClassVar[tuple[str, ...]]

    def __repr__(self) -> str:
        gates, units, width = self.directions[0].weight.shape
        shape = f"inputs={width}, units={units}, gates={gates}"
        return f"{type(self).__name__}({shape}, directions={len(self.directions)})"

    @property
    def arity(self) -> int:
        """The sequences, and states."""
        return 1 + len(self.computed)

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Weights and biases are constants; sequences of one fixed length."""
        attributes = context.attributes(node)
        cls.check(attributes)
        shape = context.shape(node.input[0])
        if len(shape) != 3:
            raise Unsupported(
                f"expected sequences (length, batch, element), found the shape {list(shape)}"
            )
        given = [*node.input, *[""] * (8 - len(node.input))]
        length = length_of(context, given[4], shape)
        if given[7] and reals_of(context, given[7], "peephole weights").any():
            raise Unsupported(
                "expected peephole weights of 0, found others; torch and Keras train layers "
                "without them"
            )
        outputs = [*node.output, "", "", ""][:3]
        read = tuple(bool(name) and context.is_read(name) for name in outputs)
        if not any(read[:2]):
            found = "Y_c alone" if read[2] else "none"
            raise Unsupported(
                f"expected Y, Y_h or both to be read or to be outputs, found {found}; make Y_h an "
                "output too, or end the slice before the layer"
            )
        if read[0] and length:
            raise Unsupported(
                f"expected sequence_lens [{shape[0]}], all of it, where Y is read, found "
                f"[{length}]; slice the layer's input instead"
            )
        turns = DIRECTIONS[str(attributes.get("direction", "forward"))]
        curves = curves_of(attributes, cls.activations, len(turns))
        sizes = cls.gates, len(cls.states), shape[1], shape[2]
        parts, computed = directions_of(context, given, sizes, turns, curves)
        bits = kept_bits(context, given[1:3])
        op = cls(parts, (read[0], read[1], read[2]), computed, bits, length)
        op = replace(op, **cls.options(attributes))
        names = [name for name, wanted in zip(outputs, read, strict=True) if wanted]
        return one(op, [node.input[0], *(given[FIRST + k] for k in computed)], names)

    @classmethod
    def check(cls, attributes: Mapping[str, Any]) -> None:
        """Refuse attributes that change what a cell computes. A layout of 1 was written out."""
        if layout := attributes.get("layout", 0):
            raise Unsupported(f"expected a layout of 0 or 1, found {layout}")
        direction = str(attributes.get("direction", "forward"))
        if direction not in DIRECTIONS:
            raise Unsupported(f"expected a direction of {list(DIRECTIONS)}, found {direction!r}")

    @classmethod
    def options(cls, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Further fields of the operator."""
        del attributes
        return {}

    def macs(self, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
        """Every weight, in every step."""
        del output
        own = sum(each.weight.size + each.recurrence.size for each in self.directions)
        steps, sequences, _ = inputs[0]
        return (self.length or steps) * sequences * own

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def needs_grid(self) -> bool:
        """Where an activation has no bound, results say how far it reaches."""
        return not all(curve.bounded for each in self.directions for curve in each.curves)

    def loses(self, bits: int) -> bool:
        """Weights of gates are no multiples of one number."""
        return self.quantise_weights(bits) is not self

    def quantise_weights(self, bits: int) -> Op:
        """Symmetric; in steps that are powers of two of the products', two for each gate."""
        return self if self.bits else replace(self, bits=finer(bits))

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """One sequence after the other; of a direction's states, too."""
        return one_by_one(shapes[index]) if index == 0 else in_order(shapes[index])

    @abstractmethod
    def kernel(self, x: QTensor, grid: Grid, direction: Direction, **more: Any) -> RecurrentKernel:
        """The kernel of a direction, one channel a unit; ``more`` are fields that all have."""

    def shared(
        self, x: QTensor, grid: Grid, direction: Direction, joined: Sequence[bool]
    ) -> dict[str, Any]:
        """What all kernels have."""
        steps, sequences, _ = x.shape
        own = as_integers(direction, x.qtype, grid, self.bits, joined)
        return {"steps": steps, "sequences": sequences, **own}

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        grid = self._grid(outputs)
        every, last, _ = self.wanted
        made = Sequences(inputs, grid)
        whole = made.begun(0, self.length) if self.length else 0
        x = replace(inputs[0], shape=(self.length or inputs[0].shape[0], *inputs[0].shape[1:]))
        firsts = list(zip(*(made.begins(1 + k) for k in range(len(self.computed))), strict=True))
        found: list[list[int]] = []
        for k, each in enumerate(self.directions):
            begins = firsts[k] if firsts else ()
            given = tuple(
                Given(self.states[state], kind)
                for state, (_, kind) in zip(self.computed, begins, strict=True)
            )
            kernel = self.kernel(x, grid, each, last=not every, given=given)
            row = made.turned(whole) if each.reverse else whole
            sources = [row, *(at for at, _ in begins)]
            if len(self.directions) == 1 and not (every and (last or each.reverse)):
                made.add(kernel, sources, *map(made.meaning, outputs))
                return made.calls
            inner = made.inner(kernel)
            first = made.add(kernel, sources, *inner)
            found.append([first + n for n in range(len(inner))])
        self._leave(made, found, outputs)
        return made.calls

    def _leave(
        self, made: Sequences, found: Sequence[Sequence[int]], outputs: Sequence[OutputSpec]
    ) -> None:
        """The outputs of all directions, each of which has its states."""
        every, last, cell = self.wanted
        ends = iter(outputs)
        states = [own[0] for own in found]
        if every:
            both = zip(states, self.directions, strict=True)
            rows = [made.turned(at) if each.reverse else at for at, each in both]
            made.join(rows, next(ends))
        if last:
            made.join([made.ended(at) for at in states], next(ends))
        if cell:
            made.join([own[1] for own in found], next(ends))

    def _grid(self, outputs: Sequence[OutputSpec]) -> Grid:
        """As fine as the results want, as far as the tables' size allows."""
        top = max((_top(o.rounded) for o in outputs if o.rounded is not None), default=Fraction(0))
        span = max(curve.span(top) for each in self.directions for curve in each.curves)
        if span > _MOST_SPAN:
            raise Unsupported(
                f"expected activations that end to change, or results, within 2**{_MOST_SPAN}, "
                f"found 2**{span}"
            )
        most = MOST_TABLE_BITS - span - 1
        bits = min(max(map(fraction_bits, outputs)), most + GUARD_BITS)
        return Grid(bits, bits - GUARD_BITS, span)


def _top(kind: QType) -> Fraction:
    """The largest magnitude on a grid."""
    ends = kind.lo - kind.zero_point, kind.hi - kind.zero_point
    return max(map(abs, ends)) * kind.step
