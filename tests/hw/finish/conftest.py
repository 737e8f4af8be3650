# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A finisher's ONNX form in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from midwire.hw.finish.base import Finisher
from midwire.hw.numeric import IntArray


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


def run_onnx(write: Callable[[Writer, list[str]], str], terms: Sequence[IntArray]) -> IntArray:
    """The result of nodes on terms given as doubles, which must be whole."""
    writer = Writer()
    names = [f"in{k}" for k in range(len(terms))]
    output = write(writer, names)
    graph = helper.make_graph(
        writer.nodes,
        "finisher",
        [
            helper.make_tensor_value_info(name, TensorProto.DOUBLE, term.shape)
            for name, term in zip(names, terms, strict=True)
        ],
        [helper.make_tensor_value_info(output, TensorProto.DOUBLE, ["n", "channels"])],
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
def in_onnx() -> Callable[..., IntArray]:
    """``in_onnx(finisher, *accs)``: :meth:`Finisher.apply`, by ONNX Runtime (F1)."""

    def run(finisher: Finisher, *accs: IntArray) -> IntArray:
        return run_onnx(finisher.onnx, accs)

    return run
