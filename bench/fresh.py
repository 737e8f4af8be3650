# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Designs that the resource model was judged by once: none was looked at while it was made.

They are of other kinds and sizes than those of :mod:`.designs`. Whoever mends the model after
having seen how it does on these moves them there, and writes others.
"""

from __future__ import annotations

import numpy as np

from .designs import Design, dense, dense_weights, perceptron, trees

_BIPOLAR = np.where(np.random.default_rng(7).normal(size=(32, 16)) < 0, -1, 1).astype(np.float32)

FRESH = {
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
}
"""By name, in the order of the table."""
