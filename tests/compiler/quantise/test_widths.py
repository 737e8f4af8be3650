# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Widths of layers: how they are written, which nodes a layer has, and which scales go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.quantise.insert import missing_grids, quantise
from midwire.compiler.quantise.widths import (
    Widths,
    check_names,
    dyadic_layers,
    layers_of,
    parse,
)
from midwire.hw.numeric import QType

RESIDUAL = """
g (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {1, 0.013, 0.37, 1}, float[2] b = {1, 2}>
{ a = MatMul (x, w)
  c = Add (a, b)
  r = Relu (c)
  d = MatMul (r, w)
  s = Add (d, x)
  y = MatMul (s, w) }
"""


def test_how_widths_are_written() -> None:
    assert parse("6") == parse(6) == Widths(6)
    assert parse("a/b=12") == Widths(8, {"a/b": 12})
    assert parse("4, a:0=12,b=c=16") == Widths(4, {"a:0": 12, "b=c": 16})
    assert parse("4,a:0=12,b=c=16").text == "4,a:0=12,b=c=16"
    assert (parse("9,a=3").least, parse("9").least, parse("2,a=16").least) == (3, 9, 2)


@pytest.mark.parametrize("text", ["", "eight", "8,", "8,a=", "a="])
def test_what_is_no_width(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse(text)
    assert str(caught.value) == (
        "--bits: unusable bit widths; expected a number, auto, or LAYER=NUMBER, several with "
        f"commas; found {text.split(',')[-1]!r}. Write --bits 8, say, or --bits 8,LAYER=12."
    )


@pytest.mark.parametrize("text", ["1", "17", "-1", "8,a=1", "a=17"])
def test_widths_out_of_range(text: str) -> None:
    with pytest.raises(ModelError, match=r"^--bits: unusable bit width; expected 2 to 16; found "):
        parse(text)


def test_a_layer_is_what_leads_to_a_grid(lower: Callable[..., Any]) -> None:
    real = lower(RESIDUAL).real
    layers = layers_of(real, missing_grids(real))
    assert [layer.tensor for layer in layers] == ["x", "r", "d", "s", "y"]
    first = layers[1]
    assert set(first.names) >= {"r", "c", "a"} and len(first.nodes) == 3
    with pytest.raises(ModelError) as caught:
        check_names(parse("8,r=4,q=9"), layers)
    assert str(caught.value) == (
        "--bits: no such layer to quantise; expected a tensor or node of the slice that has no "
        "grid of its own: 'x', 'r', 'd', 's', 'y'; found 'q'. Take the name from the model, or "
        "from a compile's list of layers."
    )
    check_names(parse("8,c=4"), layers)


def test_a_width_is_that_of_weights_and_result(lower: Callable[..., Any]) -> None:
    real = lower(RESIDUAL).real
    widths = parse("8,c=4")
    rounded = quantise(real, lambda name: QType(8, True, 0.125), widths)
    spans = [
        int(abs(node.op.weight.values).max()) for node in rounded if hasattr(node.op, "weight")
    ]
    assert spans == [7, 127, 127]


def test_what_meets_a_wide_tensor_has_scales_of_powers_of_two(lower: Callable[..., Any]) -> None:
    real = lower(RESIDUAL).real
    layers = layers_of(real, missing_grids(real))

    def dyadic(text: str) -> list[str]:
        return sorted(dyadic_layers(real, layers, parse(text)))

    assert dyadic("8") == []
    assert dyadic("8,r=9") == ["r"]
    assert dyadic("8,d=9") == dyadic("8,x=9") == dyadic("8,s=9") == ["d", "s", "x"]
    assert len(dyadic("12")) == 5
