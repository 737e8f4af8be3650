# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Small ONNX models for the compiler's tests, written in ONNX's text form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from midwire.compiler.ir.graph import Graph
from midwire.compiler.ir.quant import QGraph
from midwire.compiler.load.frontend import load_model
from midwire.compiler.map.fuse import fuse
from midwire.compiler.quantise.insert import quantise
from midwire.compiler.select.buildable import plan
from midwire.hw.kernels.base import Implementation
from midwire.hw.numeric import QType

from ..small import without_rtl, without_shell

Array = np.ndarray[Any, Any]
ModelFile = Callable[..., Path]
RunOnnx = Callable[[onnx.ModelProto, Mapping[str, Array]], dict[str, Array]]


@pytest.fixture
def model_file(tmp_path: Path) -> ModelFile:
    """Write a model to a file: a protobuf, bytes, or the text of a graph (opset 13 by default)."""

    def write(
        model: onnx.ModelProto | bytes | str,
        opset: int = 13,
        name: str = "net.onnx",
        imports: str = "",
        ir: int = 8,
    ) -> Path:
        if isinstance(model, str):
            header = f'<ir_version: {ir}, opset_import: ["" : {opset}{imports}]>\n'
            model = onnx.parser.parse_model(header + model)
        path = tmp_path / name
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return write


@pytest.fixture(scope="session")
def run_onnx() -> RunOnnx:
    """Run a model in ONNX Runtime, node by node as it stands: no fusing."""

    def run(model: onnx.ModelProto, feed: Mapping[str, Array]) -> dict[str, Array]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feed)), strict=True))

    return run


@dataclass(frozen=True)
class Lowered:
    """A model after each of the first passes: as imported, on grids, in integers."""

    real: Graph
    rounded: Graph
    integers: QGraph


Lower = Callable[..., Lowered]


@pytest.fixture
def lower(model_file: ModelFile) -> Lower:
    """``lower(text, grids={}, bits=8)``: grids by tensor, else 8 signed bits of 1/16."""

    def run(
        text: str, grids: Mapping[str, QType] | None = None, bits: int = 8, **options: Any
    ) -> Lowered:
        source = load_model(model_file(text, **options))
        real = plan(source, calibrated=True).selection.graph
        chosen = grids or {}
        rounded = quantise(real, lambda name: chosen.get(name, QType(8, True, 2.0**-4)), bits)
        return Lowered(real, rounded, fuse(rounded))

    return run


WithLanes = Callable[..., dict[str, Implementation]]


@pytest.fixture
def with_lanes() -> WithLanes:
    """``with_lanes(graph, (pe, simd), ...)``: for each node, by name, the folded implementation of
    so many lanes out and in.
    """

    def choose(graph: QGraph, *lanes: tuple[int, int]) -> dict[str, Implementation]:
        chosen = {}
        for node, wanted in zip(graph.nodes, lanes, strict=True):
            outs = [graph.tensors[name].qtype.integers for name in node.outputs]
            offered = node.kernel.implementations(node.finishers, outs)
            (chosen[node.name],) = (each for each in offered if each.parallelism == wanted)
        return chosen

    return choose


@pytest.fixture
def no_nic() -> Iterator[None]:
    """:func:`without_shell`."""
    with without_shell():
        yield


@pytest.fixture
def no_rtl() -> Iterator[None]:
    """:func:`without_rtl`."""
    with without_rtl():
        yield
