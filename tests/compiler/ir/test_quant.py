# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules Q1 to Q3: the text form, the program of a bundle, and all violations at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from midwire.compiler.ir.quant import print_qgraph, program_of, verify
from midwire.hw.numeric import QType

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
  b: u4[1x2x4x4] = conv[depthwise=True, dilations=[1, 1], image=[4, 4, 2], kernel=[3, 3], \
pad_value=0, pads=[1, 1, 1, 1], strides=[1, 1]](x) acc i16 >> SHIFT
  c: u4[1x2x1x1] = pool[dilations=[1, 1], image=[4, 4, 2], kernel=[4, 4], mode=max, \
pad_value=0, pads=[0, 0, 0, 0], strides=[1, 1]](b) acc u4 >> 0
  y: i9[1x3] = conv[depthwise=False, dilations=[1, 1], image=[1, 1, 2], kernel=[1, 1], \
pad_value=0, pads=[0, 0, 0, 0], strides=[1, 1]](c) acc i12 >> SHIFT
  return y
"""


def test_text_form(lower: Callable[..., Any]) -> None:
    graph = lower(NET, GRIDS).integers
    text = print_qgraph(graph)
    for node in (graph.nodes[0], graph.nodes[2]):
        text = text.replace(f">> {node.requantiser.shift}\n", ">> SHIFT\n")
    assert text == TEXT


def test_accumulators_are_as_wide_as_they_can_get(lower: Callable[..., Any]) -> None:
    """Extremes of the weights times extremes of the type, and no more."""
    conv, pool, dense = lower(NET, GRIDS).integers.nodes
    # Weights are on a grid of their own: 127 is 127, the rest follows exactly.
    positive = sum(range(1, 9)) + 127
    assert conv.core.ranges[0] == ((-128 * positive, 127 * positive),)
    assert conv.core.acc_bits == (16, True)
    assert pool.core.acc_range == (0, 15)
    assert dense.core.channels == 3
    assert dense.core.ranges[1] == ((-2 * 15, 127 * 15),)


def test_the_program_names_arrays_in_the_narrowest_type(lower: Callable[..., Any]) -> None:
    graph = lower(NET, GRIDS).integers
    steps, arrays = steps_of(graph)
    assert [(s.kernel, s.inputs, s.output) for s in steps] == [
        ("conv", ("x",), "b"),
        ("pool", ("b",), "c"),
        ("conv", ("c",), "y"),
    ]
    assert arrays["0.weight"].dtype == np.int8
    assert arrays["0.weight"].shape == (2, 3, 3, 1)
    assert steps[0].arrays["weight"] == "0.weight"
    assert set(arrays) == {key for step in steps for key in step.arrays.values()}
    for node, step in zip(graph.nodes, steps, strict=True):
        for name in ("multiplier", "offset", "lo", "hi"):
            stored = arrays[step.arrays[f"requant_{name}"]]
            np.testing.assert_array_equal(stored, getattr(node.requantiser, name))


def test_all_violations_are_reported_together(lower: Callable[..., Any]) -> None:
    graph = lower(NET, GRIDS).integers
    assert verify(graph) == []
    conv, pool, dense = graph.nodes
    tensors = dict(graph.tensors)
    tensors["b"] = replace(tensors["b"], qtype=QType(3, False, 16.0))
    del tensors["y"]
    broken = replace(
        graph,
        nodes=(pool, replace(conv, requantiser=dense.requantiser), replace(dense, output="b")),
        tensors=tensors,
        outputs=("y",),
    )
    found = verify(broken)
    assert found[0] == "Q1: node 'MaxPool_2' reads 'b' before it is defined"
    assert found[1] == "Q2: node 'Conv_0' requantises 3 channels, its core has 2"
    assert found[2].startswith("Q2: node 'Conv_0' gives -256..255, its output is QType(bits=3")
    assert found[3] == "Q1: 'b' is defined twice, the second time by 'MatMul_4'"
    assert found[-1] == "Q1: output 'y' is not defined"
    assert verify(replace(graph, tensors=tensors))[-1] == "Q3: 'y' has no type"
