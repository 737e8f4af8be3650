# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Designs that the rules of the resource model were completed with.

They differ in what takes most: multipliers or adders, memories or registers. All are small, so that
Yosys ends within a minute. Weights and samples are random, from one seed: resources hardly depend
on what a network has learned.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

Array = np.ndarray[Any, Any]

SEED = 20261126
SAMPLES = 32
INDICES = 64


_HEADER = '<ir_version: 8, opset_import: ["" : 17, "qonnx.custom_op.general" : 1]>\n'


@dataclass(frozen=True)
class Design:
    """A model with the options that it is compiled with.

    Attributes
    ----------
    about : what is special about it
    graph : in ONNX's textual syntax; or what makes the model
    weights : shapes of initialisers by name, drawn from the normal distribution and divided by the
        root of their inputs; arrays are taken as they are
    options : of the compile
    """

    about: str
    graph: str | Callable[[], onnx.ModelProto]
    weights: Mapping[str, tuple[int, ...] | Array] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> tuple[Path, Path]:
        """The model and samples of its input; returns both files."""
        rng = np.random.default_rng(SEED)
        model = self._model(rng) if isinstance(self.graph, str) else self.graph()
        (value,) = model.graph.input
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
        x: Array = rng.normal(0, 1, (SAMPLES, 1, *shape)).astype(np.float32)
        if value.type.tensor_type.elem_type == TensorProto.INT64:
            x = rng.integers(0, INDICES, (SAMPLES, 1, *shape))
        file, samples = folder / "model.onnx", folder / "samples.npz"
        onnx.save(model, file)
        np.savez(samples, in0=x)
        return file, samples

    def _model(self, rng: np.random.Generator) -> onnx.ModelProto:
        assert isinstance(self.graph, str)
        text = _HEADER + self.graph
        model = parser.parse_model(text)
        for name, each in self.weights.items():
            if isinstance(each, tuple):
                fan = max(1, int(np.prod(each[1:] if len(each) > 2 else each[:1])))
                each = rng.normal(0, 1, each).astype(np.float32) / np.float32(np.sqrt(fan))
            model.graph.initializer.append(numpy_helper.from_array(each, name))
        return model


def trees(depth: int, count: int, features: int, targets: int) -> onnx.ModelProto:
    """Complete trees of comparisons, added up."""
    rng = np.random.default_rng(SEED)
    inner = (1 << depth) - 1
    keys = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    nodes: dict[str, list[Any]] = {f"nodes_{key}": [] for key in keys}
    leaves: dict[str, list[Any]] = {
        f"target_{key}": [] for key in ("treeids", "nodeids", "ids", "weights")
    }
    for tree in range(count):
        for node in range(2 * inner + 1):
            leaf = node >= inner
            row = (
                tree,
                node,
                0 if leaf else int(rng.integers(features)),
                0.0 if leaf else float(np.float32(rng.normal())),
                "LEAF" if leaf else "BRANCH_LEQ",
                0 if leaf else 2 * node + 1,
                0 if leaf else 2 * node + 2,
            )
            for column, item in zip(nodes.values(), row, strict=True):
                column.append(item)
            for target in range(targets) if leaf else ():
                weight = float(np.float32(rng.normal()))
                for column, item in zip(leaves.values(), (tree, node, target, weight), strict=True):
                    column.append(item)
    made = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], "trees", domain="ai.onnx.ml")
    attributes: dict[str, Any] = {"n_targets": targets} | nodes | leaves
    made.attribute.extend(helper.make_attribute(*each) for each in sorted(attributes.items()))
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])
        for name, size in (("x", features), ("y", targets))
    )
    imports = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 17)]
    graph = helper.make_graph([made], "forest", [x], [y])
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def dense(*sizes: int) -> str:
    """A perceptron with Relu between layers."""
    lines, last = [], "x"
    for k in range(1, len(sizes)):
        end = "y" if k == len(sizes) - 1 else f"h{k}"
        lines.append(f"m{k} = MatMul ({last}, w{k})")
        lines.append(f"{end} = {'Identity' if end == 'y' else 'Relu'} (a{k})")
        lines[-1:-1] = [f"a{k} = Add (m{k}, b{k})"]
        last = end
    body = "\n".join(lines)
    return f"g (float[N, {sizes[0]}] x) => (float[N, {sizes[-1]}] y) {{\n{body}\n}}"


def dense_weights(*sizes: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of :func:`dense`."""
    pairs = list(enumerate(itertools.pairwise(sizes), 1))
    return {f"w{k}": pair for k, pair in pairs} | {f"b{k}": pair[1:] for k, pair in pairs}


def perceptron(about: str, sizes: tuple[int, ...], **options: Any) -> Design:
    """A design that is :func:`dense`."""
    return Design(about, dense(*sizes), dense_weights(*sizes), options)


_BIPOLAR = np.where(np.random.default_rng(7).normal(size=(32, 16)) < 0, -1, 1).astype(np.float32)

DESIGNS = {
    "mlp_folded": perceptron("dense layers, a beat every few cycles", (32, 40, 24, 10), rate=5e5),
    "mlp_unrolled": perceptron("dense layers as adder graphs", (12, 10, 4), strategy="unrolled"),
    "mlp_4bit": perceptron("dense layers of 4 bits", (24, 32, 8), bits=4, rate=2e6),
    "autoencoder": perceptron("a bottleneck, fast", (24, 12, 4, 12, 24), rate=2e6),
    "conv_pool": Design(
        "3 x 3 convolutions, folded, and max pools",
        """g (float[N, 2, 12, 12] x) => (float[N, 6] y) {
        a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        b = Relu (a)
        c = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
        d = Conv <pads = [1, 1, 1, 1]> (c, w2)
        e = Relu (d)
        f = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (e)
        h = Flatten (f)
        y = MatMul (h, w3)
        }""",
        {"w1": (8, 2, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "w3": (72, 6)},
    ),
    "conv_unrolled": Design(
        "a convolution whose weights are adders",
        """g (float[N, 1, 8, 8] x) => (float[N, 3, 6, 6] y) {
        a = Conv (x, w1, b1)
        y = Relu (a)
        }""",
        {"w1": (3, 1, 3, 3), "b1": (3,)},
        {"strategy": "unrolled"},
    ),
    "separable": Design(
        "depthwise and pointwise, as in keyword spotting",
        """g (float[N, 1, 16, 8] x) => (float[N, 8] y) {
        a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1)
        b = Relu (a)
        c = Conv <pads = [1, 1, 1, 1], group = 8> (b, w2)
        d = Relu (c)
        e = Conv (d, w3)
        f = Relu (e)
        p = GlobalAveragePool (f)
        h = Flatten (p)
        y = MatMul (h, w4)
        }""",
        {"w1": (8, 1, 3, 3), "w2": (8, 1, 3, 3), "w3": (16, 8, 1, 1), "w4": (16, 8)},
    ),
    "residual": Design(
        "a sum of two branches, and a longer FIFO",
        """g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) {
        a = Conv <pads = [1, 1, 1, 1]> (x, w1)
        b = Relu (a)
        c = Conv <pads = [1, 1, 1, 1]> (b, w2)
        d = Add (x, c)
        y = Relu (d)
        }""",
        {"w1": (4, 4, 3, 3), "w2": (4, 4, 3, 3)},
    ),
    "attention": Design(
        "layer norm, softmax and products of two streams",
        """g (float[N, 6, 8] x) => (float[N, 6, 8] y) {
        h = LayerNormalization <axis = -1> (x, gain, shift)
        q = MatMul (h, wq)
        k0 = MatMul (h, wk)
        v = MatMul (h, wv)
        k = Transpose <perm = [0, 2, 1]> (k0)
        s0 = MatMul (q, k)
        s = Mul (s0, scale)
        t = Softmax <axis = -1> (s)
        u = MatMul (t, v)
        y = Add (x, u)
        }""",
        {
            "gain": np.ones(8, np.float32),
            "shift": np.zeros(8, np.float32),
            "wq": (8, 8),
            "wk": (8, 8),
            "wv": (8, 8),
            "scale": np.array(8**-0.5, np.float32),
        },
    ),
    "forest": Design("trees of comparisons", lambda: trees(4, 12, 8, 3)),
    "mlp_wide": perceptron("dense layers of other widths, 6 bits", (40, 20, 5), bits=6, rate=1e6),
    "mlp_binary": Design(
        "binary weights",
        """g (float[N, 32] x) => (float[N, 6] y) {
        w = qonnx.custom_op.general.BipolarQuant (w0, one)
        a = MatMul (x, w)
        b = Relu (a)
        y = MatMul (b, v)
        }""",
        {"w0": _BIPOLAR, "one": np.ones((), np.float32), "v": (16, 6)},
        {"rate": 1e6},
    ),
    "audio_1d": Design(
        "strided, depthwise and pointwise convolutions in one dimension",
        """g (float[N, 2, 32] x) => (float[N, 4] y) {
        a = Conv <pads = [2, 2], strides = [2]> (x, w1, b1)
        b = HardSwish (a)
        c = Conv <pads = [1, 1], group = 6> (b, w2)
        d = Relu (c)
        e = Conv (d, w3)
        f = Relu (e)
        p = GlobalAveragePool (f)
        y = Flatten (p)
        }""",
        {"w1": (6, 2, 5), "b1": (6,), "w2": (6, 1, 3), "w3": (4, 6, 1)},
        {"rate": 1e5},
    ),
    "detector": Design(
        "two scales: upsampling and a concatenation",
        """g (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y) {
        a = Conv <strides = [2, 2]> (x, w1)
        b = Relu (a)
        c = Resize <mode = "nearest"> (b, , scales)
        d = Concat <axis = 1> (x, c)
        y = Conv (d, w2, b2)
        }""",
        {
            "w1": (4, 2, 2, 2),
            "w2": (2, 6, 1, 1),
            "b2": (2,),
            "scales": np.array([1, 1, 2, 2], np.float32),
        },
    ),
    "squeeze_excite": Design(
        "channels scaled by what their means say",
        """g (float[N, 8, 6, 6] x) => (float[N, 8, 6, 6] y) {
        p = GlobalAveragePool (x)
        a = Conv (p, w1, b1)
        b = Relu (a)
        c = Conv (b, w2, b2)
        d = HardSigmoid (c)
        y = Mul (x, d)
        }""",
        {"w1": (2, 8, 1, 1), "b1": (2,), "w2": (8, 2, 1, 1), "b2": (8,)},
    ),
    "gru": Design(
        "a recurrent layer",
        """g (float[N, 6, 4] x) => (float[N, 3] y) {
        t = Transpose <perm = [1, 0, 2]> (x)
        a, h = GRU <hidden_size = 5, linear_before_reset = 1> (t, w, r, b)
        s = Squeeze (h, zero)
        y = MatMul (s, v)
        }""",
        {
            "w": (1, 15, 4),
            "r": (1, 15, 5),
            "b": (1, 30),
            "v": (5, 3),
            "zero": np.zeros(1, np.int64),
        },
    ),
    "instance_norm": Design(
        "means and deviations of channels",
        """g (float[N, 2, 5, 5] x) => (float[N, 4, 5, 5] y) {
        a = InstanceNormalization (x, gain, shift)
        b = Conv (a, w)
        y = Relu (b)
        }""",
        {"gain": np.ones(2, np.float32), "shift": np.zeros(2, np.float32), "w": (4, 2, 1, 1)},
    ),
    "embedding": Design(
        "vectors looked up by bytes, and their mean",
        """g (int64[N, 12] x) => (float[N, 4] y) {
        a = Gather (table, x)
        b = ReduceMean <axes = [1], keepdims = 0> (a)
        c = MatMul (b, w1)
        d = Relu (c)
        y = MatMul (d, w2)
        }""",
        {"table": (64, 6), "w1": (6, 10), "w2": (10, 4)},
    ),
    "pyramid": Design(
        "average pools, a convolution, and linear interpolation",
        """g (float[N, 3, 8, 8] x) => (float[N, 3, 8, 8] y) {
        a = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (x)
        b = Conv <pads = [1, 1, 1, 1]> (a, w, b0)
        c = Tanh (b)
        y = Resize <mode = "linear"> (c, , scales)
        }""",
        {"w": (3, 3, 3, 3), "b0": (3,), "scales": np.array([1, 1, 2, 2], np.float32)},
    ),
    "boosted": Design("many small trees, one target", lambda: trees(3, 20, 6, 1)),
    "generator": Design(
        "transposed convolutions",
        """g (float[N, 10] x) => (float[N, 1, 8, 8] y) {
        a = MatMul (x, w0)
        r = Reshape (a, shape)
        b = ConvTranspose <strides = [2, 2]> (r, w1)
        c = LeakyRelu (b)
        y = ConvTranspose <strides = [2, 2]> (c, w2)
        }""",
        {
            "w0": (10, 16),
            "shape": np.array([-1, 4, 2, 2], np.int64),
            "w1": (4, 2, 2, 2),
            "w2": (2, 1, 2, 2),
        },
    ),
    "mlp_sparse": Design(
        "adder graphs of weights of which most are zero",
        dense(16, 8, 4),
        {
            name: np.random.default_rng(len(name) + shape[0]).normal(size=shape).astype(np.float32)
            * (np.random.default_rng(shape[0]).random(shape) < 0.3).astype(np.float32)
            if name[0] == "w"
            else shape
            for name, shape in dense_weights(16, 8, 4).items()
        },
        {"strategy": "unrolled", "bits": 5},
    ),
    "svm": Design(
        "scores of a linear support vector machine, as probabilities",
        """g (float[N, 30] x) => (float[N, 5] y) {
        a = Gemm (x, w, b)
        y = Sigmoid (a)
        }""",
        {"w": (30, 5), "b": (5,)},
        {"rate": 1e6},
    ),
    "residual_1d": Design(
        "a residual block on a time series, and a dense layer",
        """g (float[N, 3, 16] x) => (float[N, 2] y) {
        a = Conv <pads = [1, 1]> (x, w1)
        b = Relu (a)
        c = Conv <pads = [1, 1]> (b, w2)
        d = Add (x, c)
        e = Relu (d)
        p = MaxPool <kernel_shape = [2], strides = [2]> (e)
        h = Flatten (p)
        y = MatMul (h, w3)
        }""",
        {"w1": (3, 3, 3), "w2": (3, 3, 3), "w3": (24, 2)},
        {"rate": 1e5},
    ),
}
"""By name, in the order of the table."""
