# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What ONNX Runtime's own quantiser writes, in every form: all of it one slice, exact in RTL."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.session import open_session
from midwire.sim.evaluation import evaluate
from midwire.sim.execute import execute
from midwire.sim.vectors import wire_inputs
from midwire.sim.verify import verify

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]

SEED = 20261127

NET = """
g (float[N, 3, 6, 6] x) => (float[N, 4] y)
{ a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
  b = Relu (a)
  c = Conv <pads = [1, 1, 1, 1], group = 6> (b, w2, b2)
  d = LeakyRelu <alpha = 0.1> (c)
  e = Add (b, d)
  f = Conv (e, w3)
  s = Sigmoid (f)
  m = Mul (f, s)
  k = Concat <axis = 1> (e, m)
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (k)
  q = AveragePool <kernel_shape = [2, 2], strides = [1, 1]> (p)
  t = GlobalAveragePool (q)
  u = Flatten (t)
  v = Gemm <transB = 1> (u, w4, b4)
  r = Relu (v)
  z = MatMul (r, w5)
  y = Softmax <axis = -1> (z) }
"""

WEIGHTS = {
    "w1": (6, 3, 3, 3),
    "b1": (6,),
    "w2": (6, 1, 3, 3),
    "b2": (6,),
    "w3": (6, 6, 1, 1),
    "w4": (5, 12),
    "b4": (5,),
    "w5": (5, 4),
}


def samples(count: int) -> Array:
    """Gaussian images, one by one."""
    return np.random.default_rng(SEED).normal(0, 1, (count, 1, 3, 6, 6)).astype(np.float32)


class Reader(CalibrationDataReader):
    """The same for calibration."""

    def __init__(self) -> None:
        self._left: Iterator[Array] = iter(samples(16))

    def get_next(self) -> dict[str, Array] | None:
        sample = next(self._left, None)
        return None if sample is None else {"x": sample}


@dataclass(frozen=True)
class How:
    """A way to quantise."""

    form: QuantFormat
    activations: QuantType
    weights: QuantType
    per_channel: bool = False
    opset: int = 17
    options: dict[str, Any] = field(default_factory=dict)
    least: float = 35
    """dB against ONNX Runtime, whose float32 rounds what is near to a tie otherwise."""


Q, D, T = QuantFormat.QOperator, QuantFormat.QDQ, QuantType

WAYS = {
    "QOperator": How(Q, T.QUInt8, T.QInt8),
    "QOperator, per channel": How(Q, T.QUInt8, T.QInt8, per_channel=True),
    "QOperator, asymmetric weights": How(Q, T.QUInt8, T.QUInt8),
    "QOperator, symmetric, opset 13": How(
        Q, T.QInt8, T.QInt8, per_channel=True, opset=13, options={"ActivationSymmetric": True}
    ),
    "QDQ": How(D, T.QUInt8, T.QInt8),
    "QDQ, per channel": How(D, T.QInt8, T.QInt8, per_channel=True),
    "QDQ, symmetric": How(D, T.QInt8, T.QInt8, options={"ActivationSymmetric": True}),
    "QDQ, asymmetric weights": How(D, T.QInt8, T.QInt8, options={"WeightSymmetric": False}),
    "QDQ of ONNX Runtime's domain": How(
        D, T.QUInt8, T.QInt8, per_channel=True, options={"UseQDQContribOps": True}
    ),
    "QDQ, 4-bit weights": How(D, T.QUInt8, T.QInt4, per_channel=True, opset=21),
    "QDQ, unsigned 4-bit weights": How(D, T.QInt8, T.QUInt4, opset=21),
    "QDQ, 4 bits": How(D, T.QInt4, T.QInt4, per_channel=True, opset=21, least=20),
    "QDQ, 16-bit activations": How(D, T.QUInt16, T.QInt8, per_channel=True, least=50),
    "QDQ, 16 bits": How(D, T.QInt16, T.QInt16, opset=21, least=80),
    "QDQ, 16-bit activations of ONNX Runtime's domain": How(
        D, T.QInt16, T.QInt8, options={"UseQDQContribOps": True}, least=50
    ),
}

IN_RTL = (
    "QOperator, per channel",
    "QDQ of ONNX Runtime's domain",
    "QDQ, 4 bits",
    "QDQ, 16-bit activations",
)
"""One of each form; the others with --sweep. Integers of all are compared by the reference."""


def quantised(folder: Path, how: How) -> Path:
    """The net, as ``quantize_static`` writes it."""
    header = f'<ir_version: 8, opset_import: ["" : {how.opset}]>'
    text = NET.replace("y)\n{", f"y)\n<{', '.join(map(declared, WEIGHTS))}>\n{{")
    model = onnx.parser.parse_model(f"{header}\n{text}")
    rng = np.random.default_rng(SEED)
    del model.graph.initializer[:]
    for name, shape in WEIGHTS.items():
        array = rng.normal(0, 0.5, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    (folder / "float.onnx").write_bytes(model.SerializeToString())
    quantize_static(
        folder / "float.onnx",
        folder / "net.onnx",
        Reader(),
        quant_format=how.form,
        per_channel=how.per_channel,
        activation_type=how.activations,
        weight_type=how.weights,
        extra_options=how.options,
    )
    return folder / "net.onnx"


def declared(name: str) -> str:
    """A constant in ONNX's text form; its values come later."""
    count = int(np.prod(WEIGHTS[name]))
    return f"float[{', '.join(map(str, WEIGHTS[name]))}] {name} = {{{', '.join(['0'] * count)}}}"


@dataclass(frozen=True)
class Written:
    """A quantised net, and the samples in a file."""

    path: Path
    samples: Path


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Written]:
    """``written(way)``."""
    monkeypatch.setattr(logging.root, "disabled", True)  # it advises to prepare the model first

    def write(way: str) -> Written:
        print(f"seed {SEED}")
        np.savez(tmp_path / "samples.npz", x=samples(24))
        return Written(quantised(tmp_path, WAYS[way]), tmp_path / "samples.npz")

    return write


@pytest.mark.parametrize("way", WAYS)
def test_one_slice(
    way: str, written: Callable[[str], Written], tmp_path: Path, no_rtl: None
) -> None:
    """All of the net, its integers those of ``slice.onnx``, close to ONNX Runtime's."""
    del no_rtl
    net = written(way)
    done = compile_model(net.path, tmp_path / "net.mw", Options(calibrate=net.samples))
    bundle = done.bundle
    assert bundle.manifest.slice["macs_share"] == 1
    worst = done.worst
    assert worst is not None
    assert worst.sqnr.db is None or worst.sqnr.db > WAYS[way].least, worst.sqnr.text
    wires = wire_inputs(bundle, {"x": samples(24)}, "samples")
    (got,) = execute(bundle, wires, backend="reference").wires
    session = open_session(bundle.path("slice.onnx"))
    for wire, want in zip(wires[0], got, strict=True):
        (again,) = session.run(None, {"wire_in0": wire})
        np.testing.assert_array_equal(again, want)
    found = evaluate(bundle, net.samples)
    assert len(found.layers) > 2
    total = sum(layer.share for layer in found.layers)
    assert total == pytest.approx(1 if found.accuracy.relative_error else 0)


def check_rtl(net: Written, folder: Path) -> None:
    bundle = compile_model(net.path, folder / "net.mw", Options(calibrate=net.samples)).bundle
    found = verify(bundle, inputs=net.samples, vectors=4, stall=0.3, seed=SEED)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == bundle.manifest.cycles_per_inference
    assert found.latency_cycles == bundle.manifest.latency_cycles


@pytest.mark.parametrize("way", IN_RTL)
def test_rtl(way: str, written: Callable[[str], Written], tmp_path: Path, no_nic: None) -> None:
    del no_nic
    check_rtl(written(way), tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("way", [way for way in WAYS if way not in IN_RTL])
def test_sweep_rtl(
    way: str, written: Callable[[str], Written], tmp_path: Path, no_nic: None
) -> None:
    del no_nic
    check_rtl(written(way), tmp_path)
