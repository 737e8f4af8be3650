# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A kernel's ONNX form in ONNX Runtime, against its numpy run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from midwire.hw.kernels.base import Kernel
from midwire.hw.kernels.program import describe, kernel_of

from ..conftest import Writer

IntArray = npt.NDArray[np.int64]


@pytest.fixture
def agree() -> Callable[..., None]:
    """``agree(kernel, streams)``: ONNX gives the accumulators of ``kernel.run``, exactly, and they
    lie in ``kernel.ranges``; a bundle's program gives the kernel back (K1).
    """

    def run(kernel: Kernel, streams: Sequence[IntArray]) -> None:
        arrays: dict[str, Any] = {}
        described = describe(kernel, "k", arrays)
        assert described.kind == kernel.name
        parameters = json.loads(json.dumps(described.parameters))
        again = kernel_of(replace(described, parameters=parameters), arrays)
        for terms, same in zip(kernel.run(*streams), again.run(*streams), strict=True):
            np.testing.assert_array_equal(terms, same)
        writer = Writer()
        names = [f"in{k}" for k in range(len(streams))]
        results = [name for terms in kernel.onnx(writer, names) for name in terms]
        graph = helper.make_graph(
            writer.nodes,
            "kernel",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [x.shape[1]])
                for name, x in zip(names, streams, strict=True)
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["pixels", "channels"])
                for name in results
            ],
            writer.initialisers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        wanted = [term for terms in kernel.run(*streams) for term in terms]
        for n in range(len(streams[0])):
            found = session.run(
                None,
                {name: x[n].astype(np.float32) for name, x in zip(names, streams, strict=True)},
            )
            for got, want in zip(found, wanted, strict=True):
                assert want.dtype == np.int64
                assert got.shape[-1] == want.shape[-1]
                np.testing.assert_array_equal(got.ravel(), want[n].ravel())
        for terms, ranges in zip(kernel.run(*streams), kernel.ranges, strict=True):
            for term, values in enumerate(terms):
                assert len(ranges) == values.shape[-1]
                rows = values.reshape(-1, len(ranges))
                assert (rows.min(axis=0) >= [channel[term][0] for channel in ranges]).all()
                assert (rows.max(axis=0) <= [channel[term][1] for channel in ranges]).all()

    return run
