# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The slice as standard ONNX on integer-valued tensors: anyone's runtime gives the RTL's bits.

Kernels and finishers bring their own form (:mod:`midwire.hw.kernels`, :mod:`midwire.hw.finish`).
Between them, tensors are integers in float32, in double where an element has more than 24 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...hw.finish.base import OnnxWriter
from ...hw.formats.tensor import AnyArray
from ..ir.quant import QGraph, QTensor
from ..load.source import elem_type_of

OPSET = 17

_EXACT_FLOAT_BITS = 24
"""Integers of so many bits are exact in float32."""


@dataclass
class _Writer:
    """Nodes and initialisers of the model, with names that follow the slice's tensors."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initialisers: dict[str, AnyArray] = field(default_factory=dict)
    prefix: str = ""

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; the name of its output."""
        (output,) = self.several(1, kind, *inputs, **attributes)
        return output

    def several(self, count: int, kind: str, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """Append a node; the names of its outputs."""
        name = f"{self.prefix}/{kind}_{len(self.nodes)}"
        outputs = [name, *(f"{name}_{k}" for k in range(1, count))]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name, **attributes))
        return tuple(outputs)

    def constant(self, value: Any, dtype: Any) -> str:
        """An initialiser."""
        array = np.asarray(value, dtype=dtype)
        name = f"{self.prefix}/constant_{len(self.initialisers)}"
        self.initialisers[name] = array
        return name

    def cast(self, value: str, dtype: Any) -> str:
        """A cast to a numpy type."""
        return self.op("Cast", value, to=elem_type_of(np.dtype(dtype)))

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """A reshape."""
        return self.op("Reshape", value, self.constant(shape, np.int64))

    def scan(
        self,
        body: Callable[[OnnxWriter, Sequence[str], Sequence[str]], Sequence[str]],
        states: Sequence[str],
        inputs: Sequence[str],
    ) -> tuple[str, Sequence[str]]:
        """A Scan; its body reads the model's own initialisers."""
        name = f"{self.prefix}/Scan_{len(self.nodes)}"
        inner = _Writer(initialisers=self.initialisers, prefix=f"{name}/step")
        own = [f"{inner.prefix}/state{k}" for k in range(len(states))]
        rows = [f"{inner.prefix}/row{k}" for k in range(len(inputs))]
        made = list(body(inner, own, rows))
        kept = inner.op("Identity", made[0])
        graph = helper.make_graph(
            inner.nodes, name, _matrices(own + rows), _matrices([*made, kept])
        )
        ends = [f"{name}/end{k}" for k in range(len(states))]
        node = helper.make_node(
            "Scan", [*states, *inputs], [*ends, name], name, body=graph, num_scan_inputs=len(inputs)
        )
        self.nodes.append(node)
        return name, ends


def _matrices(names: Sequence[str]) -> list[onnx.ValueInfoProto]:
    """Doubles along two axes."""
    double = elem_type_of(np.dtype(np.float64))
    return [helper.make_tensor_value_info(name, double, [None, None]) for name in names]


def slice_model(graph: QGraph) -> onnx.ModelProto:
    """The model: ``wire_in0, ...`` to ``wire_out0, ...``, one axis each, in stream order."""
    writer = _Writer()
    values: dict[str, str] = {}
    for index, name in enumerate(graph.inputs):
        writer.prefix = f"wire_in{index}"
        values[name] = writer.cast(f"wire_in{index}", _carrier(graph.tensors[name]))
    for node in graph.nodes:
        writer.prefix = node.name
        terms = node.kernel.onnx(writer, [values[name] for name in node.inputs])
        for name, finisher, own in zip(node.outputs, node.finishers, terms, strict=True):
            finished = writer.cast(finisher.onnx(writer, own), _carrier(graph.tensors[name]))
            values[name] = writer.reshape(finished, [-1])
    outputs = []
    for index, (root, tensor) in enumerate(zip(graph.outputs, graph.results, strict=True)):
        elem_type = elem_type_of(tensor.qtype.wire_dtype)
        wire = f"wire_out{index}"
        writer.nodes.append(helper.make_node("Cast", [values[root]], [wire], wire, to=elem_type))
        outputs.append(_info(wire, tensor))
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


def _carrier(tensor: QTensor) -> type[np.floating[Any]]:
    """The floating type that holds every integer of a tensor."""
    return np.float32 if tensor.qtype.bits <= _EXACT_FLOAT_BITS else np.float64


def _info(name: str, tensor: QTensor) -> onnx.ValueInfoProto:
    size = int(np.prod(tensor.shape))
    return helper.make_tensor_value_info(name, elem_type_of(tensor.qtype.wire_dtype), [size])
