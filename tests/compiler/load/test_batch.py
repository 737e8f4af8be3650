# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A model of a fixed batch is taken apart into samples, or the node where they meet is named.

Rules B1 to B5, against ONNX Runtime: the batch as a whole, and each sample through what was made
of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.load.frontend import load_model

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]
RunOnnx = Callable[[onnx.ModelProto, Mapping[str, Array]], dict[str, Array]]

SEED = 20265


def ones(shape: str, name: str, count: int) -> str:
    """A constant that differs everywhere."""
    values = ", ".join(f"{0.25 * ((7 * i) % 11) - 1:g}" for i in range(count))
    return f"float[{shape}] {name} = {{{values}}}"


# What torch exports by default: Flatten and view as Reshape to numbers, the batch among them.
TORCH = f"""
g (float[4, 2, 4, 4] x) => (float[4, 3] y)
<{ones("3, 2, 3, 3", "w", 54)}, {ones("3", "b", 3)}, {ones("48, 3", "m", 144)},
 {ones("3", "c", 3)}, int64[2] s = {{4, 48}}>
{{ a = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  r = Relu (a)
  q = Reshape (r, s)
  y = Gemm (q, m, c) }}
"""

APART = {
    "torch": TORCH,
    "computed shape": f"""
        g (float[4, 2, 4, 4] x) => (float[4, 3] y) <{ones("32, 3", "m", 96)}>
        {{ i = Constant <value = int64[1] {{0}}> ()
           e = Constant <value = int64[1] {{-1}}> ()
           z = Shape (x)
           n = Gather (z, i)
           t = Concat <axis = 0> (n, e)
           q = Reshape (x, t)
           y = MatMul (q, m) }}""",
    "shared target": """
        g (float[4, 6] x) => (float[4, 2, 3] y, float[4, 2, 3] z) <int64[3] s = {4, 2, 3}>
        { y = Reshape (x, s)
          r = Relu (x)
          z = Reshape (r, s) }""",
    "rows become samples of samples": f"""
        g (float[3, 2, 5] x) => (float[3, 2, 4] y)
        <{ones("5, 4", "m", 20)}, int64[2] s = {{6, 5}}, int64[3] t = {{3, 2, 4}}>
        {{ a = Reshape (x, s)
           b = MatMul (a, m)
           y = Reshape (b, t) }}""",
    "attention": f"""
        g (float[2, 3, 4] x) => (float[2, 3, 4] y) <{ones("4, 4", "m", 16)}>
        {{ q = MatMul (x, m)
           k = Transpose <perm = [0, 2, 1]> (x)
           a = MatMul (q, k)
           p = Softmax <axis = 2> (a)
           y = MatMul (p, x) }}""",
    "axes": f"""
        g (float[2, 3, 4] x, float[2, 3, 4] u) => (float[2, 6] y, float[2, 3, 2] z)
        <int64[1] a = {{2}}, int64[1] b = {{1}}, int64[1] e = {{3}}, {ones("4", "g", 4)}>
        {{ c = Concat <axis = 1> (x, u)
           r = ReduceMean <axes = [2], keepdims = 0> (c)
           y = Relu (r)
           n = Add (x, g)
           m = Mul (n, u)
           z = Slice (m, b, e, a) }}""",
    "split and pad": """
        g (float[2, 4] x) => (float[2, 4] y) <int64[4] p = {0, 1, 0, 1}>
        { a, b = Split <axis = 1> (x)
          c = Sub (a, b)
          y = Pad (c, p) }""",
    "a number for each sample": """
        g (float[4, 3] x, float[4] t) => (float[4, 3] y) <int64[1] a = {1}>
        { u = Unsqueeze (t, a)
          y = Mul (x, u) }""",
    "expand and resize": """
        g (float[2, 3, 1, 4] x) => (float[2, 3, 4, 8] y)
        <int64[4] s = {2, 3, 2, 4}, float[0] r = {}, int64[4] t = {2, 3, 4, 8}>
        { e = Expand (x, s)
          y = Resize <mode = "nearest"> (e, r, r, t) }""",
    "tile and gather": """
        g (float[2, 3] x) => (float[2, 4] y) <int64[2] r = {1, 2}, int64[4] i = {5, 0, 0, 2}>
        { t = Tile (x, r)
          y = Gather <axis = 1> (t, i) }""",
    "quantised": f"""
        g (float[3, 4] x) => (float[3, 2] y)
        <float s = {{0.25}}, int8 z = {{3}}, {ones("4, 2", "m", 8)}>
        {{ q = QuantizeLinear (x, s, z)
           d = DequantizeLinear (q, s, z)
           y = MatMul (d, m) }}""",
}


def sample_of(array: Array, index: int, batch: int) -> Array:
    length = len(array) // batch
    return array[index * length : (index + 1) * length]


@pytest.mark.parametrize("name", APART)
def test_a_batch_is_its_samples_one_after_the_other(
    name: str, model_file: ModelFile, run_onnx: RunOnnx
) -> None:
    path = model_file(APART[name])
    source = load_model(path)
    whole = onnx.load(path)
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in whole.graph.input
    }
    batch = shapes["x"][0]
    assert (source.batch, source.batch_obstacle) == (batch, "")
    assert {v.name: v.shape for v in source.inputs} == {
        name: (shape[0] // batch, *shape[1:]) for name, shape in shapes.items()
    }
    rng = np.random.default_rng(SEED)
    feed = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    want = run_onnx(whole, feed)
    for index in range(batch):
        one = {name: sample_of(array, index, batch) for name, array in feed.items()}
        got = run_onnx(source.model, one)
        for output, array in want.items():
            assert source.values[output].shape == got[output].shape
            np.testing.assert_allclose(
                got[output], sample_of(array, index, batch), rtol=1e-5, atol=1e-5
            )


MIXED = {
    "moves axis 0, the batch": """
        g (float[4, 4, 2] x) => (float[4, 4, 2] y)
        { y = Transpose <perm = [1, 0, 2]> (x) }""",
    "takes axis 0, the batch, together": """
        g (float[4, 4] x) => (float[1, 4] y) { y = ReduceMean <axes = [0]> (x) }""",
    "works along axis 0, the batch": """
        g (float[4, 4] x) => (float[4, 4] y) { y = Softmax <axis = 0> (x) }""",
    "chooses among the samples": """
        g (float[4, 4] x) => (float[4, 4] y)
        <int64[1] s = {-1}, int64[1] e = {-9}, int64[1] a = {0}>
        { y = Slice (x, s, e, a, s) }""",
    "has a constant of shape [4, 2], which differs from sample to sample": f"""
        g (float[4, 2] x) => (float[4, 2] y) <{ones("4, 2", "c", 8)}> {{ y = Add (x, c) }}""",
    "sums over samples": """
        g (float[4, 4] x) => (float[4, 4] y) { y = MatMul (x, x) }""",
    "broadcasts a tensor along the samples of another": """
        g (float[4, 4] x, float[4] t) => (float[4, 4] y) { y = Mul (x, t) }""",
    "repeats the batch": """
        g (float[4, 4] x) => (float[8, 4] y) <int64[2] r = {2, 1}> { y = Tile (x, r) }""",
    "resizes axis 0, the batch": """
        g (float[2, 3, 2, 2] x) => (float[4, 3, 2, 2] y)
        <float[0] r = {}, float[4] s = {2, 1, 1, 1}> { y = Resize (x, r, s) }""",
    "puts another axis before the batch": """
        g (float[2, 3] x) => (float[4, 2, 3] y) <int64[3] s = {4, 2, 3}> { y = Expand (x, s) }""",
    "adds samples to the batch": """
        g (float[2, 3] x) => (float[4, 3] y) <int64[4] p = {1, 0, 1, 0}> { y = Pad (x, p) }""",
    "has a scale for each sample": """
        g (float[2, 3] x) => (int8[2, 3] y) <float[2] s = {1, 2}, int8[2] z = {0, 0}>
        { y = QuantizeLinear <axis = 0> (x, s, z) }""",
}


@pytest.mark.parametrize("reason", MIXED)
def test_samples_that_meet_are_not_taken_apart(reason: str, model_file: ModelFile) -> None:
    """B3. The model stays as it is."""
    path = model_file(MIXED[reason])
    source = load_model(path)
    (node,) = source.nodes
    batch = source.inputs[0].shape[0]
    assert batch == onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0].dim_value
    assert source.batch == 1
    assert source.batch_obstacle == (
        f"the {batch} samples of the batch cannot be told apart: node {node.name!r} "
        f"({node.op_type}) {reason}"
    )


ELSEWHERE = {
    (
        "node 'Reshape_0' (Reshape) makes 'y' of shape [6, 4], whose axis 0 is no multiple of the "
        "batch"
    ): "g (float[4, 6] x) => (float[6, 4] y) <int64[2] s = {6, 4}> { y = Reshape (x, s) }",
    "node 'Div_4' (Div) computes with 'n', which depends on the batch": """
        g (float[4, 6] x) => (float[4, 6] y)
        { s = Shape (x)
          f = Cast <to = 1> (s)
          i = Constant <value = int64 {0}> ()
          n = Gather (f, i)
          y = Div (x, n) }""",
    "it is not known whether node 'CumSum_0' (CumSum) treats every sample by itself": """
        g (float[4, 6] x) => (float[4, 6] y) <int64 a = {1}> { y = CumSum (x, a) }""",
    "the output 'z' does not depend on the input": """
        g (float[4, 6] x) => (float[4, 6] y, float[1] z) <float[1] c = {1}>
        { y = Relu (x)
          z = Relu (c) }""",
    "node 'Add_1' (Add) has a constant of shape [4, 6], which differs from sample to sample": """
        g (float[4, 6] x) => (float[4, 6] y) <int64[2] s = {4, 6}, float[1] c = {2}>
        { e = Expand (c, s)
          y = Add (x, e) }""",
}


@pytest.mark.parametrize("why", ELSEWHERE)
def test_what_depends_on_the_batch_otherwise(why: str, model_file: ModelFile) -> None:
    """B2 to B5."""
    source = load_model(model_file(ELSEWHERE[why]))
    assert (source.batch, source.batch_obstacle.partition(": ")[2]) == (1, why)


@pytest.mark.parametrize(
    "inputs",
    ["float[1, 4] x", "float[N, 4] x", "float[4] x", "float[4, 2] x, float[3, 2] u"],
)
def test_other_inputs_have_no_fixed_batch(inputs: str, model_file: ModelFile) -> None:
    """B1."""
    second = "z = Relu (u)" if " u" in inputs else ""
    outputs = "float[K, 2] y, float[K, 2] z" if second else "float[K] y"
    source = load_model(model_file(f"g ({inputs}) => ({outputs}) {{ y = Relu (x) {second} }}"))
    assert (source.batch, source.batch_obstacle) == (1, "")
