# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules Q1 to Q3: the text form, the program of a bundle, and all violations at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from midwire.compiler.ir.quant import print_qgraph, program_of, verify
from midwire.hw.numeric import IntType, QType

NET = """
g (float[N, 2, 4, 4] x) => (float[N, 3] y)
<float[2, 1, 3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 127, 0, 0, 0, 0, 127, 0, 0, 0, 0},
 float[2, 3] m = {1, -2, 127, 0, 127, 2}>
{ a = Conv <pads = [1, 1, 1, 1], group = 2> (x, w)
  b = Relu (a)
  c = MaxPool <kernel_shape = [4, 4]> (b)
  d = Flatten (c)
  y = MatMul (d, m) }
"""

GRIDS = {"b": QType(4, False, 16.0), "y": QType(9, True, 2.0, -5)}

TEXT = """\
qgraph net(x: i8[1x2x4x4])
  b: u4[1x2x4x4] = conv(x) acc i16 multiply_shift
  c: u4[1x2x1x1] = pool(b) acc u4 direct
  y: i9[1x3] = conv(c) acc i12 multiply_shift
  return y
"""


def test_text_form(lower: Callable[..., Any]) -> None:
    assert print_qgraph(lower(NET, GRIDS).integers) == TEXT


def test_accumulators_are_as_wide_as_they_can_get(lower: Callable[..., Any]) -> None:
    """Extremes of the weights times extremes of the type, and no more."""
    conv, pool, dense = lower(NET, GRIDS).integers.nodes
    # Weights are on a grid of their own: 127 is 127, the rest follows exactly.
    positive = sum(range(1, 9)) + 127
    assert conv.kernel.ranges[0][0] == ((-128 * positive, 127 * positive),)
    assert conv.accumulator == IntType(16, True)
    assert pool.kernel.ranges == ((((0, 15),), ((0, 15),)),)
    assert len(dense.kernel.ranges[0]) == 3
    assert dense.kernel.ranges[0][1] == ((-2 * 15, 127 * 15),)


def test_the_program_names_arrays_in_the_narrowest_type(lower: Callable[..., Any]) -> None:
    graph = lower(NET, GRIDS).integers
    steps, arrays = program_of(graph)
    assert [(s.kernel.kind, s.inputs, s.outputs) for s in steps] == [
        ("conv", ("x",), ("b",)),
        ("pool", ("b",), ("c",)),
        ("conv", ("c",), ("y",)),
    ]
    conv, pool, dense = (step.kernel.parameters for step in steps)
    geometry = {
        "size": [4, 4],
        "kernel": [3, 3],
        "stride": [1, 1],
        "dilation": [1, 1],
        "pads": [1, 1, 1, 1],
    }
    assert (conv["geometry"], conv["depthwise"], conv["pad_value"]) == (geometry, True, 0)
    geometry |= {"kernel": [4, 4], "pads": [0, 0, 0, 0]}
    assert (pool["geometry"], pool["mode"], pool["pad_value"]) == (geometry, "max", 0)
    geometry |= {"size": [1, 1], "kernel": [1, 1]}
    assert (dense["geometry"], dense["depthwise"], dense["pad_value"]) == (geometry, False, 0)
    assert [step["channels"] for step in (conv, pool, dense)] == [2, 2, 2]
    assert arrays["0.weight"].dtype == np.int8
    assert arrays["0.weight"].shape == (2, 3, 3, 1)
    assert steps[0].kernel.arrays["weight"] == "0.weight"
    described = [part for step in steps for part in (step.kernel, *step.finishers)]
    assert set(arrays) == {key for part in described for key in part.arrays.values()}
    for node, step in zip(graph.nodes, steps, strict=True):
        (finisher,), (part,) = node.finishers, step.finishers
        assert part.kind == finisher.kind
        for name, key in part.arrays.items():
            np.testing.assert_array_equal(arrays[key], getattr(finisher, name))
            assert arrays[key].dtype in (np.int8, np.int16, np.int32, np.int64)
        for name, value in part.parameters.items():
            assert getattr(finisher, name) == value
    assert [set(step.finishers[0].arrays) for step in steps] == [
        {"multiplier", "offset", "lo", "hi"},
        set(),
        {"multiplier", "offset", "lo", "hi"},
    ]


def test_all_violations_are_reported_together(lower: Callable[..., Any]) -> None:
    graph = lower(NET, GRIDS).integers
    assert verify(graph) == []
    conv, pool, dense = graph.nodes
    tensors = dict(graph.tensors)
    tensors["b"] = replace(tensors["b"], qtype=QType(3, False, 16.0))
    del tensors["y"]
    broken = replace(
        graph,
        nodes=(pool, replace(conv, finishers=dense.finishers), replace(dense, outputs=("b",))),
        tensors=tensors,
        outputs=("y",),
    )
    found = verify(broken)
    assert found[0] == "Q1: node 'MaxPool_2' reads 'b' before it is defined"
    assert found[1] == "Q2: node 'Conv_0' finishes 3 channels of 'b', its kernel gives 2"
    assert found[2].startswith("Q2: node 'Conv_0' gives -256..255, 'b' is QType(bits=3")
    assert found[3] == "Q1: 'b' is defined twice, the second time by 'MatMul_4'"
    assert found[-1] == "Q1: output 'y' is not defined"
    assert verify(replace(graph, tensors=tensors))[-1] == "Q3: 'y' has no type"
    twice = replace(graph, nodes=(conv, replace(pool, name=conv.name), dense))
    assert verify(twice) == ["Q1: 'Conv_0' names 2 nodes"]
    odd = replace(graph, nodes=(replace(conv, finishers=()), pool, dense))
    assert verify(odd) == [
        "Q2: node 'Conv_0' has 1 outputs and 0 finishers, its kernel gives 1",
    ]
