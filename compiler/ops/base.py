# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What an operator is: the questions that passes ask instead of testing its name.

An operator's file holds its parameters, its ONNX import rule, its exact meaning (a function of what
comes before it, or the kernels that compute it) and the cases that test it. The registry in
``ops/__init__.py`` lists the files.

There are four kinds of operators in a :class:`~..ir.graph.Graph`:

* a *view* renames elements (Reshape, Transpose, DequantizeLinear): no hardware, see
  :meth:`Op.view`;
* an *absorbed* operator changes each channel by a function of itself (bias, Relu, Sigmoid): it goes
  into its producer's finisher, see :meth:`Op.absorb`;
* a *grid* operator rounds (QuantizeLinear), see :attr:`Op.grid`;
* a *core* does the work on integers (Conv, MatMul, pools, Add of two tensors), see
  :meth:`Op.lower`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from ...hw.errors import brief
from ...hw.formats.tensor import AnyArray, Layout
from ...hw.numeric import Function, IntArray, QType
from ..ir.graph import Value
from ..ir.lowered import Call, OutputSpec

if TYPE_CHECKING:
    from ..ir.quant import QTensor


class Unsupported(Exception):
    """An import rule's refusal: one clause, ``expected ..., found ...``."""

    def __init__(self, clause: str) -> None:
        super().__init__(brief(clause))

    def halves(self) -> tuple[str, str]:
        """What was expected, and what was found; all is found in a clause of another form."""
        expected, said, found = str(self).removeprefix("expected ").partition(", found ")
        return (expected, found) if said else ("", str(self))


class WrongTensor(Unsupported):
    """A refusal for what tensors are (their shape is not known, their elements are integers), which
    may be the doing of the nodes that make them, or of others before those.
    """

    def __init__(self, tensors: Sequence[str], clause: str) -> None:
        super().__init__(clause)
        self.tensors = tuple(tensors)


MOST_EXACT = 1 << 18
"""Elements of a constant that becomes parameters one by one, each proven by itself and in a memory
(a map, a position's embedding): weights do not.
"""


@dataclass(frozen=True, eq=False)
class Const:
    """A constant tensor: real values, or integers on a grid.

    Attributes
    ----------
    values : float32 or float64 real values, or (with ``scale``) integers as int64
    scale : float32, broadcastable to ``values``, or None
    zero_point : int64, broadcastable to ``values``, or None
    chosen : whether midwire chose the scale, so that any other close to it would do as well
    """

    values: AnyArray
    scale: npt.NDArray[np.float32] | None = None
    zero_point: IntArray | None = None
    chosen: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return tuple(int(d) for d in self.values.shape)

    @property
    def real(self) -> npt.NDArray[np.float64]:
        """Real values in double (a float32 times an integer of up to 29 bits is exact)."""
        if self.scale is None:
            return self.values.astype(np.float64)
        centred = (self.values - self.zero_point).astype(np.float64)
        return centred * self.scale.astype(np.float64)

    @cached_property
    def peak(self) -> float:
        """The largest magnitude of a real value; 0.0 if there is none."""
        return float(np.abs(self.real).max(initial=0.0))

    def exact(self) -> list[Fraction]:
        """Every element as an exact rational number, in row-major order.

        Raises Unsupported if they are more than :data:`MOST_EXACT`: a few bytes of a model name any
        number.
        """
        check_exact(self.shape)
        if self.scale is None:
            return [Fraction(float(v)) for v in self.values.ravel()]
        centred = np.broadcast_to(self.values - self.zero_point, self.shape).ravel()
        scales = np.broadcast_to(self.scale, self.shape).ravel()
        return [Fraction(float(s)) * int(q) for q, s in zip(centred, scales, strict=True)]

    def map(self, change: Any) -> Const:
        """Apply a function that moves elements (transpose, reshape) to values, scale and zero
        point.
        """
        if self.scale is None:
            return Const(change(self.values))
        assert self.zero_point is not None
        return Const(
            change(self.values),
            change(np.ascontiguousarray(np.broadcast_to(self.scale, self.shape))),
            change(np.ascontiguousarray(np.broadcast_to(self.zero_point, self.shape))),
            self.chosen,
        )


def check_exact(shape: Sequence[int]) -> None:
    """Raises Unsupported if a constant of a shape has more than :data:`MOST_EXACT` elements."""
    if math.prod(shape) > MOST_EXACT:
        raise Unsupported(
            f"expected constants of at most {MOST_EXACT} elements beside a computed tensor, found "
            f"the shape {list(shape)}"
        )


def along_channels(
    values: Sequence[Fraction], own: tuple[int, ...], shape: tuple[int, ...], axis: int, count: int
) -> list[Fraction]:
    """A constant of shape ``own`` as one value for each of the ``count`` channels along an axis.

    Raises Unsupported if it differs along another axis of ``shape`` too.
    """
    full = (1,) * (len(shape) - len(own)) + own
    if any(size != 1 for i, size in enumerate(full) if i != axis):
        raise Unsupported(
            f"expected a constant that differs along axis {axis} only, found {list(full)}"
        )
    if len(values) == 1:
        return list(values) * count
    if len(values) != count:
        raise Unsupported(f"expected one constant for all channels, found {len(values)}")
    return list(values)


def axis_of(axis: int, shape: Sequence[int]) -> int:
    """An axis, counted from the front; raises Unsupported if there is no such axis."""
    if not -len(shape) <= axis < len(shape):
        raise Unsupported(f"expected an axis of {list(shape)}, found {axis}")
    return axis % len(shape)


def vector(context: ImportContext, name: str, what: str, count: int) -> Const:
    """A constant parameter of one axis and ``count`` elements; ``what`` names it in a refusal."""
    constant = context.const(name)
    if constant is None:
        raise Unsupported(f"expected a constant {what}, found a computed one")
    if constant.shape != (count,):
        raise Unsupported(
            f"expected a {what} of shape [{count}], found the shape {list(constant.shape)}"
        )
    return constant


@dataclass(frozen=True)
class Piece:
    """An operator of the small graph that an ONNX node becomes.

    Attributes
    ----------
    op : the operator
    inputs : names of its values: inputs of the ONNX node, or what earlier pieces make
    outputs : names of what it makes; none stands for the ONNX node's first output
    """

    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """What an import rule makes of one ONNX node: operators in order, and the values between them.

    Attributes
    ----------
    pieces : the operators, in topological order
    inner : the values that pass between them, named by :func:`inner`; no part of the model knows
        them, so each must lie on a grid or have one reader that is absorbed
    """

    pieces: tuple[Piece, ...]
    inner: tuple[Value, ...] = ()

    def then(self, between: Value, op: Op) -> Imported:
        """The same followed by an operator; it takes what this makes as the value ``between``."""
        last = replace(self.pieces[-1], outputs=(between.name,))
        return Imported(
            (*self.pieces[:-1], last, Piece(op, (between.name,))), (*self.inner, between)
        )


def one(op: Op, inputs: Sequence[str], outputs: Sequence[str] = ()) -> Imported:
    """The common case: an ONNX node is one operator. Outputs as :class:`Piece` has them."""
    return Imported((Piece(op, tuple(inputs), tuple(outputs)),))


def inner(node: onnx.NodeProto, name: str) -> str:
    """The name of a value inside the small graph of a node; ``name`` is unique in that graph."""
    return f"{node.name}::{name}"


class ImportContext(Protocol):
    """What an import rule may ask about the model (implemented by
    :class:`~..load.constants.Context`)."""

    opset: int

    def const(self, name: str, *, finite: bool = True) -> Const | None:
        """The constant behind a name, through DequantizeLinear, Transpose, Reshape...; else
        None. Raises Unsupported if it holds NaN or, unless not asked to be finite, infinity or
        what float32 has no number for.
        """

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, batch 1. Raises Unsupported if it is not known."""

    def dtype(self, name: str) -> str:
        """Element type of a tensor as a numpy name."""

    def is_read(self, name: str) -> bool:
        """Whether an output of the model depends on a tensor, or is one."""

    def attributes(self, node: onnx.NodeProto) -> Mapping[str, Any]:
        """Attributes of the node as Python values (bytes decoded)."""


class Op:
    """Base of all operators: frozen dataclasses with the defaults of a do-nothing operator."""

    onnx_types: ClassVar[tuple[str, ...]] = ()
    """ONNX operator types that the import rule takes; a domain other than the default one stands
    before the type."""

    @property
    def arity(self) -> int:
        """Number of value inputs (constants are parameters, rule G3)."""
        return 1

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """ONNX import rule: the operators that the node stands for, or raise Unsupported."""
        raise NotImplementedError

    def macs(self, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
        """Multiply-accumulates of one inference (ONNX shapes)."""
        del inputs, output
        return 0

    def view(
        self, layout: Layout, shape: tuple[int, ...], output: tuple[int, ...]
    ) -> Layout | None:
        """Layout of the output if the stream passes unchanged, else None (not a view)."""
        del layout, shape, output
        return None

    def view_back(
        self, layout: Layout, shape: tuple[int, ...], output: tuple[int, ...]
    ) -> Layout | None:
        """Inverse of :meth:`view`: layout of the input for a wanted layout of the output."""
        del layout, shape, output
        return None

    @property
    def is_view(self) -> bool:
        """Whether the operator only renames elements: no hardware, see :meth:`view`."""
        return False

    @property
    def grid(self) -> QType | None:
        """The grid that the output lies on, for QuantizeLinear and DequantizeLinear."""
        return None

    @property
    def rounds(self) -> bool:
        """Whether the operator rounds to its grid (QuantizeLinear)."""
        return False

    @property
    def absorbable(self) -> bool:
        """Whether :meth:`absorb` may succeed: a function of each channel by itself."""
        return False

    @property
    def needs_table(self) -> bool:
        """Whether :meth:`absorb` does more than to scale, shift, clamp, or make a few steps.

        Such an operator is absorbed where the model itself has no grid before it; where midwire
        places the grids, it places one there, so that a small table computes it.
        """
        return False

    @property
    def levels(self) -> tuple[Fraction, ...]:
        """The values that its result takes, in ascending order, if they are few and known: a grid
        that holds them all loses nothing. Else none.
        """
        return ()

    def levels_of(self, before: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """The same where its one input takes these values only."""
        del before
        return ()

    @property
    def clamps(self) -> bool:
        """Whether it bounds all elements alike: rounded to one grid before it and behind it, the
        result is the same as rounded behind it alone, for rounding is monotone.
        """
        return False

    @property
    def alike(self) -> bool:
        """Whether an absorbable operator does the same to all channels."""
        return True

    def absorb(
        self, functions: Sequence[Function], shape: tuple[int, ...], axis: int
    ) -> list[Function]:
        """The functions, one for each channel along ``axis`` of ``shape``, followed by this
        operator.

        Raises Unsupported if the operator differs within a channel.
        """
        del functions, shape, axis
        raise NotImplementedError

    def alone(self, x: QTensor) -> tuple[Call, ...] | None:
        """The kernels of an absorbed operator that stands between two grids, whose producer has no
        finisher for it; None for the channels of the stream one by one, each by :meth:`absorb`.
        """
        del x
        return None

    @property
    def tells_all(self) -> bool:
        """Whether every value of its input counts; if not, :meth:`told_apart` says how far."""
        return True

    def told_apart(self, x: AnyArray) -> AnyArray:
        """An input of one sample, in the model's shape, with values that make no difference moved
        to the nearest that do: a grid need not reach any farther.
        """
        return x

    @property
    def keeps_grid(self) -> bool:
        """Whether an input on a grid gives an output on the same grid (views, MaxPool)."""
        return False

    def keeps(self, output: int) -> bool:
        """Whether an output of several lies on its input's grid."""
        del output
        return self.keeps_grid

    def made_grid(self, output: int) -> QType | None:
        """The grid that an output lies on, whatever grid the input has; None if there is none."""
        del output
        return self.grid

    @property
    def largest_along(self) -> int | None:
        """The axis whose indices stay apart, if each result is the largest of some elements of one
        index: a function of each index that never falls may stand before it or behind it. Else
        None.
        """
        return None

    @property
    def compares(self) -> bool:
        """Whether only the order of its input's elements counts: integers on a grid are then as
        good as the real numbers that they stand for.
        """
        return self.is_core and self.keeps_grid

    @property
    def needs_grid(self) -> bool:
        """Whether its outputs have to lie on a grid: what follows cannot go into its finisher."""
        return False

    @property
    def divisors(self) -> tuple[int, ...]:
        """Which inputs it divides by: none of their elements may be 0, and a grid that midwire
        chooses is as fine as the smallest needs.
        """
        return ()

    @property
    def integers(self) -> QType | None:
        """Where it reads integers that mean themselves (indices, token ids): a grid of step 1 that
        holds all that it tells apart. None where it reads reals.
        """
        return None

    @property
    def tabulates(self) -> bool:
        """Whether its result is an entry of a table: a function of each channel that follows, a
        curve too, goes into the entries and costs nothing.
        """
        return False

    def loses(self, bits: int) -> bool:
        """Whether :meth:`quantise_weights` changes weights, of which nobody sees what that costs
        unless it is measured.
        """
        del bits
        return False

    def quantise_weights(self, bits: int) -> Op:
        """The operator with its weights on a symmetric per-channel grid; itself if it has none."""
        del bits
        return self

    def corrected(self, real: Op, mean: AnyArray) -> Op:
        """The operator with what rounding of weights shifts its result by, on average, taken off.

        Parameters
        ----------
        real : the operator before :meth:`quantise_weights`
        mean : of its input over typical samples, in the input's shape

        Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
        Correction", ICCV 2019, section 4.2.1 with means that were measured.
        """
        del real, mean
        return self

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """Layout that the hardware wants of an input, None if any will do."""
        return Layout.channels_last(shapes[index])

    def wanted_layouts(self, inputs: Sequence[QTensor]) -> list[Layout | None]:
        """The same for all inputs, which are known by now."""
        shapes = [tensor.shape for tensor in inputs]
        return [self.wanted_layout(shapes, index) for index in range(len(inputs))]

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """The kernels that compute it, for inputs on the given grids; raise Unsupported if there
        are none. See :mod:`~..ir.lowered` for the rules.
        """
        raise NotImplementedError

    @property
    def is_core(self) -> bool:
        """Whether :meth:`lower` gives hardware of its own."""
        return False

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """A few shapes and parameters worth testing, for the conformance test."""
        return iter(())


@dataclass(frozen=True)
class Case:
    """A one-operator ONNX model for the conformance test.

    ``model`` is float, has one or more inputs, and is quantised from random data over
    ``low..high``; inputs of integers are those from ``low`` to below ``high``.
    """

    name: str
    model: onnx.ModelProto
    low: float = -1.0
    high: float = 1.0
    bits: int = 8

    def samples(self, rng: np.random.Generator, count: int) -> dict[str, AnyArray]:
        """Random inputs of the model, as ``--calibrate`` takes them."""
        found: dict[str, AnyArray] = {}
        for index, value in enumerate(self.model.graph.input):
            kind = value.type.tensor_type
            shape = [d.dim_value for d in kind.shape.dim]
            drawn = rng.uniform(self.low, self.high, (count, *shape))
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            found[f"in{index}"] = (np.floor(drawn) if dtype.kind in "iu" else drawn).astype(dtype)
        return found
