# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What import rules may ask of a model (:class:`~..ops.base.ImportContext`): constants, shapes.

A constant keeps its grid through operators that only move elements, so that a quantised weight that
is dequantised, transposed and reshaped still is integers with a scale; :mod:`.kept_grids` has the
rules that need no context. All other constant expressions are evaluated as they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...hw.formats.tensor import AnyArray
from ...hw.numeric import LARGEST_REAL
from ..ops.base import Const, Unsupported, WrongTensor
from .evaluate import evaluate
from .kept_grids import ARITHMETIC, CAST, MOVING, cast, moved
from .quantiser import find_quantiser
from .source import Source, standard


class _PendingError(Exception):
    """A constant depends on another one, which is to be resolved first."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Context:
    """Implements :class:`~..ops.base.ImportContext` for a source; caches the constants."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.opset = source.opset
        self._cache: dict[str, Const | None] = {}
        self._resolving = False

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, batch 1."""
        value = self.source.values.get(name)
        if value is None:
            raise WrongTensor([name], f"expected a known shape, found none for {name!r}")
        if 0 in value.shape:
            raise WrongTensor(
                [name], f"expected elements, found the shape {list(value.shape)} for {name!r}"
            )
        return value.shape

    def dtype(self, name: str) -> str:
        """Element type of a tensor as a numpy name."""
        value = self.source.values.get(name)
        if value is None:
            raise WrongTensor([name], f"expected a known element type, found none for {name!r}")
        return value.dtype

    def is_read(self, name: str) -> bool:
        """Whether an output of the model depends on a tensor, or is one."""
        return name in self.source.outputs or any(True for _ in self.source.users(name))

    def attributes(self, node: onnx.NodeProto) -> Mapping[str, Any]:
        """Attributes of the node as Python values (bytes decoded)."""
        return attributes(node)

    def const(self, name: str, *, finite: bool = True) -> Const | None:
        """The constant behind a name, with its grid if it has one; None if there is none. All that
        is computed with constants is so in float32, so this is where finite numbers end.
        """
        constant = self._const(name)
        if constant is not None:
            for array, bounded in ((constant.values, finite), (constant.scale, True)):
                if array is None or np.isfinite(array).all():
                    continue
                if bounded or np.isnan(array).any():
                    raise Unsupported(
                        f"expected finite constants, found NaN or infinity in {name!r}"
                    )
            if finite and constant.peak > LARGEST_REAL:
                raise Unsupported(
                    f"expected constants of up to {LARGEST_REAL:.2g}, found {constant.peak:.2g} in "
                    f"{name!r}"
                )
        return constant

    def _const(self, name: str) -> Const | None:
        """A constant, and first all that it depends on, one after the other: a chain of nodes may
        be of any length, so nothing here calls itself along it.
        """
        if name not in self.source.constants:
            return None
        if name not in self._cache:
            if self._resolving:
                raise _PendingError(name)
            self._resolving = True
            try:
                self._resolve_all(name)
            finally:
                self._resolving = False
        return self._cache[name]

    def _resolve_all(self, name: str) -> None:
        waiting = [name]
        while waiting:
            try:
                self._cache[waiting[-1]] = self._resolve(waiting[-1])
                waiting.pop()
            except _PendingError as pending:
                waiting.append(pending.name)

    def _resolve(self, name: str) -> Const | None:
        source = self.source
        array = source.initialisers.get(name, source.folded.get(name))
        if array is not None:
            return _plain(array)
        node = standard(source.producers[name])
        rule = _RULES.get(node.op_type) if not node.domain else None
        quantiser = find_quantiser(self, node)
        if quantiser is not None and name in source.values:
            known = quantiser.quantised(self, source.values[name].shape)
            if known is not None:
                return known
        inputs = [self._const(i) if i else None for i in node.input]
        if rule is not None and inputs and inputs[0] is not None:
            known = rule(self, node, [i for i in inputs if i is not None])
            if known is not None:
                return known
        if node.op_type in MOVING and not node.domain:
            known = moved(node, name, inputs, self._arrays(node, inputs) or {}, self.opset)
            if known is not None:
                return known
        return self._evaluated(node, name, inputs)

    def _evaluated(
        self, node: onnx.NodeProto, name: str, inputs: list[Const | None]
    ) -> Const | None:
        """A constant expression by its value. The grid of an input is spent."""
        arrays = self._arrays(node, inputs)
        results = None if arrays is None else evaluate(node, arrays, self.opset)
        return None if results is None or name not in results else _plain(results[name])

    def _arrays(
        self, node: onnx.NodeProto, inputs: list[Const | None]
    ) -> dict[str, AnyArray] | None:
        """What a node reads, in the types that the model has; None if something is not known."""
        arrays: dict[str, AnyArray] = {}
        for key, constant in zip(node.input, inputs, strict=True):
            if not key:
                continue
            raw = self.source.initialisers.get(key, self.source.folded.get(key))
            if raw is not None:
                arrays[key] = raw
            elif constant is None or key not in self.source.values:
                return None
            elif constant.scale is None:
                arrays[key] = constant.values.astype(self.source.values[key].dtype)
            else:
                arrays[key] = constant.real.astype(np.float32)
        return arrays


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes of a node as Python values: numbers, text, lists, arrays. Without those that say
    no type, or hold a tensor that contradicts itself: the ONNX checker refuses them.
    """
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        try:
            found[attribute.name] = _attribute(attribute)
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, (str, int, float, onnx.GraphProto)):
        return value
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]


def _plain(array: AnyArray) -> Const | None:
    """A constant without a grid: reals as float32 or float64, integers as int64. None for others,
    those that int64 does not hold among them.
    """
    if array.dtype.kind == "f":
        keep = array.dtype in (np.float32, np.float64)
        return Const(array if keep else array.astype(np.float32))
    if array.dtype.kind in "iub":
        whole = array.astype(np.int64)
        return Const(whole) if array.dtype != np.uint64 or (whole >= 0).all() else None
    if array.dtype.kind in "cOSUT":
        return None  # complex numbers, text
    wide = array.astype(np.float64)
    # bfloat16 and the 8-bit floats are reals; the 4-bit and 2-bit integers are integers.
    if "float" in array.dtype.name:
        return Const(wide.astype(np.float32))
    return Const(wide.astype(np.int64))


_Rule = Callable[[Context, onnx.NodeProto, list[Const]], Const | None]


def _dequantize(context: Context, node: onnx.NodeProto, inputs: list[Const]) -> Const | None:
    """Integers on a grid: one scale, one an element of an axis, or one a block of an axis. Scales
    may be dequantised themselves.
    """
    q, scale = inputs[0], inputs[1]
    zero = inputs[2] if len(inputs) > 2 else Const(np.zeros(scale.shape, np.int64))
    if q.scale is not None or q.values.dtype != np.int64 or zero.values.dtype != np.int64:
        return None
    options = context.attributes(node)
    rank, axis = len(q.shape), int(options.get("axis", 1))
    block = int(options.get("block_size", 0))

    def spread(array: AnyArray) -> AnyArray:
        if array.size == 1:
            return array.reshape(())
        if block:
            grown = np.repeat(array, min(block, q.shape[axis]), axis=axis)
            return grown.take(range(q.shape[axis]), axis=axis)
        return array.reshape([-1 if i == axis % rank else 1 for i in range(rank)])

    try:
        steps, zeros = spread(scale.real.astype(np.float32)), spread(zero.values)
        fits = np.broadcast_shapes(q.shape, steps.shape, zeros.shape) == q.shape
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    if not fits:  # several scales along an axis of length 1
        return None
    return Const(q.values, steps, zeros)


def _identity(context: Context, node: onnx.NodeProto, inputs: list[Const]) -> Const | None:
    del context, node
    return inputs[0]


def _cast(context: Context, node: onnx.NodeProto, inputs: list[Const]) -> Const | None:
    """A grid outlives a cast between float32 and float64; narrow integers become one."""
    to = context.attributes(node).get("to")
    if to not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        return None
    if inputs[0].scale is not None:
        return inputs[0]
    return cast(inputs[0]) if context.dtype(node.input[0]) in CAST else None


def _arithmetic(context: Context, node: onnx.NodeProto, inputs: list[Const]) -> Const | None:
    del context
    return ARITHMETIC[node.op_type](inputs) if len(inputs) == 2 else None


def _transpose(context: Context, node: onnx.NodeProto, inputs: list[Const]) -> Const | None:
    perm = context.attributes(node).get("perm")
    if perm is not None and sorted(perm) != list(range(len(inputs[0].shape))):
        return None
    return inputs[0].map(lambda array: np.transpose(array, perm))


def _reshape(context: Context, node: onnx.NodeProto, inputs: list[Const]) -> Const | None:
    """Reshape and its relatives: shape inference knows the target."""
    value = context.source.values.get(node.output[0])
    if value is None or np.prod(value.shape, dtype=object) != inputs[0].values.size:
        return None
    return inputs[0].map(lambda array: array.reshape(value.shape))


_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(ARITHMETIC, _arithmetic),
    "DequantizeLinear": _dequantize,
    "Identity": _identity,
    "Cast": _cast,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
}
