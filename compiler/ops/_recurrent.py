# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers: what LSTM, GRU and plain ones share.

Each direction has a kernel, and one copy of its weights. A reversed one reads its sequence from the
end, out of a buffer, and its states are turned again. All states and the last ones may be outputs,
both or either.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx

from ...hw.formats.tensor import Layout
from ...hw.kernels.recurrent import RecurrentKernel
from ...hw.numeric import IntArray, IntType, QType
from ...hw.numeric.cells import MOST_TABLE_BITS, Grid, Lane
from ..ir.lowered import Call, OutputSpec
from ..ir.quant import QTensor
from ._activations import Curve, curves_of
from ._groups import GUARD_BITS, fraction_bits
from ._model import one_node, weights
from ._sequences import Sequences
from .base import ImportContext, Imported, Op, Unsupported, one

Reals = npt.NDArray[np.float64]

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""For each direction of ONNX, whether its parts are reversed."""

DEFAULT_WEIGHT_BITS = 8
"""In models with grids of their own, which say nothing of a recurrent layer's weights."""

_FINER = 4
"""Bits that weights have beyond those of a grid of their own, which the layer's cannot be: what is
rounded is then 1/32 of a step of theirs at most.
"""

_MOST_SPAN = 10
"""Of a table: its steps are 1/32 then."""

_MOST_FINER = 16
"""Bits by which a weight's step may be finer than what a table is asked for; more tell nothing."""

_MOST_APART = 24
"""Bits by which products may be shifted before they are added."""


@dataclass(frozen=True, eq=False)
class Direction:
    """Parameters of one direction.

    Attributes
    ----------
    reverse : whether the last element of the sequence comes first
    weight : (gates, units, elements of x)
    recurrence : (gates, units, units)
    bias : (2, gates, units), what is added to the products with ``x`` and with ``h``
    first : (states, units), before the first step
    curves : activations f, g, h
    """

    reverse: bool
    weight: Reals
    recurrence: Reals
    bias: Reals
    first: Reals
    curves: tuple[Curve, ...]


@dataclass(frozen=True, eq=False)
class Recurrent(Op):
    """A cell over a sequence.

    Attributes
    ----------
    directions : one or two
    wanted : whether all states, and whether the last ones are outputs
    bits : of a weight, once they are chosen
    length : elements of the sequence that count, the first ones; 0 for all
    """

    directions: tuple[Direction, ...]
    wanted: tuple[bool, bool]
    bits: int = 0
    length: int = 0

    gates: ClassVar[int]
    states: ClassVar[int]
    activations: ClassVar[tuple[str, ...]]

    def __repr__(self) -> str:
        gates, units, width = self.directions[0].weight.shape
        shape = f"inputs={width}, units={units}, gates={gates}"
        return f"{type(self).__name__}({shape}, directions={len(self.directions)})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Weights, biases and first states are constants; one sequence of a fixed length."""
        attributes = context.attributes(node)
        cls.check(attributes)
        shape = context.shape(node.input[0])
        if len(shape) != 3 or shape[1] != 1:
            raise Unsupported(
                f"expected one sequence (length, 1, element), found the shape {list(shape)}"
            )
        given = [*node.input, *[""] * (8 - len(node.input))]
        length = _length(context, given[4], shape[0])
        if given[7] and _reals(context, given[7], "peephole weights").any():
            raise Unsupported("expected peephole weights of 0, found others")
        outputs = [*node.output, "", "", ""][:3]
        read = [bool(name) and context.is_read(name) for name in outputs]
        if read[2] or not any(read):
            found = "the cell's state, Y_c" if read[2] else "none"
            raise Unsupported(f"expected Y or Y_h to be read, found {found}")
        if read[0] and length:
            raise Unsupported(
                f"expected sequence_lens [{shape[0]}], all of it, where Y is read, found "
                f"[{length}]; slice the layer's input instead"
            )
        turns = DIRECTIONS[str(attributes.get("direction", "forward"))]
        curves = curves_of(attributes, cls.activations, len(turns))
        parts = cls._parts(context, given, shape[2], turns, curves)
        op = cls(parts, (read[0], read[1]), _kept_bits(context, given[1:3]), length)
        op = replace(op, **cls.options(attributes))
        names = [name for name, wanted in zip(outputs, read, strict=True) if wanted]
        return one(op, [node.input[0]], names)

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

    @classmethod
    def _parts(
        cls,
        context: ImportContext,
        given: Sequence[str],
        width: int,
        turns: tuple[bool, ...],
        curves: Sequence[tuple[Curve, ...]],
    ) -> tuple[Direction, ...]:
        count = len(turns)
        recurrence = _reals(context, given[2], "recurrence weights")
        units = recurrence.shape[-1] if recurrence.ndim == 3 else 0
        rows = cls.gates * units
        if not units or recurrence.shape != (count, rows, units):
            raise Unsupported(
                f"expected recurrence weights of shape [{count}, {cls.gates} * units, units], "
                f"found {list(recurrence.shape)}"
            )

        def array(position: int, what: str, *shape: int) -> Reals:
            if not given[position]:
                return np.zeros(shape)
            found = _reals(context, given[position], what)
            if found.shape != shape:
                raise Unsupported(
                    f"expected {what} of shape {list(shape)}, found {list(found.shape)}"
                )
            return found

        weight = array(1, "weights", count, rows, width)
        bias = array(3, "a bias", count, 2 * rows)
        first = [array(5 + k, "a first state", count, 1, units) for k in range(cls.states)]
        return tuple(
            Direction(
                reverse,
                weight[k].reshape(cls.gates, units, width),
                recurrence[k].reshape(cls.gates, units, units),
                bias[k].reshape(2, cls.gates, units),
                np.stack([state[k, 0] for state in first]),
                curves[k],
            )
            for k, reverse in enumerate(turns)
        )

    def macs(self, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
        """Every weight, in every step."""
        del output
        own = sum(each.weight.size + each.recurrence.size for each in self.directions)
        return (self.length or inputs[0][0]) * own

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    @property
    def needs_grid(self) -> bool:
        """Where an activation has no bound, results say how far it reaches."""
        return not all(curve.bounded for each in self.directions for curve in each.curves)

    def quantise_weights(self, bits: int) -> Op:
        """Symmetric; in steps that are powers of two of the products', two for each gate."""
        return self if self.bits else replace(self, bits=bits)

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """One element of the sequence after the other."""
        return Layout.raster(shapes[index])

    @abstractmethod
    def kernel(self, x: QTensor, grid: Grid, direction: Direction, last: bool) -> RecurrentKernel:
        """The kernel of a direction, one channel a unit."""

    def shared(
        self, x: QType, grid: Grid, direction: Direction, joined: Sequence[bool]
    ) -> dict[str, Any]:
        """What all kernels have: weights, biases, tables and first state, as integers (N12)."""
        lanes: list[Lane] = []
        rows: list[IntArray] = []
        biases: list[IntArray] = []
        bits = self.bits or DEFAULT_WEIGHT_BITS
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

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """See the module's docstring."""
        grid = self._grid(outputs)
        every, last = self.wanted
        made = Sequences(inputs[0], grid)
        whole = made.begun(0, self.length) if self.length else 0
        x = replace(inputs[0], shape=(self.length or inputs[0].shape[0], *inputs[0].shape[1:]))
        states: list[int] = []
        for each in self.directions:
            kernel = self.kernel(x, grid, each, not every)
            begin = made.turned(whole) if each.reverse else whole
            if len(self.directions) == len(outputs) == 1 and not (each.reverse and every):
                made.add(kernel, begin, made.meaning(outputs[0]))
                return made.calls
            states.append(made.add(kernel, begin, made.inner(kernel)))
        if every:
            both = zip(states, self.directions, strict=True)
            rows = [made.turned(at) if each.reverse else at for at, each in both]
            made.join(rows, outputs[0])
            states = [made.ended(at) for at in states] if last else []
        if last:
            made.join(states, outputs[-1])
        return made.calls

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


def _reals(context: ImportContext, name: str, what: str) -> Reals:
    """A constant's values, also where they lie on a grid."""
    constant = context.const(name)
    if constant is None:
        raise Unsupported(f"expected constant {what}, found computed ones")
    return constant.real


def _kept_bits(context: ImportContext, names: Sequence[str]) -> int:
    """Bits of weights that keep what those on a grid of their own say; 0 if none are."""
    found = 0
    for name in names:
        constant = context.const(name)
        if constant is not None and constant.scale is not None:
            centred = constant.values - constant.zero_point
            held = IntType.holding(min(-1, int(centred.min())), max(0, int(centred.max())))
            found = max(found, held.bits + _FINER)
    return found


def _length(context: ImportContext, name: str, steps: int) -> int:
    """How many elements of a sequence count, by a layer's sequence_lens; 0 for all."""
    if not name:
        return 0
    lengths = context.const(name)
    if lengths is None or lengths.shape != (1,) or not 1 <= lengths.values[0] <= steps:
        held = "computed ones" if lengths is None else lengths.values.ravel().tolist()
        raise Unsupported(f"expected sequence_lens [1] to [{steps}], found {held}")
    return int(lengths.values[0]) % steps


def layer(
    kind: str,
    sizes: tuple[int, int, int],
    wanted: Sequence[str] = ("all",),
    *,
    biased: bool = True,
    begins: bool = False,
    attributes: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """A model of one layer of seeded weights: steps, elements of x, units. Its outputs are ``all``
    states and the ``last``.
    """
    own = attributes or {}
    steps, width, units = sizes
    turns = len(DIRECTIONS[own.get("direction", "forward")])
    gates, states = {"GRU": (3, 1), "LSTM": (4, 2), "RNN": (1, 1)}[kind]
    rows = gates * units
    constants = {1: weights(1, turns, rows, width), 2: weights(2, turns, rows, units)}
    if biased:
        constants[3] = weights(3, turns, 2 * rows)
    if begins:
        constants |= {5 + k: weights(4 + k, turns, 1, units) / 2 for k in range(states)}
    shapes = {"all": (steps, turns, 1, units), "last": (turns, 1, units)}
    first, *further = (shapes[word] for word in wanted)
    given = dict(enumerate(constants.values(), start=1))
    x = (steps, 1, width)
    model = one_node(kind, [x], first, given, 14, further, hidden_size=units, **own)
    node = model.graph.node[0]
    names = dict(zip(constants, node.input[1:], strict=True))
    node.input[1:] = [names.get(k, "") for k in range(1, max(constants) + 1)]
    if "all" not in wanted:
        node.output.insert(0, "")
    return model
