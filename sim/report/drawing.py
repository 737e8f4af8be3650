# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The slice as a drawing: a box a layer, one below the other, edge part on top, cloud part last.

What passes by a layer runs in a lane at the right of the boxes. Lanes are given as registers are:
in the order of where they begin, the first that is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...hw.formats.tensor import TensorSpec
from .facts import Link, ReportFacts, ReportLayer
from .markup import Markup, element, joined, shortened

BOX_WIDTH, BOX_HEIGHT, GAP = 460, 50, 34
LEFT, TOP, LANE = 12, 12, 16
LETTERS = 48
"""Of a name in a box."""

_BUSY_WIDTH = BOX_WIDTH - 24


def draw(facts: ReportFacts) -> Markup:
    """The whole drawing, in pixels that do not scale with the page."""
    lanes = lanes_of(facts.edges)
    width = LEFT + BOX_WIDTH + LANE * (2 + max(lanes.values(), default=-1)) + 70
    rows = len(facts.layers) + 2
    height = 2 * TOP + rows * BOX_HEIGHT + (rows - 1) * GAP
    title = f"{len(facts.layers)} layers between the edge part and the cloud part"
    manifest = facts.manifest
    return element(
        "svg",
        element("title", title),
        _ARROW,
        *_region(len(facts.layers)),
        *(_line(facts, edge, lanes.get(edge)) for edge in facts.edges),
        _part(0, "edge", "Edge part: edge.onnx", "makes", manifest.inputs),
        *(_layer(facts, row, layer) for row, layer in enumerate(facts.layers, 1)),
        _part(rows - 1, "cloud", "Cloud part: cloud.onnx", "reads", manifest.outputs),
        role="img",
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
    )


def lanes_of(edges: Sequence[Link]) -> dict[Link, int]:
    """A lane for each edge that passes by a row; two share one if the first ends where, or above
    where, the second begins.
    """
    found: dict[Link, int] = {}
    ends: list[int] = []
    for edge in sorted(edges, key=lambda edge: (edge.source, edge.sink)):
        if edge.sink - edge.source > 1:
            free = (lane for lane, end in enumerate(ends) if end <= edge.source)
            lane = next(free, len(ends))
            ends[lane:] = [edge.sink, *ends[lane + 1 :]]
            found[edge] = lane
    return found


_ARROW = element(
    "defs",
    element(
        "marker",
        element("path", d="M0 0 8 4 0 8z", class_="arrow"),
        id="arrow",
        markerWidth=8,
        markerHeight=8,
        refX=8,
        refY=4,
        orient="auto",
    ),
)


def _top(row: int) -> int:
    return TOP + row * (BOX_HEIGHT + GAP)


def _region(layers: int) -> Iterator[Markup]:
    """What marks the slice: a frame behind its layers, and the two cuts."""
    top, bottom = _top(1) - GAP // 2, _top(layers + 1) - GAP // 2
    yield element(
        "rect", class_="region", x=2, y=top, width=BOX_WIDTH + 20, height=bottom - top, rx=8
    )
    for y, name in ((top, "cut: into the NIC"), (bottom, "cut: out of the NIC")):
        yield element("text", name, class_="cut", x=LEFT + 6, y=y + (-5 if y == top else 13))


def _part(row: int, kind: str, title: str, verb: str, tensors: Sequence[TensorSpec]) -> Markup:
    names = ", ".join(tensor.name for tensor in tensors)
    size = sum(tensor.wire_bytes for tensor in tensors)
    return element(
        "g",
        element("title", f"{title} {verb} {names}"),
        _box(row, kind),
        _words(row, title, f"{verb} {shortened(names, LETTERS - 12)}, {size:,} bytes on the wire"),
    )


def _layer(facts: ReportFacts, row: int, layer: ReportLayer) -> Markup:
    share = min(1.0, facts.occupancy(layer))
    y = _top(row) + BOX_HEIGHT - 8
    work = f"{layer.macs:,} MACs, {layer.pe} x {layer.simd} in parallel, {share:.0%} busy"
    return element(
        "g",
        element("title", f"{layer.name}: {layer.kernel}, {work}; {', '.join(layer.sources)}"),
        _box(row, "layer"),
        _words(row, f"{row}  {layer.kernel}", work, shortened(layer.name, LETTERS - 8)),
        element("rect", class_="track", x=LEFT + 12, y=y, width=_BUSY_WIDTH, height=3),
        element("rect", class_="bar", x=LEFT + 12, y=y, width=_BUSY_WIDTH * share, height=3),
    )


def _box(row: int, kind: str) -> Markup:
    return element(
        "rect", class_=f"box {kind}", x=LEFT, y=_top(row), width=BOX_WIDTH, height=BOX_HEIGHT, rx=6
    )


def _words(row: int, first: str, second: str, name: str = "") -> Markup:
    y = _top(row)
    strong = element("tspan", first, class_="strong")
    return joined(
        element("text", strong, f"  {name}" if name else "", x=LEFT + 12, y=y + 19),
        element("text", second, class_="quiet", x=LEFT + 12, y=y + 36),
    )


def _line(facts: ReportFacts, edge: Link, lane: int | None) -> Markup:
    """An edge with its arrow, and the FIFO in it if there is one."""
    rows = ["", *(layer.name for layer in facts.layers), ""]
    depths = [
        fifo.depth
        for fifo in facts.fifos
        if (fifo.source, fifo.sink) == (rows[edge.source], rows[edge.sink])
    ]
    depth = f"FIFO {max(depths)}" if depths else ""
    right = LEFT + BOX_WIDTH
    begin, end = _top(edge.source) + BOX_HEIGHT, _top(edge.sink)
    if lane is None:
        x = LEFT + BOX_WIDTH // 2
        points = [(x, begin), (x, end)]
        at = (x + 8, (begin + end) // 2 + 4)
    else:
        # Below the middle out, above it in: so that one may end where the next begins.
        x = right + 18 + LANE * lane
        points = [(right, begin - 14), (x, begin - 14), (x, end + 14), (right, end + 14)]
        at = (x + 6, end + 4)
    path = "M" + " ".join(f"{x} {y}" for x, y in points)
    label = element("text", depth, class_="depth", x=at[0], y=at[1]) if depth else None
    title = f"{edge.tensor}{', ' if depth else ''}{depth}"
    line = element("path", d=path, class_="line", marker_end="url(#arrow)")
    return element("g", element("title", title), line, label)
