# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""All refusals of a model at once, root causes first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midwire.compiler.errors import NoSliceError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.select.buildable import plan
from midwire.compiler.select.inspection import inspect_model
from midwire.compiler.select.listing import render
from midwire.host import cli

ModelFile = Callable[..., Path]

EYE = "float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}"

THREE = f"""
g (float[N, 4] x) => (float[N, 4] y)
<{EYE}, float[3] short = {{1, 2, 3}}>
{{ a = com.example.Mystery (x)
   b = MatMul (a, w)
   c = Relu (b)
   d = MatMul (x, w)
   e = Add (d, short)
   f = Sigmoid (e)
   h = Hardmax (d)
   i = MatMul (h, w)
   j = Add (c, f)
   y = Add (j, i) }}
"""
"""An unknown operator, operands that do not fit, and an operator that no rule takes; what stands
behind the first two has no shape.
"""


def refusals(report: dict[str, Any]) -> dict[str, str]:
    return {node["name"]: node["follows"] for node in report["nodes"] if not node["supported"]}


def mystery(model_file: ModelFile) -> Path:
    return model_file(THREE, imports=', "com.example" : 1')


def test_three_root_causes_and_what_follows_from_them(model_file: ModelFile) -> None:
    report = inspect_model(mystery(model_file))
    assert refusals(report) == {
        "Mystery_0": "",
        "MatMul_1": "Mystery_0",
        "Relu_2": "Mystery_0",
        "Add_4": "",
        "Sigmoid_5": "Add_4",
        "Hardmax_6": "",
        "Add_8": "Add_4",
        "Add_9": "Add_4",
    }
    reasons = {node["name"]: node["reason"] for node in report["nodes"]}
    assert reasons["Add_4"] == (
        "expected inputs and attributes that fit each other, found the shapes [1, 4] and [3] "
        "(Incompatible dimensions)"
    )


def test_the_table_has_root_causes_first(model_file: ModelFile) -> None:
    text = render(inspect_model(mystery(model_file)), 200)
    places = [
        text.index(part) for part in ("Mystery_0 ", "Hardmax_6 ", "only because of Mystery_0")
    ]
    assert places == sorted(places)
    assert text.count("only because of") == 2
    assert "expected a known" not in text


def test_an_end_without_a_shape_names_the_root_cause(model_file: ModelFile) -> None:
    with pytest.raises(NoSliceError) as caught:
        plan(load_model(mystery(model_file)), to="y")
    assert str(caught.value) == (
        "tensor 'y': the tensor's shape is not known; expected a tensor of known shape; found none "
        "behind Add 'Add_4': expected inputs and attributes that fit each other, found the shapes "
        "[1, 4] and [3] (Incompatible dimensions). Cut before that node."
    )


def test_compile_says_all_of_them(
    model_file: ModelFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"""
    g (float[N, 4] x) => (float[N, 4] y) <{EYE}>
    {{ a = Hardmax (x)  b = RandomNormalLike (a)  c = MatMul (b, w)  y = Hardmax (c) }}"""
    words = ["compile", str(model_file(text)), "-o", str(tmp_path / "b"), "--from=x", "--to=y"]
    assert cli.main(words) == 1
    assert capsys.readouterr().err == (
        "error: --from 'x' --to 'y': 3 of 4 nodes between --from and --to are not supported; "
        "expected supported nodes only; found Hardmax 'Hardmax_0' and 1 more: operator Hardmax is "
        "not supported; RandomNormalLike 'RandomNormalLike_1': operator RandomNormalLike is not "
        "supported. Choose a smaller slice; midwire inspect shows the largest supported one.\n"
    )


def test_no_slice_lists_root_causes(model_file: ModelFile) -> None:
    text = f"""
    g (float[N, 4] x) => (float[N, 4] y) <{EYE}, float[3] short = {{1, 2, 3}}>
    {{ a = Hardmax (x)  b = Add (a, short)  c = Relu (b)  d = com.example.Mystery (c)
       e = MatMul (d, w)  y = Neg (e) }}"""
    with pytest.raises(NoSliceError) as caught:
        plan(load_model(model_file(text, imports=', "com.example" : 1')))
    assert str(caught.value) == (
        "net: no slice with multiply-accumulates can be compiled; expected supported nodes with "
        "work to do between two cuts; found Hardmax 'Hardmax_0': operator Hardmax is not "
        "supported; Add 'Add_1': expected inputs and attributes that fit each other, found the "
        "shapes [1, 4] and [3] (Incompatible dimensions); com.example.Mystery 'Mystery_3': "
        "operator com.example.Mystery is not supported; 3 more that only follow from those. "
        "midwire inspect lists every node and every cut."
    )


def test_a_dynamic_quantiser_is_one_refusal(model_file: ModelFile) -> None:
    text = """
    g (float[N, 3] x) => (float[N, 2] y) <int8[3, 2] w = {1, 2, 3, 4, 5, 6}, float t = {0.5}>
    { q, s, z = DynamicQuantizeLinear (x)  i = MatMulInteger (q, w, z)  f = Cast <to = 1> (i)
      m = Mul (s, t)  y = Mul (f, m) }"""
    root = "DynamicQuantizeLinear_0"
    found = refusals(inspect_model(model_file(text)))
    assert found == {root: "", "MatMulInteger_1": root, "Cast_2": root}


@pytest.mark.parametrize("shape", ["1, 1, 3, 1", "1, 1, 1, 3"])
@pytest.mark.parametrize("between", ["", "r = Relu (c)"])
def test_a_constant_along_another_axis_behind_a_convolution_is_built(
    shape: str, between: str, model_file: ModelFile
) -> None:
    """On a grid of its own between the two; it was said of the convolution that it does not fit."""
    text = f"""
    g (float[N, 1, 3, 3] x) => (float[N, 2, 3, 3] y)
    <float[2, 1, 1, 1] w = {{1, 2}}, float[{shape}] row = {{1, 2, 3}}>
    {{ c = Conv (x, w)  {between}  y = Mul ({"r" if between else "c"}, row) }}"""
    found = plan(load_model(model_file(text)), calibrated=True)
    assert found.selection.outputs == ("y",)
    assert all(verdict.supported for verdict in found.support)
