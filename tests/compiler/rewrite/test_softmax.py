# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Softmax, spelled out with exponentials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from midwire.compiler.load.constants import attributes
from midwire.compiler.load.frontend import load_model
from midwire.compiler.rewrite.rewriting import Rewritten, rewrite

ModelFile = Callable[..., Path]

STABLE = "m = ReduceMax (x, k) s = Sub (x, m) e = Exp (s) t = ReduceSum (e, k) y = Div (e, t)"
JAX = (
    "m = ReduceMax <keepdims = 0> (x, k) b = Max (nothing, m) r = Reshape (b, kept) "
    "w = Expand (r, whole) s = Sub (x, w) e = Exp (s) t = ReduceSum <keepdims = 0> (e, k) "
    "u = Reshape (t, kept) v = Expand (u, whole) y = Div (e, v)"
)
WHOLE = tuple(enumerate((1, 3, 4)))
BARE = "e = Exp (x) t = ReduceSum (e, k) y = Div (e, t)"


def found_in(model_file: ModelFile, body: str, axis: int, opset: int, outputs: str) -> Rewritten:
    kept = ", ".join("1" if place in (0, axis % 3) else str(size) for place, size in WHOLE)
    text = (
        f"g (float[N, 3, 4] x) => (float[N, 3, 4] y{outputs})"
        f"<int64[1] k = {{{axis}}}, int64[1] o = {{0}}, int64[2] two = {{1, 2}}, "
        f"int64[3] kept = {{{kept}}}, int64[3] whole = {{1, 3, 4}}, float one = {{1}}> {{ {body} }}"
    )
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>' + text)
    # The text has no word for it.
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(np.array(-np.inf, np.float32), "nothing")
    )
    return rewrite(load_model(model_file(model)))


BROUGHT_BACK = BARE.replace("ReduceSum (e", "ReduceSum <keepdims = 0> (e").replace(
    "y = Div (e, t)", "u = Unsqueeze (t, k) y = Div (e, u)"
)


@pytest.mark.parametrize("body", [STABLE, JAX, BARE, BROUGHT_BACK])
@pytest.mark.parametrize("axis", [-1, 1])
def test_a_softmax(body: str, axis: int, model_file: ModelFile) -> None:
    (unit,) = found_in(model_file, body, axis, 18, "").units
    (node,) = unit.nodes
    assert (unit.operator, node.op_type, list(node.input)) == ("Softmax", "Softmax", ["x"])
    assert attributes(node)["axis"] == axis % 3
    assert len(unit.sources) == body.count("(")


OTHERS = {
    "two axes": BARE.replace("(e, k)", "(e, two)"),
    "another numerator": BARE.replace("Div (e, t)", "Div (x, t)"),
    "the other way round": BARE.replace("Div (e, t)", "Div (t, e)"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_none(name: str, model_file: ModelFile) -> None:
    found = found_in(model_file, OTHERS[name], 2, 18, "")
    assert not [unit for unit in found.units if unit.operator]


ELSE_OFF = {
    "other axes": STABLE.replace("(x, k)", "(x, two)"),
    "bounded": JAX.replace("nothing", "one"),
}


@pytest.mark.parametrize("name", ELSE_OFF)
def test_what_else_is_taken_off_stays(name: str, model_file: ModelFile) -> None:
    """It is a softmax of the difference."""
    units = found_in(model_file, ELSE_OFF[name], 2, 18, "").units
    (unit,) = (unit for unit in units if unit.operator)
    assert list(unit.nodes[0].input) == ["s"]


def test_what_something_else_reads_stays(model_file: ModelFile) -> None:
    found = found_in(model_file, STABLE, 2, 18, ", float[N, 3, 4] e")
    assert not [unit for unit in found.units if unit.operator]


def test_before_opset_13_all_behind_the_axis_were_one(model_file: ModelFile) -> None:
    old = BARE.replace("ReduceSum (e, k)", "ReduceSum <axes = [AXIS]> (e)")
    for axis, wanted in ((1, []), (2, ["Softmax"])):
        found = found_in(model_file, old.replace("AXIS", str(axis)), axis, 11, "")
        assert [unit.operator for unit in found.units if unit.operator] == wanted
