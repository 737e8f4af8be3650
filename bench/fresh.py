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
    "norm_autoencoder": Design(
        "a LayerNormalization, and an autoencoder with Tanh",
        """g (float[N, 10] x) => (float[N, 10] y) {
        a = LayerNormalization <axis = -1> (x, gain, shift)
        b = Gemm (a, w1, b1)
        c = Tanh (b)
        y = Gemm (c, w2, b2)
        }""",
        {
            "gain": np.ones(10, np.float32),
            "shift": np.zeros(10, np.float32),
            "w1": (10, 4),
            "b1": (4,),
            "w2": (4, 10),
            "b2": (10,),
        },
        {"rate": 1e6},
    ),
    "upsampler_1d": Design(
        "a time series of twice the rate, and convolutions behind",
        """g (float[N, 3, 12] x) => (float[N, 2, 24] y) {
        a = Conv <pads = [1, 1]> (x, w1, b1)
        b = Relu (a)
        c = Resize <mode = "nearest"> (b, , scales)
        d = Conv <pads = [1, 1]> (c, w2)
        e = LeakyRelu (d)
        y = Conv (e, w3, b3)
        }""",
        {
            "w1": (5, 3, 3),
            "b1": (5,),
            "scales": np.array([1, 1, 2], np.float32),
            "w2": (4, 5, 3),
            "w3": (2, 4, 1),
            "b3": (2,),
        },
        {"rate": 2e5},
    ),
}
"""By name, in the order of the table."""
