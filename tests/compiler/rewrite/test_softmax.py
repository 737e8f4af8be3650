# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Softmax, spelled out with exponentials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from midwire.compiler.load.constants import attributes
from midwire.compiler.load.frontend import load_model
from midwire.compiler.rewrite.rewriting import Rewritten, rewrite

ModelFile = Callable[..., Path]

STABLE = "m = ReduceMax (x, k) s = Sub (x, m) e = Exp (s) t = ReduceSum (e, k) y = Div (e, t)"
BARE = "e = Exp (x) t = ReduceSum (e, k) y = Div (e, t)"


def found_in(model_file: ModelFile, body: str, axis: int, opset: int, outputs: str) -> Rewritten:
    text = (
        f"g (float[N, 3, 4] x) => (float[N, 3, 4] y{outputs})"
        f"<int64[1] k = {{{axis}}}, int64[1] o = {{0}}, int64[2] two = {{1, 2}}> {{ {body} }}"
    )
    return rewrite(load_model(model_file(text, opset)))


@pytest.mark.parametrize("body", [STABLE, BARE])
@pytest.mark.parametrize("axis", [-1, 1])
def test_a_softmax(body: str, axis: int, model_file: ModelFile) -> None:
    (unit,) = found_in(model_file, body, axis, 18, "").units
    (node,) = unit.nodes
    assert (unit.operator, node.op_type, list(node.input)) == ("Softmax", "Softmax", ["x"])
    assert attributes(node)["axis"] == axis % 3
    assert len(unit.sources) == len(body.split(" = ")) - 1


OTHERS = {
    "other axes": STABLE.replace("(x, k)", "(x, two)"),
    "two axes": BARE.replace("(e, k)", "(e, two)"),
    "no axis kept": BARE.replace("ReduceSum (e", "ReduceSum <keepdims = 0> (e").replace(
        "y = Div (e, t)", "u = Unsqueeze (t, k) y = Div (e, u)"
    ),
    "another numerator": BARE.replace("Div (e, t)", "Div (x, t)"),
    "the other way round": BARE.replace("Div (e, t)", "Div (t, e)"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_none(name: str, model_file: ModelFile) -> None:
    found = found_in(model_file, OTHERS[name], 2, 18, "")
    assert not [unit for unit in found.units if unit.operator]


def test_what_something_else_reads_stays(model_file: ModelFile) -> None:
    found = found_in(model_file, STABLE, 2, 18, ", float[N, 3, 4] e")
    assert not [unit for unit in found.units if unit.operator]


def test_before_opset_13_all_behind_the_axis_were_one(model_file: ModelFile) -> None:
    old = BARE.replace("ReduceSum (e, k)", "ReduceSum <axes = [AXIS]> (e)")
    for axis, wanted in ((1, []), (2, ["Softmax"])):
        found = found_in(model_file, old.replace("AXIS", str(axis)), axis, 11, "")
        assert [unit.operator for unit in found.units if unit.operator] == wanted
