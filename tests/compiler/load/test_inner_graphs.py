# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Graphs inside of nodes: their types are known as before, and what is wrong in them ends nothing.

The lengths are such that a test survives if they are inferred all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.parser
import pytest

from midwire.compiler.load.frontend import load_model

ModelFile = Callable[..., Path]

CONSTANTS = """<int64 begin = {0}, int64 many = {100000}, int64 step = {1}, int64 five = {5},
 int64[1] zero = {0}, bool yes = {1}>"""

LARGE = "r = MaxPool <kernel_shape = [9, 9]> (x)"


def sliced(name: str, x: str) -> str:
    """A Slice of rows with the constants that it reads, which inference sees beside it only."""
    numbers = enumerate((0, 1, 2))
    made = "".join(f"{name}{k} = Constant <value_ints = [{n}]> () " for k, n in numbers)
    return f"{made}{name} = Slice ({x}, {name}0, {name}1, {name}2)"


def branches(body: str) -> str:
    """A branch that ends with ``p``, and one that ends with a slice of what the whole reads."""
    return f"""
    g (float[1, 2, 3, 4] x, bool c) => (float[A] y, float[1, 2, 3, 4] z) {CONSTANTS}
    {{ y = If (c) <
         then_branch = a () => (p) {{ {body} }},
         else_branch = b () => (q) {{ {sliced("q", "x")} }} >
       z = Relu (x) }}
    """


INNER = f"""
p = If (c) <
  then_branch = d () => (u) {{ {sliced("u", "x")} }},
  else_branch = e () => (v) {{ r = Relu (x) {sliced("v", "r")} }} >
"""


@pytest.mark.parametrize(
    "body",
    [
        sliced("p", "x"),
        f"r = Relu (x) {sliced('p', 'r')}",
        "h = Constant <value_ints = [1, 2, 1, 4]> () r = ReduceMax (x) p = Expand (r, h)",
        INNER,
    ],
    ids=["slice", "behind", "expand", "inner"],
)
def test_branches(model_file: ModelFile, body: str) -> None:
    assert load_model(model_file(branches(body))).values["y"].shape == (1, 2, 1, 4)


@pytest.mark.parametrize(
    "body",
    [
        "l = Range (begin, many, step) p = Expand (x, l)",
        "l = Range (begin, many, step) p = ConstantOfShape (l)",
        f"{LARGE} {sliced('p', 'r')}",
        f"{LARGE} t = Transpose (r) {sliced('p', 't')}",
        "s = Shape (x) p = GatherND <batch_dims = -2147483648> (x, s)",
        "g0 = Unsqueeze (zero, zero) "
        + " ".join(f"g{k + 1} = Gather (g{k}, g{k})" for k in range(16))
        + " p = Cast <to = 1> (g16)",
        INNER.replace("r = Relu (x)", LARGE),
    ],
    ids=["expand", "constant", "slice", "behind", "gather_nd", "gather", "inner"],
)
def test_branches_that_are_wrong(model_file: ModelFile, body: str) -> None:
    source = load_model(model_file(branches(body)))
    assert "y" not in source.values
    assert source.values["z"].shape == (1, 2, 3, 4)


@pytest.mark.parametrize(
    "body",
    [
        f"r = MaxPool <kernel_shape = [9, 9]> (s) {sliced('t', 'r')} w = Relu (t)",
        "i = Cast <to = 7> (s) r = GatherND <batch_dims = -2147483648> (s, i) w = Relu (r)",
        "i = Cast <to = 7> (s) j = Flatten (i) k = Squeeze (j) w = Expand (s, k)",
        "i = Cast <to = 7> (s) "
        + "".join(f"i{k + 1} = Gather (i{k or ''}, i{k or ''}) " for k in range(16))
        + "w = Cast <to = 1> (i16)",
        "w = Relu (s)",
    ],
    ids=["slice", "gather_nd", "expand", "gather", "relu"],
)
def test_a_scan_whose_rows_only_onnx_knows(model_file: ModelFile, body: str) -> None:
    text = f"""
    g (float[5, 1, 2, 3, 4] x) => (float[A] y, float[5, 1, 2, 3, 4] z) {CONSTANTS}
    {{ y = Scan <num_scan_inputs = 1,
                body = b (float[1, 2, 3, 4] s) => (w) {{ {body} }}> (x)
       z = Relu (x) }}
    """
    assert load_model(model_file(text)).values["z"].shape == (5, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("declared", "more", "shape"),
    [
        ("[1, 2, 1, 4]", "", (1, 2, 1, 4)),
        ("[1, 2, 1, 4]", "u = Relu (p)", None),
        ("[1, 2, -5, 4]", "", None),
        (str([1] * 65), "", None),
    ],
    ids=["sound", "read", "negative", "axes"],
)
def test_declared_results(
    model_file: ModelFile, declared: str, more: str, shape: tuple[int, ...] | None
) -> None:
    """Are believed as ONNX does, unless a node of the graph would read them."""
    text = branches(f"p = own.Some (x) {more}")
    text = text.replace("a () => (p)", f"a () => (float{declared.replace('-5', '5')} p)")
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13, "own" : 1]>\n{text}')
    for dim in model.graph.node[0].attribute[0].g.output[0].type.tensor_type.shape.dim:
        dim.dim_value = -5 if dim.dim_value == 5 else dim.dim_value
    found = load_model(model_file(model)).values.get("y")
    assert (found and found.shape) == shape


@pytest.mark.parametrize("dims", [[1] * 70, [0, 1 << 62]], ids=["axes", "elements"])
def test_constants_that_numpy_has_not(model_file: ModelFile, dims: list[int]) -> None:
    text = branches("p = Reshape (x, k)").replace(
        "a () => (p) {", "a () => (p) <int64[1] k = {3}> {"
    )
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]>\n{text}')
    constant = model.graph.node[0].attribute[0].g.initializer[0]
    constant.dims[:] = dims
    del constant.int64_data[:]
    constant.int64_data.extend([3] * (0 not in dims))
    source = load_model(model_file(model))
    assert "y" not in source.values
    assert source.values["z"].shape == (1, 2, 3, 4)


def test_a_scan(model_file: ModelFile) -> None:
    text = """
    g (float[5, 3] x, float[3] s0) => (float[3] s1, float[5, 3] y)
    { s1, y = Scan <
        num_scan_inputs = 1,
        body = b (float[3] s, float[3] r) => (float[3] t, float[3] u)
        { t = Add (s, r) u = Relu (t) }
      > (s0, x) }
    """
    source = load_model(model_file(text))
    assert (source.values["s1"].shape, source.values["y"].shape) == ((3,), (5, 3))


def test_another_domain_that_onnx_knows(model_file: ModelFile) -> None:
    text = """
    g (float[N, 3] x) => (float[N, 3] y)
    { a = ai.onnx.ml.Binarizer <threshold = 0.5> (x)
      y = ai.onnx.ml.ArrayFeatureExtractor (a, i) }
    """
    text = text.replace("(float[N, 3] y)", "(float[A] y) <int64[1, 2] i = {0, 2}>")
    source = load_model(model_file(text, imports=', "ai.onnx.ml" : 2'))
    assert source.values["y"].shape == (1, 2)
