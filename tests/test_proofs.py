# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One small model for every kind of thing that the compiler's shape must carry, end to end.

Each goes from ONNX through ``compile_model`` to RTL with stalls, the reference and ``slice.onnx``,
to the same bits and in the predicted cycles; and each is checked to be built in the way that it is
here for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from midwire.compiler.pipeline import Options, compile_model
from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.wire.tensors import fingerprint_of
from midwire.hw.formats.bundle import Bundle
from midwire.hw.kernels.reference import Reference, operations_of
from midwire.sim.verify import verify

from .host.conftest import Cloud, straight
from .small import without_shell

Array = np.ndarray[Any, Any]

SEED = 505
RNG = np.random.default_rng(SEED)


def weights(*shape: int) -> Array:
    """Constants of a layer, of about the size that keeps what it computes near its inputs."""
    size = math.sqrt(math.prod(shape[1:]) or 1)
    return (RNG.standard_normal(shape) / size).astype(np.float32)


@dataclass(frozen=True)
class Proof:
    """A model, and what of it was built how.

    Attributes
    ----------
    text : the graph in ONNX's text form; names that it does not define are constants
    constants : those
    kernels : of the slice's steps, in no order
    options : beyond the calibration data
    opset : the operators' version
    """

    text: str
    constants: Mapping[str, Array]
    kernels: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 13

    def model(self) -> onnx.ModelProto:
        """The model, its shapes inferred."""
        header = f'<ir_version: 8, opset_import: ["" : {self.opset}]>\n'
        model = onnx.parser.parse_model(header + self.text)
        model.graph.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in self.constants.items()
        )
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


PROOFS = {
    "sigmoid": Proof(
        "g (float[1, 6] x) => (float[1, 4] y) { a = MatMul (x, w)  y = Sigmoid (a) }",
        {"w": weights(6, 4)},
        ("conv", "eltwise"),
    ),
    "gelu": Proof(
        """
g (float[1, 6] x) => (float[1, 3] y)
<float half = {0.5}, float one = {1}, float root = {1.4142135}>
{ a = MatMul (x, w)
  b = Div (a, root)
  c = Erf (b)
  d = Add (c, one)
  e = Mul (a, d)
  f = Mul (e, half)
  y = MatMul (f, v) }
""",
        {"w": weights(6, 5), "v": weights(5, 3)},
        ("conv", "conv", "eltwise"),
    ),
    "concat": Proof(
        """
g (float[1, 2, 4, 4] x) => (float[1, 5, 4, 4] y)
{ a = Conv (x, w)
  b = Conv (x, v)
  y = Concat <axis = 1> (a, b) }
""",
        {"w": weights(3, 2, 1, 1), "v": 9 * weights(2, 2, 1, 1)},
        ("concat", "conv", "conv"),
    ),
    "split": Proof(
        """
g (float[1, 6, 3, 3] x) => (float[1, 3, 3, 3] y)
{ a, b = Split <axis = 1> (x)
  c = Conv (a, w)
  y = Mul (b, c) }
""",
        {"w": weights(3, 3, 1, 1)},
        ("conv", "dot", "split"),
    ),
    "resize": Proof(
        """
g (float[1, 3, 3, 4] x) => (float[1, 2, 6, 8] y)
{ a = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
              nearest_mode = "floor"> (x, , scales)
  y = Conv (a, w) }
""",
        {"scales": np.array([1, 1, 2, 2], np.float32), "w": weights(2, 3, 1, 1)},
        ("conv", "reorder"),
    ),
    "matmul": Proof(
        """
g (float[1, 3, 4] x) => (float[1, 3, 3] y)
{ q = MatMul (x, w)
  k = MatMul (x, v)
  t = Transpose <perm = [0, 2, 1]> (k)
  y = MatMul (q, t) }
""",
        {"w": weights(4, 4), "v": weights(4, 4)},
        ("conv", "conv", "dot", "reorder", "reorder"),
    ),
    "transpose": Proof(
        """
g (float[1, 3, 4] x) => (float[1, 4, 2] y)
{ a = MatMul (x, w)
  t = Transpose <perm = [0, 2, 1]> (a)
  y = MatMul (t, v) }
""",
        {"w": weights(4, 4), "v": weights(3, 2)},
        ("conv", "conv", "reorder"),
    ),
    "conv_integer": Proof(
        """
g (float[1, 2, 4, 4] x) => (float[1, 3, 3, 3] y)
<float step = {0.031}, uint8 zero = {121}, uint8 w_zero = {9}, float scale = {0.00071}>
{ q = QuantizeLinear (x, step, zero)
  a = ConvInteger (q, w, zero, w_zero)
  b = Cast <to = 1> (a)
  c = Mul (b, scale)
  d = Add (c, bias)
  y = Relu (d) }
""",
        {
            "w": RNG.integers(0, 256, (3, 2, 2, 2)).astype(np.uint8),
            "bias": weights(1, 3, 1, 1),
        },
        ("conv",),
    ),
    "two_inputs": Proof(
        """
g (float[1, 2, 6, 6] image, float[1, 3] state) => (float[1, 4] y)
<int64[2] flat = {1, 8}>
{ a = Conv <strides = [3, 3]> (image, w)
  b = Relu (a)
  c = Reshape (b, flat)
  d = Concat <axis = 1> (c, state)
  y = MatMul (d, v) }
""",
        {"w": weights(2, 2, 3, 3), "v": weights(11, 4)},
        ("concat", "conv", "conv", "reorder"),
    ),
    "two_outputs": Proof(
        """
g (float[1, 2, 6, 6] x) => (float[1, 3, 6, 6] fine, float[1, 4] coarse)
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  fine = Relu (a)
  b = GlobalAveragePool (fine)
  c = Flatten (b)
  coarse = MatMul (c, v) }
""",
        {"w": weights(3, 2, 3, 3), "v": weights(3, 4)},
        ("conv", "conv", "reduce"),
    ),
    "folded": Proof(
        "g (float[1, 16] x) => (float[1, 8] y) { y = MatMul (x, w) }",
        {"w": (dense := weights(16, 8))},
        ("conv",),
        options={"strategy": "folded"},
    ),
    "unrolled": Proof(
        "g (float[1, 16] x) => (float[1, 8] y) { y = MatMul (x, w) }",
        {"w": dense},
        ("conv",),
        options={"strategy": "unrolled"},
    ),
    # 250 MHz / 640 kHz is 390 cycles: 16 pixels of 7 channels that take 3 beats, not 4, and
    # of 9 taps in 2 beats, but not in 3.
    "uneven": Proof(
        """
g (float[1, 7, 4, 4] x) => (float[1, 7, 4, 4] y)
{ a = Conv (x, w)
  y = Conv <pads = [1, 1, 1, 1], group = 7> (a, v) }
""",
        {"w": weights(7, 7, 1, 1), "v": weights(7, 1, 3, 3)},
        ("conv", "conv"),
        options={"rate": 640e3},
    ),
    "hard_swish": Proof(
        "g (float[1, 6] x) => (float[1, 4] y) { a = MatMul (x, w)  y = HardSwish (a) }",
        {"w": weights(6, 4)},
        ("conv", "eltwise"),
        opset=14,
    ),
    "leaky_relu": Proof(
        "g (float[1, 6] x) => (float[1, 4] y) { a = MatMul (x, w)  y = LeakyRelu (a) }",
        {"w": weights(6, 4)},
        ("conv", "eltwise"),
        opset=14,
    ),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The bundle of a proof, by name, compiled once and without the NIC's shell."""
    made: dict[str, Bundle] = {}

    def bundle(name: str) -> Bundle:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = compile_proof(PROOFS[name], folder)
        return made[name]

    with without_shell():
        yield bundle


def compile_proof(proof: Proof, folder: Path) -> Bundle:
    model = proof.model()
    rng = np.random.default_rng(SEED)
    samples = {
        value.name: rng.uniform(-2, 2, (64, *shape_of(value))).astype(np.float32)
        for value in model.graph.input
    }
    np.savez(folder / "samples.npz", **samples)  # type: ignore[arg-type]
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    options = Options(calibrate=folder / "samples.npz", min_sqnr=-math.inf, **proof.options)
    return compile_model(path, folder / "bundle", options).bundle


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


@pytest.mark.parametrize("name", PROOFS)
def test_exact_everywhere(name: str, compiled: Any) -> None:
    """RTL with stalls, reference and ``slice.onnx`` agree, and predicted cycles come true."""
    proof, bundle = PROOFS[name], compiled(name)
    manifest = bundle.manifest
    nodes = [node.op_type for node in proof.model().graph.node]
    inside = [kind for kind in nodes if kind != "QuantizeLinear"]  # which the edge computes
    assert len(manifest.slice["nodes"]) == len(inside)
    assert sorted(step.kernel.kind for step in manifest.steps) == sorted(proof.kernels)
    found = verify(bundle, vectors=6, stall=0.4, seed=SEED)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == manifest.cycles_per_inference
    assert found.latency_cycles == manifest.latency_cycles


def layer_of(bundle: Bundle, kernel: str) -> Mapping[str, Any]:
    return next(layer for layer in bundle.manifest.layers if layer["kernel"] == kernel)


@pytest.mark.parametrize("name", ["sigmoid", "gelu", "hard_swish", "leaky_relu"])
def test_curves_are_tables(name: str, compiled: Any) -> None:
    """GELU is one table, however many nodes it is spelled out in."""
    layer = layer_of(compiled(name), "eltwise")
    assert layer["finishers"] == ["table"]
    assert len(layer["sources"]) == (5 if name == "gelu" else 1)


def test_concatenated_channels_keep_their_scales(compiled: Any) -> None:
    """The same integer in channels of either tensor means, and becomes, something else."""
    bundle = compiled("concat")
    operations = operations_of(bundle.manifest.steps, bundle.arrays())
    (concat,) = (o for o in operations if o.kernel.name == "concat")
    (finisher,) = concat.finishers
    (row,) = finisher.apply(np.full((1, finisher.channels), 100))
    assert len(set(row[:3])) == len(set(row[3:])) == 1
    assert row[0] != row[4]


def test_parts_and_orders_have_hardware(compiled: Any) -> None:
    split = next(step for step in compiled("split").manifest.steps if step.kernel.kind == "split")
    assert len(split.outputs) == len(split.finishers) == 2
    (resized,) = (s for s in compiled("resize").manifest.steps if s.kernel.kind == "reorder")
    assert resized.inputs == ("x",)
    turned = layer_of(compiled("transpose"), "reorder")
    assert turned["finishers"] == ["direct"]
    assert layer_of(compiled("matmul"), "dot")["macs"] == 3 * 3 * 4


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"), [("two_inputs", [36, 3], [4]), ("two_outputs", [36], [36, 4])]
)
def test_ports_have_rates_of_their_own(
    name: str, inputs: list[int], outputs: list[int], compiled: Any
) -> None:
    """Beats of an inference at each port."""
    manifest = compiled(name).manifest
    for specs, beats in ((manifest.inputs, inputs), (manifest.outputs, outputs)):
        assert [spec.elements // spec.lanes for spec in specs] == beats


def test_one_layer_is_built_in_two_ways(compiled: Any) -> None:
    """Folded and unrolled, a dense layer is the same program."""
    layers = {}
    for name in ("folded", "unrolled"):
        (layers[name],) = compiled(name).manifest.layers
        assert layers[name]["strategy"] == name
    assert layers["unrolled"]["cycles"] == 1 < layers["folded"]["cycles"]
    wires = [np.random.default_rng(SEED).integers(-128, 128, (9, 16))]
    folded, unrolled = (Reference.of_bundle(compiled(name)).run_wire(wires) for name in layers)
    np.testing.assert_array_equal(folded[0], unrolled[0])


def test_lanes_need_not_divide_channels(compiled: Any) -> None:
    dense, depthwise = compiled("uneven").manifest.layers
    assert (dense["simd"], depthwise["pe"]) == (3, 4)  # of 7 channels each
    assert dense["strategy"] == depthwise["strategy"] == "folded"


@pytest.mark.parametrize("name", ["two_inputs", "two_outputs"])
def test_live_requests_with_several_tensors(name: str, compiled: Any) -> None:
    """A NIC joins them, and gives the reference's bits; it executes several tensors in C++ only."""
    bundle = compiled(name)
    rng = np.random.default_rng(SEED)
    with (
        Cloud(bundle) as cloud,
        start_nic(
            bundle,
            UdpWire(("127.0.0.1", 0), [cloud.port.address]),
            cloud.port.address,
            datapath="reference",
        ) as nic,
        EdgeClient(bundle, straight(nic.address)) as client,
    ):
        for _ in range(3):
            sample = [
                rng.uniform(-2, 2, spec.shape).astype(np.float32) for spec in bundle.manifest.inputs
            ]
            outcome = client.infer(Request(sample))
            wires = [wire.ravel()[None] for wire in client.part.run(sample)]
            results = [r[0] for r in Reference.of_bundle(bundle).run_wire(wires)]
            assert outcome.error is None
            assert (outcome.executed_by, outcome.declined) == ("nic", "")
            assert outcome.slice_sha256 == fingerprint_of(bundle.manifest.outputs, results)
