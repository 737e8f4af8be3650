# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What ends ONNX's inference with all memory, or with the process, is a node that is wrong.

The lengths are such that a test survives if it is inferred all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.ranks import COUNTS

ModelFile = Callable[..., Path]

COUNTED = {
    "Expand of opset 8": (11, "y = Expand (x, list)"),
    "Expand": (13, "y = Expand (x, list)"),
    "Reshape": (13, "y = Reshape (x, list)"),
    "ConstantOfShape": (13, "y = ConstantOfShape (list)"),
    "Resize": (13, 'y = Resize <mode = "nearest"> (x, , , list)'),
    "Col2Im": (18, "s = Squeeze (x, one) y = Col2Im (s, list, one)"),
    "AffineGrid": (20, "s = Squeeze (x, one) y = AffineGrid (s, list)"),
}

LISTS = {
    "a range": ("", "list = Range (begin, end, step)", 100_000),
    "a range of data": ("", "n = ReduceMax (i) list = Range (begin, n, step)", None),
    "an input": (", int64[100000] list", "", 100_000),
    "repeated": ("", "list = Tile (one, many)", 100_000),
    "padded": ("", "list = Pad (one, ends)", 100_001),
    "stored": ("", "list = ConstantOfShape <value = int64[1] {1}> (axes)", 65),
}


def test_all_are_tried() -> None:
    assert {name.split()[0] for name in COUNTED} == COUNTS.keys()


@pytest.mark.parametrize("operator", COUNTED)
@pytest.mark.parametrize("given", LISTS)
def test_lists_of_axes(model_file: ModelFile, operator: str, given: str) -> None:
    """The result of none is known; where it has a length, that is what is wrong with the node."""
    opset, node = COUNTED[operator]
    more, made, length = LISTS[given]
    text = f"""
    g (float[1, 1, 2, 3] x, int64[4] i{more}) => (float[A] y, float[1, 1, 2, 3] z)
    <int64 begin = {{0}}, int64 end = {{100000}}, int64 step = {{1}}, int64[1] one = {{1}},
     int64[1] many = {{100000}}, int64[2] ends = {{0, 100000}}, int64[1] axes = {{65}}>
    {{ {made} {node} z = Relu (x) }}
    """
    if opset < 13:
        text = text.replace("ReduceMax", "ReduceMax <keepdims = 0>")
    source = load_model(model_file(text, opset))
    assert "y" not in source.values
    assert source.values["z"].shape == (1, 1, 2, 3)
    (why,) = [text for name, text in source.unsound.items() if "axes" in text] or [""]
    assert f"({length} numbers for axes; a tensor has at most 64)" in why if length else not why


def test_a_gather_in_its_own_result(model_file: ModelFile) -> None:
    """Twice as many axes with each node: 2^17 at last."""
    nodes = " ".join(f"g{k + 1} = Gather (g{k}, g{k})" for k in range(16))
    text = f"g (int64[1, 1] g0) => (int64[A] g16) {{ {nodes} }}"
    source = load_model(model_file(text))
    assert [len(v.shape) for v in source.values.values()] == [2, 3, 5, 9, 17, 33]
    assert source.unsound == {
        "Gather_5": "expected inputs and attributes that fit each other, found the shapes "
        f"{[1] * 33} and {[1] * 33} ('g6' has 65 axes; a tensor has at most 64)"
    }


def test_axes_one_by_one(model_file: ModelFile) -> None:
    nodes = " ".join(f"t{k + 1} = Unsqueeze (t{k}, zero)" for k in range(80))
    text = f"g (float[2] t0) => (float[A] t80) <int64[1] zero = {{0}}> {{ {nodes} }}"
    source = load_model(model_file(text))
    assert max(len(value.shape) for value in source.values.values()) == 64
    assert list(source.unsound) == ["Unsqueeze_63"]


def test_an_input_of_too_many_axes(model_file: ModelFile) -> None:
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1] * 65) for n in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    source = load_model(model_file(helper.make_model(graph, ir_version=8)))
    assert "y" not in source.values
    assert "'x' has 65 axes; a tensor has at most 64" in source.unsound["Relu_0"]


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize(
    "node",
    [
        "y = Slice (r, one, two, axis)",
        "y = Slice (r, one, two, axis, back)",
        "i = Cast <to = 7> (r) y = GatherND (x, i)",
        "y = Relu (r)",
    ],
)
def test_a_kernel_larger_than_its_image(model_file: ModelFile, opset: int, node: str) -> None:
    """Leaves a length below 0; what reads that is not inferred."""
    text = f"""
    g (float[1, 1, 3, 3] x) => (float[A] y)
    <int64[1] one = {{1}}, int64[1] two = {{2}}, int64[1] axis = {{3}}, int64[1] back = {{-1}}>
    {{ r = MaxPool <kernel_shape = [9, 9]> (x) {node} }}
    """
    source = load_model(model_file(text, opset))
    assert source.values.keys() <= {"x", "one", "two", "axis", "back"}
    assert "'r' has the shape [1, 1, -5, -5]" in source.unsound["MaxPool_0"]


@pytest.mark.parametrize("batch", [-1, -(2**31), -(2**63)])
def test_fewer_batch_axes_than_none(model_file: ModelFile, batch: int) -> None:
    source = load_model(
        model_file(
            "g (float[2, 3] x, int64[2, 3] i) => (float[A] y) "
            f"{{ y = GatherND <batch_dims = {batch}> (x, i) }}"
        )
    )
    assert "y" not in source.values
    assert f"expected batch_dims of 0 or more, found {batch}" in source.unsound["GatherND_0"]


def test_a_list_that_inference_takes_for_a_number(model_file: ModelFile) -> None:
    text = """
    g (float[2, 3, 1] x) => (float[A] y)
    <int64[0] step = {}, int64 length = {2}> { y = STFT (x, step, , length) }
    """
    source = load_model(model_file(text, 17))
    assert "y" not in source.values
    assert list(source.unsound) == ["STFT_0"]
