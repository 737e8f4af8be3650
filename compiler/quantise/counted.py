# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Values that make no difference to whoever reads them: what an attention has masked, say.

A grid that held them too would have no steps left for the others. They become the grid's lowest or
highest integer, as what is beyond its ends does anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...hw.formats.tensor import AnyArray, Layout
from ..ir.graph import Graph, Node

_Change = Callable[[AnyArray], AnyArray]

Counted = Mapping[str, _Change]
"""For such tensors, by name: one sample's array to the values that a grid has to hold."""


def counted(graph: Graph) -> Counted:
    """The tensors that are read by one operator, at once or behind views, which does not tell all
    values apart. Integers before a DequantizeLinear are none of them: they mean other reals.
    """
    found = {}
    for name in (*graph.inputs, *(made for node in graph.nodes for made in node.outputs)):
        reader = _only_reader(graph, name)
        views = []
        while reader is not None and reader.op.is_view and reader.op.grid is None:
            views.append(reader)
            reader = _only_reader(graph, reader.output)
        if reader is not None and not reader.op.tells_all:
            found[name] = _behind(graph, views, reader.op.told_apart)
    return found


def _only_reader(graph: Graph, name: str) -> Node | None:
    readers = graph.consumers(name)
    return readers[0] if len(readers) == 1 and name not in graph.outputs else None


def _behind(graph: Graph, views: Sequence[Node], told_apart: _Change) -> _Change:
    """The same for what views rename: the first one's input."""
    change = told_apart
    for view in reversed(views):
        (source,) = (graph.values[name].shape for name in view.inputs)
        shape = graph.values[view.output].shape
        layout = view.op.view(Layout.raster(source), source, shape)
        if layout is None:  # no order of elements says what it does
            return lambda x: x
        change = _renamed(layout, source, shape, change)
    return change


def _renamed(
    layout: Layout, source: tuple[int, ...], shape: tuple[int, ...], change: _Change
) -> _Change:
    def run(x: AnyArray) -> AnyArray:
        changed = change(layout.from_stream(x.ravel(), shape))
        return layout.to_stream(changed).reshape(source)

    return run
