# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Damaged models: whatever is in the file, the user gets a listing or one of our errors."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from midwire.compiler.select.inspection import inspect_model
from midwire.hw.errors import MidwireError

ModelFile = Callable[..., Path]


def mutate(raw: bytes, rng: random.Random) -> bytes:
    """Change bytes, or parts of the message so that it still parses."""
    if rng.random() < 0.3:
        damaged = bytearray(raw)
        for _ in range(rng.choice([1, 3, 20])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        return bytes(damaged)
    model = onnx.ModelProto.FromString(raw)
    graph = model.graph
    node = rng.choice(graph.node)
    tensor = rng.choice(graph.initializer)
    kind = rng.randrange(10)
    if kind == 0:
        node.input[rng.randrange(len(node.input))] = rng.choice(["", "x", "y", "h", "w", "t"])
    elif kind == 1:
        node.op_type = rng.choice(
            ["Conv", "Gemm", "Shape", "If", "Range", "Expand", "Tile", "DequantizeLinear", "Clip"]
        )
    elif kind == 2:
        del node.input[rng.randrange(len(node.input)) :]
    elif kind == 3:
        node.output[0] = rng.choice(["", "x", "y", "h"])
    elif kind == 4:
        tensor.dims.append(rng.choice([0, -1, 2, 1 << 40]))
    elif kind == 5:
        tensor.data_type = rng.randrange(30)
    elif kind == 6:
        node.attribute.append(helper.make_attribute(rng.choice(["axis", "pads"]), [1 << 62]))
    elif kind == 7:
        node.domain = rng.choice(["com.example", "ai.onnx", "onnx.brevitas"])
    elif kind == 8:
        graph.input[0].type.tensor_type.elem_type = rng.randrange(24)
    else:
        dim = rng.choice(graph.input[0].type.tensor_type.shape.dim)
        dim.dim_value = rng.choice([0, -1, 1 << 40])
    return model.SerializeToString()


def test_mutated_models_give_our_errors_only(model_file: ModelFile) -> None:
    seed = 4711
    print("seed", seed)
    rng = random.Random(seed)
    weights = np.random.default_rng(seed).integers(-9, 9, (4, 2, 3, 3)).astype(np.int8)
    model = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 13]>
        g (int8[N, 2, 5, 5] x) => (float[N, M] y)
        <float s = {0.5}, int8 z = {3}, int64[2] t = {1, -1}, int8[1] w = {1}>
        { d = DequantizeLinear(x, s, z)
          v = DequantizeLinear(w, s, z)
          h = Conv(d, v)
          r = Relu(h)
          q = QuantizeLinear(r, s, z)
          f = Reshape(q, t)
          y = DequantizeLinear(f, s, z) }
        """
    )
    model.graph.initializer[3].CopyFrom(numpy_helper.from_array(weights, "w"))
    raw = model.SerializeToString()
    assert inspect_model(model_file(raw))["slice"]["macs_share"] == 1.0
    loaded = 0
    for _ in range(300):
        damaged = raw
        for _ in range(rng.randint(1, 2)):
            try:
                damaged = mutate(damaged, rng)
            except (IndexError, TypeError, ValueError):
                continue  # the first change left nothing for the second
            except Exception as error:  # protobuf's own, of bytes that no longer parse
                assert re.search("DecodeError", type(error).__name__)
        try:
            json.dumps(inspect_model(model_file(damaged)))
            loaded += 1
        except MidwireError:
            pass
    assert 30 < loaded < 270
