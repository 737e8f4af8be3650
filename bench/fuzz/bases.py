# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The good models that a fuzzer starts from: small ones of every dialect, one of each operator, and
models by others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.parser

from midwire.compiler.ops import REGISTRY

LARGEST = 100_000
"""Bytes of a model by others that is taken: with larger ones there are too few cases a second."""

_DOMAINS = ', "com.microsoft" : 1, "qonnx.custom_op.general" : 1, "ai.onnx.ml" : 3, "local" : 1'

TEXTS: Mapping[str, str] = {
    "float": """
g (float[N, 2, 6, 6] x) => (float[N, 3] y)
<float[4, 2, 3, 3] w, float[4] b = {1, -1, 0.5, 2}, float[4] v = {1, 2, 3, 4},
 float[4, 3] m = {1, -2, 3, 0, 1, 2, 0.5, 0.25, -1, 7, 8, 9}, float[3] c = {1, 2, 3}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  n = BatchNormalization (a, b, b, b, v)
  r = Relu (n)
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
  s = Add (p, p)
  q = GlobalAveragePool (s)
  f = Flatten (q)
  h = MatMul (f, m)
  e = Add (h, c)
  y = Softmax <axis = 1> (e) }""",
    "qdq": """
g (float[1, 2, 5, 5] x) => (float[1, 50] y)
<float s = {0.5}, int8 z = {3}, int8[2, 2, 3, 3] w, float[2] ws = {0.5, 0.25}, int8[2] wz = {0, 0},
 int32[2] b = {10, -20}, float[2] bs = {0.25, 0.125}, int32[2] bz = {0, 0}, int64[2] t = {1, -1}>
{ a = QuantizeLinear (x, s, z)
  d = DequantizeLinear (a, s, z)
  v = DequantizeLinear <axis = 0> (w, ws, wz)
  c = DequantizeLinear <axis = 0> (b, bs, bz)
  h = Conv <pads = [1, 1, 1, 1]> (d, v, c)
  r = Relu (h)
  q = QuantizeLinear (r, s, z)
  e = DequantizeLinear (q, s, z)
  k = Add (e, d)
  l = QuantizeLinear (k, s, z)
  f = Reshape (l, t)
  y = DequantizeLinear (f, s, z) }""",
    "qoperator": """
g (uint8[N, 2, 4, 4] x) => (uint8[N, 2, 4, 4] y)
<float s = {0.5}, uint8 z = {113}, int8[2, 2, 1, 1] w = {1, -2, 3, -128},
 float[2] t = {0.25, 0.0375}, int8[2] v = {0, 0}, int32[2] b = {100, -7}>
{ a = QLinearConv (x, s, z, w, t, v, s, z, b)
  y = com.microsoft.QLinearAdd (a, s, z, x, s, z, s, z) }""",
    "qgemm": """
g (int8[N, 3] x) => (int8[N, 2] y)
<float s = {0.5}, int8 z = {-3}, int8[2, 3] w = {1, 2, -128, 127, 5, 6},
 float[2] t = {0.25, 0.0375}, int8[2] v = {0, 1}, int32[2] b = {100, -7}>
{ y = com.microsoft.QGemm <alpha = 0.3, transB = 1> (x, s, z, w, t, v, b, s, z) }""",
    "convinteger": """
g (float[N, 1, 4, 4] x) => (uint8[N, 2, 4, 4] y)
<float s = {0.5}, float t = {0.0375}, uint8 z = {113}, uint8 v = {125},
 uint8[2, 1, 3, 3] k, float[2, 1, 1] bias = {1, -2}>
{ q = QuantizeLinear (x, s, z)
  a = ConvInteger <pads = [1, 1, 1, 1]> (q, k, z, v)
  b = Cast <to = 1> (a)
  c = Mul (b, t)
  d = Add (c, bias)
  e = Relu (d)
  y = QuantizeLinear (e, s, z) }""",
    "dynamic": """
g (float[N, 3] x) => (float[N, 2] y)
<int8[3, 2] w = {1, 2, 3, 4, 5, 6}, float t = {0.5}>
{ q, s, z = DynamicQuantizeLinear (x)
  i = MatMulInteger (q, w, z)
  f = Cast <to = 1> (i)
  m = Mul (s, t)
  y = Mul (f, m) }""",
    "qonnx": """
g (float[1, 4, 3] x) => (float[1, 4, 3] y)
<float s = {0.5}, float z = {0}, float b = {4}, float o = {3}, float[3, 3] w>
{ a = qonnx.custom_op.general.Quant <signed = 1, narrow = 0, rounding_mode = "ROUND"> (x, s, z, b)
  v = qonnx.custom_op.general.BipolarQuant (w, s)
  h = MatMul (a, v)
  q = qonnx.custom_op.general.Quant <signed = 1, narrow = 0, rounding_mode = "ROUND"> (h, s, z, b)
  y = qonnx.custom_op.general.Trunc <rounding_mode = "FLOOR"> (q, s, z, b, o) }""",
    "linear_model": """
g (float[N, 3] x) => (int64[N] l, float[N, 2] y)
{ a = ai.onnx.ml.Scaler <offset = [1.0, 2.0, 3.0], scale = [1.0, 2.0, 0.5]> (x)
  l, y = ai.onnx.ml.LinearClassifier
    <coefficients = [1.0, 2.0, 3.0, -1.0, -2.0, -3.0], intercepts = [0.5, -0.5],
     classlabels_ints = [0, 1], multi_class = 0, post_transform = "SOFTMAX"> (a) }""",
    "svm": """
g (float[N, 3] x) => (float[N, 1] y)
{ y = ai.onnx.ml.SVMRegressor
    <coefficients = [1.0, 2.0], support_vectors = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], rho = [0.5],
     n_supports = 2, kernel_type = "LINEAR", kernel_params = [0.1, 0.0, 3.0]> (x) }""",
    "trees": """
g (float[N, 2] x) => (float[N, 1] y)
{ y = ai.onnx.ml.TreeEnsembleRegressor
    <n_targets = 1, nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2],
     nodes_featureids = [1, 0, 0], nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"],
     nodes_values = [0.5, 0.0, 0.0], nodes_truenodeids = [1, 0, 0],
     nodes_falsenodeids = [2, 0, 0], nodes_missing_value_tracks_true = [0, 0, 0],
     target_treeids = [0, 0], target_nodeids = [1, 2], target_ids = [0, 0],
     target_weights = [1.0, -2.0]> (x) }""",
    "norms": """
g (float[1, 3, 4] x) => (float[1, 3, 4] y)
<float two = {2}, float eps = {0.1}, float[4] gamma = {1, 2, 3, 4}, float[4, 4] w,
 int64[1] last = {-1}, float half = {0.5}, float root = {1.4142135}, float one = {1}>
{ m = ReduceMean <axes = [-1]> (x)
  d = Sub (x, m)
  p = Pow (d, two)
  v = ReduceMean <axes = [-1]> (p)
  u = Add (v, eps)
  r = Sqrt (u)
  n = Div (d, r)
  s = Mul (n, gamma)
  h = MatMul (s, w)
  a = Div (h, root)
  b = Erf (a)
  c = Add (b, one)
  e = Mul (h, c)
  y = Mul (e, half) }""",
    "attention": """
g (float[1, 4, 6] x) => (float[1, 4, 6] y)
<float[6, 6] a, float[6, 6] b, float[6, 6] c, int64[4] t = {0, 0, 2, 3}, int64[3] u = {0, 0, 6},
 float r = {1.7320508}>
{ qm = MatMul (x, a)
  km = MatMul (x, b)
  vm = MatMul (x, c)
  qr = Reshape (qm, t)
  kr = Reshape (km, t)
  vr = Reshape (vm, t)
  q = Transpose <perm = [0, 2, 1, 3]> (qr)
  k = Transpose <perm = [0, 2, 3, 1]> (kr)
  v = Transpose <perm = [0, 2, 1, 3]> (vr)
  s = MatMul (q, k)
  d = Div (s, r)
  p = Softmax <axis = -1> (d)
  o = MatMul (p, v)
  n = Transpose <perm = [0, 2, 1, 3]> (o)
  y = Reshape (n, u) }""",
    "shapes": """
g (float[N, 2, 4, 4] x, float[N, 2, 2, 2] z) => (float[N, 16] y, float[N, 1, 4, 4] e)
<float[2, 2, 1, 1] w, int64 zero = {0}, int64[1] less = {-1}, int64[2] parts = {1, 1},
 float[4] scales = {1, 1, 2, 2}, int64[1] at = {1}, int64[1] to = {2}>
{ a = Conv (x, w)
  s = Shape (a)
  b = Gather (s, zero)
  n = Unsqueeze (b, at)
  i = Resize <mode = "nearest"> (z, , scales)
  c = Concat <axis = 1> (a, i)
  d = Slice (c, at, to, at)
  e, f = Split <axis = 1> (a, parts)
  g1 = Mul (e, d)
  h = Sub (g1, f)
  t = Concat <axis = 0> (less, at)
  k = Transpose <perm = [0, 2, 3, 1]> (h)
  y = Flatten (k) }""",
    "branches": """
g (float[1, 2, 6] x) => (float[1, 2, 6] y)
<float[2, 2, 3] w, bool c = {1}, float[1] lo = {0.5}>
{ a = Conv <pads = [1, 1]> (x, w)
  b = If (c) <
    then_branch = t () => (float[1, 2, 6] r) { r = Relu (a) },
    else_branch = e () => (float[1, 2, 6] r2) { r2 = Neg (a) }>
  d = local.twice (b)
  y = Sigmoid (d) }""",
    "batch": """
g (float[3, 4] x) => (float[3, 2] y)
<float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[2] b = {1, 2}>
{ a = Gemm (x, w, b)
  y = Tanh (a) }""",
    "recurrent": """
g (float[5, 1, 3] x) => (float[5, 1, 1, 2] y)
<float[1, 8, 3] w, float[1, 8, 2] r>
{ y, h, c = LSTM <hidden_size = 2> (x, w, r) }""",
}
"""Small models in ONNX's text form. An initialiser without values gets some below."""

_TWICE = """
<domain: "local", opset_import: ["" : 13]>
twice (p) => (q) { q = Add (p, p) }
"""


def bases(models: Path | None = None) -> dict[str, bytes]:
    """Models by name: :data:`TEXTS`, the operators' own, and those of a folder that are small."""
    found = {name: _model(text).SerializeToString() for name, text in TEXTS.items()}
    for op in sorted(set(REGISTRY.values()), key=lambda op: op.__name__):
        found.update((case.name, case.model.SerializeToString()) for case in op.cases())
    if models is not None:
        for file in sorted(models.glob("*/model.onnx")):
            if file.stat().st_size <= LARGEST:
                found[file.parent.name] = file.read_bytes()
    return found


def _model(text: str) -> onnx.ModelProto:
    header = f'<ir_version: 8, opset_import: ["" : 13{_DOMAINS}]>\n'
    model = onnx.parser.parse_model(header + text + _TWICE)
    graph = model.graph
    rng = np.random.default_rng(len(text))
    for value in graph.value_info:
        kind = value.type.tensor_type
        shape = [dim.dim_value for dim in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        array = rng.integers(-9, 9, shape).astype(dtype)
        graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    del graph.value_info[:]
    return model
