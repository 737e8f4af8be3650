# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Designs that the resource model was judged by once: none was synthesised while it was made.

They are small, and of kinds that people put on a NIC. Whoever mends the model after having seen how
it does on these moves them to :mod:`.designs`, and writes others.
"""

from __future__ import annotations

import numpy as np

from .designs import Design, perceptron

FRESH = {
    "packet_mlp": perceptron("20 features of a flow, three classes", (20, 12, 6, 3), rate=2e6),
    "depthwise_cnn": Design(
        "a depthwise separable network on small images",
        """g (float[N, 2, 8, 8] x) => (float[N, 3] y) {
        a = Conv <kernel_shape = [2, 2], strides = [2, 2]> (x, w1, b1)
        b = Relu (a)
        c = Conv <pads = [1, 1, 1, 1], group = 4> (b, w2)
        d = Relu (c)
        e = Conv (d, w3)
        p = GlobalAveragePool (e)
        y = Flatten (p)
        }""",
        {"w1": (4, 2, 2, 2), "b1": (4,), "w2": (4, 1, 3, 3), "w3": (3, 4, 1, 1)},
    ),
    "denoiser_1d": Design(
        "a convolutional autoencoder in one dimension",
        """g (float[N, 2, 24] x) => (float[N, 2, 24] y) {
        a = Conv <kernel_shape = [4], strides = [2], pads = [1, 1]> (x, w1, b1)
        b = Relu (a)
        c = Conv <kernel_shape = [3], pads = [1, 1]> (b, w2)
        d = Relu (c)
        y = ConvTranspose <kernel_shape = [2], strides = [2]> (d, w3)
        }""",
        {"w1": (4, 2, 4), "b1": (4,), "w2": (3, 4, 3), "w3": (3, 2, 2)},
        {"rate": 2e5},
    ),
    "attention_head": Design(
        "one head of attention over four tokens",
        """g (float[N, 4, 6] x) => (float[N, 4, 4] y) {
        q = MatMul (x, wq)
        k0 = MatMul (x, wk)
        v = MatMul (x, wv)
        k = Transpose <perm = [0, 2, 1]> (k0)
        s0 = MatMul (q, k)
        s = Mul (s0, scale)
        t = Softmax <axis = -1> (s)
        y = MatMul (t, v)
        }""",
        {"wq": (6, 4), "wk": (6, 4), "wv": (6, 4), "scale": np.array(0.5, np.float32)},
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
