# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Models as ONNX Runtime's own quantiser writes them, and what import rules refuse."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops._model import one_node
from midwire.compiler.ops.base import Unsupported
from midwire.compiler.pipeline import compile_model
from midwire.compiler.select.support import import_all
from midwire.hw.errors import LONGEST
from midwire.hw.formats.bundle import Bundle
from midwire.hw.kernels.reference import Reference
from midwire.hw.session import open_session
from midwire.sim.verify import verify

Array = np.ndarray[Any, Any]

NET = """
g (float[1, 3, 8, 8] x) => (float[1, 5] y)
<float zero = {0}, float six = {6}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
  b = Relu (a)
  c = Conv <pads = [0, 1, 2, 1], group = 4> (b, w2, b2)
  d = Clip (c, zero, six)
  e = Conv (d, w3)
  f = Add (e, b)
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (f)
  r = Relu (p)
  s = AveragePool <kernel_shape = [2, 2], strides = [1, 1]> (r)
  t = GlobalAveragePool (s)
  u = Flatten (t)
  y = Gemm <transB = 1> (u, w4, b4) }
"""

WEIGHTS = {
    "w1": (4, 3, 3, 3),
    "b1": (4,),
    "w2": (4, 1, 3, 3),
    "b2": (4,),
    "w3": (4, 4, 1, 1),
    "w4": (5, 4),
    "b4": (5,),
}

SEED = 5


class Samples(CalibrationDataReader):
    """Gaussian images."""

    def __init__(self) -> None:
        rng = np.random.default_rng(SEED)
        self._left: Iterator[Array] = iter(rng.standard_normal((8, 1, 3, 8, 8)).astype(np.float32))

    def get_next(self) -> dict[str, Array] | None:
        sample = next(self._left, None)
        return None if sample is None else {"x": sample}


def float_model(opset: int) -> onnx.ModelProto:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{NET}')
    rng = np.random.default_rng(SEED)
    for name, shape in WEIGHTS.items():
        array = (rng.standard_normal(shape) / 2).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


Quantise = Callable[..., Path]


@pytest.fixture
def quantised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Quantise:
    """A file of the net above in QDQ form, by ONNX Runtime's quantiser."""
    monkeypatch.setattr(logging.root, "disabled", True)  # it advises pre-processing

    def write(opset: int, **options: Any) -> Path:
        print(f"seed {SEED}")
        path = tmp_path / "float.onnx"
        path.write_bytes(float_model(opset).SerializeToString())
        quantize_static(
            path, tmp_path / "qdq.onnx", Samples(), quant_format=QuantFormat.QDQ, **options
        )
        return tmp_path / "qdq.onnx"

    return write


def watched(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every quantiser's output as an output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    zeros = {t.name: t.data_type for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            info = helper.make_tensor_value_info(node.output[0], zeros[node.input[2]], None)
            copy.graph.output.append(info)
    return copy


def run_watched(model: onnx.ModelProto, x: Array) -> dict[str, Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(watched(model).SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"x": x}), strict=True))


def check_against_definition(bundle: Bundle, model: onnx.ModelProto, arith: Any) -> None:
    """The slice against the model in rational arithmetic, and ``slice.onnx`` against the slice."""
    (spec,), (out,) = bundle.manifest.inputs, bundle.manifest.outputs
    rng = np.random.default_rng(SEED)
    reference = Reference.of_bundle(bundle)
    session = open_session(bundle.path("slice.onnx"))
    for k in range(3):
        q = rng.integers(spec.qtype.lo, spec.qtype.hi + 1, spec.shape)
        if k == 0:
            q[...] = spec.qtype.hi
        wire = spec.layout.to_stream(q).astype(spec.qtype.wire_dtype)
        (result,) = reference.run_wire([wire[None]])
        values = arith.evaluate(
            model,
            {"x": arith.exact(np.zeros((1, 3, 8, 8), object), Fraction(1))},
            measured={spec.name: arith.exact(q.astype(object), Fraction(1))},
        )
        got = out.layout.from_stream(result[0], out.shape)
        np.testing.assert_array_equal(got, values[out.name].grid(out.qtype))
        (again,) = session.run(None, {"wire_in0": wire})
        np.testing.assert_array_equal(again, result[0])


def check_against_onnx_runtime(bundle: Bundle, model: onnx.ModelProto, arith: Any) -> None:
    """Each quantiser of ONNX Runtime against the exact one on ONNX Runtime's own inputs: they may
    differ by one, and only where the exact value lies so close to a tie that float32 cannot tell.
    """
    (spec,), (out,) = bundle.manifest.inputs, bundle.manifest.outputs
    samples = Samples()
    reference = Reference.of_bundle(bundle)
    same = total = 0
    steps = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    while (sample := samples.get_next()) is not None:
        found = run_watched(model, sample["x"])
        measured = {n: arith.exact(a.astype(object), Fraction(1)) for n, a in found.items()}
        measured.pop("y")
        exact = arith.evaluate(model, {"x": arith.exact.of(sample["x"])}, measured=measured)
        for node in model.graph.node:
            if node.op_type != "QuantizeLinear":
                continue
            name = node.output[0]
            wrong = np.argwhere(exact[name].ints != found[name])
            for at in map(tuple, wrong):
                real = exact[node.input[0]]
                ratio = real.ints[at] * real.unit / Fraction(float(steps[node.input[1]]))
                from_tie = abs(ratio - ratio.numerator // ratio.denominator - Fraction(1, 2))
                assert from_tie < 1e-4, (name, at, float(ratio))
                assert abs(int(exact[name].ints[at]) - int(found[name][at])) == 1
        q = found[spec.name]
        wire = spec.layout.to_stream(q).astype(spec.qtype.wire_dtype)
        got = out.from_wire(reference.run_wire([wire[None]])[0][0])
        total += 1
        same += int(got.argmax() == found["y"].argmax())
        assert np.abs(got - found["y"]).max() <= 2 * out.qtype.scale
    assert same >= total - 1, "top-1"


FORMS = [
    pytest.param(
        opset, {"per_channel": channels, "activation_type": activation, "weight_type": weight}
    )
    for opset in (13, 17)
    for channels in (False, True)
    for activation, weight in (
        (QuantType.QUInt8, QuantType.QInt8),
        (QuantType.QUInt8, QuantType.QUInt8),
        (QuantType.QInt8, QuantType.QInt8),
    )
]

HABITS = [
    {"ActivationSymmetric": True},
    {"WeightSymmetric": False},
    {"AddQDQPairToWeight": True},
    {"DedicatedQDQPair": True},
    {"QDQKeepRemovableActivations": True},
    {"QuantizeBias": False},
]


@pytest.mark.usefixtures("no_rtl")
@pytest.mark.parametrize(("opset", "options"), FORMS)
def test_forms_of_the_quantiser(
    opset: int, options: dict[str, Any], quantised: Quantise, tmp_path: Path, arithmetic: Any
) -> None:
    path = quantised(opset, **options)
    bundle = compile_model(path, tmp_path / "bundle").bundle
    assert bundle.manifest.slice["macs_share"] == 1.0
    check_against_definition(bundle, onnx.load(path), arithmetic)
    check_against_onnx_runtime(bundle, onnx.load(path), arithmetic)


@pytest.mark.usefixtures("no_rtl")
@pytest.mark.parametrize("extra", HABITS, ids=lambda extra: next(iter(extra)))
def test_habits_of_the_quantiser(
    extra: dict[str, Any], quantised: Quantise, tmp_path: Path, arithmetic: Any
) -> None:
    path = quantised(13, per_channel=True, extra_options=extra)
    bundle = compile_model(path, tmp_path / "bundle").bundle
    assert bundle.manifest.slice["macs_share"] == 1.0
    check_against_definition(bundle, onnx.load(path), arithmetic)


@pytest.mark.usefixtures("no_nic")
def test_a_quantised_net_in_rtl(quantised: Quantise, tmp_path: Path) -> None:
    path = quantised(13, per_channel=True)
    bundle = compile_model(path, tmp_path / "bundle").bundle
    found = verify(bundle, vectors=3, stall=0.4, seed=SEED)
    assert found.passed, found


# Refusals


def refusal(model: onnx.ModelProto, tmp_path: Path) -> str:
    """Why the only node of a model is refused."""
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    (verdict,) = import_all(load_model(path))
    assert not verdict.supported
    return verdict.reason


def test_a_pool_whose_output_shape_is_in_dispute(tmp_path: Path) -> None:
    """onnx's shape inference says 2 windows, ONNX Runtime computes 1."""
    model = one_node("MaxPool", [(1, 3, 2)], (1, 3, 2), kernel_shape=[1], strides=[2], ceil_mode=1)
    assert refusal(model, tmp_path) == (
        "expected no window that starts in the end padding, found [2] windows by shape inference"
    )


SHAPE = (1, 2, 4, 4)
ONES = np.ones((2, 2, 3, 3), np.float32)
PAIR = np.array([[1], [2]], np.float32)


def ones(*shapes: Sequence[int]) -> dict[int, Array]:
    """Constants from the second input on."""
    return {k: np.ones(shape, np.float32) for k, shape in enumerate(shapes, 1)}


def top_k(k: int) -> onnx.ModelProto:
    """The best k of 4 elements."""
    shape = (1, 2, 4, min(k, 4))
    constant = {1: np.array([k], np.int64)}
    return one_node("TopK", [SHAPE], shape, constant, further=[shape], places=(1,))


def recurrent(
    inputs: dict[int, Array] | None = None,
    outputs: Sequence[str] = ("y",),
    kind: str = "LSTM",
    x: Sequence[int] = (3, 1, 2),
    fed: Sequence[int] = (),
    **attributes: Any,
) -> onnx.ModelProto:
    """A layer of 4 units, with some inputs and outputs of its own; those that are ``fed`` are
    inputs of the model.
    """
    rows = {"GRU": 12, "LSTM": 16}[kind]
    given = {1: np.ones((1, rows, 2), np.float32), 2: np.ones((1, rows, 4), np.float32)}
    given |= inputs or {}
    shape = (1, x[1], 4) if not outputs[0] else (x[0], 1, x[1], 4)
    constants = dict(enumerate(given.values(), 1))
    model = one_node(kind, [x], shape, constants, 14, hidden_size=4, **attributes)
    (node,) = model.graph.node
    names = dict(zip(given, node.input[1:], strict=True))
    node.input[1:] = [names.get(k, "") for k in range(1, max(given) + 1)]
    node.output[:] = outputs
    for name in map(names.get, fed):
        (found,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
        value = onnx.helper.make_tensor_value_info(found.name, found.data_type, found.dims)
        model.graph.input.append(value)
        model.graph.initializer.remove(found)
    return model


FALLING = {**ones((2,), (2,), (2,)), 4: np.array([1, -2], np.float32)}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            one_node("Add", [(1, 513, 512)], (1, 513, 512), ones((513, 512))),
            (
                "expected constants of at most 262144 elements beside a computed tensor, found the "
                "shape [513, 512]"
            ),
        ),
        (
            one_node("Gemm", [(1, 3)], (1, 2), ones((4, 2))),
            "expected weights for 3 inputs, found them for 4",
        ),
        (
            one_node("PRelu", [SHAPE, (2, 1, 1)], SHAPE),
            (
                "expected a constant slope, found a computed one; Relu, and Min with 0 times the "
                "slope, added, would work"
            ),
        ),
        (
            one_node("Max", [SHAPE, SHAPE], SHAPE, {2: np.ones(1, np.float32)}),
            (
                "expected constants beside one computed operand, found them beside 2; a Max of the "
                "computed ones, then one with the constants, would work"
            ),
        ),
        (
            onnx.parser.parse_model(
                '<ir_version: 8, opset_import: ["" : 13]>'
                "g (bool[1, 4] m, float[1, 4] x, float[1, 4] z) => (float[1, 4] y)"
                "{ y = Where (m, x, z) }"
            ),
            (
                "expected a constant mask, or one of comparisons of the chosen tensor with "
                "constants, found another computed one; Mul by the mask and Add would work"
            ),
        ),
        (
            one_node("Pad", [SHAPE], (1, 2, 3, 4), {1: np.array([0, 0, -1, 0, 0, 0, 0, 0])}),
            "expected pads of at least 0, found [(0, 0), (0, 0), (-1, 0), (0, 0)]; Slice crops",
        ),
        (
            one_node("Div", [SHAPE], (2, 2, 4, 4), {0: np.ones((2, 2, 1, 1), np.float32)}),
            (
                "expected a constant that differs along one axis over what is computed, found the "
                "shape [2, 2, 1, 1]; Reciprocal, and Mul by the constant, would work"
            ),
        ),
        (
            one_node("Gather", [(8193,)], (4097,), {1: np.arange(0, 8193, 2)}),
            "expected a range, or at most 4096 indices, found 4097",
        ),
        (
            one_node("Gather", [(1, 2)], (3, 1, 2), {0: np.ones((3, 4))}, dtypes=["int64"], axis=1),
            (
                "expected rows of a constant table (axis 0), found axis 1; a transposed table, and "
                "a Transpose behind the Gather, would work"
            ),
        ),
        (
            one_node(
                "Gather", [(1, 2)], (1, 2, 32), {0: np.ones((32769, 32), "f4")}, dtypes=["int64"]
            ),
            (
                "expected a table of at most 65536 rows and 1048576 numbers, found 32769 rows and "
                "1048608 numbers; the edge does the look-up where the slice begins behind it"
            ),
        ),
        (
            one_node("Gather", [(1, 2)], (1, 2), {0: np.arange(4)}, dtypes=["int64"]),
            "expected real numbers, found int64 values, 'y'",
        ),
        (
            one_node("Gather", [(4, 3)], (0, 3), {1: np.zeros(0, np.int64)}),
            "expected at least one index, found none",
        ),
        (
            one_node("Conv", [SHAPE, (2, 2, 3, 3)], (1, 2, 2, 2)),
            "expected constant weights, found computed ones",
        ),
        (
            one_node("MatMul", [(1, 4, 1)], (2, 3, 1), {0: np.ones((2, 3, 4), np.float32)}),
            (
                "expected a matrix of weights before columns, found the shapes [2, 3, 4] and "
                "[1, 4, 1]; the constant as second operand would work"
            ),
        ),
        (
            one_node(
                "MatMul", [(1, 3, 1, 2, 4)], (1, 3, 2, 2, 5), {1: np.ones((2, 4, 5), np.float32)}
            ),
            (
                "expected a matrix of weights, or a stack of them and rows that it shares or that "
                "are stacked alike, found the shapes [1, 3, 1, 2, 4] and [2, 4, 5]"
            ),
        ),
        (
            one_node("Conv", [SHAPE], (1, 2, 2, 2), ones((2, 2, 3, 3), (3,))),
            "expected a bias of shape [2], found the shape [3]",
        ),
        (
            one_node("Conv", [SHAPE, (2,)], (1, 2, 2, 2), {1: ONES}),
            "expected a constant bias, found a computed one",
        ),
        (
            one_node("Conv", [SHAPE], SHAPE, ones((2,))),
            "expected weights of 4 axes as the input has, found the shape [2]",
        ),
        (
            one_node("Conv", [(1, 2, *[2] * 4)], (1, 2, *[2] * 4), ones((2, 2, *[1] * 4))),
            "expected a tensor of 3 to 5 axes, found the shape [1, 2, 2, 2, 2, 2]",
        ),
        (
            one_node("Conv", [SHAPE], (1, 2, 2, 2), {1: ONES}, pads=[0]),
            "expected 4 pads of at least 0, found [0]",
        ),
        (
            one_node("Gemm", [(1, 4)], (1, 3), ones((4, 3), (3, 1))),
            "expected a bias that broadcasts to [1, 3], found the shape [3, 1]",
        ),
        (
            one_node("Gemm", [(1, 4)], (1, 3), ones((4, 3)), alpha=float("nan")),
            "expected a finite alpha, found nan",
        ),
        (
            one_node("BatchNormalization", [SHAPE], SHAPE, ones((2,), (2,), (2,), (3,)), opset=7),
            "expected a variance of shape [2], found the shape [3]",
        ),
        (
            one_node("BatchNormalization", [SHAPE], SHAPE, ones((1,), (1,), (1,), (1,)), opset=7),
            "expected a scale of shape [2], found the shape [1]",
        ),
        (
            one_node("BatchNormalization", [SHAPE], SHAPE, FALLING),
            "expected variance + epsilon above zero, found a variance of -2.0",
        ),
        (
            one_node("Clip", [SHAPE], SHAPE, ones((2,))),
            "expected one number for min, found the shape [2]",
        ),
        (
            one_node("Conv", [SHAPE], (1, 2, 2, 2), {1: ONES}, strides=[1, 0]),
            "expected 2 strides of at least 1, found [1, 0]",
        ),
        (
            one_node("MaxPool", [SHAPE], SHAPE, kernel_shape=[1, 1], dilations=[1, 1, 1]),
            "expected 2 dilations of at least 1, found [1, 1, 1]",
        ),
        (
            one_node("MaxPool", [SHAPE], SHAPE, kernel_shape=[1, 1], pads=[0, 0], ceil_mode=1),
            "expected 4 pads of at least 0, found [0, 0]",
        ),
        (
            one_node("Conv", [()], SHAPE, {1: ONES}),
            "expected a tensor of 3 to 5 axes, found the shape []",
        ),
        (
            one_node("DepthToSpace", [SHAPE], SHAPE, blocksize=0),
            "expected a blocksize of at least 1, found 0",
        ),
        (
            one_node("LayerNormalization", [SHAPE], SHAPE, ones((0,)), opset=17),
            "expected values of the scale, found none",
        ),
        (
            one_node("LayerNormalization", [SHAPE], SHAPE, ones((2, 4, 4)), opset=17, axis=2),
            (
                "expected a constant that differs along the axes [2, 3] of [1, 2, 4, 4] only, "
                "found the shape [2, 4, 4]"
            ),
        ),
        (
            one_node("InstanceNormalization", [(1, 2)], (1, 2), ones((2,), (2,))),
            "expected a tensor (N, C, ...), found the shape [1, 2]",
        ),
        (
            one_node("InstanceNormalization", [SHAPE], SHAPE, {**ones((2,)), 2: PAIR}),
            "expected a bias of shape [2], found the shape [2, 1]",
        ),
        (
            one_node("InstanceNormalization", [SHAPE, (2,)], SHAPE, {2: ONES[0, :, 0, 0]}),
            "expected a constant scale, found a computed one",
        ),
        (
            one_node("InstanceNormalization", [SHAPE], SHAPE, ones((2,), (2,)), epsilon=-1.0),
            "expected an epsilon of at least 0, found -1.0",
        ),
        (
            one_node(
                "GroupNormalization", [SHAPE], SHAPE, ones((2,), (2,)), opset=21, num_groups=4
            ),
            "expected groups that divide 2 channels, found 4",
        ),
        (
            recurrent({5: np.eye(2, 4, dtype=np.float32)[None]}, x=(3, 2, 2)),
            (
                "expected constant first states that are the same for all sequences of a batch, "
                "found others; one sequence at a time, or states that are inputs, would work"
            ),
        ),
        (
            recurrent({4: np.array([3, 2], np.int32)}, x=(3, 2, 2)),
            "expected sequence_lens from [1, 1] to [3, 3], all alike, found [3, 2]",
        ),
        (recurrent(clip=-1.5), "expected a clip of at least 0, found -1.5"),
        (
            recurrent(activations=["Sigmoid", "Softsign", "Tanh"]),
            (
                "expected 3 activations out of ['HardSigmoid', 'Relu', 'Sigmoid', 'Tanh'], found "
                "['Sigmoid', 'Softsign', 'Tanh']; compute others outside of the layer"
            ),
        ),
        (
            recurrent(activations=["Relu", "Tanh", "Tanh"]),
            "expected gates of Sigmoid or HardSigmoid, found ['Relu']",
        ),
        (
            recurrent(activations=["HardSigmoid", "Tanh", "Tanh"], activation_alpha=[0.0]),
            "expected a HardSigmoid of a positive alpha, found 0",
        ),
        (
            recurrent(input_forget=1),
            (
                "expected input_forget 0, found 1; a layer whose gates i and f have their own "
                "weights would work"
            ),
        ),
        (
            recurrent({4: np.array([2], np.int32)}),
            (
                "expected sequence_lens [3], all of it, where Y is read, found [2]; slice the "
                "layer's input instead"
            ),
        ),
        (
            recurrent({4: np.array([4], np.int32)}, outputs=("", "y")),
            "expected sequence_lens from [1] to [3], all alike, found [4]",
        ),
        (
            recurrent({5: np.ones((1, 1, 3), np.float32)}, fed=(5,)),
            "expected first states of shape [1, 1, 4], found [1, 1, 3]",
        ),
        (
            recurrent({3: np.ones((1, 32), np.float32)}, fed=(3,)),
            "expected constant biases, found computed ones; give them as initialisers",
        ),
        (
            recurrent({6: np.ones((1, 1, 3), np.float32)}),
            "expected first states of shape [1, 1, 4], found [1, 1, 3]",
        ),
        (
            recurrent({7: np.ones((1, 12), np.float32)}),
            (
                "expected peephole weights of 0, found others; torch and Keras train layers "
                "without them"
            ),
        ),
        (
            recurrent(outputs=("", "", "y")),
            (
                "expected Y, Y_h or both to be read or to be outputs, found Y_c alone; make Y_h an "
                "output too, or end the slice before the layer"
            ),
        ),
        (
            one_node("ReduceMean", [()], (), axes=[1]),
            "expected an axis of [], found 1",
        ),
        (one_node("Split", [()], (), axis=1), "expected an axis of [], found 1"),
        (
            one_node("Slice", [SHAPE], SHAPE, starts=[0], ends=[1], axes=[4], opset=9),
            "expected an axis of [1, 2, 4, 4], found 4",
        ),
        (
            one_node("Slice", [SHAPE], SHAPE, starts=[0], ends=[1, 1], axes=[2], opset=9),
            "expected as many starts, ends, axes and steps, found 1, 2, 1, 1",
        ),
        (
            one_node("Pow", [SHAPE], SHAPE, {1: np.array([2, 3, 2, -65], np.float32)}),
            "expected an exponent of at most 64 in size, found -65",
        ),
        (
            one_node("Pow", [SHAPE, SHAPE], SHAPE),
            "expected a constant exponent, found a computed one",
        ),
        (
            one_node("LpNormalization", [SHAPE], SHAPE, p=3),
            "expected p to be 1 or 2, found 3",
        ),
        (
            one_node("ArgMax", [SHAPE], SHAPE, places=(0,), axis=4),
            "expected an axis of [1, 2, 4, 4], found 4",
        ),
        (
            top_k(5),
            "expected a k from 1 to the 4 elements of its axis, found 5",
        ),
        (
            onnx.parser.parse_model(
                '<ir_version: 8, opset_import: ["" : 13]>'
                "g (float[1, 4] x, int64[1] k) => (float[1, n] y, int64[1, n] i)"
                "{ y, i = TopK (x, k) }"
            ),
            "expected a constant k, found a computed one",
        ),
    ],
)
def test_refusals(model: onnx.ModelProto, reason: str, tmp_path: Path) -> None:
    assert refusal(model, tmp_path) == reason


def test_padding_of_images_of_one_sample(tmp_path: Path) -> None:
    """Axis 0 is no batch here."""
    text = """<ir_version: 8, opset_import: ["" : 13]>
        g (float[3, 2, 4] x) => (float[2, 2, 6] y)
        <int64[6] p = {0, 0, 1, 0, 0, 1}, int64[1] b = {1}, int64[1] e = {3}, int64[1] a = {0}>
        { q = Pad (x, p)  y = Slice (q, b, e, a) }"""
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    assert all(node.supported for node in import_all(load_model(path)))


def test_a_refusal_of_millions_of_numbers_is_brief() -> None:
    """A listing would lay them out for hours."""
    said = str(Unsupported(f"expected three numbers, found {list(range(1_000_000))}"))
    assert len(said) <= LONGEST + len(" ... ")
    assert said.startswith("expected three numbers, found [0, 1, 2, ")
    assert said.endswith(", 999998, 999999]")
