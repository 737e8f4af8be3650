# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Every operator's cases: exact meaning, quantisation bound, RTL, cycles, ``slice.onnx``.

Driven by the registry, so a new operator's ``cases()`` are tested with no change here, once
``conftest`` says what the ONNX operator means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from midwire.compiler.load.source import kind_of
from midwire.compiler.ops import OPERATORS, REGISTRY
from midwire.compiler.ops._directions import DIRECTIONS
from midwire.compiler.ops._groups import GUARD_BITS
from midwire.compiler.ops._model import one_node, recurrent_layer
from midwire.compiler.ops.base import Case
from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.formats.bundle import Bundle
from midwire.hw.kernels.reference import Reference
from midwire.hw.session import open_session
from midwire.sim.verify import verify

Array = np.ndarray[Any, Any]

CASES = {case.name: case for operator in OPERATORS for case in operator.cases()}

WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1}
"""Position of the constant that is quantised."""

FACTORS = {
    **{name: (position,) for name, position in WEIGHTS.items()},
    **dict.fromkeys(("Div", "MatMul", "Mul"), (0, 1)),
}
"""Positions of constants that multiply an input's error."""

KEPT = {
    "BatchNormalization",
    "Clip",
    "Expand",
    "Gather",
    "Pad",
    "ReduceMean",
    "ReduceSum",
    "Reshape",
    "Resize",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "TopK",
    "Unsqueeze",
    "Upsample",
    "Where",
}
"""Operators whose constants are no summands."""

TREE_5 = "ai.onnx.ml.TreeEnsemble"
"""Another way to write TreeEnsembleRegressor, held against that in ``test_tree_ensemble``."""

NORMALISATIONS = {
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LogSoftmax",
    "LpNormalization",
    "Normalizer",
    "RMSNormalization",
    "Softmax",
}
"""Operators whose results are defined to some fractional bits (N9 to N11, N15): within a unit of
the real function, or two where a result is large.
"""

FOLDED = {
    "ArgMax",
    "ArgMin",
    "Max",
    "Min",
    "PRelu",
    "ReduceMax",
    "ReduceMin",
    "ReduceSumSquare",
    "TopK",
    "Where",
}
"""Operators that are several lines, or none: no line bounds their error, so inputs are on grids."""

RECURRENT = {"GRU", "LSTM", "RNN"}
"""Operators that round at every step (rules N12 to N14, N18)."""

VECTORS = 6


def inputs_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    return {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in model.graph.input
    }


def constants_of(model: onnx.ModelProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def chosen_of(bundle: Bundle) -> dict[str, Any]:
    """The bits that the compiler chose for a normalisation, P and H of rules N9 to N11, and what it
    chose for each direction of a recurrent layer.
    """
    layers = [s.kernel.parameters for s in bundle.manifest.steps if "lanes" in s.kernel.parameters]
    found: dict[str, Any] = {"bits": 0, "root": 0, "layers": layers}
    for step in bundle.manifest.steps:
        own = step.kernel.parameters.get("rule", step.kernel.parameters)
        found["bits"] = max(found["bits"], own.get("bits", 0))
        found["root"] = max(found["root"], own.get("root_bits", 0))
    return found


Compile = Callable[[onnx.ModelProto, int, float, float, int], Bundle]


@pytest.fixture
def compiled(tmp_path: Path, no_nic: None) -> Compile:
    """Compile a float model on uniform samples."""
    del no_nic

    def run(model: onnx.ModelProto, bits: int, low: float, high: float, seed: int) -> Bundle:
        rng = np.random.default_rng(seed)
        samples = Case("", model, low, high, bits).samples(rng, 8)
        np.savez(tmp_path / "samples.npz", **samples)  # type: ignore[arg-type]
        path = tmp_path / "net.onnx"
        path.write_bytes(model.SerializeToString())
        outputs = [value.name for value in model.graph.output]
        # The definition below knows the model's own bias.
        options = Options(
            list(inputs_of(model)),
            outputs,
            tmp_path / "samples.npz",
            bits,
            min_sqnr=-math.inf,
            hold_out=0,
            bias_correction=False,
        )
        return compile_model(path, tmp_path / "bundle", options).bundle

    return run


def random_wires(bundle: Bundle, rng: np.random.Generator, count: int) -> list[Array]:
    """Both ends of the type, then uniform integers over all of it."""
    wires = []
    for spec in bundle.manifest.inputs:
        lo, hi = spec.qtype.lo, spec.qtype.hi
        wire = rng.integers(lo, hi + 1, (count, spec.elements))
        wire[0], wire[1] = lo, hi
        wires.append(wire.astype(spec.qtype.wire_dtype))
    return wires


def quantised(model: onnx.ModelProto, bits: int, arithmetic: Any) -> dict[str, Any]:
    """The weights of a one-node model on their grid, by the constant's name."""
    (node,) = model.graph.node
    return grid_of_weights(node, constants_of(model), bits, arithmetic)


def grid_of_weights(
    node: onnx.NodeProto, constants: Mapping[str, Array], bits: int, arithmetic: Any
) -> dict[str, Any]:
    """The weights of a node on their grid, by the constant's name; none if it has none."""
    position = WEIGHTS.get(node.op_type)
    if node.op_type == "MatMul" and node.input[0] in constants:
        rows = constants[node.input[0]]
        return {node.input[0]: arithmetic.weight_grid(rows, bits, rows.ndim - 2)}
    if position is None or node.input[position] not in constants:
        return {}
    weights = constants[node.input[position]]
    if node.op_type == "MatMul" and weights.ndim > 2:
        # A scale for each column of each matrix.
        turned = weights.swapaxes(-1, -2)
        grid = arithmetic.weight_grid(turned.reshape(-1, turned.shape[-1]), bits, 0)
        return {
            node.input[position]: grid.change(
                lambda ints: ints.reshape(turned.shape).swapaxes(-1, -2)
            )
        }
    if weights.ndim == 1:
        grid = arithmetic.weight_grid(weights[None], bits, 0)
        return {node.input[position]: grid.change(lambda ints: ints[0])}
    if node.op_type == "ConvTranspose":
        # (I, O / group, ...): the channels of a group have weights for all its inputs.
        group = next((a.i for a in node.attribute if a.name == "group"), 1)
        split = weights.reshape(group, -1, *weights.shape[1:]).swapaxes(1, 2)
        flat = split.reshape(group * weights.shape[1], -1, *weights.shape[2:])
        grid = arithmetic.weight_grid(flat, bits, 0)
        return {
            node.input[position]: grid.change(
                lambda ints: ints.reshape(split.shape).swapaxes(1, 2).reshape(weights.shape)
            )
        }
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    axis = 0 if node.op_type == "Conv" or transposed else weights.ndim - 1
    return {node.input[position]: arithmetic.weight_grid(weights, bits, axis)}


def check_exact(bundle: Bundle, model: onnx.ModelProto, bits: int, seed: int, arith: Any) -> None:
    """The reference against the definition (N2, N3), and ``slice.onnx`` against the reference."""
    wires = random_wires(bundle, np.random.default_rng(seed), VECTORS)
    results = Reference.of_bundle(bundle).run_wire(wires)
    constants = quantised(model, bits, arith)
    specs = bundle.manifest.inputs
    rational = all(node.op_type in arith.rules for node in model.graph.node)
    decided: list[Array] = []
    for k in range(VECTORS):
        feeds = {}
        for spec, wire in zip(specs, wires, strict=True):
            q = spec.layout.from_stream(wire[k].astype(np.int64), spec.shape)
            feeds[spec.name] = arith.exact(
                (q - spec.qtype.zero_point).astype(object), spec.qtype.step
            )
        low, high = (
            arith.evaluate(model, feeds, constants, lean=lean, chosen=chosen_of(bundle))
            for lean in (-1, 1)
        )
        for spec, result in zip(bundle.manifest.outputs, results, strict=True):
            got = spec.layout.from_stream(result[k], spec.shape)
            least, most = (values[spec.name].grid(spec.qtype) for values in (low, high))
            # The same, but where the definition is known to a float's precision and a tie is near.
            np.testing.assert_array_equal(got, got.clip(least, most))
            decided.append((least == most).ravel())
            assert not rational or np.array_equal(least, most)
    assert np.mean(np.concatenate(decided)) > 0.9
    check_slice(bundle, wires, results)


def check_slice(bundle: Bundle, wires: list[Array], results: list[Array]) -> None:
    session = open_session(bundle.path("slice.onnx"))
    for k in range(len(wires[0])):
        found = session.run(None, {f"wire_in{i}": wire[k] for i, wire in enumerate(wires)})
        for got, want in zip(found, results, strict=True):
            np.testing.assert_array_equal(got, want[k])


def run_float(
    model: onnx.ModelProto, feeds: Mapping[str, Array], constants: Mapping[str, Array]
) -> list[Array]:
    """The model in ONNX Runtime with other constants; one array an output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name in constants:
            tensor.CopyFrom(numpy_helper.from_array(constants[tensor.name], tensor.name))
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options)
    return [np.asarray(result, np.float64) for result in session.run(None, dict(feeds))]


def on_grids(
    constants: Mapping[str, Array], layers: list[dict[str, Any]], x_step: float
) -> dict[str, Array]:
    """The weights of a recurrent layer, rounded as the compiler chose."""
    found = {name: constants[name].astype(np.float64) for name in ("c1", "c2")}
    units = found["c2"].shape[2]
    for at, own in enumerate(layers):
        h_step = 0.5 ** own["grid"]["bits"]
        for gate, lane in enumerate(own["lanes"]):
            rows = slice(gate * units, (gate + 1) * units)
            for name, left, unit in (("c1", "x_left", x_step), ("c2", "h_left", h_step)):
                step = 2.0 ** (lane[left] - lane["fraction"]) / unit
                found[name][at, rows] = np.rint(found[name][at, rows] / step) * step
    return {name: array.astype(np.float32) for name, array in found.items()}


def recurrent_room(
    kind: str, constants: Mapping[str, Array], layers: list[dict[str, Any]], steps: int
) -> float:
    """How far a recurrent layer may be off, its weights aside: every step adds to what the one
    before was off by. Sigmoids rise by 1/4 at most and tanh and relu by 1; the tables end at 8.
    """
    half, place = 0.5 ** (layers[0]["grid"]["bits"] + 1), 0.5 ** layers[0]["grid"]["steps"]
    again = float(np.abs(constants["c2"]).sum(axis=2).max())
    reset = again + float(np.abs(constants.get("c3", 0)).max())
    h = c = half
    for step in range(steps):
        asked = place + again * h
        sigmoid, tanh = asked / 4 + half + 2.0**-11, asked + half + 2.0**-11
        if kind == "RNN":
            h = tanh
        elif kind == "LSTM":
            c += (2 + step) * sigmoid + tanh + half
            h = sigmoid + c + place + 2 * half
        else:
            # A reset before the product is a product of two that are off, summed over all units.
            h += 2 * sigmoid + tanh + (reset + again) * (sigmoid + half) + half
    return h


def check_bound(bundle: Bundle, case: Case, seed: int, arith: Any) -> None:
    """Against the float model: half a step of the result, and what rounding inputs and weights can
    do: at most ``|w| * step / 2`` for each input and ``|x| * |w - w_q|`` for each weight. Functions
    that are not affine get inputs that are on their grids.
    """
    rng = np.random.default_rng(seed)
    (node,) = case.model.graph.node
    constants = constants_of(case.model)
    grids = {
        name: (grid.ints * grid.unit).astype(np.float64)
        for name, grid in quantised(case.model, case.bits, arith).items()
    }
    # The same operator as a bound: absolute weights, no summands.
    gains = {
        name: np.abs(array) if position in FACTORS.get(node.op_type, ()) else 0 * array
        for position, name in enumerate(node.input)
        if name in constants and node.op_type not in KEPT
        for array in [constants[name]]
    }
    if node.op_type == "BatchNormalization":
        gains = {node.input[1]: np.abs(constants[node.input[1]])}
        gains |= {node.input[i]: 0 * constants[node.input[i]] for i in (2, 3)}
    losses = {
        name: np.abs(constants[name] - grid).astype(np.float32) for name, grid in grids.items()
    }
    slack = {
        name: (np.abs(array) + losses.get(name, 0)).astype(np.float32)
        for name, array in gains.items()
    }
    # A product of two computed tensors grows by what rounding either does to the other.
    ratio = node.op_type == "Div" and not constants
    product = node.op_type in FACTORS and not constants and not ratio
    specs = bundle.manifest.inputs
    normal = node.op_type in NORMALISATIONS
    recurrent = node.op_type in RECURRENT
    layers = chosen_of(bundle)["layers"]
    if recurrent:
        grids = on_grids(constants, layers, specs[0].qtype.scale)
    # Errors of inputs are no bound where some weights are below zero, as cubic ones are.
    cubic = any(attribute.s == b"cubic" for attribute in node.attribute)
    curved = cubic or normal or ratio or recurrent or node.op_type in FOLDED
    curved = curved or node.op_type not in arith.rules
    reference = Reference.of_bundle(bundle)
    for _ in range(4):
        feeds, wires, halves, sizes = {}, [], {}, {}
        for spec in specs:
            x = rng.uniform(case.low, case.high, spec.shape).astype(np.float32)
            if spec.is_integer:  # integers that mean themselves have no error
                x = np.floor(x).astype(spec.dtype)
                feeds[spec.name], halves[spec.name] = x, np.zeros_like(x)
                wires.append(spec.to_wire(x)[None])
                continue
            bottom, top = spec.qtype.dequantise([spec.qtype.lo, spec.qtype.hi])
            x = np.clip(x, bottom, top)
            if curved:
                x = spec.from_wire(spec.to_wire(x)).reshape(spec.shape).astype(np.float32)
            feeds[spec.name], sizes[spec.name] = x, np.abs(x)
            # A difference is as far off as a sum.
            off = -1 if node.op_type == "Sub" and spec.name == node.input[1] else 1
            halves[spec.name] = np.full(spec.shape, off * spec.qtype.scale / 2, np.float32)
            wires.append(spec.to_wire(x)[None])
        got = reference.run_wire(wires)
        want = run_float(case.model, feeds, grids if recurrent else {})
        bounds = [np.abs(bound) for bound in run_float(case.model, halves, slack)]
        if curved or all(spec.is_integer for spec in specs):
            bounds = [np.zeros(real.shape) for real in want]
        if grids and not recurrent:
            more = run_float(case.model, sizes, {**gains, **losses})
            bounds = [bound + np.abs(extra) for bound, extra in zip(bounds, more, strict=True)]
        if product:
            wide = {name: size + np.abs(halves[name]) for name, size in sizes.items()}
            ends = [run_float(case.model, each, {}) for each in (wide, sizes)]
            bounds = [most - least for most, least in zip(*ends, strict=True)]
        for out, wire, real, bound in zip(bundle.manifest.outputs, got, want, bounds, strict=True):
            bottom, top = out.qtype.dequantise([out.qtype.lo, out.qtype.hi])
            rounding = 1e-5 * (1 + np.abs(real))  # float32, in ONNX Runtime
            if normal:
                scale = max((np.abs(c).max() for c in constants.values()), default=1.0)
                rounding += 2.0 ** -chosen_of(bundle)["bits"] * (1 + np.abs(real)) * (1 + scale)
            if ratio or node.op_type == "LogSoftmax":  # what a share is off, where that is small
                rounding += out.qtype.scale * 2.0**-GUARD_BITS
            if recurrent:
                steps = specs[0].shape[0]
                rounding += recurrent_room(node.op_type, constants, layers, steps)
            error = np.abs(np.clip(real, bottom, top) - out.from_wire(wire[0]).astype(np.float64))
            assert np.all(error <= bound + out.qtype.scale / 2 + rounding)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, compiled: Compile, arithmetic: Any) -> None:
    case = CASES[name]
    seed = 1 + list(CASES).index(name)
    print(f"seed {seed}")
    bundle = compiled(case.model, case.bits, case.low, case.high, seed)
    check_exact(bundle, case.model, case.bits, seed, arithmetic)
    check_bound(bundle, case, seed, arithmetic)
    found = verify(bundle, vectors=VECTORS, stall=0.4, seed=seed)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == bundle.manifest.cycles_per_inference
    assert found.latency_cycles == bundle.manifest.latency_cycles


def test_every_operator_has_cases_and_a_meaning(arithmetic: Any) -> None:
    """Quantisers are tested inside of whole models (``test_import_rules``, ``load/test_qonnx``)."""
    without = {op.__name__ for op in OPERATORS if not list(op.cases())}
    assert without == {"BipolarQuant", "Dequantize", "ElementFormula", "Quantize"}
    tried = {kind_of(node) for case in CASES.values() for node in case.model.graph.node}
    assert set(REGISTRY) - set(arithmetic.rules) - tried == {
        "BipolarQuant",
        "Cast",
        "Embedding",  # what patterns make: see tests/compiler/rewrite/test_one_hot.py
        "Formula",  # and test_formulas.py
        TREE_5,
    }
    assert len(CASES) == sum(len(list(operator.cases())) for operator in OPERATORS)


# Random configurations


def random_window(rng: np.random.Generator, spatial: list[int]) -> tuple[list[int], dict[str, Any]]:
    """A kernel and attributes of a window that fits an image, padded where it has to be."""
    rank = len(spatial)
    kernel = [int(rng.integers(1, 5)) for _ in range(rank)]
    dilations = [int(rng.choice([1, 1, 2])) for _ in range(rank)]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    # ONNX Runtime wants pads smaller than the kernel of a pool.
    begins = [int(rng.integers(0, k)) if rng.integers(2) else 0 for k in kernel]
    ends = [int(rng.integers(0, k)) if rng.integers(2) else 0 for k in kernel]
    for axis in range(rank):
        if spatial[axis] + begins[axis] + ends[axis] < reach[axis]:
            kernel[axis] = dilations[axis] = 1
            begins[axis] = ends[axis] = 0
    attributes: dict[str, Any] = {
        "strides": [int(rng.integers(1, 4)) for _ in range(rank)],
        "dilations": dilations,
        "pads": begins + ends,
    }
    if rng.integers(4) == 0:
        del attributes["pads"], attributes["dilations"]  # ONNX Runtime has not both
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER"]))
    return kernel, attributes


def overhangs(spatial: list[int], kernel: list[int], attributes: dict[str, Any]) -> bool:
    """Whether ceil_mode would start a window in the end padding (see ``test_import_rules``)."""
    for axis, (size, k) in enumerate(zip(spatial, kernel, strict=True)):
        stride, begin = attributes["strides"][axis], attributes["pads"][axis]
        padded = size + begin + attributes["pads"][axis + len(spatial)]
        if -(-(padded - k) // stride) * stride >= size + begin:
            return True
    return False


def random_model(rng: np.random.Generator) -> tuple[onnx.ModelProto, int]:
    """A one-node model (its output's shape left to inference) and a bit width."""
    kind = str(rng.choice(["conv", "conv", "conv", "max", "average", "add", "constant", "matmul"]))
    bits = int(rng.choice([2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 9, 10, 12, 16]))
    channels = int(rng.integers(1, 7))
    rank = int(rng.choice([1, 2, 2, 2]))
    spatial = [int(rng.integers(1, 9)) for _ in range(rank)]
    shape = [1, channels, *spatial]

    def normal(*size: int) -> Array:
        array = rng.standard_normal(size) * float(rng.choice([0.1, 1.0, 3.0]))
        if rng.integers(5) == 0:
            array[0] = 0  # a dead channel
        return array.astype(np.float32)

    if kind == "conv":
        kernel, attributes = random_window(rng, spatial)
        group = int(rng.choice([1, channels]))
        if channels % 2 == 0 and rng.integers(3) == 0:
            group = 2
        out = group if group == channels else group * int(rng.integers(1, 4))
        constants = {1: normal(out, channels // group, *kernel)}
        if rng.integers(2):
            constants[2] = normal(out)
        model = one_node("Conv", [shape], [], constants, group=group, **attributes)
    elif kind in ("max", "average"):
        kernel, attributes = random_window(rng, spatial)
        if kind == "average":
            attributes = {"strides": attributes["strides"]}
            kernel = [min(k, n) for k, n in zip(kernel, spatial, strict=True)]
            if rng.integers(2):
                attributes["pads"] = [int(rng.integers(0, k)) for k in kernel * 2]
                attributes["count_include_pad"] = int(rng.integers(2))
        else:
            attributes["dilations"] = [1] * rank  # ONNX Runtime pads those wrongly
            if "pads" in attributes and rng.integers(3) == 0:
                attributes["ceil_mode"] = int(not overhangs(spatial, kernel, attributes))
            if "auto_pad" in attributes:  # which makes negative pads where windows leave gaps
                strides = zip(attributes["strides"], kernel, strict=True)
                attributes["strides"] = [min(pair) for pair in strides]
        name = "MaxPool" if kind == "max" else "AveragePool"
        model = one_node(name, [shape], [], kernel_shape=kernel, **attributes)
    elif kind == "add":
        bits = min(bits, 10)
        model = one_node("Add", [shape, shape], [])
    elif kind == "constant":
        kind = str(rng.choice(["Add", "Mul", "Sub"]))
        constant = normal(channels, *[1] * rank) if rng.integers(2) else normal(1)
        model = one_node(kind, [shape], [], {int(rng.integers(0, 2)): constant})
    else:
        size, out = int(rng.integers(1, 13)), int(rng.integers(1, 9))
        rows = [1] if rng.integers(2) else [1, int(rng.integers(1, 5))]
        if len(rows) == 1 and rng.integers(2):
            constants = {1: normal(out, size), 2: normal(out)}
            model = one_node("Gemm", [[1, size]], [], constants, transB=1)
        else:
            model = one_node("MatMul", [[*rows, size]], [], {1: normal(size, out)})
    model.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    return inferred, bits


def check_random(compiled: Compile, seed: int, arith: Any, rtl: bool) -> None:
    rng = np.random.default_rng([20260, seed])
    model, bits = random_model(rng)
    low, high = [(-1.0, 1.0), (0.0, 6.0), (-0.2, 3.0)][int(rng.integers(3))]
    print(f"seed {seed}: {bits} bits, {low} to {high}, {onnx.printer.to_text(model.graph)[:600]}")
    bundle = compiled(model, bits, low, high, seed)
    check_exact(bundle, model, bits, seed, arith)
    if rtl:
        found = verify(bundle, vectors=4, stall=0.4, seed=seed)
        assert found.passed, found


@pytest.mark.usefixtures("no_rtl")
@pytest.mark.parametrize("seed", range(2, 12))
def test_random(seed: int, compiled: Compile, arithmetic: Any) -> None:
    check_random(compiled, seed, arithmetic, rtl=False)


@pytest.mark.parametrize("seed", range(2))
def test_random_rtl(seed: int, compiled: Compile, arithmetic: Any) -> None:
    check_random(compiled, seed, arithmetic, rtl=True)


@pytest.mark.sweep
@pytest.mark.usefixtures("no_rtl")
@pytest.mark.parametrize("seed", range(100, 620))
def test_sweep(seed: int, compiled: Compile, arithmetic: Any) -> None:
    check_random(compiled, seed, arithmetic, rtl=False)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(1000, 1024))
def test_sweep_rtl(seed: int, compiled: Compile, arithmetic: Any) -> None:
    check_random(compiled, seed, arithmetic, rtl=True)


OTHERS = {
    "GRU": ["HardSigmoid", "Relu"],
    "LSTM": ["Sigmoid", "Relu", "Relu"],
    "RNN": ["Relu"],
}
"""Activations that are not the default ones."""


def random_layer(rng: np.random.Generator) -> tuple[onnx.ModelProto, int]:
    """A recurrent layer of any shape, and a bit width."""
    kind = str(rng.choice(sorted(RECURRENT)))
    steps, width, units = (int(n) for n in rng.integers(1, 7, 3))
    attributes: dict[str, Any] = {"direction": str(rng.choice(list(DIRECTIONS)))}
    if kind == "GRU":
        attributes["linear_before_reset"] = int(rng.integers(2))
    if rng.integers(3) == 0:
        attributes["clip"] = float(rng.uniform(0.1, 3.0))
    if rng.integers(3) == 0:
        turns = len(DIRECTIONS[attributes["direction"]])
        attributes["activations"] = OTHERS[kind] * turns
    outputs = [("all",), ("last",), ("all", "last")][int(rng.integers(3))]
    biased, begins = (bool(flag) for flag in rng.integers(0, 2, 2))
    model = recurrent_layer(
        kind,
        (steps, width, units),
        outputs,
        batch=int(rng.choice([1, 1, 2, 3])),
        biased=biased,
        begins=begins,
        attributes=attributes,
    )
    return model, int(rng.choice([2, 3, 4, 6, 8, 8, 8, 9, 12]))


def check_random_layer(compiled: Compile, seed: int, arith: Any, rtl: bool) -> None:
    rng = np.random.default_rng([20261, seed])
    model, bits = random_layer(rng)
    low, high = [(-1.0, 1.0), (0.0, 6.0), (-0.2, 30.0)][int(rng.integers(3))]
    print(f"seed {seed}: {bits} bits, {low} to {high}, {onnx.printer.to_text(model.graph)[:300]}")
    bundle = compiled(model, bits, low, high, seed)
    check_exact(bundle, model, bits, seed, arith)
    if rtl:
        found = verify(bundle, vectors=4, stall=0.4, seed=seed)
        assert found.passed, found


@pytest.mark.usefixtures("no_rtl")
@pytest.mark.parametrize("seed", range(4))
def test_random_layer(seed: int, compiled: Compile, arithmetic: Any) -> None:
    check_random_layer(compiled, seed, arithmetic, rtl=False)


@pytest.mark.sweep
@pytest.mark.usefixtures("no_rtl")
@pytest.mark.parametrize("seed", range(100, 160))
def test_layer_sweep(seed: int, compiled: Compile, arithmetic: Any) -> None:
    check_random_layer(compiled, seed, arithmetic, rtl=False)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(1000, 1012))
def test_layer_sweep_rtl(seed: int, compiled: Compile, arithmetic: Any) -> None:
    check_random_layer(compiled, seed, arithmetic, rtl=True)
