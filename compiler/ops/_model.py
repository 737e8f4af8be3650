# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One-operator ONNX models for the conformance cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def one_node(
    op_type: str,
    inputs: Sequence[Sequence[int]],
    output: Sequence[int],
    constants: Mapping[int, np.ndarray[Any, Any]] | None = None,
    opset: int = 13,
    further: Sequence[Sequence[int]] = (),
    domain: tuple[str, int] = ("", 0),
    places: Sequence[int] = (),
    dtypes: Sequence[str] = (),
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node; ``constants`` maps further input positions to initialisers, and
    ``further`` has the shapes of outputs after the first; ``domain`` is a domain other than ONNX's
    own, and its version; ``places`` are the outputs, counted from 0, that are int64; ``dtypes`` are
    numpy names of the inputs' types, float32 for those that have none.
    """
    constants = constants or {}
    count = len(inputs) + len(constants)
    values = iter(f"x{i}" for i in range(len(inputs)))
    names = [f"c{i}" if i in constants else next(values) for i in range(count)]
    outputs = {f"y{k or ''}": list(shape) for k, shape in enumerate([output, *further])}
    node = helper.make_node(
        op_type, names, list(outputs), op_type.lower(), domain=domain[0], **attributes
    )
    named = [*dtypes, *["float32"] * (len(inputs) - len(dtypes))]
    kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in named]
    imports = [helper.make_opsetid("", opset)]
    if domain[0]:
        imports.append(helper.make_opsetid(*domain))
    graph = helper.make_graph(
        [node],
        op_type.lower(),
        [
            helper.make_tensor_value_info(f"x{i}", kind, list(shape))
            for i, (shape, kind) in enumerate(zip(inputs, kinds, strict=True))
        ],
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if k in places else TensorProto.FLOAT, shape
            )
            for k, (name, shape) in enumerate(outputs.items())
        ],
        [numpy_helper.from_array(array, f"c{i}") for i, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def weights(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    """Seeded float32 weights, roughly normalised by their fan-in."""
    rng = np.random.default_rng(seed)
    fan_in = max(1, int(np.prod(shape[1:])))
    return (rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)


def recurrent_layer(
    kind: str,
    sizes: tuple[int, int, int],
    wanted: Sequence[str] = ("all",),
    *,
    batch: int = 1,
    biased: bool = True,
    begins: bool = False,
    fed: Sequence[int] = (),
    attributes: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """A model of one layer of seeded weights: steps, elements of x, units. Its outputs are ``all``
    states, the ``last``, and the last of the ``cell``; ``fed`` are the places of states before the
    first step that are inputs.
    """
    own = attributes or {}
    steps, width, units = sizes
    turns = 2 if own.get("direction") == "bidirectional" else 1
    gates, states = {"GRU": (3, 1), "LSTM": (4, 2), "RNN": (1, 1)}[kind]
    rows = gates * units
    constants = {1: weights(1, turns, rows, width), 2: weights(2, turns, rows, units)}
    if biased:
        constants[3] = weights(3, turns, 2 * rows)
    if begins:
        constants |= {
            5 + k: weights(4 + k, turns, 1, units).repeat(batch, 1) / 2 for k in range(states)
        }
    state = turns, batch, units
    shapes = {"all": (steps, *state), "last": state, "cell": state}
    first, *further = (shapes[word] for word in wanted)
    given = dict(enumerate(constants.values(), start=1))
    inputs = [(steps, batch, width), *[state] * len(fed)]
    model = one_node(kind, inputs, first, given, 14, further, hidden_size=units, **own)
    node = model.graph.node[0]
    places = [*constants, *fed]
    names = dict(zip(places, node.input[1:], strict=True))
    node.input[1:] = [names.get(k, "") for k in range(1, max(places) + 1)]
    made = dict(zip(wanted, node.output, strict=True))
    node.output[:] = [made.get(word, "") for word in shapes if word in made or word != "cell"]
    return model
