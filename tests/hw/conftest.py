# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One bench for every streaming component: integer tensors in, integer tensors and cycles out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

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
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.numeric import QType
from midwire.hw.timing.components import Edge, Schedule, window_lines
from midwire.sim.build import build_model
from midwire.sim.model import Model, RunResult

_T = TypeVar("_T")

IntArray = npt.NDArray[np.int64]

MEMORIES = sorted((Path(midwire.hw.__file__).parent / "verilog").glob("*.v"))


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
        sides: Sequence[str] = (),
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
            verilog.convert(AxisTop(component, inputs, outputs, sides), name="dut", emit_src=False)
        )
        for name, text in files.items():
            (folder / name).write_text(text)
        self.model = Model(build_model([folder / "dut.v", *MEMORIES], "dut"), folder)

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
    """``bench(component, inputs=["i"], outputs=["o"], files={}, sides=[])`` builds a
    :class:`Bench`.
    """

    def make(
        component: wiring.Component,
        inputs: Sequence[str] = ("i",),
        outputs: Sequence[str] = ("o",),
        files: Mapping[str, str] | None = None,
        sides: Sequence[str] = (),
    ) -> Bench:
        return Bench(tmp_path, component, list(inputs), list(outputs), files or {}, sides)

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

    def __init__(self, prefix: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []
        self.prefix = prefix

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        (output,) = self.several(1, kind, *inputs, **attributes)
        return output

    def several(self, count: int, kind: str, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        outputs = [f"{self.prefix}{kind}_{len(self.nodes)}_{k}" for k in range(count)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **attributes))
        return tuple(outputs)

    def constant(self, value: Any, dtype: Any) -> str:
        name = f"constant_{len(self.initialisers)}"
        array = np.asarray(value, dtype=dtype)
        self.initialisers.append(numpy_helper.from_array(array, name))
        return name

    def cast(self, value: str, dtype: Any) -> str:
        return self.op("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        return self.op("Reshape", value, self.constant(list(shape), np.int64))

    def scan(
        self,
        body: Callable[[Writer, Sequence[str], Sequence[str]], Sequence[str]],
        states: Sequence[str],
        inputs: Sequence[str],
    ) -> tuple[str, list[str]]:
        """A Scan in a graph of its own, but for the constants."""
        inner = Writer(f"{self.prefix}scan{len(self.nodes)}_")
        inner.initialisers = self.initialisers
        own = [f"{inner.prefix}state{k}" for k in range(len(states))]
        rows = [f"{inner.prefix}row{k}" for k in range(len(inputs))]
        made = [*body(inner, own, rows)]
        made.append(inner.op("Identity", made[0]))
        taken, given = (
            [
                helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, None])
                for name in names
            ]
            for names in (own + rows, made)
        )
        graph = helper.make_graph(inner.nodes, "body", taken, given)
        ends = [f"{inner.prefix}end{k}" for k in range(len(made))]
        node = helper.make_node(
            "Scan", [*states, *inputs], ends, body=graph, num_scan_inputs=len(inputs)
        )
        self.nodes.append(node)
        return ends[-1], ends[:-1]


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


@pytest.fixture
def random_geometry() -> Callable[..., Geometry]:
    """``random_geometry(rng, rank)``: a small window over so many axes, two by default."""

    def make(rng: np.random.Generator, rank: int = 2) -> Geometry:
        most = {2: 8, 3: 6, 4: 4}[rank]

        def some(low: int, high: int, count: int = rank) -> tuple[int, ...]:
            return tuple(int(n) for n in rng.integers(low, high, count))

        while True:
            try:
                return Geometry(
                    some(1, most), some(1, 4), some(1, 4), some(1, 3), some(0, 3, 2 * rank)
                )
            except ValueError:
                continue

    return make


def pick(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    return options[int(rng.integers(len(options)))]


class RandomNetwork:
    """Puts the same random network into any schedule."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, schedule: Schedule) -> None:
        rng = np.random.default_rng(self.seed)
        self._schedule = schedule
        self._count = 0
        beats = pick(rng, [1, 6, 12, 24, 36])
        open_ = [schedule.source(f"in{k}", beats) for k in range(rng.integers(1, 3))]
        for _ in range(rng.integers(2, 9)):
            edge = open_.pop(rng.integers(len(open_)))
            alike = [other for other in open_ if other.beats == edge.beats]
            if alike and rng.random() < 0.6:
                open_.remove(alike[0])
                out = self._edge(edge.beats)
                depth = pick(rng, [None, 1, 2])
                latency = int(rng.integers(1, 5))
                schedule.stream(out.name, [edge, alike[0]], out, latency=latency, depth=depth)
                open_.append(out)
            elif len(open_) < 3 and rng.random() < 0.4:
                branches = [self._edge(edge.beats) for _ in range(rng.integers(2, 4))]
                schedule.fork(edge, branches)
                queued = self._edge(edge.beats)
                schedule.fifo(branches[0], queued, int(rng.integers(0, edge.beats + 2)))
                open_ += [queued, *branches[1:]]
            else:
                kind = pick(rng, [self._fifo, self._widen, self._narrow, self._window])
                open_.append(kind(edge, rng))
        for edge in open_:
            schedule.sink(edge)

    def _edge(self, beats: int) -> Edge:
        self._count += 1
        return self._schedule.edge(f"e{self._count}", beats)

    def _fifo(self, edge: Edge, rng: np.random.Generator) -> Edge:
        out = self._edge(edge.beats)
        self._schedule.fifo(edge, out, pick(rng, [None, 0, 1, 2, 5, 40]))
        return out

    def _widen(self, edge: Edge, rng: np.random.Generator) -> Edge:
        parts: list[tuple[int, ...]] = [(1,), (2,), (3,), (6,), (1, 2), (3, 2, 1)]
        parts = [p for p in parts if edge.beats % sum(p) == 0]
        chosen = pick(rng, parts)
        out = self._edge(edge.beats // sum(chosen) * len(chosen))
        self._schedule.widen(edge, out, chosen)
        return out

    def _narrow(self, edge: Edge, rng: np.random.Generator) -> Edge:
        out = self._edge(edge.beats * int(rng.integers(1, 4)))
        self._schedule.narrow(edge, out)
        return out

    def _window(self, edge: Edge, rng: np.random.Generator) -> Edge:
        height, rest = self._split(edge.beats, rng)
        width, folds = self._split(rest, rng)
        kernel = (int(rng.integers(1, min(height, 3) + 1)), int(rng.integers(1, min(width, 3) + 1)))
        stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        pads = (kernel[0] // 2, 0, 0, kernel[1] // 2)
        geometry = Geometry((height, width), kernel, stride, pads=pads)
        passes = int(rng.integers(1, 4))
        out = self._edge(geometry.out_pixels * passes)
        lines = window_lines(geometry) - int(rng.integers(0, 2))
        self._schedule.window(
            out.name,
            edge,
            out,
            geometry=geometry,
            folds=folds,
            passes=passes,
            steps=int(rng.integers(1, 7)),
            latency=int(rng.integers(3, 9)),
            lines=max(lines, 1),
            depth=pick(rng, [None, 1, 2]),
        )
        return out

    @staticmethod
    def _split(beats: int, rng: np.random.Generator) -> tuple[int, int]:
        part = pick(rng, [k for k in range(1, beats + 1) if beats % k == 0])
        return part, beats // part


@pytest.fixture
def random_network() -> type[RandomNetwork]:
    """``random_network(seed)(schedule)`` builds one."""
    return RandomNetwork
