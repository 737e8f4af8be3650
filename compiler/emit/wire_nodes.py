# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ONNX nodes between tensors of the model and wire tensors; see :mod:`.parts` for the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import TensorProto, helper

from ...hw.formats.tensor import AnyArray, TensorSpec
from ...hw.numeric import QType
from ..load.source import elem_type_of

_DEQUANTIZE_OPSET = 10


@dataclass
class Emitter:
    """Collects nodes and constants under names that no model uses."""

    PREFIX: ClassVar[str] = "midwire/"

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initialisers: dict[str, AnyArray] = field(default_factory=dict)

    def node(self, kind: str, inputs: Sequence[str], output: str | None, **attributes: Any) -> str:
        """Add a node; gives the name of its output."""
        name = f"{self.PREFIX}{len(self.nodes)}_{kind}"
        output = output or name
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name, **attributes))
        return output

    def constant(self, value: AnyArray) -> str:
        """Add an initialiser; gives its name."""
        name = f"{self.PREFIX}constant_{len(self.initialisers)}"
        self.initialisers[name] = value
        return name

    def reshape(self, tensor: str, shape: Sequence[int], output: str | None = None) -> str:
        """Add a Reshape to a fixed shape."""
        target = self.constant(np.array(shape, np.int64))
        return self.node("Reshape", [tensor, target], output)


def emit_quantise(emitter: Emitter, tensor: str, qtype: QType) -> str:
    """Rule N3 in double, for any width; gives integers in the container type (opset 11)."""

    def number(value: float) -> str:
        return emitter.constant(np.array(value, np.float64))

    real = emitter.node("Cast", [tensor], None, to=TensorProto.DOUBLE)
    ratio = emitter.node("Div", [real, number(qtype.scale)], None)
    rounded = emitter.node("Round", [ratio], None)
    shifted = emitter.node("Add", [rounded, number(qtype.zero_point)], None)
    floored = emitter.node("Max", [shifted, number(qtype.lo)], None)
    clamped = emitter.node("Min", [floored, number(qtype.hi)], None)
    return emitter.node("Cast", [clamped], None, to=elem_type_of(qtype.wire_dtype))


def emit_to_wire(emitter: Emitter, tensor: str, spec: TensorSpec, wire: str) -> None:
    """Integers in ONNX order to the flat wire tensor; of the container's type where they had to be
    bounded.
    """
    layout = spec.layout
    own = spec.is_integer and not spec.saturates
    if own and np.dtype(spec.dtype) != spec.qtype.wire_dtype:
        tensor = emitter.node("Cast", [tensor], None, to=elem_type_of(spec.qtype.wire_dtype))
    if layout.canonical.perm != tuple(range(len(layout.canonical.perm))):
        tensor = emitter.reshape(tensor, layout.dims)
        tensor = emitter.node("Transpose", [tensor], None, perm=list(layout.perm))
    emitter.reshape(tensor, [spec.elements], wire)


def emit_from_wire(emitter: Emitter, wire: str, spec: TensorSpec, output: str | None) -> str:
    """The flat wire tensor to integers in ONNX order; in the model's own type if it has them."""
    layout = spec.layout
    tensor = wire
    if spec.is_integer and np.dtype(spec.dtype) != spec.qtype.wire_dtype:
        tensor = emitter.node("Cast", [tensor], None, to=elem_type_of(spec.dtype))
    if layout.canonical.perm != tuple(range(len(layout.canonical.perm))):
        tensor = emitter.reshape(tensor, layout.stream_shape)
        inverse = [int(axis) for axis in np.argsort(layout.perm)]
        tensor = emitter.node("Transpose", [tensor], None, perm=inverse)
    return emitter.reshape(tensor, spec.shape, output)


def emit_dequantise(
    emitter: Emitter, tensor: str, spec: TensorSpec, output: str, opset: int
) -> None:
    """Integers to reals, as :meth:`~midwire.hw.numeric.QType.dequantise` does.

    DequantizeLinear where it takes the container type, so that ONNX Runtime may fuse it with what
    follows, as it does in the whole model; else the same in single steps.
    """
    qtype = spec.qtype
    scale = emitter.constant(np.array(qtype.scale, np.float32))
    real = output if spec.dtype == "float32" else None
    if qtype.container_bytes == 1 and opset >= _DEQUANTIZE_OPSET:
        zero_point = emitter.constant(np.array(qtype.zero_point, qtype.wire_dtype))
        real = emitter.node("DequantizeLinear", [tensor, scale, zero_point], real)
    else:
        # Integers of up to 32 bits less a zero point fit 64.
        wide = emitter.node("Cast", [tensor], None, to=TensorProto.INT64)
        zero_point = emitter.constant(np.array(qtype.zero_point, np.int64))
        centred = emitter.node("Sub", [wide, zero_point], None)
        rounded = emitter.node("Cast", [centred], None, to=TensorProto.FLOAT)
        real = emitter.node("Mul", [rounded, scale], real)
    if real != output:
        emitter.node("Cast", [real], output, to=elem_type_of(spec.dtype))
