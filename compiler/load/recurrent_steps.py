# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One step of a recurrent layer whose states come from outside or leave, as a controller in a loop
has them (LSTM, GRU and RNN, ONNX operator versions 7 to 22): written out while loading, once types
are known.

A sequence of one step has nothing that returns to the layer, so it is two matrix products, their
sum and what the gates do, each on a grid of its own, in half the logic of the layer's own kernel.
Constant states, longer sequences and layers with options stay for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .evaluate import static_shape
from .expansion import Expansion, OtherMeaningError, Pieces, inner_name, inner_node, named_node
from .infer import Facts, analyse
from .source import kind_of, reads

_GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
_STATES = {"GRU": 1, "LSTM": 2, "RNN": 1}
_CURVES = {
    "GRU": ["Sigmoid", "Tanh"],
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
    "RNN": ["Tanh"],
}
_FIRST = 5
"""The place of the first state among the inputs."""


def expand_steps(found: Expansion, opset: int, initialisers: Mapping[str, AnyArray]) -> None:
    """Write out every such layer of a bound, sorted model with unique names."""
    graph = found.model.graph
    if not any(kind_of(node) in _GATES for node in graph.node):
        return
    facts = analyse(found.model, opset, initialisers)
    used = {value.name for value in graph.output}
    used.update(name for node in graph.node for name in reads(node))

    def rule(node: onnx.NodeProto) -> Pieces:
        return _written(node, facts, opset)

    found.write_out(lambda node: rule if _is_step(node, facts, used) else None)


def _is_step(node: onnx.NodeProto, facts: Facts, used: set[str]) -> bool:
    """Whether it is one step, and a state of it is computed before or read behind the cell."""
    if kind_of(node) not in _GATES:
        return False
    shape = _shape(facts, node.input[0])
    if shape is None or len(shape) != 3 or shape[0] != 1:
        return False
    states = [name for name in node.input[_FIRST : _FIRST + _STATES[node.op_type]] if name]
    cell = [name for name in node.output[2:] if name in used]
    if not _is_plain(node):
        return False
    return bool(cell) or any(name not in facts.constants for name in states)


def _is_plain(node: onnx.NodeProto) -> bool:
    """Whether nothing changes the arithmetic of a step."""
    plain = {
        "direction": "forward",
        "activations": _CURVES[node.op_type],
        "clip": 0,
        "input_forget": 0,
        "layout": 0,
    }
    options = attributes(node)
    more = any(node.input[k] for k in (4, 7) if k < len(node.input))
    return not more and all(options.get(name, value) == value for name, value in plain.items())


def _shape(facts: Facts, name: str) -> tuple[int, ...] | None:
    kind = facts.types.get(name)
    return None if kind is None else static_shape(kind)


@dataclass
class _Writer:
    """Nodes of one layer, and constants of theirs."""

    node: onnx.NodeProto
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, AnyArray] = field(default_factory=dict)

    def add(self, word: str, kind: str, *inputs: str, **options: Any) -> str:
        """A node; its output."""
        self.nodes.append(inner_node(self.node, word, kind, *inputs, **options))
        return self.nodes[-1].output[0]

    def integers(self, word: str, values: Any) -> str:
        """A constant of int64."""
        name = inner_name(self.node, word)
        self.constants[name] = np.array(values, np.int64)
        return name

    def shaped(self, word: str, tensor: str, *shape: int) -> str:
        """A tensor of another shape."""
        return self.add(word, "Reshape", tensor, self.integers(f"{word}_shape", shape))

    def some(self, word: str, tensor: str, first: int, count: int) -> str:
        """Some rows of a constant, those that follow each other."""
        rows = self.integers(f"{word}_rows", range(first, first + count))
        return self.add(word, "Gather", tensor, rows, axis=0)


@dataclass(frozen=True)
class _Step:
    """One step of a layer.

    Attributes
    ----------
    writer : where its nodes go
    opset : of the model
    units, batch : elements of a state, and sequences
    x, states : (batch, elements), the names of what it reads
    """

    writer: _Writer
    opset: int
    units: int
    batch: int
    x: str
    states: tuple[str, ...]

    def product(self, word: str, of: str, first: int, gates: int) -> str:
        """``of``, x or a state, times the weights of some gates, with their biases."""
        own = self.writer
        over_x = of == self.x
        rows = self.units * _GATES[own.node.op_type]
        matrix = own.shaped(f"{word}_all", own.node.input[1 if over_x else 2], rows, -1)
        matrix = own.some(f"{word}_weights", matrix, first * self.units, gates * self.units)
        inputs = [of, matrix]
        if len(own.node.input) > 3 and own.node.input[3]:
            bias = own.shaped(f"{word}_biases", own.node.input[3], -1)
            begin = (0 if over_x else rows) + first * self.units
            inputs.append(own.some(f"{word}_bias", bias, begin, gates * self.units))
        return own.add(word, "Gemm", *inputs, transB=1)

    def parts(self, word: str, tensor: str, count: int) -> list[str]:
        """As many parts of a row, all of one length."""
        names = [inner_name(self.writer.node, f"{word}{k}") for k in range(count)]
        split = inner_node(self.writer.node, word, "Split", tensor, axis=1)
        if self.opset >= 18:
            split.attribute.append(onnx.helper.make_attribute("num_outputs", count))
        split.output[:] = names
        self.writer.nodes.append(split)
        return names

    def lstm(self) -> tuple[str, ...]:
        """``c' = f c + i g`` and ``h' = o tanh(c')``."""
        own = self.writer
        hidden, cell = self.states
        x, h = self.product("x", self.x, 0, 4), self.product("h", hidden, 0, 4)
        sums = self.parts("gates", own.add("sums", "Add", x, h), 4)
        i, o, f = (own.add(f"gate{k}", "Sigmoid", name) for k, name in enumerate(sums[:3]))
        g = own.add("new", "Tanh", sums[3])
        kept, added = own.add("kept", "Mul", f, cell), own.add("added", "Mul", i, g)
        state = own.add("cell", "Add", kept, added)
        return own.add("hidden", "Mul", o, own.add("seen", "Tanh", state)), state

    def gru(self) -> tuple[str, ...]:
        """``h' = n + z (h - n)``; the reset is before the product with h, or behind it."""
        own = self.writer
        (hidden,) = self.states
        x, h = self.product("x", self.x, 0, 2), self.product("h", hidden, 0, 2)
        sums = self.parts("gates", own.add("sums", "Add", x, h), 2)
        z, r = (own.add(f"gate{k}", "Sigmoid", name) for k, name in enumerate(sums))
        if attributes(own.node).get("linear_before_reset", 0):
            reset = own.add("reset", "Mul", r, self.product("new_h", hidden, 2, 1))
        else:
            reset = self.product("new_h", own.add("reset", "Mul", r, hidden), 2, 1)
        total = own.add("new_sum", "Add", self.product("new_x", self.x, 2, 1), reset)
        n = own.add("new", "Tanh", total)
        back = own.add("back", "Mul", z, own.add("apart", "Sub", hidden, n))
        return (own.add("hidden", "Add", n, back),)

    def rnn(self) -> tuple[str, ...]:
        """``h' = tanh(W x + R h)``."""
        own = self.writer
        (hidden,) = self.states
        x, h = self.product("x", self.x, 0, 1), self.product("h", hidden, 0, 1)
        return (own.add("hidden", "Tanh", own.add("sums", "Add", x, h)),)


def _written(node: onnx.NodeProto, facts: Facts, opset: int) -> Pieces:
    """The nodes of one step; the last one has the name of the layer."""
    shape, matrix = _shape(facts, node.input[0]), _shape(facts, node.input[2])
    assert shape is not None, "of one step"
    if matrix is None or len(matrix) != 3:
        raise OtherMeaningError(f"expected recurrence weights of 3 axes, found {matrix}")
    writer = _Writer(node)
    batch, units = shape[1], matrix[2]
    x = writer.shaped("row", node.input[0], batch, shape[2])
    states = []
    for k in range(_STATES[node.op_type]):
        name = node.input[_FIRST + k] if len(node.input) > _FIRST + k else ""
        if not name:
            name = inner_name(node, f"zero{k}")
            writer.constants[name] = np.zeros((batch, units), np.float32)
        states.append(writer.shaped(f"state{k}", name, batch, units))
    step = _Step(writer, opset, units, batch, x, tuple(states))
    made = {"GRU": step.gru, "LSTM": step.lstm, "RNN": step.rnn}[node.op_type]()
    outputs = [(name, state) for name, state in zip(node.output, (made[0], *made), strict=False)]
    wanted = [(k, name, state) for k, (name, state) in enumerate(outputs) if name]
    for k, name, state in wanted:
        sizes = writer.integers(f"shape{k}", [1, *[1] * (k == 0), batch, units])
        view = inner_node(node, f"out{k}", "Reshape", state, sizes)
        if k == wanted[-1][0]:
            view = named_node(node, name, "Reshape", state, sizes)
        view.output[0] = name
        writer.nodes.append(view)
    return Pieces(writer.nodes, writer.constants)
