# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle small enough to know by heart, made without the compiler, and a cloud that runs beside.

Model: y = 2 * x, four floats in, four out. Slice: doubles int8 with saturation, half a unit a step.
"""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from midwire.host import demo
from midwire.host.nodes.cloud import CloudNode
from midwire.host.steer.paths import NetworkPath
from midwire.host.wire.udp import Address, UdpPort, trains
from midwire.hw.console import Console
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.formats import wire
from midwire.hw.formats.bundle import Bundle, Manifest, Step, write_bundle
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.formats.wire import Header, encode
from midwire.hw.kernels.concat import ConcatKernel
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.kernels.program import describe
from midwire.hw.numeric import IntType, QType

from .hop import Fate, Hop, unharmed

ELEMENTS = 4
SCALE = 0.5

HELLO = encode(Header(last=True, total_bytes=4, deadline_us=10**6)) + b"open"
"""A datagram that opens a flow: a tensor of a model that nobody has."""


def _constants() -> list[onnx.TensorProto]:
    return [
        numpy_helper.from_array(np.array(value, dtype), name)
        for name, value, dtype in (
            ("scale", SCALE, np.float32),
            ("zero", 0, np.int8),
            ("two", 2, np.int32),
            ("lo", -128, np.int32),
            ("hi", 127, np.int32),
        )
    ]


def _manifest(
    name: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> Manifest:
    return Manifest(
        name=name,
        model_sha256="0" * 64,
        inputs=inputs,
        outputs=outputs,
        steps=(),
        slice={},
        target="none",
        clock_mhz=250.0,
        cycles_per_inference=4,
        latency_cycles=8,
        resources={},
        sqnr_db=None,
        sqnr="not measured",
    )


def _model(
    nodes: list[onnx.NodeProto], before: tuple[str, int], after: tuple[str, int], elements: int
) -> bytes:
    ends = [helper.make_tensor_value_info(name, kind, [elements]) for name, kind in (before, after)]
    graph = helper.make_graph(nodes, "part", ends[:1], ends[1:], _constants())
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def make_bundle(folder: Path, name: str = "double", elements: int = ELEMENTS) -> Bundle:
    """Write the bundle; another name gives another model hash."""
    qtype = QType(8, True, SCALE)
    spec = TensorSpec("x", (elements,), "float32", qtype, Layout.raster((elements,)), 4)
    node, flt, i8 = helper.make_node, TensorProto.FLOAT, TensorProto.INT8
    files = {
        "edge.onnx": _model(
            [node("QuantizeLinear", ["x", "scale", "zero"], ["wire_in0"])],
            ("x", flt),
            ("wire_in0", i8),
            elements,
        ),
        "slice.onnx": _model(
            [
                node("Cast", ["wire_in0"], ["wide"], to=TensorProto.INT32),
                node("Mul", ["wide", "two"], ["doubled"]),
                node("Clip", ["doubled", "lo", "hi"], ["clipped"]),
                node("Cast", ["clipped"], ["wire_out0"], to=i8),
            ],
            ("wire_in0", i8),
            ("wire_out0", i8),
            elements,
        ),
        "cloud.onnx": _model(
            [node("DequantizeLinear", ["wire_out0", "scale", "zero"], ["y"])],
            ("wire_out0", i8),
            ("y", flt),
            elements,
        ),
    }
    manifest = _manifest(name, (spec,), (spec,))
    return write_bundle(folder, manifest, files)


WIDE_SIZES = (4, 3000), (4, 3004)
"""Elements of the inputs and of the outputs of the wide bundle; a byte each."""


def make_wide_bundle(folder: Path, name: str = "wide") -> Bundle:
    """A bundle of two inputs and two outputs, each side of different sizes.

    ``out0`` doubles ``in0`` with saturation; ``out1`` is ``in0`` and ``in1`` one behind the other.
    """
    qtype = QType(8, True, SCALE)
    node, flt, i8 = helper.make_node, TensorProto.FLOAT, TensorProto.INT8
    inputs, outputs = WIDE_SIZES

    def ends(prefix: str, kind: int, sizes: tuple[int, int]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(f"{prefix}{i}", kind, [n]) for i, n in enumerate(sizes)
        ]

    def specs(prefix: str, sizes: tuple[int, int]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(f"{prefix}{i}", (n,), "float32", qtype, Layout.raster((n,)), 4)
            for i, n in enumerate(sizes)
        )

    def model(
        nodes: list[onnx.NodeProto],
        before: list[onnx.ValueInfoProto],
        after: list[onnx.ValueInfoProto],
    ) -> bytes:
        graph = helper.make_graph(nodes, "part", before, after, _constants())
        opset = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()

    both = range(2)
    files = {
        "edge.onnx": model(
            [node("QuantizeLinear", [f"x{i}", "scale", "zero"], [f"wire_in{i}"]) for i in both],
            ends("x", flt, inputs),
            ends("wire_in", i8, inputs),
        ),
        "slice.onnx": model(
            [
                node("Cast", ["wire_in0"], ["wide"], to=TensorProto.INT32),
                node("Mul", ["wide", "two"], ["doubled"]),
                node("Clip", ["doubled", "lo", "hi"], ["clipped"]),
                node("Cast", ["clipped"], ["wire_out0"], to=i8),
                node("Concat", ["wire_in0", "wire_in1"], ["wire_out1"], axis=0),
            ],
            ends("wire_in", i8, inputs),
            ends("wire_out", i8, outputs),
        ),
        "cloud.onnx": model(
            [node("DequantizeLinear", [f"wire_out{i}", "scale", "zero"], [f"y{i}"]) for i in both],
            ends("wire_out", i8, outputs),
            ends("y", flt, outputs),
        ),
    }
    manifest, files["program.npz"] = _wide_manifest(name, specs("x", inputs), specs("y", outputs))
    return write_bundle(folder, manifest, files)


def _wide_manifest(
    name: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> tuple[Manifest, bytes]:
    """With the program of the same slice, and its arrays."""
    kind = IntType(8, True)

    def scaled(factor: int) -> MultiplyShift:
        ones = np.ones((1, 1), np.int64)
        ends = np.array([-128], np.int64), np.array([127], np.int64)
        return MultiplyShift(factor * ones, np.zeros(1, np.int64), 0, 0, 0, *ends)

    short, long = WIDE_SIZES[0]
    operations = (
        ("double", EltwiseKernel((kind,), short, short, 1), scaled(2), ("x0",), ("y0",)),
        ("join", ConcatKernel((kind, kind), (short, long), 1), scaled(1), ("x0", "x1"), ("y1",)),
    )
    arrays: dict[str, Any] = {}
    steps = tuple(
        Step(step, describe(kernel, step, arrays), (describe(finisher, step, arrays),), read, made)
        for step, kernel, finisher, read, made in operations
    )
    held = io.BytesIO()
    np.savez(held, **arrays)
    program = {"roots_in": ["x0", "x1"], "roots_out": ["y0", "y1"]}
    manifest = replace(_manifest(name, inputs, outputs), steps=steps, slice=program)
    return manifest, held.getvalue()


def send(port: UdpPort, data: bytes | memoryview, size: int, to: Address) -> None:
    """Send bytes as datagrams of a size."""
    for train in trains([data[at : at + size]] for at in range(0, len(data), size)):
        port.send(train, to)


@contextlib.contextmanager
def relay(onward: Fate, cloud: Address, back: Fate = unharmed) -> Iterator[Address]:
    """A hop between edge and cloud: ``onward`` turns each datagram of the edge into what goes on,
    ``back`` each one for it.
    """
    with Hop(cloud, lambda: onward, lambda: back) as hop:
        yield hop.address


def changed(datagram: bytes, payload: bytes | None = None, **fields: Any) -> bytes:
    """The datagram with other fields, and perhaps another payload."""
    header = replace(wire.decode(datagram), **fields)
    return encode(header) + (datagram[64:] if payload is None else payload)


def straight(address: Address) -> list[NetworkPath]:
    """The one path whose first hop is there."""
    return [NetworkPath(address)]


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def cpu_ticks(pid: int) -> int:
    """Processor time that a process has used, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wait_for_the_end_of(*pids: int) -> bool:
    """Whether all of them end soon."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if not any(map(alive, pids)):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="session")
def digits() -> Bundle:
    """The shipped example's bundle."""
    with demo.shipped_example() as example:
        return Bundle.load(demo.compiled_bundle(example, Console())[0])


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The known bundle."""
    return make_bundle(tmp_path / "double")


class Cloud:
    """A cloud node in a thread, until the end of a ``with``."""

    def __init__(self, *bundles: Bundle, listen: Address | None = None) -> None:
        self.port = UdpPort(listen)
        self.node = CloudNode(bundles, self.port, slots=4, timeout=0.5)
        self._thread = threading.Thread(target=self.node.serve)
        self._thread.start()

    def __enter__(self) -> Cloud:
        return self

    def __exit__(self, *_: object) -> None:
        self.node.stop()
        self._thread.join()
        self.node.close()
        self.port.close()


@pytest.fixture
def cloud(bundle: Bundle) -> Iterator[Cloud]:
    """A running cloud of the known bundle."""
    with Cloud(bundle) as node:
        yield node
