# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One bench for every streaming component: integer tensors in, integer tensors and cycles out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from amaranth.back import verilog
from amaranth.hdl import Shape
from amaranth.lib import wiring
from onnx import TensorProto, helper, numpy_helper

import midwire.hw
from midwire.hw.datapath.stream import AxisTop
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.kernels.base import StreamPort
from midwire.hw.numeric import QType
from midwire.sim.build import build_model
from midwire.sim.model import Model, RunResult

IntArray = npt.NDArray[np.int64]

ROM = Path(midwire.hw.__file__).parent / "verilog" / "mw_rom.v"


def container(bits: int, signed: bool) -> np.dtype[Any]:
    """Type of an element on a stream port."""
    return QType(bits, signed, 1.0).wire_dtype


class Bench:
    """A component in Verilator, with tensors of integers instead of bytes."""

    def __init__(
        self,
        folder: Path,
        component: Any,
        inputs: Sequence[str],
        outputs: Sequence[str],
        files: Mapping[str, str],
    ) -> None:
        def member(name: str) -> Any:
            port = component
            for part in name.split("."):
                port = port[int(part)] if part.isdigit() else getattr(port, part)
            shape = Shape.cast(port.payload.data.shape().elem_shape)
            return container(shape.width, shape.signed)

        self.inputs = [member(name) for name in inputs]
        self.outputs = [member(name) for name in outputs]
        (folder / "dut.v").write_text(
            verilog.convert(AxisTop(component, inputs, outputs), name="dut", emit_src=False)
        )
        for name, text in files.items():
            (folder / name).write_text(text)
        self.model = Model(build_model([folder / "dut.v", ROM], "dut"), folder)

    def run(
        self,
        *arrays: IntArray,
        out: Sequence[tuple[int, ...]],
        stall: float | tuple[float, float] = 0.0,
        seed: int = 0,
    ) -> tuple[list[IntArray], RunResult]:
        """Run tensors (N, ...) on every input; ``out`` has the shape of each output."""
        wires = [
            np.ascontiguousarray(array.astype(kind)).view(np.uint8).reshape(len(array), -1)
            for array, kind in zip(arrays, self.inputs, strict=True)
        ]
        sizes = [
            int(np.prod(shape)) * kind.itemsize
            for shape, kind in zip(out, self.outputs, strict=True)
        ]
        result = self.model.run(wires, output_bytes=sizes, stall=stall, seed=seed, watchdog=100_000)
        tensors = [
            wire.reshape(-1).view(kind).reshape(len(wire), *shape).astype(np.int64)
            for wire, kind, shape in zip(result.outputs, self.outputs, out, strict=True)
        ]
        return tensors, result


MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> MakeBench:
    """``bench(component, inputs=["i"], outputs=["o"], files={})`` builds a :class:`Bench`."""

    def make(
        component: wiring.Component,
        inputs: Sequence[str] = ("i",),
        outputs: Sequence[str] = ("o",),
        files: Mapping[str, str] | None = None,
    ) -> Bench:
        return Bench(tmp_path, component, list(inputs), list(outputs), files or {})

    return make


@pytest.fixture(scope="session")
def bench_in() -> type[Bench]:
    """:class:`Bench` itself, for fixtures that share one build."""
    return Bench


def trimmed(values: IntArray, port: StreamPort) -> IntArray:
    """Tensors of a port's beats without what fills them up (rule S1)."""
    if not port.padded:
        return values
    beats = values.reshape(len(values), -1, -(-port.run // port.lanes) * port.lanes)
    return beats[:, :, : port.run].reshape(len(values), -1)


STALLS = ((0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.5, 0.5))
"""Source pauses crossed with sink pauses."""


@pytest.fixture
def check() -> Callable[..., None]:
    """``check(bench, arrays, wanted, predicted)``: exact under stalls, in the cycles predicted.

    Lanes that fill up the beats of ``ports`` carry what nobody reads, and are not compared.
    """

    def run(
        dut: Bench,
        arrays: Sequence[IntArray],
        wanted: Sequence[IntArray],
        predicted: Any = None,
        ports: Sequence[StreamPort] = (),
    ) -> None:
        shapes = [array.shape[1:] for array in wanted]
        for k, port in enumerate(ports):
            if port.padded:
                shapes[k] = (port.beats * port.lanes,)
        for seed, stall in enumerate(STALLS):
            print(f"seed {seed}, stalls {stall}")
            got, result = dut.run(*arrays, out=shapes, stall=stall, seed=seed)
            got = [trimmed(y, port) for y, port in zip(got, ports, strict=True)] if ports else got
            for mine, theirs in zip(got, wanted, strict=True):
                np.testing.assert_array_equal(mine, theirs)
            if stall == (0.0, 0.0) and predicted is not None:
                # The model counts from the end of reset; the simulator from the start of the run.
                first = int(result.first_in[0]) - predicted.first_in[0]
                assert [int(c) - first for c in result.first_in] == list(predicted.first_in)
                assert [int(c) - first for c in result.last_out] == list(predicted.last_out)

    return run


def random_requantiser(
    rng: np.random.Generator,
    channels: int,
    ranges: Sequence[tuple[int, int]],
    out: tuple[int, bool],
    *,
    shared: bool = False,
) -> MultiplyShift:
    """Some parameters of N5 that use the whole range of the result."""
    low, high = (
        (-(1 << (out[0] - 1)), (1 << (out[0] - 1)) - 1) if out[1] else (0, (1 << out[0]) - 1)
    )
    shift = int(rng.integers(8, 14))
    count = 1 if shared else channels
    span = sum(b - a for a, b in ranges) + 1
    unit = (high - low + 1) * 2**shift / span
    multiplier = np.maximum(1, rng.uniform(0.5, 2.0, (count, len(ranges))) * unit).astype(np.int64)
    offset = rng.integers(0, 1 << shift, count) - multiplier @ np.array(
        [(a + b) // 2 for a, b in ranges]
    )
    offset += ((low + high) // 2) << shift
    relu = low + rng.integers(0, 3, count)

    def spread(array: IntArray) -> IntArray:
        return np.ascontiguousarray(np.broadcast_to(array, (channels, *array.shape[1:])))

    return MultiplyShift(
        multiplier=spread(multiplier),
        offset=spread(offset.astype(np.int64)),
        shift=shift,
        tie=int(rng.integers(0, 1 << (shift - 1))),
        parity=int(rng.integers(0, 2)),
        lo=spread(relu.astype(np.int64)),
        hi=np.full(channels, high, dtype=np.int64),
    )


@pytest.fixture
def requantiser() -> Callable[..., MultiplyShift]:
    """:func:`random_requantiser`."""
    return random_requantiser


class Writer:
    """:class:`~midwire.hw.finish.base.OnnxWriter` by itself."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: Any, dtype: Any) -> str:
        name = f"constant_{len(self.initialisers)}"
        array = np.asarray(value, dtype=dtype)
        self.initialisers.append(numpy_helper.from_array(array, name))
        return name

    def cast(self, value: str, dtype: Any) -> str:
        return self.op("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        return self.op("Reshape", value, self.constant(list(shape), np.int64))


def run_nodes(write: Callable[[Writer, list[str]], str], terms: Sequence[IntArray]) -> IntArray:
    """The result of nodes on terms given as doubles, which must be whole."""
    writer = Writer()
    names = [f"in{k}" for k in range(len(terms))]
    output = write(writer, names)
    graph = helper.make_graph(
        writer.nodes,
        "nodes",
        [
            helper.make_tensor_value_info(name, TensorProto.DOUBLE, term.shape)
            for name, term in zip(names, terms, strict=True)
        ],
        [
            helper.make_tensor_value_info(
                output, TensorProto.DOUBLE, [f"d{k}" for k in range(terms[0].ndim)]
            )
        ],
        writer.initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = {name: term.astype(np.float64) for name, term in zip(names, terms, strict=True)}
    (result,) = session.run(None, feeds)
    whole = np.asarray(result).astype(np.int64)
    np.testing.assert_array_equal(whole, result)
    return whole


@pytest.fixture(scope="session")
def run_onnx() -> Callable[..., IntArray]:
    """``run_onnx(write, terms)``: :func:`run_nodes`."""
    return run_nodes
