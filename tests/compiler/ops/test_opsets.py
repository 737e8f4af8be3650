# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators by opsets, from 7 to the newest: what was an attribute and is an input now, or had
another default. All forms of an operator give the same integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.normalise import OLDEST_OPSET
from midwire.compiler.map.fuse import fuse
from midwire.compiler.ops import REGISTRY
from midwire.compiler.quantise.insert import quantise
from midwire.compiler.select.buildable import plan
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]

SEED = 20261128
NEWEST = int(onnx.defs.onnx_opset_version())


@dataclass(frozen=True)
class Form:
    """A spelling of one node, ``y`` of ``x``, from one opset to another."""

    text: str
    first: int = OLDEST_OPSET
    last: int = NEWEST


def values(count: int) -> str:
    """Small numbers."""
    return ", ".join(str((7 * i) % 11 - 5) for i in range(count))


CONSTANTS = f"""
float zero = {{0}}, float low = {{-0.5}}, float high = {{0.75}}, float step = {{0.0625}},
float two = {{2}},
float[0] none = {{}},
uint8 point = {{128}}, bool[6] mask = {{1, 0, 1, 1, 0, 1}},
int64[1] one = {{1}}, int64[1] axis = {{2}}, int64[1] end = {{3}},
int64[2] spatial = {{2, 3}}, int64[2] around = {{2, 4}}, int64[2] parts = {{1, 3}},
int64[3] rows = {{1, 4, 24}}, int64[8] pads = {{0, 0, 1, 2, 0, 0, 1, 0}},
int64[4] same = {{1, 4, 4, 6}}, int64[4] tiles = {{1, 2, 1, 3}}, int64[4] double = {{1, 4, 8, 12}},
float[4] twice = {{1, 1, 2, 2}}, float[4] m = {{0.5, -2, 0, 1.25}},
float[4] v = {{1, 2, 0.5, 4}}, float[4, 4, 1, 1] w = {{{values(16)}}},
float[24, 2] matrix = {{{values(48)}}}, float[96, 2] wide = {{{values(192)}}},
float[2] c = {{0.5, -1}}, float[4] halves = {{0.5, 0.5, -1, -1}},
int64[3] sequence = {{4, 1, 24}},
float[1, 8, 24] lstm = {{{values(192)}}}, float[1, 8, 2] lstm_h = {{{values(16)}}},
float[1, 2, 24] rnn = {{{values(48)}}}, float[1, 2, 2] rnn_h = {{{values(4)}}},
float[1, 6, 24] gru = {{{values(144)}}}, float[1, 6, 2] gru_h = {{{values(12)}}},
float[6] gain = {{0.5, -2, 1, 1.25, 4, 1}}, float[6] shift = {{0, 1, -1, 0.5, 0, 2}}
"""

POOL = "kernel_shape = [2, 2], strides = [2, 2]"
FUNCTIONS = {
    "Abs": 7, "Acos": 7, "Acosh": 9, "Asin": 7, "Asinh": 9, "Atan": 7, "Atanh": 9, "Cos": 7,
    "Cosh": 9, "Sin": 7, "Sinh": 9, "Tan": 7,
    "Ceil": 7, "Celu": 12, "Elu": 7, "Erf": 9, "Exp": 7, "Floor": 7, "Gelu": 20,
    "HardSigmoid": 7, "HardSwish": 14, "Identity": 7, "LeakyRelu": 7, "LpNormalization": 7,
    "Mish": 18, "Neg": 7, "Reciprocal": 7, "Relu": 7, "Round": 11, "Selu": 7, "Shrink": 9,
    "Sigmoid": 7, "Sign": 9, "Softplus": 7, "Softsign": 7, "Swish": 24, "Tanh": 7,
    "ThresholdedRelu": 10, "GlobalAveragePool": 7, "GlobalMaxPool": 7,
}  # fmt: skip

TABLE: dict[str, tuple[Form, ...]] = {
    **{name: (Form(f"y = {name}(x)", first),) for name, first in FUNCTIONS.items()},
    "Log": (Form("e = Exp(x) y = Log(e)"),),
    "Sqrt": (Form("e = Exp(x) y = Sqrt(e)"),),
    "Add": (Form("y = Add(x, x)"),),
    "ArgMax": (
        Form("y = ArgMax <axis = 1> (x)"),
        Form("y = ArgMax <axis = -3> (x)", 11),
        Form("y = ArgMax <axis = 1, select_last_index = 0> (x)", 12),
    ),
    "ArgMin": (
        Form("y = ArgMin <axis = 1> (x)"),
        Form("y = ArgMin <axis = -3> (x)", 11),
        Form("y = ArgMin <axis = 1, select_last_index = 0> (x)", 12),
    ),
    "TopK": (
        Form("y, t = TopK <axis = 3, k = 3> (x)", 7, 9),
        Form("y, t = TopK <axis = 3> (x, end)", 10),
        Form("y, t = TopK <largest = 1, sorted = 1> (x, end)", 11),
    ),
    "Pow": (Form("y = Pow(x, two)"),),
    "Sub": (Form("y = Sub(x, high)"),),
    "Mul": (Form("y = Mul(high, x)"),),
    "Div": (Form("y = Div(x, high)"),),
    "AveragePool": (
        Form(f"y = AveragePool <{POOL}> (x)"),
        Form(f"y = AveragePool <{POOL}, ceil_mode = 0> (x)", 10),
    ),
    "MaxPool": (
        Form(f"y = MaxPool <{POOL}> (x)"),
        Form(f"y = MaxPool <{POOL}, dilations = [1, 1], storage_order = 0> (x)", 10),
    ),
    "BatchNormalization": (
        Form("y = BatchNormalization <spatial = 1> (x, m, m, m, v)", 7, 8),
        Form("y = BatchNormalization (x, m, m, m, v)"),
        Form("y = BatchNormalization <training_mode = 0> (x, m, m, m, v)", 14),
    ),
    "Cast": (Form("y = Cast <to = 1> (x)"),),
    "Clip": (
        Form("y = Clip <min = -0.5, max = 0.75> (x)", 7, 10),
        Form("y = Clip (x, low, high)", 11),
    ),
    "Concat": (Form("r = Relu(x) y = Concat <axis = 1> (r, x)"),),
    "Conv": (
        Form("y = Conv (x, w, m)"),
        Form('y = Conv <kernel_shape = [1, 1], auto_pad = "SAME_UPPER"> (x, w, m)'),
    ),
    "ConvTranspose": (
        Form("y = ConvTranspose (x, w, m)"),
        Form('y = ConvTranspose <kernel_shape = [1, 1], auto_pad = "VALID"> (x, w, m)'),
    ),
    "DepthToSpace": (
        Form("y = DepthToSpace <blocksize = 2> (x)"),
        Form('y = DepthToSpace <blocksize = 2, mode = "DCR"> (x)', 11),
    ),
    "SpaceToDepth": (Form("y = SpaceToDepth <blocksize = 2> (x)"),),
    "Dropout": (
        Form("r = Relu(x) y = Dropout <ratio = 0.5> (r)", 7, 11),
        Form("r = Relu(x) y = Dropout (r, high)", 12),
    ),
    "Expand": (Form("g = GlobalAveragePool(x) y = Expand (g, same)", 8),),
    "Flatten": (Form("f = Flatten(x) y = Relu(f)"),),
    "Gather": (Form("y = Gather <axis = 2> (x, parts)"),),
    "Gemm": (Form("f = Flatten(x) y = Gemm(f, wide, c)"),),
    "MatMul": (Form("r = Reshape(x, rows) y = MatMul(r, matrix)"),),
    "Max": (Form("r = Relu(x) y = Max(r, x)"), Form("r = Relu(x) y = Max(x, r)", 12)),
    "Min": (Form("y = Min(x, high)", 8),),
    "PRelu": (Form("y = PRelu(x, gain)"),),
    "Where": (Form("y = Where(mask, x, high)", 9),),
    "Pad": (
        Form('y = Pad <pads = [0, 0, 1, 2, 0, 0, 1, 0], mode = "constant"> (x)', 7, 10),
        Form("y = Pad (x, pads)", 11),
        Form("y = Pad (x, pads, zero)", 11),
    ),
    "ReduceMean": (
        Form("y = ReduceMean <axes = [2, 3], keepdims = 1> (x)", 7, 17),
        Form("y = ReduceMean <keepdims = 1> (x, spatial)", 18),
    ),
    "Reshape": (
        Form("r = Reshape(x, rows) y = Relu(r)"),
        Form("r = Reshape <allowzero = 0> (x, rows) y = Relu(r)", 14),
    ),
    "Resize": (
        Form('y = Resize <mode = "nearest"> (x, twice)', 10, 10),
        Form(
            'y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", '
            'nearest_mode = "floor"> (x, none, twice)',
            11,
        ),
        Form(
            'y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", '
            'nearest_mode = "floor"> (x, , twice)',
            13,
        ),
        Form(
            'y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", '
            'nearest_mode = "floor"> (x, , , double)',
            13,
        ),
    ),
    "Upsample": (
        Form('y = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]> (x)', 7, 8),
        Form('y = Upsample <mode = "nearest"> (x, twice)', 9, 9),
    ),
    "Slice": (
        Form("y = Slice <axes = [2], starts = [1], ends = [3]> (x)", 7, 9),
        Form("y = Slice (x, one, end, axis)", 10),
    ),
    "Split": (
        Form("y, t = Split <axis = 1, split = [1, 3]> (x)", 7, 12),
        Form("y, t = Split <axis = 1> (x, parts)", 13),
    ),
    "Squeeze": (
        Form("g = GlobalAveragePool(x) y = Squeeze <axes = [2, 3]> (g)", 7, 12),
        Form("g = GlobalAveragePool(x) y = Squeeze (g, spatial)", 13),
    ),
    "Unsqueeze": (
        Form("r = Relu(x) y = Unsqueeze <axes = [2, 4]> (r)", 7, 12),
        Form("r = Relu(x) y = Unsqueeze (r, around)", 13),
    ),
    "Tile": (Form("y = Tile (x, tiles)"),),
    "Transpose": (Form("r = Relu(x) y = Transpose <perm = [0, 2, 3, 1]> (r)"),),
    "Softmax": (
        Form("y = Softmax <axis = 3> (x)"),
        Form("y = Softmax <axis = -1> (x)", 11),
        Form("y = Softmax (x)", 13),
    ),
    "LogSoftmax": (
        Form("y = LogSoftmax <axis = 3> (x)"),
        Form("y = LogSoftmax <axis = -1> (x)", 11),
        Form("y = LogSoftmax (x)", 13),
    ),
    "LayerNormalization": (
        Form("y = LayerNormalization (x, gain, shift)", 17),
        Form("y = LayerNormalization <axis = 3, epsilon = 0.00001> (x, gain, shift)", 17),
    ),
    "GroupNormalization": (
        Form("y = GroupNormalization <num_groups = 2> (x, c, c)", 18, 20),
        Form("y = GroupNormalization <num_groups = 2> (x, halves, halves)", 21),
    ),
    "InstanceNormalization": (
        Form("y = InstanceNormalization (x, v, m)"),
        Form("y = InstanceNormalization <epsilon = 0.00001> (x, v, m)"),
    ),
    "LSTM": (Form("t = Reshape(x, sequence) y = LSTM <hidden_size = 2> (t, lstm, lstm_h)"),),
    "RNN": (Form("t = Reshape(x, sequence) y = RNN <hidden_size = 2> (t, rnn, rnn_h)"),),
    "GRU": (
        Form("t = Reshape(x, sequence) y = GRU <hidden_size = 2> (t, gru, gru_h)"),
        Form(
            "t = Reshape(x, sequence) "
            "y = GRU <hidden_size = 2, linear_before_reset = 1> (t, gru, gru_h)"
        ),
    ),
    "RMSNormalization": (
        Form("y = RMSNormalization (x, gain)", 23),
        Form("y = RMSNormalization <axis = 3, epsilon = 0.00001> (x, gain)", 23),
    ),
    "QuantizeLinear": (
        Form("n = QuantizeLinear(x, step, point) y = DequantizeLinear(n, step, point)", 10),
    ),
}


for reduction, inputs_from in {
    "ReduceMax": 18, "ReduceMin": 18, "ReduceSum": 13, "ReduceL2": 18, "ReduceSumSquare": 18,
}.items():  # fmt: skip
    TABLE[reduction] = (
        Form(f"y = {reduction} <axes = [2, 3], keepdims = 1> (x)", 7, inputs_from - 1),
        Form(f"y = {reduction} <keepdims = 1> (x, spatial)", inputs_from),
    )


def opsets(name: str) -> list[int]:
    """Those in which an operator changed, both ends, and those around a change of its form."""
    found = {OLDEST_OPSET, NEWEST}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.name == name and not schema.domain:
            found |= {schema.since_version - 1, schema.since_version}
    return sorted(each for each in found if OLDEST_OPSET <= each <= NEWEST)


def integers(path: Path, x: Array) -> Array:
    """Of ``y``, in the order of the stream, from integers of ``x`` on the grid of 1/16."""
    graph = plan(load_model(path), "x", "y", calibrated=True).selection.graph
    # The grid of an Exp has no negative numbers, which Log and Sqrt do not take.
    fused = fuse(quantise(graph, lambda name: QType(8, False, 2.0**-4, 128 * (name != "e")), 8))
    (spec,) = (fused.tensors[name] for name in fused.inputs)
    stream = spec.layout.to_stream(x)[None]
    (got,) = Reference(fused.inputs, fused.outputs, fused.nodes).run([stream]).values()
    return np.asarray(got)


@pytest.mark.parametrize("name", TABLE)
def test_every_form_in_every_opset(model_file: ModelFile, name: str) -> None:
    print(f"seed {SEED}")
    x = np.random.default_rng(SEED).integers(0, 256, (1, 4, 4, 6))
    results: dict[tuple[int, str], Array] = {}
    for opset in opsets(name):
        for form in TABLE[name]:
            if form.first <= opset <= form.last:
                kind = "int64" if name.startswith("Arg") else "float"
                ends = f"(float[N, 4, 4, 6] x) => ({kind}[M] y)"
                text = f"g {ends} <{CONSTANTS}> {{ {form.text} }}"
                results[opset, form.text] = integers(model_file(text, opset), x)
    first = next(iter(results.values()))
    for at, result in results.items():
        np.testing.assert_array_equal(result, first, err_msg=str(at))
    # Nothing between the operator's first opset and its last is left out.
    forms = TABLE[name]
    covered = {n for form in forms for n in range(form.first, form.last + 1)}
    assert covered == set(range(min(covered), max(covered) + 1))


@pytest.mark.parametrize("opset", opsets("Gather"))
def test_rows_of_a_table_in_every_opset(model_file: ModelFile, opset: int) -> None:
    """Gather with a constant operand; negative integers count from its end."""
    text = (
        "g (int64[N, 5] x) => (float[M] y) <float[4, 6] t = "
        f"{{{values(24)}}}> {{ y = Gather (t, x) }}"
    )
    graph = plan(load_model(model_file(text, opset)), "x", "y", calibrated=True).selection.graph
    fused = fuse(quantise(graph, lambda name: QType(8, True, 1.0), 8))
    assert fused.tensors["x"].qtype == QType(3, True, 1.0)
    stream = np.array([[0, 3, -1, -4, 2]])
    (got,) = Reference(fused.inputs, fused.outputs, fused.nodes).run([stream]).values()
    table = np.array([(7 * i) % 11 - 5 for i in range(24)]).reshape(4, 6)
    np.testing.assert_array_equal(np.asarray(got).reshape(5, 6), table[stream[0]])


def test_the_table_has_every_operator() -> None:
    """But for what patterns make, and for other domains, which have versions of their own."""
    own = {name for name in REGISTRY if not name.startswith("ai.onnx.ml.")}
    listed = {*TABLE, "DequantizeLinear"}
    assert own - listed == {"BipolarQuant", "Embedding", "Formula"}
