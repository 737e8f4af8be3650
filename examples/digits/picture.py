#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw the demo's path, from the model itself, as SVG: ``docs/path.svg``.

``python examples/digits/picture.py docs/path.svg``. Layers, shapes and bytes come from
``digits.onnx`` and the cut in ``digits.json``; colours follow the reader's light or dark setting.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path
from xml.sax.saxutils import escape

import onnx

HERE = Path(__file__).resolve().parent

WIDTH, HEIGHT = 960, 372

STYLE = """
text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px }
.small { font-size: 12px; fill: #59636e }
.box { fill: #f6f8fa; stroke: #818b98 }
.nic { fill: #ddf4ff; stroke: #0969da }
.layer { fill: #ffffff; stroke: #818b98 }
.rtl { fill: #ffffff; stroke: #0969da }
.wire { stroke: #0969da; stroke-width: 2; fill: none }
.other { stroke: #818b98; stroke-width: 1.5; stroke-dasharray: 5 4; fill: none }
.tip { fill: #0969da }
.dim { fill: #818b98 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .small { fill: #9198a1 }
  .box { fill: #151b23; stroke: #656c76 }
  .nic { fill: #121d2f; stroke: #4493f8 }
  .layer { fill: #0d1117; stroke: #656c76 }
  .rtl { fill: #0d1117; stroke: #4493f8 }
  .wire { stroke: #4493f8 }
  .other { stroke: #9198a1 }
  .tip { fill: #4493f8 }
  .dim { fill: #9198a1 }
}
"""


@dataclass(frozen=True)
class Parts:
    """Layers of the three parts, and the bytes (8-bit integers) of the tensors between them."""

    edge: tuple[str, ...]
    nic: tuple[str, ...]
    cloud: tuple[str, ...]
    in_bytes: int
    out_bytes: int


def read(folder: Path = HERE) -> Parts:
    """Cut the model's nodes at the tensors that ``digits.json`` names."""
    model = onnx.shape_inference.infer_shapes(onnx.load(folder / "digits.onnx"))
    cut = json.loads((folder / "digits.json").read_text(encoding="utf-8"))
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in model.graph.value_info
    }
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    parts: list[list[str]] = [[]]
    for node in model.graph.node:
        label = node.op_type
        if node.op_type == "Conv":
            out, _, *kernel = weights[node.input[1]]
            label = f"Conv {'x'.join(map(str, kernel))}, {out}"
        if node.op_type == "Relu":
            parts[-1][-1] += " + ReLU"
        else:
            parts[-1].append(label)
        if node.output[0] in (cut["from"], cut["to"]):
            parts.append([])
    edge, nic, cloud = (tuple(part) for part in parts)
    return Parts(edge, nic, cloud, prod(shapes[cut["from"]]), prod(shapes[cut["to"]]))


def draw(parts: Parts) -> str:
    """The whole SVG document."""
    out: list[str] = []

    def box(kind: str, x: int, y: int, w: int, h: int) -> None:
        out.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{w}" height="{h}" rx="6"/>')

    def text(x: int, y: int, words: str, kind: str = "", anchor: str = "middle") -> None:
        name = f' class="{kind}"' if kind else ""
        out.append(f'<text{name} x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>')

    def arrow(kind: str, *points: tuple[int, int]) -> None:
        line = " ".join(f"{x},{y}" for x, y in points)
        out.append(f'<polyline class="{kind}" points="{line}"/>')
        (x, y), tip = points[-1], "tip" if kind == "wire" else "dim"
        out.append(f'<path class="{tip}" d="M{x + 7},{y} l-9,-5 v10 z"/>')

    def process(x: int, w: int, kind: str, title: str, how: str) -> None:
        box(kind, x, 20, w, 290)
        text(x + w // 2, 46, title, "title")
        text(x + w // 2, 65, how, "small")

    def layers(x: int, w: int, top: int, kind: str, names: tuple[str, ...]) -> None:
        for index, name in enumerate(names):
            y = top + 36 * index
            box(kind, x, y, w, 28)
            text(x + w // 2, y + 19, name)

    process(16, 172, "box", "edge process", "ONNX Runtime")
    process(312, 336, "nic", "NIC process", "RTL in Verilator, in a C++ packet loop")
    process(772, 172, "box", "cloud process", "ONNX Runtime")
    layers(32, 140, 126, "layer", parts.edge)
    layers(404, 152, 90, "rtl", parts.nic)
    layers(788, 140, 108, "layer", parts.cloud)
    layers(788, 140, 212, "layer", ("slice.onnx",))

    # The stages before and behind the slice, in the packet pipeline.
    for x, words in ((326, ("match", "header")), (570, ("send", "result"))):
        box("rtl", x, 118, 64, 44)
        for index, word in enumerate(words):
            text(x + 32, 136 + 17 * index, word)
    arrow("wire", (173, 140), (317, 140))
    arrow("wire", (390, 140), (395, 140))
    arrow("wire", (556, 140), (561, 140))
    arrow("wire", (634, 140), (779, 140))
    for x, size in ((250, parts.in_bytes), (710, parts.out_bytes)):
        text(x, 112, "Ethernet/IPv4/UDP", "small")
        text(x, 128, f"{size} tensor bytes", "small")
    arrow("other", (358, 162), (358, 226), (779, 226))
    text(480, 244, "declined: forwarded with the reason;", "small")
    text(480, 260, "the cloud finishes it, to the same bits", "small")
    arrow("other", (196, 288), (763, 288))
    text(480, 280, "all other traffic passes through", "small")

    text(
        WIDTH // 2,
        342,
        "midwire compile: one ONNX model in; edge.onnx, Verilog + slice.onnx, cloud.onnx out",
    )
    text(
        WIDTH // 2,
        361,
        "what the RTL computes equals slice.onnx and the numpy reference, bit for bit",
        "small",
    )
    body = "\n".join(out)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="The path of an image through edge, NIC and cloud">\n'
        f"<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(read()), encoding="utf-8")
