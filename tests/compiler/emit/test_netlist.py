# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From a dataflow to the slice's Verilog."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midwire.compiler.emit.netlist import slice_verilog
from midwire.compiler.ir.dataflow import Dataflow
from midwire.compiler.map.assemble import assemble
from midwire.compiler.map.balance import balance
from midwire.compiler.map.implement import implement
from midwire.compiler.map.targets import TARGETS
from midwire.hw.numeric import QType

NET = """
g (float[N, 4, 3, 3] x) => (float[N, 2, 3, 3] y)
<float[2, 4, 1, 1] w = {WEIGHTS}, float[2, 2, 1, 1] v = {1, 2, 3, 4}>
{ a = Conv (x, w)
  b = Conv (a, v)
  y = Add (b, a) }
"""

GRIDS = {"x": QType(12, True, 0.5), "y": QType(3, False, 4.0)}


@pytest.fixture
def build(lower: Callable[..., Any]) -> Callable[[str], tuple[Dataflow, str]]:
    def run(weights: str) -> tuple[Dataflow, str]:
        low = lower(NET.replace("WEIGHTS", weights), GRIDS)
        chosen = implement(low.integers, TARGETS["xcup"], 20, strict=False, strategy="folded")
        flow = balance(assemble(low.integers, low.rounded, chosen)).flow
        return flow, slice_verilog(flow)

    return run


ONES = "1, -1, 1, -1, 1, 1, 1, -1"


def test_ports_are_those_of_the_bundle(build: Callable[[str], tuple[Dataflow, str]]) -> None:
    flow, text = build(ONES)
    module = re.search(r"^module midwire_slice \((.*?)\);(.*?)^endmodule", text, re.M | re.S)
    assert module is not None
    ports = {
        name: kind
        for kind, _, name in (port.strip().rpartition(" ") for port in module.group(1).split(","))
    }
    streams = [
        f"{p}_axis_{s}" for p in ("s0", "m0") for s in ("tdata", "tvalid", "tready", "tlast")
    ]
    assert list(ports) == ["clk", "aresetn", *streams]
    lanes_in, lanes_out = flow.inputs[0].lanes, flow.outputs[0].lanes
    assert ports["s0_axis_tdata"] == f"input wire [{lanes_in * 16 - 1}:0]"
    assert ports["m0_axis_tdata"] == f"output wire [{lanes_out * 8 - 1}:0]"
    assert ports["clk"] == ports["aresetn"] == ports["s0_axis_tlast"] == "input wire"


def test_text_is_the_same_every_time_and_free_of_places(
    build: Callable[[str], tuple[Dataflow, str]], root: Path
) -> None:
    first, second = build(ONES)[1], build(ONES)[1]
    assert first == second
    assert "(* src" not in first
    assert str(root) not in first and ".py" not in first


def test_other_weights_need_no_other_verilog(
    build: Callable[[str], tuple[Dataflow, str]],
) -> None:
    """Weights are in images, so that a build can be used again."""
    flow, text = build(ONES)
    other, again = build("1, 1, -1, -1, 1, 1, -1, 1")
    assert text == again
    images = [{k: v for s in f.stages for k, v in s.images.items()} for f in (flow, other)]
    assert images[0].keys() == images[1].keys()
    assert images[0] != images[1]
    for name in images[0]:
        assert name.endswith(".hex") and name in text


HOSTILE = ('a\nendmodule\n`include "x"', "*/ verilator lint_off \\", "\u00e9\u2028", "x" * 200)


def test_comments_name_the_layers(build: Callable[[str], tuple[Dataflow, str]]) -> None:
    """Whatever the model calls them: a name stays inside its line, in ASCII."""
    flow, _ = build(ONES)
    layers = [stage for stage in flow.stages if stage.node is not None]
    origins = {stage.node or "": HOSTILE + ("more",) * 20 for stage in layers}
    text = slice_verilog(flow, prefix="some", origins=origins)
    assert text.isascii()
    comments = [line for line in text.splitlines() if line.startswith("// ")]
    stages = set(re.findall(r"^module (some_\w+?)(?:_finish\d*)? ", text, re.M)) - {"some_slice"}
    assert len(comments) == len(stages)
    code = [line for line in text.splitlines() if not line.lstrip().startswith("// ")]
    plain = slice_verilog(flow, prefix="some")
    assert code == [line for line in plain.splitlines() if not line.lstrip().startswith("// ")]
    shown = ", ".join(json.dumps(name[:80] + "..." * (len(name) > 80)) for name in HOSTILE)
    pe, simd = layers[0].built.parallelism
    assert (
        f'// some_{layers[0].name}: "{layers[0].node}", folded, {pe} x {simd} in parallel, of ONNX '
        f'nodes {shown}, "more", "more", "more", "more" and 16 more\n'
    ) in text


def test_every_pin_is_joined(build: Callable[[str], tuple[Dataflow, str]]) -> None:
    """Those of FIFOs between stages too: verilator -Wall warns of a pin that is missing."""
    flow, text = build(ONES)
    depths = [channel.depth or 0 for channel in flow.channels]
    assert any(depths)
    ports = dict(re.findall(r"^module (\w+) \((.*?)\);", text, re.M | re.S))
    top = text[: text.index("endmodule")]
    instances = re.findall(r"^  (midwire_\w+) \w+\((.*)\);", top, re.M)
    assert len(instances) == len(flow.stages) + sum(depth > 0 for depth in depths)
    for module, joined in instances:
        wanted = {port.strip() for port in ports[module].split(",")}
        assert set(re.findall(r"\.(\w+)\(", joined)) == wanted
