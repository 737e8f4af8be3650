# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The slice as standard ONNX on integer-valued tensors: anyone's runtime gives the RTL's bits.

Convolutions run in float32 on integers whose partial sums stay below 2**24, so no order of
summation, fused multiply-add or vector width can change them; a convolution with larger sums is
split into digits and groups of channels that do stay below, and joined in double. Requantisers
(rule N5) run in double, with every intermediate an integer, or an integer over a power of two,
below 2**53.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...hw.formats.bundle import Step
from ...hw.formats.tensor import AnyArray
from ...hw.numeric import MAX_EXACT_DOUBLE, QType
from ..ir.quant import QGraph, QTensor, steps_of
from ..load.source import elem_type_of

OPSET = 17

_EXACT_FLOAT = 1 << 24


@dataclass
class _Writer:
    """Nodes and initialisers of the model, with names that follow the slice's tensors."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initialisers: dict[str, AnyArray] = field(default_factory=dict)
    prefix: str = ""

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; the name of its output."""
        output = f"{self.prefix}/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], output, **attributes))
        return output

    def constant(self, value: Any, dtype: Any) -> str:
        """An initialiser."""
        array = np.asarray(value, dtype=dtype)
        name = f"{self.prefix}/constant_{len(self.initialisers)}"
        self.initialisers[name] = array
        return name

    def cast(self, value: str, to: int) -> str:
        """A cast."""
        return self.op("Cast", value, to=to)

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """A reshape."""
        return self.op("Reshape", value, self.constant(shape, np.int64))


def slice_model(graph: QGraph) -> onnx.ModelProto:
    """The model: ``wire_in0, ...`` to ``wire_out0, ...``, one axis each, in stream order."""
    writer = _Writer()
    steps, arrays = steps_of(graph)
    values: dict[str, str] = {}
    for index, name in enumerate(graph.inputs):
        writer.prefix = f"wire_in{index}"
        values[name] = writer.cast(f"wire_in{index}", TensorProto.FLOAT)
    for node, step in zip(graph.nodes, steps, strict=True):
        writer.prefix = step.name
        own = {key: arrays[stored].astype(np.int64) for key, stored in step.arrays.items()}
        sources = [(values[name], graph.tensors[name].qtype) for name in step.inputs]
        terms = _KERNELS[step.kernel](writer, step, own, sources)
        depth = node.core.channels
        values[step.output] = _requantise(writer, step.attributes, own, terms, depth)
    outputs = []
    for index, (root, tensor) in enumerate(zip(graph.outputs, graph.results, strict=True)):
        cast = helper.make_node(
            "Cast",
            [values[root]],
            [f"wire_out{index}"],
            f"wire_out{index}",
            to=elem_type_of(tensor.qtype.wire_dtype),
        )
        writer.nodes.append(cast)
        outputs.append(_info(f"wire_out{index}", tensor))
    inputs = [_info(f"wire_in{i}", graph.tensors[name]) for i, name in enumerate(graph.inputs)]
    model = helper.make_model(
        helper.make_graph(
            writer.nodes,
            "slice",
            inputs,
            outputs,
            [numpy_helper.from_array(a, name) for name, a in writer.initialisers.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="midwire",
    )
    onnx.checker.check_model(model)
    return model


def _info(name: str, tensor: QTensor) -> onnx.ValueInfoProto:
    size = int(np.prod(tensor.shape))
    return helper.make_tensor_value_info(name, elem_type_of(tensor.qtype.wire_dtype), [size])


Sources = Sequence[tuple[str, QType]]
Arrays = Mapping[str, AnyArray]


def _image(writer: _Writer, step: Step, value: str) -> str:
    """A flat stream as a padded NCHW image."""
    height, width, channels = step.attributes["image"]
    image = writer.op(
        "Transpose", writer.reshape(value, [1, height, width, channels]), perm=[0, 3, 1, 2]
    )
    top, left, bottom, right = step.attributes["pads"]
    if not any((top, left, bottom, right)):
        return image
    pads = writer.constant([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return writer.op("Pad", image, pads, writer.constant(step.attributes["pad_value"], np.float32))


def _flat(writer: _Writer, image: str, channels: int) -> str:
    """An NCHW image as pixels in stream order, channels last."""
    return writer.reshape(writer.op("Transpose", image, perm=[0, 2, 3, 1]), [-1, channels])


def _conv(writer: _Writer, step: Step, arrays: Arrays, sources: Sources) -> list[str]:
    ((value, qtype),) = sources
    weight = arrays["weight"].transpose(0, 3, 1, 2)
    group = weight.shape[0] if step.attributes["depthwise"] else 1
    image = _image(writer, step, value)
    total = _convolve(writer, step, image, weight, group, max(-qtype.lo, qtype.hi))
    return [_flat(writer, total, weight.shape[0])]


def _convolve(
    writer: _Writer, step: Step, image: str, weight: AnyArray, group: int, peak: int
) -> str:
    """An exact convolution, in double, of integers of at most ``peak``."""
    largest = int(np.abs(weight).max(initial=0))
    if int(np.abs(weight).sum(axis=(2, 3)).max()) * peak >= _EXACT_FLOAT:
        # Not even one channel's sum is exact: halve the bits of the wider factor.
        bits = (max(peak, largest).bit_length() + 1) // 2
        if peak >= largest:
            scale = writer.constant(1 << bits, np.float32)
            high = writer.op("Floor", writer.op("Div", image, scale))
            low = writer.op("Sub", image, writer.op("Mul", high, scale))
            upper = _convolve(writer, step, high, weight, group, (peak >> bits) + 1)
            lower = _convolve(writer, step, low, weight, group, (1 << bits) - 1)
        else:
            upper = _convolve(writer, step, image, weight >> bits, group, peak)
            lower = _convolve(writer, step, image, weight & ((1 << bits) - 1), group, peak)
        shifted = writer.op("Mul", upper, writer.constant(1 << bits, np.float64))
        return writer.op("Add", shifted, lower)
    total = ""
    for begin, end in _channel_groups(weight, peak):
        part = image
        if end - begin < weight.shape[1]:
            bounds = [writer.constant([v], np.int64) for v in (begin, end, 1)]
            part = writer.op("Slice", image, *bounds)
        conv = writer.op(
            "Conv",
            part,
            writer.constant(weight[:, begin:end], np.float32),
            strides=step.attributes["strides"],
            dilations=step.attributes["dilations"],
            kernel_shape=step.attributes["kernel"],
            group=group,
        )
        wide = writer.cast(conv, TensorProto.DOUBLE)
        total = writer.op("Add", total, wide) if total else wide
    return total


def _channel_groups(weight: AnyArray, peak: int) -> list[tuple[int, int]]:
    """Runs of input channels whose sums stay exact in float32 for every output channel."""
    reach = np.abs(weight).sum(axis=(2, 3)).max(axis=0) * peak
    groups: list[tuple[int, int]] = []
    begin, total = 0, 0
    for index, size in enumerate(int(r) for r in reach):
        if size >= _EXACT_FLOAT:
            raise AssertionError(f"one channel sums to {size}, which float32 cannot hold")
        if total + size >= _EXACT_FLOAT:
            groups.append((begin, index))
            begin, total = index, 0
        total += size
    return [*groups, (begin, len(reach))]


def _pool(writer: _Writer, step: Step, arrays: Arrays, sources: Sources) -> list[str]:
    del arrays
    ((value, qtype),) = sources
    image = _image(writer, step, value)
    channels = step.attributes["image"][2]
    if step.attributes["mode"] == "max":
        pooled = writer.op(
            "MaxPool",
            image,
            kernel_shape=step.attributes["kernel"],
            strides=step.attributes["strides"],
            dilations=step.attributes["dilations"],
        )
        return [_flat(writer, writer.cast(pooled, TensorProto.DOUBLE), channels)]
    ones = np.ones((channels, 1, *step.attributes["kernel"]), np.int64)
    total = _convolve(writer, step, image, ones, channels, max(-qtype.lo, qtype.hi))
    return [_flat(writer, total, channels)]


def _streams(writer: _Writer, step: Step, arrays: Arrays, sources: Sources) -> list[str]:
    """Streams taken as they are (add, scale), channels last."""
    del step
    channels = arrays["requant_offset"].shape[0]
    return [
        writer.reshape(writer.cast(value, TensorProto.DOUBLE), [-1, channels])
        for value, _ in sources
    ]


_KERNELS: dict[str, Callable[[_Writer, Step, Arrays, Sources], list[str]]] = {
    "conv": _conv,
    "pool": _pool,
    "add": _streams,
    "scale": _streams,
}


def _requantise(
    writer: _Writer,
    attributes: Mapping[str, Any],
    arrays: Arrays,
    terms: Sequence[str],
    channels: int,
) -> str:
    """Rule N5 in double; a flat float32 stream of integers."""
    assert arrays["requant_offset"].shape == (channels,)
    multiplier, offset = arrays["requant_multiplier"], arrays["requant_offset"]
    assert np.abs(multiplier).max() < MAX_EXACT_DOUBLE
    total = writer.constant(offset, np.float64)
    for index, term in enumerate(terms):
        factor = writer.constant(multiplier[:, index], np.float64)
        total = writer.op("Add", writer.op("Mul", term, factor), total)
    unit = writer.constant(2.0 ** -attributes["requant_shift"], np.float64)
    scaled = writer.op("Mul", total, unit)
    whole = writer.op("Floor", scaled)
    if attributes["requant_tie"]:
        whole = _tie(writer, attributes, scaled, whole)
    low = writer.constant(arrays["requant_lo"], np.float64)
    high = writer.constant(arrays["requant_hi"], np.float64)
    clamped = writer.op("Min", writer.op("Max", whole, low), high)
    return writer.reshape(writer.cast(clamped, TensorProto.FLOAT), [-1])


def _tie(writer: _Writer, attributes: Mapping[str, Any], scaled: str, whole: str) -> str:
    """Take 1 from an odd result (see Requantiser.parity) with a small fraction."""
    parity = writer.constant(attributes["requant_parity"], np.float64)
    two, half = writer.constant(2.0, np.float64), writer.constant(0.5, np.float64)
    moved = writer.op("Sub", whole, parity)
    even = writer.op("Mul", writer.op("Floor", writer.op("Mul", moved, half)), two)
    odd = writer.op("Sub", moved, even)
    edge = attributes["requant_tie"] * 2.0 ** -attributes["requant_shift"]
    small = writer.op("Less", writer.op("Sub", scaled, whole), writer.constant(edge, np.float64))
    return writer.op("Sub", whole, writer.op("Mul", odd, writer.cast(small, TensorProto.DOUBLE)))
